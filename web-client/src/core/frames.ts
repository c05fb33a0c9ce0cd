// Which frame is on the glass, and what is in it: the ring of frame indices, the log of frames shown, and the mapping of a
// program pixel to a point of a feed. Pure; times come in.
import type { FrameEntry, FrameIndex } from '../gen/frame_pb';
import type { Point } from './points';
import type { PerfMs } from './units';
import { PICTURE_WIDTH } from './units';

/** 30 s at 60 frames/s, and a little. About 0.5 kB each: 1 MB. Policy: drop_oldest. */
export const RING_LENGTH = 2_048;

/** Frames looked through for one whose own index has not come. */
const LATELY = 64;

/** a minus b of two 90 kHz timestamps that wrap at 2^32; positive when a is later. */
export function rtpMinus(a: number, b: number): number {
  return (a - b) | 0;
}

/** Frame indices by RTP timestamp, as they come on `eph` (each up to three times) or on the socket. */
export class FrameRing {
  private byTs = new Map<number, FrameIndex>();
  private order: number[] = [];
  newest: FrameIndex | null = null;

  /** False: known already. */
  handleFrame(frame: FrameIndex): boolean {
    if (this.byTs.has(frame.rtpTs)) return false;
    this.byTs.set(frame.rtpTs, frame);
    this.order.push(frame.rtpTs);
    if (this.order.length > RING_LENGTH) {
      const oldest = this.order.shift();
      if (oldest !== undefined) this.byTs.delete(oldest);
    }
    if (this.newest === null || rtpMinus(frame.rtpTs, this.newest.rtpTs) > 0) this.newest = frame;
    return true;
  }

  at(rtpTs: number): FrameIndex | null {
    return this.byTs.get(rtpTs) ?? null;
  }

  /** The index of this frame, or of the newest before it that is known. Null: there is none within the last second or so. */
  upTo(rtpTs: number): FrameIndex | null {
    const exact = this.byTs.get(rtpTs);
    if (exact) return exact;
    let best: FrameIndex | null = null;
    for (const ts of this.order.slice(-LATELY)) if (rtpMinus(rtpTs, ts) > 0 && (best === null || rtpMinus(ts, best.rtpTs) > 0)) best = this.at(ts);
    return best;
  }

  get size(): number { return this.byTs.size; }
}

/** One frame that was on the glass. `shown`: when the browser handed it to its compositor; `until`: when the next was. */
export interface ShownFrame { readonly rtpTs: number; readonly shown: PerfMs; until: PerfMs | null }

/** 4 s at 60 frames/s: far more than a pen event or an age ever looks back. Policy: drop_oldest. */
const SHOWN_LENGTH = 256;

/** The frames shown, newest last. */
export class ShownLog {
  private log: ShownFrame[] = [];

  handleShown(rtpTs: number, shown: PerfMs): void {
    const last = this.log.at(-1);
    if (last?.rtpTs === rtpTs) return;
    if (last) last.until = shown;
    this.log.push({ rtpTs, shown, until: null });
    if (this.log.length > SHOWN_LENGTH) this.log.shift();
  }

  /** The last frame presented at or before `time`: what the hand saw. */
  at(time: PerfMs): ShownFrame | null {
    for (let i = this.log.length - 1; i >= 0; i -= 1) {
      const one = this.log[i];
      if (one && one.shown <= time) return one;
    }
    return this.log[0] ?? null;
  }

  /** Frames that were on the glass at any time in [from, to], newest last. */
  during(from: PerfMs, to: PerfMs): ShownFrame[] {
    return this.log.filter((f) => f.shown <= to && (f.until === null || f.until >= from));
  }

  get last(): ShownFrame | null { return this.log.at(-1) ?? null; }
}

/** Animation frames further apart than this were not all looked at: a page that stood still cannot say what its compositor showed meanwhile. */
const LOOKED_MS = 50;

/**
 * What stood on the glass at each animation frame, while somebody looked. The browser hands a picture to its compositor up to a display's period before it is
 * seen, and tells of it up to one after: by that word alone a pen may be taken to have seen the picture after the one before the eyes, or the one before it.
 */
export class LookedLog {
  private log = new ShownLog();
  private from = Infinity;
  private until = -Infinity;

  /** The picture that stands at the animation frame of `now`. */
  handleLook(rtpTs: number, now: PerfMs): void {
    if (now > this.until + LOOKED_MS) {
      this.log = new ShownLog();
      this.from = now;
    }
    this.log.handleShown(rtpTs, now);
    this.until = now;
  }

  /** Null: nobody looked at that time. */
  at(time: PerfMs): ShownLog | null {
    return time >= this.from && time <= this.until + LOOKED_MS ? this.log : null;
  }
}

/** How far back a pen may fall when the index of the very frame shown was lost: 200 ms. The op names the frame it used. */
const FALL_BACK_TICKS = 18_000;

