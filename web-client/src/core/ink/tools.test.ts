import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState, FrameIndexSchema } from '../../gen/frame_pb';
import type { FrameIndex } from '../../gen/frame_pb';
import { FrameSpanSchema, Surface as On, Tool } from '../../gen/ink_pb';
import type { PerfMs } from '../units';
import { PICTURE_WIDTH } from '../units';
import { Calibration } from './calibration';
import { standingLong } from './fade';
import { Freeze, RETURN_MS } from './freeze';
import { distanceTo } from './hit';
import { HOLD_PEN, Pen, simplified } from './pen';
import type { Stroke } from './sheet';
import { GRID_H, GRID_W, Stillness } from './stillness';
import { cleanText, TEXT_MAX, TOOLS } from './tools';

const ms = (t: number): PerfMs => t as PerfMs;
const frameAt = (capture: bigint, state = FeedState.LIVE): FrameIndex => create(FrameIndexSchema, {
  program: 'program', rtpTs: Number(capture), layoutRev: 1, width: 1280, height: 720, entries: [{ rect: { x: 0, y: 0, w: 1280, h: 720 }, feed: 'field', capture, state }],
});
const FRAME = frameAt(100n);
const ARROW = { ...HOLD_PEN, tool: Tool.ARROW, making: 'ends' as const };

describe('ink that stands', () => {
  const s = (over: Partial<Stroke>): Stroke => ({ author: 2, phase: 'dry', fadeFrom: null, pinned: false, began: 100n << 32n, ...over }) as Stroke;
  const count = (seconds: bigint, ...all: Partial<Stroke>[]): number => standingLong(all.map(s), 2, (100n + seconds) << 32n);

  it('reminds its author after 20 s, unless it fades or is kept, and nobody else', () => {
    expect(count(19n, {})).toBe(0);
    expect(count(20n, {}, {})).toBe(2);
    expect(count(60n, { pinned: true }, { fadeFrom: 101n << 32n }, { phase: 'wet' }, { author: 3 })).toBe(0);
    expect(standingLong([s({})], 2, null), 'while the time is not known').toBe(0);
  });
});

describe('tools', () => {
  it('an arrow, an outline, a line keep their first and last place and have no pressure', () => {
    const pen = new Pen();
    expect(pen.penDown({ x: 100, y: 100, pressure: 0.3 }, FRAME, ARROW)).toBe('began');
    pen.penMove([{ x: 150, y: 140, pressure: 0.4 }, { x: 228, y: 100, pressure: 0.9 }], 4_096);
    const drawn = pen.penUp();
    expect(drawn?.points).toEqual([{ x: 1_280, y: 1_280, pressure: 255 }, { x: 2_918, y: 1_280, pressure: 255 }]);
    expect(drawn?.spans).toEqual([]);
  });
  it('of no length are no mark at all', () => {
    const pen = new Pen();
    pen.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ARROW);
    expect(pen.penUp()).toBeNull();
  });
  it('a shape drawn for longer than a stroke may be keeps following the hand', () => {
    const pen = new Pen();
    pen.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ARROW);
    for (let i = 1; i < 40; i += 1) expect(pen.penMove([{ x: 100 + i, y: 100, pressure: 1 }], 8)).toBe('grew');
    expect(pen.penUp()?.points[1]?.x).toBe(Math.round((139 / 1280) * PICTURE_WIDTH));
  });
  it('a pen over a moving picture names the frame of every stretch', () => {
    const pen = new Pen();
    const live = { ...HOLD_PEN, on: On.LIVE };
    pen.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, live);
    pen.penMove([{ x: 200, y: 300, pressure: 1, seen: FRAME }, { x: 300, y: 100, pressure: 1, seen: frameAt(133n) }], 4_096);
    pen.penMove([{ x: 400, y: 300, pressure: 1, seen: frameAt(133n) }, { x: 500, y: 100, pressure: 1, seen: frameAt(166n) }], 4_096);
    expect(pen.penUp()?.spans.map((s) => [s.first, s.capture])).toEqual([[2, 133n], [4, 166n]]);
  });
  it('on a held picture every point lies on the one frame', () => {
    const pen = new Pen();
    pen.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, { ...HOLD_PEN, on: On.FROZEN });
    pen.penMove([{ x: 200, y: 300, pressure: 1, seen: frameAt(133n) }], 4_096);
    const drawn = pen.penUp();
    expect(drawn?.spans).toEqual([]);
    expect(drawn?.surface.ref.surface).toBe(On.FROZEN);
    expect(drawn?.surface.ref.capture).toBe(100n);
  });
  it('leaving out points keeps each stretch on its frame', () => {
    const line = Array.from({ length: 11 }, (_, i) => ({ x: i * 100, y: i < 5 ? 0 : (i - 5) * 300, pressure: 255 }));
    const span = (first: number, capture: bigint) => create(FrameSpanSchema, { first, capture });
    const out = simplified(line, [span(2, 1n), span(3, 2n), span(7, 3n)]);
    expect(out.points.map((p) => p.x)).toEqual([0, 500, 1_000]);
    expect(out.spans.map((s) => [s.first, s.capture])).toEqual([[1, 2n], [2, 3n]]);
  });
  it('each has a key of its own', () => {
    const keys = Object.values(TOOLS).map((t) => t.key);
    expect(new Set(keys).size).toBe(keys.length);
    for (const taken of ['f', 'k', 'm', ' ']) expect(keys).not.toContain(taken);
  });
});

