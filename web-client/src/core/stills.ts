// Stills of the case: one sharp picture of each X-ray run, the image held when X-ray went off. Pure.
import { create } from '@bufbuild/protobuf';
import type { FrameIndex } from '../gen/frame_pb';
import { FeedState, FrameIndexSchema } from '../gen/frame_pb';
import type { StillInfo } from '../gen/signal_pb';

/** A still that can be looked at and drawn on. `capture`: NTP 32.32, case timeline. Width and height in its own pixels. */
export interface Still { readonly id: string; readonly feed: string; readonly capture: bigint; readonly width: number; readonly height: number; readonly geometry: number }

/** Stills that a page lists, the newest; those with ink on them are listed besides. */
export const LISTED_MAX = 3;

/** As the server names them, oldest first; what is no picture is left out. */
export function stillsOf(told: readonly StillInfo[]): Still[] {
  return told.filter((s) => s.still !== '' && s.width > 0 && s.height > 0 && s.capture !== 0n)
    .map(({ still, feed, capture, width, height, geometry }) => ({ id: still, feed, capture, width, height, geometry }));
}

/** The newest still there is; of one feed where it is named. Null: none. */
export function newestStill(stills: readonly Still[], feed: string | null = null): Still | null {
  return stills.findLast((s) => feed === null || s.feed === feed) ?? null;
}

/** Newest first: the last few, and every one with ink on it. */
export function listedStills(stills: readonly Still[], isInked: (id: string) => boolean): Still[] {
  return [...stills].reverse().filter((s, i) => i < LISTED_MAX || isInked(s.id));
}

/** A frame that ink was drawn on; `still`: its id, where it is a still of the case. */
export interface Inked { readonly still: string; readonly feed: string; readonly capture: bigint; readonly geometry: number }

/** What the program's newest frame shows: its feeds, and the frames that it holds while X-ray is off. */
export interface OnGlass { readonly feeds: readonly string[]; readonly held: readonly string[] }
export const NOTHING_ON_GLASS: OnGlass = { feeds: [], held: [] };

/** What a frame of the program shows; `before` itself where that is the same. */
export function glassOf({ entries }: FrameIndex, before: OnGlass): OnGlass {
  const held = entries.filter((e) => e.state === FeedState.XRAY_OFF).map((e) => frameName(e.feed, e.capture));
  const feeds = entries.map((e) => e.feed);
  const same = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((one, i) => one === b[i]);
  return same(before.held, held) && same(before.feeds, feeds) ? before : { feeds, held };
}

/** Names a feed's frame. */
export const frameName = (feed: string, capture: bigint): string => `${feed} ${capture}`;

/**
 * The frame that was drawn on last and is not before the eyes anyway: a still, or a picture of a feed that the program does not
 * show. `inked`: the newest stroke last. Its size is 0 where only its picture knows it.
 */
export function drawnFrame(stills: readonly Still[], inked: readonly Inked[], glass: OnGlass): Still | null {
  const away = inked.findLast((one) => {
    // What the glass shows is not known before its first index.
    if (one.still === '') return glass.feeds.length > 0 && !glass.feeds.includes(one.feed);
    return stills.some((s) => s.id === one.still) && !glass.held.includes(frameName(one.feed, one.capture));
  });
  if (!away) return null;
  return stills.find((s) => s.id === away.still) ?? { id: '', feed: away.feed, capture: away.capture, width: 0, height: 0, geometry: away.geometry };
}

/** A still as a picture of its own, as a glass shows it. */
export function frameOf({ feed, capture, width, height, geometry }: Still): FrameIndex {
  return create(FrameIndexSchema, {
    program: feed, rtpTs: 0, layoutRev: 0, width, height, entries: [{ rect: { x: 0, y: 0, w: width, h: height }, feed, capture, state: FeedState.XRAY_OFF, geometry }],
  });
}
