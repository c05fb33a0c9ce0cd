// What a page watches: which feed it asks for in which slot of its media path, and for each slot the frames it showed.
import type { FrameIndex } from '../gen/frame_pb';
import { FrameRing, ShownLog } from './frames';
import type { Screen } from './protocol';
import { SLOTS_VIDEO } from './protocol';
import type { Flow } from './stall';
import { provenAt, Receipts, StallWatch } from './stall';
import type { PerfMs } from './units';

export const PROGRAM = 'program';
/** After a slot changed, frames of the feed before may still come; they are not shown under the new name for this long. */
const SETTLE_MS = 1_000;
/** A width is told in steps of this many device pixels: a scroll bar is no news. */
export const WIDTH_STEP = 64;
/** A changed width is told when it has stood for so long, and at most once in so long for each slot: a window that is dragged asks for one layer, not for ten. */
const WIDTH_STEADY_MS = 500, WIDTH_EVERY_MS = 2_000;

/**
 * The feeds that stand in the slots, slot 0 first; '' = nothing. `singles`: ids of single feeds, in the server's order;
 * `large`: what stands large. A desk watches four at once, a mentor the one that stands large: only what is watched is encoded.
 */
export function slotsWanted(screen: Screen, singles: readonly string[], large: string): string[] {
  const out = [PROGRAM, ...Array<string>(SLOTS_VIDEO - 1).fill('')];
  if (screen === 'desk') {
    singles.slice(0, SLOTS_VIDEO - 1).forEach((feed, i) => { out[i + 1] = feed; });
    if (large !== PROGRAM && singles.includes(large) && !out.includes(large)) out[SLOTS_VIDEO - 1] = large;
  } else if (screen === 'mentor' && singles.includes(large)) out[1] = large;
  return out;
}

/** How many slots a page has use for: of each its browser describes dozens of codecs, and its first picture waits for that. */
export function slotsOffered(screen: Screen | null): number { return screen === 'desk' ? SLOTS_VIDEO : screen === 'mentor' ? 2 : 1; }

/** What a slot asks for. `width`: device pixels that it is drawn wide, 0 = not known. */
export interface Wanted { readonly slot: number; readonly feed: string; readonly width: number }

interface Told { feed: string; width: number; at: PerfMs }

/** One slot: its feed, the frames it showed, and whether they still come. */
export class View {
  feed: string;
  log = new ShownLog();
  private stall: StallWatch;
  private readonly receipts = new Receipts();
  private since: PerfMs;
  private settled: boolean;

  constructor(readonly slot: number, now: PerfMs) {
    this.feed = slot === 0 ? PROGRAM : '';
    this.settled = slot === 0;
    this.since = now;
    this.stall = new StallWatch(now);
  }

  /** The server's word on what is in this slot. True: it changed. */
  handleAssign(feed: string, now: PerfMs): boolean {
    if (feed === this.feed) return false;
    this.feed = feed;
    this.log = new ShownLog();
    this.stall = new StallWatch(now);
    this.since = now;
    this.settled = false;
    return true;
  }

  /** `rtpTs` null: the browser does not tell; `came`: when it was received, or `shown` too. Frames that are not known to be of this feed do not count until it settled. */
  handleFrame(rtpTs: number | null, shown: PerfMs, ring: FrameRing | undefined, now: PerfMs, came = shown): boolean {
    this.settled ||= (rtpTs !== null && ring?.at(rtpTs) !== null && ring !== undefined) || now - this.since >= SETTLE_MS;
    if (!this.settled) return false;
    this.stall.handleFrame(this.receipts.handleFrame(came, provenAt(shown, now)));
    if (rtpTs !== null) this.log.handleShown(rtpTs, shown);
    return true;
  }

  /**
   * Whether this is a frame that was not shown before. A browser draws the last one once more when its track ends, and says so as of any other: what is
   * dead must not look alive for that. One without a name is none where the others had names.
   */
  isNew(rtpTs: number | null): boolean { return this.log.last === null || (rtpTs !== null && rtpTs !== this.log.last.rtpTs); }

  /** The server sends nothing in this slot because the line carries nothing; it begins again by itself. */
  paused = false;
  /** Something is sent in it, or should be. */
  get isSent(): boolean { return this.feed !== '' && !this.paused; }

  flow(now: PerfMs, sourceGone: boolean, limit?: number): Flow {
    const flow = this.stall.flow(now, sourceGone, limit);
    return this.paused && flow !== 'flowing' ? 'paused' : flow;
  }
  get everFlowed(): boolean { return this.stall.everFlowed; }
  /** Until then its picture is known to have moved, ms of the page's clock. */
  get provenAt(): PerfMs | null { return this.stall.provenAt; }
}

