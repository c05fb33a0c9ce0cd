// The main job, end to end, in real browsers: a mentor sees the room's pictures, draws, and is heard.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, test } from "node:test";

import { framesOf, heardHz, heardTones, openBrowser, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { drag, flows, inkPixels as painted, settled } from "./lib/hand.mjs";
import { runToEnd, sql, startProduct } from "./lib/product.mjs";
import { readTimeCodes } from "./lib/timecode.mjs";

const MENTOR_HZ = 1000;
const ROOM_HZ = 600;
const VIDEO = "[data-testid=program-video]";

const near = (hz, want) => Math.abs(hz - want) < 30;

let product, mentorBrowser, roomBrowser, mentor, room;

before(async () => {
  product = await startProduct(["--time-code"]);
  mentorBrowser = await openBrowser({ toneHz: MENTOR_HZ });
  roomBrowser = await openBrowser({ toneHz: ROOM_HZ, language: "ja-JP", viewport: { width: 1920, height: 1080 } });
  mentor = await mentorBrowser.context.newPage();
  room = await roomBrowser.context.newPage();
  await mentor.goto(product.links.mentor);
  await room.goto(product.links.room);
});

after(async () => {
  await mentorBrowser?.close();
  await roomBrowser?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
});

test("both see the live program, and its time code says how old it is", WHOLE, async () => {
  for (const page of [mentor, room]) {
    await page.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, VIDEO, SETTLE);
    // While the machine is busy pictures are small, late and few for a while.
    await until(async () => {
      const codes = (await readTimeCodes(page, VIDEO, 40)).filter((c) => c.ok);
      assert.ok(codes.length >= 30, `${codes.length} of 40 time codes were readable`);
      for (const [i, c] of codes.entries()) {
        assert.ok(c.ageMs >= 0 && c.ageMs < 30_000, `age ${c.ageMs} ms`);
        const step = i === 0 ? 1 : (c.counter - codes[i - 1].counter + 65_536) % 65_536;
        assert.ok(step < 30, `counter stepped by ${step}`);
      }
      assert.ok(new Set(codes.map((c) => c.counter)).size > 20, "the picture moves");
      return true;
    }, "a picture that moves and says how old it is");
  }
});

test("the age on the screen is the age of the picture", WHOLE, async () => {
  // Read one after the other, and the age of a moment is another one soon: one that is wrong never agrees.
  await until(async () => {
    const codes = (await readTimeCodes(mentor, VIDEO, 15)).filter((c) => c.ok).map((c) => c.ageMs);
    const shown = Number.parseFloat(await mentor.locator("[data-testid=strip-field] [data-testid=age]").first().innerText());
    const worst = Math.max(...codes) / 1000;
    assert.ok(shown > 0 && Math.abs(shown - worst) < 0.5, `shown ${shown} s, time code ${worst} s`);
    return true;
  }, "the age that the time code tells");
});

test("a stroke drawn with a pen is on the room's glass, on disk, and survives a reload", WHOLE, async () => {
  assert.equal(await inkPixels(room), 0);
  await mentor.locator("[data-testid=fade]").click(); // it stays, however long the machine takes
  await draw(mentor);
  await until(async () => (await inkPixels(mentor)) > 100, "ink on the mentor's own glass");
  await until(async () => (await inkPixels(room)) > 100, "ink on the room's glass");
  await until(() => sql(product.data, "select count(*) as n from ops")[0].n >= 1, "the stroke in the log");
  await room.reload();
  await until(async () => (await inkPixels(room)) > 100, "the same ink after a reload");
});

test("undo takes the mentor's stroke back everywhere", WHOLE, async () => {
  await mentor.keyboard.press("Control+z");
  await until(async () => (await inkPixels(room)) === 0, "the room's glass without ink");
  await until(async () => (await inkPixels(mentor)) === 0, "the mentor's glass without ink");
});

