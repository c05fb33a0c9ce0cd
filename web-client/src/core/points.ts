// Points of a stroke: first absolute, then differences, as the wire carries them. The same codec runs in
// annotation/src/points.rs; vectors: annotation/vectors/points.json.
import { create } from '@bufbuild/protobuf';
import type { Points } from '../gen/ink_pb';
import { PointsSchema } from '../gen/ink_pb';
import { PICTURE_WIDTH } from './units';

/** One sample of the pen. x, y: 1/16384 of the picture's *width* on both axes. pressure: 0..255, 255 when there is none. */
export interface Point { readonly x: number; readonly y: number; readonly pressure: number }

/** Largest coordinate either way: a picture eight times as high as wide. */
export const COORDINATE_MAX = 8 * PICTURE_WIDTH;
/** Most points of one stroke: 17 s at 240 Hz; a pen down for longer begins a new stroke. */
export const POINTS_MAX = 4_096;

export function encodePoints(points: readonly Point[]): Points {
  const x: number[] = [];
  const y: number[] = [];
  let px = 0;
  let py = 0;
  for (const p of points) {
    x.push(p.x - px);
    y.push(p.y - py);
    px = p.x;
    py = p.y;
  }
  const pressure = points.some((p) => p.pressure !== 255) ? Uint8Array.from(points, (p) => p.pressure) : new Uint8Array();
  return create(PointsSchema, { x, y, pressure });
}

/** Points from the wire, checked: equal lengths, at most POINTS_MAX, every coordinate within COORDINATE_MAX. Null: unreadable. */
export function decodePoints(points: Points): Point[] | null {
  const n = points.x.length;
  if (points.y.length !== n || !(points.pressure.length === 0 || points.pressure.length === n) || n > POINTS_MAX) return null;
  const out: Point[] = [];
  let x = 0;
  let y = 0;
  for (let i = 0; i < n; i += 1) {
    x += points.x[i] ?? 0;
    y += points.y[i] ?? 0;
    if (Math.abs(x) > COORDINATE_MAX || Math.abs(y) > COORDINATE_MAX) return null;
    out.push({ x, y, pressure: points.pressure[i] ?? 255 });
  }
  return out;
}

/** How far a point may be from the line that replaces it: 2/16384, a sixth of a pixel at 1280. */
const SIMPLIFY_TOLERANCE = 2;

/** Leaves out points that the line between their neighbours passes within the tolerance (Douglas–Peucker). Keeps both ends. */
export function simplifyPoints(points: readonly Point[], tolerance = SIMPLIFY_TOLERANCE): Point[] {
  return keptPoints(points, tolerance).map((i) => points[i] as Point);
}

/** The same, as ascending indexes of what is kept. */
export function keptPoints(points: readonly Point[], tolerance = SIMPLIFY_TOLERANCE): number[] {
  const n = points.length;
  if (n < 3) return points.map((_, i) => i);
  const keep = new Uint8Array(n);
  keep[0] = 1;
  keep[n - 1] = 1;
  const spans: [number, number][] = [[0, n - 1]];
  for (let span = spans.pop(); span; span = spans.pop()) {
    const [from, to] = span;
    const a = points[from];
    const b = points[to];
    if (!a || !b) continue;
    let far = -1;
    let farthest = tolerance;
    for (let i = from + 1; i < to; i += 1) {
      const p = points[i];
      if (!p) continue;
      const d = distanceToSegment(p, a, b);
      if (d > farthest) {
        farthest = d;
        far = i;
      }
    }
    if (far >= 0) {
      keep[far] = 1;
      spans.push([from, far], [far, to]);
    }
  }
  const kept: number[] = [];
  for (let i = 0; i < n; i += 1) if (keep[i] === 1) kept.push(i);
  return kept;
}

function distanceToSegment(p: Point, a: Point, b: Point): number {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length2 = dx * dx + dy * dy;
  const t = length2 === 0 ? 0 : Math.max(0, Math.min(1, ((p.x - a.x) * dx + (p.y - a.y) * dy) / length2));
  return Math.hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}
