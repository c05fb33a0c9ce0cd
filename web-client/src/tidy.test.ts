// Absence is architecture: what each room may not know.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('.', import.meta.url));
const files = (dir: string): string[] => readdirSync(dir).flatMap((name) => {
  const path = join(dir, name);
  return statSync(path).isDirectory() ? files(path) : /\.tsx?$/.test(name) ? [path] : [];
});
const room = (name: string): { path: string; text: string }[] =>
  files(join(SRC, name)).filter((p) => !p.endsWith('.test.ts')).map((path) => ({ path: relative(SRC, path), text: code(readFileSync(path, 'utf8')) }));
/** Without comments, whose words are free. */
const code = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');

describe('the rooms', () => {
  it('core imports nothing from edge, stage or screens', () => {
    for (const { path, text } of room('core')) expect(text, path).not.toMatch(/from '[./]*\/(edge|stage|screens|design)\//);
  });
  it('core touches no page, no clock, no timer, no network and no chance', () => {
    for (const { path, text } of room('core')) expect(text, path).not.toMatch(/\b(window|document|navigator|performance|localStorage|sessionStorage|setTimeout|setInterval|requestAnimationFrame|fetch|WebSocket|RTCPeerConnection|Math\.random|Date\.now|new Date)\b/);
  });
  it('stage knows neither screens nor edge', () => {
    for (const { path, text } of room('stage')) expect(text, path).not.toMatch(/from '[./]*\/(edge|screens)\//);
  });
  it('only one file reads the clock', () => {
    const readers = ['edge', 'stage', 'screens', 'core'].flatMap(room).filter(({ text }) => /performance\.(now|timeOrigin)|Date\.now|new Date\b/.test(text));
    expect(readers.map((r) => r.path)).toEqual([join('edge', 'clock.ts')]);
  });
  it('no canvas is desynchronized and nothing is kept on the terminal beyond the tab', () => {
    for (const name of ['edge', 'stage', 'screens']) {
      for (const { path, text } of room(name)) {
        expect(text, path).not.toMatch(/desynchronized|localStorage|indexedDB/);
        if (path !== join('edge', 'session.ts')) expect(text, path).not.toMatch(/sessionStorage/);
      }
    }
  });
  it('files are small enough to love', () => {
    for (const path of files(SRC).filter((p) => !p.includes('/gen/') && !p.includes('.test.'))) expect(readFileSync(path, 'utf8').split('\n').length, path).toBeLessThanOrEqual(600);
  });
});
