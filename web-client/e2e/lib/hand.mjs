// A hand with a pen over the picture, and what is on the glass under it.
import { until } from "./browser.mjs";

const GLASS = "[data-testid=glass]";
const STEPS = 12;

/** A pen over what stands large. Places are parts of the picture's width and height, as it stands when the hand comes near. */
export async function penOver(page) {
  const box = await page.locator(GLASS).boundingBox();
  const cdp = await page.context().newCDPSession(page);
  let last = [0, 0];
  const send = (type, [u, v]) => cdp.send("Input.dispatchMouseEvent", {
    type, x: box.x + box.width * u, y: box.y + box.height * v, button: "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1, pointerType: "pen", force: 0.6,
  });
  return {
    down: (at) => send("mousePressed", (last = at)),
    async to(at) {
      const from = last;
      for (let i = 1; i <= STEPS; i += 1) await send("mouseMoved", from.map((x, axis) => x + ((at[axis] - x) * i) / STEPS));
      last = at;
    },
    async up() {
      await send("mouseReleased", last);
      await cdp.detach();
    },
  };
}

/** One stroke, straight from place to place. */
export async function drag(page, ...places) {
  const pen = await penOver(page);
  await pen.down(places[0]);
  for (const place of places.slice(1)) await pen.to(place);
  await pen.up();
}

export const lookOf = (page) => page.locator("[data-testid=stage]").getAttribute("data-look");

/** Until the picture is one of these. */
export const shows = (page, ...looks) => until(async () => {
  const look = await lookOf(page);
  if (!looks.includes(look)) throw new Error(`it is ${look}`);
  return true;
}, `a picture that is ${looks.join(" or ")}`);

/** A picture that comes and is not held. On a busy machine it may be late: a pen marks what it sees all the same, and the mark is to be seen once it is not. */
export const flows = (page) => shows(page, "live", "stale", "unsynced");

/** Painted pixels of ink on what stands large; `colour`: that of the first author, the lead mentor. */
export function inkPixels(page, { within = "[data-testid=stage]", colour = false } = {}) {
  return page.evaluate(({ selector, colour }) =>
    [...document.querySelectorAll(selector)].reduce((n, c) => {
      if (c.hidden || c.width === 0 || c.height === 0) return n;
      const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      let k = 0;
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200 && (!colour || (d[i] < 120 && d[i + 1] > 180 && d[i + 2] > 200))) k += 1;
      return n + k;
    }, 0), { selector: `${within} canvas.ink`, colour });
}

/** Committed marks that a page knows, as plain values (measuring mode). */
export const dry = (page) => page.evaluate(() => globalThis.shirube.ink.strokes().filter((s) => s.phase === "dry").map((s) => ({
  id: s.id, author: s.author, tool: s.tool, points: s.points.length, text: s.text, surface: s.frame.surface, told: s.frame.mappingAsTold,
})));

/** Until all pages know the same marks, each of them whole, and nothing of them is on its way any more (measuring mode). */
export function settled(...pages) {
  const words = (page) => page.evaluate(() => {
    const { ink } = globalThis.shirube;
    return { unacknowledged: ink.unacknowledged(), marks: ink.strokes().map((s) => `${s.id} ${s.phase}`).sort().join() };
  });
  return until(async () => {
    const all = await Promise.all(pages.map(words));
    const whole = all.every((one) => one.unacknowledged === 0 && !/ (wet|pending)/.test(one.marks) && one.marks === all[0].marks);
    if (!whole) throw new Error(JSON.stringify(all));
    return true;
  }, "the same marks on every page");
}
