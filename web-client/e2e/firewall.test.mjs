// Networks that let no UDP out: the picture, the voice and the ink come by TCP on the media port, or through a relay (coturn,
// real, with the settings that we ship) by UDP, TCP or TLS.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { heardHz, openBrowser, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { flows } from "./lib/hand.mjs";
import { startProduct } from "./lib/product.mjs";
import { startTurn } from "./lib/turn.mjs";

const ROOM_HZ = 600;
const VIDEO = "[data-testid=program-video]";

let turn, product, open, blocked, room;

before(async () => {
  turn = await startTurn();
  const urls = Object.values(turn.urls).flatMap((url) => ["--turn", url]);
  product = await startProduct([...urls, "--turn-secret", turn.secretFile]);
  open = await openBrowser({ toneHz: ROOM_HZ });
  // As an administrator's policy does it: this browser has no UDP at all.
  blocked = await openBrowser({ toneHz: 1000, args: ["--webrtc-ip-handling-policy=disable_non_proxied_udp", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"] });
  room = await open.context.newPage();
  await room.goto(product.links.room);
});

after(async () => {
  await open?.close();
  await blocked?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
  await turn?.stop();
});

/** The media path of a page, kept where it can be asked. `relay`: the only way that it may take. */
function watch(relay) {
  const Native = RTCPeerConnection;
  const only = (config) => (relay ? { ...config, iceTransportPolicy: "relay", iceServers: config.iceServers.map((s) => ({ ...s, urls: s.urls.filter((url) => url === relay) })) } : config);
  globalThis.RTCPeerConnection = class extends Native {
    constructor(config) {
      super(only(config));
      globalThis.path = this;
    }

    setConfiguration(config) { super.setConfiguration(only(config)); }
  };
}

/** The two ends of the pair of candidates in use. */
const pair = (page) => page.evaluate(async () => {
  const stats = await globalThis.path?.getStats();
  const used = [...(stats?.values() ?? [])].find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  if (!used) return null;
  const [local, remote] = [stats.get(used.localCandidateId), stats.get(used.remoteCandidateId)];
  return { type: local.candidateType, protocol: local.protocol, relay: local.relayProtocol ?? null, remote: remote.protocol, port: local.port, at: remote.address };
});

async function isWhole(page) {
  await page.waitForFunction((s) => document.querySelector(s)?.videoWidth > 0, VIDEO, SETTLE);
  await flows(page);
}

test("without UDP picture and voice come by TCP on the media port", WHOLE, async () => {
  const page = await blocked.context.newPage();
  await page.addInitScript(watch, null);
  await page.goto(product.links.mentor);
  await isWhole(page);
  // The relay by TCP may be there a moment before; the straight way is preferred.
  await until(async () => {
    const used = await pair(page);
    assert.deepEqual([used?.protocol, used?.remote, used?.relay], ["tcp", "tcp", null], JSON.stringify(used));
    return true;
  }, "the way in use");
  await isWhole(room);
  await room.locator("[data-testid=voice]").click();
  await until(async () => Math.abs((await heardHz(page)) - ROOM_HZ) < 30, "the room's tone at the mentor");
  await page.close();
});

for (const [name, relay] of [["UDP", "udp"], ["TCP", "tcp"], ["TLS", "tls"]]) {
  test(`through the relay by ${name}`, WHOLE, async () => {
    const page = await open.context.newPage();
    await page.addInitScript(watch, turn.urls[relay]);
    await page.goto(product.links.mentor);
    await isWhole(page);
    const used = await until(() => pair(page), "the way in use");
    assert.deepEqual([used.type, used.relay], ["relay", relay], JSON.stringify(used));
    await page.close();
  });
}

test("sg45: before its user name at the relay runs out a page has another, and goes on by a way that it opened with it", WHOLE, async () => {
  const brief = await startProduct(["--turn", turn.urls.udp, "--turn-secret", turn.secretFile, "--turn-valid", "30"]);
  const page = await open.context.newPage();
  try {
    await page.addInitScript(watch, turn.urls.udp);
    await page.goto(brief.links.mentor);
    await isWhole(page);
    const named = () => page.evaluate(() => globalThis.path.getConfiguration().iceServers[0].username);
    const [name, before] = [await named(), await until(() => pair(page), "a way")];
    await until(async () => (await named()) !== name, "another user name");
    const moved = await until(async () => {
      const now = await pair(page);
      return now !== null && now.port !== before.port ? now : null;
    }, "another way");
    assert.deepEqual([before.type, moved.type, moved.relay], ["relay", "relay", "udp"], JSON.stringify([before, moved]));
    await isWhole(page);
  } finally {
    await page.close();
    assert.equal(await brief.stop(), 0, brief.log());
  }
});

test("the relay takes no user name that has expired, and no wrong password", WHOLE, async () => {
  const page = await open.context.newPage();
  await page.goto(`${product.base_url}/healthz`);
  const gather = (server) => page.evaluate(async (server) => {
    const pc = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" });
    const found = [];
    const faults = [];
    pc.onicecandidate = (e) => { if (e.candidate) found.push(e.candidate.candidate); };
    pc.onicecandidateerror = (e) => faults.push(e.errorCode);
    pc.createDataChannel("x");
    await pc.setLocalDescription();
    // A way, or the relay's word that there is none.
    for (const end = performance.now() + 90_000; performance.now() < end && found.length === 0 && !(faults.length > 0 && pc.iceGatheringState === "complete"); ) await new Promise((r) => setTimeout(r, 50));
    pc.close();
    return { found: found.length, faults: [...new Set(faults)] };
  }, server);
  const urls = [turn.urls.tcp];
  const sound = await gather({ urls, ...turn.credentials(600) });
  assert.ok(sound.found > 0, `one that is sound is taken: ${JSON.stringify(sound)}`);
  assert.deepEqual(await gather({ urls, ...turn.credentials(-60) }), { found: 0, faults: [401] });
  assert.deepEqual(await gather({ urls, ...turn.credentials(60), credential: "no such" }), { found: 0, faults: [401] });
  await page.close();
});

/** Of a loopback interface, as the kernel lists it: without it there is no IPv6 to be had here. */
const hasIPv6 = () => {
  try {
    return readFileSync("/proc/net/if_inet6", "utf8").includes("00000000000000000000000000000001");
  } catch {
    return false;
  }
};

test("over IPv6 alone: a page, and a WHIP camera and a WHEP player of the browser's own", { ...WHOLE, skip: hasIPv6() ? false : "this machine has no IPv6" }, async () => {
  const six = await startProduct(["--bind", "::1"]);
  const base = `https://[::1]:${new URL(six.base_url).port}`;
  const page = await open.context.newPage();
  const own = await open.context.newPage();
  try {
    await page.addInitScript(watch, null);
    await page.goto(six.links.mentor.replace(six.base_url, base));
    await isWhole(page);
    assert.equal((await until(() => pair(page), "the way in use")).at, "::1");
    await own.goto(`${base}/healthz`);
    const shown = await own.evaluate(async ({ publisher, desk, patience }) => {
      const up = (pc) => new Promise((resolve) => { pc.onconnectionstatechange = () => pc.connectionState === "connected" && resolve(); });
      const remote = async (pc) => {
        const stats = await pc.getStats();
        const used = [...stats.values()].find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
        return stats.get(used?.remoteCandidateId)?.address;
      };
      const begin = async (pc, url, token) => {
        await pc.setLocalDescription();
        for (const until = Date.now() + patience; ;) {
          const answer = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/sdp" }, body: pc.localDescription.sdp });
          if (answer.status === 201) return pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
          const after = answer.headers.get("retry-after");
          if (after === null || Date.now() > until) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
          await new Promise((resolve) => { setTimeout(resolve, Number(after) * 1000); });
        }
      };
      const canvas = new OffscreenCanvas(320, 180);
      const paint = canvas.getContext("2d");
      const generator = new MediaStreamTrackGenerator({ kind: "video" });
      const writer = generator.writable.getWriter();
      let n = 0;
      const drawing = setInterval(() => {
        paint.fillStyle = "rgb(208 32 32)";
        paint.fillRect(0, 0, 320, 180);
        const frame = new VideoFrame(canvas, { timestamp: (n += 1) * 33_000 });
        void writer.write(frame);
      }, 33);
      const camera = new RTCPeerConnection();
      camera.addTransceiver(generator, { direction: "sendonly" });
      const sending = up(camera);
      await begin(camera, "/whip/demo/glasses", publisher);
      await sending;
      const player = new RTCPeerConnection();
      player.addTransceiver("video", { direction: "recvonly" });
      const playing = up(player);
      const decoded = async () => [...(await player.getStats()).values()].find((s) => s.type === "inbound-rtp")?.framesDecoded ?? 0;
      await begin(player, "/whep/demo?feed=glasses", desk);
      await playing;
      for (const until = Date.now() + patience; Date.now() < until && (await decoded()) < 10;) await new Promise((resolve) => { setTimeout(resolve, 50); });
      clearInterval(drawing);
      return { frames: await decoded(), camera: await remote(camera), player: await remote(player) };
    }, { publisher: six.tokens.publisher, desk: six.tokens.desk, patience: SETTLE.timeout });
    assert.ok(shown.frames >= 10, JSON.stringify(shown));
    assert.deepEqual([shown.camera, shown.player], ["::1", "::1"]);
  } finally {
    await own.close();
    await page.close();
    assert.equal(await six.stop(), 0, six.log());
  }
});
