// A real Chromium with a microphone that plays a tone of ours.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

/** Of a test: longer than all its waits together, each of which says by itself what it waited for in vain. Nothing in these tests measures time. */
export const WHOLE = { timeout: 3_600_000 };
/** Of one wait, longer than any busy machine needs. */
export const PATIENCE_MS = 120_000;
export const SETTLE = { timeout: PATIENCE_MS };

/** `toneHz`: what its microphone hears, in bursts. `language`: of the browser. `args`: further flags of it. */
export async function openBrowser({ toneHz, language = "en-GB", viewport = { width: 1440, height: 900 }, args = [] }) {
  const wav = path.join(mkdtempSync(path.join(tmpdir(), "shirube-tone-")), "tone.wav");
  writeFileSync(wav, tone(toneHz));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
      "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-audio-capture=${wav}`,
      ...args,
    ],
  });
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language, viewport });
  context.setDefaultTimeout(PATIENCE_MS);
  return { browser, context, close: () => browser.close() };
}

/** 48 kHz mono 16 bit: 0.6 s of tone, 0.2 s of silence, played over and over. */
function tone(hz) {
  const rate = 48_000;
  const n = Math.round(rate * 0.8);
  const out = Buffer.alloc(44 + n * 2);
  out.write("RIFF", 0);
  out.writeUInt32LE(36 + n * 2, 4);
  out.write("WAVEfmt ", 8);
  out.writeUInt32LE(16, 16);
  out.writeUInt16LE(1, 20);
  out.writeUInt16LE(1, 22);
  out.writeUInt32LE(rate, 24);
  out.writeUInt32LE(rate * 2, 28);
  out.writeUInt16LE(2, 32);
  out.writeUInt16LE(16, 34);
  out.write("data", 36);
  out.writeUInt32LE(n * 2, 40);
  for (let i = 0; i < n; i++) {
    const on = i < rate * 0.6;
    out.writeInt16LE(on ? Math.round(9000 * Math.sin((2 * Math.PI * hz * i) / rate)) : 0, 44 + i * 2);
  }
  return out;
}

/** Strongest frequency, Hz, that comes out of the page's audio elements within `ms`; 0 when silent. */
export async function heardHz(page, ms = 1500) {
  const { step, peaks } = await spectrum(page, ms);
  const at = peaks.reduce((best, db, i) => (i >= 4 && db > peaks[best] ? i : best), 4);
  return peaks[at] > -60 ? at * step : 0;
}

/** Which of these tones, Hz, come out of the page's audio elements within `ms`, whichever is louder: each 20 dB above what is 60 to 120 Hz off it. */
export async function heardTones(page, tones, ms = 1500) {
  const { step, peaks } = await spectrum(page, ms);
  const loudest = (from, to) => Math.max(...peaks.slice(Math.floor(from / step), Math.ceil(to / step) + 1));
  return tones.filter((hz) => {
    const tone = loudest(hz - 15, hz + 15);
    return tone > -60 && tone > Math.max(loudest(hz - 120, hz - 60), loudest(hz + 60, hz + 120)) + 20;
  });
}

/** The highest level, dB, of each band of `step` Hz within `ms`. */
function spectrum(page, ms) {
  return page.evaluate(async (ms) => {
    const context = new AudioContext();
    // Without a player nothing is heard, which must not be taken for silence.
    await Promise.race([context.resume(), new Promise((_, reject) => setTimeout(() => reject(new Error("the browser plays no sound")), 30_000))]);
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    for (const element of document.querySelectorAll("audio")) {
      if (element.srcObject && !element.muted && !element.paused) context.createMediaStreamSource(element.srcObject).connect(analyser);
    }
    const bins = new Float32Array(analyser.frequencyBinCount);
    const peaks = new Array(bins.length).fill(-200);
    for (const end = performance.now() + ms; performance.now() < end; ) {
      await new Promise((r) => setTimeout(r, 60));
      analyser.getFloatFrequencyData(bins);
      for (let i = 0; i < bins.length; i++) if (bins[i] > peaks[i]) peaks[i] = bins[i];
    }
    await context.close();
    return { step: context.sampleRate / analyser.fftSize, peaks };
  }, ms);
}

/** Frames that one video of the page presents from now on, up to `wanted`; fewer where they do not come. */
export const framesOf = (page, selector, wanted) => page.evaluate(async ({ selector, wanted, ms }) => {
  const video = document.querySelector(selector);
  let n = 0;
  const count = () => { if ((n += 1) < wanted) video.requestVideoFrameCallback(count); };
  video.requestVideoFrameCallback(count);
  for (const end = performance.now() + ms; n < wanted && performance.now() < end; ) await new Promise((r) => setTimeout(r, 100));
  return n;
}, { selector, wanted, ms: PATIENCE_MS });

/** Polls until `probe` gives something truthy; fails with what it last gave. */
export async function until(probe, what, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}; last: ${last}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}
