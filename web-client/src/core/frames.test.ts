import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { FrameIndex } from '../gen/frame_pb';
import { FeedState, FrameIndexSchema } from '../gen/frame_pb';
import { containRect, entryAt, FrameRing, frameSeen, freeAbove, heightAbove, LookedLog, RING_LENGTH, rtpMinus, ShownLog, stripSpan, toFeed } from './frames';
import type { PerfMs } from './units';

const index = (rtpTs: number): FrameIndex => create(FrameIndexSchema, {
  program: 'program', rtpTs, layoutRev: 1, width: 1280, height: 720,
  entries: [
    { feed: 'field', rect: { x: 0, y: 0, w: 1280, h: 720 }, capture: 10n, state: FeedState.LIVE },
    { feed: 'fluoro', rect: { x: 1072, y: 512, w: 192, h: 192 }, capture: 9n, state: FeedState.LIVE },
  ],
});
const ms = (t: number): PerfMs => t as PerfMs;

describe('the ring of frame indices', () => {
  it('takes each frame once, however often it is repeated', () => {
    const ring = new FrameRing();
    expect(ring.handleFrame(index(100))).toBe(true);
    expect(ring.handleFrame(index(100))).toBe(false);
    expect(ring.size).toBe(1);
  });

  it('holds more than 30 s at 60 frames/s and lets the oldest go', () => {
    const ring = new FrameRing();
    for (let i = 0; i <= RING_LENGTH; i += 1) ring.handleFrame(index(i * 1_500));
    expect(ring.size).toBe(RING_LENGTH);
    expect(ring.at(0)).toBeNull();
    expect(RING_LENGTH / 60).toBeGreaterThan(30);
  });

  it('knows the newest across the wrap of the timestamp, also when packets swap places', () => {
    const ring = new FrameRing();
    for (const ts of [4_294_965_000, 700, 4_294_967_295]) ring.handleFrame(index(ts));
    expect(ring.newest?.rtpTs).toBe(700);
    expect(rtpMinus(700, 4_294_965_000)).toBe(2_996);
  });

  it('gives for a frame whose own index has not come the newest before it, across the wrap too, and never a later one', () => {
    const ring = new FrameRing();
    for (const ts of [4_294_965_000, 700, 4_294_967_295]) ring.handleFrame(index(ts));
    expect(ring.upTo(700)?.rtpTs).toBe(700);
    expect(ring.upTo(699)?.rtpTs).toBe(4_294_967_295);
    expect(ring.upTo(3_700)?.rtpTs).toBe(700);
    expect(ring.upTo(4_294_964_999)).toBeNull();
  });
});

describe('the frame before the eyes while a pen is near', () => {
  // Pictures 33 ms apart, animation frames 16 ms apart. The browser hands picture 1 over at 40, just after the animation frame of 38, so it stands from that of 54 on;
  // of picture 2, handed over at 69 and standing at 70, it tells the page only at 86.
  const told = new ShownLog();
  [[0, 5], [3_000, 40]].forEach(([ts, at]) => told.handleShown(ts as number, ms(at as number)));
  const looked = new LookedLog();
  [[0, 22], [0, 38], [3_000, 54], [6_000, 70]].forEach(([ts, at]) => looked.handleLook(ts as number, ms(at as number)));
  it('is the one that stood at the last animation frame, not one that is on its way to the glass', () => {
    expect(told.at(ms(45))?.rtpTs, 'what the browser says').toBe(3_000);
    expect(looked.at(ms(45))?.at(ms(45))?.rtpTs).toBe(0);
    expect(looked.at(ms(56))?.at(ms(56))?.rtpTs).toBe(3_000);
  });
  it('and not the one before it, of which alone the browser has told yet', () => {
    expect(told.at(ms(75))?.rtpTs).toBe(3_000);
    expect(looked.at(ms(75))?.at(ms(75))?.rtpTs).toBe(6_000);
  });
  it('is not known where nobody looked: before the pen came near, and long after', () => {
    expect(looked.at(ms(20))).toBeNull();
    expect(looked.at(ms(120))?.at(ms(120))?.rtpTs).toBe(6_000);
    expect(looked.at(ms(121)), 'the page stood still').toBeNull();
    looked.handleLook(60_000, ms(700));
    expect(looked.at(ms(75)), 'what stood between is not known').toBeNull();
    expect(looked.at(ms(705))?.at(ms(705))?.rtpTs).toBe(60_000);
  });
});

