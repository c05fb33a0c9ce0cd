// Ink on two plain 2D canvases over the picture: dry ink, repainted when it changes, and wet ink above it. Never
// desynchronized: over video that turned black on a common GPU and driver.
import type { Box } from '../core/ink/look';
import { INK_COLOUR, lineWidth, passes, smooth, textureOf, toCanvas } from '../core/ink/look';
import type { Drawer } from '../core/ink/look';
import type { Stroke } from '../core/ink/sheet';
import type { PerfMs } from '../core/units';

/** How long a family name stands beside the first stroke of its author. */
export const LABEL_MS = 3_000;

/** Where a feed's picture lies on the glass in CSS px, and what lies in front of it. */
export interface Surface { readonly feed: string; readonly box: Box; readonly front: readonly Box[]; readonly inkShows: boolean }

export interface InkScene {
  readonly strokes: readonly Stroke[];
  readonly surfaces: readonly Surface[];
  readonly drawers: readonly Drawer[];
  readonly labelOf: (author: number) => string;
  readonly now: PerfMs;
  /** CSS px per pixel of a 1080p picture, for line widths. */
  readonly scale: number;
  readonly labelPx: number;
}

export class InkLayer {
  readonly dry = document.createElement('canvas');
  readonly wet = document.createElement('canvas');
  private painted = '';
  private wetPainted = false;

  constructor() {
    this.dry.className = 'ink dry';
    this.wet.className = 'ink wet';
    this.dry.dataset['testid'] = 'ink-dry';
    this.wet.dataset['testid'] = 'ink-wet';
  }

  /** Size of the glass in CSS px. Changing it repaints all. */
  resize(width: number, height: number, ratio: number): void {
    for (const canvas of [this.dry, this.wet]) {
      const w = Math.max(1, Math.round(width * ratio));
      const h = Math.max(1, Math.round(height * ratio));
      if (canvas.width === w && canvas.height === h) continue;
      canvas.width = w;
      canvas.height = h;
      this.painted = '';
    }
  }

  /** Paints what changed. Returns when the next label must go, or null. */
  paint(scene: InkScene): PerfMs | null {
    const wet = scene.strokes.filter((s) => s.phase === 'wet');
    const dry = scene.strokes.filter((s) => s.phase !== 'wet');
    const labelled = labelledStrokes(scene.strokes, scene.now);
    const signature = JSON.stringify([
      dry.map((s) => s.id), dry.filter((s) => labelled.has(s.id)).map((s) => [s.id, scene.labelOf(s.author)]), scene.surfaces, scene.scale, scene.drawers,
    ]);
    if (signature !== this.painted) {
      this.painted = signature;
      this.draw(this.dry, dry, labelled, scene);
    }
    // An empty canvas that is cleared again is uploaded again: two cores feel it.
    if (wet.length > 0 || this.wetPainted) this.draw(this.wet, wet, labelled, scene);
    this.wetPainted = wet.length > 0;
    let next: PerfMs | null = null;
    for (const s of labelled.values()) next = Math.min(next ?? Infinity, s.appeared + LABEL_MS) as PerfMs;
    return next;
  }

  private draw(canvas: HTMLCanvasElement, strokes: readonly Stroke[], labelled: ReadonlyMap<string, Stroke>, scene: InkScene): void {
    const context = canvas.getContext('2d');
    if (!context) return;
    const ratio = canvas.width / Math.max(1, canvas.clientWidth || canvas.width);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const surface of scene.surfaces) {
      if (!surface.inkShows) continue;
      const own = strokes.filter((s) => s.feed === surface.feed);
      if (own.length === 0) continue;
      context.save();
      clipTo(context, surface);
      for (const stroke of own) drawStroke(context, stroke, surface.box, scene);
      for (const stroke of own) if (labelled.has(stroke.id)) drawLabel(context, stroke, surface.box, scene);
      context.restore();
    }
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

function clipTo(context: CanvasRenderingContext2D, { box, front }: Surface): void {
  const path = new Path2D();
  path.rect(box.x, box.y, box.w, box.h);
  context.clip(path);
  for (const f of front) {
    const outside = new Path2D();
    outside.rect(box.x, box.y, box.w, box.h);
    outside.rect(f.x, f.y, f.w, f.h);
    context.clip(outside, 'evenodd');
  }
}

function drawStroke(context: CanvasRenderingContext2D, stroke: Stroke, box: Box, scene: InkScene): void {
  const curve = smooth(stroke.points.map((p) => toCanvas(p, box)));
  if (!curve) return;
  const path = new Path2D();
  path.moveTo(curve.start.x, curve.start.y);
  for (const piece of curve.pieces) path.quadraticCurveTo(piece.control.x, piece.control.y, piece.end.x, piece.end.y);
  if (curve.pieces.length === 0) path.lineTo(curve.start.x, curve.start.y);
  context.lineJoin = 'round';
  for (const pass of passes(textureOf(stroke.author, scene.drawers), lineWidth(stroke.width, box, scene.scale))) {
    context.strokeStyle = pass.colour;
    context.lineWidth = pass.width;
    context.lineCap = pass.cap;
    context.setLineDash([...pass.dash]);
    context.stroke(path);
  }
}

function drawLabel(context: CanvasRenderingContext2D, stroke: Stroke, box: Box, scene: InkScene): void {
  const start = stroke.points[0];
  const text = scene.labelOf(stroke.author);
  if (!start || !text) return;
  const at = toCanvas(start, box);
  const px = scene.labelPx;
  context.setLineDash([]);
  context.font = `700 ${px}px Inter, "BIZ UDPGothic", "Noto Sans CJK JP", sans-serif`;
  context.textBaseline = 'middle';
  const w = context.measureText(text).width + px * 0.7;
  const h = px * 1.4;
  const x = Math.max(box.x + 2, Math.min(box.x + box.w - w - 2, at.x + px * 0.6));
  const y = Math.max(box.y + 2, Math.min(box.y + box.h - h - 2, at.y - h - px * 0.3));
  context.fillStyle = '#000';
  context.beginPath();
  context.roundRect(x, y, w, h, 4);
  context.fill();
  context.fillStyle = INK_COLOUR[textureOf(stroke.author, scene.drawers)];
  context.fillText(text, x + px * 0.35, y + h / 2 + px * 0.05);
}
