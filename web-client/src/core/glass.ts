// What is on the glass, read from the frames shown and their indices: for each rectangle its feed, state and age, and the
// look that follows. A picture that is not known to live never looks alive.
import type { FrameEntry, FrameIndex, Rect } from '../gen/frame_pb';
import { FeedState, Sync } from '../gen/frame_pb';
import type { FrameRing, ShownLog } from './frames';
import type { Flow } from './stall';
import { STALL_MS } from './stall';
import type { CaptureNtp, PerfMs } from './units';
import { ntpMinusNs } from './units';

/** Ages are the worst of this window. */
export const AGE_WINDOW_MS = 500;
/** A capture further in the future than this, and than the clock's uncertainty, is no rounding: the age is not known. */
const FUTURE_TOLERANCE_MS = 20;

/** The one state a picture shows; the graver wins. frozen: held by its own viewer. still: a still of the case. */
export type Look = 'live' | 'unsynced' | 'frozen' | 'still' | 'xoff' | 'looping' | 'stale' | 'lost' | 'stalled' | 'paused' | 'unknown' | 'waiting' | 'curtain' | 'unmasked';

export interface RectReading {
  readonly feed: string;
  readonly rect: Rect;
  readonly state: FeedState;
  /** Worst age over the window, ms; null = not known. Grows while the picture stands. */
  readonly ageMs: number | null;
  /** Does it show the instant of the main feed? What the engine says. */
  readonly sync: Sync;
  /** How much older than the main feed it is, ms; null = nobody knows, or it is not compared. */
  readonly skewMs: number | null;
}

export interface GlassReading {
  readonly frame: FrameIndex;
  readonly rects: readonly RectReading[];
  readonly uncertaintyMs: number;
}

export interface GlassClock {
  toTimeline(t: PerfMs): CaptureNtp | null;
  uncertaintyMs(): number | null;
}

/**
 * Reads the glass at `now`. Null until a frame is shown whose index is known. The age of a feed is the worst in the last
 * 500 ms of (end of showing, or now) - capture, on the case timeline: what a person looking in that time had before the eyes.
 */
export function readGlass(ring: FrameRing, log: ShownLog, clock: GlassClock, now: PerfMs): GlassReading | null {
  const shown = log.during((now - AGE_WINDOW_MS) as PerfMs, now);
  let frame: FrameIndex | null = null;
  for (let i = shown.length - 1; i >= 0 && frame === null; i -= 1) frame = ring.at(shown[i]?.rtpTs ?? -1);
  if (frame === null) return null;
  const tolerance = Math.max(FUTURE_TOLERANCE_MS, clock.uncertaintyMs() ?? 0);
  const worst = new Map<string, number | null>();
  const states = new Map(frame.entries.map((e) => [e.feed, e.state]));
  for (const one of shown) {
    // A picture that stood so long was marked as stalled while it did; it says nothing about those that flow since.
    if (one.until !== null && one.until - one.shown >= STALL_MS) continue;
    const index = ring.at(one.rtpTs);
    const end = clock.toTimeline(one.until !== null && one.until < now ? one.until : now);
    for (const entry of index?.entries ?? []) {
      // A picture held on purpose is as old as it says; once the feed is live again it says nothing about the live one.
      if (heldOnPurpose(entry.state) && states.get(entry.feed) === FeedState.LIVE) continue;
      const age = end === null || entry.capture === 0n ? null : Number(ntpMinusNs(end, entry.capture)) / 1e6;
      const known = age === null || age < -tolerance ? null : Math.max(0, age);
      const before = worst.get(entry.feed);
      if (known !== null) worst.set(entry.feed, Math.max(before ?? 0, known));
      else if (before === undefined) worst.set(entry.feed, null);
    }
  }
  const rects: RectReading[] = [];
  for (const entry of frame.entries) {
    if (!entry.rect) continue;
    rects.push({ feed: entry.feed, rect: entry.rect, state: entry.state, ageMs: worst.get(entry.feed) ?? null, sync: entry.sync, skewMs: skewOf(frame, entry) });
  }
  return { frame, rects, uncertaintyMs: clock.uncertaintyMs() ?? 0 };
}

