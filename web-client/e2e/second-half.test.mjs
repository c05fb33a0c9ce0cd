// Everybody else who belongs in a case, in real browsers: the desk with single feeds and ink, the vendor with figures and
// nothing else, a camera that publishes itself, and a second case that hears nothing of the first.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { framesOf, openBrowser, PATIENCE_MS, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { drag, flows, inkPixels } from "./lib/hand.mjs";
import { sql, startProduct } from "./lib/product.mjs";


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

test("the desk sees the program and single feeds, each with its own age", WHOLE, async () => {
  await desk.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  for (const feed of ["field", "fluoro"]) {
    await desk.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, `[data-testid=tile-${feed}-video]`, SETTLE);
    await until(async () => Number.parseFloat(await desk.locator(`[data-testid=strip-tile-${feed}] [data-testid=age]`).innerText()) > 0, `an age on ${feed}`);
  }
  await desk.bringToFront();
  await desk.keyboard.press("1");
  await desk.waitForFunction(() => document.querySelector("[data-testid=stage]")?.dataset.feed === "field");
  await flows(desk);
});

test("ink of the desk on a single feed is at its place in the mentor's program", WHOLE, async () => {
  await mentor.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  assert.equal(await inkPixels(mentor), 0);
  // The pen is the lead mentor's: lent first.
  await mentor.bringToFront();
  await mentor.locator("[data-testid=lend-3]").click();
  await desk.bringToFront();
  await desk.locator("[data-testid=tool-pen]").waitFor();
  await desk.locator("[data-testid=fade]").click(); // it stays, however long the machine takes
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

test("the vendor sees figures, and no picture, no ink and no name", WHOLE, async () => {
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

test("a camera published over WHIP is there for a WHEP player, and gone when it leaves", WHOLE, async () => {
  const page = await browser.context.newPage();
  await page.goto(product.base_url + "/healthz");
  const tile = desk.locator("[data-testid=show-overhead]").waitFor({ state: "attached", timeout: 2 * PATIENCE_MS });
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
    for (const end = performance.now() + 90_000; performance.now() < end; await new Promise((r) => setTimeout(r, 500))) {
      down = await post(`/whep/${name}?feed=overhead&layer=high`, viewer, player.localDescription.sdp);
      if (down.status === 201) break;
    }
    if (down.status !== 201) return { frames: -2, published: `${down.status} ${await down.text()}` };
    await player.setRemoteDescription({ type: "answer", sdp: await down.text() });
    let n = 0;
    const count = () => { if ((n += 1) < 30) video.requestVideoFrameCallback(count); };
    video.requestVideoFrameCallback(count);
    for (const end = performance.now() + 90_000; performance.now() < end && n < 30; ) await new Promise((r) => setTimeout(r, 100));
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

test("a second case has pictures of its own and hears nothing of the first", WHOLE, async () => {
  // Two cores: what nobody watches any more need not be encoded and drawn.
  await Promise.all([desk.close(), vendor.close()]);
  const other = product.more[0];
  assert.notEqual(other.case, product.case);
  const page = await browser.context.newPage();
  await page.goto(other.links.mentor);
  await page.waitForFunction(() => document.querySelector("[data-testid=program-video]")?.videoWidth > 0, null, SETTLE);
  await mentor.bringToFront();
  await mentor.locator("[data-testid=fade]").click();
  await draw(mentor);
  await until(async () => (await inkPixels(mentor)) > 50, "ink in the first case");
  await until(() => sql(product.data, `select count(*) as n from ops where case_id = '${product.case}'`)[0].n > 0, "it is in the first case's log");
  await page.bringToFront();
  await flows(page);
  assert.equal(await framesOf(page, "[data-testid=program-video]", 20), 20); // it has painted: that there is no ink is seen, not early
  assert.equal(await inkPixels(page), 0);
  const absent = await page.locator("[data-voice=absent]").count();
  const rows = await page.locator("[data-testid^=person-]").count();
  assert.ok(rows - absent <= 1, `${rows - absent} people are present in a case that one person entered`);
  await page.close();
});

test("a case that was ended by mistake is opened again by the room, and its links lead in as before", WHOLE, async () => {
  const other = product.more[0];
  const [room, guide, late] = await Promise.all([0, 1, 2].map(() => browser.context.newPage()));
  await room.goto(other.links.room);
  await guide.goto(other.links.mentor);
  for (const page of [guide, room]) {
    await page.bringToFront();
    await flows(page);
  }
  // The hold, until it has ended.
  await room.locator("[data-testid=end]").hover();
  await room.mouse.down();
  await room.locator("[data-testid=ended]").waitFor();
  await room.mouse.up();
  await guide.locator("[data-testid=ended]").waitFor();
  assert.equal(await guide.locator("[data-testid=reopen]").count(), 0, "it is the room's to take back");
  await late.goto(other.links.desk);
  await until(async () => (await late.locator("[data-testid=ended]").getAttribute("data-code")) === "case.ended", "a link that is dead while the case has ended");
  const keeps = (page) => page.evaluate(() => sessionStorage.getItem("shirube.id") !== null);
  assert.deepEqual([await keeps(guide), await keeps(room)], [false, true], "the room's tab alone comes back by itself");
  // Nothing is lost with a reload, nor where the server is not reached for a while.
  await room.bringToFront();
  await room.reload();
  await room.locator("[data-testid=ended]").waitFor();
  await room.locator("[data-testid=reopen]").waitFor();
  await room.route("**/api/reopen*", (route) => route.abort());
  await room.locator("[data-testid=reopen]").click();
  await room.locator("[data-testid=reopen-unreachable]").waitFor();
  await room.unroute("**/api/reopen*");
  await room.locator("[data-testid=reopen]").click();
  await flows(room);
  await guide.bringToFront();
  await guide.goto(other.links.mentor); // its link again, in the tab of the page that ended, which loads it by itself
  await guide.locator("[data-testid=program-video]").waitFor(SETTLE);
  await flows(guide);
  const acts = () => sql(product.data, `select act from audit where case_id = '${other.case}' and act in ('end-case', 'reopen') order by seq`).map((row) => row.act).join();
  await until(() => acts() === "end-case,reopen", "both in the audit");
  await Promise.all([room, guide, late].map((page) => page.close()));
});

/** A bow in the middle of what stands large, with a pen. A tab that was behind shows pictures again first. */
async function draw(page) {
  await flows(page);
  await drag(page, [0.25, 0.4], [0.37, 0.46], [0.49, 0.35]);
}
