// The stage: the program's picture with what must stand on and above it. Framework-free; parts are stacked by how often they
// repaint. Back to front: picture, pattern of a dead state, ink, watermark, plates, strips.
import { readGlass, inkShows, lookOf } from '../core/glass';
import type { GlassClock, GlassReading, Look } from '../core/glass';
import { frameSeen, freeAbove } from '../core/frames';
import type { FrameRing, ShownLog } from '../core/frames';
import { FeedState } from '../gen/frame_pb';
import type { FrameIndex } from '../gen/frame_pb';
import type { InkClient } from '../core/ink/client';
import type { Drawer } from '../core/ink/look';
import type { PenSample } from '../core/ink/pen';
import type { Flow } from '../core/stall';
import type { CaptureNtp, PerfMs } from '../core/units';
import type { Texts } from '../i18n';
import { InkLayer } from './ink_layer';
import type { Surface } from './ink_layer';
import { LOOKS } from './looks';
import { element, plate, Strip } from './strip';

/** Ages are repainted twice a second, looks at once. */
const AGE_PERIOD_MS = 500;
/** A main feed that fills this share of the program is named by the strip above, so that its picture stays free. */
const FILLS = 0.98;

export interface StageContext {
  /** What stands here: `program`, or the id of a single feed. */
  readonly feed: string;
  ring(): FrameRing;
  log(): ShownLog;
  readonly clock: GlassClock;
  readonly ink: InkClient;
  texts(): Texts;
  feedName(feed: string): string;
  labelOf(author: number): string;
  drawers(): readonly Drawer[];
  /** What the viewer's name reads on the picture; null in the room. */
  watermark(): string | null;
  flow(now: PerfMs): Flow;
  sourceGone(): boolean;
}

