// A scripted mentor: draws lines from left to right, top to bottom, without rest, by real input events of a pen.
import { rest } from './launch.mjs';

/** The part of the glass that is drawn on: below the time code, clear of the insets. Parts of width and height. */
const AREA = { left: 0.04, right: 0.96, top: 0.17, bottom: 0.64 };
/** Between two samples and two lines, CSS px: further than the line is wide, so that each sample inks pixels of its own. */
const STEP_PX = 8;
const LINE_PX = 13;
/** About 60 samples a second, never in step with the display. Faster costs cores that the product is to be measured on. */
const SAMPLE_MS = [12, 21];

/** Every place the pen will be, in parts of the glass, one array a line. `glass`: its box on the mentor's page, CSS px. */
export function plan(glass) {
  const lines = [];
  for (let y = AREA.top * glass.height; y < AREA.bottom * glass.height; y += LINE_PX) {
    const line = [];
    for (let x = AREA.left * glass.width; x < AREA.right * glass.width; x += STEP_PX) {
      // Whole CSS px on the page, since that is what an input event carries.
      line.push([(Math.round(glass.x + x) - glass.x) / glass.width, (Math.round(glass.y + y) - glass.y) / glass.height]);
    }
    lines.push(line);
  }
  return lines;
}

/** Draws until `stopped()`; when the lines are used up, `clear` makes the glass free and they begin anew. */
export async function draw(page, glass, lines, { clear, stopped, seed }) {
  const cdp = await page.context().newCDPSession(page);
  const random = lcg(seed);
  const send = (type, [u, v], buttons) =>
    cdp.send('Input.dispatchMouseEvent', {
      type, x: glass.x + u * glass.width, y: glass.y + v * glass.height, button: 'left', buttons, clickCount: 1, pointerType: 'pen', force: buttons ? 0.5 : 0,
    }).catch((error) => console.error(`pen: ${error.message}`));
  let due = performance.now();
  const pace = async () => {
    due += SAMPLE_MS[0] + random() * (SAMPLE_MS[1] - SAMPLE_MS[0]);
    const now = performance.now();
    // A late event is not made up for by a burst.
    if (due < now - 20) due = now;
    if (due > now) await rest(due - now);
  };
  let round = 0;
  while (!stopped()) {
    await clear(round);
    round += 1;
    for (const line of lines) {
      if (stopped()) break;
      // Not awaited: the answer comes when the page has handled the event, and a pen does not wait for that.
      void send('mousePressed', line[0], 1);
      for (const place of line.slice(1)) {
        await pace();
        void send('mouseMoved', place, 1);
        if (stopped()) break;
      }
      await pace();
      await send('mouseReleased', line.at(-1), 0);
    }
  }
  await cdp.detach();
  return round;
}

/** Same seed, same run. Numbers from 0 to 1. */
function lcg(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}
