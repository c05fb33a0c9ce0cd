import { describe, expect, it } from 'vitest';
import { MediaWatch } from './line';
import { Paints, provenAt, STALL_MS, StallWatch } from './stall';
import type { PerfMs } from './units';
import { View } from './view';

const ms = (t: number): PerfMs => t as PerfMs;

describe('a picture that is told of late', () => {
  it('was shown when it was shown: never later than now, and now where the browser tells no time, or that of another clock', () => {
    expect([600, 1_000, 1_016, undefined, Number.NaN, -50_000].map((told) => provenAt(told, ms(1_000)))).toEqual([600, 1_000, 1_000, 1_000, 1_000, 1_000]);
  });
  it('does not look alive for longer because of that, and one told after it does not make it older', () => {
    const view = new View(0, ms(0));
    view.handleFrame(3, ms(1_000), undefined, ms(1_300));
    expect(view.flow(ms(1_369), false)).toBe('flowing');
    expect(view.flow(ms(1_370), false)).toBe('stalled');
    const watch = new StallWatch(ms(0));
    watch.handleFrame(ms(1_000));
    watch.handleFrame(ms(700));
    expect(watch.flow(ms(1_369))).toBe('flowing');
  });
  it('is no sign that its path lives now, nor that the way is found that was looked for since', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    media.handleAlive(ms(6_000));
    media.handleAlive(ms(5_990));
    expect(media.pollSeek(ms(6_000), true)).toBe(false);
    expect(media.pollSeek(ms(6_650), true)).toBe(true);
    // Of before, told now.
    media.handleAlive(ms(6_300));
    expect([media.isQuiet(ms(6_700)), media.pollSeek(ms(6_960), true)]).toEqual([true, false]);
    media.handleAlive(ms(6_980));
    expect(media.isQuiet(ms(7_000))).toBe(false);
  });
  it('counts for how lively its path was, though something else came after it', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    // Ten pictures a second, each told 60 ms after it came, and the word on each.
    for (let t = 500; t <= 3_000; t += 100) {
      media.handleAlive(ms(t + 5));
      media.handleAlive(ms(t));
    }
    media.pollBlocked(ms(2_000), true);
    const blocked: number[] = [];
    for (let t = 3_050; t <= 3_700; t += 50) {
      media.handleTick(ms(t));
      media.pollProbe(ms(t));
      media.handleSocket(ms(t + 5));
      if (media.pollBlocked(ms(t), true)) blocked.push(t);
    }
    expect(blocked[0]).toBe(3_550);
  });
});

/** A page that paints every so often; something else comes by its path every 33 ms, and its heart beats, until then. How old a picture may be at that time. */
function limit({ every, signs = 5_000, beats = 5_000 }: { every: number; signs?: number; beats?: number }): number {
  const paints = new Paints();
  for (let t = 0; t <= 5_000; t += 1) {
    if (t % every === 0) paints.handlePaint(ms(t));
    if (t % 33 === 0 && t <= signs) paints.handleSign(ms(t));
    if (t % 50 === 0 && t <= beats) paints.handleTick(ms(t));
  }
  return paints.limit(ms(5_000));
}

describe('a page that paints seldom', () => {
  it('marks earlier what would be marked with the next painting only, where nothing comes by its path any more', () => {
    expect(limit({ every: 300, signs: 4_800 })).toBe(170);
    expect(limit({ every: 200, signs: 4_700 })).toBe(270);
    expect(limit({ every: 500, signs: 4_800 })).toBe(150);
  });
  it('does not while its path lives, nor where it stood still itself, nor one that paints often or was not seen', () => {
    expect([{ every: 300 }, { every: 300, signs: 4_900 }, { every: 300, signs: 4_000, beats: 4_800 }, { every: 16, signs: 4_000 }, { every: 100, signs: 4_000 }, { every: 2_000, signs: 4_000 }].map(limit))
      .toEqual(Array.from({ length: 6 }, () => STALL_MS));
  });
  it('has a dead picture marked within 500 ms, whenever its line is cut between two paintings', () => {
    for (let cut = 3_000; cut < 3_300; cut += 10) {
      const [paints, watch] = [new Paints(), new StallWatch(ms(0))];
      let marked = Infinity;
      for (let t = 0; t <= 4_500 && marked === Infinity; t += 1) {
        // Shown by the compositor, told with the next painting.
        if (t % 33 === 0 && t <= cut + 10) paints.handleSign(ms(t));
        if (t % 50 === 0) paints.handleTick(ms(t));
        if (t % 300 !== 0) continue;
        watch.handleFrame(ms(Math.min(t - 20, cut + 30)));
        paints.handlePaint(ms(t));
        if (watch.flow(ms(t), false, paints.limit(ms(t))) === 'stalled') marked = t;
      }
      expect(marked - cut, `cut at ${cut}`).toBeLessThanOrEqual(500);
      expect(marked).toBeGreaterThan(cut);
    }
  });
});