interface RectParts { readonly under: HTMLElement; readonly over: HTMLElement; readonly strip: Strip | null; look: Look | null; words: string }

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
  private rects = new Map<string, RectParts>();
  private shape = '';
  private ratio = 16 / 9;
  private wholeLook = '';
  private marked = '';
  private inkKey = '';
  private nextAges = -Infinity;
  private nextLabel: PerfMs | null = null;
  private reading: GlassReading | null = null;
  private looks = new Map<string, Look>();
  private size = { w: 0, h: 0 };

  /** `small`: a tile of a filmstrip; it keeps strip and pattern and drops plate and watermark. */
  constructor(private readonly context: StageContext, private readonly small = false) {
    const id = small ? `tile-${context.feed}` : context.feed;
    this.strip = new Strip('figcaption', 'strip', id);
    this.root.className = small ? 'feed tile' : 'feed big';
    this.root.dataset['testid'] = small ? id : 'stage';
    this.root.dataset['feed'] = context.feed;
    this.glass.dataset['testid'] = small ? `glass-${id}` : 'glass';
    this.video.dataset['testid'] = `${small ? id : context.feed}-video`;
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    this.mark.setAttribute('aria-hidden', 'true');
    this.frozen.hidden = true;
    this.glass.append(this.video, this.frozen, this.under, this.wholePat, this.ink.dry, this.ink.wet, this.mark, this.over, this.whole);
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
  }

  /** The frame that was before the eyes at `time`; null while none was, or nothing is known of any. */
  frameAt(time: PerfMs): FrameIndex | null {
    if (this.context.flow(time) === 'waiting') return null;
    return frameSeen(this.context.ring(), this.context.log(), time);
  }

  /** Whether that is the very frame that was on the glass; otherwise the op says that its mapping is told, not seen. */
  isExact(frame: FrameIndex | null, time: PerfMs): boolean {
    return frame !== null && this.context.log().at(time)?.rtpTs === frame.rtpTs;
  }

  /** CSS px of the glass to program pixels. */
  toProgram(x: number, y: number, pressure: number, frame: FrameIndex): PenSample {
    const scale = frame.width / Math.max(1, this.glass.clientWidth);
    return { x: x * scale, y: y * scale, pressure };
  }

  /** Everything but the picture itself. Called on frames shown, on a timer, and when ink or texts change. */
  tick(now: PerfMs): void {
    const { texts, flow, sourceGone } = { texts: this.context.texts(), flow: this.context.flow(now), sourceGone: this.context.sourceGone() };
    const reading = readGlass(this.context.ring(), this.context.log(), this.context.clock, now) ?? this.held(now, flow === 'flowing');
    this.reading = reading;
    const ages = now >= this.nextAges;
    if (ages) this.nextAges = now + AGE_PERIOD_MS;
    if (reading) this.layRects(reading.frame);

    const main = reading?.rects[0] ?? null;
    const look = lookOf({ flow, sourceGone, state: main?.state ?? null, ageMs: main?.ageMs ?? null });
    const filling = main !== null && this.fills(main.rect) ? main.feed : null;
    const named = filling ?? (this.context.feed === 'program' ? null : this.context.feed);
    const mainName = named === null ? texts.program : this.context.feedName(named);
    this.strip.root.dataset['testid'] = this.small ? `strip-tile-${this.context.feed}` : `strip-${named ?? 'program'}`;
    this.strip.update({ name: mainName, look, ageMs: main?.ageMs ?? null, uncertaintyMs: reading?.uncertaintyMs ?? 0 }, texts, ages);
    const dead = flow !== 'flowing';
    this.frameLook(dead || filling !== null ? look : main === null ? 'unknown' : 'live');
    this.freeze(flow === 'stalled');
    this.wholePlate(dead ? look : null, sourceGone, texts);

    this.looks.clear();
    for (const one of reading?.rects ?? []) {
      const parts = this.rects.get(one.feed);
      if (!parts) continue;
      const own = lookOf({ flow, sourceGone, state: one.state, ageMs: one.ageMs });
      this.looks.set(one.feed, own);
      this.rectLook(parts, own, dead, texts);
      const changed = parts.strip?.update({ name: this.context.feedName(one.feed), look: own, ageMs: one.ageMs, uncertaintyMs: reading?.uncertaintyMs ?? 0 }, texts, ages) ?? false;
      if (changed && reading) this.placeStrip(parts, one.feed, reading.frame);
    }
    this.watermark();
    // Ink depends on where the pictures lie and on how they are.
    const inkKey = `${this.shape} ${[...this.looks].join(' ')} ${this.glass.clientWidth}`;
    if (inkKey !== this.inkKey || (this.nextLabel !== null && now >= this.nextLabel)) {
      this.inkKey = inkKey;
      this.paint(now);
    }
  }

  /** Repaints ink. Also called directly, in the same turn, when the room clears. */
  paint(now: PerfMs): void {
    const width = this.glass.clientWidth;
    const height = this.glass.clientHeight;
    this.ink.resize(width, height, globalThis.devicePixelRatio || 1);
    const frame = this.reading?.frame;
    this.nextLabel = this.ink.paint({
      strokes: this.context.ink.sheet.visible(),
      surfaces: frame ? this.surfaces(frame, width) : [],
      drawers: this.context.drawers(),
      labelOf: (author) => this.context.labelOf(author),
      now,
      scale: width / 1920,
      labelPx: Math.max(12, parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.9),
    });
  }

  private surfaces(frame: FrameIndex, width: number): Surface[] {
    const scale = width / Math.max(1, frame.width);
    const box = (r: { x: number; y: number; w: number; h: number }) => ({ x: r.x * scale, y: r.y * scale, w: r.w * scale, h: r.h * scale });
    const out: Surface[] = [];
    frame.entries.forEach((entry, i) => {
      if (!entry.rect) return;
      const front = frame.entries.slice(i + 1).flatMap((e) => (e.rect ? [box(e.rect)] : []));
      const look = this.looks.get(entry.feed) ?? 'unknown';
      out.push({ feed: entry.feed, box: box(entry.rect), front, inkShows: inkShows(look) });
    });
    return out;
  }

  /**
   * After a stall longer than the window: the last reading, its ages still growing. While pictures flow whose indexes do not
   * come, nothing is known of them: neither state nor age.
   */
  private held(now: PerfMs, flowing: boolean): GlassReading | null {
    const last = this.reading;
    if (!last) return null;
    const frame = this.context.ring().at(last.frame.rtpTs) ?? last.frame;
    const at = this.context.clock.toTimeline(now);
    return {
      ...last,
      rects: last.rects.map((r) => {
        if (flowing) return { ...r, state: FeedState.UNSPECIFIED, ageMs: null };
        const capture = frame.entries.find((e) => e.feed === r.feed)?.capture ?? 0n;
        return { ...r, ageMs: at === null || capture === 0n ? null : Math.max(0, Number(at - (capture as CaptureNtp)) / 4_294_967.296) };
      }),
    };
  }

  private fills(rect: { w: number; h: number }): boolean {
    const frame = this.reading?.frame;
    return frame !== undefined && rect.w >= frame.width * FILLS && rect.h >= frame.height * FILLS;
  }

  private layRects(frame: FrameIndex): void {
    const shape = JSON.stringify([frame.width, frame.height, frame.layoutRev, frame.entries.map((e) => [e.feed, e.rect?.x, e.rect?.y, e.rect?.w, e.rect?.h])]);
    if (shape === this.shape) return;
    this.shape = shape;
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
      if (strip) {
        strip.root.style.left = percent(r.x, frame.width);
        strip.root.style.width = percent(r.w, frame.width);
        strip.root.style.top = percent(r.y, frame.height);
      }
      this.rects.set(entry.feed, { under, over, strip, look: null, words: '' });
    }
    const parts = [...this.rects.values()];
    this.under.replaceChildren(...parts.map((p) => p.under));
    this.over.replaceChildren(...parts.map((p) => p.over), ...parts.flatMap((p) => (p.strip ? [p.strip.root] : [])));
    this.nextAges = -Infinity;
  }

  /** Above its picture where the program leaves room for it, else over the picture's top edge. */
  private placeStrip(parts: RectParts, feed: string, frame: FrameIndex): void {
    const root = parts.strip?.root;
    const rect = frame.entries.find((e) => e.feed === feed)?.rect;
    const scale = this.glass.clientWidth / Math.max(1, frame.width);
    if (!root || !rect || scale <= 0) return;
    const height = root.offsetHeight / scale;
    const above = freeAbove(frame, feed) >= height;
    root.classList.toggle('above', above);
    root.style.top = `${((rect.y - (above ? height : 0)) / Math.max(1, frame.height)) * 100}%`;
  }

  private rectLook(parts: RectParts, look: Look, wholeIsDead: boolean, texts: Texts): void {
    const shown: Look = wholeIsDead ? 'live' : look; // a dead whole wears the pattern once, over everything
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
    const name = `feed ${this.small ? 'tile' : 'big'} is-${look}`;
    if (this.root.className !== name) this.root.className = name;
    this.root.dataset['look'] = look;
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
    this.wholeLook = said;
    this.whole.replaceChildren();
    this.whole.className = look ? `whole is-${look}` : 'whole';
    this.wholePat.className = look ? `layer wholepat is-${look}` : 'layer wholepat';
    if (look && words && !this.small) this.whole.append(plate(LOOKS[look].icon, texts[sourceGone ? 'look_lost_engine_plate' : words.word], texts[sourceGone ? 'look_lost_engine' : words.next]));
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
