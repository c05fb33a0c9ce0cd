// What a page must never hide, in real browsers without a server (`dev/`): the state and the age of each picture, who somebody is, and the
// room's own switches; in both languages and each width, with as many pictures as there can be.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";

import { createServer } from "vite";

import { openBrowser, PATIENCE_MS, until, WHOLE } from "./lib/browser.mjs";

const LAPTOP = [1280, 720];
const DESK = [1440, 900];
const SMALL = [1024, 768];
const PHONE = [390, 844];

let server, browser;

before(async () => {
  server = await createServer({ root: path.resolve(import.meta.dirname, ".."), logLevel: "error", server: { port: 0, host: "127.0.0.1", hmr: false, watch: null } });
  await server.listen();
  browser = await openBrowser({ toneHz: 700 });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

async function scene(query) {
  const page = await browser.context.newPage();
  await page.goto(`${server.resolvedUrls.local[0]}dev/index.html?${new URLSearchParams(query)}`, { timeout: PATIENCE_MS });
  return page;
}

/** Until `faults`, looked for in the page, finds none: a strip is laid anew a moment after its width has changed. */
const faultless = (page, what, faults, given) => until(async () => {
  const found = await page.evaluate(faults, given);
  assert.deepEqual(found, [], what);
  return true;
}, `${what} without a fault`);

/** Of each picture with a strip: its state and its age stand whole on the strip, and a tile's picture does not cover it. `look`: what all of them show. */
function hidden({ look, tiles }) {
  // A line of letters has air above and below them.
  const inside = (r, b) => r.left >= b.left - 1 && r.right <= b.right + 1 && r.top >= b.top - 3 && r.bottom <= b.bottom + 3;
  const strips = [...document.querySelectorAll("[data-testid^=strip-]")].filter((s) => s.getClientRects().length > 0);
  const found = [];
  if (strips.filter((s) => s.dataset.testid.startsWith("strip-tile-")).length !== tiles) found.push(`not ${tiles} tiles`);
  for (const strip of strips) {
    const id = strip.dataset.testid;
    const box = strip.getBoundingClientRect();
    const [state, age] = ["state", "age"].map((part) => strip.querySelector(`[data-testid=${part}]`));
    if (look && strip.dataset.look !== look) found.push(`${id} shows ${strip.dataset.look}`);
    if (!inside(age.getBoundingClientRect(), box)) found.push(`the age of ${id}`);
    if (!inside(state.getBoundingClientRect(), box) || (state.scrollWidth > state.clientWidth + 1 && !state.classList.contains("wordless"))) found.push(`the state of ${id}`);
    const glass = id.startsWith("strip-tile-") ? strip.parentElement.querySelector(".glass").getBoundingClientRect() : null;
    if (glass && glass.top < box.bottom - 1) found.push(`${id} lies under its picture`);
    if (glass && glass.bottom > strip.closest("button").getBoundingClientRect().bottom + 1) found.push(`the picture of ${id} is cut`);
  }
  return found;
}

const NAMES = () => [...document.querySelectorAll(".people .cut")].filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent);

for (const lang of ["ja", "en"]) {
  test(`nine tiles of a mentor and a desk keep state and age in sight, ${lang}`, WHOLE, async () => {
    for (const [role, state, look] of [["mentor", "unknown", "unknown"], ["mentor", "stalled", "stalled"], ["desk", "lost", null]]) {
      const page = await scene({ role, state, lang, layout: "wall", stills: "3", camera: "yes" });
      for (const [width, height] of role === "mentor" ? [LAPTOP, DESK, SMALL, PHONE] : [LAPTOP, DESK, SMALL]) {
        await page.setViewportSize({ width, height });
        await faultless(page, `${role} ${state} at ${width}`, hidden, { look, tiles: 9 });
        await faultless(page, `who is present, ${role} at ${width}`, NAMES);
      }
      await page.close();
    }
  });

  test(`the label of a small picture leaves it in sight, ${lang}`, WHOLE, async () => {
    for (const role of ["room", "mentor", "desk"]) {
      const page = await scene({ role, lang, layout: "demo", camera: "yes" });
      for (const [width, height] of role === "room" ? [[1920, 1080], [960, 1040]] : [DESK, LAPTOP]) {
        await page.setViewportSize({ width, height });
        await faultless(page, `the camera's label, ${role} at ${width}`, () => {
          const [strip, picture] = ["strip-camera", "rect-camera"].map((id) => document.querySelector(`[data-testid=stage] [data-testid=${id}]`)?.getBoundingClientRect());
          const covered = strip && picture ? (strip.bottom - picture.top) / picture.height : 1;
          return covered <= 0.25 ? [] : [`${Math.round(covered * 100)} % of it`];
        });
      }
      await page.close();
    }
  });

  test(`the keys of the camera stand folded, and push nothing off the page, ${lang}`, WHOLE, async () => {
    for (const [role, below] of [["mentor", "stills"], ["desk", "alignment"]]) {
      const page = await scene({ role, lang, layout: "demo", stills: "3", camera: "yes" });
      for (const [width, height] of [DESK, LAPTOP]) {
        await page.setViewportSize({ width, height });
        await faultless(page, `${role} at ${width}`, (id) => {
          const panel = document.querySelector(`[data-testid=${id}]`)?.getBoundingClientRect();
          const column = document.querySelector("aside").getBoundingClientRect();
          return panel && panel.bottom <= column.bottom + 1 ? [] : [`${id} is under the fold`];
        }, below);
      }
      await page.locator("[data-testid=camera-open]").click();
      await page.locator("[data-testid=camera-left]").click();
      await page.close();
    }
  });

  test(`a mentor whose line is cut reads that nobody hears him, and whom to telephone, ${lang}`, WHOLE, async () => {
    const page = await scene({ role: "mentor", state: "line", lang, layout: "demo", stills: "3", camera: "yes" });
    await page.locator("[data-testid=talk][data-path=cut]").waitFor();
    for (const [width, height] of [LAPTOP, SMALL, PHONE]) {
      await page.setViewportSize({ width, height });
      await faultless(page, `the dock at ${width}`, () => ["talk", "telephone"].flatMap((id) => {
        const e = document.querySelector(`[data-testid=${id}]`);
        const r = e.getBoundingClientRect();
        const whole = [...e.querySelectorAll("span, small")].map((one) => one.getBoundingClientRect()).filter((one) => one.width > 0);
        const seen = r.left >= 0 && r.right <= innerWidth + 1 && r.bottom <= innerHeight + 1 && whole.every((one) => one.left >= r.left - 1 && one.right <= r.right + 1 && one.top >= r.top - 1 && one.bottom <= r.bottom + 1);
        return seen ? [] : [`${id}: ${e.innerText}`];
      }));
    }
    await page.close();
  });

  test(`a desk on a phone has its header and its dock on the page, ${lang}`, WHOLE, async () => {
    for (const state of ["live", "line"]) {
      const page = await scene({ role: "desk", state, lang, layout: "demo", awake: "" });
      await page.setViewportSize({ width: PHONE[0], height: PHONE[1] });
      await page.locator("[data-testid=patient-awake]").waitFor();
      await faultless(page, `the desk, ${state}`, () => {
        const all = [...document.querySelectorAll("header > *, footer .btn")].map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width > 0);
        const out = all.filter(([, r]) => r.left < -1 || r.right > innerWidth + 1 || r.top < -1 || r.bottom > innerHeight + 1).map(([e]) => `${e.className}: ${e.innerText}`);
        return all.length < 8 ? ["too few"] : out;
      });
      await page.close();
    }
  });

  test(`while pictures are paused for the line, the newest still is one press away, ${lang}`, WHOLE, async () => {
    const page = await scene({ role: "mentor", state: "paused", lang, layout: "demo", stills: "3", camera: "yes" });
    await page.setViewportSize({ width: PHONE[0], height: PHONE[1] });
    await page.locator("[data-testid=fail_line_paused] button").click();
    await page.locator("[data-testid=stage][data-look=still]").waitFor();
    await page.close();
  });

  test(`a room that has lost its line reads whom to telephone, beside whatever else is wrong, ${lang}`, WHOLE, async () => {
    for (const extra of [{}, { shed: "smaller" }, { shed: "smaller", fallback: "", awake: "" }, { fallback: "", fifth: "", stills: "3", stillink: "" }]) {
      const page = await scene({ role: "room", state: "line", lang, layout: "demo", camera: "no", ...extra });
      await page.locator("[data-testid=telephone][data-line=lost]").waitFor();
      for (const [width, height] of [[1920, 1080], LAPTOP, SMALL, PHONE]) {
        await page.setViewportSize({ width, height });
        await faultless(page, `${Object.keys(extra)} at ${width}`, () => {
          const panel = document.querySelector("[data-testid=telephone]");
          panel.scrollIntoView({ block: "nearest" });
          const box = panel.getBoundingClientRect();
          const column = document.querySelector("aside").getBoundingClientRect();
          const inside = (r, b) => r.top >= b.top - 1 && r.bottom <= b.bottom + 1 && r.left >= b.left - 1 && r.right <= b.right + 1;
          return [...(inside(box, column) ? [] : ["the panel is cut"]), ...[...panel.querySelectorAll(".what, .call, .tel")].filter((e) => !inside(e.getBoundingClientRect(), box)).map((e) => e.className)];
        });
      }
      await page.close();
    }
  });

  test(`a vendor reads every column of pages, players and cameras, ${lang}`, WHOLE, async () => {
    const page = await scene({ role: "vendor", lang, ported: "1" });
    await page.locator("[data-testid=vendor]").waitFor();
    for (const [width, height] of [[1920, 1080], DESK, LAPTOP, SMALL]) {
      await page.setViewportSize({ width, height });
      await faultless(page, `the vendor's tables at ${width}`, () => [...document.querySelectorAll("aside .scroll, aside table")].filter((e) => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > e.closest("section, .panel").getBoundingClientRect().right).map((e) => e.className || "table"));
    }
    await page.close();
  });

  test(`a room in a window has its end, its curtain and its camera's switch, ${lang}`, WHOLE, async () => {
    const page = await scene({ role: "room", lang, layout: "demo", camera: "no", awake: "" });
    for (const [width, height] of [[960, 600], [960, 1040], SMALL, PHONE]) {
      await page.setViewportSize({ width, height });
      await faultless(page, `the room at ${width} x ${height}`, () => ["clear", "end", "curtain", "camera-switch"].flatMap((id) => {
        const r = document.querySelector(`[data-testid=${id}]`)?.getBoundingClientRect();
        return r && r.width > 40 && r.left >= 0 && r.top >= 0 && r.right <= innerWidth + 1 && r.bottom <= innerHeight + 1 ? [] : [id];
      }));
    }
    await page.close();
  });
}
