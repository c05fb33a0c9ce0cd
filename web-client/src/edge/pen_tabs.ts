// The pen of this browser among its pages: a broadcast channel of this origin. Nothing is kept.
import { PenBinding } from '../core/binding';
import type { PenPlace, PenWord } from '../core/binding';
import type { PerfMs } from '../core/units';
import { perfNow, wallMs } from './clock';

export interface PenTabs {
  /** The page knows its case: it asks who holds the pen. */
  begin(where: string): void;
  take(): void;
  tick(now: PerfMs): void;
}

export function openPenTabs(changed: (place: PenPlace) => void): PenTabs {
  const binding = new PenBinding(crypto.randomUUID());
  const channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel('shirube.pen') : null;
  let begun = false;
  let told: PenPlace = binding.place;
  const after = (): void => {
    for (const word of binding.pollWords()) channel?.postMessage(word);
    if (binding.place === told) return;
    told = binding.place;
    changed(told);
  };
  if (channel) channel.onmessage = (e: MessageEvent<unknown>) => {
    const word = wordOf(e.data);
    if (!word || !begun) return;
    binding.handle(word);
    after();
  };
  addEventListener('pagehide', () => { binding.leave(); after(); });
  return {
    begin: (where) => {
      binding.where = where;
      if (begun) return;
      begun = true;
      binding.start(perfNow());
      after();
    },
    take: () => { binding.take(wallMs()); after(); },
    tick: (now) => {
      if (!begun) return;
      binding.handleTimeout(now, wallMs());
      after();
    },
  };
}

/** What another page said, if it is a word at all: it may be of another version. */
function wordOf(data: unknown): PenWord | null {
  if (typeof data !== 'object' || data === null) return null;
  const { kind, page, case: where, taken } = data as Record<string, unknown>;
  const known = kind === 'who' || kind === 'held' || kind === 'take' || kind === 'gone';
  return known && typeof page === 'string' && typeof where === 'string' && typeof taken === 'number' ? { kind, page, case: where, taken } : null;
}
