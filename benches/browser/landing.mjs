// The browser's end of `landing`: one request a line on stdin, one answer a line on stdout. A scripted mentor marks places of
// moving tissue; the room's page tells where it drew each mark on every picture.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch, newPage, rest, until } from './launch.mjs';

const PROBE = fileURLToPath(new URL('landing_probe.js', import.meta.url));
/** The mark: a ring of this radius, parts of the picture's width, in so many samples. */
const RADIUS = 0.011;
const SAMPLES = 16;
const SAMPLE_MS = 12;

const browser = await launch();
let pages = {};
let origins = {};

async function open({ links }) {
  for (const name of ['mentor', 'room']) {
    const page = await newPage(browser);
    await page.addInitScript({ path: PROBE });
    await page.goto(links[name]);
    pages[name] = page;
  }
  for (const name of ['mentor', 'room']) {
    await until(`the ${name}'s page sees numbered pictures`, () => pages[name].evaluate(() => (window.shirube?.frames.size() ?? 0) > 10 && window.landing.now() !== null), 40_000);
    origins[name] = await pages[name].evaluate(() => window.landing.origin());
  }
  return {};
}

const look = () => pages.mentor.locator('[data-testid=stage]').getAttribute('data-look');

/** `path`: where the tissue aimed at lies in each picture of the clip, parts of the picture's width. */
async function mark({ path, watchMs }) {
  const { mentor, room } = pages;
  await mentor.keyboard.press('Escape');
  await until('the mentor sees the live picture', async () => (await look()) === 'live', 30_000);
  const glass = await mentor.locator('[data-testid=glass]').boundingBox();
  const cdp = await mentor.context().newCDPSession(mentor);
  const send = (type, [u, v], buttons) => cdp.send('Input.dispatchMouseEvent', {
    type, x: glass.x + u * glass.width, y: glass.y + v * glass.width, button: 'left', buttons, clickCount: 1, pointerType: 'pen', force: buttons ? 0.5 : 0,
  });
  await room.evaluate(() => window.landing.begin());
  const [k, down] = await mentor.evaluate(() => [window.landing.now(), performance.now()]);
  const [u, v] = path[k];
  const ring = Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const angle = (2 * Math.PI * i) / SAMPLES;
    return [u + RADIUS * Math.cos(angle), v + RADIUS * Math.sin(angle)];
  });
  await send('mousePressed', ring[0], 1);
  for (const place of ring.slice(1)) {
    await rest(SAMPLE_MS);
    await send('mouseMoved', place, 1);
  }
  const told = await mentor.evaluate(() => window.landing.mark());
  await send('mouseReleased', ring.at(-1), 0);
  await cdp.detach();
  const began = down + origins.mentor - origins.room;
  await until('the mark is on the server', () => mentor.evaluate(() => window.landing.mark()?.phase === 'dry'), 10_000);
  await rest(watchMs);
  const done = await mentor.evaluate(() => window.landing.mark());
  const seen = (await room.evaluate(() => window.landing.end())).map((row) => ({ ...row, at: row.at - began }));
  await mentor.keyboard.press('Escape');
  await mentor.locator('[data-testid=erase-mine]').click();
  await until('the glass is clean', () => room.evaluate(() => window.shirube.ink.strokes().length === 0), 10_000);
  const centre = [0, 1].map((i) => {
    const values = done.points.map((p) => p[i]);
    return (Math.min(...values) + Math.max(...values)) / 2;
  });
  return { named: done.named, held: told?.held ?? null, told: done.told, centre, seen };
}

async function close() {
  await Promise.all(Object.values(pages).map((page) => page.context().close()));
  pages = {};
  return {};
}

const calls = { open, mark, close };
console.log(JSON.stringify({ ok: { chromium: browser.version(), node: process.version } }));
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: await calls[request.what](request) }));
  } catch (error) {
    console.log(JSON.stringify({ failed: `${request.what}: ${error.message}` }));
  }
}
await browser.close();
