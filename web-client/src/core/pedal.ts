// The foot pedal of the operating room: it sends a key as a keyboard does. Inert until it is paired; then it clears the ink, and nothing else. Pure.
import type { PerfMs } from './units';

/** Pairing waits so long for the pedal to be pressed. */
export const PAIRING_MS = 10_000;

/** none: whatever is pressed does nothing. pairing: the next key is the pedal's. */
export type PedalState = 'none' | 'pairing' | 'paired';

export interface KeyPress { readonly code: string; readonly modified: boolean; readonly repeat: boolean }

/** Keys that no pedal may be: they are held together with others, lead through the page, or end the pairing. */
const NEVER = /^(|Unidentified|Escape|Tab|(Shift|Control|Alt|Meta|OS)(Left|Right)|CapsLock|NumLock|ScrollLock|Fn|FnLock)$/;

export class Pedal {
  private until: PerfMs | null = null;

  /** `code`: of a pedal that was paired on this page before it was loaded anew. */
  constructor(private code: string | null = null) {}

  get state(): PedalState { return this.until !== null ? 'pairing' : this.code !== null ? 'paired' : 'none'; }
  get paired(): string | null { return this.code; }

  /** What was paired is forgotten; the next key pressed is the pedal's. */
  pair(now: PerfMs): void {
    this.code = null;
    this.until = now + PAIRING_MS as PerfMs;
  }

  forget(): void {
    this.code = null;
    this.until = null;
  }

  /** What a key is for: to pair, to clear, or (null) none of ours. */
  handleKey({ code, modified, repeat }: KeyPress, now: PerfMs): 'paired' | 'clear' | null {
    this.handleTimeout(now);
    if (this.until === null) return this.code === code && !modified && !repeat ? 'clear' : null;
    if (code === 'Escape') this.until = null;
    if (modified || repeat || NEVER.test(code)) return null;
    this.code = code;
    this.until = null;
    return 'paired';
  }

  /** Ends a pairing in which nothing was pressed. True: it did. */
  handleTimeout(now: PerfMs): boolean {
    if (this.until === null || now < this.until) return false;
    this.until = null;
    return true;
  }
}
