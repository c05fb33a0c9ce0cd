import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FrameIndexSchema } from '../gen/frame_pb';
import { FrameRing } from './frames';
import type { PerfMs } from './units';
import { slotsWanted, View, Views } from './view';

const ms = (t: number): PerfMs => t as PerfMs;

describe('what a page asks to see', () => {
  it('is the program and four single feeds at a desk', () => {
    expect(slotsWanted('desk', ['a', 'b'], 'program')).toEqual(['program', 'a', 'b', '', '']);
    expect(slotsWanted('desk', ['a', 'b', 'c', 'd', 'e'], 'program')).toEqual(['program', 'a', 'b', 'c', 'd']);
    expect(slotsWanted('desk', ['a', 'b', 'c', 'd', 'e'], 'e')).toEqual(['program', 'a', 'b', 'c', 'e']);
  });
  it('is only what stands large at a mentor’s, and never a feed that is gone', () => {
    expect(slotsWanted('mentor', ['a', 'b'], 'program')).toEqual(['program', '', '', '', '']);
    expect(slotsWanted('mentor', ['a', 'b'], 'b')).toEqual(['program', 'b', '', '', '']);
    expect(slotsWanted('mentor', ['a'], 'b')).toEqual(['program', '', '', '', '']);
    expect(slotsWanted('room', ['a'], 'a')).toEqual(['program', '', '', '', '']);
  });
});

describe('a slot', () => {
  it('does not show a frame of the feed before under the new name', () => {
    const view = new View(1, ms(0));
    const ring = new FrameRing();
    ring.handleFrame(create(FrameIndexSchema, { program: 'b', rtpTs: 7 }));
    view.handleAssign('b', ms(100));
    expect(view.handleFrame(3, ms(110), ring, ms(110))).toBe(false);
    expect(view.flow(ms(120), false)).toBe('waiting');
    expect(view.handleFrame(7, ms(130), ring, ms(130))).toBe(true);
    expect(view.flow(ms(140), false)).toBe('flowing');
    expect(view.log.last?.rtpTs).toBe(7);
    expect(view.handleAssign('b', ms(150))).toBe(false);
    expect(view.handleAssign('c', ms(160))).toBe(true);
    expect(view.log.last).toBeNull();
  });
  it('shows what comes, of unknown age, when no index comes at all', () => {
    const view = new View(1, ms(0));
    view.handleAssign('b', ms(0));
    expect(view.handleFrame(3, ms(1_000), undefined, ms(1_000))).toBe(true);
  });
});

describe('the slots of a page', () => {
  it('are asked for once, again after a new connection, and let go when no longer wanted', () => {
    const views = new Views(ms(0));
    expect(views.pollSelects('mentor', ['a', 'b'], 'a')).toEqual([{ slot: 1, feed: 'a' }]);
    expect(views.pollSelects('mentor', ['a', 'b'], 'a')).toEqual([]);
    views.handleConnection();
    expect(views.pollSelects('mentor', ['a', 'b'], 'a')).toEqual([{ slot: 1, feed: 'a' }]);
    expect(views.pollSelects('mentor', ['a', 'b'], 'program')).toEqual([{ slot: 1, feed: '' }]);
  });
  it('keep indices only of feeds that stand in one, and slot 0 for the program', () => {
    const views = new Views(ms(0));
    const index = create(FrameIndexSchema, { program: 'a', rtpTs: 5 });
    views.handleIndex(index);
    expect(views.ring('a')).toBeUndefined();
    expect(views.handleAssign(0, 'a', ms(1))).toBe(false);
    expect(views.handleAssign(9, 'a', ms(1))).toBe(false);
    expect(views.handleAssign(1, 'a', ms(1))).toBe(true);
    views.handleIndex(index);
    expect(views.ring('a')?.at(5)).not.toBeNull();
    expect(views.of('a')?.slot).toBe(1);
    views.handleFeeds(['program']);
    expect(views.ring('a')).toBeUndefined();
  });
});

describe('a line that carries less than was asked for', () => {
  it('is said while any slot suffers from it, and no longer', () => {
    const views = new Views(ms(0));
    expect(views.handleGiven(0, true, false)).toEqual({ paused: false, small: true });
    expect(views.handleGiven(1, true, true)).toEqual({ paused: true, small: true });
    expect(views.handleGiven(0, false, false)).toEqual({ paused: true, small: false });
    expect(views.handleGiven(1, false, false)).toEqual({ paused: false, small: false });
  });
});
