// The pen: idle or drawing. Knows program pixels and the frame that was seen; gives points of one feed. The surface is fixed
// at pen-down; a stroke that leaves its picture ends there. What the tool makes of the samples: tools.ts.
import { create } from '@bufbuild/protobuf';
import type { FrameEntry, FrameIndex } from '../../gen/frame_pb';
import type { FrameRef, FrameSpan, Reference } from '../../gen/ink_pb';
import { FrameRefSchema, FrameSpanSchema, Surface as On, Tool } from '../../gen/ink_pb';
import { entryAt, toFeed } from '../frames';
import type { Point } from '../points';
import { keptPoints } from '../points';
import { ntpMinusNs, PICTURE_WIDTH } from '../units';
import type { Making } from './tools';

/** One pen sample: program pixels, pressure 0..1. `seen`: the frame before the eyes then, where the picture moves under the pen. */
export interface PenSample { readonly x: number; readonly y: number; readonly pressure: number; readonly seen?: FrameIndex | null }

/** What the hand holds, and what it is over. */
export interface Hold {
  readonly tool: Tool;
  readonly making: Making;
  readonly fades: boolean;
  readonly on: On;
  readonly reference?: Reference;
  /** The frame is the very one that was seen; otherwise the nearest whose index is known. */
  readonly exact: boolean;
  /** Id of the still that it is over. */
  readonly still?: string;
}
export const HOLD_PEN: Hold = { tool: Tool.PEN, making: 'path', fades: false, on: On.LIVE, exact: true };

/** 6 px of a 1080p program, whatever the size of the picture within it: 4 px where the program takes two thirds of the screen. */
const LINE_PX = 6;
const LINE_AT_PROGRAM_WIDTH = 1_920;
const WIDTH_MAX = 512;
/** Frames that one stroke may name. The first 16 as they come; then each 16 twice as far apart, so that they reach over the longest stroke. */
const SPANS_MAX = 64;
const SPANS_STEP = 16;
const SPAN_MS = 33;

export type PenState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'drawing'; readonly surface: Surface; readonly hold: Hold; readonly points: Point[]; readonly spans: FrameSpan[] };

/** What a stroke lies on, fixed at pen-down. */
export interface Surface {
  readonly frame: FrameIndex;
  readonly entry: FrameEntry;
  readonly ref: FrameRef;
  /** 1/16384 of the picture's width. */
  readonly width: number;
}

/** What was drawn, as it is committed. */
export interface Drawn { readonly surface: Surface; readonly hold: Hold; readonly points: Point[]; readonly spans: FrameSpan[] }

/** unplaced: on a picture whose capture time is not known. */
export type PenOutcome = 'nothing' | 'unplaced' | 'began' | 'grew' | 'ended';

/** The picture under a place of a program frame, and how a mark there names it. Null: no picture. */
export function surfaceAt(x: number, y: number, frame: FrameIndex, hold: Pick<Hold, 'on' | 'exact' | 'still'>): Surface | null {
  const entry = entryAt(frame, x, y);
  const rect = entry?.rect;
  if (!entry || !rect) return null;
  const ref = create(FrameRefSchema, {
    feed: entry.feed, capture: entry.capture, program: frame.program, programRtpTs: frame.rtpTs, layoutRev: frame.layoutRev, mappingAsTold: !hold.exact, surface: hold.on, still: hold.still ?? '', geometry: entry.geometry,
  });
  const programPx = (LINE_PX / LINE_AT_PROGRAM_WIDTH) * Math.max(1, frame.width);
  return { frame, entry, ref, width: Math.max(1, Math.min(WIDTH_MAX, Math.round((programPx / rect.w) * PICTURE_WIDTH))) };
}

export class Pen {
  state: PenState = { kind: 'idle' };

  /** Pen down on `frame`, the frame seen. Outside any picture, or on one without a capture time, nothing is drawn. */
  penDown(sample: PenSample, frame: FrameIndex | null, hold: Hold = HOLD_PEN): PenOutcome {
    if (this.state.kind === 'drawing' || frame === null) return 'nothing';
    const surface = surfaceAt(sample.x, sample.y, frame, hold);
    if (!surface) return 'nothing';
    if (surface.entry.capture === 0n) return 'unplaced';
    const point = toFeed(surface.entry, sample.x, sample.y, sample.pressure);
    if (!point) return 'nothing';
    this.state = { kind: 'drawing', surface, hold, points: [point], spans: [] };
    return 'began';
  }

  /** Samples since the last event, oldest first. 'ended': one lay outside the picture; the stroke is whole up to it. */
  penMove(samples: readonly PenSample[], pointsMax: number): PenOutcome {
    if (this.state.kind !== 'drawing') return 'nothing';
    const { surface, hold, points, spans } = this.state;
    let grew = false;
    for (const sample of samples) {
      const point = entryAt(surface.frame, sample.x, sample.y) === surface.entry ? toFeed(surface.entry, sample.x, sample.y, sample.pressure) : null;
      if (!point) return 'ended';
      const last = points.at(-1);
      if (last && last.x === point.x && last.y === point.y) continue;
      if (points.length >= pointsMax) {
        if (hold.making === 'path') return 'ended';
        points.pop();
      }
      if (hold.on === On.LIVE && hold.making === 'path') this.span(sample.seen ?? null, surface, points.length, spans);
      points.push(point);
      grew = true;
    }
    return grew ? 'grew' : 'nothing';
  }

  /** Back to idle; what was drawn, if anything. */
  penUp(): Drawn | null {
    const state = this.state;
    this.state = { kind: 'idle' };
    if (state.kind !== 'drawing') return null;
    const { surface, hold, points, spans } = state;
    if (hold.making === 'path') return { surface, hold, ...simplified(points, spans) };
    const ends = hold.making === 'ends' ? [points[0], points.at(-1)] : [points[0]];
    const whole = ends.filter((p): p is Point => p !== undefined).map((p) => ({ ...p, pressure: 255 }));
    // Both ends in one place are no arrow, ellipse, line or length.
    const [a, b] = whole;
    return hold.making === 'ends' && a && b && points.length < 2 ? null : { surface, hold, points: whole, spans: [] };
  }

  /** The points from `first` on lie on the frame that was before the eyes when they were drawn. */
  private span(seen: FrameIndex | null, surface: Surface, first: number, spans: FrameSpan[]): void {
    const capture = seen?.entries.find((e) => e.feed === surface.entry.feed)?.capture ?? 0n;
    const before = spans.at(-1)?.capture ?? surface.entry.capture;
    const apart = BigInt(SPAN_MS * (2 ** Math.floor(spans.length / SPANS_STEP) - 1)) * 1_000_000n;
    if (capture > before && spans.length < SPANS_MAX && ntpMinusNs(capture, before) >= apart) spans.push(create(FrameSpanSchema, { first, capture }));
  }
}

/** What must be kept of a path; each span begins at the first of its points that is kept. */
export function simplified(points: readonly Point[], spans: readonly FrameSpan[]): { points: Point[]; spans: FrameSpan[] } {
  const kept = keptPoints(points);
  const out: FrameSpan[] = [];
  for (const span of spans) {
    let first = kept.findIndex((i) => i >= span.first);
    if (first < 0) first = kept.length;
    if (out.at(-1)?.first === first) out.pop(); // none of its points was kept
    if (first < kept.length) out.push(create(FrameSpanSchema, { first, capture: span.capture }));
  }
  return { points: kept.map((i) => points[i] as Point), spans: out };
}
