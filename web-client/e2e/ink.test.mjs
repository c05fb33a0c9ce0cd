// The mentor's hand, end to end: every tool reaches the room, the picture freezes under the pen, the pen is lent and taken
// back, one browser has one pen, and the room's word on ink holds without a network.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { drag, dry, flows, lookOf, penOver, settled } from "./lib/hand.mjs";
import { startProduct } from "./lib/product.mjs";

const TOOL = { pen: 1, arrow: 2, ellipse: 3, line: 4, text: 5, pin: 6 };

let product, browser, roomBrowser, mentor, room, desk;

before(async () => {
  product = await startProduct(["--time-code", "--cases", "2"]);
  browser = await openBrowser({ toneHz: 1000 });
  roomBrowser = await openBrowser({ toneHz: 600, viewport: { width: 1920, height: 1080 } });
  mentor = await browser.context.newPage();
  room = await roomBrowser.context.newPage();
  await mentor.goto(product.links.mentor);
  await room.goto(product.links.room);
  for (const page of [mentor, room]) await page.waitForFunction(() => (globalThis.shirube?.frames.size() ?? 0) > 10, null, SETTLE);
});

after(async () => {
  await browser?.close();
  await roomBrowser?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
});

test("every tool reaches the room, and the eraser takes its own mark back", WHOLE, async () => {
  await mentor.locator("[data-testid=fade]").click(); // marks stay, however long the machine takes
  // On one picture, that is held until it is let go: on a live one a mark goes where the tracker says, or off it.
  await flows(mentor);
  await mentor.keyboard.press("f");
  await until(async () => (await lookOf(mentor)) === "frozen", "frozen by hand");
  for (const [name, tool] of Object.entries(TOOL)) {
    await mentor.locator(`[data-testid=tool-${name}]`).click();
    if (name === "text") {
      await press(mentor, 0.3, 0.55);
      await mentor.locator("[data-testid=text-mark]").fill("not here");
      await mentor.keyboard.press("Enter");
    } else if (name === "pin") await press(mentor, 0.45, 0.4);
    else await drag(mentor, [0.2, 0.3 + tool * 0.05], [0.35, 0.33 + tool * 0.05]);
    await until(async () => (await dry(room)).some((s) => s.tool === tool), `${name} in the room`);
  }
  await settled(mentor, room);
  const marks = await dry(room);
  assert.deepEqual(marks.map((s) => s.tool).sort(), [1, 2, 3, 4, 5, 6]);
  assert.equal(marks.find((s) => s.tool === TOOL.text).text, "not here");
  for (const one of marks.filter((s) => s.tool !== TOOL.pen)) assert.equal(one.points, one.tool >= TOOL.text ? 1 : 2, `points of tool ${one.tool}`);
  await mentor.locator("[data-testid=tool-eraser]").click();
  await drag(mentor, [0.275, 0.3], [0.275, 0.7]); // across the line
  await until(async () => !(await dry(room)).some((s) => s.tool === TOOL.line), "the line erased in the room");
  await mentor.locator("[data-testid=erase-mine]").click();
  await until(async () => (await dry(room)).length === 0, "nothing left in the room");
  await mentor.keyboard.press("Escape");
});

