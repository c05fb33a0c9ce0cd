// A length on a picture, from a known length in the same plane. Reference only: never shown without its uncertainty. As
// annotation/src/measure.rs.
import type { Reference } from '../../gen/ink_pb';
import type { Point } from '../points';
import { PICTURE_WIDTH } from '../units';

/** Standard uncertainty of an end set by hand: 0.75 px of a 1080p picture (19 of 20 are within 1.5 px), in units of points. */
const END_ERROR = (0.75 * PICTURE_WIDTH) / 1920;
/** Shortest reference, 6 px at 1080p: a shorter one is known to a third at best. */
export const REFERENCE_MIN = 8 * END_ERROR;
/** Longest reference, µm: a metre. */
export const REFERENCE_UM_MAX = 1_000_000;

/** A length, and what 95 % of hands are within. */
export interface Length { readonly mm: number; readonly uncertaintyMm: number }

type Ends = Pick<Reference, 'x1' | 'y1' | 'x2' | 'y2' | 'lengthUm'>;

/** The length between two points; null without a usable reference. Source: GUM (JCGM 100:2008) §5.1.2, uncorrelated inputs. */
export function lengthOf(from: Pick<Point, 'x' | 'y'>, to: Pick<Point, 'x' | 'y'>, reference: Ends): Length | null {
  const known = Math.hypot(reference.x2 - reference.x1, reference.y2 - reference.y1);
  if (known < REFERENCE_MIN || reference.lengthUm === 0) return null;
  const drawn = Math.hypot(to.x - from.x, to.y - from.y);
  const perUnit = reference.lengthUm / 1000 / known;
  // Both ends of both lines: u² = 2 e² (1 + (drawn / known)²), in units of points.
  const standard = END_ERROR * Math.SQRT2 * Math.hypot(1, drawn / known);
  return { mm: drawn * perUnit, uncertaintyMm: 2 * standard * perUnit };
}

/** `12.3 ±0.6 mm 参考`: tenths of a millimetre, the uncertainty rounded up. `words`: *reference only* in the screen's language. */
export function lengthLabel({ mm, uncertaintyMm }: Length, words: string): string {
  const tenths = Math.floor(mm * 10 + 0.5);
  const sure = Math.max(1, Math.ceil(uncertaintyMm * 10 - 1e-9));
  return `${Math.floor(tenths / 10)}.${tenths % 10} ±${Math.floor(sure / 10)}.${sure % 10} mm${words ? ' ' : ''}${words}`;
}
