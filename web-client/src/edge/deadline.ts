// Rings when something has not happened for a while, and not with the next heartbeat after that.
import type { PerfMs } from '../core/units';
import { perfNow } from './clock';

export class Deadline {
  private due = 0;
  private armed = false;
  constructor(private readonly ring: () => void) {}

  /** It is to ring so long after `from`, if it is not put off until then. The timer is moved only when it fires: this is called for each picture. */
  set(from: PerfMs, ms: number): void {
    this.due = from + ms;
    if (!this.armed) this.arm(Math.max(0, this.due - perfNow()));
  }

  private arm(ms: number): void {
    this.armed = true;
    setTimeout(() => {
      const left = this.due - perfNow();
      this.armed = false;
      if (left > 0) this.arm(left);
      else this.ring();
    }, Math.ceil(ms));
  }
}
