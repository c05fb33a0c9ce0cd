import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Reference } from '../../gen/ink_pb';
import { Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import { opacityAt } from './fade';
import { textureOf } from './look';
import { lengthLabel, lengthOf } from './measure';
import { after, apply, checkedMoved, inverse, movedPoints, UNMOVED } from './moved';
import { label, lineWidth, penTip, shapes } from './outline';
import type { Box, Shape, Texture } from './outline';

const file = new URL('../../../../annotation/vectors/outline.json', import.meta.url);
type Triple = [number, number, number];
interface Vectors {
  marks: {
    name: string; tool: string; points: Triple[]; width: number; texture: Texture; unsure: boolean; text: string; advance_em: number; reference: number[] | null;
    moved: [number, number, number, number]; placement: [number, number, number, number]; scale: number; shapes: Told[];
  }[];
  label: { start: [number, number]; text: string; px: number; advance_em: number; placement: [number, number, number, number]; shapes: Told[] };
  lengths: { from: [number, number]; to: [number, number]; reference: number[]; words: string; mm: number; uncertainty_mm: number; label: string }[];
  moved: { points: Triple[]; spans: [number, number, number, number, number][]; moved: Triple[] };
  fades: { since_received_ms: number; opacity: number }[];
}
interface Told { kind: string; ink?: string; width?: number; cap?: string; closed?: boolean; points?: [number, number][]; at?: [number, number]; radius?: number; x?: number; y?: number; w?: number; h?: number; px?: number; text?: string }

const vectors = (): Vectors => JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const boxOf = ([x, y, w, h]: [number, number, number, number]): Box => ({ x, y, w, h });
const pointOf = ([x, y, pressure]: Triple): Point => ({ x, y, pressure });
const referenceOf = (r: number[] | null): Reference | undefined =>
  r ? ({ x1: r[0], y1: r[1], x2: r[2], y2: r[3], lengthUm: r[4] } as Reference) : undefined;
const toolOf = (name: string): Tool => Tool[name.replace('TOOL_', '') as keyof typeof Tool];

/** Farthest difference of any number, px; kinds, parts and words must be the same. */
function difference(ours: Shape[], theirs: Told[]): number {
  expect(ours.map((s) => [s.kind, 'ink' in s ? s.ink : null, 'cap' in s ? s.cap : null, 'closed' in s ? s.closed : null, 'text' in s ? s.text : null]))
    .toEqual(theirs.map((s) => [s.kind, s.ink ?? null, s.cap ?? null, s.closed ?? null, s.text ?? null]));
  let worst = 0;
  const near = (a: number, b: number | undefined): void => { worst = Math.max(worst, Math.abs(a - (b ?? NaN))); };
  ours.forEach((s, i) => {
    const t = theirs[i];
    switch (s.kind) {
      case 'line':
        near(s.width, t?.width);
        expect(s.points.length).toBe(t?.points?.length);
        s.points.forEach((p, k) => { near(p.x, t?.points?.[k]?.[0]); near(p.y, t?.points?.[k]?.[1]); });
        return;
      case 'dot': near(s.at.x, t?.at?.[0]); near(s.at.y, t?.at?.[1]); near(s.radius, t?.radius); return;
      case 'box': near(s.x, t?.x); near(s.y, t?.y); near(s.w, t?.w); near(s.h, t?.h); return;
      case 'letters': near(s.at.x, t?.at?.[0]); near(s.at.y, t?.at?.[1]); near(s.px, t?.px); return;
    }
  });
  return worst;
}

describe.runIf(existsSync(file))('the shared vectors', () => {
  it('every mark has the same outline here and there, to far less than 1 px', () => {
    expect(vectors().marks.length).toBeGreaterThan(20);
    for (const m of vectors().marks) {
      const [a, b, tx, ty] = m.moved;
      const mark = { tool: toolOf(m.tool), points: m.points.map(pointOf), width: m.width, texture: m.texture, moved: { a, b, tx, ty }, unsure: m.unsure, text: m.text, reference: referenceOf(m.reference) };
      expect(difference(shapes(mark, boxOf(m.placement), m.scale, () => m.advance_em), m.shapes), m.name).toBeLessThan(0.02);
    }
  });
  it('a name stands in the same place', () => {
    const { label: l } = vectors();
    expect(difference(label({ x: l.start[0], y: l.start[1] }, l.text, l.px, boxOf(l.placement), () => l.advance_em), l.shapes)).toBeLessThan(0.02);
  });
  it('lengths and their words are the same', () => {
    for (const l of vectors().lengths) {
      const length = lengthOf({ x: l.from[0], y: l.from[1] }, { x: l.to[0], y: l.to[1] }, referenceOf(l.reference) as Reference);
      expect(length?.mm).toBeCloseTo(l.mm, 9);
      expect(length?.uncertaintyMm).toBeCloseTo(l.uncertainty_mm, 9);
      expect(length && lengthLabel(length, l.words)).toBe(l.label);
    }
  });
  it('points drawn over a moving picture are moved to the same places', () => {
    const { moved } = vectors();
    expect(movedPoints(moved.points.map(pointOf), moved.spans.map(([first, a, b, tx, ty]) => ({ first, a, b, tx, ty })))).toEqual(moved.moved.map(pointOf));
  });
  it('ink fades alike', () => {
    const received = 1_000n << 32n;
    for (const f of vectors().fades) expect(opacityAt(received, received + ((BigInt(f.since_received_ms) << 32n) + 999n) / 1000n), String(f.since_received_ms)).toBeCloseTo(f.opacity, 6);
  });
});

describe('textures', () => {
  const people = [{ author: 1, texture: 0 }, { author: 2, texture: 2 }, { author: 5, texture: 1 }, { author: 3, texture: 3 }];
  it('are those that the server has given, however the list lies', () => {
    expect([5, 2, 3].map((a) => textureOf(a, people))).toEqual(['A', 'B', 'C']);
    expect([5, 2, 3].map((a) => textureOf(a, [...people].reverse()))).toEqual(['A', 'B', 'C']);
  });
  it('stay with their person when others come and go, and when the pen does', () => {
    expect(textureOf(3, people.filter((p) => p.author === 3))).toBe('C');
  });
});

describe('lines', () => {
  it('keep between 3 px and 6 px of a 1080p picture', () => {
    const box = { x: 0, y: 0, w: 1_920, h: 1_080 };
    expect(lineWidth(51, box, 1)).toBeCloseTo(5.98, 1);
    expect(lineWidth(512, box, 1)).toBe(6);
    expect(lineWidth(1, box, 1)).toBe(3);
  });
});

describe('similarities', () => {
  const m = { a: 0.9, b: 0.2, tx: 300, ty: -120 };
  it('undo themselves', () => {
    const back = apply(after(inverse(m), m), 1_234, 5_678);
    expect(back.x).toBeCloseTo(1_234, 6);
    expect(back.y).toBeCloseTo(5_678, 6);
  });
  it('are not believed when no picture can have moved so', () => {
    expect(checkedMoved({ ...UNMOVED, a: Number.NaN })).toBeNull();
    expect(checkedMoved({ ...UNMOVED, a: 5 })).toBeNull();
    expect(checkedMoved({ ...UNMOVED, tx: 2e5 })).toBeNull();
    expect(checkedMoved(m)).toEqual(m);
  });
});

describe('the end of a line under a pen', () => {
  const box = { x: 0, y: 0, w: 1920, h: 1080 };
  const mark = (unsure: boolean, tool = Tool.PEN) => ({ tool, points: [{ x: 0, y: 0, pressure: 255 }, { x: 1_000, y: 0, pressure: 255 }], width: 34, texture: 'A' as const, moved: { ...UNMOVED, tx: 500 }, unsure, text: '', reference: undefined });

  it('an29_while_unsure_a_dot_stands_where_the_pen_is_so_that_no_gap_hides_it', () => {
    const tip = penTip(mark(true), box, 1);
    expect(tip.map((s) => s.kind)).toEqual(['dot', 'dot']);
    for (const dot of tip) expect(dot).toMatchObject({ at: { x: (1_500 * 1_920) / 16_384, y: 0 } });
    expect(tip[0]).toMatchObject({ ink: 'halo' });
    expect(penTip(mark(false), box, 1), 'a line without gaps shows its own end').toEqual([]);
    expect(penTip(mark(true, Tool.ARROW), box, 1)).toEqual([]);
  });
});
