import { describe, expect, it } from 'vitest';
import { HEARD_MS, MediaWatch, UNHEARD_MS } from './line';
import type { PerfMs } from './units';

const at = (ms: number): PerfMs => ms as PerfMs;

/** A path whose pictures come without a break; what goes out arrives as `arrives` says. What is said of voices at each heartbeat. */
function said(arrives: (ms: number) => boolean, end: number): { ms: number; path: string }[] {
  const media = new MediaWatch();
  media.handleStart(at(0));
  media.handleAnswer(at(1));
  const all: { ms: number; path: string }[] = [];
  for (let ms = 50; ms <= end; ms += 50) {
    media.handleAlive(at(ms));
    media.handleOutward(arrives(ms), at(ms));
    const path = media.voicePath(at(ms), false);
    if (all.at(-1)?.path !== path) all.push({ ms, path });
  }
  return all;
}

describe('what is said of voices where pictures come', () => {
  it('is that nobody hears as soon as what goes out does not arrive', () => {
    expect(said((ms) => ms < 2_000, 10_000)).toEqual([{ ms: 50, path: 'up' }, { ms: 2_000 + UNHEARD_MS, path: 'cut' }]);
  });

  it('is that they hear when it has arrived again for a while', () => {
    expect(said((ms) => ms < 2_000 || ms >= 4_000, 10_000).slice(1)).toEqual([{ ms: 2_000 + UNHEARD_MS, path: 'cut' }, { ms: 4_000 + HEARD_MS, path: 'up' }]);
  });

  it('does not change before the server has heard of the path, nor with short gaps', () => {
    expect(said((ms) => ms > 5_000, 6_000)).toEqual([{ ms: 50, path: 'up' }]);
    expect(said((ms) => ms % 1_000 < 700, 20_000)).toEqual([{ ms: 50, path: 'up' }]);
    // Longer ones that repeat within the second are said once.
    expect(said((ms) => ms < 2_000 || ms % 1_400 < 700, 20_000)).toHaveLength(2);
  });
});
