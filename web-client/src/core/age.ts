// How an age reads: 0.09 s below ten seconds, 12 s ago to a minute, 4:12 ago after. Ages of dead pictures count with one
// decimal below ten seconds, held ones in whole seconds.

/** live: what is on the glass now · counting: a dead picture · held: held on purpose. */
export type AgeKind = 'live' | 'counting' | 'held';
/** Which word follows the number: the catalogue has it. */
export type AgeUnit = 's' | 's_ago' | 'ago';

export interface AgeText { readonly value: string; readonly unit: AgeUnit; readonly plusMinus: string | null }

/** `ms` null: not known, reads as null and is shown as a dash. */
export function formatAge(kind: AgeKind, ms: number | null, uncertaintyMs = 0): AgeText | null {
  if (ms === null || !Number.isFinite(ms) || ms < 0) return null;
  const s = ms / 1000;
  if (kind === 'live' && s < 9.995) {
    const pm = Math.round(uncertaintyMs / 10) / 100;
    return { value: s.toFixed(2), unit: 's', plusMinus: pm >= 0.01 ? `±${pm.toFixed(2)}` : null };
  }
  if (kind === 'counting' && s < 9.95) return { value: s.toFixed(1), unit: 's_ago', plusMinus: null };
  const whole = Math.floor(s);
  if (whole < 60) return { value: String(whole), unit: 's_ago', plusMinus: null };
  const minutes = Math.floor(whole / 60);
  const rest = String(whole % 60).padStart(2, '0');
  if (minutes < 60) return { value: `${minutes}:${rest}`, unit: 'ago', plusMinus: null };
  return { value: `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`, unit: 'ago', plusMinus: null };
}
