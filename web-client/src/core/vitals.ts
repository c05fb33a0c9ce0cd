// Vital signs as data: the newest number of each name, and how old it is. What is missing, invalid or old is two dashes. Pure.
import type { Vitals } from '../gen/vitals_pb';
import type { CaptureNtp } from './units';
import { ntpMinusNs } from './units';

/** A number that was not said again for so long is no number of now. */
export const NUMBER_OLD_MS = 30_000;
/** Without waves the numbers may come this seldom; where nothing comes any more, they are none of now after this. */
export const NUMBERS_SILENT_MS = 2_000;
export const MISSING = '--';

export interface VitalNumber { readonly name: string; readonly unit: string; readonly value: number | null; readonly at: bigint }
export interface VitalsNow {
  readonly feed: string;
  readonly synchronised: boolean;
  /** By name, in the order in which they were first said. */
  readonly numbers: readonly VitalNumber[];
}

/** `before` with what a message says of its feed; another feed's begins anew. */
export function withVitals(before: VitalsNow | null, said: Vitals): VitalsNow {
  const numbers = before?.feed === said.feed ? [...before.numbers] : [];
  for (const n of said.numerics) {
    const value = n.value !== undefined && Number.isFinite(n.value) ? n.value : null;
    const number: VitalNumber = { name: n.name, unit: n.unit, value, at: n.at };
    const at = numbers.findIndex((known) => known.name === n.name);
    if (at < 0) numbers.push(number);
    else if ((numbers[at]?.at ?? 0n) <= n.at) numbers[at] = number; // packets may overtake each other
  }
  return { feed: said.feed, synchronised: said.synchronised, numbers };
}

/**
 * The panel stands as it was: its newest word is `ageMs` old, and nothing comes any more: the waves have ended (`waves`: they
 * come many times a second), or the line or the picture beside it has (`cut`).
 */
export function areNotOfNow(ageMs: number | null, waves: boolean, cut: boolean): boolean {
  return ageMs === null ? cut : ageMs >= NUMBERS_SILENT_MS && (waves || cut);
}

/** What stands on a screen. `now`: case timeline; null: not known, and then no number is one of now. */
export function vitalText(number: VitalNumber, now: CaptureNtp | null): string {
  const old = now === null || Number(ntpMinusNs(now, number.at as CaptureNtp)) / 1e6 > NUMBER_OLD_MS;
  if (number.value === null || old) return MISSING;
  return number.name === 'TEMP' ? number.value.toFixed(1) : String(Math.round(number.value));
}
