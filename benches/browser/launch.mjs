// One headless Chromium, the same for the product and the baseline.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../web-client/package.json', import.meta.url));
const { chromium } = require('playwright-core');

/** The same viewport for every page, so that drawing the picture costs the same. */
export const VIEWPORT = { width: 1280, height: 720 };
const READER = fileURLToPath(new URL('reader.js', import.meta.url));

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
      '--disable-background-timer-throttling', '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
    ],
  });
}

/** A page in a window of its own (a tab behind another gets no animation frames), with the reader in it. */
export async function newPage(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT, ignoreHTTPSErrors: true });
  await context.grantPermissions(['microphone']);
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  await page.addInitScript({ path: READER });
  return page;
}

/** Resolves once `check` gives something truthy; the error names what was awaited. */
export async function until(what, check, limitMs = 20_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** One run of the reader. Also checks the page's clock against this process's: the page's time must lie between ours. */
export async function read(page, seconds) {
  await page.evaluate(() => window.glass.start());
  await rest(seconds * 1000);
  const result = await page.evaluate(() => window.glass.stop());
  const offsets = [];
  for (let i = 0; i < 5; i += 1) {
    const before = performance.timeOrigin + performance.now();
    const inPage = await page.evaluate((offset) => performance.now() + offset, result.clock.offset);
    const after = performance.timeOrigin + performance.now();
    offsets.push({ early: before - inPage, late: inPage - after });
  }
  // Positive: the page's clock lies outside the bracket by that much, so it is wrong by at least that.
  result.clock.outsideDriverBracketMs = Math.max(...offsets.map((o) => Math.max(o.early, o.late, 0)));
  return result;
}
