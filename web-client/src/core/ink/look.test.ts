import { describe, expect, it } from 'vitest';
import { INK_COLOUR, lineWidth, passes, smooth, textureOf, toCanvas } from './look';
import type { Texture } from './look';

describe('textures', () => {
  const people = [{ author: 1, lead: false, mayDraw: false }, { author: 2, lead: false, mayDraw: true }, { author: 5, lead: true, mayDraw: true }, { author: 3, lead: false, mayDraw: true }];
  it('give the lead mentor A, the others that may draw B, C, D in the order of their numbers', () => {
    expect([5, 2, 3].map((a) => textureOf(a, people))).toEqual(['A', 'B', 'C']);
  });
  it('are the same on every page whatever the order of the list', () => {
    expect([5, 2, 3].map((a) => textureOf(a, [...people].reverse()))).toEqual(['A', 'B', 'C']);
  });
  it('begin with a black halo between 2.1 and 3 times the line, and gaps never tell authors apart', () => {
    for (const t of ['A', 'B', 'C', 'D'] as Texture[]) {
      const [halo, ...rest] = passes(t, 10);
      expect(halo?.colour).toBe('#000000');
      expect(halo?.width).toBeGreaterThanOrEqual(21);
      expect(halo?.width).toBeLessThanOrEqual(30);
      expect(rest.some((p) => p.colour === INK_COLOUR[t] && p.dash.length === 0), `${t} has an unbroken line`).toBe(true);
    }
  });
});

describe('geometry', () => {
  it('puts a point by the width of its picture on both axes', () => {
    expect(toCanvas({ x: 8_192, y: 4_096, pressure: 255 }, { x: 100, y: 50, w: 400, h: 300 })).toEqual({ x: 300, y: 150 });
  });
  it('keeps a line between 3 px and 6 px of a 1080p picture', () => {
    const box = { x: 0, y: 0, w: 1_920, h: 1_080 };
    expect(lineWidth(51, box, 1)).toBeCloseTo(5.98, 1);
    expect(lineWidth(512, box, 1)).toBe(6);
    expect(lineWidth(1, box, 1)).toBe(3);
  });
  it('smooths through midpoints and keeps both ends', () => {
    const curve = smooth([{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 10, y: 10 }]);
    expect(curve?.start).toEqual({ x: 0, y: 0 });
    expect(curve?.pieces.map((p) => p.end)).toEqual([{ x: 10, y: 5 }, { x: 10, y: 10 }]);
    expect(smooth([])).toBeNull();
    expect(smooth([{ x: 1, y: 1 }])?.pieces).toEqual([]);
  });
});