/** How much older than the frame's main feed a rectangle's picture is, ms: by the engine's one clock. */
export function skewOf(frame: FrameIndex, entry: FrameEntry): number | null {
  const main = frame.entries[0]?.capture ?? 0n;
  const compared = entry.sync === Sync.ALIGNED || entry.sync === Sync.OFF;
  return !compared || main === 0n || entry.capture === 0n ? null : Number(ntpMinusNs(main as CaptureNtp, entry.capture as CaptureNtp)) / 1e6;
}

const heldOnPurpose = (state: FeedState): boolean => state === FeedState.XRAY_OFF || state === FeedState.LOOPING;

/** A frame that stands: held by its viewer, or the last before the line stopped. Its ages grow. */
export function readHeld(frame: FrameIndex, clock: GlassClock, now: PerfMs): GlassReading {
  const at = clock.toTimeline(now);
  const rects = frame.entries.flatMap((entry) => (entry.rect ? [{
    feed: entry.feed, rect: entry.rect, state: entry.state, ageMs: at === null || entry.capture === 0n ? null : Math.max(0, Number(ntpMinusNs(at, entry.capture)) / 1e6),
    sync: entry.sync, skewMs: skewOf(frame, entry),
  }] : []));
  return { frame, rects, uncertaintyMs: clock.uncertaintyMs() ?? 0 };
}

export interface LookInput {
  /** The room has drawn the curtain before it, whatever its picture still says. */
  readonly covered: boolean;
  readonly flow: Flow;
  /** The server is heard and says that the room's compositor is gone: then it is the source, not the link. */
  readonly sourceGone: boolean;
  /** Null: no index is known for what is shown. */
  readonly state: FeedState | null;
  /** Null: not known. */
  readonly ageMs: number | null;
  readonly sync?: Sync;
  /** How it looked before: on the edge of being late it keeps that, as ink goes and comes with it. */
  readonly before?: Look | null;
}

/**
 * Pictures that flow but are older than this are late, whatever their source says: the line carries them too slowly. Once late they are until they are younger
 * than the other. A line of 200 ms round trip that repairs what it loses is 400 ms, and no less true for it.
 */
export const LATE_MS = 1_000, TIMELY_MS = 800;
/** The age of a picture that reads live is itself a caution from here on. */
export const CAUTION_MS = 500;

/** Whether the number of an age asks for attention. */
export function ageCautions(look: Look, ageMs: number | null): boolean {
  return look === 'stale' || ((look === 'live' || look === 'unsynced') && ageMs !== null && ageMs >= CAUTION_MS);
}

/** Curtain > link > source > stale > not synchronised > X-ray off > live. Not knowing is a look of its own, never *live*. */
export function lookOf({ covered, flow, sourceGone, state, ageMs, sync, before }: LookInput): Look {
  if (covered || state === FeedState.CURTAIN) return 'curtain';
  if (flow !== 'flowing' && sourceGone) return 'lost';
  if (flow === 'waiting') return 'waiting';
  if (flow === 'stalled' || flow === 'paused') return flow;
  switch (state) {
    case FeedState.LOST: return 'lost';
    case FeedState.MASK_UNKNOWN: return 'unmasked';
    case FeedState.STALE: return 'stale';
    case FeedState.XRAY_OFF: return 'xoff';
    case FeedState.LOOPING: return 'looping';
    case FeedState.LIVE: return ageMs === null ? 'unknown' : ageMs > (before === 'stale' ? TIMELY_MS : LATE_MS) ? 'stale' : sync === Sync.OFF || sync === Sync.UNKNOWN ? 'unsynced' : 'live';
    case FeedState.UNSPECIFIED:
    case null: return 'unknown';
    default: return unreachable(state);
  }
}

/** Ink hides itself when its feed is late or its place is not known; on a frozen last frame it stays, as part of it. */
export function inkShows(look: Look): boolean {
  return look === 'live' || look === 'unsynced' || look === 'frozen' || look === 'still' || look === 'xoff' || look === 'looping' || look === 'lost' || look === 'stalled' || look === 'paused' || look === 'unknown';
}

function unreachable(value: never): Look {
  // A state of a later server: not known here, so never alive.
  void value;
  return 'unknown';
}
