// The pen of this browser among its pages: a broadcast channel of this origin. Nothing is kept.
import { PenBinding } from '../core/binding';
import type { PenPlace, PenWord } from '../core/binding';
import type { PerfMs } from '../core/units';
import { perfNow, wallMs } from './clock';

export interface PenTabs {
  /** The page knows its case: it asks where the pen is. `where`: the case in words. */
  begin(caseId: string, where: string): void;
  take(): void;
  tick(now: PerfMs): void;
}

export function openPenTabs(changed: (place: PenPlace) => void): PenTabs {
  const channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel('shirube.pen') : null;
  let binding: PenBinding | null = null;
  let told: PenPlace | null = null;
  const after = (): void => {
    for (const word of binding?.pollWords() ?? []) channel?.postMessage(word);
    if (!binding || binding.place === told) return;
    told = binding.place;
    changed(told);
  };
  if (channel) channel.onmessage = (e: MessageEvent<unknown>) => {
    const word = wordOf(e.data);
    if (word) binding?.handle(word);
    after();
  };
  addEventListener('pagehide', () => {
    binding?.leave();
    after();
  });
  return {
    begin: (caseId, where) => {
      if (binding?.caseId === caseId) return;
      binding = new PenBinding(caseId, where);
      binding.start(perfNow());
      after();
    },
    take: () => {
      binding?.take(wallMs());
      after();
    },
    tick: (now) => {
      binding?.handleTimeout(now, wallMs());
      after();
    },
  };
}

/** What another page said, if it is a word at all: it may be of another version. */
function wordOf(data: unknown): PenWord | null {
  if (typeof data !== 'object' || data === null) return null;
  const { kind, case: caseId, where, taken } = data as Record<string, unknown>;
  const known = kind === 'who' || kind === 'held' || kind === 'take' || kind === 'gone';
  return known && typeof caseId === 'string' && typeof where === 'string' && typeof taken === 'number' ? { kind, case: caseId, where, taken } : null;
}
