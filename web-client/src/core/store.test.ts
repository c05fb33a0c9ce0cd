import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { PersonSchema, Role, WelcomeSchema } from '../gen/signal_pb';
import { screenOf } from './protocol';
import { failureOf, Store } from './store';
import type { PerfMs } from './units';

const person = (author: number, media: boolean, present = true) => create(PersonSchema, { author, media, present });

describe('who is present', () => {
  it('a person whose media path went away is lost, until it is back', () => {
    const store = new Store();
    store.handlePeople([person(1, true), person(2, false)], 1);
    expect([...store.lostPeople.value]).toEqual([]);
    store.handlePeople([person(1, true), person(2, true)], 1);
    store.handlePeople([person(1, true), person(2, false)], 1);
    store.handlePeople([person(1, true), person(2, false, false)], 1);
    expect([...store.lostPeople.value]).toEqual([2]);
    store.handlePeople([person(1, true), person(2, true)], 1);
    expect([...store.lostPeople.value]).toEqual([]);
  });
  it('is not lost who left on purpose', () => {
    const store = new Store();
    store.handlePeople([person(1, true), person(2, true), person(3, true)], 1);
    store.handlePeople([person(1, true), create(PersonSchema, { author: 2, left: true }), person(3, false, false)], 1);
    expect([...store.lostPeople.value]).toEqual([3]);
  });
  it('is lost while nothing comes over a path that is still there, and the room then has nobody', () => {
    const store = new Store();
    const silent = create(PersonSchema, { author: 2, media: true, present: true, silent: true });
    store.handlePeople([person(1, true), person(2, true)], 1);
    store.handlePeople([person(1, true), silent], 1);
    expect([...store.lostPeople.value]).toEqual([2]);
    store.handlePeople([person(1, true), silent], 1);
    store.welcome.value = create(WelcomeSchema, { author: 1 });
    expect(store.remoteLost()).toBe(true);
    store.handlePeople([person(1, true), person(2, true)], 1);
    expect(store.remoteLost()).toBe(false);
  });
  it('is never oneself', () => {
    const store = new Store();
    store.handlePeople([person(1, true)], 1);
    store.handlePeople([person(1, false)], 1);
    expect([...store.lostPeople.value]).toEqual([]);
  });
});

describe('what the room’s machine cannot carry', () => {
  it('is said where it is seen, and gone when it is carried again', () => {
    const store = new Store();
    store.screen.value = 'mentor';
    store.shed.value = 'singles-half';
    expect(store.notices.value).toEqual([]);
    store.slots.value = ['program', 'field'];
    expect(store.notices.value).toEqual(['fail_shed_singles']);
    store.slots.value = ['program', ''];
    expect(store.notices.value).toEqual([]);
    store.shed.value = 'smaller';
    expect(store.notices.value).toEqual(['fail_shed']);
    store.shed.value = '';
    expect(store.notices.value).toEqual([]);
    store.screen.value = 'vendor';
    store.shed.value = 'smaller';
    expect(store.notices.value).toEqual([]);
  });
});

describe('failures', () => {
  it('follow the stable code, and keep the server’s own sentence', () => {
    expect(failureOf('auth.link.expired', null).key).toBe('fail_link_expired');
    expect(failureOf('auth.link.revoked', null).key).toBe('fail_link_revoked');
    expect(failureOf('auth.link.other-case', null).key).toBe('fail_link_other');
    expect(failureOf('auth.link.invalid', null).key).toBe('fail_link_invalid');
    expect(failureOf('case.ended', null).key).toBe('fail_ended');
    expect(failureOf('version.unsupported', null).key).toBe('fail_version');
    expect(failureOf('case.full', { ja: 'い', en: 'a' })).toEqual({ key: 'fail_refused', said: { ja: 'い', en: 'a' }, reference: 'case.full' });
  });
});

describe('the disk of the server', () => {
  it('is spoken of while it takes nothing, and never afterwards', () => {
    const store = new Store();
    store.handleDisk('');
    expect(store.notices.value).toEqual([]);
    store.handleDisk('store.full');
    store.handleDisk('store.full');
    expect(store.notices.value).toEqual(['fail_store_full']);
    store.handleDisk('store.something-newer');
    expect(store.notices.value).toEqual(['fail_store_failing']);
    store.handleDisk('');
    expect(store.notices.value).toEqual([]);
  });
});

describe('a clock that cannot be exchanged', () => {
  it('is said after five seconds, and no more once it can', () => {
    const store = new Store();
    const at = (ms: number) => { store.handleTimeout(ms as PerfMs); return store.notices.value; };
    expect(at(0)).toEqual([]);
    expect(at(60_000), 'nothing is open yet').toEqual([]);
    store.phase.value = 'open';
    expect(at(61_000)).toEqual([]);
    expect(at(65_900)).toEqual([]);
    expect(at(66_000)).toEqual(['fail_clock']);
    store.caseTimeMs.value = 1_790_000_000_000;
    expect(at(66_100)).toEqual([]);
  });
});

describe('the screen', () => {
  it('is decided by the role', () => {
    expect([Role.ROOM, Role.MENTOR, Role.DESK, Role.OBSERVER, Role.VENDOR].map(screenOf)).toEqual(['room', 'mentor', 'desk', 'desk', 'vendor']);
  });
});
