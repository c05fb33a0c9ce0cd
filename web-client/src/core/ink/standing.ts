// Where a mark stands on one picture: followed, doubted, or not on it any more. Never drifts silently, never extrapolates.
import { FeedState } from '../../gen/frame_pb';
import { Surface as On, Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import { ntpMinusNs } from '../units';
import { isGone } from './fade';
import type { Moved } from './moved';
import { apply, inverse, UNMOVED } from './moved';
import type { Stroke } from './sheet';
import type { Tracks } from './tracks';

/** The picture of a feed on the glass: which frame of it, in which state. `geometry`: 0 or none: not known. `still`: the id of the still that it is. */
export interface PictureShown { readonly feed: string; readonly capture: bigint; readonly state: FeedState; readonly geometry?: number; readonly still?: string }

/** A mark that no transform names is drawn where it was made for this long after pen-down, with gaps where the picture is not the one it was made on. */
export const UNNAMED_MS = 500;

/** here: drawn, with gaps where doubted. away: not on this picture; it stands in an inset on its own frame. elsewhere: on a picture of its own, which is shown for itself. */
export type Standing = { readonly kind: 'here'; readonly moved: Moved; readonly unsure: boolean } | { readonly kind: 'away' } | { readonly kind: 'elsewhere' };
const AWAY: Standing = { kind: 'away' };
const ELSEWHERE: Standing = { kind: 'elsewhere' };
const STILL: Standing = { kind: 'here', moved: UNMOVED, unsure: false };

/**
 * `at`: case time now; null: not known. `own`: this page's author, whose wet ink lies under the own pen. A mark under a pen that is down stays in sight
 * (AN29): one that vanishes while it is drawn tells nobody anything.
 */
export function standingOf(stroke: Stroke, picture: PictureShown, tracks: Tracks, at: bigint | null, own: number): Standing {
  const standing = followed(stroke, picture, tracks, at, own);
  if (standing.kind !== 'away' || stroke.phase !== 'wet' || stroke.tool === Tool.MEASURE || isOtherShape(stroke, picture)) return standing;
  return { kind: 'here', moved: tracks.lastKnown(stroke.feed, picture.capture, stroke.id) ?? UNMOVED, unsure: true };
}

/** Whether any mark may stand on pictures of `feeds` (null: of any feed) now. */
export function anyStands(strokes: readonly Stroke[], feeds: readonly string[] | null, at: bigint | null): boolean {
  return strokes.some((s) => (feeds === null || feeds.includes(s.feed)) && !isGone(s.fadeFrom, at));
}

/** Another size or cut of the picture is another sheet: the same numbers are another place on it. */
function isOtherShape(stroke: Stroke, picture: PictureShown): boolean {
  return (picture.geometry ?? 0) !== 0 && stroke.frame.geometry !== 0 && picture.geometry !== stroke.frame.geometry;
}

function followed(stroke: Stroke, picture: PictureShown, tracks: Tracks, at: bigint | null, own: number): Standing {
  const otherShape = isOtherShape(stroke, picture);
  const sameFrame = picture.capture === stroke.frame.capture && picture.capture !== 0n && !otherShape;
  if (picture.still) return stroke.frame.still === picture.still || sameFrame ? STILL : ELSEWHERE;
  switch (stroke.frame.surface) {
    // Not on a picture that moves; but the image held while X-ray is off may be the very one.
    case On.STILL: return sameFrame ? STILL : ELSEWHERE;
    case On.HELD:
    case On.RUN:
      if (sameFrame) return STILL;
      break;
    case On.UNSPECIFIED:
    case On.LIVE:
    case On.FROZEN:
      if (sameFrame && stroke.spans.length === 0) return STILL;
      if (stroke.phase === 'wet' && stroke.author === own && stroke.frame.surface !== On.FROZEN) return STILL;
      break;
    default: return AWAY; // a surface of a later version
  }
  if (otherShape) return AWAY;
  // A length is true in its own frame alone: the table or the gantry may have moved.
  if (stroke.tool === Tool.MEASURE) return AWAY;
  const track = tracks.of(stroke.feed, picture.capture, stroke.id, ends(stroke.points));
  if (track) return track.state === 'lost' ? AWAY : { kind: 'here', moved: track.moved, unsure: track.state === 'unsure' };
  // X-ray has resumed, or the run plays on, and nobody has verified the place.
  if (stroke.frame.surface === On.HELD || stroke.frame.surface === On.RUN) return AWAY;
  if (at !== null && ntpMinusNs(at, stroke.began) < BigInt(UNNAMED_MS) * 1_000_000n) return { kind: 'here', moved: UNMOVED, unsure: picture.capture !== stroke.frame.capture };
  // Nobody follows this feed: the place is a guess, and says so.
  if (!tracks.heard(stroke.feed)) return { kind: 'here', moved: UNMOVED, unsure: stroke.phase !== 'wet' && picture.state !== FeedState.XRAY_OFF };
  return AWAY;
}

/** Two places by which it is told how far a stroke moves. */
export function ends(points: readonly Point[]): readonly Point[] | undefined {
  const [first, last] = [points[0], points.at(-1)];
  return first && last ? [first, last] : undefined;
}

/**
 * The points on the stroke's own frame: those drawn on later frames are moved back by what the tracker said of those. Under a pen that is down what was
 * last known stands in for what is lost, here as in where the mark stands: so its newest point lies where the pen is.
 */
export function pointsOnOwnFrame(stroke: Stroke, tracks: Tracks): readonly Point[] {
  if (stroke.spans.length === 0) return stroke.points;
  let next = 0;
  let back = UNMOVED;
  return stroke.points.map((p, i) => {
    for (let span = stroke.spans[next]; span && span.first <= i; span = stroke.spans[next]) {
      const track = tracks.of(stroke.feed, span.capture, stroke.id);
      const there = track && track.state !== 'lost' ? track.moved : stroke.phase === 'wet' ? tracks.lastKnown(stroke.feed, span.capture, stroke.id) : null;
      back = there ? inverse(there) : UNMOVED;
      next += 1;
    }
    return back === UNMOVED ? p : { ...apply(back, p.x, p.y), pressure: p.pressure };
  });
}