/** All slots of a page, and the frame indices of the feeds in them. */
export class Views {
  readonly slots: readonly View[];
  /** Frame indices by the feed they describe. Only of feeds that stand in a slot, or stood in one. */
  private readonly rings = new Map<string, FrameRing>();
  private told: Told[] = [];
  private atOnce: number | null = null;
  /** How wide each slot is drawn, in steps, and since when. */
  private readonly drawn = new Map<number, { width: number; since: PerfMs }>();
  /** Slots that get less than they asked for because of the line; true: nothing at all. */
  private readonly narrow = new Map<number, boolean>();

  constructor(now: PerfMs) {
    this.slots = Array.from({ length: SLOTS_VIDEO }, (_, slot) => new View(slot, now));
    this.rings.set(PROGRAM, new FrameRing());
  }

  of(feed: string): View | null { return this.slots.find((v) => v.feed === feed) ?? null; }
  ring(feed: string): FrameRing | undefined { return this.rings.get(feed); }

  /** A new connection: everything is to be asked for again. */
  handleConnection(): void { this.told = []; }

  /** `width`: device pixels that a slot is drawn wide now; 0, where nothing draws it, leaves what is known. */
  handleDrawn(slot: number, width: number, now: PerfMs): void {
    const steps = Math.ceil(width / WIDTH_STEP) * WIDTH_STEP;
    if (steps > 0 && this.drawn.get(slot)?.width !== steps) this.drawn.set(slot, { width: steps, since: now });
  }

  handleFeeds(feeds: readonly string[]): void {
    for (const feed of this.rings.keys()) if (feed !== PROGRAM && !feeds.includes(feed)) this.rings.delete(feed);
  }

  /** True: something else is in this slot now. The program's slot stays the program's. */
  handleAssign(slot: number, feed: string, now: PerfMs): boolean {
    const view = this.slots[slot];
    if (!view || slot === 0 || !view.handleAssign(feed, now)) return false;
    if (feed && !this.rings.has(feed)) this.rings.set(feed, new FrameRing());
    return true;
  }

  /** Whether a slot gets less than it asked for because of the line, or nothing. Returns what holds of any of them. */
  handleGiven(slot: number, narrow: boolean, paused: boolean): { paused: boolean; small: boolean } {
    const view = this.slots[slot];
    if (view) view.paused = narrow && paused;
    if (narrow) this.narrow.set(slot, paused);
    else this.narrow.delete(slot);
    const all = [...this.narrow.values()];
    return { paused: all.includes(true), small: all.includes(false) };
  }

  /** Returns where the feed stands if this is the word on its newest picture; each is said several times, and by several ways. */
  handleIndex(frame: FrameIndex): View | null {
    const ring = this.rings.get(frame.program);
    ring?.handleFrame(frame);
    return ring?.newest?.rtpTs === frame.rtpTs ? this.of(frame.program) : null;
  }

  /** When what a slot shows was captured; 0: not known. */
  captureShown(view: View): bigint {
    const last = view.log.last;
    return last ? this.ring(view.feed)?.at(last.rtpTs)?.entries[0]?.capture ?? 0n : 0n;
  }

  /** What is put large is asked for at its best at once, not when its new width has stood. */
  handleLarge(feed: string): void {
    const slot = this.of(feed)?.slot;
    if (slot === undefined) return;
    this.drawn.delete(slot);
    this.atOnce = slot;
  }

  /** What must be asked for now: it differs from what was asked for. A feed is asked for at once, a width when it stands. */
  pollSelects(screen: Screen, singles: readonly string[], large: string, now: PerfMs): Wanted[] {
    const out: Wanted[] = [];
    slotsWanted(screen, singles, large).forEach((feed, slot) => {
      const told = this.told[slot] ?? { feed: slot === 0 ? PROGRAM : '', width: 0, at: -Infinity as PerfMs };
      const drawn = this.drawn.get(slot);
      // What was drawn here is another picture's width.
      if (feed !== told.feed) this.drawn.delete(slot);
      const due = drawn !== undefined && now - drawn.since >= WIDTH_STEADY_MS && now - told.at >= WIDTH_EVERY_MS;
      const width = feed !== told.feed || slot === this.atOnce ? 0 : due ? drawn.width : told.width;
      if (feed === told.feed && width === told.width) return;
      this.told[slot] = { feed, width, at: now };
      out.push({ slot, feed, width });
    });
    this.atOnce = null;
    return out;
  }
}
