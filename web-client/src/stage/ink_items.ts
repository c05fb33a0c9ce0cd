// Marks, names and pointers as things to paint: what they look like comes from core/ink/outline.ts, here it becomes paths.
import { Tool } from '../gen/ink_pb';
import { HALO_COLOUR, INK_COLOUR } from '../core/ink/look';
import type { Moved } from '../core/ink/moved';
import { label, lineWidth, penTip, shapes, toGlass, BOX_RADIUS } from '../core/ink/outline';
import type { Box, Mark, Shape, Texture } from '../core/ink/outline';
import { apply } from '../core/ink/moved';
import type { Stroke } from '../core/ink/sheet';
import type { Extent, Item } from './ink_canvas';
import { union } from './ink_canvas';

const FONT = '"Inter", "BIZ UDPGothic", "Noto Sans CJK JP", sans-serif';
/** Radius of a pointer's ring, px. */
const RING = 7;

const widths = new Map<string, number>();
/** Rises when letters have arrived: until then they were as wide as others. */
export const fonts = { loaded: 0 };
document.fonts.addEventListener('loadingdone', () => {
  fonts.loaded += 1;
  widths.clear();
});

const ruler = document.createElement('canvas').getContext('2d');
/** Width of a text in bold letters, em. Measured once each; the cache is small and begins anew when full. */
export function advance(text: string): number {
  const known = widths.get(text);
  if (known !== undefined) return known;
  if (widths.size > 256) widths.clear();
  if (ruler) ruler.font = `700 100px ${FONT}`;
  const em = (ruler?.measureText(text).width ?? text.length * 60) / 100;
  widths.set(text, em);
  return em;
}

/** A mark on one picture of the glass. */
export interface Placed {
  readonly stroke: Stroke;
  readonly points: Stroke['points'];
  readonly moved: Moved;
  readonly unsure: boolean;
  readonly opacity: number;
  readonly texture: Texture;
  /** Where its picture lies, and what lies in front of it. */
  readonly box: Box;
  readonly front: readonly Box[];
  /** CSS px per pixel of a 1080p picture. */
  readonly scale: number;
  /** Family name beside its start; empty: none. */
  readonly name: string;
  readonly namePx: number;
  /** Behind a length: *reference only*. */
  readonly words: string;
}

const boxKey = (b: Box): string => `${b.x},${b.y},${b.w},${b.h}`;
/** Of places on the glass: a quarter of a pixel is not seen. */
const quarter = (v: number): number => Math.round(v * 4);

class MarkItem implements Item {
  readonly id: string;
  readonly version: string;
  private made: Shape[] | null = null;
  private reach: Extent | null = null;

  constructor(private readonly p: Placed) {
    const { stroke, box } = p;
    this.id = `${stroke.id} ${boxKey(box)}`;
    const first = p.points[0] ?? { x: 0, y: 0 };
    const last = p.points.at(-1) ?? first;
    // Where its two ends lie on the glass says how it moved: a similarity is known by two points.
    const [a, b, c] = [apply(p.moved, first.x, first.y), apply(p.moved, last.x, last.y), apply(p.moved, first.x + 2_000, first.y)].map((at) => toGlass(at.x, at.y, box));
    this.version = [
      p.points.length, stroke.phase === 'wet' ? 'w' : 'd', stroke.spans.length, p.unsure ? 'u' : '', Math.round(p.opacity * 16), p.texture, p.name, p.namePx, p.words, p.name || stroke.text || p.words ? fonts.loaded : 0, p.scale, p.front.map(boxKey).join(';'),
      quarter(a?.x ?? 0), quarter(a?.y ?? 0), quarter(b?.x ?? 0), quarter(b?.y ?? 0), quarter(c?.x ?? 0), quarter(c?.y ?? 0),
    ].join(' ');
  }

  get extent(): Extent { return (this.reach ??= clip(extentOf([...this.shapes(), ...this.labelled()]), this.p.box)); }

  /** A pen's path only grows at its end, from a little before where it ended. */
  grown(before: Item): Extent | null {
    if (!(before instanceof MarkItem)) return null;
    const { p } = this;
    const old = before.p;
    const n = old.points.length;
    const [end, was] = [p.points[n - 1], old.points[n - 1]];
    // A hole that was bridged and is filled now moves every point after it.
    if (end?.x !== was?.x || end?.y !== was?.y || p.stroke.tool !== Tool.PEN || n < 12 || p.points.length < n || p.name !== old.name || p.unsure || old.unsure || p.stroke.phase !== old.stroke.phase || p.opacity !== old.opacity || p.texture !== old.texture) return null;
    if (boxKey(p.box) !== boxKey(old.box) || p.moved !== old.moved || p.stroke.spans.length > 0 || p.scale !== old.scale) return null;
    const w = lineWidth(p.stroke.width, p.box, p.scale);
    let reach: Extent | null = null;
    for (let i = Math.max(0, n - 4); i < p.points.length; i += 1) {
      const point = p.points[i];
      if (!point) continue;
      const at = apply(p.moved, point.x, point.y);
      const { x, y } = toGlass(at.x, at.y, p.box);
      reach = union(reach, { x: x - 4 * w, y: y - 4 * w, w: 8 * w, h: 8 * w });
    }
    // The first bead of a short line stands in its middle.
    const { w: width, h: height } = before.extent;
    return width + height < 24 * w ? null : reach;
  }