test("the pen freezes the mentor's picture, names its very frame, and the room's picture goes on", WHOLE, async () => {
  await mentor.keyboard.press("p");
  await flows(mentor);
  // Looked at while the pen is down: some seconds after it the picture returns by itself.
  const pen = await penOver(mentor);
  await pen.down([0.2, 0.4]);
  await pen.to([0.4, 0.45]);
  await until(async () => (await lookOf(mentor)) === "frozen", "the picture held under the pen");
  const [held, beside] = await Promise.all(["[data-testid=glass]", "[data-testid=glass-beside-program]"].map((s) => mentor.locator(s).boundingBox()));
  assert.ok((beside.width * beside.height) / (held.width * held.height) >= 0.25, `the live picture beside it is ${beside.width}x${beside.height} of ${held.width}x${held.height}`);
  assert.notEqual(await lookOf(room), "frozen");
  await pen.up();
  await until(async () => (await dry(room)).length === 1, "the stroke in the room");
  // The index of a frame may come after its picture where the machine is busy: another stroke names it then.
  await until(async () => {
    const { length } = await dry(room);
    await drag(mentor, [0.2, 0.5], [0.4, 0.55]);
    await until(async () => (await dry(room)).length > length, "the next stroke in the room");
    return (await dry(room)).at(-1).told === false;
  }, "a stroke on the very frame that was shown, which is no guess");
  await settled(mentor, room);
  assert.deepEqual([...new Set((await dry(room)).map((s) => s.surface))], [2], "drawn on frozen frames");
  const shown = () => room.evaluate(() => globalThis.shirube.frames.shown()?.rtpTs);
  const before = await shown();
  await until(async () => (await shown()) !== before, "the room's picture moves");
  await flows(mentor); // it returns by itself
  await mentor.keyboard.press("f");
  await until(async () => (await lookOf(mentor)) === "frozen", "frozen by hand");
  await mentor.keyboard.press("Escape");
  await flows(mentor);
});

test("the room sees that somebody draws, and whose pointer it is", WHOLE, async () => {
  const box = await mentor.locator("[data-testid=glass]").boundingBox();
  const at = (u, v) => [box.x + box.width * u, box.y + box.height * v];
  await mentor.mouse.move(...at(0.2, 0.5));
  await mentor.mouse.down();
  for (let i = 1; i < 8; i += 1) await mentor.mouse.move(...at(0.2 + i * 0.02, 0.5));
  await until(() => room.locator("[data-testid=drawing-now]").isVisible(), "the cue in the room");
  await mentor.mouse.up();
  await until(async () => !(await room.locator("[data-testid=drawing-now]").isVisible()), "no cue any more");
  await mentor.keyboard.press("i");
  await flows(mentor);
  await mentor.mouse.move(...at(0.3, 0.4));
  await mentor.mouse.move(...at(0.31, 0.41));
  await until(async () => (await room.evaluate(() => globalThis.shirube.ink.rings())).length === 1, "a ring in the room");
  await mentor.mouse.move(5, 5);
  await until(async () => (await room.evaluate(() => globalThis.shirube.ink.rings())).length === 0, "no ring any more");
  await mentor.keyboard.press("p");
});

test("the room clears in the same frame with the network cut, and switches ink off and on", WHOLE, async () => {
  await flows(mentor);
  await drag(mentor, [0.2, 0.4], [0.4, 0.45]);
  await settled(mentor, room);
  assert.ok((await dry(room)).length > 0, "ink in the room");
  await room.locator("[data-testid=ink-switch]").click();
  await until(() => mentor.locator("[data-testid=ink-off]").isVisible(), "ink off at the mentor");
  assert.equal(await room.evaluate(() => globalThis.shirube.ink.strokes().length), 0);
  await room.waitForTimeout(500); // a second touch within 400 ms is a wet glove
  await room.locator("[data-testid=ink-switch]").click();
  await until(async () => (await dry(room)).length > 0, "ink on again");
  await until(() => mentor.locator("[data-testid=ink-off]").isHidden(), "ink on at the mentor");
  await settled(mentor, room);
  await roomBrowser.context.setOffline(true);
  const left = await room.evaluate(async () => {
    document.querySelector("[data-testid=clear]").dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, pointerId: 1, isPrimary: true, button: 0 }));
    const now = [...document.querySelectorAll("canvas.ink")].filter((c) => !c.hidden && c.width > 0).length;
    await new Promise((r) => requestAnimationFrame(r));
    return [now, [...document.querySelectorAll("canvas.ink")].filter((c) => !c.hidden && c.width > 0).length];
  });
  assert.deepEqual(left, [0, 0], "no ink in the turn of the press");
  await roomBrowser.context.setOffline(false);
  await until(async () => (await dry(mentor)).length === 0, "no ink at the mentor");
});

