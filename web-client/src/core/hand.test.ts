// The hand: which page of a browser holds the pen, what a touch means, and where it points.
import { describe, expect, it } from 'vitest';
import { ASK_MS, PenBinding } from './binding';
import { PEN_NEAR_MS, PenMode } from './pen_mode';
import { Pointers, POINTER_MS } from './pointers';
import type { PerfMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;

describe('one pen among the pages of a browser', () => {
  /** Pages that hear each other until nobody has more to say. */
  const talk = (...pages: PenBinding[]): void => {
    for (let round = 0; round < 10; round += 1) {
      const words = pages.flatMap((page) => page.pollWords());
      if (words.length === 0) return;
      for (const word of words) for (const page of pages) page.handle(word);
    }
    throw new Error('they never stop talking');
  };
  const holders = (...pages: PenBinding[]): number => pages.filter((p) => p.place.kind === 'here').length;

  it('the first page takes it when nobody answers', () => {
    const a = new PenBinding('a');
    a.start(ms(0));
    a.handleTimeout(ms(ASK_MS - 1), 1);
    expect(a.place.kind).toBe('asking');
    a.handleTimeout(ms(ASK_MS), 1);
    expect(a.place.kind).toBe('here');
  });
  it('a second page finds it taken, and taking it there lays it down here', () => {
    const [a, b] = [new PenBinding('a'), new PenBinding('b')];
    a.where = 'OR 1';
    b.where = 'OR 2';
    a.take(1);
    talk(a);
    b.start(ms(0));
    talk(a, b);
    b.handleTimeout(ms(ASK_MS), 2);
    expect(b.place).toEqual({ kind: 'there', case: 'OR 1' });
    b.take(3);
    talk(a, b);
    expect(a.place).toEqual({ kind: 'there', case: 'OR 2' });
    expect(b.place.kind).toBe('here');
  });
  it('two that open at once, or take it at once, end with one pen', () => {
    for (const [one, two] of [[5, 5], [5, 6], [6, 5]] as const) {
      const [a, b] = [new PenBinding('a'), new PenBinding('b')];
      a.start(ms(0));
      b.start(ms(0));
      talk(a, b);
      a.handleTimeout(ms(ASK_MS), one);
      b.handleTimeout(ms(ASK_MS), two);
      talk(a, b);
      expect(holders(a, b)).toBe(1);
    }
  });
  it('any order of takings ends with one pen', () => {
    let seed = 7;
    const random = (n: number): number => { seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0; return seed % n; };
    for (let run = 0; run < 300; run += 1) {
      const pages = [new PenBinding('a'), new PenBinding('b'), new PenBinding('c')];
      for (let step = 0; step < 12; step += 1) {
        pages[random(3)]?.take(random(4));
        // Words overtake each other: those of one page arrive while another still speaks.
        if (random(2) === 0) for (const word of pages.flatMap((p) => p.pollWords())) for (const page of pages) page.handle(word);
      }
      talk(...pages);
      expect(holders(...pages), `run ${run}`).toBe(1);
    }
  });
  it('a page that closes frees it, but nobody else takes it by itself', () => {
    const [a, b] = [new PenBinding('a'), new PenBinding('b')];
    a.take(1);
    b.start(ms(0));
    talk(a, b);
    a.leave();
    talk(a, b);
    b.handleTimeout(ms(10_000), 9);
    expect(b.place).toEqual({ kind: 'there', case: '' });
  });
});

describe('a touch', () => {
  it('draws where no pen was ever used, is a palm near a pen, and points afterwards', () => {
    const mode = new PenMode();
    expect(mode.handleDown('touch', ms(0))).toBe('draw');
    expect(mode.handleDown('pen', ms(100))).toBe('draw');
    expect(mode.handleDown('touch', ms(200))).toBe('nothing');
    mode.handleNear('pen', ms(1_000));
    expect(mode.handleDown('touch', ms(1_000 + PEN_NEAR_MS - 1))).toBe('nothing');
    expect(mode.handleDown('touch', ms(1_000 + PEN_NEAR_MS))).toBe('point');
    expect(mode.handleDown('mouse', ms(9_000))).toBe('draw');
  });
});

describe('pointers', () => {
  it('the newest word wins and a ring goes a second after the last', () => {
    const there = new Pointers();
    const word = (number: number, x: number) => ({ $typeName: 'shirube.signal.v1.Pointer' as const, author: 2, feed: 'field', x, y: 5, shown: true, number });
    there.handle(word(2, 20), ms(0));
    there.handle(word(1, 10), ms(10));
    expect(there.rings(9).map((r) => r.x)).toEqual([20]);
    there.handleTimeout(ms(POINTER_MS));
    expect(there.rings(9)).toEqual([]);
  });
  it('are said 30 times a second, again while they rest, and leave even if a word is lost', () => {
    const here = new Pointers();
    expect(here.poll(ms(0), 2)).toBeNull();
    here.point({ feed: 'field', x: 1, y: 2 });
    expect(here.poll(ms(0), 2)).toMatchObject({ author: 2, x: 1, y: 2, shown: true, number: 1 });
    here.point({ feed: 'field', x: 3, y: 2 });
    expect(here.poll(ms(20), 2)).toBeNull();
    expect(here.poll(ms(34), 2)).toMatchObject({ x: 3, number: 2 });
    expect(here.poll(ms(100), 2)).toBeNull();
    expect(here.poll(ms(340), 2)).toMatchObject({ x: 3, number: 3 });
    here.point(null);
    const goodbyes = [400, 450, 500, 550, 600].map((t) => here.poll(ms(t), 2));
    expect(goodbyes.filter((g) => g?.shown === false)).toHaveLength(3);
    expect(here.rings(2)).toEqual([]);
  });
  it('the own ring is shown at once', () => {
    const here = new Pointers();
    here.point({ feed: 'field', x: 1, y: 2 });
    expect(here.rings(2)).toEqual([{ author: 2, feed: 'field', x: 1, y: 2 }]);
  });
});
