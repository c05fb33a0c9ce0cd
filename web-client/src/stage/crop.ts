// A tile of the filmstrip cut out of the program's own picture: nothing more is encoded or sent for it. State and age are
// those of its rectangle. A feed that is not in the program has a strip and no picture.
import { lookOf, readGlass } from '../core/glass';
import type { Look } from '../core/glass';
import type { PerfMs } from '../core/units';
import { PROGRAM } from '../core/view';
import type { StageContext } from './stage';
import { element, Strip } from './strip';

const AGE_PERIOD_MS = 500;
/** Width to height of a tile's glass. */
const TILE_ASPECT = 16 / 9;
/** Looks that lie over the whole tile. */
const PATTERNED: ReadonlySet<Look> = new Set(['lost', 'stalled', 'paused', 'curtain', 'unmasked']);

export class CropTile {
  readonly root = element('div', 'feed tile');
  readonly video = element('video', '');
  private readonly glass = element('div', 'glass');
  private readonly cut = element('div', 'cut-out');
  private readonly pattern = element('div', 'layer wholepat');
  private readonly strip: Strip;
  private nextAges = -Infinity;
  private shape = '';

  /** `context` is the program's; `feed` what is cut out of it. */
  constructor(private readonly feed: string, private readonly context: StageContext) {
    this.strip = new Strip('div', 'strip', `tile-${feed}`);
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.disablePictureInPicture = true;
    this.cut.append(this.video);
    this.glass.append(this.cut, this.pattern);
    this.root.append(this.strip.root, this.glass);
  }

  tick(now: PerfMs): void {
    const { context, feed } = this;
    const texts = context.texts();
    const reading = readGlass(context.ring(), context.log(), context.clock, now);
    const one = feed === PROGRAM ? reading?.rects[0] : reading?.rects.find((r) => r.feed === feed);
    const flow = context.flow(now);
    const inProgram = one !== undefined || reading === null;
    const look = inProgram || context.covered(feed) ? lookOf({ covered: context.covered(feed), flow, sourceGone: context.sourceGone(), state: one?.state ?? null, ageMs: one?.ageMs ?? null }) : 'unknown';
    const ages = now >= this.nextAges;
    if (ages) this.nextAges = now + AGE_PERIOD_MS;
    const name = feed === PROGRAM ? texts.program : context.feedName(feed);
    this.strip.update({ name, look, ageMs: one?.ageMs ?? null, uncertaintyMs: 0 }, texts, ages);
    const className = `feed tile is-${look}`;
    if (this.root.className !== className) {
      this.root.className = className;
      this.pattern.className = PATTERNED.has(look) ? `layer wholepat is-${look}` : 'layer wholepat';
    }
    if (reading) this.lay(feed === PROGRAM ? { x: 0, y: 0, w: reading.frame.width, h: reading.frame.height } : one?.rect ?? null, reading.frame);
  }

  /** How wide the whole program would be drawn at this size of its part, in device pixels. */
  get pixels(): number { return this.cut.hidden ? 0 : Math.round(this.video.offsetWidth * (globalThis.devicePixelRatio || 1)); }

  private lay(r: { x: number; y: number; w: number; h: number } | null, frame: { width: number; height: number }): void {
    const shape = r === null ? 'none' : `${r.x} ${r.y} ${r.w} ${r.h} ${frame.width} ${frame.height}`;
    if (shape === this.shape) return;
    this.shape = shape;
    this.cut.hidden = r === null || r.w <= 0 || r.h <= 0;
    if (r === null || this.cut.hidden) return;
    const aspect = r.w / r.h;
    const percent = (part: number): string => `${part * 100}%`;
    this.cut.style.width = percent(Math.min(1, aspect / TILE_ASPECT));
    this.cut.style.height = percent(Math.min(1, TILE_ASPECT / aspect));
    this.video.style.width = percent(frame.width / r.w);
    this.video.style.height = percent(frame.height / r.h);
    this.video.style.left = percent(-r.x / r.w);
    this.video.style.top = percent(-r.y / r.h);
  }
}
