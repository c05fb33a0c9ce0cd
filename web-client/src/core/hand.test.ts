// The hand: which page of a browser holds the pen, what a touch means, and where it points.
import { describe, expect, it } from 'vitest';
import { ASK_MS, PenBinding } from './binding';
import { PEN_NEAR_MS, PenMode } from './pen_mode';
import { Pointers, POINTER_MS } from './pointers';
import type { PerfMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;

describe('one pen among the pages of a browser', () => {
  const page = (caseId: string): PenBinding => new PenBinding(caseId, `the room of ${caseId}`);
  /** Pages that hear each other, never themselves, until nobody has more to say. */
  const talk = (...pages: PenBinding[]): void => {
    for (let round = 0; round < 12; round += 1) {
      let silent = true;
      for (const from of pages) for (const word of from.pollWords()) {
        silent = false;
        for (const to of pages) if (to !== from) to.handle(word);
      }
      if (silent) return;
    }
    throw new Error('they never stop talking');
  };
  const held = (...pages: PenBinding[]): string[] => pages.filter((p) => p.place.kind === 'here').map((p) => p.caseId);

  it('the first page takes it when nobody answers', () => {
    const a = page('a');
    a.start(ms(0));
    a.handleTimeout(ms(ASK_MS - 1), 1);
    expect(a.place.kind).toBe('asking');
    a.handleTimeout(ms(ASK_MS), 1);
    expect(a.place.kind).toBe('here');
  });
  it('a page of another case finds it taken, and taking it there lays it down here', () => {
    const [a, b] = [page('a'), page('b')];
    a.take(1);
    talk(a, b);
    b.start(ms(0));
    talk(a, b);
    b.handleTimeout(ms(ASK_MS), 2);
    expect(b.place).toEqual({ kind: 'there', where: 'the room of a' });
    b.take(3);
    talk(a, b);
    expect(a.place).toEqual({ kind: 'there', where: 'the room of b' });
    expect(held(a, b)).toEqual(['b']);
  });
  it('two pages of one case share it: it cannot land in another room', () => {
    const [a, again, b] = [page('a'), page('a'), page('b')];
    a.take(1);
    again.start(ms(0));
    talk(a, again, b);
    expect(held(a, again, b)).toEqual(['a', 'a']);
    b.take(5);
    talk(a, again, b);
    expect(held(a, again, b)).toEqual(['b']);
    again.take(6);
    talk(a, again, b);
    expect(held(a, again, b)).toEqual(['a', 'a']);
    again.leave();
    talk(a, b);
    expect(b.place).toEqual({ kind: 'there', where: 'the room of a' });
  });
  it('a page that was too busy to answer in time still has it', () => {
    for (const byHand of [false, true]) {
      const [a, b] = [page('a'), page('b')];
      if (byHand) a.take(1);
      else { a.start(ms(0)); a.handleTimeout(ms(ASK_MS), 1); }
      a.pollWords();
      b.start(ms(1_000));
      b.handleTimeout(ms(1_000 + ASK_MS), 1_250);
      expect(b.place.kind).toBe('here');
      talk(a, b);
      expect(held(a, b)).toEqual(['a']);
      expect(b.place).toEqual({ kind: 'there', where: 'the room of a' });
      b.take(2_000);
      talk(a, b);
      expect(held(a, b)).toEqual(['b']);
    }
  });
  it('two that open at once, or take it at once, end with one pen', () => {
    for (const [one, two] of [[5, 5], [5, 6], [6, 5]] as const) {
      const [a, b] = [page('a'), page('b')];
      a.start(ms(0));
      b.start(ms(0));
      talk(a, b);
      a.handleTimeout(ms(ASK_MS), one);
      b.handleTimeout(ms(ASK_MS), two);
      talk(a, b);
      expect(held(a, b)).toHaveLength(1);
    }
  });
  it('any order of takings ends with one case', () => {
    let seed = 7;
    const random = (n: number): number => { seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0; return (seed >>> 8) % n; };
    for (let run = 0; run < 1_000; run += 1) {
      const pages = [page('a'), page('b'), page('c'), page('b')];
      for (let step = 0; step < 12; step += 1) {
        pages[random(4)]?.take(random(4));
        // What one page says arrives while another still speaks.
        if (random(2) === 0) for (const from of pages) for (const word of from.pollWords()) for (const to of pages) if (to !== from) to.handle(word);
      }
      talk(...pages);
      expect(new Set(held(...pages)).size, `run ${run}`).toBe(1);
    }
  });
  it('a page that closes frees it, but nobody else takes it by itself', () => {
    const [a, b] = [page('a'), page('b')];
    a.take(1);
    b.start(ms(0));
    talk(a, b);
    a.leave();
    talk(a, b);
    b.handleTimeout(ms(10_000), 9);
    expect(b.place).toEqual({ kind: 'there', where: '' });
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
