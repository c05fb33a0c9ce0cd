// When a frame came says how long its line lived; when it was shown only that somebody painted it.
import { describe, expect, it } from 'vitest';
import { STALL_MS } from './stall';
import type { PerfMs } from './units';
import { View } from './view';

const ms = (t: number): PerfMs => t as PerfMs;

interface Received { readonly came: number; readonly way: number }
/** Frames from `from` until before `to`, each so long after the one before, and so long on its way to the glass. */
function frames(from: number, to: number, gap: (n: number) => number, way: (t: number) => number): Received[] {
  const out: Received[] = [];
  for (let t = from; t < to; t += gap(out.length)) out.push({ came: t, way: way(t) });
  return out;
}
const every = (gap: number) => (): number => gap;
const usual = (way: number) => (): number => way;
/** Numbers in [0, 1), the same for the same seed. */
function chance(seed: number): () => number {
  let at = seed;
  return () => { at = (at * 1_103_515_245 + 12_345) & 0x7fff_ffff; return at / 0x7fff_ffff; };
}

/** Every ms until `until` at which the picture reads stalled. `told`: whether the browser says when frames came. */
function stalls(received: readonly Received[], until: number, told = true): number[] {
  const view = new View(0, ms(0));
  const shown = received.map(({ came, way }) => ({ came, at: came + way })).sort((a, b) => a.at - b.at);
  const out: number[] = [];
  let next = 0;
  for (let t = 0; t <= until; t += 1) {
    for (let one = shown[next]; one && one.at <= t; one = shown[next]) {
      view.handleFrame(next * 3_000, ms(one.at), undefined, ms(t), told ? ms(one.came) : undefined);
      next += 1;
    }
    if (view.flow(ms(t), false) === 'stalled') out.push(t);
  }
  return out;
}

describe('a picture of before the cut that comes to the glass after it', () => {
  const before = frames(0, 3_000, every(33), usual(35));
  it('does not read live 0.5 s after it, however late a busy page paints it', () => {
    for (const late of [400, 550, 760, 1_500]) {
      // The last two were received before the cut at 3,000 ms; the page paints them late, one after the other.
      const marked = stalls([...before.slice(0, -2), { came: 2_950, way: late - 60 }, { came: 2_990, way: late }], 6_000);
      expect(marked.filter((t) => t >= 3_505).length, `${late}`).toBe(6_000 - 3_505 + 1);
    }
  });
  it('reads live for longer only where nobody says when frames came', () => {
    const received = [...before, { came: 2_990, way: 760 }];
    expect(stalls(received, 3_800).at(-1)).toBe(3_800);
    expect(stalls(received, 3_800, false).at(-1)).toBe(3_749);
  });
  it('is not taken for the usual once the line is back', () => {
    const back = frames(6_000, 9_000, every(33), usual(35));
    const marked = stalls([...before, { came: 2_980, way: 500 }, { came: 2_990, way: 760 }, ...back, { came: 8_995, way: 760 }], 9_800);
    expect(marked.filter((t) => t > 6_035 && t < 9_000)).toEqual([]);
    expect(marked.find((t) => t > 9_000)).toBeLessThanOrEqual(9_520);
    expect(marked.at(-1)).toBe(9_800);
  });
  it('says as much with the first frames of a page as it did: nothing is known of their way yet', () => {
    expect(stalls([{ came: 100, way: 900 }, { came: 500, way: 520 }], 1_300)).toEqual([]);
  });
});

describe('a picture whose line lives', () => {
  /** No later than without knowing when its frames came. */
  const asAlive = (received: readonly Received[], until: number, what: string): void => {
    expect(stalls(received, until), what).toEqual(stalls(received, until, false));
  };
  it('reads live on a good line: jitter, single late frames, and a page that hangs for a moment', () => {
    const random = chance(5);
    const jitter = frames(0, 10_000, every(33), () => 20 + random() * 60);
    expect(stalls(jitter, 10_000)).toEqual([]);
    expect(stalls(jitter.map((one, n) => (n % 40 === 39 ? { ...one, way: 250 } : one)), 10_000)).toEqual([]);
    expect(stalls([...jitter, ...frames(10_000, 10_300, every(33), (t) => 10_310 - t), ...frames(10_300, 13_000, every(33), usual(40))], 13_000)).toEqual([]);
  });
  it('reads live where its viewer smooths, and at the lowest layer', () => {
    for (const way of [200, 400, 700, 1_400]) expect(stalls(frames(0, 6_000, every(66), usual(way)), 6_000), `${way}`).toEqual([]);
  });
  it('reads live on a lossy line: holes of 200 to 300 ms while the way grows from 60 to 300 ms within a second', () => {
    const way = (t: number): number => (t < 4_000 ? 60 : Math.min(300, 60 + (t - 4_000) * 0.24));
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = chance(seed * 977);
      const hole = (): number => 200 + random() * 100;
      for (const spared of [1, 2, 4, 10]) {
        const good = frames(0, 4_000, every(33), way);
        asAlive([...good, ...frames(4_000, 10_000, (n) => (n % spared === 0 ? hole() : 33), way)], 10_000, `${seed} ${spared}`);
      }
    }
  });
  it('reads live where frames wait for the repair of one before them, which are received before it', () => {
    // One in ten is complete only after 250 ms, and those after it wait for it.
    const repaired = frames(0, 12_000, every(33), usual(40)).map((one, n) => {
      const since = n < 30 ? Infinity : (n % 10) * 33;
      if (since === 0) return { came: one.came + 250, way: 10 };
      return since < 250 ? { came: one.came, way: Math.max(40, 262 - since + n % 10) } : one;
    });
    asAlive(repaired, 12_000, 'repaired');
    expect(stalls(repaired, 12_000)).toEqual([]);
  });
  it('reads live from its return after an interruption, though it is smoothed for longer than before', () => {
    const received = [...frames(0, 3_000, every(33), usual(40)), ...frames(5_000, 9_000, every(33), usual(450))];
    const marked = stalls(received, 9_000);
    expect([marked[0], marked.at(-1)]).toEqual([2_970 + 40 + STALL_MS, 5_449]);
  });
});
