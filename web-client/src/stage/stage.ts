// The stage: the program's picture with what must stand on and above it. Framework-free; parts are stacked by how often they
// repaint. Back to front: picture, pattern of a dead state, ink, watermark, plates, strips.
import { readGlass, readHeld, inkShows, lookOf } from '../core/glass';
import type { GlassClock, GlassReading, Look } from '../core/glass';
import { frameSeen, freeAbove, heightAbove, LookedLog, rtpMinus, stripSpan } from '../core/frames';
import type { FrameRing, ShownLog } from '../core/frames';
import { FeedState, Sync } from '../gen/frame_pb';
import type { FrameIndex } from '../gen/frame_pb';
import type { InkClient } from '../core/ink/client';
import type { Drawer } from '../core/ink/look';
import type { PenSample } from '../core/ink/pen';
import { anyStands } from '../core/ink/standing';
import type { Standing } from '../core/ink/standing';
import type { Flow } from '../core/stall';
import type { Tracks } from '../core/ink/tracks';
import type { Pointers } from '../core/pointers';
import type { Still } from '../core/stills';
import { frameOf } from '../core/stills';
import type { PerfMs } from '../core/units';
import { PROGRAM } from '../core/view';
import type { Texts } from '../i18n';
import { Hold, pictureOn } from './hold';
import { fonts } from './ink_items';
import { InkLayer } from './ink_layer';
import type { Surface } from './ink_layer';
import { LOOKS } from './looks';
import { LostInsets } from './lost_insets';
import { iconElement } from '../design/icon';
import { element, plate, Strip } from './strip';
import { Together } from './together';

/** Ages are repainted twice a second, looks at once. */
const AGE_PERIOD_MS = 500;
/** Marks that move faster than this, units of points a frame of 1/30 s (2 px at 1080p), are painted together with their picture, for so long after they last did; so are those of which it is not known, until it is. */
const FAST = 17;
const FAST_FOR_MS = 1_000;
const UNKNOWN_FOR_MS = 150;
/** After a pen was last near, the picture is looked at on each animation frame for so long. */
const NEAR_MS = 1_000;
/** A main feed that fills this share of the program is named by the strip above, so that its picture stays free. */
const FILLS = 0.98;
/** Width that name and age ask for, in the strip's own letters; over a picture that is smaller the strip has less air. */
const SMALL_EM = 14;
/** Over one that is smaller than this, icon and age only: a name would be cut to a letter, and hide a third of the picture. */
const TINY_EM = 8;

export interface StageContext {
  /** What stands here: `program`, or the id of a single feed. */
  readonly feed: string;
  ring(): FrameRing;
  log(): ShownLog;
  readonly clock: GlassClock;
  readonly ink: InkClient;
  readonly tracks: Tracks;
  readonly pointers: Pointers;
  /** Address of a pinned frame, by its id or else by the frame it should be; null: there is none. */
  still(of: { still: string | null; feed: string; capture: bigint }): string | null;
  texts(): Texts;
  feedName(feed: string): string;
  labelOf(author: number): string;
  drawers(): readonly Drawer[];
  /** What the viewer's name reads on the picture; null in the room. */
  watermark(): string | null;
  flow(now: PerfMs): Flow;
  sourceGone(): boolean;
  /** The room has drawn the curtain before this feed. */
  covered(feed: string): boolean;
}

/** large: what people look at. beside: the live picture while the large one is held. tile: one of a filmstrip; it keeps strip and pattern and drops plate and watermark. */
export type StageKind = 'large' | 'beside' | 'tile';

/** The frame that was before the eyes, and whether it is that very one or the nearest whose index is known. */
export interface Seen { readonly frame: FrameIndex; readonly exact: boolean }

interface RectParts { readonly under: HTMLElement; readonly over: HTMLElement; readonly strip: Strip | null; look: Look | null; words: string }

/** More of its own picture than this no strip covers where it can stand above it. */
const STRIP_SHARE_MAX = 0.25;

