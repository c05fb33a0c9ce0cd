// The product's browser end: the mentor's page, read and drawn on; where asked, with the room's page beside it.
import { fileURLToPath } from 'node:url';
import { newPage, read, rest, until } from './launch.mjs';
import { draw, plan } from './pen.mjs';

const PROBE = fileURLToPath(new URL('ink_probe.js', import.meta.url));

/**
 * The mentor draws all the time. With `room`, measures from pen to room; without, from pen to the mentor's own glass, and what the pen costs on the wire.
 * @param {{ mentor: string, room: string }} links
 */
export async function measureProduct(browser, links, { seconds, settleSeconds, seed, room: withRoom, direct }, { onBegin, onEnd }) {
  const pages = [];
  try {
    const mentor = await open(browser, links.mentor, pages);
    const room = withRoom ? await open(browser, links.room, pages, direct) : null;
    await Promise.all(pages.map(seesPictures));
    const glass = await mentor.locator('[data-testid=glass]').boundingBox();
    if (!glass) throw new Error('the mentor has no glass to draw on');
    const lines = plan(glass);
    const ink = room ? { pairs: [], notClear: 0, notSeen: 0, strokesDrawn: 0, strokesMentor: 0, strokesRoom: 0, clockUncertaintyMs: 0 } : null;
    const own = room ? null : { pairs: [], notSeen: 0, wire: null };
    let stop = false;
    const drawing = draw(mentor, glass, lines, {
      seed,
      stopped: () => stop,
      clear: async (round) => {
        if (!room) {
          if (round > 0) {
            await rest(300);
            await collectOwn(own, mentor, glass, lines);
            await mentor.locator('[data-testid=erase-mine]').click();
            await until('the glass is clear', () => mentor.evaluate(() => window.shirube.ink.strokes().length === 0));
          }
          await mentor.evaluate((all) => window.inkProbe.watch(all), lines);
          return;
        }
        if (round > 0) {
          await rest(300);
          await collect(ink, mentor, room, glass, lines);
        }
        await begin(ink, mentor, room, lines);
      },
    });
    const failed = drawing.catch((error) => error);
    await rest(settleSeconds * 1000);
    await mentor.evaluate(() => window.inkProbe.takeWire());
    onBegin();
    const result = await read(mentor, seconds);
    if (own) own.wire = await mentor.evaluate(() => window.inkProbe.takeWire());
    onEnd();
    stop = true;
    const error = await failed;
    if (error instanceof Error) throw error;
    if (room) {
      await rest(300);
      await collect(ink, mentor, room, glass, lines);
    } else {
      await rest(300);
      await collectOwn(own, mentor, glass, lines);
    }
    const productClockUncertaintyMs = await mentor.evaluate(() => window.shirube.clock.uncertaintyMs());
    return { ...result, ink, own, productClockUncertaintyMs };
  } finally {
    await Promise.all(pages.map((page) => page.context().close()));
  }
}

async function seesPictures(page) {
  const check = () => page.evaluate(async () => (window.shirube?.frames.size() ?? 0) > 10 && (await window.glass.ready()));
  await until('a page sees a picture with a time code and knows its frames', check).catch(async (error) => {
    const words = await page.evaluate(() => document.body.innerText.replaceAll(/\s+/g, ' ').slice(0, 300));
    throw new Error(`${error.message}; the page says: ${words}`);
  });
}

/** The room clears the ink; then its canvases are watched for what the pen will draw. */
async function begin(ink, mentor, room, lines) {
  await room.locator('[data-testid=clear]').dispatchEvent('pointerdown', { button: 0, isPrimary: true });
  await until('the glass is clear', () => room.evaluate(() => window.shirube.ink.strokes().length === 0));
  // Two frames more, so that the canvases are empty too.
  await room.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  ink.notClear += await room.evaluate((all) => window.inkProbe.watch(all), lines);
  await mentor.evaluate(() => void window.inkProbe.takePen());
}

/** `direct`: reaches the server at the second port, where the first is offered. */
async function open(browser, link, pages, direct) {
  const page = await newPage(browser);
  pages.push(page);
  if (direct) {
    await page.addInitScript(([offered, real]) => {
      const Real = RTCPeerConnection;
      globalThis.RTCPeerConnection = class extends Real {
        setRemoteDescription({ type, sdp }) { return super.setRemoteDescription({ type, sdp: sdp.replaceAll(` ${offered} typ `, ` ${real} typ `) }); }
      };
    }, direct);
  }
  await page.addInitScript({ path: PROBE });
  await page.goto(link);
  return page;
}

/** From pen to the mentor's own glass: one page, one clock. */
async function collectOwn(own, mentor, glass, lines) {
  const [pen, seen] = await Promise.all([mentor.evaluate(() => window.inkProbe.takePen()), mentor.evaluate(() => window.inkProbe.takeSeen())]);
  const at = new Map(pen.map(([x, y, t]) => [key(x, y), t]));
  for (const [n, line] of lines.entries()) {
    for (const [place, [u, v]] of line.entries()) {
      const time = place === 0 ? undefined : at.get(key(glass.x + u * glass.width, glass.y + v * glass.height));
      if (time === undefined) continue;
      const shown = seen[n]?.[place] ?? null;
      if (shown === null) own.notSeen += 1;
      else own.pairs.push(Math.round((shown - time) * 1000) / 1000);
    }
  }
}

const key = (x, y) => `${Math.round(x)},${Math.round(y)}`;

/** Joins what the mentor's pen did with what the room's page showed, on Unix time. */
async function collect(ink, mentor, room, glass, lines) {
  const strokes = () => window.shirube.ink.strokes().length;
  const [pen, seen, mentorClock, roomClock, mentorStrokes, roomStrokes] = await Promise.all([
    mentor.evaluate(() => window.inkProbe.takePen()),
    room.evaluate(() => window.inkProbe.takeSeen()),
    mentor.evaluate(() => window.glass.calibrate()),
    room.evaluate(() => window.glass.calibrate()),
    mentor.evaluate(strokes),
    room.evaluate(strokes),
  ]);
  ink.clockUncertaintyMs = Math.max(ink.clockUncertaintyMs, mentorClock.uncertaintyMs + roomClock.uncertaintyMs);
  ink.strokesMentor += mentorStrokes;
  ink.strokesRoom += roomStrokes;
  const at = new Map(pen.map(([x, y, t]) => [key(x, y), t]));
  for (const [n, line] of lines.entries()) {
    let drawn = false;
    for (const [place, [u, v]] of line.entries()) {
      // The first place of a line is the press, not a move; its time is not taken.
      const time = place === 0 ? undefined : at.get(key(glass.x + u * glass.width, glass.y + v * glass.height));
      if (time === undefined) continue;
      drawn = true;
      const shown = seen[n]?.[place] ?? null;
      if (shown === null) ink.notSeen += 1;
      else ink.pairs.push(Math.round((shown + roomClock.offset - time - mentorClock.offset) * 1000) / 1000);
    }
    if (drawn) ink.strokesDrawn += 1;
  }
}
