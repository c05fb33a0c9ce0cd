import { describe, expect, it } from 'vitest';
import { RefreshWatch } from './refresh';
import type { PerfMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;
const BEAT = 50;

interface Case {
  /** Distance of pictures, and the time after which none is shown. */
  readonly every?: number; readonly until?: number; readonly to?: number;
  readonly roundTripMs?: number | null;
  readonly beats?: (t: number) => boolean; readonly signs?: (t: number) => boolean; readonly announced?: (t: number) => boolean; readonly expected?: (t: number) => boolean; readonly shown?: (t: number) => boolean;
  readonly slots?: number[]; readonly drawn?: number;
}

/** When a page asks for slot 0. Pictures from 0 on, something else by the path every 33 ms, a heartbeat every 50 ms. */
function asked({ every = 33, until = 1_000, to = 9_000, roundTripMs = 60, beats = () => true, signs = () => true, announced, expected = () => true, shown = (t) => t <= until, slots = [0], drawn = 640 }: Case): number[] {
  const watch = new RefreshWatch();
  const out: number[] = [];
  watch.handleDrawn(new Map([[0, drawn]]));
  for (let t = 0; t <= to; t += 1) {
    if (t % every === 0 && shown(t)) watch.handleFrame(0, ms(t));
    if (t % 33 === 7 && signs(t)) watch.handleSign(ms(t));
    if (announced && t % every === 3 && announced(t)) watch.handleIndex(0, ms(t));
    if (t % BEAT === 0 && beats(t) && watch.poll(ms(t), { roundTripMs, expected: expected(t), slots }).includes(0)) out.push(t);
  }
  return out;
}

describe('a picture that stands still while its path is alive', () => {
  it('is asked for anew with the first heartbeat after 320 ms, and then ever more rarely', () => {
    expect(asked({})).toEqual([1_350, 1_850, 2_850, 4_850, 8_850]);
  });
  it('is given two round trips and a moment first: until then what is lost may come again', () => {
    expect(asked({ roundTripMs: 200, to: 2_000 })).toEqual([1_600]);
    expect(asked({ roundTripMs: null, to: 1_700 })).toEqual([1_300]);
  });
  it('is asked for at once again when it stood, moved and stands', () => {
    const shown = (t: number): boolean => t <= 1_000 || (t >= 2_000 && t <= 2_300);
    expect(asked({ shown, to: 3_000 })).toEqual([1_350, 1_850, 2_600]);
  });
  it('may have pictures far apart', () => {
    expect(asked({ every: 267, until: 8_000, to: 8_500 })).toEqual([]);
    expect(asked({ every: 267, until: 2_000, to: 3_000 })[0]).toBe(2_700);
  });
});

describe('nothing is asked for', () => {
  it('while the path says nothing, and for a moment after it spoke again', () => {
    expect(asked({ signs: (t) => t <= 1_000 })).toEqual([]);
    expect(asked({ signs: (t) => t <= 1_000 || t >= 5_000, to: 5_600 })).toEqual([5_350]);
  });
  it('by a page that stood still itself, or paints late all the time', () => {
    expect(asked({ beats: (t) => t <= 1_000 || t >= 5_000, signs: (t) => t <= 1_000 || t >= 4_990, to: 5_600 })).toEqual([5_350]);
    expect(asked({ beats: (t) => t % 300 === 0 })).toEqual([]);
    expect(asked({ beats: (t) => t <= 1_000 || t >= 5_000, to: 5_600 })).toEqual([5_350]);
  });
  it('while nobody looks, no picture is made, or none flowed before', () => {
    expect(asked({ expected: (t) => t < 900 })).toEqual([]);
    expect(asked({ slots: [] })).toEqual([]);
    expect(asked({ drawn: 0 })).toEqual([]);
    expect(asked({ shown: () => false })).toEqual([]);
  });
  it('of a feed whose pictures are announced, when none is announced any more', () => {
    expect(asked({ announced: (t) => t <= 1_000 })).toEqual([]);
    expect(asked({ announced: () => true, to: 1_500 })).toEqual([1_350]);
  });
  it('after something else came into the slot, until it flows', () => {
    const watch = new RefreshWatch();
    watch.handleDrawn(new Map([[0, 640]]));
    for (let t = 0; t <= 1_000; t += 33) watch.handleFrame(0, ms(t));
    watch.forget(0);
    const poll = (t: number): number[] => watch.poll(ms(t), { roundTripMs: 60, expected: true, slots: [0] });
    for (let t = 1_000; t <= 2_000; t += 50) {
      watch.handleSign(ms(t));
      expect(poll(t)).toEqual([]);
    }
  });
});
