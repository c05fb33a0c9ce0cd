// Fading ink (AN17): gone 10 s after the server took it, the last 2 s by opacity. Every replica derives it from that one instant.
import type { Stroke } from './sheet';

/** In case time, NTP 32.32. */
export const FADE_AFTER = 10n << 32n;
const FADING = 2n << 32n;

/** 1: whole; 0: gone. `from`: when the server took it, or let it fade; null: it stays. `at`: case time; null: not known yet. */
export function opacityAt(from: bigint | null, at: bigint | null): number {
  if (from === null || at === null) return 1;
  const left = FADE_AFTER - (at - from);
  return left <= 0n ? 0 : left >= FADING ? 1 : Number(left) / Number(FADING);
}

export const isGone = (from: bigint | null, at: bigint | null): boolean => from !== null && at !== null && at - from >= FADE_AFTER;

/** Own ink that neither fades nor is kept on purpose reminds its author after 20 s. */
const STANDING = 20n << 32n;

/** Marks of `own` that stand longer than they should without being looked at. `at`: case time; null: not known yet. */
export function standingLong(strokes: readonly Stroke[], own: number, at: bigint | null): number {
  if (at === null) return 0;
  return strokes.filter((s) => s.author === own && s.phase !== 'wet' && s.fadeFrom === null && !s.pinned && at - s.began >= STANDING).length;
}
