// The browser's end of `faults`: one request a line on stdin, one answer a line on stdout. Two pages of one case; the mentor's
// pen draws in the background while the other side kills and cuts.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch, newPage, rest, until } from './launch.mjs';

const WATCH = fileURLToPath(new URL('watch.js', import.meta.url));
/** Strokes lie in a grid of cells of their own, below the time code and clear of the insets. Parts of the glass. */
const GRID = { left: 0.05, top: 0.18, cell: 0.055, row: 0.03, columns: 16, rows: 13 };
/** One long line below them. */
const LONG_ROW = 0.62;
const SAMPLE_MS = 14;
const LONG_SAMPLE_MS = 40;
/** A page that is not whole by then is a miss. */
const WHOLE_WITHIN_MS = 15_000;
/** After a page is whole it is watched on: what stalls again was not back. */
const WATCH_ON_MS = 700;

const browser = await launch({ tone: true });
let pages = {};
let pen = null; // { cdp, glass }
let drawn = []; // places of the strokes that the pen drew since the glass was clear
let cell = 0;
let background = null; // { stop, done }

async function open({ links, mediaPorts }) {
  for (const [name, link] of Object.entries(links)) {
    const page = await newPage(browser);
    await page.addInitScript({ path: WATCH });
    const ports = mediaPorts?.[name];
    if (ports) await page.addInitScript(`window.mediaPorts = ${JSON.stringify(ports)};`);
    const one = { page, signIns: 0 };
    page.on('request', (request) => { if (new URL(request.url()).pathname === '/api/session') one.signIns += 1; });
    pages[name] = one;
    await page.goto(link);
  }
  for (const name of Object.keys(links)) {
    await until(`the ${name}'s page sees a picture with a time code`, () => pages[name].page.evaluate(async () => (window.shirube?.frames.size() ?? 0) > 10 && (await window.glass.ready())));
  }
  // Marks stay, however long a fault takes.
  await pages.mentor.page.locator('[data-testid=fade]').click();
  const glass = await pages.mentor.page.locator('[data-testid=glass]').boundingBox();
  pen = { cdp: await pages.mentor.page.context().newCDPSession(pages.mentor.page), glass };
  return {};
}

/** The room presses; then each hears the other. */
async function voice() {
  await pages.room.page.locator('[data-testid=voice]').click();
  for (const name of ['mentor', 'room']) {
    let last = 0;
    let heard = 0;
    await until(`the ${name} hears the other`, async () => {
      const newest = await pages[name].page.evaluate(() => window.faults.played());
      heard += newest > last ? 1 : 0;
      last = newest;
      return heard > 10;
    });
  }
  return {};
}

const each = async (call) => Object.fromEntries(await Promise.all(Object.entries(pages).map(async ([name, { page }]) => [name, await call(page, name)])));
const now = (places = []) => each((page) => page.evaluate((p) => window.faults.now(p), places));
const all = (states, check) => Object.values(states).every(check);

// --- the pen ------------------------------------------------------------------------------------------------------

function nextCell() {
  const column = cell % GRID.columns;
  const row = Math.floor(cell / GRID.columns) % GRID.rows;
  cell += 1;
  const { x, y, width, height } = pen.glass;
  return [0, 1, 2, 3].map((i) => {
    // Whole CSS px on the page, since that is what an input event carries.
    const u = GRID.left + GRID.cell * column + (GRID.cell * 0.7 * i) / 3;
    const v = GRID.top + GRID.row * row;
    return [(Math.round(x + u * width) - x) / width, (Math.round(y + v * height) - y) / height];
  });
}

async function stroke(places, sampleMs, stopped = () => false) {
  const { cdp, glass } = pen;
  const send = (type, [u, v]) => cdp.send('Input.dispatchMouseEvent', {
    type, x: glass.x + u * glass.width, y: glass.y + v * glass.height, button: 'left', buttons: type === 'mouseReleased' ? 0 : 1, clickCount: 1, pointerType: 'pen', force: 0.5,
  });
  const been = [places[0]];
  drawn.push(been);
  await send('mousePressed', places[0]);
  for (const place of places.slice(1)) {
    await rest(sampleMs);
    if (stopped()) break;
    await send('mouseMoved', place);
    been.push(place);
  }
  await rest(sampleMs);
  await send('mouseReleased', been.at(-1));
}

/** The picture that froze under the pen goes on, without the wait. */
const unfreeze = () => pages.mentor.page.keyboard.press('Escape');

/** A wave: of a straight line two points would be kept. */
const longLine = () => Array.from({ length: 90 }, (_, i) => [0.05 + 0.01 * i, LONG_ROW + 0.02 * Math.sin(i / 2)]);

/** Draws until told: `rapid` short strokes one after the other; `long` the same, then one line that is under the pen for seconds. */
function drawOn(mode, rapidMs) {
  let stop = false;
  const done = (async () => {
    const end = performance.now() + (mode === 'long' ? rapidMs : Infinity);
    while (!stop && performance.now() < end) {
      await stroke(nextCell(), SAMPLE_MS);
      await rest(40);
    }
    if (mode === 'long') await stroke(longLine(), LONG_SAMPLE_MS, () => stop);
  })();
  done.catch(() => {});
  return { stop: () => { stop = true; return done; } };
}

// --- one round ------------------------------------------------------------------------------------------------------

