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

describe('the word on a picture', () => {
  it('is news of its slot as often as it is said, until there is a newer one', () => {
    const views = new Views(ms(0));
    const say = (program: string, rtpTs: number): number | null => views.handleIndex(create(FrameIndexSchema, { program, rtpTs }))?.slot ?? null;
    expect([say('program', 3), say('program', 3), say('program', 6), say('program', 3), say('of no slot', 9)]).toEqual([0, 0, 0, null, null]);
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
  it('takes no frame for a sign of life that is drawn once more, nor one without a name among named ones', () => {
    const view = new View(0, ms(0));
    for (const [rtpTs, at] of [[3, 100], [6, 133]] as const) {
      expect(view.isNew(rtpTs)).toBe(true);
      view.handleFrame(rtpTs, ms(at), undefined, ms(at));
    }
    expect([6, null, 9].map((rtpTs) => view.isNew(rtpTs))).toEqual([false, false, true]);
    // A browser that never tells names.
    const nameless = new View(0, ms(0));
    nameless.handleFrame(null, ms(100), undefined, ms(100));
    expect(nameless.isNew(null)).toBe(true);
  });
  it('is paused, not stalled, while the server says that the line carries no picture', () => {
    const views = new Views(ms(0));
    const view = views.slots[0] as View;
    view.handleFrame(3, ms(100), undefined, ms(100));
    view.handleFrame(6, ms(133), undefined, ms(133));
    views.handleGiven(0, true, true);
    expect(view.flow(ms(200), false)).toBe('flowing');
    expect(view.flow(ms(900), false)).toBe('paused');
    views.handleGiven(0, true, false);
    expect(view.flow(ms(900), false)).toBe('stalled');
    view.handleFrame(9, ms(950), undefined, ms(950));
    expect(view.flow(ms(960), false)).toBe('flowing');
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
    expect(views.pollSelects('mentor', ['a', 'b'], 'a', ms(0))).toEqual([{ slot: 1, feed: 'a', width: 0 }]);
    expect(views.pollSelects('mentor', ['a', 'b'], 'a', ms(1))).toEqual([]);
    views.handleConnection();
    expect(views.pollSelects('mentor', ['a', 'b'], 'a', ms(2))).toEqual([{ slot: 1, feed: 'a', width: 0 }]);
    expect(views.pollSelects('mentor', ['a', 'b'], 'program', ms(3))).toEqual([{ slot: 1, feed: '', width: 0 }]);
  });
  it('tell how wide they are drawn, when it has stood a while, and not more often than every two seconds', () => {
    const views = new Views(ms(0));
    const poll = (t: number) => views.pollSelects('room', ['a'], 'program', ms(t));
    expect(poll(0)).toEqual([]);
    views.handleDrawn(0, 1_230, ms(100));
    expect(poll(400)).toEqual([]);
    views.handleDrawn(0, 1_240, ms(500)); // the same step
    expect(poll(600)).toEqual([{ slot: 0, feed: 'program', width: 1_280 }]);
    // A window that is dragged: one question, for where it stops.
    const said: number[] = [];
    for (let t = 700; t < 4_000; t += 50) {
      views.handleDrawn(0, t < 2_000 ? 1_200 - (t - 700) / 2 : 550, ms(t));
      said.push(...poll(t).map((w) => w.width));
    }
    expect(said).toEqual([576]);
    views.handleDrawn(0, 0, ms(5_000));
    expect(poll(9_000)).toEqual([]);
    views.handleConnection();
    expect(poll(9_100)).toEqual([{ slot: 0, feed: 'program', width: 576 }]);
  });
  it('do not ask for one picture at the width of the one before it', () => {
    const views = new Views(ms(0));
    const poll = (large: string, t: number) => views.pollSelects('mentor', ['a', 'b'], large, ms(t)).filter((w) => w.slot === 1);
    expect(poll('a', 0)).toEqual([{ slot: 1, feed: 'a', width: 0 }]);
    views.handleDrawn(1, 300, ms(1_000));
    expect(poll('a', 3_000)).toEqual([{ slot: 1, feed: 'a', width: 320 }]);
    expect(poll('b', 4_000)).toEqual([{ slot: 1, feed: 'b', width: 0 }]);
    expect(poll('b', 9_000)).toEqual([]);
  });
  it('are asked for at their best at once when they are put large', () => {
    const views = new Views(ms(0));
    const poll = (t: number) => views.pollSelects('mentor', ['a'], 'program', ms(t)).filter((w) => w.slot === 0);
    views.handleDrawn(0, 200, ms(0));
    expect(poll(1_000)).toEqual([{ slot: 0, feed: 'program', width: 256 }]);
    views.handleLarge('program');
    expect(poll(1_050)).toEqual([{ slot: 0, feed: 'program', width: 0 }]);
    views.handleDrawn(0, 1_000, ms(1_100));
    expect(poll(3_200)).toEqual([{ slot: 0, feed: 'program', width: 1_024 }]);
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
