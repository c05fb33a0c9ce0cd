// The known length that this page measures by: drawn once in the plane of the picture, gone when the geometry changes. Pure.
// Geometry has changed when X-ray comes back (table or gantry may have moved), when the signal was lost, and when the picture
// has another size or cut. A length drawn on a still holds on that still alone.
import { create } from '@bufbuild/protobuf';
import type { Reference } from '../../gen/ink_pb';
import { ReferenceSchema } from '../../gen/ink_pb';
import { FeedState } from '../../gen/frame_pb';
import type { Point } from '../points';
import { REFERENCE_MIN, REFERENCE_UM_MAX } from './measure';

/** Where a length was drawn. `still`: empty on a feed. */
export interface MeasuredOn { readonly feed: string; readonly geometry: number; readonly still: string }
export interface Known { readonly on: MeasuredOn; readonly reference: Reference }

export class Calibration {
  private known: Known | null = null;
  private ends: { on: MeasuredOn; from: Point; to: Point } | null = null;
  private states = new Map<string, { state: FeedState; geometry: number }>();

  /** The reference that holds there, if there is one. */
  of(on: MeasuredOn): Reference | null { return this.known && same(this.known.on, on) ? this.known.reference : null; }
  get drawn(): boolean { return this.ends !== null; }

  /** Both ends of something whose length is known. False: too short to measure by. */
  draw(on: MeasuredOn, from: Point, to: Point): boolean {
    this.known = null;
    const long = Math.hypot(to.x - from.x, to.y - from.y) >= REFERENCE_MIN;
    this.ends = long ? { on, from, to } : null;
    return long;
  }

  /** How long that is. False: no length, or nothing drawn. */
  tell(mm: number): boolean {
    const lengthUm = Math.round(mm * 1_000);
    const ends = this.ends;
    if (!ends || !(lengthUm > 0) || lengthUm > REFERENCE_UM_MAX) return false;
    this.known = { on: ends.on, reference: create(ReferenceSchema, { x1: ends.from.x, y1: ends.from.y, x2: ends.to.x, y2: ends.to.y, lengthUm }) };
    this.ends = null;
    return true;
  }

  forget(): void {
    this.known = null;
    this.ends = null;
  }

  /** How a feed is shown now in a picture (a program, or the feed alone), in which geometry. True: what was known of its lengths no longer holds. */
  handlePicture(picture: string, feed: string, state: FeedState, geometry: number): boolean {
    const before = this.states.get(`${picture} ${feed}`);
    this.states.set(`${picture} ${feed}`, { state, geometry });
    const changed = before !== undefined && (before.geometry !== geometry || (before.state !== state && (state === FeedState.LIVE || state === FeedState.LOST)));
    const on = (this.known ?? this.ends)?.on;
    if (!changed || on?.feed !== feed || on.still !== '') return false;
    this.forget();
    return true;
  }
}

const same = (a: MeasuredOn, b: MeasuredOn): boolean => a.feed === b.feed && a.geometry === b.geometry && a.still === b.still;
