// What a mark looks like, as numbers: a stroke in, shapes out, back to front (black halo, the author's colour, what lies on
// it). Rule for rule as annotation/src/outline; vectors: annotation/vectors/outline.json. Rules AN24–AN27.
import type { Reference } from '../../gen/ink_pb';
import { Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import { PICTURE_WIDTH } from '../units';
import { lengthLabel, lengthOf } from './measure';
import type { Moved } from './moved';
import { apply } from './moved';
import { alongPath, bend, ellipse, isDot, pathLength, stretch } from './path';
import type { Run, XY } from './path';

export type { XY };
/** A single cyan (the lead), B hollow yellow, C beaded white, D ticked green. */
export type Texture = 'A' | 'B' | 'C' | 'D';
/** Where the picture lies on the glass, px. */
export interface Box { readonly x: number; readonly y: number; readonly w: number; readonly h: number }

/** halo: black; line: the author's colour. */
export type InkPart = 'halo' | 'line';
/** One thing to paint. Lines are stroked with round joins, never filled. `letters`: `at` is the left end of the base line. */
export type Shape =
  | { readonly kind: 'line'; readonly ink: InkPart; readonly width: number; readonly cap: 'round' | 'butt'; readonly closed: boolean; readonly points: readonly XY[] }
  | { readonly kind: 'dot'; readonly ink: InkPart; readonly at: XY; readonly radius: number }
  | { readonly kind: 'box'; readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  | { readonly kind: 'letters'; readonly at: XY; readonly px: number; readonly text: string };

export interface Mark {
  readonly tool: Tool;
  readonly points: readonly Point[];
  /** Line width, 1/16384 of the picture's width. */
  readonly width: number;
  readonly texture: Texture;
  /** Where the tracker says that the ink lies in this frame. */
  readonly moved: Moved;
  /** Drawn with gaps. */
  readonly unsure: boolean;
  /** Of a text mark its text; of a measurement the words behind the number (*reference only*). Else empty. */
  readonly text: string;
  readonly reference: Reference | undefined;
}

/** How wide a text is in the font at hand, in em. */
export type Advance = (text: string) => number;

export const BOX_RADIUS = 4;
/** Thinnest line on any glass, px; thickest, px of a 1080p picture. */
const LINE_PX_MIN = 3;
const LINE_PX_MAX = 6;
/** Size of a text mark, of its line width: 28 px with the usual 4 px line. */
export const TEXT_PER_WIDTH = 7;
const PAD_EM = 0.35;
const RISE_EM = 1.05;
const HEIGHT_EM = 1.4;
/** A box of letters stays this far inside the picture, px. */
const MARGIN = 2;

/** A feed's point on the glass: both axes in units of the picture's width. */
export function toGlass(x: number, y: number, box: Box): XY {
  const unit = box.w / PICTURE_WIDTH;
  return { x: box.x + x * unit, y: box.y + y * unit };
}

/** Line width on the glass. `scale`: px of the glass per pixel of a 1080p picture. */
export function lineWidth(width: number, box: Box, scale: number): number {
  return Math.max(LINE_PX_MIN, Math.min(LINE_PX_MAX * scale, (width / PICTURE_WIDTH) * box.w));
}

/** Where the pen is, over a line under it that is drawn with gaps: a gap must not hide the one place that is sure. */
export function penTip(mark: Mark, box: Box, scale: number): Shape[] {
  const last = mark.points.at(-1);
  if (!last || !mark.unsure || mark.tool !== Tool.PEN) return [];
  const w = lineWidth(mark.width, box, scale);
  const on = apply(mark.moved, last.x, last.y);
  const at = toGlass(on.x, on.y, box);
  const { halo, line } = STYLE[mark.texture];
  return [{ kind: 'dot', ink: 'halo', at, radius: (w * halo) / 2 }, { kind: 'dot', ink: 'line', at, radius: (w * line) / 2 }];
}

/** The shapes of a mark, back to front. Nothing where the tool has not the points it needs. */
export function shapes(mark: Mark, box: Box, scale: number, advance: Advance): Shape[] {
  const w = lineWidth(mark.width, box, scale);
  const place = (x: number, y: number): XY => {
    const at = apply(mark.moved, x, y);
    return toGlass(at.x, at.y, box);
  };
  const onGlass = mark.points.map((p) => place(p.x, p.y));
  const layers = new Layers(mark.texture, w, mark.unsure);
  const first = mark.points[0];
  const last = mark.points.at(-1);
  const from = onGlass[0];
  const to = onGlass.at(-1);
  if (!first || !last || !from || !to) return [];
  const two = onGlass.length >= 2;
  switch (mark.tool) {
    case Tool.ARROW: {
      if (!two) break;
      layers.line([from, to], false);
      const head = barbs(from, to, w);
      if (head) layers.plain(head, 1);
      break;
    }
    case Tool.ELLIPSE:
      if (two) layers.line(ellipse(first, last).map((p) => place(p.x, p.y)), true);
      break;
    case Tool.LINE:
      if (two) layers.line([from, to], false);
      break;
    case Tool.TEXT: {
      const px = w * TEXT_PER_WIDTH;
      const stood = layers.text({ x: from.x - px * PAD_EM, y: from.y - px * RISE_EM }, px, mark.text, box, advance);
      layers.line([{ x: stood.left, y: stood.bottom }, { x: stood.right, y: stood.bottom }], false);
      break;
    }
    case Tool.PIN: layers.pin(from); break;
    case Tool.MEASURE: {
      if (!two) break;
      const r = mark.reference;
      if (r) layers.plain([place(r.x1, r.y1), place(r.x2, r.y2)], 0.6);
      layers.line([from, to], false);
      for (const end of endsAcross(from, to, w)) layers.plain(end, 1);
      const length = r ? lengthOf(first, last, r) : null;
      if (length) measured(layers, from, to, w, lengthLabel(length, mark.text), box, advance);
      break;
    }
    case Tool.PEN:
    case Tool.UNSPECIFIED: layers.pen(bend(onGlass, mark.points)); break;
    default: unreachable(mark.tool);
  }
  return layers.shapes();
}

/** The author's family name beside the start of a stroke: a black box and the letters in it. `px`: size of the letters. */
export function label(start: XY, text: string, px: number, box: Box, advance: Advance): Shape[] {
  const layers = new Layers('A', 0, false);
  layers.text({ x: start.x + px * 0.6, y: start.y - px * (HEIGHT_EM + 0.3) }, px, text, box, advance);
  return layers.shapes();
}

/** An open head: two barbs of 6 line widths (at most 0.4 of the shaft), 30° to it. */
function barbs(tail: XY, head: XY, w: number): XY[] | null {
  if (isDot([tail, head])) return null;
  const dx = head.x - tail.x;
  const dy = head.y - tail.y;
  const length = Math.hypot(dx, dy);
  const barb = Math.min(6 * w, 0.4 * length) / length;
  const along = barb * Math.sqrt(0.75);
  const across = barb * 0.5;
  const end = (side: number): XY => ({ x: head.x - along * dx - side * across * dy, y: head.y - along * dy + side * across * dx });
  return [end(1), head, end(-1)];
}

/** Bars across both ends of a measured line: 3 line widths either way. */
function endsAcross(from: XY, to: XY, w: number): [XY, XY][] {
  if (isDot([from, to])) return [];
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const nx = (-(to.y - from.y) / length) * 3 * w;
  const ny = ((to.x - from.x) / length) * 3 * w;
  return [from, to].map((p) => [{ x: p.x + nx, y: p.y + ny }, { x: p.x - nx, y: p.y - ny }]);
}

/** The length beside the middle of the line, on its upper side. */
function measured(layers: Layers, from: XY, to: XY, w: number, text: string, box: Box, advance: Advance): void {
  const px = w * TEXT_PER_WIDTH;
  const half = (px * (advance(text) + 2 * PAD_EM)) / 2;
  layers.text({ x: (from.x + to.x) / 2 - half, y: (from.y + to.y) / 2 - px * (HEIGHT_EM + 0.6) }, px, text, box, advance);
}

/** Widths of halo and line, and the distance of beads, ticks and gaps, of the nominal width. */
const STYLE: Record<Texture, { readonly halo: number; readonly line: number; readonly period: number }> = {
  A: { halo: 2.1, line: 1, period: 8 }, B: { halo: 3, line: 1.9, period: 8 }, C: { halo: 2.6, line: 0.8, period: 6 }, D: { halo: 2.6, line: 0.8, period: 6.7 },
};
/** Share of a period that is drawn while unsure; beads and ticks stand in its middle. */
const DRAWN = 0.6;
/** The black line in the middle of a hollow one, of the nominal width. */
const CORE = 0.75;

/** Collects shapes so that all halos lie under all lines, however many parts a mark has. */
class Layers {
  private readonly boxes: Shape[] = [];
  private readonly halo: Shape[] = [];
  private readonly colour: Shape[] = [];
  private readonly core: Shape[] = [];
  private readonly letters: Shape[] = [];

  constructor(private readonly texture: Texture, private readonly w: number, private readonly unsure: boolean) {}

  shapes(): Shape[] { return [...this.boxes, ...this.halo, ...this.colour, ...this.core, ...this.letters]; }

  /** A box of letters whose upper left corner is `corner`, moved into the picture. */
  text(corner: XY, px: number, text: string, box: Box, advance: Advance): { left: number; right: number; bottom: number } {
    const w = px * (advance(text) + 2 * PAD_EM);
    const h = px * HEIGHT_EM;
    const inside = (v: number, from: number, size: number, own: number): number => Math.max(from + MARGIN, Math.min(from + size - own - MARGIN, v));
    const x = inside(corner.x, box.x, box.w, w);
    const y = inside(corner.y, box.y, box.h, h);
    this.boxes.push({ kind: 'box', x, y, w, h });
    this.letters.push({ kind: 'letters', at: { x: x + px * PAD_EM, y: y + px * RISE_EM }, px, text });
    return { left: x, right: x + w, bottom: y + h };
  }

  /** A line without beads or ticks: barbs, ends, stems. `share`: of the nominal width. Never with gaps: it is short. */
  plain(path: readonly XY[], share: number): void { this.unbroken(path, false, this.w * share); }

  /** A line in the author's texture; `closed`: back to its first point. */
  line(path: readonly XY[], closed: boolean): void {
    const whole = closed && path[0] ? [...path, path[0]] : path;
    if (this.unsure && !isDot(whole)) this.withGaps(whole);
    else this.unbroken(path, closed, this.w);
    this.marks(whole);
  }

  /** A pen's path in the author's texture, its width following the pressure. */
  pen(runs: readonly Run[]): void {
    const whole: XY[] = [];
    for (const run of runs) for (let i = whole.length > 0 ? 1 : 0; i < run.points.length; i += 1) whole.push(run.points[i] as XY);
    if (this.unsure && !isDot(whole)) this.withGaps(whole);
    else for (const run of runs) this.unbroken(run.points, false, Math.max(LINE_PX_MIN, (this.w * run.eighths) / 8));
    this.marks(whole);
  }

  /** A stem of 6 line widths from the tip up, and on it a ring with a dot. */
  pin(tip: XY): void {
    const w = this.w;
    const centre = { x: tip.x, y: tip.y - 10 * w };
    this.plain([tip, { x: tip.x, y: tip.y - 6 * w }], 1);
    this.line(Array.from({ length: 24 }, (_, k) => {
      const angle = (k * 2 * Math.PI) / 24;
      return { x: centre.x + 4 * w * Math.cos(angle), y: centre.y + 4 * w * Math.sin(angle) };
    }), true);
    this.halo.push({ kind: 'dot', ink: 'halo', at: centre, radius: 1.2 * w + w * 0.55 });
    this.colour.push({ kind: 'dot', ink: 'line', at: centre, radius: 1.2 * w });
  }

  private unbroken(path: readonly XY[], closed: boolean, w: number): void {
    const { halo, line } = STYLE[this.texture];
    this.halo.push(stroke('halo', w * halo, path, closed, 'round'));
    this.colour.push(stroke('line', w * line, path, closed, 'round'));
    if (this.texture === 'B') this.core.push(stroke('halo', w * CORE, path, closed, 'round'));
  }

  /** Drawn 0.6 of each period. The halo goes round the ends of each piece. */
  private withGaps(path: readonly XY[]): void {
    const { halo, line, period: periods } = STYLE[this.texture];
    const { w } = this;
    const total = pathLength(path);
    const period = periods * w;
    const around = ((halo - line) * w) / 2;
    for (let from = 0; from < total; from += period) {
      const to = Math.min(total, from + DRAWN * period);
      this.halo.push(stroke('halo', w * halo, stretch(path, Math.max(0, from - around), Math.min(total, to + around)), false, 'butt'));
      const piece = stretch(path, from, to);
      this.colour.push(stroke('line', w * line, piece, false, 'butt'));
      if (this.texture === 'B') this.core.push(stroke('halo', w * CORE, piece, false, 'butt'));
    }
  }

  /** Beads and ticks: the first in the middle of what is drawn while unsure, so that they stay where they are. */
  private marks(path: readonly XY[]): void {
    if (this.texture !== 'C' && this.texture !== 'D') return;
    const { w } = this;
    const total = pathLength(path);
    const period = STYLE[this.texture].period * w;
    // On a line too short for one, it stands in the middle.
    for (let s = Math.min((DRAWN / 2) * period, total / 2); s <= total; s += period) {
      const first = path[0];
      const found = alongPath(path, s) ?? (first ? { at: first, direction: { x: 1, y: 0 } } : null);
      if (!found) return;
      const { at, direction } = found;
      if (this.texture === 'C') {
        this.halo.push({ kind: 'dot', ink: 'halo', at, radius: 1.6 * w });
        this.colour.push({ kind: 'dot', ink: 'line', at, radius: 1.1 * w });
        continue;
      }
      const across = (half: number): XY[] => {
        const nx = -direction.y * half * w;
        const ny = direction.x * half * w;
        return [{ x: at.x + nx, y: at.y + ny }, { x: at.x - nx, y: at.y - ny }];
      };
      this.halo.push(stroke('halo', 1.7 * w, across(2), false, 'butt'));
      this.colour.push(stroke('line', 0.8 * w, across(1.5), false, 'butt'));
    }
  }
}

/** A line, or where it has no length the dot that a round cap would make. */
function stroke(ink: InkPart, width: number, path: readonly XY[], closed: boolean, cap: 'round' | 'butt'): Shape {
  const at = path[0];
  return at && isDot(path) ? { kind: 'dot', ink, at, radius: width / 2 } : { kind: 'line', ink, width, cap, closed, points: path };
}

/** A tool of a later version: not known here, so not drawn. */
function unreachable(value: never): void { void value; }
