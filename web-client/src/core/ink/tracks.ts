// Where the engine's tracker says that ink lies, by feed and by the capture time of its frame. One stream for every renderer;
// nothing is guessed beyond it.
import type { XformFrame } from '../../gen/ink_pb';
import { TrackState } from '../../gen/ink_pb';
import type { Moved } from './moved';
import { checkedMoved } from './moved';
import { strokeId } from './sheet';

/** 8 s at 30 frames/s. Policy: drop_oldest. */
const FRAMES_MAX = 256;
const FEEDS_MAX = 16;
const STILLS_MAX = 512;
/** A frame's own transforms may come a little after it: those of a frame before it hold this long, then count as unsure, then as lost. */
export const HOLDS = (100n << 32n) / 1000n;
const DOUBTED = (150n << 32n) / 1000n;

export type Track = { readonly state: 'tracked' | 'unsure'; readonly moved: Moved } | { readonly state: 'lost' };
const LOST: Track = { state: 'lost' };

interface Follows { readonly frames: Map<bigint, Map<string, Track>>; readonly order: bigint[] }

export class Tracks {
  private readonly feeds = new Map<string, Follows>();
  private readonly stills = new Map<string, string>();
  /** Rises with every frame taken. */
  revision = 0;

  /** Each comes up to three times. False: known already, or one feed too many. */
  handle(frame: XformFrame): boolean {
    let feed = this.feeds.get(frame.feed);
    if (!feed) {
      if (this.feeds.size >= FEEDS_MAX) return false;
      feed = { frames: new Map(), order: [] };
      this.feeds.set(frame.feed, feed);
    }
    if (feed.frames.has(frame.capture)) return false;
    const tracks = new Map<string, Track>();
    for (const anchor of frame.anchors) {
      const moved = checkedMoved(anchor);
      const state = anchor.state === TrackState.TRACKED ? 'tracked' : anchor.state === TrackState.UNSURE ? 'unsure' : 'lost';
      const track: Track = state === 'lost' || moved === null ? LOST : { state, moved };
      for (const key of anchor.strokes) {
        tracks.set(strokeId(key), track);
        if (anchor.still) this.handleStill(strokeId(key), anchor.still);
      }
    }
    feed.frames.set(frame.capture, tracks);
    insert(feed.order, frame.capture);
    if (feed.order.length > FRAMES_MAX) feed.frames.delete(feed.order.shift() ?? 0n);
    this.revision += 1;
    return true;
  }

  /** An engine that tracks this feed has been heard. */
  heard(feed: string): boolean { return this.feeds.has(feed); }

  /** A stroke in the frame captured at `capture`. Null: no frame up to it names the stroke. */
  of(feed: string, capture: bigint, stroke: string): Track | null {
    const follows = this.feeds.get(feed);
    if (!follows) return null;
    const exact = follows.frames.get(capture);
    if (exact) return exact.get(stroke) ?? null;
    let before = follows.order.length - 1;
    while (before >= 0 && (follows.order[before] as bigint) > capture) before -= 1;
    const at = follows.order[before];
    const track = at === undefined ? undefined : follows.frames.get(at)?.get(stroke);
    if (at === undefined || !track) return null;
    const old = capture - at;
    if (track.state === 'lost' || old > DOUBTED) return LOST;
    return old > HOLDS ? { state: 'unsure', moved: track.moved } : track;
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

function insert(order: bigint[], capture: bigint): void {
  let at = order.length;
  while (at > 0 && (order[at - 1] as bigint) > capture) at -= 1;
  order.splice(at, 0, capture);
}

