import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it } from 'vitest';
import { Store } from '../core/store';
import { CaseStateSchema, FeedInfoSchema } from '../gen/signal_pb';
import { CameraHand } from './camera';

let store: Store;
let hand: CameraHand;
let said: string[];
let tick: (() => void) | null;

beforeEach(() => {
  store = new Store();
  store.feeds.value = [create(FeedInfoSchema, { feed: 'program' }), create(FeedInfoSchema, { feed: 'camera', ptz: true })];
  said = [];
  tick = null;
  hand = new CameraHand(store, {
    send: (body) => { if (body.case === 'moveCamera') said.push(`${body.value.feed} ${body.value.pan} ${body.value.tilt} ${body.value.zoom}`); },
    every: (_, act) => {
      tick = act;
      return () => { tick = null; };
    },
  });
});

describe('the hand on the room’s camera', () => {
  it('says a held key again, faster after a while, and lets go once', () => {
    hand.press('left');
    hand.press('left');
    for (let i = 0; i < 10; i += 1) tick?.();
    expect([said[0], said[7], said[8], said.length]).toEqual(['camera -35 0 0', 'camera -35 0 0', 'camera -100 0 0', 11]);
    hand.release('left');
    expect([said.at(-1), tick]).toEqual(['camera 0 0 0', null]);
    hand.release('left');
    expect(said).toHaveLength(12);
  });
  it('moves along two ways at once, and opposite keys stand still', () => {
    hand.press('right');
    hand.press('up');
    expect(said.at(-1)).toBe('camera 35 35 0');
    hand.press('left');
    expect(said.at(-1)).toBe('camera 0 35 0');
    hand.release('up');
    hand.release('left');
    hand.release('right');
    expect(said.at(-1)).toBe('camera 0 0 0');
  });
  it('lets go when the room withdraws, and when the focus goes', () => {
    hand.handleState(create(CaseStateSchema, { cameraAllowed: true }));
    hand.press('in');
    hand.handleState(create(CaseStateSchema, { cameraAllowed: true, cameraAuthor: 2 }));
    expect([store.camera.value.author, tick === null]).toEqual([2, false]);
    hand.handleState(create(CaseStateSchema, {}));
    expect([said.at(-1), tick, store.camera.value.allowed]).toEqual(['camera 0 0 0', null, false]);
    hand.letGo();
    expect(said.filter((s) => s === 'camera 0 0 0')).toHaveLength(1);
  });
  it('holds on to a key pressed with a pointer while the focus leaves the one before, and lets go of what was typed', () => {
    hand.press('right', 'keyboard');
    hand.release('right');
    hand.press('in');
    hand.letGoTyped();
    expect([said.at(-1), tick === null]).toEqual(['camera 0 0 35', false]);
    hand.press('left', 'keyboard');
    hand.letGoTyped();
    expect(said.at(-1)).toBe('camera 0 0 35');
    hand.release('in');
    expect([said.at(-1), tick]).toEqual(['camera 0 0 0', null]);
  });
  it('says nothing where no camera can be turned', () => {
    store.feeds.value = [];
    hand.press('up');
    expect(said).toEqual([]);
  });
});
