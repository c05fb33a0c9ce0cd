// How ink looks: the author's texture and the passes of line that draw it, back to front. Gaps mean doubt and nothing else,
// so authors are never told apart by dashes of the line itself; beads and ticks stand on an unbroken line.
import type { Point } from '../points';
import { PICTURE_WIDTH } from '../units';

/** A single cyan, B hollow yellow, C beaded white, D ticked green. */
export type Texture = 'A' | 'B' | 'C' | 'D';
export const INK_COLOUR: Record<Texture, string> = { A: '#3DE8FF', B: '#FFE24A', C: '#FFFFFF', D: '#A6F58C' };
const HALO = '#000000';
const ORDER: readonly Texture[] = ['A', 'B', 'C', 'D'];

export interface Drawer { readonly author: number; readonly lead: boolean; readonly mayDraw: boolean }

/** Which texture an author has: the lead mentor A, the others that may draw in the order of their numbers. */
export function textureOf(author: number, people: readonly Drawer[]): Texture {
  const drawers = people.filter((p) => p.mayDraw || p.lead).sort((a, b) => Number(b.lead) - Number(a.lead) || a.author - b.author);
  const place = drawers.findIndex((p) => p.author === author);
  return ORDER[place < 0 ? Math.min(3, Math.max(0, drawers.length)) : Math.min(3, place)] ?? 'D';
}

/** One pass of a line. `dash` empty: unbroken. All in the unit of `width`. */
export interface Pass { readonly colour: string; readonly width: number; readonly cap: 'round' | 'butt'; readonly dash: readonly number[] }

/** The passes of a texture at line width `w`. Total width 2.1 x (single) to 3 x (hollow) the line. */
export function passes(texture: Texture, w: number): Pass[] {
  const c = INK_COLOUR[texture];
  const line = (colour: string, width: number, dash: readonly number[] = [], cap: Pass['cap'] = 'round'): Pass => ({ colour, width, cap, dash });
  switch (texture) {
    case 'A': return [line(HALO, w * 2.1), line(c, w)];
    case 'B': return [line(HALO, w * 3), line(c, w * 1.9), line(HALO, w * 0.75)];
    case 'C': return [line(HALO, w * 2.6), line(HALO, w * 3.2, [0, w * 6]), line(c, w * 0.8), line(c, w * 2.2, [0, w * 6])];
    case 'D': return [line(HALO, w * 2.6), line(HALO, w * 4, [w * 1.7, w * 5], 'butt'), line(c, w * 0.8), line(c, w * 3, [w * 0.8, w * 5.9], 'butt')];
  }
}

/** A rectangle on the canvas, in its pixels. */
export interface Box { readonly x: number; readonly y: number; readonly w: number; readonly h: number }

export interface XY { readonly x: number; readonly y: number }

/** A feed's point on the canvas: both axes in units of the picture's width. */
export function toCanvas(p: Point, box: Box): XY {
  return { x: box.x + (p.x / PICTURE_WIDTH) * box.w, y: box.y + (p.y / PICTURE_WIDTH) * box.w };
}

/** Thinnest line on any screen, CSS px. */
const LINE_PX_MIN = 3;

/** Line width on the canvas: as drawn, at most 6 px of a 1080p picture, at least 3 CSS px. `scale`: CSS px per 1080p pixel. */
export function lineWidth(width: number, box: Box, scale: number): number {
  return Math.max(LINE_PX_MIN, Math.min(6 * scale, (width / PICTURE_WIDTH) * box.w));
}

/** A smooth curve: from the start, quadratic pieces through the midpoints, each sample being a control point; ends exact. */
export interface Curve { readonly start: XY; readonly pieces: readonly { readonly control: XY; readonly end: XY }[] }

export function smooth(points: readonly XY[]): Curve | null {
  const start = points[0];
  if (!start) return null;
  const pieces: { control: XY; end: XY }[] = [];
  for (let i = 1; i < points.length; i += 1) {
    const control = points[i];
    if (!control) continue;
    const next = points[i + 1];
    pieces.push({ control, end: next ? { x: (control.x + next.x) / 2, y: (control.y + next.y) / 2 } : control });
  }
  return { start, pieces };
}