export class Stage {
  readonly root = element('figure', '');
  readonly glass = element('div', 'glass');
  readonly video = element('video', 'picture');
  /** The last picture, kept when the line stops: the video itself may go black when its path is made anew. */
  private readonly frozen = element('canvas', 'frozen');
  private readonly wholePat = element('div', 'layer wholepat');
  private readonly under = element('div', 'layer under');
  private readonly mark = element('div', 'wm');
  private readonly over = element('div', 'layer over');
  private readonly whole = element('div', 'whole');
  private readonly strip: Strip;
  private readonly ink = new InkLayer();
  private readonly lost = new LostInsets();
  private readonly hold = new Hold();
  private readonly together = new Together();
  private fastUntil = -Infinity;
  /** What stood here at each animation frame while a pen was near. */
  private readonly looked = new LookedLog();
  private nearUntil = -Infinity;
  private held: Seen | null = null;
  /** What is held is a still, not a frame of the picture. */
  private still: Still | null = null;
  /** The frame that is held, by its timestamp: its index may come after it. */
  private heldTs: number | null = null;
  private laid: FrameIndex | null = null;
  private px = { w: 0, h: 0, font: 15 };
  /** Says that something on the glass is drawn with gaps. */
  private readonly doubt = element('div', 'tag c-amber doubt');
  private rects = new Map<string, RectParts>();
  /** Whose marks can stand here; null: everybody's, the program's pictures change. */
  private feeds: readonly string[] | null;
  private shape = 0;
  private ratio = 16 / 9;
  private wholeLook = '';
  private marked = '';
  private inkKey = '';
  private nextAges = -Infinity;
  private nextInk: PerfMs | null = null;
  /** By what marks were painted last. */
  private painted: { readonly rtpTs: number | null; readonly frame: FrameIndex | null; readonly revision: number } = { rtpTs: null, frame: null, revision: -1 };
  private reading: GlassReading | null = null;
  /** How each feed looks since the last tick. */
  private looks: ReadonlyMap<string, Look> = new Map<string, Look>();
  private size = { w: 0, h: 0 };

  private readonly small: boolean;
  constructor(private readonly context: StageContext, private readonly kind: StageKind = 'large') {
    this.small = kind === 'tile';
    this.feeds = context.feed === PROGRAM ? null : [context.feed];
    const id = kind === 'large' ? context.feed : `${kind}-${context.feed}`;
    this.strip = new Strip('figcaption', 'strip', id);
    this.root.className = this.small ? 'feed tile' : 'feed big';
    this.root.dataset['testid'] = kind === 'large' ? 'stage' : id;
    this.root.dataset['feed'] = context.feed;
    this.glass.dataset['testid'] = kind === 'large' ? 'glass' : `glass-${id}`;
    this.video.dataset['testid'] = `${id}-video`;
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    this.mark.setAttribute('aria-hidden', 'true');
    this.frozen.hidden = true;
    this.doubt.hidden = true;
    this.doubt.dataset['testid'] = 'ink-unsure';
    this.glass.append(this.video, this.together.canvas, this.frozen, this.hold.canvas, this.under, this.wholePat, this.ink.dry, this.ink.wet, this.lost.root, this.doubt, this.mark, this.over, this.whole);
    this.root.append(this.strip.root, this.glass);
  }

  /** The strip above; its height decides how high the picture may be. */
  get caption(): HTMLElement { return this.strip.root; }

  /** Fits the picture into the room there is, contained and never cropped. CSS px. */
  fit(width: number, height: number): void {
    this.size = { w: width, h: height };
    const strip = this.strip.root.offsetHeight;
    const w = Math.max(this.small ? 40 : 160, Math.floor(Math.min(width, (height - strip) * this.ratio)));
    if (this.small) this.glass.style.width = `${w}px`;
    else this.root.style.width = `${w}px`;
    this.glass.style.height = `${Math.round(w / this.ratio)}px`;
    this.nextAges = -Infinity;
    // Read once here, never while drawing: each reading may lay the page out anew.
    this.px = { w: this.glass.clientWidth, h: this.glass.clientHeight, font: parseFloat(getComputedStyle(document.documentElement).fontSize) };
    if (this.laid) this.spanStrips(this.laid);
  }

