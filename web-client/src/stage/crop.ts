// A tile of the filmstrip cut out of the program's own picture: nothing more is encoded or sent for it, and no further video is
// painted: it takes a small picture ten times a second from one that all tiles share. State and age are those of its rectangle.
// A feed that is not in the program has a strip, and a sentence instead of a picture.
import { lookOf, readGlass } from '../core/glass';
import type { Look } from '../core/glass';
import type { PerfMs } from '../core/units';
import { PROGRAM } from '../core/view';
import type { StageContext } from './stage';
import { element, Strip } from './strip';

const AGE_PERIOD_MS = 500;
/** Its picture may be older than the program's by so much, and says so. Five more videos at full rate cost the pen its core. */
const TAKEN_EVERY_MS = 100;
/** Width of what is taken, px; a tile of a 1440 px page is 200 wide. */
const TAKEN_WIDTH = 384;
/** Width to height of a tile's glass. */
const TILE_ASPECT = 16 / 9;
/** Looks that lie over the whole tile. */
const PATTERNED: ReadonlySet<Look> = new Set(['lost', 'stalled', 'paused', 'curtain', 'unmasked']);

export class CropTile {
  readonly root = element('div', 'feed tile');
  private readonly canvas = element('canvas', '');
  private readonly context2d = this.canvas.getContext('2d', { alpha: false });
  private readonly glass = element('div', 'glass');
  private readonly cut = element('div', 'cut-out');
  private readonly pattern = element('div', 'layer wholepat');
  private readonly absent = element('span', 'absent');
  private readonly strip: Strip;
  private nextAges = -Infinity;
  private nextTake = -Infinity;
  private taken = false;
  private look: Look | null = null;
  private from: { x: number; y: number; w: number; h: number } | null = null;
  private shape = '';

  /** `context` is the program's; `feed` what is cut out of it; `video` shows the program somewhere, or nowhere. */
  constructor(private readonly feed: string, private readonly context: StageContext, private readonly video: HTMLVideoElement) {
    this.strip = new Strip('div', 'strip', `tile-${feed}`);
    this.cut.append(this.canvas);
    this.absent.hidden = true;
    this.glass.append(this.cut, this.absent, this.pattern);
    this.root.append(this.strip.root, this.glass);
  }

  tick(now: PerfMs): void {
    const { context, feed } = this;
    const texts = context.texts();
    const reading = readGlass(context.ring(), context.log(), context.clock, now);
    const one = feed === PROGRAM ? reading?.rects[0] : reading?.rects.find((r) => r.feed === feed);
    const flow = context.flow(now);
    const inProgram = one !== undefined || reading === null;
    // Late by the age it says, as the picture in the program is by its own.
    const ageMs = one?.ageMs == null ? null : one.ageMs + TAKEN_EVERY_MS;
    const look = inProgram || context.covered(feed) ? lookOf({ covered: context.covered(feed), flow, sourceGone: context.sourceGone(), state: one?.state ?? null, ageMs, before: this.look }) : 'unknown';
    this.look = look;
    const ages = now >= this.nextAges;
    if (ages) this.nextAges = now + AGE_PERIOD_MS;
    const name = feed === PROGRAM ? texts.program : context.feedName(feed);
    this.strip.update({ name, look, ageMs, uncertaintyMs: 0 }, texts, ages);
    const className = `feed tile is-${look}`;
    if (this.root.className !== className) {
      this.root.className = className;
      this.pattern.className = PATTERNED.has(look) ? `layer wholepat is-${look}` : 'layer wholepat';
    }
    if (reading) this.lay(feed === PROGRAM ? { x: 0, y: 0, w: reading.frame.width, h: reading.frame.height } : one?.rect ?? null, reading.frame);
    this.absent.hidden = inProgram || look !== 'unknown';
    if (this.absent.textContent !== texts.tile_absent) this.absent.textContent = texts.tile_absent;
    if (look === 'curtain') this.forget();
    else if (flow === 'flowing' && now >= this.nextTake) this.take(now);
  }

  /** Behind the curtain nothing is kept of what was seen. */
  private forget(): void {
    if (this.taken) this.context2d?.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.taken = false;
  }

  private take(now: PerfMs): void {
    this.nextTake = now + TAKEN_EVERY_MS - 10;
    const { from, video, canvas } = this;
    if (from === null || video.videoWidth === 0) return;
    this.taken = true;
    // Parts of the picture, which may come at a lower layer's size.
    this.context2d?.drawImage(video, from.x * video.videoWidth, from.y * video.videoHeight, from.w * video.videoWidth, from.h * video.videoHeight, 0, 0, canvas.width, canvas.height);
  }

  /** How wide the whole program would be drawn at this size of its part, in device pixels. */
  get pixels(): number { return this.from === null || this.cut.hidden ? 0 : Math.round((this.canvas.offsetWidth / this.from.w) * (globalThis.devicePixelRatio || 1)); }

  private lay(r: { x: number; y: number; w: number; h: number } | null, frame: { width: number; height: number }): void {
    const shape = r === null ? 'none' : `${r.x} ${r.y} ${r.w} ${r.h} ${frame.width} ${frame.height}`;
    if (shape === this.shape) return;
    this.shape = shape;
    this.cut.hidden = r === null || r.w <= 0 || r.h <= 0;
    this.from = null;
    if (r === null || this.cut.hidden) return;
    const aspect = r.w / r.h;
    const percent = (part: number): string => `${part * 100}%`;
    this.cut.style.width = percent(Math.min(1, aspect / TILE_ASPECT));
    this.cut.style.height = percent(Math.min(1, TILE_ASPECT / aspect));
    const [width, height] = [Math.max(1, frame.width), Math.max(1, frame.height)];
    this.from = { x: r.x / width, y: r.y / height, w: r.w / width, h: r.h / height };
    this.canvas.width = Math.round(TAKEN_WIDTH * Math.min(1, aspect / TILE_ASPECT));
    this.canvas.height = Math.max(1, Math.round(this.canvas.width / aspect));
  }
}
