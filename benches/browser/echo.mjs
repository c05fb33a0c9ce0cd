// The browser's end of `echo`: a page whose microphone hears, from a file, a surgeon and what the page itself plays (the far
// speaker, out of a loudspeaker in a room). One request a line on stdin, one answer a line on stdout.
import { createServer } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from './launch.mjs';

/** Runs in the page. `ask`: { way, seconds, loopSeconds }; gives what the microphone heard and what was left of it, 16 bit, 48 kHz. */
const RUN = `async (ask) => {
  const rate = 48000;
  const context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
  await context.resume();
  const far = await context.decodeAudioData(await (await fetch('/far.wav')).arrayBuffer());
  const mic = await context.decodeAudioData(await (await fetch('/mic.wav')).arrayBuffer());
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const raw = await navigator.mediaDevices.getUserMedia({ audio: plain });
  const clean = ask.cancel ? await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: ask.noise, autoGainControl: false } }) : raw;
  const settings = clean.getAudioTracks()[0].getSettings();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([\`
    registerProcessor('tape', class extends AudioWorkletProcessor {
      process(inputs) {
        const part = (i) => (inputs[i] && inputs[i][0] ? inputs[i][0].slice() : new Float32Array(128));
        this.port.postMessage([currentFrame, part(0), part(1)]);
        return true;
      }
    });\`], { type: 'text/javascript' })));
  const tape = new AudioWorkletNode(context, 'tape', { numberOfInputs: 2, numberOfOutputs: 1 });
  const hush = context.createGain();
  hush.gain.value = 0;
  context.createMediaStreamSource(raw).connect(tape, 0, 0);
  context.createMediaStreamSource(clean).connect(tape, 0, 1);
  tape.connect(hush).connect(context.destination);
  let first = null;
  const tapes = [[], []];
  tape.port.onmessage = ({ data: [frame, a, b] }) => { first ??= frame; tapes[0].push(a); tapes[1].push(b); };
  const whole = (n) => { const out = new Float32Array(tapes[n].length * 128); tapes[n].forEach((p, i) => out.set(p, i * 128)); return out; };
  // Where in its file the microphone is: the place of the file that fits what was heard in the last second.
  await new Promise((done) => setTimeout(done, 3000));
  const heard = whole(0);
  const from = heard.length - rate * 2;
  const file = mic.getChannelData(0);
  const fit = (at, step) => { let s = 0; for (let i = 0; i < rate; i += step) s += heard[from + i] * file[(at + i) % file.length]; return s; };
  // Coarse by envelopes of 10 ms, then by samples.
  const hop = 480;
  const envelope = (get, n) => Array.from({ length: n }, (_, k) => { let s = 0; for (let i = 0; i < hop; i += 1) s += Math.abs(get(k * hop + i)); return s; });
  const eh = envelope((i) => heard[from + i], rate / hop);
  const ef = envelope((i) => file[i % file.length], Math.floor(file.length / hop));
  const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;
  const mh = mean(eh), mf = mean(ef);
  let best = [-Infinity, 0];
  for (let k = 0; k < ef.length; k += 1) {
    let s = 0; let norm = 0;
    for (let i = 0; i < eh.length; i += 1) { const f = ef[(k + i) % ef.length] - mf; s += (eh[i] - mh) * f; norm += f * f; }
    s /= Math.sqrt(norm + 1e-9);
    if (s > best[0]) best = [s, k];
  }
  let place = [-Infinity, 0];
  for (let at = best[1] * hop - 2 * hop; at <= best[1] * hop + 2 * hop; at += 1) { const s = fit((at + file.length) % file.length, 3); if (s > place[0]) place = [s, (at + file.length) % file.length]; }
  // The frame of this context at which the file begins anew, and the far speaker with it: what he says is heard again 60 ms later.
  const begins = first + from + (file.length - place[1]);
  let at = begins;
  while (at < context.currentTime * rate + rate / 2) at += file.length;
  if (ask.play !== 'nothing') {
    const source = context.createBufferSource();
    source.buffer = far;
    source.loop = true;
    source.loopEnd = file.length / rate;
    if (ask.play === 'peer') {
      // As in a case: the far speaker comes as a track of a peer connection, and an <audio> element plays it.
      const out = context.createMediaStreamDestination();
      source.connect(out);
      const [there, here] = [new RTCPeerConnection(), new RTCPeerConnection()];
      there.onicecandidate = (e) => { if (e.candidate) here.addIceCandidate(e.candidate); };
      here.onicecandidate = (e) => { if (e.candidate) there.addIceCandidate(e.candidate); };
      const element = new Audio();
      here.ontrack = (e) => { element.srcObject = e.streams[0]; element.play(); };
      there.addTrack(out.stream.getAudioTracks()[0], out.stream);
      await there.setLocalDescription(await there.createOffer());
      await here.setRemoteDescription(there.localDescription);
      await here.setLocalDescription(await here.createAnswer());
      await there.setRemoteDescription(here.localDescription);
      window.kept = [there, here, element];
    } else source.connect(context.destination);
    source.start(at / rate - ask.leadMs / 1000);
  }
  await new Promise((done) => setTimeout(done, (at / rate - context.currentTime) * 1000 + (ask.seconds + 0.5) * 1000));
  const text = (n) => {
    const samples = whole(n).slice(at - first, at - first + ask.seconds * rate);
    const out = new Int16Array(samples.length);
    samples.forEach((v, i) => { out[i] = Math.max(-32768, Math.min(32767, Math.round(v * 32768))); });
    let binary = '';
    const bytes = new Uint8Array(out.buffer);
    for (let i = 0; i < bytes.length; i += 32768) binary += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(binary);
  };
  const figures = { outputMs: context.outputLatency * 1000, baseMs: context.baseLatency * 1000, fit: place[0], settings };
  const answer = { raw: text(0), clean: text(1), ...figures };
  for (const stream of [raw, clean]) stream.getTracks().forEach((t) => t.stop());
  await context.close();
  return answer;
}`;

let browser = null;
let server = null;

async function open({ far, mic, disable }) {
  server = createServer((request, response) => {
    const file = { '/far.wav': far, '/mic.wav': mic }[request.url];
    response.writeHead(200, { 'content-type': file ? 'audio/wav' : 'text/html' });
    response.end(file ? readFileSync(file) : '<!doctype html><title>echo</title>');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--headless=new', '--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-renderer-backgrounding', '--disable-background-timer-throttling', '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${mic}`,
      ...(disable ? [`--disable-features=${disable}`] : []),
    ],
  });
  return { chromium: browser.version() };
}

/** Leaves what was heard, and what was left of it, in `folder`: raw.pcm and clean.pcm. */
async function run(ask) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  await page.goto(`http://localhost:${server.address().port}/`);
  const answer = await page.evaluate(`(${RUN})(${JSON.stringify(ask)})`);
  await context.close();
  const { raw, clean, ...figures } = answer;
  for (const [name, text] of Object.entries({ raw, clean })) writeFileSync(path.join(ask.folder, `${name}.pcm`), Buffer.from(text, 'base64'));
  return figures;
}

async function close() {
  await browser?.close();
  server?.close();
  (browser = null), (server = null);
  return {};
}

const WORDS = { open, run, close };
const say = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ ok: { chromium: '', node: process.versions.node } });
for await (const text of createInterface({ input: process.stdin })) {
  const request = JSON.parse(text);
  try {
    say({ ok: await WORDS[request.what](request) });
  } catch (error) {
    say({ failed: String(error?.stack ?? error) });
  }
}
await close();
