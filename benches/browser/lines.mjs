// The browser's end of `lines`: one request a line on stdin, one answer a line on stdout. What a page sees and hears over a
// window of time, while the other side makes its line bad.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch, newPage, rest, until } from './launch.mjs';

const WATCH = fileURLToPath(new URL('watch.js', import.meta.url));
/** The room stands beside, small: it speaks, and takes little of the machine. */
const BESIDE = { width: 640, height: 360 };
/** How often the size of the picture is looked at. */
const LOOK_MS = 50;

/** Only what is offered by TCP is left of the server's addresses: as behind a firewall that lets no UDP through. */
const ONLY_TCP = `{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    setRemoteDescription(description) {
      const sdp = (description?.sdp ?? '').split('\\r\\n').filter((line) => !/^a=candidate:\\S+ \\d+ udp /i.test(line)).join('\\r\\n');
      return super.setRemoteDescription({ type: description.type, sdp });
    }
  };
}`;

/** Counts of the video track that shows most, and of all voices, since the connection began. */
const STATS = `async () => {
  const stats = await window.lines.pc().getStats();
  let video = null;
  const voice = { concealed: 0, samples: 0, silent: 0 };
  let carrier = 'none';
  for (const one of stats.values()) {
    if (one.type === 'inbound-rtp' && one.kind === 'video' && (one.framesDecoded ?? 0) >= (video?.framesDecoded ?? 0)) video = one;
    if (one.type === 'inbound-rtp' && one.kind === 'audio') {
      voice.concealed += one.concealedSamples ?? 0;
      voice.silent += one.silentConcealedSamples ?? 0;
      voice.samples += one.totalSamplesReceived ?? 0;
    }
    if (one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded') carrier = stats.get(one.remoteCandidateId)?.protocol ?? carrier;
  }
  return {
    freezes: video?.freezeCount ?? 0, freezeMs: 1000 * (video?.totalFreezesDuration ?? 0), decoded: video?.framesDecoded ?? 0,
    nacks: video?.nackCount ?? 0, plis: video?.pliCount ?? 0, lost: video?.packetsLost ?? 0, id: video?.id ?? '', voice, carrier,
  };
}`;
/** Keeps hold of the newest connection, and notes each change of the picture's size. */
const KEEP = `{
  const Outer = window.RTCPeerConnection;
  let newest = null;
  window.RTCPeerConnection = class extends Outer { constructor(...args) { super(...args); newest = this; } };
  let widths = [];
  setInterval(() => {
    const wide = Math.max(0, ...[...document.querySelectorAll('video')].map((v) => v.videoWidth));
    if (widths.at(-1)?.[1] !== wide) widths.push([Date.now(), wide]);
  }, ${LOOK_MS});
  window.lines = { pc: () => newest, widths: () => { const all = widths; widths = all.slice(-1); return all; } };
}`;

/** When each burst of sound begins: of what its microphone takes, or of what it plays. */
const EARS = `{
  const EVERY_MS = 4;
  const SILENT_MS = 80;
  const LOUD = 0.02;
  const taken = [];
  const native = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => { const stream = await native(wish); taken.push(...stream.getAudioTracks()); return stream; };
  let begun = [];
  window.ears = {
    async listen(own) {
      const tracks = own ? taken : window.lines.pc().getReceivers().map((r) => r.track).filter((t) => t.kind === 'audio');
      const context = new AudioContext();
      await context.resume();
      const ears = tracks.filter((t) => t.readyState === 'live').map((track) => {
        const ear = new AnalyserNode(context, { fftSize: 256 });
        context.createMediaStreamSource(new MediaStream([track])).connect(ear);
        return ear;
      });
      const wave = new Float32Array(256);
      let silentSince = null;
      setInterval(() => {
        const now = performance.timeOrigin + performance.now();
        let loud = false;
        for (const ear of ears) { ear.getFloatTimeDomainData(wave); loud ||= wave.some((v) => Math.abs(v) > LOUD); }
        if (!loud) silentSince ??= now;
        else if (silentSince !== null) { if (now - silentSince >= SILENT_MS) begun.push(now); silentSince = null; }
      }, EVERY_MS);
      return ears.length;
    },
    take: () => { const all = begun; begun = []; return all; },
  };
}`;
/** When the first picture is on the glass, ms since the link was opened. */
const FIRST = `{
  const look = () => {
    const there = [...document.querySelectorAll('video')].some((v) => v.readyState >= 2 && v.videoWidth > 0 && v.getVideoPlaybackQuality().totalVideoFrames > 0);
    requestAnimationFrame(there ? () => { window.firstPicture = performance.now(); } : look);
  };
  requestAnimationFrame(look);
}`;

