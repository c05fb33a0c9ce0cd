import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Store } from '../core/store';
import type { Screen } from '../core/protocol';
import { CaseInfoSchema, CaseStateSchema, WelcomeSchema } from '../gen/signal_pb';
import type { Asked } from './microphone';
import { forgetSession } from './session';
import { Talk } from './talk';

/** What the browser's tab keeps over reloads. */
let tab: Map<string, string>;
/** How the browser says that the page was loaded. */
let loaded: string;
/** What the browser answers when it is asked for the microphone. */
let asked: () => Promise<Asked>;

const microphone = (): Promise<Asked> => Promise.resolve({ track: { enabled: true, onended: null, stop: () => undefined } as unknown as MediaStreamTrack });
/** Until everything that was promised is done. */
const settled = async (): Promise<void> => { for (let i = 0; i < 20; i += 1) await Promise.resolve(); };

beforeEach(() => {
  tab = new Map();
  asked = microphone;
  loaded = 'reload';
  vi.stubGlobal('performance', { timeOrigin: 0, now: () => 0, getEntriesByType: () => [{ type: loaded }] });
  vi.stubGlobal('sessionStorage', { getItem: (k: string) => tab.get(k) ?? null, setItem: (k: string, v: string) => tab.set(k, v), removeItem: (k: string) => tab.delete(k) });
});

/** A page, as it is loaded. */
class Page {
  readonly store = new Store();
  readonly said: string[] = [];
  /** What goes out by the media path. */
  out = false;
  readonly talk = new Talk(this.store, {
    send: (body) => { this.said.push(body.case === 'microphone' ? `microphone ${body.value.on}` : body.case ?? ''); },
    speak: async (track) => { this.out = track !== null; },
    askMicrophone: () => asked(),
  });
  constructor(private readonly screen: Screen = 'mentor', private readonly author = 2, private readonly caseId = 'a') {}

  /** A connection stands; `open`: what its first state says, null: nothing yet. */
  async welcome(open: boolean | null): Promise<this> {
    this.store.screen.value = this.screen;
    this.store.caseInfo.value = create(CaseInfoSchema, { caseId: this.caseId });
    this.store.welcome.value = create(WelcomeSchema, { author: this.author, maySpeak: true });
    this.talk.handleWelcome();
    return open === null ? this : this.state(open);
  }
  async state(voiceOpen: boolean): Promise<this> {
    this.talk.handleState(create(CaseStateSchema, { voiceOpen }));
    await settled();
    return this;
  }
  get speaks(): boolean { return this.out && this.store.microphone.value === 'sending' && this.said.findLast((s) => s.startsWith('microphone')) === 'microphone true'; }
}
/** A page that was there when the room pressed. */
const spoken = async (): Promise<Page> => (await new Page().welcome(false)).state(true);

describe('nothing begins to speak into the room without a press', () => {
  it('a page that is opened while voices are open is muted, ready and hears, until its person presses', async () => {
    const page = await new Page().welcome(true);
    await page.state(true);
    expect([page.speaks, page.store.microphone.value, page.store.voiceOpen.value, page.said]).toEqual([false, 'ready', true, []]);
    await page.talk.talk(true);
    expect(page.speaks).toBe(true);
  });
  it('the room’s press opens the microphones of those who are there', async () => {
    expect((await spoken()).speaks).toBe(true);
    const desk = await new Page('desk', 3).welcome(false);
    await desk.state(false);
    expect([desk.speaks, (await desk.state(true)).speaks]).toEqual([false, true]);
  });
  it('also where the browser still asks for the microphone at that moment', async () => {
    let allow: () => void = () => undefined;
    asked = () => new Promise((done) => { allow = () => { void microphone().then(done); }; });
    const page = await (await new Page().welcome(false)).state(true);
    expect(page.speaks).toBe(false);
    allow();
    await settled();
    expect(page.speaks).toBe(true);
  });
  it('a key that was let go before the browser allowed the microphone opens none', async () => {
    asked = async () => ({ refused: 'refused' });
    const page = await new Page().welcome(true);
    let allow: () => void = () => undefined;
    asked = () => new Promise((done) => { allow = () => { void microphone().then(done); }; });
    void page.talk.talk(true, true);
    void page.talk.talk(false, true);
    allow();
    await settled();
    expect([page.speaks, page.out]).toEqual([false, false]);
  });
  it('the room’s own page presses anew after a reload', async () => {
    const room = await new Page('room', 1).welcome(false);
    await room.talk.start();
    await room.state(true);
    expect([room.speaks, [...tab]]).toEqual([true, []]);
    expect((await new Page('room', 1).welcome(true)).speaks).toBe(false);
  });
});

