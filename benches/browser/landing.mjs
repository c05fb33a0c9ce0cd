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
/** A pen that hovers so long lets the page see whether the field moves. */
const HOVER_MS = 700;

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

/** The picture on the mentor's glass once it is one that can be marked: of `path` (where the tissue aimed at lies in each picture, or null), on the way there or back as `during` says. */
async function awaited(mentor, path, during) {
  return until('a picture to be marked', async () => {
    const now = await mentor.evaluate(() => window.landing.now());
    const due = during.length === 0 || during.some((d) => now.rising === d.rising && now.k >= d.from && now.k < d.to);
    return due && path[now.k] ? now : null;
  }, 45_000);
}

/**
 * `path`: where the tissue aimed at lies in each picture of the clip, parts of the picture's width. `during`: pictures in which the pen comes down, any where
 * empty. `live`: on a field that counts as still, so that nothing is held under the pen.
 */
async function mark({ path, during, live, watchMs }) {
  const { mentor, room } = pages;
  await mentor.keyboard.press('Escape');
  await until('the mentor sees the live picture', async () => (await look()) === 'live', 30_000);
  const glass = await mentor.locator('[data-testid=glass]').boundingBox();
  const cdp = await mentor.context().newCDPSession(mentor);
  const send = (type, [u, v], buttons) => cdp.send('Input.dispatchMouseEvent', {
    type, x: glass.x + u * glass.width, y: glass.y + v * glass.width, button: buttons || type !== 'mouseMoved' ? 'left' : 'none', buttons, clickCount: type === 'mouseMoved' ? 0 : 1, pointerType: 'pen', force: buttons ? 0.5 : 0,
  });
  await mentor.evaluate((yes) => window.landing.stayStill(yes), live);
  for (let t = 0; live && t < HOVER_MS; t += 40) {
    await send('mouseMoved', path.find((p) => p), 0);
    await rest(40);
  }
  await room.evaluate(() => window.landing.begin());
  const { k } = await awaited(mentor, path, during);
  const [u, v] = path[k];
  const ring = Array.from({ length: SAMPLES + 1 }, (_, i) => {
    const angle = (2 * Math.PI * i) / SAMPLES;
    return [u + RADIUS * Math.cos(angle), v + RADIUS * Math.sin(angle)];
  });
  // Not awaited: the answer comes when the page has handled the event, and a pen does not wait for that.
  const sent = [send('mousePressed', ring[0], 1)];
  for (const place of ring.slice(1)) {
    await rest(SAMPLE_MS);
    sent.push(send('mouseMoved', place, 1));
  }
  await Promise.all(sent);
  const told = await mentor.evaluate(() => window.landing.mark());
  const pressed = await mentor.evaluate(() => window.landing.pressed());
  await send('mouseReleased', ring.at(-1), 0);
  await cdp.detach();
  const began = pressed + origins.mentor - origins.room;
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
  return { named: done.named, named_ms: told?.namedMs ?? null, held: told?.held ?? null, shown: told?.shown ?? null, told: done.told, centre, seen };
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