/**
 * The index of the frame shown at `time`, or of the nearest earlier one shown within 200 ms; else the newest index known, so
 * that a pen is not ignored: the op names what it used. Null: none is known at all.
 */
export function frameSeen(ring: FrameRing, log: ShownLog, time: PerfMs): FrameIndex | null {
  const seen = log.at(time);
  if (!seen) return ring.newest;
  const exact = ring.at(seen.rtpTs);
  if (exact) return exact;
  const earlier = log.during((seen.shown - 250) as PerfMs, seen.shown);
  for (let i = earlier.length - 1; i >= 0; i -= 1) {
    const one = earlier[i];
    if (!one) continue;
    const frame = ring.at(one.rtpTs);
    if (frame && rtpMinus(seen.rtpTs, one.rtpTs) <= FALL_BACK_TICKS) return frame;
  }
  return ring.newest;
}

/** The topmost entry at a program pixel: entries lie back to front. */
export function entryAt(frame: FrameIndex, x: number, y: number): FrameEntry | null {
  for (let i = frame.entries.length - 1; i >= 0; i -= 1) {
    const entry = frame.entries[i];
    const r = entry?.rect;
    if (entry && r && r.w > 0 && r.h > 0 && x >= r.x && y >= r.y && x < r.x + r.w && y < r.y + r.h) return entry;
  }
  return null;
}

/** A strip may be cut to this share of its height to stand above its picture: less air around the words, no word less. */
const TIGHTEST = 0.75;

/** How high a strip of `height` stands above a picture with `free` above it; null: there is no room, it lies on the picture's top edge. One unit for all. */
export function heightAbove(height: number, free: number): number | null {
  return free >= height * TIGHTEST ? Math.min(height, free) : null;
}

/** Program pixels above a feed's rectangle, over its whole width, that no other picture takes; `within`: nor any but one that it stands upon. 0: none, or no such feed. */
export function freeAbove(frame: FrameIndex, feed: string, within = false): number {
  const r = frame.entries.find((e) => e.feed === feed)?.rect;
  if (!r) return 0;
  let free = r.y;
  for (const entry of frame.entries) {
    const o = entry.rect;
    if (!o || entry.feed === feed || o.x >= r.x + r.w || o.x + o.w <= r.x || o.y >= r.y) continue;
    if (within && o.x <= r.x && o.x + o.w >= r.x + r.w && o.y + o.h >= r.y + r.h) {
      free = Math.min(free, r.y - o.y);
      continue;
    }
    free = Math.min(free, Math.max(0, r.y - (o.y + o.h)));
  }
  return free;
}

/**
 * Where a strip of `wanted` width stands over a feed's rectangle, program pixels: as wide as the picture, or wider where that is narrower
 * and nothing stands beside it; what is free between two pictures is shared.
 */
export function stripSpan(frame: FrameIndex, feed: string, wanted: number): { x: number; w: number } | null {
  const r = frame.entries.find((e) => e.feed === feed)?.rect;
  if (!r) return null;
  const more = Math.max(0, wanted - r.w) / 2;
  const top = r.y - freeAbove(frame, feed);
  let [left, right] = [r.x, frame.width - r.x - r.w];
  for (const { rect: o, feed: other } of frame.entries) {
    if (!o || other === feed || o.y >= r.y + r.h || o.y + o.h <= top) continue;
    if (o.x < r.x) left = Math.min(left, Math.max(0, r.x - o.x - o.w) / 2);
    else right = Math.min(right, Math.max(0, o.x - r.x - r.w) / 2);
  }
  const [before, after] = [Math.min(more, left), Math.min(more, right)];
  return { x: r.x - before, w: r.w + before + after };
}

/** Program pixel to the feed's own picture: 1/16384 of the rectangle's WIDTH on both axes. Null outside the rectangle. */
export function toFeed(entry: FrameEntry, x: number, y: number, pressure: number): Point | null {
  const r = entry.rect;
  if (!r || r.w === 0 || x < r.x || y < r.y || x >= r.x + r.w || y >= r.y + r.h) return null;
  return {
    x: Math.round(((x - r.x) / r.w) * PICTURE_WIDTH),
    y: Math.round(((y - r.y) / r.w) * PICTURE_WIDTH),
    pressure: Math.max(0, Math.min(255, Math.round(pressure * 255))),
  };
}

/** Where a picture of `width` x `height` lies inside a box when it is contained, never cropped. All in the box's pixels. */
export function containRect(boxW: number, boxH: number, width: number, height: number): { x: number; y: number; w: number; h: number } {
  if (width <= 0 || height <= 0 || boxW <= 0 || boxH <= 0) return { x: 0, y: 0, w: boxW, h: boxH };
  const scale = Math.min(boxW / width, boxH / height);
  const w = width * scale;
  const h = height * scale;
  return { x: (boxW - w) / 2, y: (boxH - h) / 2, w, h };
}