describe('who was speaking in this tab', () => {
  it('is heard again by itself after a reload, and who had muted himself is not', async () => {
    const page = await spoken();
    const again = await new Page().welcome(true);
    expect(again.speaks).toBe(true);
    await again.talk.talk(false);
    for (const _ of [1, 2]) expect((await new Page().welcome(true)).speaks).toBe(false);
    // Pressed after it came late.
    await (await new Page().welcome(true)).talk.talk(true);
    expect((await new Page().welcome(true)).speaks).toBe(true);
    expect(page.said).toContain('microphone true');
  });
  it('is heard again after a line that broke and a path that was made anew', async () => {
    const page = await spoken();
    page.out = false;
    await page.welcome(true);
    page.talk.handleTracks([]);
    await settled();
    expect(page.speaks).toBe(true);
  });
  it('is heard again after a server that restarted took the voices up, and who was muted is not', async () => {
    const page = await spoken();
    // Closed until the room's page is back.
    await page.welcome(false);
    await page.state(false);
    expect((await page.state(true)).speaks).toBe(true);
    await page.talk.talk(false);
    await page.welcome(false);
    await page.state(false);
    expect((await page.state(true)).speaks).toBe(false);
    // Nor one that came late and never pressed, nor one that is loaded anew meanwhile.
    tab.clear();
    const late = await new Page().welcome(true);
    await late.welcome(false);
    await late.state(false);
    expect((await late.state(true)).speaks).toBe(false);
    await late.talk.talk(false);
    const reloaded = await new Page().welcome(false);
    expect((await reloaded.state(true)).speaks).toBe(false);
  });
  it('speaks with the room’s next press after the voices were closed in its hearing, and who has muted himself does not', async () => {
    const page = await spoken();
    await page.state(false);
    expect((await page.state(true)).speaks).toBe(true);
    await page.talk.talk(false);
    await page.state(false);
    expect((await page.state(true)).speaks).toBe(false);
    await page.talk.talk(true);
    expect(page.speaks).toBe(true);
  });
  it.each(['navigate', 'back_forward'])('is not a copy of that tab, nor a window that it opened: %s', async (how) => {
    const page = await spoken();
    loaded = how;
    const copy = await new Page().welcome(true);
    expect([copy.speaks, copy.store.microphone.value]).toEqual([false, 'ready']);
    await page.talk.talk(false);
    expect((await new Page().welcome(false)).speaks, 'and a mute is copied').toBe(false);
  });
  it('is nobody in another case, under another name, or after the end', async () => {
    await spoken();
    expect([(await new Page('mentor', 2, 'b').welcome(true)).speaks, (await new Page('mentor', 4).welcome(true)).speaks]).toEqual([false, false]);
    expect((await new Page().welcome(true)).speaks).toBe(true);
    forgetSession({ room: false, endedMs: 5 });
    expect((await new Page().welcome(true)).speaks).toBe(false);
  });
  it('is not who only held the key', async () => {
    const page = await new Page().welcome(true);
    await page.talk.talk(true, true);
    expect(page.speaks).toBe(true);
    expect((await new Page().welcome(true)).speaks).toBe(false);
    await page.talk.talk(false, true);
    expect(page.speaks).toBe(false);
  });
});
