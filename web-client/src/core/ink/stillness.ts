// Whether what lies under the pen moves: from small luma pictures of it, taken while a pen or a mouse hovers. Not knowing
// counts as moving, because a frozen picture does no harm and a drifting mark does. Pure.
import type { PerfMs } from '../units';

export const GRID_W = 64;
export const GRID_H = 36;
/** Cells of the grid that are averaged together: noise of the sensor and of the coder stays below the limit. */
const CELL = 4;
/** Largest change of any cell, of 255, that still is stillness. */
const STILL_LEVELS = 3;
/** The pictures compared must reach back this far, and the newest must be this fresh. */
const SPAN_MS = 400;
const FRESH_MS = 400;
const LENGTH = 8;

interface Thumb { readonly at: PerfMs; readonly cells: Float32Array }

export class Stillness {
  private thumbs: Thumb[] = [];
  private of = '';

  /** `of`: which picture and place; another one begins anew. `luma`: GRID_W x GRID_H. */
  handle(of: string, luma: Uint8Array, now: PerfMs): void {
    if (luma.length !== GRID_W * GRID_H) return;
    if (of !== this.of) this.thumbs = [];
    this.of = of;
    this.thumbs.push({ at: now, cells: cellsOf(luma) });
    if (this.thumbs.length > LENGTH) this.thumbs.shift();
  }

  isStill(of: string, now: PerfMs): boolean {
    const newest = this.thumbs.at(-1);
    if (of !== this.of || !newest || now - newest.at > FRESH_MS) return false;
    let reach = 0;
    for (const one of this.thumbs) {
      if (newest.at - one.at > 4 * SPAN_MS) continue;
      reach = Math.max(reach, newest.at - one.at);
      for (let i = 0; i < one.cells.length; i += 1) if (Math.abs((one.cells[i] ?? 0) - (newest.cells[i] ?? 0)) > STILL_LEVELS) return false;
    }
    return reach >= SPAN_MS;
  }
}

function cellsOf(luma: Uint8Array): Float32Array {
  const columns = GRID_W / CELL;
  const cells = new Float32Array(columns * (GRID_H / CELL));
  for (let y = 0; y < GRID_H; y += 1) for (let x = 0; x < GRID_W; x += 1) {
    const at = Math.floor(y / CELL) * columns + Math.floor(x / CELL);
    cells[at] = (cells[at] ?? 0) + (luma[y * GRID_W + x] ?? 0) / (CELL * CELL);
  }
  return cells;
}
