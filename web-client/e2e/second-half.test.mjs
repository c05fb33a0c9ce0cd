// Everybody else who belongs in a case, in real browsers: the desk with single feeds and ink, the vendor with figures and
// nothing else, a camera that publishes itself, and a second case that hears nothing of the first.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openBrowser, until } from "./lib/browser.mjs";
import { startProduct } from "./lib/product.mjs";

const SETTLE = { timeout: 90_000 };

let product, browser, desk, vendor, mentor;

before(async () => {
  product = await startProduct(["--cases", "2"]);
  browser = await openBrowser({ toneHz: 800, viewport: { width: 1440, height: 900 } });
  [mentor, desk, vendor] = await Promise.all([0, 1, 2].map(() => browser.context.newPage()));
  await mentor.goto(product.links.mentor);
  await desk.goto(product.links.desk);
  await vendor.goto(product.links.vendor);
});

after(async () => {
  await browser?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
});

test("the desk sees the program and single feeds, each with its own age", { timeout: 180_000 }, async () => {
  await desk.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  for (const feed of ["field", "fluoro"]) {
    await desk.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, `[data-testid=tile-${feed}-video]`, SETTLE);
    await until(async () => Number.parseFloat(await desk.locator(`[data-testid=strip-tile-${feed}] [data-testid=age]`).innerText()) > 0, `an age on ${feed}`);
  }
  await desk.bringToFront();
  await desk.keyboard.press("1");
  await desk.waitForFunction(() => document.querySelector("[data-testid=stage]")?.dataset.feed === "field");
  await until(async () => (await desk.locator("[data-testid=stage]").getAttribute("data-look")) === "live", "the single feed live and large");
});

test("ink of the desk on a single feed is at its place in the mentor's program", { timeout: 180_000 }, async () => {
  await mentor.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  assert.equal(await inkPixels(mentor), 0);
  // The pen is the lead mentor's: lent first.
  await mentor.bringToFront();
  await mentor.locator("[data-testid=lend-3]").click();
  await desk.bringToFront();
  await desk.locator("[data-testid=tool-pen]").waitFor();
  await draw(desk);
  await until(async () => (await inkPixels(desk)) > 50, "ink on the desk's own glass");
  await mentor.bringToFront();
  await until(async () => (await inkPixels(mentor)) > 50, "the same ink in the mentor's program");
  await desk.bringToFront();
  await desk.keyboard.press("Control+z");
  await mentor.bringToFront();
  await until(async () => (await inkPixels(mentor)) === 0, "no ink after the desk's undo");
  await desk.bringToFront();
  await desk.keyboard.press("0");
  await desk.waitForFunction(() => document.querySelector("[data-testid=stage]")?.dataset.feed === "program");
});

test("the vendor sees figures, and no picture, no ink and no name", { timeout: 180_000 }, async () => {
  await vendor.bringToFront();
  await vendor.locator("[data-testid=feed-field]").waitFor(SETTLE);
  await until(async () => /\d+×\d+/.test(await vendor.locator("[data-testid=feed-field]").innerText()), "a format");
  await until(async () => (await vendor.locator("[data-testid=peers] [data-testid^=peer-]").count()) >= 2, "pages by number");
  await until(async () => /\d/.test(await vendor.locator("[data-testid=number-age]").innerText()), "the age as a number");
  assert.equal(await vendor.locator("video, canvas, audio").count(), 0);
  const names = await desk.evaluate(() => [...document.querySelectorAll(".who b")].map((b) => b.textContent.replace(/ \(.*\)$/, "")));
  assert.ok(names.length >= 2, "the desk knows who is present");
  const text = await vendor.evaluate(() => document.body.innerText);
  for (const name of names) for (const part of name.split(" ")) assert.ok(!text.includes(part), `the vendor's page names ${part}`);
});

