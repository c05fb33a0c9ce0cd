// The pen: idle or drawing. Knows program pixels and the frame that was seen; gives points of one feed. The surface is fixed
// at pen-down; a stroke that leaves its picture ends there.
import { create } from '@bufbuild/protobuf';
import type { FrameEntry, FrameIndex } from '../../gen/frame_pb';
import type { FrameRef } from '../../gen/ink_pb';
import { FrameRefSchema } from '../../gen/ink_pb';
import { entryAt, toFeed } from '../frames';
import type { Point } from '../points';
import { PICTURE_WIDTH } from '../units';

/** One pen sample: program pixels, pressure 0..1. */
export interface PenSample { readonly x: number; readonly y: number; readonly pressure: number }

/** 6 px of a 1080p program, whatever the size of the picture within it: 4 px where the program takes two thirds of the screen. */
const LINE_PX = 6;
const LINE_AT_PROGRAM_WIDTH = 1_920;
const WIDTH_MAX = 512;

export type PenState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'drawing'; readonly surface: Surface; readonly points: Point[] };

/** What a stroke lies on, fixed at pen-down. */
export interface Surface {
  readonly frame: FrameIndex;
  readonly entry: FrameEntry;
  readonly ref: FrameRef;
  /** 1/16384 of the picture's width. */
  readonly width: number;
}

/** unplaced: on a picture whose capture time is not known. */
export type PenOutcome = 'nothing' | 'unplaced' | 'began' | 'grew' | 'ended';

export class Pen {
  state: PenState = { kind: 'idle' };

  /** Pen down on `frame`, the frame seen; not `exact`: the nearest whose index is known. Outside any picture, or on one without a capture time, nothing is drawn. */
  penDown(sample: PenSample, frame: FrameIndex | null, exact = true): PenOutcome {
    if (this.state.kind === 'drawing' || frame === null) return 'nothing';
    const entry = entryAt(frame, sample.x, sample.y);
    const rect = entry?.rect;
    if (!entry || !rect) return 'nothing';
    if (entry.capture === 0n) return 'unplaced';
    const point = toFeed(entry, sample.x, sample.y, sample.pressure);
    if (!point) return 'nothing';
    const ref = create(FrameRefSchema, {
      feed: entry.feed, capture: entry.capture, program: frame.program, programRtpTs: frame.rtpTs, layoutRev: frame.layoutRev, mappingAsTold: !exact,
    });
    const programPx = (LINE_PX / LINE_AT_PROGRAM_WIDTH) * Math.max(1, frame.width);
    const width = Math.max(1, Math.min(WIDTH_MAX, Math.round((programPx / rect.w) * PICTURE_WIDTH)));
    this.state = { kind: 'drawing', surface: { frame, entry, ref, width }, points: [point] };
    return 'began';
  }

  /** Samples since the last event, oldest first. 'ended': one lay outside the picture; the stroke is whole up to it. */
  penMove(samples: readonly PenSample[], pointsMax: number): PenOutcome {
    if (this.state.kind !== 'drawing') return 'nothing';
    const { surface, points } = this.state;
    let grew = false;
    for (const sample of samples) {
      const point = entryAt(surface.frame, sample.x, sample.y) === surface.entry ? toFeed(surface.entry, sample.x, sample.y, sample.pressure) : null;
      if (!point || points.length >= pointsMax) return 'ended';
      const last = points.at(-1);
      if (last && last.x === point.x && last.y === point.y) continue;
      points.push(point);
      grew = true;
    }
    return grew ? 'grew' : 'nothing';
  }

  /** Back to idle; what was drawn, if anything. */
  penUp(): { surface: Surface; points: Point[] } | null {
    const state = this.state;
    this.state = { kind: 'idle' };
    return state.kind === 'drawing' ? { surface: state.surface, points: state.points } : null;
  }
}
