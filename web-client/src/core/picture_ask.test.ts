// The picture of a mark: asked for until it is there, never another one's, and words where there is none.
import { describe, expect, it } from 'vitest';
import type { AskedFrame } from './picture_ask';
import { PictureAsk } from './picture_ask';
import type { PerfMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;
const frame = (capture: bigint, still: string | null = null): AskedFrame => ({ still, feed: 'field', capture });

/** When an address is asked for at all within `until` ms, where each answer comes after `takes` ms; in steps of 100 ms. */
function asked(ask: PictureAsk, of: AskedFrame, until: number, takes: number): number[] {
  const at: number[] = [];
  for (let t = 0; t <= until; t += 100) {
    if (at.length > 0 && t === (at.at(-1) ?? 0) + takes) ask.handleFailed('/a', ms(t));
    if (ask.poll(of, '/a', ms(t)) !== null) at.push(t);
  }
  return at;
}

describe('a picture that is asked for', () => {
  it('is coming, then there, and asked for once', () => {
    const ask = new PictureAsk();
    expect([ask.poll(frame(1n), '/a', ms(0)), ask.poll(frame(1n), '/a', ms(500))]).toEqual(['/a', null]);
    expect(ask.state(ms(500))).toBe('coming');
    expect(ask.handleLoaded('/a')).toBe(true);
    expect([ask.state(ms(501)), ask.poll(frame(1n), '/a', ms(99_999))]).toEqual(['there', null]);
  });

  it('is asked for again after 1 s, then ever more seldom', () => {
    expect(asked(new PictureAsk(), frame(1n), 29_900, Infinity), 'an answer is waited for').toEqual([0]);
    expect(asked(new PictureAsk(), frame(1n), 30_000, Infinity), 'but not for ever').toEqual([0, 30_000]);
    expect(asked(new PictureAsk(), frame(1n), 64_000, 100)).toEqual([0, 1_100, 3_200, 7_300, 15_400, 31_500, 47_600, 63_700]);
  });

  it('is said to be missing 3 s after it was first wanted where it was refused, and 10 s after where nothing is heard', () => {
    const ask = new PictureAsk();
    ask.poll(frame(1n), '/a', ms(1_000));
    expect([ask.state(ms(10_999)), ask.state(ms(11_000))]).toEqual(['coming', 'missing']);
    ask.handleFailed('/a', ms(11_000));
    const refused = new PictureAsk();
    refused.poll(frame(1n), '/a', ms(1_000));
    refused.handleFailed('/a', ms(1_100));
    expect([refused.state(ms(3_999)), refused.state(ms(4_000))]).toEqual(['coming', 'missing']);
    refused.poll(frame(1n), '/a', ms(4_000));
    expect(refused.state(ms(4_001)), 'also while it is asked for again').toBe('missing');
    refused.handleLoaded('/a');
    expect(refused.state(ms(4_500)), 'late is not never').toBe('there');
  });

  it('is asked for at once under the id that it got meanwhile, and stays where it is there already', () => {
    const ask = new PictureAsk();
    ask.poll(frame(1n), '/a', ms(0));
    ask.handleFailed('/a', ms(10));
    expect(ask.poll(frame(1n, 's1'), '/s1', ms(20))).toBe('/s1');
    expect(ask.handleLoaded('/a'), 'what was asked before').toBe(false);
    expect(ask.handleLoaded('/s1')).toBe(true);
    expect(ask.poll(frame(2n, 's1'), '/s1', ms(30)), 'another mark on the same still').toBeNull();
    expect(ask.state(ms(30))).toBe('there');
  });

  it('of another frame is another picture: nothing of the one before counts for it', () => {
    const ask = new PictureAsk();
    ask.poll(frame(1n), '/a', ms(0));
    ask.handleLoaded('/a');
    expect(ask.poll(frame(2n), '/b', ms(100))).toBe('/b');
    expect(ask.state(ms(100))).toBe('coming');
    expect(ask.handleLoaded('/a')).toBe(false);
    expect(ask.state(ms(5_000))).toBe('coming');
    expect(ask.poll({ still: null, feed: 'fluoro', capture: 2n }, '/c', ms(5_100)), 'the same time on another feed').toBe('/c');
  });

  it('without an address is missing by and by', () => {
    const ask = new PictureAsk();
    expect(ask.poll(frame(1n), null, ms(0))).toBeNull();
    expect([ask.state(ms(1)), ask.state(ms(10_000))]).toEqual(['coming', 'missing']);
  });
});
