// One headless Chromium, the same for the product and the baseline.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../web-client/package.json', import.meta.url));
export const { chromium } = require('playwright-core');

/** The same viewport for every page, so that drawing the picture costs the same. */
export const VIEWPORT = { width: 1280, height: 720 };
const READER = fileURLToPath(new URL('reader.js', import.meta.url));

/** `tone`: what its microphones hear, bursts as of a person speaking, instead of Chromium's own beep. */
export async function launch({ tone = false } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
      '--disable-background-timer-throttling', '--autoplay-policy=no-user-gesture-required',
      '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      ...(tone ? [`--use-file-for-fake-audio-capture=${toneFile()}`] : []),
    ],
  });
}

/** 48 kHz mono 16 bit: 0.6 s of 440 Hz, 0.2 s of silence; played over and over. */
function toneFile() {
  const rate = 48_000;
  const samples = rate * 0.8;
  const out = Buffer.alloc(44 + samples * 2);
  out.write('RIFF', 0);
  out.writeUInt32LE(36 + samples * 2, 4);
  out.write('WAVEfmt ', 8);
  [[16, 4], [1, 2], [1, 2], [rate, 4], [rate * 2, 4], [2, 2], [16, 2]].reduce((at, [value, bytes]) => out.writeUIntLE(value, at, bytes), 16);
  out.write('data', 36);
  out.writeUInt32LE(samples * 2, 40);
  for (let i = 0; i < rate * 0.6; i += 1) out.writeInt16LE(Math.round(9_000 * Math.sin((2 * Math.PI * 440 * i) / rate)), 44 + i * 2);
  const folder = mkdtempSync(path.join(tmpdir(), 'shirube-tone-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'tone.wav'), out);
  return path.join(folder, 'tone.wav');
}

/** A page in a window of its own (a tab behind another gets no animation frames), with the reader in it. */
export async function newPage(browser, viewport = VIEWPORT) {
  const context = await browser.newContext({ viewport, ignoreHTTPSErrors: true });
  await context.grantPermissions(['microphone']);
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  await page.addInitScript({ path: READER });
  return page;
}

/** Resolves once `check` gives something truthy; the error names what was awaited. */
export async function until(what, check, limitMs = 20_000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

export const rest = (ms) => new Promise((done) => setTimeout(done, ms));

/** One run of the reader. Also checks the page's clock against this process's: the page's time must lie between ours. */
export async function read(page, seconds) {
  await page.evaluate(() => window.glass.start());
  await rest(seconds * 1000);
  const result = await page.evaluate(() => window.glass.stop());
  const offsets = [];
  for (let i = 0; i < 5; i += 1) {
    const before = performance.timeOrigin + performance.now();
    const inPage = await page.evaluate((offset) => performance.now() + offset, result.clock.offset);
    const after = performance.timeOrigin + performance.now();
    offsets.push({ early: before - inPage, late: inPage - after });
  }
  // Positive: the page's clock lies outside the bracket by that much, so it is wrong by at least that.
  result.clock.outsideDriverBracketMs = Math.max(...offsets.map((o) => Math.max(o.early, o.late, 0)));
  return result;
}
