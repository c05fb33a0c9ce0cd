// The known length that this page measures by: drawn once in the plane of the picture, gone when the geometry changes. Pure.
// Geometry has changed when X-ray comes back (table or gantry may have moved), when the signal was lost, and when the picture
// has another size or place in its frame.
import { create } from '@bufbuild/protobuf';
import type { Reference } from '../../gen/ink_pb';
import { ReferenceSchema } from '../../gen/ink_pb';
import { FeedState } from '../../gen/frame_pb';
import type { Point } from '../points';
import { REFERENCE_MIN, REFERENCE_UM_MAX } from './measure';

export interface Known { readonly feed: string; readonly reference: Reference }

export class Calibration {
  private known: Known | null = null;
  private ends: { feed: string; from: Point; to: Point } | null = null;
  private states = new Map<string, { state: FeedState; shape: string }>();

  /** The reference of a feed, if there is one that still holds. */
  of(feed: string): Reference | null { return this.known?.feed === feed ? this.known.reference : null; }
  get drawn(): boolean { return this.ends !== null; }

  /** Both ends of something whose length is known. False: too short to measure by. */
  draw(feed: string, from: Point, to: Point): boolean {
    this.known = null;
    const long = Math.hypot(to.x - from.x, to.y - from.y) >= REFERENCE_MIN;
    this.ends = long ? { feed, from, to } : null;
    return long;
  }

  /** How long that is. False: no length, or nothing drawn. */
  tell(mm: number): boolean {
    const lengthUm = Math.round(mm * 1_000);
    const ends = this.ends;
    if (!ends || !(lengthUm > 0) || lengthUm > REFERENCE_UM_MAX) return false;
    this.known = { feed: ends.feed, reference: create(ReferenceSchema, { x1: ends.from.x, y1: ends.from.y, x2: ends.to.x, y2: ends.to.y, lengthUm }) };
    this.ends = null;
    return true;
  }

  forget(): void {
    this.known = null;
    this.ends = null;
  }

  /** How a feed is shown now. True: what was known of its lengths no longer holds. `shape`: its size and the layout's revision. */
  handlePicture(feed: string, state: FeedState, shape: string): boolean {
    const before = this.states.get(feed);
    this.states.set(feed, { state, shape });
    const changed = before !== undefined && (before.shape !== shape || (before.state !== state && (state === FeedState.LIVE || state === FeedState.LOST)));
    if (!changed || (this.known?.feed !== feed && this.ends?.feed !== feed)) return false;
    this.forget();
    return true;
  }
}
