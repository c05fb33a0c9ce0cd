// A name in kanji is written with two cuts of one face: the interface's own, and slices fetched when they are needed.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const gen = (name: string): string => readFileSync(new URL(`../gen/${name}`, import.meta.url), 'utf8');
const faces = [gen('slices.css'), gen('fonts.css')].flatMap((css) => css.match(/@font-face\s*\{[^}]*\}/g) ?? []).filter((f) => f.includes('BIZ UDPGothic'));
const weight = (face: string): string => /font-weight:\s*([^;]+);/.exec(face)?.[1] ?? '';
const has = (face: string, sign: string): boolean => (/unicode-range:\s*([^;}]+)/.exec(face)?.[1] ?? '').split(',').some((part) => {
  const [from, to] = part.trim().slice(2).split('-').map((hex) => parseInt(hex, 16));
  const code = sign.codePointAt(0) ?? 0;
  return from !== undefined && code >= from && code <= (to ?? from);
});

describe('the Japanese face', () => {
  it('is one face for each weight: faces of other descriptors would leave a sign blank rather than stand in for it', () => {
    expect([...new Set(faces.map(weight))].sort()).toEqual(['400 599', '600 900']);
  });
  it('writes names that no text of the interface holds, in both weights', () => {
    for (const sign of '高橋健佐藤美咲渡辺直中村陽介斎齋髙') for (const w of ['400 599', '600 900']) {
      expect(faces.some((face) => weight(face) === w && has(face, sign)), `${sign} ${w}`).toBe(true);
    }
  });
});