const browser = await launch({ tone: true });
let pages = {};

async function open({ links, mediaPorts, onlyTcp }) {
  for (const [name, link] of Object.entries(links)) {
    const page = await newPage(browser, name === 'mentor' ? undefined : BESIDE);
    if (onlyTcp) await page.addInitScript(ONLY_TCP);
    await page.addInitScript({ path: WATCH });
    await page.addInitScript(KEEP);
    await page.addInitScript(EARS);
    const ports = mediaPorts?.[name];
    if (ports) await page.addInitScript(`window.mediaPorts = ${JSON.stringify(ports)};`);
    pages[name] = page;
    await page.goto(link);
  }
  for (const [name, page] of Object.entries(pages)) {
    await until(`the ${name}'s page sees a picture with a time code`, () => page.evaluate(async () => (window.shirube?.frames.size() ?? 0) > 10 && (await window.glass.ready())));
  }
  return {};
}

/** One link, opened over and over in a browser that has never seen the house: ms until its first picture. */
async function opens({ link, times }) {
  const all = [];
  for (let n = 0; n < times; n += 1) {
    const page = await newPage(browser);
    await page.addInitScript(FIRST);
    await page.goto(link);
    all.push(await until('the first picture', () => page.evaluate(() => window.firstPicture ?? 0)));
    await page.context().close();
  }
  return all;
}

/** The room presses; then the mentor hears it. `ears`: what both hear is timed from now on. */
async function voice({ ears }) {
  await pages.room.locator('[data-testid=voice]').click();
  let last = 0;
  let heard = 0;
  await until('the mentor hears the room', async () => {
    const newest = await pages.mentor.evaluate(() => window.faults.played());
    heard += newest > last ? 1 : 0;
    last = newest;
    return heard > 10;
  });
  if (ears) {
    for (const [name, page] of Object.entries(pages)) {
      if ((await page.evaluate((own) => window.ears.listen(own), name === 'room')) === 0) throw new Error(`the ${name} has nothing to listen to`);
    }
  }
  return {};
}

/** What the mentor's page sees and hears for so long. */
async function look({ seconds }) {
  const page = pages.mentor;
  await page.evaluate(() => window.lines.widths());
  const all = Object.entries(pages);
  for (const [, one] of all) await one.evaluate(() => window.ears.take());
  const before = await page.evaluate(`(${STATS})()`);
  await page.evaluate(() => window.glass.start());
  await rest(seconds * 1000);
  const pictures = await page.evaluate(() => window.glass.pictures());
  const seen = await page.evaluate(() => window.glass.stop());
  const after = await page.evaluate(`(${STATS})()`);
  const widths = await page.evaluate(() => window.lines.widths());
  const heard = await page.evaluate(() => window.ears.take());
  const spoken = pages.room ? await pages.room.evaluate(() => window.ears.take()) : [];
  // The burst that is heard is the newest that was spoken.
  const ears = heard.map((at) => at - Math.max(...spoken.filter((from) => from <= at))).filter(Number.isFinite);
  // Another connection counts from nothing.
  const from = after.decoded >= before.decoded ? before : { freezes: 0, freezeMs: 0, decoded: 0, nacks: 0, plis: 0, lost: 0, voice: { concealed: 0, samples: 0, silent: 0 } };
  return {
    ages: seen.ages, missed: seen.missed, unreadable: seen.unreadable, shown: pictures.map(([at]) => at), widths, carrier: after.carrier, ears,
    freezes: after.freezes - from.freezes, freezeMs: after.freezeMs - from.freezeMs, decoded: after.decoded - from.decoded,
    nacks: after.nacks - from.nacks, plis: after.plis - from.plis, lost: after.lost - from.lost,
    concealed: after.voice.concealed - from.voice.concealed - (after.voice.silent - from.voice.silent), samples: after.voice.samples - from.voice.samples,
  };
}

async function close() {
  await Promise.all(Object.values(pages).map((page) => page.context().close()));
  pages = {};
  return {};
}

const WORDS = { open, opens, voice, look, close };
const say = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ ok: { chromium: browser.version(), node: process.versions.node } });
for await (const text of createInterface({ input: process.stdin })) {
  const request = JSON.parse(text);
  try {
    say({ ok: await WORDS[request.what](request) });
  } catch (error) {
    say({ failed: String(error?.message ?? error) });
  }
}
await browser.close();
