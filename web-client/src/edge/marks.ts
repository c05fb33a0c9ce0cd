// When marks on dead pictures are looked at again: with each painting, and at the very moment that a picture is too old.
import { Paints, STALL_MS } from '../core/stall';
import type { PerfMs } from '../core/units';
import { perfNow } from './clock';
import { Deadline } from './deadline';

export class Marks {
  readonly paints = new Paints();
  private painted = '';
  private readonly dead = new Deadline(() => { this.repaint(perfNow()); });
  /** `flows`: how all pictures are at a moment, in one word. */
  constructor(private readonly flows: (now: PerfMs) => string, private readonly repaint: (now: PerfMs) => void) {}

  /** The large picture moved, and is known to until `proven`: a heartbeat would mark its death up to its own length late. */
  handleFrame(proven: PerfMs): void { this.dead.set(proven, STALL_MS); }

  /** What is on the glass is right at each painting, however late timers are. */
  start(): void {
    const paint = (): void => {
      const now = perfNow();
      this.paints.handlePaint(now);
      const flows = this.flows(now);
      if (flows !== this.painted) {
        this.painted = flows;
        this.repaint(now);
      }
      requestAnimationFrame(paint);
    };
    requestAnimationFrame(paint);
  }
}