  /** Holds the picture that is shown now. False: there is none, or nothing is known of it. */
  holdNow(time: PerfMs): boolean {
    if (this.held || this.context.flow(time) === 'waiting') return this.held !== null;
    const seen = this.seenAt(time);
    this.together.release();
    const taken = this.hold.take(this.video);
    const exact = typeof taken === 'number' ? this.context.ring().at(taken) : null;
    if (taken === false || (!exact && !seen)) {
      this.hold.release();
      return false;
    }
    this.held = exact ? { frame: exact, exact: true } : seen && { ...seen, exact: false };
    this.heldTs = typeof taken === 'number' ? taken : null;
    this.nextAges = -Infinity;
    this.tick(time);
    return true;
  }

  /** Holds a still instead of the picture that is shown. */
  holdStill(still: Still, picture: HTMLImageElement, now: PerfMs): void {
    this.together.release();
    this.hold.put(picture);
    this.held = { frame: frameOf(still), exact: true };
    this.still = still;
    this.heldTs = null;
    this.nextAges = -Infinity;
    this.tick(now);
    this.paint(now);
  }

  /** The still that stands here, if one does. */
  get stillShown(): Still | null { return this.still; }

  /** Back to the live picture. */
  release(now: PerfMs): void {
    if (!this.held) return;
    this.held = null;
    this.still = null;
    this.hold.release();
    this.nextAges = -Infinity;
    this.tick(now);
    this.paint(now);
  }

  /** How wide the picture is drawn, in device pixels; a filmstrip that is folded away draws nothing. */
  get pixels(): number { return Math.round(this.px.w * (globalThis.devicePixelRatio || 1)); }

  get isHeld(): boolean { return this.held !== null; }

  /** The frame that was before the eyes at `time`; null while none was, or nothing is known of any. */
  seenAt(time: PerfMs): Seen | null {
    if (this.held) return this.held;
    if (this.context.flow(time) === 'waiting') return null;
    const log = this.looked.at(time) ?? this.context.log();
    const frame = frameSeen(this.context.ring(), log, time);
    return frame && { frame, exact: log.at(time)?.rtpTs === frame.rtpTs };
  }

  /** CSS px of the glass to program pixels. */
  toProgram(x: number, y: number, pressure: number, frame: FrameIndex): PenSample {
    const scale = frame.width / Math.max(1, this.px.w);
    return { x: x * scale, y: y * scale, pressure };
  }

  /** Everything but the picture itself. Called on frames shown, on a timer, and when ink or texts change. */
  tick(now: PerfMs): void {
    const { texts, flow, sourceGone } = { texts: this.context.texts(), flow: this.context.flow(now), sourceGone: this.context.sourceGone() };
    const index = this.held && !this.held.exact && this.heldTs !== null ? this.context.ring().at(this.heldTs) : null;
    if (index) this.held = { frame: index, exact: true };
    const reading = this.held ? readHeld(this.held.frame, this.context.clock, now)
      : readGlass(this.context.ring(), this.context.log(), this.context.clock, now) ?? this.lastReading(now, flow === 'flowing');
    this.reading = reading;
    const ages = now >= this.nextAges;
    if (ages) this.nextAges = now + AGE_PERIOD_MS;
    if (reading) this.layRects(reading.frame);

    const main = reading?.rects[0] ?? null;
    const look = this.lookAt(flow, sourceGone, main);
    const filling = main !== null && this.fills(main.rect) ? main.feed : null;
    const named = filling ?? (this.context.feed === 'program' ? null : this.context.feed);
    const plain = named === null ? texts.program : this.context.feedName(named);
    const mainName = this.kind === 'beside' ? `${plain} · ${texts.look_now}` : plain;
    const testid = this.small ? `strip-tile-${this.context.feed}` : `strip-${named ?? 'program'}`;
    if (this.strip.root.dataset['testid'] !== testid) this.strip.root.dataset['testid'] = testid;
    this.strip.update({ name: mainName, look, ageMs: main?.ageMs ?? null, uncertaintyMs: reading?.uncertaintyMs ?? 0 }, texts, ages);
    const dead = flow !== 'flowing' && !this.held;
    this.frameLook(dead || filling !== null ? look : main === null ? 'unknown' : 'live');
    this.freeze((flow === 'stalled' || flow === 'paused') && !this.held && look !== 'curtain');
    this.wholePlate(dead ? look : null, sourceGone, texts);

    const looks = new Map<string, Look>();
    for (const one of reading?.rects ?? []) {
      const parts = this.rects.get(one.feed);
      if (!parts) continue;
      const own = this.lookAt(flow, sourceGone, one);
      looks.set(one.feed, own);
      this.rectLook(parts, own, dead, texts);
      const changed = parts.strip?.update({ name: this.context.feedName(one.feed), look: own, ageMs: one.ageMs, uncertaintyMs: reading?.uncertaintyMs ?? 0, skewMs: one.skewMs }, texts, ages) ?? false;
      if (changed && reading) this.placeStrip(parts, one.feed, reading.frame);
    }
    this.looks = looks;
    this.watermark();
    // Ink depends on where the pictures lie, on how they are, and on what the tracker says of the frame shown.
    const inkKey = `${this.shape} ${[...this.looks].join(' ')} ${this.px.w} ${this.context.tracks.revision} ${this.context.pointers.revision} ${fonts.loaded}`;
    if (inkKey !== this.inkKey || (this.nextInk !== null && now >= this.nextInk)) {
      this.inkKey = inkKey;
      this.paint(now);
    }
  }

