// Marks whose place is not on the live picture any more: each on its own pinned frame, in a corner of the glass, with its age.
// They are never drawn where they might be, and never without the picture that they were drawn on: where that is not there, words say so and whose they are.
import type { Drawer } from '../core/ink/look';
import { textureOf } from '../core/ink/look';
import { UNMOVED } from '../core/ink/moved';
import type { Box } from '../core/ink/outline';
import type { Stroke } from '../core/ink/sheet';
import type { Tracks } from '../core/ink/tracks';
import type { Frame } from '../core/lost_frames';
import { framesOf, namesOf } from '../core/lost_frames';
import { isSameFrame, PictureAsk } from '../core/picture_ask';
import type { CaptureNtp, PerfMs } from '../core/units';
import { ntpMinusNs } from '../core/units';
import { formatAge } from '../core/age';
import { Tool } from '../gen/ink_pb';
import { iconElement } from '../design/icon';
import type { Texts } from '../i18n';
import { InkCanvas } from './ink_canvas';
import { markItem } from './ink_items';
import { element, write } from './strip';
import { Without } from './without';

/** Of the picture's width. */
const SHARE = 0.3;
const MARGIN = 10;

export interface LostScene {
  readonly away: readonly Stroke[];
  readonly surfaces: readonly { readonly feed: string; readonly box: Box; readonly front: readonly Box[] }[];
  readonly tracks: Tracks;
  readonly drawers: readonly Drawer[];
  readonly labelOf: (author: number) => string;
  readonly now: PerfMs;
  readonly at: CaptureNtp | null;
  readonly ratio: number;
  readonly texts: Texts;
  /** Address of a pinned frame; null: there is none. */
  readonly still: (of: Frame) => string | null;
  readonly reference: string;
}

interface Place { readonly x: number; readonly y: number; readonly w: number; readonly h: number }

class Inset {
  readonly root = element('figure', 'lost');
  private readonly glass = element('div', 'lostglass');
  private readonly ink = new InkCanvas('ink lostink', 'ink-lost');
  private readonly without = new Without('lostwords');
  private readonly caption = element('figcaption', '');
  private readonly words = element('span', '');
  private readonly age = element('span', 'num');
  private readonly ask = new PictureAsk();
  private last: { frame: Frame; place: Place; scene: LostScene } | null = null;

  constructor() {
    this.root.dataset['testid'] = 'lost-inset';
    this.age.setAttribute('aria-live', 'off');
    this.caption.append(iconElement('crosshair-bold'), this.words, this.age);
    this.glass.append(this.ink.element);
    this.root.append(this.glass, this.without.root, this.caption);
  }

  isOf(frame: Frame): boolean { return this.last !== null && isSameFrame(this.last.frame, frame); }

  show(frame: Frame, place: Place, scene: LostScene): void {
    this.last = { frame, place, scene };
    const { root, glass } = this;
    root.style.left = `${place.x}px`;
    root.style.top = `${place.y}px`;
    root.style.width = `${place.w}px`;
    const source = this.ask.poll(frame, scene.still(frame), scene.now);
    if (source !== null) this.load(source);
    const state = this.ask.state(scene.now);
    root.dataset['picture'] = state;
    glass.hidden = state !== 'there';
    this.without.say(state, namesOf(frame.strokes, scene.labelOf), scene.texts);
    write(this.words, scene.texts.track_lost);
    const text = formatAge('held', scene.at === null ? null : Number(ntpMinusNs(scene.at, frame.capture)) / 1e6);
    write(this.age, text ? `${text.value} ${scene.texts[`age_${text.unit}`]}` : scene.texts.age_none);
    if (state !== 'there') return;
    glass.style.height = `${place.h}px`;
    const box = { x: 0, y: 0, w: place.w, h: place.h };
    this.ink.resize(place.w, place.h, scene.ratio);
    this.ink.paint(frame.strokes.map((stroke) => markItem({
      stroke, points: stroke.points, moved: UNMOVED, unsure: false, opacity: 1, texture: textureOf(stroke.author, scene.drawers), box, front: [], scale: place.w / 1920, name: '', namePx: 12,
      words: stroke.tool === Tool.MEASURE ? scene.reference : '',
    })));
  }

  /** Each picture is an element of its own: one that was asked for another frame's marks never stands under these. */
  private load(source: string): void {
    const image = element('img', '');
    image.alt = '';
    image.draggable = false;
    image.onload = () => {
      if (!this.ask.handleLoaded(source) || !this.last) return;
      this.glass.replaceChildren(image, this.ink.element);
      this.show(this.last.frame, this.last.place, this.last.scene);
    };
    image.onerror = () => { this.ask.handleFailed(source, this.last?.scene.now ?? (0 as PerfMs)); };
    image.src = source;
  }
}

export class LostInsets {
  readonly root = element('div', 'layer lostlayer');
  private insets: Inset[] = [];

  /** Nothing is done while there is nothing. */
  update(scene: LostScene): void {
    if (scene.away.length === 0 && this.insets.length === 0) return;
    const frames = framesOf(scene.away, scene.tracks);
    // Each frame keeps its inset, and so its picture, when others come or go.
    const before = new Set(this.insets);
    this.insets = frames.map((frame) => {
      const known = [...before].find((one) => one.isOf(frame));
      if (known) before.delete(known);
      return known ?? new Inset();
    });
    for (const one of before) one.root.remove();
    const stacked = new Map<string, number>();
    this.insets.forEach((inset, i) => {
      const frame = frames[i];
      const surface = frame && scene.surfaces.find((s) => s.feed === frame.feed);
      if (!surface) return;
      if (inset.root.parentElement !== this.root) this.root.append(inset.root);
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
