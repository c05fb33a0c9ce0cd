// A sharp still of each X-ray run, end to end: it is listed with its age, opened large and drawn on, the room is shown which one is
// drawn on, and the room's *clear* takes it as it takes all ink. And the looping last run: a mark on it is seen in the room too.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, until } from "./lib/browser.mjs";
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

test("a still is opened large as what it is, drawn on, shown to the room and cleared by it", { timeout: 180_000 }, async () => {
  await mentor.locator("[data-testid=fade]").click();
  const tile = mentor.locator("[data-testid^='still-fluoro-']").first();
  const id = (await tile.getAttribute("data-testid")).replace("still-", "");
  await until(async () => (await tile.locator(".stillview").getAttribute("data-picture")) === "there", "its picture");
  assert.match(await tile.locator(".num").innerText(), /^\d+ s ago$|^\d+:\d\d ago$/);
  await tile.click();
  await until(async () => (await look(mentor)) === "still", "the still, large");
  assert.ok(await mentor.locator("[data-testid=live-beside]").isVisible(), "the live picture stands beside it");
  await drag(mentor, [0.3, 0.3], [0.6, 0.6]);
  assert.ok((await inked(mentor, "[data-testid=glass] canvas.ink")) > 0, "the mark on the large still");
  // The room: on the held image itself where it is that one, else beside; in any case never instead of its main picture.
  await until(async () => (await room.locator(`[data-testid=drawn-still][data-still='${id}']`).isVisible()) || (await inked(room, "[data-testid=glass] canvas.ink")) > 0, "the mark in the room");
  // When the next run has ended the held image is another one: then the still stands beside.
  await until(() => room.locator(`[data-testid=drawn-still][data-still='${id}']`).isVisible(), "the drawn-on still beside the room's picture");
  await until(async () => (await inked(room, "[data-testid=drawn-still] canvas.ink")) > 0, "the mark on it");
  assert.notEqual(await look(room), "still");
  assert.ok(await room.locator("[data-testid=clear]").isVisible());
  await room.locator("[data-testid=clear]").dispatchEvent("pointerdown", { pointerId: 1, isPrimary: true, button: 0 });
  await until(async () => !(await room.locator("[data-testid=drawn-still]").isVisible()), "nothing in the room");
  await until(async () => (await inked(mentor, "[data-testid=glass] canvas.ink")) === 0, "nothing on the still");
  await mentor.keyboard.press("Escape");
  await until(async () => (await look(mentor)) !== "still", "the live picture again");
});

test("a mark on the looping run stays on its frame, and the room is shown that frame", { timeout: 180_000 }, async () => {
  await show(mentor, "fluoro-run", "looping");
  await drag(mentor, [0.3, 0.4], [0.6, 0.5]);
  assert.equal(await mentor.locator("[data-testid=stage]").getAttribute("class").then((c) => c.includes("held")), true, "it is held under the pen");
  await until(() => room.locator("[data-testid=drawn-still][data-feed='fluoro-run']").isVisible(), "its frame in the room");
  await until(async () => (await room.locator("[data-testid=drawn-still] .stillview").getAttribute("data-picture")) === "there", "with its picture");
  assert.ok((await inked(room, "[data-testid=drawn-still] canvas.ink")) > 0, "and its mark");
  await mentor.locator("[data-testid=erase-mine]").click();
  await until(async () => !(await room.locator("[data-testid=drawn-still]").isVisible()), "erased in the room");
});

test("a mark on the held image leaves the live picture when X-ray comes back", { timeout: 180_000 }, async () => {
  // A pause that begins now lasts long enough for a mark; one that was found begun may end under the pen.
  await show(mentor, "fluoro", "live");
  await until(async () => (await look(mentor)) === "xoff", "X-ray off");
  await drag(mentor, [0.35, 0.35], [0.6, 0.45]);
  await until(async () => (await inked(mentor, "[data-testid=glass] canvas.ink")) > 0, "the mark on the held image");
  await mentor.keyboard.press("Escape");
  await until(async () => (await look(mentor)) === "live", "X-ray on");
  await until(() => mentor.locator("[data-testid=lost-inset]").first().isVisible(), "it stands in an inset on its own picture", 15_000);
  assert.equal(await inked(mentor, "[data-testid=glass] > canvas.ink"), 0, "and nowhere on the live one");
  await mentor.locator("[data-testid=erase-mine]").click();
});

const look = (page) => page.locator("[data-testid=stage]").getAttribute("data-look");

/** Puts a feed large and waits for its look. On a machine that is too busy a single feed is paused for a while; it comes back by itself. */
async function show(page, feed, wanted) {
  await page.locator(`[data-testid=show-${feed}]`).click();
  await until(async () => (await look(page)) === wanted, `${feed}, ${wanted}`, 90_000);
}

/** Canvases that match and have something drawn on them. */
const inked = (page, selector) => page.evaluate((selector) => [...document.querySelectorAll(selector)].filter((c) => {
  if (c.hidden || c.width === 0 || c.height === 0) return false;
  const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
  return data.some((v, i) => i % 4 === 3 && v > 200);
}).length, selector);

async function drag(page, [u0, v0], [u1, v1]) {
  const box = await page.locator("[data-testid=glass]").boundingBox();
  const cdp = await page.context().newCDPSession(page);
  const at = (type, k) => cdp.send("Input.dispatchMouseEvent", {
    type, x: box.x + box.width * (u0 + (u1 - u0) * k), y: box.y + box.height * (v0 + (v1 - v0) * k), button: "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1, pointerType: "pen", force: 0.6,
  });
  await at("mousePressed", 0);
  for (let i = 1; i <= 12; i += 1) await at("mouseMoved", i / 12);
  await at("mouseReleased", 1);
  await cdp.detach();
}