  private lookAt(flow: Flow, sourceGone: boolean, one: { feed: string; state: FeedState; ageMs: number | null; sync: Sync } | null): Look {
    const feed = one?.feed ?? this.context.feed;
    const covered = this.context.covered(feed);
    const look = lookOf({ covered, flow: this.held ? 'flowing' : flow, sourceGone, state: one?.state ?? null, ageMs: one?.ageMs ?? null, sync: one?.sync ?? Sync.UNSPECIFIED, before: this.looks.get(feed) ?? null });
    if (this.still && look !== 'curtain') return 'still';
    // Held by the viewer: its age is known and meant. A picture that was dead when it was held still is.
    return this.held && (look === 'live' || look === 'unsynced' || look === 'stale') && one?.state !== FeedState.STALE ? 'frozen' : look;
  }

  /** Marks stand on a picture that moves, or a pen is near: [`follow`] is to be called on every animation frame. */
  isFollowed(now: PerfMs): boolean { return !this.held && (now < this.nearUntil || this.hasInk(now)); }
  /** A single feed's pictures bear that feed's marks alone: a filmstrip of them asks nothing of the video while others are drawn on. */
  private hasInk(now: PerfMs): boolean {
    const { context } = this;
    return !this.held && anyStands(context.ink.sheet.strokes(), this.feeds, context.clock.toTimeline(now));
  }

  /** A pen is over the glass: which picture it sees is to be known. */
  handleNear(now: PerfMs): void { this.nearUntil = now + NEAR_MS; }

  /** Marks move with the picture under them, in the same animation frame: also when the browser shows one that it has not told of, or word of one comes late. */
  follow(now: PerfMs): void {
    const hasInk = this.hasInk(now);
    if (hasInk && now < this.fastUntil) this.together.take(this.video);
    else this.together.release();
    if (this.held || (!hasInk && now >= this.nearUntil)) return;
    const on = this.pictureTs();
    if (on !== null && now < this.nearUntil) this.looked.handleLook(on, now);
    const { rtpTs, frame, revision } = this.painted;
    if (hasInk && (on !== rtpTs || revision !== this.context.tracks.revision || (on !== null && this.context.ring().at(on) !== frame))) this.paint(now, on);
  }

  /** Of the picture that is on the glass. Null: not known. */
  private pictureTs(): number | null { return this.together.rtpTs ?? pictureOn(this.video) ?? this.context.log().last?.rtpTs ?? null; }

  /** Where a mark was painted last, and on which picture of the program or feed. */
  standing(stroke: string): Standing | null { return this.ink.standings.get(stroke) ?? null; }
  get paintedOn(): number | null { return this.painted.rtpTs; }

  /** What shows the live picture: the video itself, or the canvas that stands for it, and which picture is on that. */
  get picture(): { readonly canvas: HTMLCanvasElement; readonly rtpTs: number } | null {
    const { canvas, rtpTs } = this.together;
    return rtpTs === null ? null : { canvas, rtpTs };
  }

