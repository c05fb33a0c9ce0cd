// A sharp still of each X-ray run, end to end: it is listed with its age, opened large and drawn on, the room is shown which one is
// drawn on, and the room's *clear* takes it as it takes all ink. And the looping last run: a mark on it is seen in the room too.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, until, WHOLE } from "./lib/browser.mjs";
import { drag, lookOf, penOver, shows } from "./lib/hand.mjs";
import { startProduct } from "./lib/product.mjs";

let product, browser, roomBrowser, mentor, room;

before(async () => {
  product = await startProduct([], { shared: false });
  browser = await openBrowser({ toneHz: 1000 });
  roomBrowser = await openBrowser({ toneHz: 600, viewport: { width: 1920, height: 1080 } });
  mentor = await browser.context.newPage();
  room = await roomBrowser.context.newPage();
  await mentor.goto(product.links.mentor);
  await room.goto(product.links.room);
  await until(() => mentor.locator("[data-testid=stills] [data-testid^='still-fluoro-']").first().isVisible(), "the still of the first run");
});

after(async () => {
  await browser?.close();
  await roomBrowser?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
});

test("a still is opened large as what it is, drawn on, shown to the room and cleared by it", WHOLE, async () => {
  await mentor.locator("[data-testid=fade]").click();
  // By its name: the list goes on with the next run.
  const name = await mentor.locator("[data-testid^='still-fluoro-']").first().getAttribute("data-testid");
  const [tile, id] = [mentor.getByTestId(name), name.replace("still-", "")];
  await until(async () => (await tile.locator(".stillview").getAttribute("data-picture")) === "there", "its picture");
  assert.match(await tile.locator(".num").innerText(), /^\d+ s ago$|^\d+:\d\d ago$/);
  await tile.click();
  await until(async () => (await lookOf(mentor)) === "still", "the still, large");
  assert.ok(await mentor.locator("[data-testid=live-beside]").isVisible(), "the live picture stands beside it");
  await drag(mentor, [0.3, 0.3], [0.6, 0.6]);
  await until(async () => (await inked(mentor, "[data-testid=glass] canvas.ink")) > 0, "the mark on the large still");
  // The room: on the held image itself where it is that one, else beside; in any case never instead of its main picture.
  await until(async () => (await room.locator(`[data-testid=drawn-still][data-still='${id}']`).isVisible()) || (await inked(room, "[data-testid=glass] canvas.ink")) > 0, "the mark in the room");
  // When the next run has ended the held image is another one: then the still stands beside.
  await until(() => room.locator(`[data-testid=drawn-still][data-still='${id}']`).isVisible(), "the drawn-on still beside the room's picture");
  await until(async () => (await inked(room, "[data-testid=drawn-still] canvas.ink")) > 0, "the mark on it");
  assert.notEqual(await lookOf(room), "still");
  assert.ok(await room.locator("[data-testid=clear]").isVisible());
  await room.locator("[data-testid=clear]").dispatchEvent("pointerdown", { pointerId: 1, isPrimary: true, button: 0 });
  await until(async () => !(await room.locator("[data-testid=drawn-still]").isVisible()), "nothing in the room");
  await until(async () => (await inked(mentor, "[data-testid=glass] canvas.ink")) === 0, "nothing on the still");
  await mentor.keyboard.press("Escape");
  await until(async () => (await lookOf(mentor)) !== "still", "the live picture again");
});

test("a mark on the looping run stays on its frame, and the room is shown that frame", WHOLE, async () => {
  await show(mentor, "fluoro-run", "looping");
  // The engine keeps its frames for a second: one that a busy machine shows later is gone when it is asked for, and another mark is made on another.
  for (let left = 6, there = false; !there; left -= 1) {
    assert.ok(left > 0, "a mark whose frame has a picture");
    await shows(mentor, "looping");
    // Looked at while the pen is down: some seconds after it the picture goes on by itself.
    const pen = await penOver(mentor);
    await pen.down([0.3, 0.4]);
    await pen.to([0.6, 0.5]);
    await until(() => mentor.locator("[data-testid=stage]").getAttribute("class").then((c) => c.includes("held")), "it is held under the pen");
    await pen.up();
    await until(() => room.locator("[data-testid=drawn-still][data-feed='fluoro-run']").isVisible(), "its frame in the room");
    const has = async () => (await room.locator("[data-testid=drawn-still] .stillview").getAttribute("data-picture")) === "there";
    there = await until(has, "with its picture", 20_000).catch(() => false);
  }
  await until(async () => (await inked(room, "[data-testid=drawn-still] canvas.ink")) > 0, "and its mark");
  await mentor.locator("[data-testid=erase-mine]").click();
  await until(async () => !(await room.locator("[data-testid=drawn-still]").isVisible()), "erased in the room");
});

test("a mark on the held image leaves the live picture when X-ray comes back", WHOLE, async () => {
  // A pause that begins now is long enough for a pen to come down in it; it holds the picture from there on.
  await show(mentor, "fluoro", "live");
  const pen = await penOver(mentor);
  await until(async () => (await lookOf(mentor)) === "xoff", "X-ray off");
  await pen.down([0.35, 0.35]);
  await pen.to([0.6, 0.45]);
  await until(async () => (await inked(mentor, "[data-testid=glass] canvas.ink")) > 0, "the mark on the held image");
  await pen.up();
  await mentor.keyboard.press("Escape");
  await until(async () => (await lookOf(mentor)) === "live", "X-ray on");
  await until(() => mentor.locator("[data-testid=lost-inset]").first().isVisible(), "it stands in an inset on its own picture");
  await until(async () => (await inked(mentor, "[data-testid=glass] > canvas.ink")) === 0, "and nowhere on the live one");
  await mentor.locator("[data-testid=erase-mine]").click();
});

/** Puts a feed large and waits for its look. On a machine that is too busy a single feed is paused for a while; it comes back by itself. */
async function show(page, feed, wanted) {
  await page.locator(`[data-testid=show-${feed}]`).click();
  await shows(page, wanted);
}

/** Canvases that match and have something drawn on them. */
const inked = (page, selector) => page.evaluate((selector) => [...document.querySelectorAll(selector)].filter((c) => {
  if (c.hidden || c.width === 0 || c.height === 0) return false;
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  return data.some((v, i) => i % 4 === 3 && v > 200);
}).length, selector);