  draw(context: CanvasRenderingContext2D): void {
    const { box, front, opacity, texture } = this.p;
    context.save();
    clipTo(context, box, front);
    context.globalAlpha = opacity;
    paint(context, this.shapes(), texture);
    paint(context, this.labelled(), texture);
    context.restore();
  }

  private shapes(): Shape[] {
    const { stroke, points, moved, unsure, texture, words, box, scale } = this.p;
    const mark: Mark = { tool: stroke.tool, points, width: stroke.width, texture, moved, unsure, text: stroke.text || words, reference: stroke.reference };
    return (this.made ??= [...shapes(mark, box, scale, advance), ...(stroke.phase === 'wet' ? penTip(mark, box, scale) : [])]);
  }

  private labelled(): Shape[] {
    const { name, namePx, box, moved } = this.p;
    const start = this.p.points[0];
    if (!name || !start) return [];
    const at = apply(moved, start.x, start.y);
    return label(toGlass(at.x, at.y, box), name, namePx, box, advance);
  }
}

export const markItem = (p: Placed): Item => new MarkItem(p);

/** A pointer: a ring of 14 px with halo, and its author's name. */
export function ringItem(ring: { author: number; x: number; y: number }, box: Box, front: readonly Box[], texture: Texture, name: string, namePx: number): Item {
  const at = toGlass(ring.x, ring.y, box);
  const letters = name ? label({ x: at.x + RING, y: at.y }, name, namePx, box, advance) : [];
  const extent = clip(union({ x: at.x - RING - 4, y: at.y - RING - 4, w: 2 * RING + 8, h: 2 * RING + 8 }, extentOf(letters)) as Extent, box);
  return {
    id: `ring ${ring.author} ${boxKey(box)}`, version: `${quarter(at.x)} ${quarter(at.y)} ${texture} ${name} ${namePx}`, extent,
    draw: (context) => {
      context.save();
      clipTo(context, box, front);
      context.setLineDash([]);
      for (const [colour, width] of [[HALO_COLOUR, 6], [INK_COLOUR[texture], 3]] as const) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        context.arc(at.x, at.y, RING, 0, 7);
        context.stroke();
      }
      paint(context, letters, texture);
      context.restore();
    },
  };
}

export function paint(context: CanvasRenderingContext2D, all: readonly Shape[], texture: Texture): void {
  const colour = (ink: 'halo' | 'line'): string => (ink === 'halo' ? HALO_COLOUR : INK_COLOUR[texture]);
  context.lineJoin = 'round';
  for (const shape of all) {
    context.beginPath();
    switch (shape.kind) {
      case 'line': {
        const [start, ...rest] = shape.points;
        if (!start) break;
        context.strokeStyle = colour(shape.ink);
        context.lineWidth = shape.width;
        context.lineCap = shape.cap;
        context.moveTo(start.x, start.y);
        for (const p of rest) context.lineTo(p.x, p.y);
        if (shape.closed) context.closePath();
        context.stroke();
        break;
      }
      case 'dot':
        context.fillStyle = colour(shape.ink);
        context.arc(shape.at.x, shape.at.y, shape.radius, 0, 7);
        context.fill();
        break;
      case 'box':
        context.fillStyle = HALO_COLOUR;
        context.roundRect(shape.x, shape.y, shape.w, shape.h, BOX_RADIUS);
        context.fill();
        break;
      case 'letters':
        context.fillStyle = colour('line');
        context.font = `700 ${shape.px}px ${FONT}`;
        context.textBaseline = 'alphabetic';
        context.fillText(shape.text, shape.at.x, shape.at.y);
        break;
    }
  }
}

function extentOf(all: readonly Shape[]): Extent {
  let x1 = Infinity;
  let y1 = Infinity;
  let x2 = -Infinity;
  let y2 = -Infinity;
  const reach = (x: number, y: number, r: number): void => {
    x1 = Math.min(x1, x - r);
    y1 = Math.min(y1, y - r);
    x2 = Math.max(x2, x + r);
    y2 = Math.max(y2, y + r);
  };
  for (const s of all) {
    switch (s.kind) {
      case 'line': for (const p of s.points) reach(p.x, p.y, s.width / 2 + 1); break;
      case 'dot': reach(s.at.x, s.at.y, s.radius + 1); break;
      case 'box': reach(s.x, s.y, 1); reach(s.x + s.w, s.y + s.h, 1); break;
      case 'letters': break; // they stand in their box
    }
  }
  return x1 <= x2 ? { x: x1, y: y1, w: x2 - x1, h: y2 - y1 } : { x: 0, y: 0, w: 0, h: 0 };
}

function clip(e: Extent, box: Box): Extent {
  const x = Math.max(e.x, box.x);
  const y = Math.max(e.y, box.y);
  return { x, y, w: Math.max(0, Math.min(e.x + e.w, box.x + box.w) - x), h: Math.max(0, Math.min(e.y + e.h, box.y + box.h) - y) };
}

function clipTo(context: CanvasRenderingContext2D, box: Box, front: readonly Box[]): void {
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
