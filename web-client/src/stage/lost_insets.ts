// Marks whose place is not on the live picture any more: each on its own pinned frame, in a corner of the glass, with its age.
// They are never drawn where they might be.
import type { Drawer } from '../core/ink/look';
import { textureOf } from '../core/ink/look';
import { UNMOVED } from '../core/ink/moved';
import type { Box } from '../core/ink/outline';
import type { Stroke } from '../core/ink/sheet';
import type { Tracks } from '../core/ink/tracks';
import type { CaptureNtp } from '../core/units';
import { ntpMinusNs } from '../core/units';
import { formatAge } from '../core/age';
import { Tool } from '../gen/ink_pb';
import { iconElement } from '../design/icon';
import type { Texts } from '../i18n';
import { InkCanvas } from './ink_canvas';
import { markItem } from './ink_items';
import { element } from './strip';

/** Frames shown at once, the newest; more would cover the picture. */
const INSETS_MAX = 2;
/** Of the picture's width. */
const SHARE = 0.3;
const MARGIN = 10;

export interface LostScene {
  readonly away: readonly Stroke[];
  readonly surfaces: readonly { readonly feed: string; readonly box: Box; readonly front: readonly Box[] }[];
  readonly tracks: Tracks;
  readonly drawers: readonly Drawer[];
  readonly at: CaptureNtp | null;
  readonly ratio: number;
  readonly texts: Texts;
  /** Address of a pinned frame; null: there is none. */
  readonly still: (of: Frame) => string | null;
  readonly reference: string;
}

export interface Frame { readonly key: string; readonly feed: string; readonly capture: bigint; readonly still: string | null; readonly strokes: Stroke[] }

/** Marks by the frame they were drawn on, the newest frames first. */
export function framesOf(away: readonly Stroke[], tracks: Pick<Tracks, 'stillOf'>): Frame[] {
  const frames = new Map<string, Frame>();
  for (const stroke of away) {
    const still = stroke.frame.still || tracks.stillOf(stroke.id);
    const key = still ?? `${stroke.feed} ${stroke.frame.capture}`;
    const frame = frames.get(key) ?? { key, feed: stroke.feed, capture: stroke.frame.capture, still, strokes: [] };
    frame.strokes.push(stroke);
    frames.set(key, frame);
  }
  return [...frames.values()].sort((a, b) => (a.capture > b.capture ? -1 : a.capture < b.capture ? 1 : 0)).slice(0, INSETS_MAX);
}

class Inset {
  readonly root = element('figure', 'lost');
  private readonly glass = element('div', 'lostglass');
  private readonly image = element('img', '');
  private readonly ink = new InkCanvas('ink lostink', 'ink-lost');
  private readonly caption = element('figcaption', '');
  private readonly words = element('span', '');
  private readonly age = element('span', 'num');
  private failed = false;
  private tried = 0n;

  constructor() {
    this.root.dataset['testid'] = 'lost-inset';
    this.image.alt = '';
    this.image.draggable = false;
    this.image.onerror = () => {
      this.image.hidden = true;
      this.failed = true;
    };
    this.image.onload = () => { this.image.hidden = false; };
    this.image.hidden = true;
    this.age.setAttribute('aria-live', 'off');
    this.caption.append(iconElement('crosshair-bold'), this.words, this.age);
    this.glass.append(this.image, this.ink.element);
    this.root.append(this.glass, this.caption);
  }

  /** A frame that is not there yet is asked for again, once a second. */
  private mayTry(at: CaptureNtp | null): boolean {
    if (at === null || at - this.tried < 1n << 32n) return false;
    this.tried = at;
    return true;
  }

  show(frame: Frame, place: { x: number; y: number; w: number; h: number }, scene: LostScene): void {
    const { root, glass, image } = this;
    root.style.left = `${place.x}px`;
    root.style.top = `${place.y}px`;
    root.style.width = `${place.w}px`;
    glass.style.height = `${place.h}px`;
    const source = scene.still(frame);
    if (source === null) image.hidden = true;
    else if (image.getAttribute('src') !== source || (this.failed && this.mayTry(scene.at))) {
      this.failed = false;
      image.src = source;
    }
    if (this.words.textContent !== scene.texts.track_lost) this.words.textContent = scene.texts.track_lost;
    const text = formatAge('held', scene.at === null ? null : Number(ntpMinusNs(scene.at, frame.capture)) / 1e6);
    const said = text ? `${text.value} ${scene.texts[`age_${text.unit}`]}` : scene.texts.age_none;
    if (this.age.textContent !== said) this.age.textContent = said;
    const box = { x: 0, y: 0, w: place.w, h: place.h };
    this.ink.resize(place.w, place.h, scene.ratio);
    this.ink.paint(frame.strokes.map((stroke) => markItem({
      stroke, points: stroke.points, moved: UNMOVED, unsure: false, opacity: 1, texture: textureOf(stroke.author, scene.drawers), box, front: [], scale: place.w / 1920, name: '', namePx: 12,
      words: stroke.tool === Tool.MEASURE ? scene.reference : '',
    })));
  }
}

export class LostInsets {
  readonly root = element('div', 'layer lostlayer');
  private readonly insets: Inset[] = [];

  /** Nothing is done while there is nothing. */
  update(scene: LostScene): void {
    if (scene.away.length === 0 && this.insets.length === 0) return;
    const frames = framesOf(scene.away, scene.tracks);
    while (this.insets.length > frames.length) this.insets.pop()?.root.remove();
    const stacked = new Map<string, number>();
    frames.forEach((frame, i) => {
      const surface = scene.surfaces.find((s) => s.feed === frame.feed);
      if (!surface) return;
      let inset = this.insets[i];
      if (!inset) {
        inset = new Inset();
        this.insets.push(inset);
        this.root.append(inset.root);
      }
      const { box } = surface;
      const w = Math.round(Math.max(Math.min(110, box.w * 0.42), box.w * SHARE));
      const h = Math.round((w * box.h) / Math.max(1, box.w));
      const nth = stacked.get(frame.feed) ?? 0;
      stacked.set(frame.feed, nth + 1);
      // At the right edge, below a strip that may lie on the picture; beside an inset of the program that lies there, not over it.
      const right = Math.min(box.x + box.w, ...surface.front.filter((f) => f.y < box.y + box.h * 0.6 && f.x > box.x + box.w / 2).map((f) => f.x));
      const top = box.y + MARGIN + 34;
      const step = h + 44;
      // Below each other down to what lies on the picture there, then in a column beside.
      const free = Math.min(box.y + box.h, ...surface.front.filter((f) => f.y > top && f.x < right && f.x + f.w > right - w).map((f) => f.y));
      const rows = Math.max(1, Math.floor((free - top) / step));
      inset.show(frame, { x: right - MARGIN - w - Math.floor(nth / rows) * (w + MARGIN), y: top + (nth % rows) * step, w, h }, scene);
    });
  }
}