test("the room clears its glass with the network cut, and everywhere once it is back", WHOLE, async () => {
  await draw(mentor);
  await until(async () => (await inkPixels(room)) > 100, "ink on the room's glass");
  // Whole in the room, and nothing of it on its way.
  await settled(mentor, room);
  await roomBrowser.context.setOffline(true);
  const left = await room.evaluate(async () => {
    const button = document.querySelector("[data-testid=clear]");
    const box = button.getBoundingClientRect();
    button.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, pointerId: 1, isPrimary: true, button: 0, clientX: box.x + 5, clientY: box.y + 5 }));
    await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
    return [...document.querySelectorAll("canvas")].reduce((n, c) => {
      if (c.width === 0 || c.height === 0) return n;
      const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
      let k = 0;
      for (let i = 3; i < d.length; i += 4) if (d[i] > 0) k++;
      return n + k;
    }, 0);
  });
  assert.equal(left, 0, "two animation frames after the press no ink is left");
  await roomBrowser.context.setOffline(false);
  await until(async () => (await inkPixels(mentor)) === 0, "the mentor's glass without ink");
});

test("after one press in the room both hear each other", WHOLE, async () => {
  assert.equal(await heardHz(room, 1200), 0, "nothing speaks into the room before the press");
  await room.locator("[data-testid=voice]").click();
  await until(async () => near(await heardHz(room), MENTOR_HZ), "the mentor's tone in the room");
  await until(async () => near(await heardHz(mentor), ROOM_HZ), "the room's tone at the mentor");
});

test("a WHEP player gets the program, and all who speak on one track", WHOLE, async () => {
  const page = await mentorBrowser.context.newPage();
  await page.goto(product.base_url + "/healthz");
  await page.evaluate(async ({ base, case: name, token }) => {
    const pc = new RTCPeerConnection();
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.addTransceiver("audio", { direction: "recvonly" });
    const video = document.createElement("video");
    video.muted = true;
    pc.ontrack = (e) => {
      const element = e.track.kind === "video" ? video : document.body.appendChild(document.createElement("audio"));
      element.srcObject = new MediaStream([e.track]);
      void element.play();
    };
    await pc.setLocalDescription();
    const reply = await fetch(`${base}/whep/${name}?feed=program&layer=high&audio=mix`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` },
      body: pc.localDescription.sdp,
    });
    if (reply.status !== 201) throw new Error(`${reply.status} ${await reply.text()}`);
    await pc.setRemoteDescription({ type: "answer", sdp: await reply.text() });
    document.body.append(video);
    globalThis.end = async () => {
      const gone = await fetch(new URL(reply.headers.get("Location"), base), { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
      pc.close();
      return gone.status;
    };
  }, { base: product.base_url, case: product.case, token: product.tokens.viewer });
  assert.equal(await framesOf(page, "video", 30), 30);
  await until(async () => (await heardTones(page, [MENTOR_HZ, ROOM_HZ])).length === 2, "both voices in the mix");
  assert.equal(await page.evaluate(() => globalThis.end()), 200);
  await page.close();
});

test("a foreign link, and a browser without WebRTC, are told in one sentence", WHOLE, async () => {
  const page = await mentorBrowser.context.newPage();
  const link = product.links.mentor;
  await page.goto(link.slice(0, -6) + "AAAAAA");
  await until(async () => /link/i.test(await page.locator("[data-testid=failure]").innerText()), "a sentence about the link");
  await page.close();
  const old = await mentorBrowser.context.newPage();
  await old.addInitScript(() => delete window.RTCPeerConnection);
  await old.goto(link);
  await until(async () => /WebRTC/.test(await old.locator("[data-testid=failure]").innerText()), "a sentence about WebRTC");
  await old.close();
});

test("a busy port is one clear sentence and exit code 2", WHOLE, async () => {
  const port = new URL(product.base_url).port;
  const data = `${product.data}-second`;
  const { code, stderr } = await runToEnd(["demo", "--no-engine", "--https-port", port, "--media-port", "0", "--data", data]);
  rmSync(data, { recursive: true, force: true });
  assert.equal(code, 2);
  assert.match(stderr.trim().split("\n").at(-1), new RegExp(`${port}.*`));
});

/** A bow in the middle of the operative field, with a pen. */
async function draw(page) {
  await flows(page);
  await drag(page, [0.3, 0.45], [0.42, 0.51], [0.54, 0.4]);
}

/** Pixels of ink in the lead mentor's colour. */
const inkPixels = (page) => painted(page, { colour: true });
