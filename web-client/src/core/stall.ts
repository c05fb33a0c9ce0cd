// Whether the picture still moves. Driven by a timer of the viewer's own, because the video's callback stops when the line does.
import type { PerfMs } from './units';

/**
 * No new frame for this long: the picture has stalled. With the last frame on its way (30 ms), a heartbeat of 50 ms and a frame
 * of the display it is said within 500 ms of the fault, also by a page that is a little late.
 */
export const STALL_MS = 370;
/** And when the server says that the compositor is gone: only what is still on its way can come. */
export const SOURCE_GONE_MS = 150;
/** Before the first frame a viewer waits; after this long it says that no picture comes. */
export const FIRST_FRAME_MS = 4_000;

/** waiting: no frame yet · flowing · stalled: there was a frame, or there should have been one by now · paused: stalled, and the server says that the line carries no picture now. */
export type Flow = 'waiting' | 'flowing' | 'stalled' | 'paused';

export class StallWatch {
  private lastFrame: PerfMs | null = null;
  constructor(private readonly since: PerfMs) {}

  /** `at`: until when it proves that the picture moved, not when that was told. */
  handleFrame(at: PerfMs): void { this.lastFrame = Math.max(this.lastFrame ?? -Infinity, at) as PerfMs; }

  /** Until then the picture is known to have moved; null: there was none yet. */
  get provenAt(): PerfMs | null { return this.lastFrame; }

  /** `limit`: without a new frame for so long it has stalled. */
  flow(now: PerfMs, sourceGone = false, limit = STALL_MS): Flow {
    if (this.lastFrame === null) return now - this.since >= FIRST_FRAME_MS ? 'stalled' : 'waiting';
    return now - this.lastFrame >= (sourceGone ? Math.min(SOURCE_GONE_MS, limit) : limit) ? 'stalled' : 'flowing';
  }

  /** When `flow` changes next if nothing arrives; null when it will not. */
  pollTimeout(now: PerfMs): PerfMs | null {
    const at = this.lastFrame === null ? this.since + FIRST_FRAME_MS : this.lastFrame + STALL_MS;
    return at > now ? (at as PerfMs) : null;
  }

  get everFlowed(): boolean { return this.lastFrame !== null; }
}

/** A time so long ago is none: a browser that tells times of another clock. */
const ABSURD_MS = 10_000;

/** When something was, of which the browser tells now: a page that paints late is told late, and what was then proves nothing of now. Nothing told: now. */
export function provenAt(told: number | undefined, now: PerfMs): PerfMs {
  return told !== undefined && told <= now && now - told < ABSURD_MS ? (told as PerfMs) : now;
}

/** Of so many of the newest frames it is kept how long each was on its way from receipt to glass; fewer than the other say nothing of the next. */
const WAYS = 16, WAYS_FEW = 8;
/** The usual way: one in so many took longer; and where the newest did, as long as that. The middle one would follow a line that grows slow only after half a window. */
const LONGER = 4;
/** Nobody is held to less than this, and so much longer than usual a frame may be on its way and still prove what it shows: a wait for one repair, or a busy page's. */
const WAY_LEAST_MS = 40, WAY_SLACK_MS = 100;
/** Frames on the glass after which nothing that was received later came to it yet: 2 s at 60 frames/s. Policy: drop_oldest. */
const WAYS_OPEN = 128;

/**
 * Until when a frame proves that its line lived. One received before a cut may come to the glass long after it, on a page that paints late: it was shown then,
 * but says only that the line lived when it came. So it counts to when it came and the usual way of this viewer from receipt to glass, which its smoothing and
 * its line make 20 or 400 ms. A frame's way is learned only when one follows that was received after the first was shown: then the line lived as long,
 * and it was no frame of before a cut that was late. All in ms of the page's clock.
 */
export class Receipts {
  private ways: number[] = [];
  private open: { readonly way: number; readonly shown: number }[] = [];
  private newest = -Infinity;

  /** `came`: when the last of it was received, or where that is not told when it was shown. What it proves is never later than `shown`. */
  handleFrame(came: PerfMs, shown: PerfMs): PerfMs {
    // After an interruption: what came to the glass meanwhile may have been late for that.
    if (came - this.newest >= STALL_MS) this.open = [];
    // Those that waited for another's repair were received before it.
    this.newest = Math.max(this.newest, came);
    const lived = this.open.filter((one) => one.shown <= this.newest).map((one) => one.way);
    if (lived.length > 0) {
      this.ways = [...this.ways, ...lived].slice(-WAYS);
      this.open = this.open.filter((one) => one.shown > this.newest);
    }
    const usual = this.usual();
    this.open.push({ way: shown - came, shown });
    if (this.open.length > WAYS_OPEN) this.open.shift();
    return (usual === null ? shown : Math.min(shown, this.newest + Math.max(WAY_LEAST_MS, usual) + WAY_SLACK_MS)) as PerfMs;
  }

  private usual(): number | null {
    if (this.ways.length < WAYS_FEW) return null;
    return Math.max([...this.ways].sort((a, b) => b - a)[Math.floor(this.ways.length / LONGER)] ?? 0, this.ways.at(-1) ?? 0);
  }
}

/** A page paints at least as often as this, unless its machine has too much to do; gaps longer than the other are those of a page that is not seen. */
const SPARSE_MS = 100, HIDDEN_MS = 1_000;
/** How long before the limit a dead picture is marked where the next painting would be too late, at most: as old may a picture be that is alive. */
const EARLIEST_MS = 150;
/** So many of the newest gaps between paintings are looked at. */
const GAPS = 4;

/**
 * How old a picture may be on a page that paints seldom: what is not marked with this painting is not before the next. There it is marked
 * earlier where nothing at all comes by the path any more; what comes is heard also between paintings, by a page that does not stand still itself.
 */
export class Paints {
  private painted: PerfMs | null = null;
  private gaps: number[] = [];
  private ticked: PerfMs | null = null;
  private sign: PerfMs | null = null;

  handlePaint(now: PerfMs): void {
    const gap = this.painted === null ? 0 : now - this.painted;
    this.painted = now;
    this.gaps = gap > HIDDEN_MS ? [] : [...this.gaps.slice(1 - GAPS), gap];
  }
  /** The page's heartbeat. */
  handleTick(now: PerfMs): void { this.ticked = now; }
  /** Something came by the media path that is no picture. */
  handleSign(now: PerfMs): void { this.sign = now; }

  /** For [`StallWatch.flow`]. */
  limit(now: PerfMs): number {
    const gap = Math.max(0, ...this.gaps);
    if (gap <= SPARSE_MS || this.sign === null || this.ticked === null || now - this.ticked > SPARSE_MS) return STALL_MS;
    const early = Math.max(EARLIEST_MS, STALL_MS + SPARSE_MS - gap);
    return now - this.sign >= early ? Math.min(STALL_MS, early) : STALL_MS;
  }
}
