// Similarities of the plane: where the tracker says that ink lies, and points drawn over a moving picture moved to the frame
// their stroke is anchored to (AN20, as annotation/src/rebase.rs).
import type { Point } from '../points';
import { COORDINATE_MAX } from '../points';

/** x' = a·x − b·y + tx, y' = b·x + a·y + ty; tx, ty in units of points. */
export interface Moved { readonly a: number; readonly b: number; readonly tx: number; readonly ty: number }
export const UNMOVED: Moved = { a: 1, b: 0, tx: 0, ty: 0 };

/** Largest and smallest change of size that a tracker may tell: beyond it nothing is the same picture. */
const SCALE_MAX = 4;

/** Null when it is no similarity that a picture can have made. */
export function checkedMoved({ a, b, tx, ty }: Moved): Moved | null {
  const scale = Math.hypot(a, b);
  const sound = Number.isFinite(scale) && scale >= 1 / SCALE_MAX && scale <= SCALE_MAX && Math.abs(tx) <= COORDINATE_MAX && Math.abs(ty) <= COORDINATE_MAX;
  return sound ? { a, b, tx, ty } : null;
}

export function apply(m: Moved, x: number, y: number): { x: number; y: number } {
  return { x: m.a * x - m.b * y + m.tx, y: m.b * x + m.a * y + m.ty };
}

export function inverse(m: Moved): Moved {
  const d = m.a * m.a + m.b * m.b;
  const a = m.a / d;
  const b = -m.b / d;
  return { a, b, tx: -(a * m.tx - b * m.ty), ty: -(b * m.tx + a * m.ty) };
}

/** First `inner`, then `outer`. */
export function after(outer: Moved, inner: Moved): Moved {
  const t = apply(outer, inner.tx, inner.ty);
  return { a: outer.a * inner.a - outer.b * inner.b, b: outer.b * inner.a + outer.a * inner.b, tx: t.x, ty: t.y };
}

export const isUnmoved = (m: Moved): boolean => m.a === 1 && m.b === 0 && m.tx === 0 && m.ty === 0;

export interface MovedSpan extends Moved { readonly first: number }

/** The points as they are drawn: each moved by the similarity of its span, rounded to the nearest unit, halves towards +∞. */
export function movedPoints(points: readonly Point[], spans: readonly MovedSpan[]): Point[] {
  let next = 0;
  let now = UNMOVED;
  return points.map((p, i) => {
    for (let span = spans[next]; span && span.first <= i; span = spans[next]) {
      now = checkedMoved(span) ?? UNMOVED;
      next += 1;
    }
    const at = apply(now, p.x, p.y);
    return { x: whole(at.x), y: whole(at.y), pressure: p.pressure };
  });
}

const whole = (v: number): number => Math.max(-COORDINATE_MAX, Math.min(COORDINATE_MAX, Math.floor(v + 0.5)));
