// The room's camera on the running product, with a device that is simulated and a picture that really turns: the mentor's keys do
// nothing until the room allows it, then they turn it, and behind the curtain it stands still.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { openBrowser, until } from "./lib/browser.mjs";
import { startProduct } from "./lib/product.mjs";

// One small picture: what it costs is not what is looked at here.
const ROOM = `
program = { width = 640, height = 360, layout = "full" }
[[feed]]
id = "camera"
kind = "room-camera"
name_ja = "手術室内映像"
name_en = "Room camera"
main = true
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

/** Brightness of the mentor's picture, 32 x 18 squares, each the mean of all that lies in it: sharp or soft, it is the same. */
const glance = () => mentor.evaluate(() => {
  const video = document.querySelector("[data-testid=program-video]");
  const canvas = new OffscreenCanvas(320, 180);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, 320, 180);
  const { data } = context.getImageData(0, 0, 320, 180);
  const squares = new Array(32 * 18).fill(0);
  for (let y = 0; y < 180; y += 1) {
    for (let x = 0; x < 320; x += 1) {
      const i = 4 * (y * 320 + x);
      squares[Math.floor(y / 10) * 32 + Math.floor(x / 10)] += (data[i] + data[i + 1] + data[i + 2]) / 300;
    }
  }
  return squares;
});
/** Share of squares that are another brightness. Only the monitor's trace moves by itself. */
const differ = (a, b) => a.filter((value, i) => Math.abs(value - b[i]) > 12).length / a.length;
const shown = () => mentor.evaluate(() => document.querySelector("[data-testid=program-video]").getVideoPlaybackQuality().totalVideoFrames);
/** The room, in no state's look, as it is still ten pictures later: what is let go of stands 300 ms later. */
const settled = (what) => until(async () => {
  const one = await glance();
  // A video that is given another stream counts anew.
  let [seen, last] = [0, await shown()];
  await until(async () => {
    const now = await shown();
    seen += now < last ? now : now - last;
    last = now;
    return seen >= 10;
  }, "pictures", 120_000);
  const two = await glance();
  return new Set(one.map((value) => Math.round(value / 16))).size > 4 && differ(one, two) < 0.05 ? two : null;
}, what, 180_000);
const key = (name) => mentor.locator(`[data-testid=camera-${name}]`);
const isAble = async () => (await mentor.locator("[data-testid=camera]").getAttribute("data-able")) === "true";

test("the mentor turns the room's camera once the room allows it, and not behind the curtain", { timeout: 900_000 }, async () => {
  await mentor.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, { timeout: 90_000 });
  await mentor.locator("[data-testid=camera]").waitFor();
  const still = await settled("the camera's picture at the mentor");
  assert.equal(await isAble(), false);
  assert.ok(await mentor.locator("[data-testid=camera-open]").isDisabled(), "nobody has allowed it");
  assert.equal(await key("right").count(), 0, "the keys are folded away until they are asked for");

  await room.bringToFront();
  await room.locator("[data-testid=camera-switch]").click();
  await mentor.bringToFront();
  await until(isAble, "the room's leave at the mentor");
  await mentor.locator("[data-testid=camera-open]").click();
  assert.ok(differ(still, await settled("the picture before a key was held")) < 0.1, "it stood still until now");

  // Held until the picture has moved; a page that had to join anew meanwhile, as on a busy machine, has let go.
  const hold = async (name) => {
    const before = await settled(`the picture before: ${name}`);
    for (;;) {
      await key(name).hover();
      await mentor.mouse.down();
      await until(async () => differ(before, await glance()) > 0.15, name, 20_000).catch(() => null);
      await mentor.mouse.up();
      const after = await settled(`the picture after: ${name}`);
      if (differ(before, after) > 0.1) return after;
    }
  };
  await hold("right");
  const turned = await hold("in");

  await room.bringToFront();
  await room.locator("[data-testid=curtain]").click();
  await mentor.bringToFront();
  await until(async () => !(await isAble()) && (await key("left").isDisabled()), "the curtain at the mentor's keys");
  await until(async () => differ(turned, await glance()) > 0.3, "the folds in the mentor's picture");
  await room.bringToFront();
  // A second touch within 400 ms counts as none, by the page's own clock.
  await room.evaluate(() => new Promise((done) => setTimeout(done, 500)));
  await room.locator("[data-testid=curtain]").click();
  await mentor.bringToFront();
  await until(isAble, "the keys again");
  assert.ok(differ(turned, await settled("the camera again")) < 0.1, "it looks where it looked");
});
