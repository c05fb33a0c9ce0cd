// A camera of another maker's WebRTC: werift, written in TypeScript from the RFCs, which shares no code with browsers or with
// our server. It publishes H.264 and VP8 by WHIP, without trickling; the desk shows it and the program has it in its place.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { MediaStreamTrack, RTCPeerConnection, useH264, useVP8 } from "werift";

import { openBrowser, SETTLE, until, WHOLE } from "./lib/browser.mjs";
import { startProduct } from "./lib/product.mjs";

/** Payload types of what werift offers, and of what is fed to it. */
const KINDS = {
  h264: { codec: useH264, encode: "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=800 ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 mtu=1100" },
  vp8: { codec: useVP8, encode: "vp8enc deadline=1 cpu-used=16 keyframe-max-dist=30 target-bitrate=800000 ! rtpvp8pay mtu=1100" },
};

let product, browser, desk;

before(async () => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
  product = await startProduct();
  browser = await openBrowser({ toneHz: 800 });
  desk = await browser.context.newPage();
  await desk.goto(product.links.desk);
});

after(async () => {
  await browser?.close();
  if (product) assert.equal(await product.stop(), 0, product.log());
});

for (const kind of Object.keys(KINDS)) {
  test(`a camera of another maker publishes ${kind}, is seen alone and composed, and goes`, WHOLE, async () => {
    const feed = `cam-${kind}`;
    const camera = await publish(kind, feed);
    try {
      // The desk puts it large and has its pictures, forwarded as they came.
      await desk.locator(`[data-testid=show-${feed}]`).click(SETTLE);
      await desk.waitForFunction((f) => document.querySelector("[data-testid=stage]")?.dataset.feed === f, feed, SETTLE);
      const before = await framesShown();
      await until(async () => (await framesShown()) > before + 20, `pictures of ${feed} on the desk`);
      await until(() => desk.evaluate(() => document.querySelector("[data-testid=stage] video").videoWidth === 320), "its own size");
      // The vendor's figures say that the engine composes it: live, with its size.
      const vendor = await browser.context.newPage();
      await vendor.goto(product.links.vendor);
      const row = vendor.locator(`[data-testid=feed-${feed}]`);
      await row.waitFor(SETTLE);
      await until(async () => /320×180/.test(await row.innerText()), `${feed} decoded by the engine`);
      await vendor.close();
    } finally {
      assert.equal(await camera.leave(), 200);
    }
    await desk.keyboard.press("0");
    await desk.locator(`[data-testid=show-${feed}]`).waitFor({ state: "detached", ...SETTLE });
  });
}

/** Frames of what stands large that reached the glass. */
function framesShown() {
  return desk.evaluate(() => document.querySelector("[data-testid=stage] video")?.getVideoPlaybackQuality().totalVideoFrames ?? 0);
}

async function publish(kind, feed) {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  const picture = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=30/1";
  const words = `-q ${picture} ! ${KINDS[kind].encode} pt=96 ! udpsink host=127.0.0.1 port=${port}`.split(" ");
  const source = spawn("gst-launch-1.0", words, { stdio: ["ignore", "ignore", "inherit"] });
  const track = new MediaStreamTrack({ kind: "video" });
  socket.on("message", (packet) => track.writeRtp(packet));

  const pc = new RTCPeerConnection({ codecs: { video: [KINDS[kind].codec()] }, iceServers: [], bundlePolicy: "max-bundle" });
  pc.addTransceiver(track, { direction: "sendonly" });
  await pc.setLocalDescription(await pc.createOffer());
  const url = `${product.base_url}/whip/${product.case}/${feed}`;
  const authorization = `Bearer ${product.tokens.publisher}`;
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp", authorization }, body: pc.localDescription.sdp });
  const sdp = await answer.text();
  assert.equal(answer.status, 201, sdp);
  await pc.setRemoteDescription({ type: "answer", sdp });
  await until(() => pc.connectionState === "connected", `werift's own word on its connection: ${pc.connectionState}`);
  return {
    async leave() {
      const gone = await fetch(new URL(answer.headers.get("location"), url), { method: "DELETE", headers: { authorization } });
      source.kill("SIGTERM");
      socket.close();
      await pc.close();
      return gone.status;
    },
  };
}
