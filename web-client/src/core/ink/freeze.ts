// The mentor's own picture: it freezes under the pen and returns by itself. The room's never does. Sans-IO.
import type { PerfMs } from '../units';

/** A picture that the pen froze is live again this long after the last stroke. */
export const RETURN_MS = 3_000;

/** still: a still stands large instead of the live picture, until it is closed. */
export type Frozen = 'pen' | 'hand' | 'still' | null;

export class Freeze {
  state: Frozen = null;
  private drawing = false;
  private idleSince: PerfMs | null = null;

  /** True: freeze now, on the frame under the pen. `still`: nothing moves there, so nothing need be held. */
  penDown(still: boolean): boolean {
    this.drawing = true;
    this.idleSince = null;
    if (this.state !== null || still) return false;
    this.state = 'pen';
    return true;
  }

  penUp(now: PerfMs): void {
    this.drawing = false;
    this.idleSince = now;
  }

  /** The key or the button: freezes, or lets go. True: frozen now. */
  toggle(): boolean {
    this.state = this.state === null ? 'hand' : null;
    return this.state !== null;
  }

  /** A still is opened large. */
  openStill(): void { this.state = 'still'; }

  release(): void { this.state = null; }

  /** True once: time to return. */
  pollReturn(now: PerfMs): boolean {
    if (this.state !== 'pen' || this.drawing || this.idleSince === null || now - this.idleSince < RETURN_MS) return false;
    this.state = null;
    return true;
  }
}