  /** Repaints ink where it changed. Also called directly, in the same turn, when the room clears. `on`: which picture is on the glass, where it was just asked. */
  paint(now: PerfMs, on: number | null | undefined = undefined): void {
    const { ink, tracks, pointers } = this.context;
    const { w: width, h: height } = this.px;
    const ratio = globalThis.devicePixelRatio || 1;
    const at = this.context.clock.toTimeline(now);
    this.ink.resize(width, height, ratio);
    const { frame, late, rtpTs } = this.frameNow(on);
    this.painted = { frame, rtpTs, revision: tracks.revision };
    const surfaces = frame ? this.surfaces(frame, width, late) : [];
    const drawers = this.context.drawers();
    const texts = this.context.texts();
    const painted = this.ink.paint({
      strokes: ink.sheet.visible(at), surfaces, tracks, rings: pointers.rings(ink.author), drawers,
      labelOf: (author) => (this.small ? '' : this.context.labelOf(author)), own: ink.author, now, at, scale: width / 1920, labelPx: Math.max(12, this.px.font * 0.9), reference: texts.reference_only,
    });
    this.nextInk = painted.next;
    const { unsure } = painted;
    if (painted.pace > FAST) this.fastUntil = Math.max(this.fastUntil, now + (painted.pace === Infinity ? UNKNOWN_FOR_MS : FAST_FOR_MS));
    if (unsure) {
      this.doubt.style.left = `${unsure.box.x + 10}px`;
      this.doubt.style.bottom = `${height - unsure.box.y - unsure.box.h + 10}px`;
    }
    if ((unsure !== null) === this.doubt.hidden) {
      this.doubt.hidden = unsure === null;
      const word = element('span', '');
      word.textContent = texts.track_unsure;
      this.doubt.replaceChildren(iconElement('crosshair-bold'), word);
    }
    const away = this.small ? [] : painted.away.filter((s) => !this.context.covered(s.frame.feed));
    this.lost.update({ away, surfaces, tracks, drawers, labelOf: (author) => this.context.labelOf(author), now, at, ratio, texts, still: (of) => this.context.still(of), reference: texts.reference_only });
    if (painted.away.length > 0) this.nextInk = Math.min(this.nextInk ?? Infinity, now + AGE_PERIOD_MS) as PerfMs;
  }

  /** The index of the very frame on the glass, or the newest known before it. `late`: so much later was what is on the glass captured, NTP 32.32. */
  private frameNow(on: number | null | undefined): { frame: FrameIndex | null; late: bigint; rtpTs: number | null } {
    if (this.held) return { frame: this.held.frame, late: 0n, rtpTs: null };
    const rtpTs = on === undefined ? this.pictureTs() : on;
    const frame = (rtpTs === null ? null : this.context.ring().upTo(rtpTs)) ?? this.reading?.frame ?? null;
    const ticks = rtpTs === null || frame === null ? 0 : Math.max(0, rtpMinus(rtpTs, frame.rtpTs));
    return { frame, late: (BigInt(ticks) << 32n) / 90_000n, rtpTs };
  }

  private surfaces(frame: FrameIndex, width: number, late: bigint): Surface[] {
    const scale = width / Math.max(1, frame.width);
    const box = (r: { x: number; y: number; w: number; h: number }) => ({ x: r.x * scale, y: r.y * scale, w: r.w * scale, h: r.h * scale });
    const out: Surface[] = [];
    frame.entries.forEach((entry, i) => {
      if (!entry.rect) return;
      const front = frame.entries.slice(i + 1).flatMap((e) => (e.rect ? [box(e.rect)] : []));
      const look = this.looks.get(entry.feed) ?? 'unknown';
      // A held image is the same in the next frame; of a live one the next is another, whose place is not known until its word comes.
      const capture = entry.state === FeedState.LIVE && entry.capture !== 0n ? entry.capture + late : entry.capture;
      out.push({ feed: entry.feed, capture, state: entry.state, geometry: entry.geometry, still: this.still?.id ?? '', box: box(entry.rect), front, inkShows: inkShows(look) });
    });
    return out;
  }

