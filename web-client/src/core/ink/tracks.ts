// Where the engine's tracker says that ink lies, by feed and by the capture time of its frame. One stream for every renderer;
// nothing is guessed beyond it.
import type { XformFrame } from '../../gen/ink_pb';
import { TrackState } from '../../gen/ink_pb';
import type { Moved } from './moved';
import { apply, checkedMoved } from './moved';
import { strokeId } from './sheet';

/** 8 s at 30 frames/s. Policy: drop_oldest. */
const FRAMES_MAX = 256;
const FEEDS_MAX = 16;
const STILLS_MAX = 512;
/** A frame's own transforms may come a little after it: those of a frame before it hold this long where nothing moves far, else they count as unsure, then as lost. */
const HOLDS = (50n << 32n) / 1000n;
const DOUBTED = (150n << 32n) / 1000n;
/** Captures so near to each other are one frame: 1 ms, for what timestamps round. */
const SAME = (1n << 32n) / 1000n;
/** So far may ink have moved since the frame that stands in, by how it moved lately: 6 px of a 1080p picture. */
const STANDS_IN = 51;
/** Moves looked at for that: the fastest of so many frames. */
const LATELY = 3;
/** Where nobody says where the ink is: the middle of the picture. */
const MIDDLE: readonly XY[] = [{ x: 8_192, y: 4_608 }];

/** 1/30 s. */
const FRAME = (1n << 32n) / 30n;

interface XY { readonly x: number; readonly y: number }

export type Track = { readonly state: 'tracked' | 'unsure'; readonly moved: Moved } | { readonly state: 'lost' };
const LOST: Track = { state: 'lost' };

interface Follows { readonly frames: Map<bigint, Map<string, Track>>; readonly order: bigint[] }

export class Tracks {
  private readonly feeds = new Map<string, Follows>();
  private readonly stills = new Map<string, string>();
  /** Rises with every frame taken. */
  revision = 0;

  /** Each comes up to three times; ink that was begun since may be named in a frame that is known. False: nothing new, or one feed too many. */
  handle(frame: XformFrame): boolean {
    let feed = this.feeds.get(frame.feed);
    if (!feed) {
      if (this.feeds.size >= FEEDS_MAX) return false;
      feed = { frames: new Map(), order: [] };
      this.feeds.set(frame.feed, feed);
    }
    const known = feed.frames.get(frame.capture);
    const tracks = known ?? new Map<string, Track>();
    const before = tracks.size;
    for (const anchor of frame.anchors) {
      const moved = checkedMoved(anchor);
      const state = anchor.state === TrackState.TRACKED ? 'tracked' : anchor.state === TrackState.UNSURE ? 'unsure' : 'lost';
      const track: Track = state === 'lost' || moved === null ? LOST : { state, moved };
      for (const key of anchor.strokes) {
        if (!tracks.has(strokeId(key))) tracks.set(strokeId(key), track);
        if (anchor.still) this.handleStill(strokeId(key), anchor.still);
      }
    }
    if (known) {
      if (tracks.size > before) this.revision += 1;
      return tracks.size > before;
    }
    feed.frames.set(frame.capture, tracks);
    insert(feed.order, frame.capture);
    if (feed.order.length > FRAMES_MAX) feed.frames.delete(feed.order.shift() ?? 0n);
    this.revision += 1;
    return true;
  }

  /** An engine that tracks this feed has been heard. */
  heard(feed: string): boolean { return this.feeds.has(feed); }

  /** A stroke, of which `places` are some on its own frame, in the frame captured at `capture`. Null: no frame up to it names the stroke. */
  of(feed: string, capture: bigint, stroke: string, places: readonly XY[] = MIDDLE): Track | null {
    const follows = this.feeds.get(feed);
    if (!follows) return null;
    const exact = follows.frames.get(capture);
    if (exact) return exact.get(stroke) ?? null;
    const before = upTo(follows.order, capture);
    const at = follows.order[before];
    const track = at === undefined ? undefined : follows.frames.get(at)?.get(stroke);
    if (at === undefined || !track) return null;
    const old = capture - at;
    if (old <= SAME) return track;
    if (track.state === 'lost' || old > DOUBTED) return LOST;
    const stands = old <= HOLDS && speed(follows, before, stroke, places) * Number(old) <= STANDS_IN;
    return stands ? track : { state: 'unsure', moved: track.moved };
  }