describe('a text', () => {
  it('is one line of at most 40 characters without what cannot be seen', () => {
    expect(cleanText('  ここを\n避ける ')).toBe('ここを 避ける');
    expect(cleanText('a\u202Eb\u0007c\u200F')).toBe('abc');
    expect([...(cleanText('𠮷'.repeat(60)) ?? '')]).toHaveLength(TEXT_MAX);
    expect(cleanText(' \u200B\n')).toBeNull();
  });
});

describe('the held picture', () => {
  it('freezes under the pen and returns by itself after the last stroke', () => {
    const f = new Freeze();
    expect(f.penDown(false)).toBe(true);
    expect(f.pollReturn(ms(60_000))).toBe(false); // however long the pen is down
    f.penUp(ms(1_000));
    expect(f.pollReturn(ms(1_000 + RETURN_MS - 1))).toBe(false);
    expect(f.penDown(false)).toBe(false); // it is frozen already
    f.penUp(ms(5_000));
    expect(f.pollReturn(ms(5_000 + RETURN_MS))).toBe(true);
    expect(f.state).toBeNull();
    expect(f.pollReturn(ms(99_000))).toBe(false);
  });
  it('does not freeze on a still field', () => {
    expect(new Freeze().penDown(true)).toBe(false);
  });
  it('frozen by hand it stays until it is let go', () => {
    const f = new Freeze();
    expect(f.toggle()).toBe(true);
    f.penDown(false);
    f.penUp(ms(0));
    expect(f.pollReturn(ms(1e6))).toBe(false);
    expect(f.toggle()).toBe(false);
  });
});

describe('stillness', () => {
  const picture = (level: (i: number) => number): Uint8Array => Uint8Array.from({ length: GRID_W * GRID_H }, (_, i) => level(i));
  const noisy = (seed: number) => picture((i) => 120 + (((i * 7_919 + seed * 104_729) % 11) - 5));
  it('sees through noise, and wants time to know', () => {
    const s = new Stillness();
    s.handle('field', noisy(1), ms(0));
    s.handle('field', noisy(2), ms(150));
    expect(s.isStill('field', ms(160))).toBe(false);
    s.handle('field', noisy(3), ms(450));
    expect(s.isStill('field', ms(460))).toBe(true);
    expect(s.isStill('scope', ms(460))).toBe(false);
    expect(s.isStill('field', ms(2_000))).toBe(false); // what was seen long ago says nothing
  });
  it('one corner that moves is no stillness', () => {
    const s = new Stillness();
    s.handle('field', noisy(1), ms(0));
    s.handle('field', picture((i) => (i % GRID_W < 6 && i < GRID_W * 6 ? 150 : 120)), ms(500));
    expect(s.isStill('field', ms(510))).toBe(false);
  });
});