  /**
   * After a stall longer than the window: the last reading, its ages still growing. While pictures flow whose indexes do not
   * come, nothing is known of them: neither state nor age.
   */
  private lastReading(now: PerfMs, flowing: boolean): GlassReading | null {
    const last = this.reading;
    if (!last) return null;
    const frame = this.context.ring().at(last.frame.rtpTs) ?? last.frame;
    if (!flowing) return readHeld(frame, this.context.clock, now);
    return { ...last, rects: last.rects.map((r) => ({ ...r, state: FeedState.UNSPECIFIED, ageMs: null })) };
  }

  private fills(rect: { w: number; h: number }): boolean {
    const frame = this.reading?.frame;
    return frame !== undefined && rect.w >= frame.width * FILLS && rect.h >= frame.height * FILLS;
  }

  private layRects(frame: FrameIndex): void {
    const before = this.laid;
    if (frame === before) return;
    this.laid = frame;
    if (before && sameShape(frame, before)) return;
    this.shape += 1;
    if (this.feeds) this.feeds = [this.context.feed, ...frame.entries.map((e) => e.feed)];
    if (frame.width > 0 && frame.height > 0 && this.ratio !== frame.width / frame.height) {
      this.ratio = frame.width / frame.height;
      this.fit(this.size.w, this.size.h);
    }
    this.rects.clear();
    const percent = (part: number, whole: number): string => `${(part / Math.max(1, whole)) * 100}%`;
    for (const entry of frame.entries) {
      const r = entry.rect;
      if (!r) continue;
      const under = element('div', 'rect');
      under.append(element('div', 'pat'));
      const over = element('div', 'rect');
      over.dataset['testid'] = `rect-${entry.feed}`;
      for (const e of [under, over]) {
        e.style.left = percent(r.x, frame.width);
        e.style.top = percent(r.y, frame.height);
        e.style.width = percent(r.w, frame.width);
        e.style.height = percent(r.h, frame.height);
      }
      const strip = this.small || this.fills(r) ? null : new Strip('div', 'strip on', entry.feed);
      if (strip) strip.root.style.top = percent(r.y, frame.height);
      this.rects.set(entry.feed, { under, over, strip, look: null, words: '' });
    }
    const parts = [...this.rects.values()];
    this.under.replaceChildren(...parts.map((p) => p.under));
    this.over.replaceChildren(...parts.map((p) => p.over), ...parts.flatMap((p) => (p.strip ? [p.strip.root] : [])));
    this.spanStrips(frame);
    this.nextAges = -Infinity;
  }

  /** As wide as its picture; over a small one as wide as its words ask for, where nothing stands beside it. */
  private spanStrips(frame: FrameIndex): void {
    const scale = this.px.w / Math.max(1, frame.width);
    for (const [feed, { strip }] of this.rects) {
      if (!strip || scale <= 0) continue;
      const em = parseFloat(getComputedStyle(strip.root).fontSize) || this.px.font;
      const span = stripSpan(frame, feed, (SMALL_EM * em) / scale);
      if (!span) continue;
      strip.root.classList.toggle('small', span.w * scale < SMALL_EM * em);
      strip.root.classList.toggle('tiny', span.w * scale < TINY_EM * em);
      strip.root.style.left = `${(span.x / Math.max(1, frame.width)) * 100}%`;
      strip.root.style.width = `${(span.w / Math.max(1, frame.width)) * 100}%`;
    }
  }

