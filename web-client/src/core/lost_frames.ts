// Marks whose place is not on the live picture any more, by the frame that they were drawn on. Pure.
import type { Stroke } from './ink/sheet';
import type { Tracks } from './ink/tracks';

/** Frames shown at once, the newest; more would cover the picture. */
const INSETS_MAX = 2;

export interface Frame { readonly key: string; readonly feed: string; readonly capture: bigint; readonly still: string | null; readonly strokes: Stroke[] }

/** Marks by the frame they were drawn on, the newest frames first. */
export function framesOf(away: readonly Stroke[], tracks: Pick<Tracks, 'stillOf'>): Frame[] {
  const frames = new Map<string, Frame>();
  for (const stroke of away) {
    const still = stroke.frame.still || tracks.stillOf(stroke.id);
    const key = still ?? `${stroke.feed} ${stroke.frame.capture}`;
    const frame = frames.get(key) ?? { key, feed: stroke.feed, capture: stroke.frame.capture, still, strokes: [] };
    frame.strokes.push(stroke);
    frames.set(key, frame);
  }
  return [...frames.values()].sort((a, b) => (a.capture > b.capture ? -1 : a.capture < b.capture ? 1 : 0)).slice(0, INSETS_MAX);
}

/** Who drew them, each once, in the order of their marks. Without those who have no name here. */
export function namesOf(strokes: readonly Stroke[], labelOf: (author: number) => string): string {
  return [...new Set(strokes.map((s) => labelOf(s.author)))].filter((name) => name !== '').join(', ');
}
