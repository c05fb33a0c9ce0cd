// The pedal's key presses, before anything else on the page hears them.
import { PAIRING_MS, Pedal } from '../core/pedal';
import type { Store } from '../core/store';
import { perfNow } from './clock';
import { keepPedal, keptPedal } from './session';

export class PedalHand {
  private readonly pedal = new Pedal(keptPedal());
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** `clear`: the room's. */
  constructor(private readonly store: Store, private readonly clear: () => void) { this.say(); }

  /** Listens; returns how to stop. */
  listen(): () => void {
    const down = (e: KeyboardEvent): void => {
      const done = this.pedal.handleKey({ code: e.code, modified: e.ctrlKey || e.altKey || e.metaKey || e.shiftKey, repeat: e.repeat }, perfNow());
      if (done === 'clear') this.clear();
      // A pedal that sends Space or Enter presses no button beside.
      if (done !== null || (e.code === this.pedal.paired && e.repeat)) {
        e.preventDefault();
        e.stopImmediatePropagation();
      }
      this.say();
    };
    addEventListener('keydown', down, true);
    return () => {
      removeEventListener('keydown', down, true);
      if (this.timer !== null) clearTimeout(this.timer);
    };
  }

  /** Pairs anew; lets go of what is paired or of a pairing under way. */
  toggle(): void {
    if (this.pedal.state !== 'none') this.pedal.forget();
    else {
      this.pedal.pair(perfNow());
      this.timer = setTimeout(() => {
        this.pedal.handleTimeout(perfNow());
        this.say();
      }, PAIRING_MS + 20);
    }
    this.say();
  }

  private say(): void {
    if (this.store.pedal.value === this.pedal.state) return;
    this.store.pedal.value = this.pedal.state;
    keepPedal(this.pedal.paired);
  }
}