test("a mark fades after ten seconds unless it is kept", WHOLE, async () => {
  const visible = () => room.evaluate(() => globalThis.shirube.ink.visible().map((s) => s.pinned));
  const known = () => room.evaluate(() => globalThis.shirube.ink.strokes().length);
  await flows(mentor);
  const before = await known();
  await mentor.locator("[data-testid=fade]").click();
  await drag(mentor, [0.2, 0.3], [0.4, 0.32]);
  await drag(mentor, [0.2, 0.5], [0.4, 0.52]);
  await mentor.keyboard.press("k"); // the newer one
  await until(async () => (await known()) === before + 2, "two marks in the room");
  await until(async () => (await visible()).includes(true), "one of them kept");
  await until(async () => (await visible()).length === 1, "the other gone");
  assert.deepEqual(await visible(), [true]);
  await mentor.locator("[data-testid=fade]").click();
  await mentor.locator("[data-testid=erase-mine]").click();
  await until(async () => (await visible()).length === 0, "none left");
});

test("the pen is asked for, lent and taken back", WHOLE, async () => {
  desk = await roomBrowser.context.newPage();
  await desk.goto(product.links.desk);
  const author = await until(() => desk.evaluate(() => globalThis.shirube?.ink.author() || 0), "the desk's number");
  await desk.locator("[data-testid=ask-pen]").click();
  await room.bringToFront();
  await until(() => room.locator(`[data-testid=lend-${author}]`).isVisible(), "the question in the room");
  await room.locator(`[data-testid=lend-${author}]`).click();
  await desk.bringToFront();
  await until(() => desk.locator("[data-testid=tool-pen]").isVisible(), "the desk's tools");
  await desk.locator("[data-testid=fade]").click();
  await flows(desk);
  await drag(desk, [0.2, 0.5], [0.4, 0.5]);
  await until(async () => (await dry(mentor)).some((s) => s.author === author), "the desk's ink at the mentor");
  await room.bringToFront();
  await room.waitForTimeout(500);
  await room.locator(`[data-testid=lend-${author}]`).click();
  await desk.bringToFront();
  await until(() => desk.locator("[data-testid=ask-pen]").isVisible(), "the desk's pen taken back");
  await desk.close();
});

test("two cases in one browser have one pen", WHOLE, async () => {
  const other = await browser.context.newPage();
  await other.goto(product.more[0].links.mentor);
  await until(() => other.locator("[data-testid=pen-here]").isVisible(), "the pen is in the first case");
  await other.waitForFunction(() => (globalThis.shirube?.frames.size() ?? 0) > 10, null, SETTLE);
  await flows(other);
  await drag(other, [0.2, 0.4], [0.4, 0.4]);
  assert.equal((await dry(other)).length, 0, "nothing is drawn without the pen");
  await other.locator("[data-testid=pen-panel] [data-testid=pen-here]").click();
  await mentor.bringToFront();
  await until(() => mentor.locator("[data-testid=pen-here]").isVisible(), "the pen has left the first case");
  await settled(mentor, room);
  const before = (await dry(room)).length;
  await drag(mentor, [0.2, 0.4], [0.4, 0.4]);
  assert.equal((await dry(room)).length, before);
  await other.bringToFront();
  await flows(other);
  await drag(other, [0.2, 0.4], [0.4, 0.4]);
  await until(async () => (await dry(other)).length === 1, "ink in the second case");
  assert.equal((await dry(room)).length, before, "and none in the first");
  await other.close();
});

async function press(page, u, v) {
  const box = await page.locator("[data-testid=glass]").boundingBox();
  await page.mouse.click(box.x + box.width * u, box.y + box.height * v);
}
