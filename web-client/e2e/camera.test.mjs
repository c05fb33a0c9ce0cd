// The room's camera on the running product, with a device that is simulated and a picture that really turns: the mentor's keys do
// nothing until the room allows it, then they turn it, and behind the curtain it stands still.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { openBrowser, until } from "./lib/browser.mjs";
import { startProduct } from "./lib/product.mjs";

const ROOM = `
program = { width = 1280, height = 720, layout = "halves" }
[[layout]]
name = "halves"
rects = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]]
[[feed]]
id = "field"
kind = "operative-field"
name_ja = "術野"
name_en = "Field"
main = true
source = { type = "synthetic-field" }
[[feed]]
id = "camera"
kind = "room-camera"
name_ja = "手術室内映像"
name_en = "Room camera"
ptz = { visca = "simulated" }
source = { type = "synthetic-room" }
`;

let folder, product, browser, remote, room, mentor;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "shirube-camera-"));
  writeFileSync(path.join(folder, "room.toml"), ROOM);
  product = await startProduct(["--engine-config", path.join(folder, "room.toml")], { shared: false });
  [browser, remote] = [await openBrowser({ toneHz: 800 }), await openBrowser({ toneHz: 1_100 })];
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

/** Brightness of the camera's half in the mentor's picture, 32 x 18 squares. */
const glance = () => mentor.evaluate(() => {
  const video = document.querySelector("[data-testid=program-video]");
  const canvas = new OffscreenCanvas(64, 36);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, 64, 36);
  const { data } = context.getImageData(32, 9, 32, 18);
  return Array.from({ length: 32 * 18 }, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3);
});
/** Share of squares that are another brightness. Only the monitor's trace moves by itself. */
const differ = (a, b) => a.filter((value, i) => Math.abs(value - b[i]) > 16).length / a.length;
/** Greys of a sixteenth: the room has many, black one. */
const greys = (of) => new Set(of.map((value) => Math.round(value / 16))).size;
const key = (name) => mentor.locator(`[data-testid=camera-${name}]`);
const isAble = async () => (await mentor.locator("[data-testid=camera]").getAttribute("data-able")) === "true";

test("the mentor turns the room's camera once the room allows it, and not behind the curtain", { timeout: 240_000 }, async () => {
  await mentor.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, { timeout: 90_000 });
  await mentor.locator("[data-testid=camera]").waitFor();
  // Squares of several greys: the room, no black and no folds.
  await until(async () => greys(await glance()) > 4, "the camera's picture at the mentor");
  const still = await glance();
  assert.equal(await isAble(), false);
  assert.ok(await key("right").isDisabled(), "nobody has allowed it");

  await room.bringToFront();
  await room.locator("[data-testid=camera-switch]").click();
  await mentor.bringToFront();
  await until(isAble, "the room's leave at the mentor");
  assert.ok(differ(still, await glance()) < 0.1, "it stood still until now");

  // Held until the picture has moved; pressed anew where a press fell beside a key that was just moving itself.
  const hold = async (name) => {
    const before = await glance();
    await until(async () => {
      await key(name).hover();
      await mentor.mouse.down();
      const done = await until(async () => differ(before, await glance()) > 0.1, name, 5_000).catch(() => false);
      await mentor.mouse.up();
      return done;
    }, `the picture's move: ${name}`, 90_000);
  };
  await hold("right");
  await hold("in");

  const turned = await glance();
  await room.bringToFront();
  await room.locator("[data-testid=curtain]").click();
  await mentor.bringToFront();
  await until(async () => !(await isAble()) && (await key("left").isDisabled()), "the curtain at the mentor's keys");
  await until(async () => differ(turned, await glance()) > 0.3, "the folds in the mentor's picture");
  const folds = await glance();
  await room.bringToFront();
  await room.locator("[data-testid=curtain]").click();
  await mentor.bringToFront();
  await until(async () => (await isAble()) && differ(folds, await glance()) > 0.3, "the camera and its keys again");
});
