// The pictures of the repository's README: the running product on generated feeds. Usage, after `cargo build --release` of shirube and
// shirube-engine and `npm run build`: npm run pictures. They land in docs.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

process.env.SHIRUBE_PROFILE ??= 'release';
const { startProduct } = await import('../e2e/lib/product.mjs');
const { drag, flows, inkPixels } = await import('../e2e/lib/hand.mjs');
const { until } = await import('../e2e/lib/browser.mjs');

const docs = join(dirname(fileURLToPath(import.meta.url)), '../docs');
const WIDTH = 1200;
/** A ring around the tip of the instrument, as parts of the picture. */
const RING = Array.from({ length: 40 }, (_, i) => Math.PI * (0.9 + i / 21)).map((a) => [0.5 + 0.11 * Math.cos(a), 0.47 + 0.19 * Math.sin(a)]);

const product = await startProduct([], { shared: false });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'],
});
try {
  const open = async (width, height, locale, url) => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width, height }, locale, timezoneId: 'Asia/Tokyo', deviceScaleFactor: WIDTH / width });
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };
  const room = await open(1920, 1080, 'ja-JP', product.links.room);
  const mentor = await open(1440, 900, 'en-GB', product.links.mentor);
  await room.locator('[data-testid=voice]').click();
  await flows(mentor);
  // Who came before the room's press speaks at once, and a press would end it; who came after it is muted.
  const talk = mentor.locator('[data-testid=talk][data-path=up]');
  await talk.waitFor();
  if ((await talk.getAttribute('aria-pressed')) !== 'true') await talk.click();
  await mentor.waitForTimeout(8_000);
  await drag(mentor, ...RING);
  await until(() => inkPixels(room), 'the mark in the room');
  await mentor.waitForTimeout(1_000);
  for (const [page, name] of [[mentor, 'mentor-en'], [room, 'room-ja']]) await page.screenshot({ path: join(docs, `${name}.jpg`), type: 'jpeg', quality: 85 });
} finally {
  await browser.close();
  await product.stop();
}
