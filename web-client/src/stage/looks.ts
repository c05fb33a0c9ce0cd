// What a look says: icon, word, colour, and whether its tag is filled (act or beware), outlined or bare (as expected).
import type { AgeKind } from '../core/age';
import { formatAge } from '../core/age';
import { ageCautions } from '../core/glass';
import type { Look } from '../core/glass';
import type { IconName } from '../gen/sprite';
import type { Texts } from '../i18n';

export interface LookWords {
  readonly icon: IconName;
  readonly word: keyof Texts;
  /** Where the word is too wide for its strip. */
  readonly short?: keyof Texts;
  readonly tag: string;
  readonly plate: { readonly word: keyof Texts; readonly next: keyof Texts } | null;
  readonly age: AgeKind;
  /** How gravely a change to it is announced to a screen reader. */
  readonly live: 'polite' | 'assertive';
}

export const LOOKS: Record<Look, LookWords> = {
  live: { icon: 'circle-fill', word: 'look_live', tag: 'tag bare c-live', plate: null, age: 'live', live: 'polite' },
  unsynced: { icon: 'not-equals-bold', word: 'look_unsynced', tag: 'tag fill c-amber', plate: null, age: 'live', live: 'polite' },
  frozen: { icon: 'snowflake-bold', word: 'look_frozen', tag: 'tag c-steel', plate: null, age: 'counting', live: 'polite' },
  still: { icon: 'image-bold', word: 'look_still', tag: 'tag c-steel', plate: null, age: 'held', live: 'polite' },
  xoff: { icon: 'radioactive-bold', word: 'look_xoff', short: 'look_xoff_short', tag: 'tag c-steel', plate: null, age: 'held', live: 'polite' },
  looping: { icon: 'arrows-clockwise-bold', word: 'look_looping', tag: 'tag c-steel', plate: null, age: 'held', live: 'polite' },
  stale: { icon: 'hourglass-medium-bold', word: 'look_stale', tag: 'tag fill c-amber', plate: null, age: 'live', live: 'polite' },
  lost: { icon: 'plugs-bold', word: 'look_lost', tag: 'tag fill c-orchid', plate: { word: 'look_lost_plate', next: 'look_lost_next' }, age: 'counting', live: 'assertive' },
  stalled: { icon: 'wifi-slash-bold', word: 'look_stalled', tag: 'tag fill c-orchid', plate: { word: 'look_stalled_plate', next: 'look_stalled_next' }, age: 'counting', live: 'assertive' },
  paused: { icon: 'pause-bold', word: 'look_paused', tag: 'tag fill c-orchid', plate: { word: 'look_paused_plate', next: 'look_paused_next' }, age: 'counting', live: 'assertive' },
  unknown: { icon: 'circle-dashed-bold', word: 'look_unknown', tag: 'tag c-low', plate: null, age: 'live', live: 'polite' },
  curtain: { icon: 'eye-slash-bold', word: 'look_curtain', tag: 'tag c-violet', plate: { word: 'look_curtain_plate', next: 'look_curtain_next' }, age: 'live', live: 'polite' },
  unmasked: { icon: 'warning-bold', word: 'look_unmasked', tag: 'tag fill c-amber', plate: { word: 'look_unmasked_plate', next: 'look_unmasked_next' }, age: 'live', live: 'polite' },
  waiting: { icon: 'circle-dashed-bold', word: 'look_waiting', tag: 'tag c-low', plate: { word: 'look_waiting_plate', next: 'look_waiting_next' }, age: 'live', live: 'polite' },
};

/** Looks without a picture, or without a known time. */
const NOTHING_TO_DATE: ReadonlySet<Look> = new Set(['unknown', 'waiting', 'curtain', 'unmasked']);

/** The parts of an age as they stand in a strip. Not known reads as a dash. `caution`: the number is marked. */
export function ageParts(look: Look, ageMs: number | null, uncertaintyMs: number, texts: Texts): { value: string; plusMinus: string; unit: string; caution: boolean } {
  const text = NOTHING_TO_DATE.has(look) ? null : formatAge(LOOKS[look].age, ageMs, uncertaintyMs);
  if (!text) return { value: texts.age_none, plusMinus: '', unit: '', caution: false };
  return { value: text.value, plusMinus: text.plusMinus ?? '', unit: texts[`age_${text.unit}`], caution: ageCautions(look, ageMs) };
}

/** How much older than the main feed, in the unit of the ages; nothing where nobody knows. */
export function skewText(skewMs: number | null, texts: Texts): string {
  return skewMs === null ? '' : `${skewMs < 0 ? '−' : texts.skew_plus}${(Math.abs(skewMs) / 1000).toFixed(2)}${texts.skew_unit}`;
}
