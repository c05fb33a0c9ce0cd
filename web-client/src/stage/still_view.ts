// One still, small or beside: its picture, the ink on it, its name and age. Not drawn on here: opened large it is.
import { formatAge } from '../core/age';
import { opacityAt } from '../core/ink/fade';
import type { Drawer } from '../core/ink/look';
import { textureOf } from '../core/ink/look';
import { UNMOVED } from '../core/ink/moved';
import type { Stroke } from '../core/ink/sheet';
import type { PictureState } from '../core/picture_ask';
import type { Still } from '../core/stills';
import type { CaptureNtp } from '../core/units';
import { ntpMinusNs } from '../core/units';
import { Tool } from '../gen/ink_pb';
import { iconElement } from '../design/icon';
import type { Texts } from '../i18n';
import { InkCanvas } from './ink_canvas';
import { markItem } from './ink_items';
import { element } from './strip';
import { Without } from './without';

export interface StillScene {
  readonly still: Still;
  readonly picture: HTMLImageElement | null;
  readonly state: PictureState;
  /** Those on this still that have not faded. */
  readonly strokes: readonly Stroke[];
  readonly drawers: readonly Drawer[];
  readonly at: CaptureNtp | null;
  readonly ratio: number;
  readonly texts: Texts;
  readonly name: string;
}

export class StillView {
  readonly root = element('span', 'stillview');
  private readonly glass = element('span', 'stillglass');
  private readonly canvas = element('canvas', '');
  private readonly ink = new InkCanvas('ink', 'ink-still');
  /** Instead of the picture, and of the ink: a mark without what it was drawn on says nothing. */
  private readonly without = new Without('stillwords');
  readonly caption = element('span', 'stillcaption');
  private readonly name = element('span', 'nm');
  private readonly age = element('span', 'num');
  private drawn = '';
  private size = { w: 0, h: 0 };

  /** `small`: its marks, without what would have to be read on them. */
  constructor(id: string, private readonly small: boolean) {
    this.root.dataset['testid'] = `still-view-${id}`;
    this.age.setAttribute('aria-live', 'off');
    this.caption.append(iconElement('image-bold'), this.name, this.age);
    this.glass.append(this.canvas, this.ink.element, this.without.root);
    this.root.append(this.glass, this.caption);
  }

  /** CSS px that the picture may take; it is contained in them. */
  fit(w: number, h: number): void { this.size = { w, h }; }

  /** Whether ink is on it. */
  update(scene: StillScene): boolean {
    const { still, picture, texts, ratio } = scene;
    const [width, height] = still.width > 0 ? [still.width, still.height] : picture ? [picture.naturalWidth, picture.naturalHeight] : [16, 9];
    const scale = Math.max(0, Math.min(this.size.w / width, this.size.h / height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const key = `${still.id} ${w} ${h} ${ratio} ${picture !== null}`;
    if (key !== this.drawn) {
      this.drawn = key;
      this.glass.style.width = `${w}px`;
      this.glass.style.height = `${h}px`;
      this.canvas.width = Math.round(w * ratio);
      this.canvas.height = Math.round(h * ratio);
      const context = picture && this.canvas.getContext('2d', { alpha: false });
      if (context) {
        context.imageSmoothingQuality = 'high';
        context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
      }
    }
    this.root.dataset['picture'] = scene.state;
    this.without.say(scene.state, '', texts);
    const box = { x: 0, y: 0, w, h };
    this.ink.resize(w, h, ratio);
    this.ink.paint((picture ? scene.strokes : []).map((stroke) => markItem({
      stroke: this.small && stroke.tool === Tool.MEASURE ? { ...stroke, tool: Tool.LINE } : stroke, points: stroke.points, moved: UNMOVED, unsure: false, opacity: opacityAt(stroke.fadeFrom, scene.at), texture: textureOf(stroke.author, scene.drawers), box, front: [], scale: w / 1920, name: '', namePx: 12,
      words: stroke.tool === Tool.MEASURE ? texts.reference_only : '',
    })));
    if (this.name.textContent !== scene.name) this.name.textContent = scene.name;
    const text = formatAge('held', scene.at === null ? null : Number(ntpMinusNs(scene.at, still.capture)) / 1e6);
    const said = text ? `${text.value} ${texts[`age_${text.unit}`]}` : texts.age_none;
    if (this.age.textContent !== said) this.age.textContent = said;
    return scene.strokes.length > 0;
  }
}