test("a camera published over WHIP is there for a WHEP player, and gone when it leaves", { timeout: 180_000 }, async () => {
  const page = await browser.context.newPage();
  await page.goto(product.base_url + "/healthz");
  const tile = desk.locator("[data-testid=show-overhead]").waitFor({ state: "attached", timeout: 90_000 });
  const { frames, published, ended } = await page.evaluate(async ({ base, name, publisher, viewer }) => {
    const settled = (pc) => new Promise((r) => (pc.iceGatheringState === "complete" ? r() : (pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && r())));
    const post = (path, token, sdp) => fetch(base + path, { method: "POST", headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` }, body: sdp });
    const camera = new RTCPeerConnection();
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
    camera.addTransceiver(stream.getVideoTracks()[0], { direction: "sendonly" });
    await camera.setLocalDescription();
    await settled(camera);
    const up = await post(`/whip/${name}/overhead`, publisher, camera.localDescription.sdp);
    if (up.status !== 201) return { frames: -1, published: `${up.status} ${await up.text()}` };
    await camera.setRemoteDescription({ type: "answer", sdp: await up.text() });
    const player = new RTCPeerConnection();
    player.addTransceiver("video", { direction: "recvonly" });
    const video = document.createElement("video");
    video.muted = true;
    player.ontrack = (e) => ((video.srcObject = new MediaStream([e.track])), video.play());
    await player.setLocalDescription();
    let down;
    for (const end = performance.now() + 20_000; performance.now() < end; await new Promise((r) => setTimeout(r, 500))) {
      down = await post(`/whep/${name}?feed=overhead&layer=high`, viewer, player.localDescription.sdp);
      if (down.status === 201) break;
    }
    if (down.status !== 201) return { frames: -2, published: `${down.status} ${await down.text()}` };
    await player.setRemoteDescription({ type: "answer", sdp: await down.text() });
    let n = 0;
    for (const end = performance.now() + 25_000; performance.now() < end && n < 30; ) {
      await Promise.race([new Promise((r) => video.requestVideoFrameCallback(() => (n++, r()))), new Promise((r) => setTimeout(r, 500))]);
    }
    const gone = await fetch(new URL(up.headers.get("Location"), base), { method: "DELETE", headers: { Authorization: `Bearer ${publisher}` } });
    camera.close();
    player.close();
    return { frames: n, published: up.status, ended: gone.status };
  }, { base: product.base_url, name: product.case, publisher: product.tokens.publisher, viewer: product.tokens.desk });
  tile.catch(() => undefined);
  assert.ok(frames >= 30, `${frames} frames, ${published}`);
  assert.equal(ended, 200);
  await tile;
  await page.close();
});

test("a second case has pictures of its own and hears nothing of the first", { timeout: 180_000 }, async () => {
  // Two cores: what nobody watches any more need not be encoded and drawn.
  await Promise.all([desk.close(), vendor.close()]);
  const other = product.more[0];
  assert.notEqual(other.case, product.case);
  const page = await browser.context.newPage();
  await page.goto(other.links.mentor);
  await page.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  await mentor.bringToFront();
  await draw(mentor);
  await until(async () => (await inkPixels(mentor)) > 50, "ink in the first case");
  await page.bringToFront();
  await new Promise((r) => setTimeout(r, 1_500));
  assert.equal(await inkPixels(page), 0);
  const absent = await page.locator("[data-voice=absent]").count();
  const rows = await page.locator("[data-testid^=person-]").count();
  assert.ok(rows - absent <= 1, `${rows - absent} people are present in a case that one person entered`);
  await page.close();
});

/** A curve in the middle of what stands large, with a pen. */
async function draw(page) {
  // A tab that was behind shows pictures again first; ink is not drawn on a late one.
  await until(async () => (await page.locator("[data-testid=stage]").getAttribute("data-look")) === "live", "a live picture in front");
  const box = await page.locator("[data-testid=glass]").boundingBox();
  const cdp = await page.context().newCDPSession(page);
  const at = (type, i) =>
    cdp.send("Input.dispatchMouseEvent", {
      type,
      x: box.x + box.width * (0.25 + 0.012 * i),
      y: box.y + box.height * (0.4 + 0.06 * Math.sin(i / 3)),
      button: "left",
      buttons: type === "mouseReleased" ? 0 : 1,
      clickCount: 1,
      pointerType: "pen",
      force: 0.5,
    });
  await at("mousePressed", 0);
  for (let i = 1; i <= 20; i++) await at("mouseMoved", i);
  await at("mouseReleased", 20);
  await cdp.detach();
}

/** Painted pixels on the ink of what stands large. */
function inkPixels(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll("[data-testid=stage] canvas.ink")].reduce((n, c) => {
      if (c.width === 0 || c.height === 0) return n;
      const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      let k = 0;
      for (let i = 3; i < d.length; i += 4) if (d[i] > 200) k++;
      return n + k;
    }, 0),
  );
}