describe('what lies under the eraser', () => {
  it('is near its outline, not within it', () => {
    const box = [{ x: 0, y: 0 }, { x: 2_000, y: 1_000 }];
    expect(distanceTo({ tool: Tool.ELLIPSE }, box, 1_000, 500)).toBeCloseTo(500);
    expect(distanceTo({ tool: Tool.ELLIPSE }, box, 2_000, 500)).toBeCloseTo(0);
    expect(distanceTo({ tool: Tool.ARROW }, box, 1_000, 500)).toBeCloseTo(0);
    expect(distanceTo({ tool: Tool.PEN }, [{ x: 0, y: 0 }, { x: 0, y: 100 }, { x: 100, y: 100 }], 50, 90)).toBeCloseTo(10);
    expect(distanceTo({ tool: Tool.PIN }, [{ x: 5, y: 5 }], 5, 15)).toBeCloseTo(10);
    expect(distanceTo({ tool: Tool.PEN }, [], 0, 0)).toBe(Infinity);
  });
});

describe('a known length', () => {
  const FLUORO = { feed: 'fluoro', geometry: 7, still: '' };
  const p = (x: number) => ({ x, y: 0, pressure: 255 });
  const known = (): Calibration => {
    const c = new Calibration();
    c.handlePicture('program', 'fluoro', FeedState.XRAY_OFF, 7);
    expect(c.draw(FLUORO, p(0), p(200))).toBe(true);
    expect(c.tell(2)).toBe(true);
    return c;
  };
  it('measures its own feed alone', () => {
    expect(known().of(FLUORO)?.lengthUm).toBe(2_000);
    expect(known().of({ ...FLUORO, feed: 'field' })).toBeNull();
    expect(known().of({ ...FLUORO, geometry: 8 })).toBeNull();
    expect(known().of({ ...FLUORO, still: 's1' })).toBeNull();
  });
  it('is gone when X-ray comes back, when the signal was lost, and when the picture changes its geometry', () => {
    for (const [state, geometry] of [[FeedState.LIVE, 7], [FeedState.LOST, 7], [FeedState.XRAY_OFF, 8]] as const) {
      const c = known();
      expect(c.handlePicture('program', 'fluoro', state, geometry)).toBe(true);
      expect(c.of(FLUORO)).toBeNull();
    }
    const c = known();
    expect(c.handlePicture('program', 'fluoro', FeedState.XRAY_OFF, 7)).toBe(false);
    expect(c.handlePicture('fluoro', 'fluoro', FeedState.LIVE, 7), 'another picture of it, a frame behind').toBe(false);
    expect(c.of(FLUORO)).not.toBeNull();
  });
  it('of a still outlasts the live picture, which is another one', () => {
    const c = new Calibration();
    const still = { ...FLUORO, still: 's1' };
    c.handlePicture('program', 'fluoro', FeedState.XRAY_OFF, 7);
    c.draw(still, p(0), p(200));
    c.tell(2);
    expect(c.handlePicture('program', 'fluoro', FeedState.LIVE, 7)).toBe(false);
    expect(c.of(still)?.lengthUm).toBe(2_000);
    expect(c.of(FLUORO)).toBeNull();
  });
  it('is none when it is too short, or no length is told', () => {
    const c = new Calibration();
    expect(c.draw(FLUORO, p(0), p(20))).toBe(false);
    expect(c.tell(2)).toBe(false);
    c.draw(FLUORO, p(0), p(200));
    for (const bad of [0, -1, Number.NaN, 1e9]) expect(c.tell(bad)).toBe(false);
    expect(c.of(FLUORO)).toBeNull();
  });
});

describe('a long stroke over a moving picture', () => {
  it('names at most 64 frames, and they reach to its end', () => {
    const pen = new Pen();
    const ms = (1n << 32n) / 1_000n;
    pen.penDown({ x: 100, y: 100, pressure: 1 }, frameAt(1_000n * ms), { ...HOLD_PEN, on: On.LIVE });
    for (let i = 1; i < 240; i += 1) pen.penMove([{ x: 100 + i * 4, y: 100 + (i % 2) * 300, pressure: 1, seen: frameAt((1_000n + BigInt(i) * 33n) * ms) }], 4_096);
    const state = pen.state;
    if (state.kind !== 'drawing') throw new Error('not drawing');
    expect(state.spans.length).toBeLessThanOrEqual(64);
    expect(state.spans.slice(0, 3).map((s) => s.first)).toEqual([1, 2, 3]);
    expect(state.spans.at(-1)?.first).toBeGreaterThan(225);
    for (let i = 1; i < state.spans.length; i += 1) expect((state.spans[i]?.capture ?? 0n) > (state.spans[i - 1]?.capture ?? 0n)).toBe(true);
  });
});
