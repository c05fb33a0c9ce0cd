// Which mark lies under a place: for the eraser and the pin. In units of points, on the picture as it is shown. Pure.
import { Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import type { Stroke } from './sheet';

/** Distance of a place to the outline of a mark. */
export function distanceTo(stroke: Pick<Stroke, 'tool'>, points: readonly Pick<Point, 'x' | 'y'>[], x: number, y: number): number {
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return Infinity;
  if (stroke.tool === Tool.ELLIPSE) {
    const rx = Math.max(1, Math.abs(last.x - first.x) / 2);
    const ry = Math.max(1, Math.abs(last.y - first.y) / 2);
    const u = (x - (first.x + last.x) / 2) / rx;
    const v = (y - (first.y + last.y) / 2) / ry;
    return Math.abs(Math.hypot(u, v) - 1) * Math.min(rx, ry);
  }
  const path = stroke.tool === Tool.PEN ? points : [first, last];
  let nearest = Math.hypot(x - first.x, y - first.y);
  for (let i = 1; i < path.length; i += 1) {
    const a = path[i - 1];
    const b = path[i];
    if (!a || !b) continue;
    const dx = b.x - a.x;
    const dy = b.y - a.y;
    const length2 = dx * dx + dy * dy;
    const t = length2 === 0 ? 0 : Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / length2));
    nearest = Math.min(nearest, Math.hypot(x - a.x - t * dx, y - a.y - t * dy));
  }
  return nearest;
}
