// When a page asks for a keyframe: one of its pictures stands still while its path is alive. What is missing of it is lost for good then, and the
// browser by itself would wait for seconds. Sans-IO: `now` comes in, slots come out.
import { TICK_LATE_MS } from './line';
import type { PerfMs } from './units';

/** No new picture for so long, or for two round trips and this, or for so many of its usual distances: what can be sent again is here by then. */
export const STANDING_MS = 300;
const REPAIR_MS = 200, DISTANCES = 3;
/** Something else came by the path within this, or within two of the usual distances of the picture: it is alive. */
export const ALIVE_MS = 200;
/** How long it is before the next word on a picture that goes on standing, doubling up to the longest. */
export const AGAIN_MS = 500, AGAIN_MAX_MS = 4_000;
/** So many of the newest distances between pictures; the one in their middle is the usual one. */
const KEPT = 9;

export interface Around {
  /** Of the media path; null: not known. */
  readonly roundTripMs: number | null;
  /** The page is seen, and the server makes pictures. */
  readonly expected: boolean;
  /** Slots in which a picture is to come. */
  readonly slots: readonly number[];
}

interface Slot { shown: PerfMs; gaps: number[]; announced: PerfMs | null; asked: PerfMs | null; wait: number }

export class RefreshWatch {
  private readonly slots = new Map<number, Slot>();
  /** Slots that somebody draws: only of those is it known what was shown. */
  private drawn: ReadonlySet<number> = new Set();
  private sign: PerfMs | null = null;
  private ticked: PerfMs | null = null;
  /** Since when path and page have both been well without a break. */
  private well = -Infinity;

  /** Something came by the media path that is no picture. */
  handleSign(now: PerfMs): void {
    if (this.sign === null || now - this.sign > ALIVE_MS) this.well = now;
    this.sign = now;
  }

  /** A new picture was shown. */
  handleFrame(slot: number, now: PerfMs): void {
    this.handleSign(now);
    const known = this.slots.get(slot);
    if (!known) return void this.slots.set(slot, { shown: now, gaps: [], announced: null, asked: null, wait: AGAIN_MS });
    known.gaps = [...known.gaps.slice(1 - KEPT), now - known.shown];
    known.shown = now;
    known.asked = null;
  }

  /** How wide each slot is drawn now, by those who draw it. */
  handleDrawn(widths: ReadonlyMap<number, number>): void { this.drawn = new Set([...widths].filter(([, width]) => width > 0).map(([slot]) => slot)); }

  /** The word on one picture of what is in a slot: it was made, whether or not it comes. */
  handleIndex(slot: number, now: PerfMs): void {
    const known = this.slots.get(slot);
    if (known) known.announced = now;
  }

  /** Something else is to come in this slot, or all begins anew (null): pictures must flow before one can stand still. */
  forget(slot: number | null): void {
    if (slot === null) this.slots.clear();
    else this.slots.delete(slot);
  }

  /** With each heartbeat. The slots for which a keyframe is to be asked for now. */
  poll(now: PerfMs, { roundTripMs, expected, slots }: Around): number[] {
    // A page that did nothing for a while has not painted either.
    if (this.ticked !== null && now - this.ticked > TICK_LATE_MS) this.well = now;
    this.ticked = now;
    if (!expected) this.well = now;
    return slots.filter((slot) => this.drawn.has(slot) && this.stands(slot, now, roundTripMs ?? 0));
  }

  private stands(slot: number, now: PerfMs, roundTripMs: number): boolean {
    const known = this.slots.get(slot);
    if (!known || this.sign === null) return false;
    const usual = [...known.gaps].sort((a, b) => a - b)[known.gaps.length >> 1] ?? 0;
    const alive = Math.max(ALIVE_MS, 2 * usual);
    // Where its pictures are announced, those that are made are what is missed: a source may have stopped.
    if (now - this.sign > ALIVE_MS || (known.announced !== null && now - known.announced > alive)) return false;
    if (now - Math.max(known.shown, this.well) < Math.max(STANDING_MS, REPAIR_MS + 2 * roundTripMs, DISTANCES * usual)) return false;
    if (known.asked === null) known.wait = AGAIN_MS;
    else if (now - known.asked < known.wait) return false;
    else known.wait = Math.min(AGAIN_MAX_MS, 2 * known.wait);
    known.asked = now;
    return true;
  }
}
