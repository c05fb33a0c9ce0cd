// Lines through points: smoothing, arc length, dashes. As annotation/src/outline/path.rs.
import type { Point } from '../points';

/** A place on the glass, px. */
export interface XY { readonly x: number; readonly y: number }

/** Farthest that a flattened curve may lie beside the curve, px; and chords of one curve at most. */
const FLATNESS = 0.1;
const CHORDS_MAX = 16;
const ELLIPSE_CORNERS = 64;
/** Shorter than this a line is a dot, px. */
const DOT = 0.01;

/** A stretch of a pen's path that has one width: eighths of the stroke's, 4 to 8, by the pressure. */
export interface Run { readonly eighths: number; readonly points: XY[] }

/**
 * A smooth path: quadratic curves through the midpoints, each sample being a control point; both ends exact. Cut where the
 * pressure changes its width.
 */
export function bend(path: readonly XY[], samples: readonly Point[]): Run[] {
  const start = path[0];
  if (!start) return [];
  const pressure = (i: number): number => samples[i]?.pressure ?? 255;
  if (path.length === 1) return [{ eighths: eighths(pressure(0)), points: [start] }];
  const runs: Run[] = [];
  let run: Run | null = null;
  let at = start;
  for (let i = 1; i < path.length; i += 1) {
    const control = path[i] as XY;
    const next = path[i + 1];
    const end = next ? { x: (control.x + next.x) / 2, y: (control.y + next.y) / 2 } : control;
    const level = eighths(Math.floor((pressure(i - 1) + 2 * pressure(i) + pressure(Math.min(i + 1, path.length - 1))) / 4));
    if (run === null || run.eighths !== level) {
      run = { eighths: level, points: [at] };
      runs.push(run);
    }
    flatten(run.points, at, control, end);
    at = end;
  }
  return runs;
}

/** No pressure: half the width; full pressure, and a device that has none: all of it. */
const eighths = (pressure: number): number => 4 + Math.floor((pressure * 4 + 127) / 255);

/** Chords of equal parameter, as many as FLATNESS asks for. The error of n chords is |from − 2 control + end| / 4n². */
function flatten(out: XY[], from: XY, control: XY, end: XY): void {
  const bow = Math.hypot(from.x - 2 * control.x + end.x, from.y - 2 * control.y + end.y);
  const n = Math.max(1, Math.min(CHORDS_MAX, Math.ceil(Math.sqrt(bow / (4 * FLATNESS)))));
  for (let k = 1; k <= n; k += 1) {
    const t = k / n;
    const a = (1 - t) * (1 - t);
    const b = 2 * t * (1 - t);
    const c = t * t;
    out.push({ x: a * from.x + b * control.x + c * end.x, y: a * from.y + b * control.y + c * end.y });
  }
}

/** Corners of the ellipse that touches the box between two opposite corners, in units of points. */
export function ellipse(first: Point, last: Point): XY[] {
  const cx = (first.x + last.x) / 2;
  const cy = (first.y + last.y) / 2;
  const rx = Math.abs(last.x - first.x) / 2;
  const ry = Math.abs(last.y - first.y) / 2;
  return Array.from({ length: ELLIPSE_CORNERS }, (_, k) => {
    const angle = (k * 2 * Math.PI) / ELLIPSE_CORNERS;
    return { x: cx + rx * Math.cos(angle), y: cy + ry * Math.sin(angle) };
  });
}

export function pathLength(path: readonly XY[]): number {
  let length = 0;
  for (let i = 1; i < path.length; i += 1) length += step(path, i);
  return length;
}

const step = (path: readonly XY[], i: number): number => {
  const a = path[i - 1] as XY;
  const b = path[i] as XY;
  return Math.hypot(b.x - a.x, b.y - a.y);
};

export const isDot = (path: readonly XY[]): boolean => pathLength(path) < DOT;

/** The place `s` px along the path and the direction there (a unit vector); beyond its end, the end. Null: it has no length. */
export function alongPath(path: readonly XY[], s: number): { at: XY; direction: XY } | null {
  let left = s;
  let last: { at: XY; direction: XY } | null = null;
  for (let i = 1; i < path.length; i += 1) {
    const a = path[i - 1] as XY;
    const b = path[i] as XY;
    const length = step(path, i);
    if (length <= 0) continue;
    const direction = { x: (b.x - a.x) / length, y: (b.y - a.y) / length };
    if (left <= length) return { at: { x: a.x + direction.x * left, y: a.y + direction.y * left }, direction };
    left -= length;
    last = { at: b, direction };
  }
  return last;
}

/** The stretch of the path from `from` to `to` px along it. */
export function stretch(path: readonly XY[], from: number, to: number): XY[] {
  const out: XY[] = [];
  const start = alongPath(path, from);
  if (!start) return out;
  out.push(start.at);
  let s = 0;
  for (let i = 1; i < path.length; i += 1) {
    s += step(path, i);
    if (s > from && s < to) out.push(path[i] as XY);
  }
  const end = alongPath(path, to);
  if (end) out.push(end.at);
  return out;
}
