// The privacy curtain on the running product: one press in the room, and neither a picture of its camera nor its voice reaches the
// mentor, also after a restart of the server; both come back when the room lifts it.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { framesOf, heardHz, openBrowser, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { lookOf } from "./lib/hand.mjs";
import { quietPort } from "./lib/ports.mjs";
import { sql, startProduct } from "./lib/product.mjs";

const feed = (id, kind, name, more) => `
[[feed]]
id = "${id}"
kind = "${kind}"
name_ja = "${name}"
name_en = "${name}"
${more}
source = { type = "synthetic-field" }
`;
const ROOM = `
program = { width = 1280, height = 720, layout = "halves" }
[[layout]]
name = "halves"
rects = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]]
${feed("field", "operative-field", "Field", "main = true")}
${feed("camera", "room-camera", "Room camera", "")}
`;

let folder, port, product, browser, remote, room, mentor;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "shirube-curtain-"));
  writeFileSync(path.join(folder, "room.toml"), ROOM);
  // The same port after the restart: one that nobody takes meanwhile.
  port = await quietPort();
  product = await start();
  browser = await openBrowser({ toneHz: 800 });
  remote = await openBrowser({ toneHz: 1_100 });
  room = await browser.context.newPage();
  mentor = await remote.context.newPage();
  await room.goto(product.links.room);
  await mentor.goto(product.links.mentor);
});

after(async () => {
  await browser?.close();
  await remote?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The product with the two feeds; again on the data of `of`. */
const start = (of) => startProduct(["--engine-config", path.join(folder, "room.toml"), "--https-port", String(port)], { ...(of ? { data: of.data } : {}), shared: false });

/** What the pixels of the mentor's program video are, left (field) and right (camera): mean red less mean blue, and the mean. The page's own cover is not in them. */
const halves = (page) => page.evaluate(() => {
  const video = document.querySelector("[data-testid=program-video]");
  const canvas = new OffscreenCanvas(128, 72);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, 128, 72);
  // The middle of each half: the picture itself, without bars.
  const of = (x) => {
    const { data } = context.getImageData(x, 26, 40, 20);
    let red = 0, all = 0, blue = 0;
    for (let i = 0; i < data.length; i += 4) {
      red += data[i];
      blue += data[i + 2];
      all += data[i] + data[i + 1] + data[i + 2];
    }
    const n = data.length / 4;
    return { warm: (red - blue) / n, mean: all / n / 3 };
  };
  return { field: of(12), camera: of(76) };
});

const look = (page) => page.locator("[data-testid=rect-camera]").getAttribute("class");
const covered = async (page) => (await look(page))?.includes("is-curtain") ?? false;
/** Violet folds are cold; the scene is warm. */
const isFolds = ({ camera }) => camera.warm < -4 && camera.mean < 90;

test("one press in the room covers its camera and ends its voice for the mentor", WHOLE, async () => {
  await mentor.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  await until(async () => (await halves(mentor)).camera.warm > 10, "the camera's picture at the mentor");
  await room.bringToFront();
  await room.locator("[data-testid=voice]").click();
  await until(async () => Math.abs((await heardHz(mentor, 800)) - 800) < 30, "the room's voice at the mentor");

  // Press and look in one turn of the page: its own glass is covered before anything was answered.
  const at = await room.evaluate(() => {
    document.querySelector("[data-testid=curtain]").dispatchEvent(new PointerEvent("pointerdown", { button: 0, bubbles: true }));
    return document.querySelector("[data-testid=rect-camera]").className;
  });
  assert.match(at, /is-curtain/);
  await until(() => covered(mentor), "the mentor's cover");
  await until(async () => isFolds(await halves(mentor)), "the engine's folds in the mentor's picture");
  assert.ok((await halves(mentor)).field.warm > 10, "the field goes on");
  for (const page of [room, mentor]) await page.locator("[data-testid=curtain-tag]").waitFor();
  assert.equal(await room.locator("[data-testid=voice]").getAttribute("data-voice"), "curtain");
  // Its tone has no pause as long as this; what a busy machine still had to play ends first.
  await until(async () => (await heardHz(mentor, 2_000)) === 0, "silence");
  // Ten looks at the picture and a second and a half of the voice.
  for (let n = 0; n < 10; n += 1) assert.ok(isFolds(await halves(mentor)), "a picture of the camera behind the curtain");
  assert.equal(await heardHz(mentor, 1_500), 0);

  // Alone it is not to be had either.
  await mentor.bringToFront();
  await mentor.keyboard.press("2");
  await until(async () => (await lookOf(mentor)) === "curtain", "the camera alone behind the curtain");
  await mentor.keyboard.press("0");
  await mentor.waitForFunction(() => document.querySelector("[data-testid=stage]")?.dataset.feed === "program");
});

test("it is drawn still after a restart of server and engine, and lifted by the room alone", WHOLE, async () => {
  assert.equal(await mentor.locator("[data-testid=curtain]").count(), 0, "the mentor has no such button");
  await product.stop({ keep: true });
  product = await start(product);
  // What the pages say before they are here again is of before. A press is of use once they are.
  for (const page of [mentor, room]) assert.equal(await framesOf(page, "[data-testid=program-video]", 20), 20, "pictures of the new engine");
  await until(() => covered(mentor), "the curtain again");
  await until(async () => isFolds(await halves(mentor)), "folds of the new engine");
  await room.bringToFront();
  await until(async () => (await room.locator("[data-testid=curtain]").getAttribute("aria-pressed")) === "true", "the room's button");
  await room.locator("[data-testid=curtain]").click();
  await until(async () => (await halves(mentor)).camera.warm > 10 && !(await covered(mentor)), "the camera again");
  const acts = sql(product.data, "SELECT act, who, role FROM audit WHERE act LIKE 'curtain-%' ORDER BY seq");
  assert.deepEqual(acts.map((a) => [a.act, a.role]), [["curtain-draw", "room"], ["curtain-lift", "room"]]);
  assert.match(acts[0].who, /^person:1 page:\d+$/);
});
