// Ink over one glass: every mark where it stands on the pictures shown, on two canvases stacked by how often they repaint
// (dry ink, and above it what is under a pen or pointed at), and the marks that no picture shows any more.
import { opacityAt } from '../core/ink/fade';
import { textureOf } from '../core/ink/look';
import type { Drawer } from '../core/ink/look';
import { UNMOVED } from '../core/ink/moved';
import type { Box } from '../core/ink/outline';
import type { Stroke } from '../core/ink/sheet';
import { ends, pointsOnOwnFrame, standingOf } from '../core/ink/standing';
import type { PictureShown, Standing } from '../core/ink/standing';
import type { Tracks } from '../core/ink/tracks';
import type { Ring } from '../core/pointers';
import type { CaptureNtp, PerfMs } from '../core/units';
import { Tool } from '../gen/ink_pb';
import { InkCanvas } from './ink_canvas';
import type { Item } from './ink_canvas';
import { markItem, ringItem } from './ink_items';

/** How long a family name stands beside the first stroke of its author. */
export const LABEL_MS = 3_000;
/** Opacity of fading ink is repainted this often. */
const FADE_STEP_MS = 120;

/** Where a feed's picture lies on the glass in CSS px, and what lies in front of it. */
export interface Surface extends PictureShown { readonly box: Box; readonly front: readonly Box[]; readonly inkShows: boolean }

export interface InkScene {
  /** Without those that have faded. */
  readonly strokes: readonly Stroke[];
  readonly surfaces: readonly Surface[];
  readonly tracks: Tracks;
  readonly rings: readonly Ring[];
  readonly drawers: readonly Drawer[];
  readonly labelOf: (author: number) => string;
  readonly own: number;
  readonly now: PerfMs;
  readonly at: CaptureNtp | null;
  /** CSS px per pixel of a 1080p picture, for line widths. */
  readonly scale: number;
  readonly labelPx: number;
  /** *Reference only*, in the screen's language. */
  readonly reference: string;
}

export interface InkPainted {
  /** When something changes by itself: a name goes, a mark fades. */
  readonly next: PerfMs | null;
  /** Marks that are on no picture now. */
  readonly away: readonly Stroke[];
  /** The picture on which something is drawn with gaps. */
  readonly unsure: Surface | null;
  /** Of the fastest mark drawn without gaps, by how it moved lately, units of points a frame of 1/30 s. Infinity: that is not known of one. */
  readonly pace: number;
}

export class InkLayer {
  private readonly dryCanvas = new InkCanvas('ink dry', 'ink-dry');
  private readonly wetCanvas = new InkCanvas('ink wet', 'ink-wet');

  /** Where each mark was painted last. */
  readonly standings = new Map<string, Standing>();

  get dry(): HTMLCanvasElement { return this.dryCanvas.element; }
  get wet(): HTMLCanvasElement { return this.wetCanvas.element; }

  /** Size of the glass in CSS px. */
  resize(width: number, height: number, ratio: number): void {
    this.dryCanvas.resize(width, height, ratio);
    this.wetCanvas.resize(width, height, ratio);
  }

  paint(scene: InkScene): InkPainted {
    const wet: Item[] = [];
    const dry: Item[] = [];
    const away: Stroke[] = [];
    this.standings.clear();
    const labelled = labelledStrokes(scene.strokes, scene.now);
    let next: PerfMs | null = null;
    let unsure: Surface | null = null;
    let pace = 0;
    const due = (at: number): void => { next = Math.min(next ?? Infinity, at) as PerfMs; };
    for (const stroke of scene.strokes) {
      const surface = scene.surfaces.find((s) => s.feed === stroke.feed);
      if (!surface) continue;
      const standing = standingOf(stroke, surface, scene.tracks, scene.at, scene.own);
      this.standings.set(stroke.id, standing);
      if (standing.kind === 'away') away.push(stroke);
      if (!surface.inkShows || standing.kind !== 'here') continue;
      if (standing.unsure) unsure ??= surface;
      else if (standing.moved !== UNMOVED) pace = Math.max(pace, scene.tracks.pace(stroke.feed, surface.capture, stroke.id, ends(stroke.points)));
      const opacity = opacityAt(stroke.fadeFrom, scene.at);
      if (stroke.fadeFrom !== null && scene.at !== null) due(scene.now + Math.max(FADE_STEP_MS, 8_000 - Number(scene.at - stroke.fadeFrom) / 4_294_967.296));
      if (labelled.has(stroke.id)) due(stroke.appeared + LABEL_MS);
      (stroke.phase === 'wet' ? wet : dry).push(markItem({
        stroke, points: stroke.author === scene.own && stroke.phase === 'wet' ? stroke.points : pointsOnOwnFrame(stroke, scene.tracks), moved: standing.moved, unsure: standing.unsure, opacity,
        texture: textureOf(stroke.author, scene.drawers), box: surface.box, front: surface.front, scale: scene.scale,
        name: labelled.has(stroke.id) || stroke.pinned ? scene.labelOf(stroke.author) : '', namePx: scene.labelPx, words: stroke.tool === Tool.MEASURE ? scene.reference : '',
      }));
    }
    for (const ring of scene.rings) {
      const surface = scene.surfaces.find((s) => s.feed === ring.feed);
      if (surface?.inkShows) wet.push(ringItem(ring, surface.box, surface.front, textureOf(ring.author, scene.drawers), ring.author === scene.own ? '' : scene.labelOf(ring.author), scene.labelPx));
    }
    this.dryCanvas.paint(dry);
    this.wetCanvas.paint(wet);
    return { next, away, unsure, pace };
  }
}

/** The first stroke of each author among those that appeared in the last three seconds. */
function labelledStrokes(strokes: readonly Stroke[], now: PerfMs): Map<string, Stroke> {
  const first = new Map<number, Stroke>();
  for (const s of strokes) {
    if (now - s.appeared >= LABEL_MS) continue;
    const other = first.get(s.author);
    if (!other || s.began < other.began) first.set(s.author, s);
  }
  return new Map([...first.values()].map((s) => [s.id, s]));
}
