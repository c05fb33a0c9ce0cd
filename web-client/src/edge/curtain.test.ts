import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it } from 'vitest';
import { Store } from '../core/store';
import { ntpFromUnixMs } from '../core/units';
import type { ClientMessage } from '../gen/signal_pb';
import { CaseStateSchema, FeedInfoSchema } from '../gen/signal_pb';
import { CurtainHand } from './curtain';

let store: Store;
let hand: CurtainHand;
let log: string[];
const state = (drawn: boolean, s: number) => create(CaseStateSchema, { curtain: drawn, curtainSince: s === 0 ? 0n : ntpFromUnixMs(s * 1000), curtainAuthor: 1 });
const say = (body: ClientMessage['body']): string => (body.case === 'curtain' ? `say ${body.value.drawn}` : body.case ?? '');

beforeEach(() => {
  store = new Store();
  store.screen.value = 'room';
  store.feeds.value = [create(FeedInfoSchema, { feed: 'program' }), create(FeedInfoSchema, { feed: 'camera', curtain: true })];
  log = [];
  hand = new CurtainHand(store, { send: (body) => log.push(say(body)), hush: (h) => log.push(`hush ${h}`), repaint: () => log.push(`paint ${[...store.covered.value].join()}`) });
});

describe('the privacy curtain on the room’s own page', () => {
  it('hushes, covers and repaints in the turn of the press, and then tells the server', () => {
    hand.press(true);
    expect(log).toEqual(['hush true', 'paint camera', 'say true']);
    hand.handleState(state(true, 100));
    expect(store.curtain.value).toEqual({ drawn: true, sinceMs: 100_000, author: 1 });
  });
  it('stays drawn until the server has lifted it', () => {
    hand.handleState(state(true, 100));
    hand.press(false);
    expect(store.covered.value.has('camera')).toBe(true);
    hand.handleState(state(false, 110));
    expect([store.covered.value.size, log.at(-2)]).toEqual([0, 'hush false']);
  });
  it('is drawn here while the line is down, whatever was told last, and said again with the next Welcome', () => {
    hand.handleState(state(false, 90));
    hand.press(true);
    hand.handleState(state(false, 90));
    expect(store.curtain.value?.drawn).toBe(true);
    log.length = 0;
    hand.handleWelcome();
    expect(log).toEqual(['say true']);
    hand.handleState(state(true, 100));
    hand.handleWelcome();
    expect(log.filter((l) => l.startsWith('say'))).toEqual(['say true']);
  });
  it('does not lift over what others pressed while this line was down', () => {
    hand.handleState(state(true, 100));
    hand.press(false);
    log.length = 0;
    hand.handleWelcome();
    hand.handleState(state(true, 120));
    expect([log.filter((l) => l.startsWith('say')), store.covered.value.has('camera')]).toEqual([[], true]);
  });
  it('touches no microphone but the room’s', () => {
    store.screen.value = 'mentor';
    hand.handleState(state(true, 100));
    expect([log.filter((l) => l.startsWith('hush')).length, store.covered.value.has('camera')]).toEqual([0, true]);
  });
});