describe('the frame before the eyes', () => {
  const log = new ShownLog();
  const ring = new FrameRing();
  for (let i = 0; i < 10; i += 1) {
    log.handleShown(i * 3_003, ms(i * 33));
    if (i !== 7 && i !== 8) ring.handleFrame(index(i * 3_003));
  }
  it('is the last one presented at or before the pen', () => {
    expect(log.at(ms(100))?.rtpTs).toBe(3 * 3_003);
    expect(log.at(ms(98))?.rtpTs).toBe(2 * 3_003);
    expect(frameSeen(ring, log, ms(100))?.rtpTs).toBe(3 * 3_003);
  });
  it('falls back to the nearest earlier one whose index arrived, and says so by naming it', () => {
    expect(frameSeen(ring, log, ms(8 * 33))?.rtpTs).toBe(6 * 3_003);
  });
  it('is the newest known when no index within 200 ms arrived, and nothing when none is known at all', () => {
    expect(frameSeen(new FrameRing(), log, ms(100))).toBeNull();
    expect(frameSeen(ring, new ShownLog(), ms(100))).toBe(ring.newest);
    const late = new FrameRing();
    late.handleFrame(index(40 * 3_003));
    expect(frameSeen(late, log, ms(100))?.rtpTs).toBe(40 * 3_003);
  });
  it('was on the glass from its showing to the next', () => {
    expect(log.during(ms(40), ms(70)).map((f) => f.rtpTs / 3_003)).toEqual([1, 2]);
  });
});

describe('the place of a strip', () => {
  const frame = create(FrameIndexSchema, { program: 'program', width: 1280, height: 720, entries: [
    { feed: 'field', rect: { x: 0, y: 44, w: 832, h: 468 } }, { feed: 'fluoro', rect: { x: 864, y: 96, w: 384, h: 384 } }, { feed: 'vitals', rect: { x: 0, y: 540, w: 1280, h: 180 } },
  ] });
  it('is free up to the next picture above, or the edge', () => {
    expect(['field', 'fluoro', 'vitals', 'none'].map((f) => freeAbove(frame, f))).toEqual([44, 96, 28, 0]);
  });
  it('is not free where a picture lies behind', () => {
    expect(freeAbove(index(1), 'fluoro')).toBe(0);
    expect(freeAbove(index(1), 'field')).toBe(0);
  });
  it('is as wide as its picture, or takes what is free beside a narrow one, half of what lies between two', () => {
    const wall = create(FrameIndexSchema, { program: 'program', width: 1280, height: 720, entries: [
      { feed: 'field', rect: { x: 0, y: 44, w: 856, h: 482 } }, { feed: 'side', rect: { x: 53, y: 570, w: 150, h: 150 } }, { feed: 'ivus', rect: { x: 309, y: 570, w: 150, h: 150 } }, { feed: 'scope', rect: { x: 512, y: 570, w: 256, h: 150 } },
    ] });
    const span = (feed: string, wanted: number) => stripSpan(wall, feed, wanted);
    expect(span('field', 250)).toEqual({ x: 0, w: 856 });
    expect(span('ivus', 170)).toEqual({ x: 299, w: 170 });
    expect(span('ivus', 600)).toEqual({ x: 256, w: 150 + 53 + 26.5 });
    expect(span('side', 600)).toEqual({ x: 0, w: 53 + 150 + 53 });
    expect(span('scope', 600)).toEqual({ x: 485.5, w: 26.5 + 256 + 172 });
    expect(span('none', 600)).toBe(null);
    // The strip of one picture lies over no other, however much it asks for.
    const spans = ['side', 'ivus', 'scope'].map((feed) => span(feed, 2_000) ?? { x: 0, w: 0 });
    expect(spans.every((s, i) => i === 0 || s.x >= (spans[i - 1]?.x ?? 0) + (spans[i - 1]?.w ?? 0))).toBe(true);
  });
  it('gives a strip its place above a picture even where it must be a little tighter, so that it hides no value', () => {
    expect([30, 25, 24, 19, 18, 0].map((free) => heightAbove(25, free))).toEqual([25, 25, 24, 19, null, null]);
  });
});

describe('mapping a program pixel', () => {
  const frame = index(1);
  it('finds the picture in front', () => {
    expect(entryAt(frame, 1_100, 600)?.feed).toBe('fluoro');
    expect(entryAt(frame, 100, 600)?.feed).toBe('field');
    expect(entryAt(frame, 1_280, 600)).toBeNull();
    expect(entryAt(frame, -1, 0)).toBeNull();
  });
  it('gives both axes in 1/16384 of the width', () => {
    const [field, fluoro] = frame.entries;
    if (!field || !fluoro) throw new Error('two entries');
    expect(toFeed(field, 640, 360, 1)).toEqual({ x: 8_192, y: 4_608, pressure: 255 });
    expect(toFeed(fluoro, 1_072 + 96, 512 + 96, 0.5)).toEqual({ x: 8_192, y: 8_192, pressure: 128 });
    expect(toFeed(fluoro, 1_071, 600, 1)).toBeNull();
  });
  it('contains a picture and never crops it', () => {
    expect(containRect(1_000, 1_000, 1_280, 720)).toEqual({ x: 0, y: 218.75, w: 1_000, h: 562.5 });
  });
});