  /** How fast a stroke moved at most lately, up to the frame captured at `capture`: units of points in 1/30 s. Infinity: nothing is known of that. */
  pace(feed: string, capture: bigint, stroke: string, places: readonly XY[] = MIDDLE): number {
    const follows = this.feeds.get(feed);
    return follows ? speed(follows, upTo(follows.order, capture), stroke, places) * Number(FRAME) : Infinity;
  }

  /** Where a stroke was when it was last not lost, in a frame up to the one captured at `capture`. Null: in none that is kept. */
  lastKnown(feed: string, capture: bigint, stroke: string): Moved | null {
    const follows = this.feeds.get(feed);
    for (let i = (follows?.order.length ?? 0) - 1; i >= 0; i -= 1) {
      const at = follows?.order[i] as bigint;
      const track = at <= capture ? follows?.frames.get(at)?.get(stroke) : undefined;
      if (track && track.state !== 'lost') return track.moved;
    }
    return null;
  }

  /** Id of the pinned frame of a stroke, once it may be fetched. */
  stillOf(stroke: string): string | null { return this.stills.get(stroke) ?? null; }

  /** How far anything moved on this feed within `span` (NTP 32.32) before the frame captured at `shown`, in units of points; null: nothing is followed there now. */
  restlessness(feed: string, shown: bigint, span: bigint): number | null {
    const follows = this.feeds.get(feed);
    const newest = follows?.order.at(-1);
    if (!follows || newest === undefined || shown - newest > span) return null;
    let worst: number | null = null;
    const now = follows.frames.get(newest);
    for (const at of follows.order) {
      if (newest - at > span || at === newest) continue;
      for (const [id, track] of follows.frames.get(at) ?? []) {
        const other = now?.get(id);
        if (track.state === 'lost' || other === undefined || other.state === 'lost') return Infinity;
        worst = Math.max(worst ?? 0, Math.hypot(track.moved.tx - other.moved.tx, track.moved.ty - other.moved.ty) + Math.hypot(track.moved.a - other.moved.a, track.moved.b - other.moved.b) * 8_192);
      }
    }
    return worst;
  }

  private handleStill(stroke: string, still: string): void {
    if (this.stills.get(stroke) === still) return;
    if (this.stills.size >= STILLS_MAX) this.stills.delete(this.stills.keys().next().value ?? '');
    this.stills.set(stroke, still);
  }
}

/** How fast a stroke moved at most in the frames up to the one at `last`, units of points per unit of time. Infinity: nothing is known of that. */
function speed(follows: Follows, last: number, stroke: string, places: readonly XY[]): number {
  let fastest: number | null = null;
  for (let i = last; i > 0 && i > last - LATELY; i -= 1) {
    const [from, to] = [follows.order[i - 1] as bigint, follows.order[i] as bigint];
    const [was, is] = [follows.frames.get(from)?.get(stroke), follows.frames.get(to)?.get(stroke)];
    if (!was || !is || was.state === 'lost' || is.state === 'lost') break;
    for (const { x, y } of places) {
      const [a, b] = [apply(was.moved, x, y), apply(is.moved, x, y)];
      fastest = Math.max(fastest ?? 0, Math.hypot(b.x - a.x, b.y - a.y) / Number(to - from));
    }
  }
  return fastest ?? Infinity;
}

/** Of the newest frame captured at `capture` or before it; -1: there is none. */
function upTo(order: readonly bigint[], capture: bigint): number {
  let at = order.length - 1;
  while (at >= 0 && (order[at] as bigint) > capture + SAME) at -= 1;
  return at;
}

function insert(order: bigint[], capture: bigint): void {
  let at = order.length;
  while (at > 0 && (order[at - 1] as bigint) > capture) at -= 1;
  order.splice(at, 0, capture);
}

