// What a touch on the glass means: a palm, a finger, or a hand without a pen. Pure.
import type { PerfMs } from './units';

/** Touch is ignored while a pen is near, and this long after. */
export const PEN_NEAR_MS = 2_000;

/** Once a pen was used here, fingers point and never draw again: sticky until the page is opened anew. */
export class PenMode {
  private penSeen: PerfMs | null = null;

  handleNear(kind: string, now: PerfMs): void { if (kind === 'pen') this.penSeen = now; }

  handleDown(kind: string, now: PerfMs): 'draw' | 'point' | 'nothing' {
    this.handleNear(kind, now);
    if (kind !== 'touch' || this.penSeen === null) return 'draw';
    return now - this.penSeen < PEN_NEAR_MS ? 'nothing' : 'point';
  }
}