  /** Above its picture where the program leaves room for it, else over the picture's top edge, and over as little of it as it can. */
  private placeStrip(parts: RectParts, feed: string, frame: FrameIndex): void {
    const root = parts.strip?.root;
    const rect = frame.entries.find((e) => e.feed === feed)?.rect;
    const scale = this.px.w / Math.max(1, frame.width);
    if (!root || !rect || scale <= 0) return;
    root.style.height = '';
    root.classList.remove('tight');
    let free = freeAbove(frame, feed);
    let natural = root.offsetHeight / scale;
    let above = heightAbove(natural, free);
    // A low picture upon another: a strip on its own top edge would take the numbers of a monitor.
    if (above === null && natural > rect.h * STRIP_SHARE_MAX) {
      const within = freeAbove(frame, feed, true);
      above = heightAbove(natural, within);
      if (above !== null) free = within;
    }
    // Its frame is dotted too: on the picture the icon says it alone, in the line of the name, and covers no number of a small monitor.
    if (above === null && root.dataset['look'] === 'unsynced' && root.classList.contains('two')) {
      root.classList.add('lean');
      natural = root.offsetHeight / scale;
      above = heightAbove(natural, free);
    }
    root.classList.toggle('above', above !== null);
    root.classList.toggle('tight', above === null || above < natural);
    root.style.top = `${((rect.y - (above ?? free)) / Math.max(1, frame.height)) * 100}%`;
    if (above !== null && above < natural) root.style.height = `${above * scale}px`;
  }

  private rectLook(parts: RectParts, look: Look, wholeIsDead: boolean, texts: Texts): void {
    const shown: Look = wholeIsDead && look !== 'curtain' ? 'live' : look; // a dead whole wears the pattern once, over everything
    const words = LOOKS[shown].plate;
    const said = words ? `${shown} ${texts[words.word]}` : '';
    if (parts.look === shown && parts.words === said) return;
    parts.look = shown;
    parts.words = said;
    parts.under.className = `rect is-${shown}`;
    parts.over.className = `rect is-${shown}`;
    parts.over.querySelector('.plate')?.remove();
    if (words) parts.over.append(plate(LOOKS[shown].icon, texts[words.word], texts[words.next]));
    this.nextAges = -Infinity;
  }

  private frameLook(look: Look): void {
    const name = `feed ${this.small ? 'tile' : 'big'} is-${look}${this.held ? ' held' : ''}`;
    if (this.root.className !== name) this.root.className = name;
    if (this.root.dataset['look'] !== look) this.root.dataset['look'] = look;
  }

  /** Takes the last picture at the moment the stall is seen, and lets go of it with the first new frame. */
  private freeze(stalled: boolean): void {
    if (stalled !== this.frozen.hidden) return;
    this.frozen.hidden = !stalled;
    if (!stalled) this.frozen.width = this.frozen.height = 0; // an old picture is not kept
    if (!stalled || this.video.videoWidth === 0) return;
    this.frozen.width = this.video.videoWidth;
    this.frozen.height = this.video.videoHeight;
    this.frozen.getContext('2d')?.drawImage(this.video, 0, 0);
  }

  private wholePlate(look: Look | null, sourceGone: boolean, texts: Texts): void {
    const words = look ? LOOKS[look].plate : null;
    const said = look && words ? `${look} ${sourceGone} ${texts[words.word]}` : '';
    if (said === this.wholeLook) return;
    const engineGone = sourceGone && look === 'lost';
    this.wholeLook = said;
    this.whole.replaceChildren();
    this.whole.className = look ? `whole is-${look}` : 'whole';
    this.wholePat.className = look ? `layer wholepat is-${look}` : 'layer wholepat';
    if (look && words && !this.small) this.whole.append(plate(LOOKS[look].icon, texts[engineGone ? 'look_lost_engine_plate' : words.word], texts[engineGone ? 'look_lost_engine' : words.next]));
  }

  private watermark(): void {
    const text = (this.small ? null : this.context.watermark()) ?? '';
    if (text === this.marked) return;
    this.marked = text;
    const minute = Number(/(\d)$/.exec(text)?.[1] ?? 0);
    this.mark.className = minute % 2 === 0 ? 'wm' : 'wm odd';
    this.mark.replaceChildren(...(text ? Array.from({ length: 40 }, () => {
      const one = element('span', '');
      one.textContent = text;
      return one;
    }) : []));
  }
}

function sameShape(a: FrameIndex, b: FrameIndex): boolean {
  if (a.layoutRev !== b.layoutRev || a.width !== b.width || a.height !== b.height || a.entries.length !== b.entries.length) return false;
  return a.entries.every((e, i) => {
    const o = b.entries[i];
    return e.feed === o?.feed && e.rect?.x === o.rect?.x && e.rect?.y === o.rect?.y && e.rect?.w === o.rect?.w && e.rect?.h === o.rect?.h;
  });
}