/** Clear glass, one stroke on it, on disk and on both pages; then the watch begins. */
async function begin({ mode, rapidMs }) {
  await until('both pages are live', async () => all(await now(), (s) => s.look === 'live' && s.line === 'up' && s.unacknowledged === 0));
  await pages.room.page.locator('[data-testid=clear]').dispatchEvent('pointerdown', { button: 0, isPrimary: true });
  await until('the glass is clear', async () => all(await now(), (s) => s.strokes === 0 && s.unacknowledged === 0));
  drawn = [];
  cell = 0;
  await stroke(nextCell(), SAMPLE_MS);
  await unfreeze();
  const there = async () => all(await now(drawn[0]), (s) => s.strokes === 1 && s.unacknowledged === 0 && s.inked === drawn[0].length);
  await until('a stroke is on both pages', there).catch(async (error) => { throw new Error(`${error.message}; ${JSON.stringify(await now(drawn[0]))}`); });
  await each((page) => page.evaluate(() => window.faults.start()));
  await rest(400);
  if (mode) background = drawOn(mode, rapidMs ?? 0);
  return {};
}

/** Waits for a look at the mentor's page if one is named, draws a stroke there, and waits until the server has it on disk. */
async function during({ look, strokes }) {
  if (look) await until(`the mentor's picture is marked ${look}`, async () => (await now()).mentor.look === look, 3_000);
  const before = await now(drawn[0]);
  const pressed = performance.now();
  for (let i = 0; i < (strokes ?? 1); i += 1) await stroke(nextCell(), SAMPLE_MS);
  await unfreeze();
  const places = drawn.at(-1);
  if (!look) return { before, after: await now(places) };
  const after = await until('a stroke drawn meanwhile is on disk and in the room', async () => {
    const states = await now(places);
    return states.mentor.unacknowledged === 0 && states.room.strokes === drawn.length ? states : null;
  }, WHOLE_WITHIN_MS);
  return { before, after, acknowledgedMs: performance.now() - pressed };
}

/** Until both pages are whole again: fresh pictures, live, all ink on disk and on both. Then what they saw. */
async function finish({ unixAfter, voice }) {
  if (background) {
    await background.stop();
    await unfreeze();
  }
  background = null;
  const end = Date.now() + WHOLE_WITHIN_MS;
  let missing = 'everything';
  while (missing !== '' && Date.now() < end) {
    const states = await now();
    const fresh = await each((page) => page.evaluate((t) => window.faults.picturesAfter(t), unixAfter));
    const heard = await each((page) => page.evaluate((t) => window.faults.voicesAfter(t), unixAfter));
    missing = Object.entries(states).map(([name, s]) => [
      s.look !== 'live' && `${name} shows ${s.look}`, s.line !== 'up' && `${name}'s line is ${s.line}`, fresh[name] < 3 && `${name} has no fresh picture`, voice && heard[name] < 10 && `${name} hears nobody`,
      s.unacknowledged !== 0 && `${name} has ${s.unacknowledged} acts not on disk`, s.strokes !== states.mentor.strokes && `${name} has ${s.strokes} strokes of ${states.mentor.strokes}`,
    ].filter(Boolean).join(', ')).filter(Boolean).join('; ');
    if (missing !== '') await rest(50);
  }
  await rest(WATCH_ON_MS);
  const places = drawn.flat();
  const inked = await each(async (page) => (await page.evaluate((p) => window.faults.inked(p), places)) / places.length);
  const records = await each((page) => page.evaluate(() => window.faults.stop()));
  for (const [name, record] of Object.entries(records)) Object.assign(record, { signIns: pages[name].signIns, inked: inked[name] });
  return { missing, drawn: drawn.length, ...records };
}

async function close() {
  await background?.stop().catch(() => {});
  background = null;
  await Promise.all(Object.values(pages).map(({ page }) => page.context().close()));
  pages = {};
  return {};
}

/** The mentor's page, as after F5. */
async function reload() {
  await pages.mentor.page.reload();
  await until('the mentor sees a picture again', () => pages.mentor.page.evaluate(async () => (window.shirube?.frames.size() ?? 0) > 10 && (await window.glass.ready())));
  await pages.mentor.page.locator('[data-testid=fade]').click();
  return {};
}

/** Stops the process of the mentor's page, or lets it go on. */
async function sleep({ asleep }) {
  if (asleep) pages.mentor.pid ??= await processOf(pages.mentor.page);
  process.kill(pages.mentor.pid, asleep ? 'SIGSTOP' : 'SIGCONT');
  return {};
}

/** The one whose processor time rises while the page turns in a circle. */
async function processOf(page) {
  const cdp = await browser.newBrowserCDPSession();
  const times = async () => new Map((await cdp.send('SystemInfo.getProcessInfo')).processInfo.filter((p) => p.type === 'renderer').map((p) => [p.id, p.cpuTime]));
  const before = await times();
  await page.evaluate(() => { for (const end = performance.now() + 1_000; performance.now() < end; ); });
  const gained = [...(await times())].map(([id, time]) => [id, time - (before.get(id) ?? time)]).sort((a, b) => b[1] - a[1]);
  await cdp.detach();
  if (gained[0][1] < 0.5) throw new Error(`no process of the page is found: ${JSON.stringify(gained)}`);
  return gained[0][0];
}

const WORDS = { open, reload, sleep, voice, begin, during, finish, close, kept: () => each((page) => page.evaluate(() => window.faults.kept())) };

const say = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ ok: { chromium: browser.version(), node: process.versions.node } });
for await (const text of createInterface({ input: process.stdin })) {
  const request = JSON.parse(text);
  try {
    say({ ok: await WORDS[request.what](request) });
  } catch (error) {
    say({ failed: String(error?.message ?? error) });
  }
}
await browser.close();
