import { beforeEach, describe, expect, it, vi } from 'vitest';

let wall = 0;
vi.mock('./clock', () => ({ wallMs: () => wall }));
const { forgetEnd, forgetSession, keepPedal, keptEnd, keptPedal, openSession, REOPEN_MS, reopenCase } = await import('./session');

let tab: Map<string, string>;
const address = { hash: '', search: '' };
const answer = vi.fn<() => Promise<Response>>();
const says = (status: number, body: object | null = null): void => { answer.mockImplementation(async () => new Response(body && JSON.stringify(body), { status })); };
const ENDED = { code: 'case.ended', message_ja: '', message_en: '' };

beforeEach(() => {
  wall = 1_000;
  tab = new Map();
  address.hash = '';
  vi.stubGlobal('sessionStorage', { getItem: (k: string) => tab.get(k) ?? null, setItem: (k: string, v: string) => tab.set(k, v), removeItem: (k: string) => tab.delete(k) });
  vi.stubGlobal('location', address);
  vi.stubGlobal('history', { replaceState: () => { address.hash = ''; } });
  vi.stubGlobal('fetch', answer);
});

const opened = async (token: string): Promise<unknown> => {
  address.hash = `#${token}`;
  return openSession();
};
const enters = async (token: string): Promise<void> => {
  says(200, { id: 'ab' });
  expect(await opened(token)).toEqual({ id: 'ab' });
};

describe('the end of a case', () => {
  it('leaves the room’s tab its name and when it ended for ten minutes, and then nothing', async () => {
    await enters('room');
    forgetSession({ room: true, endedMs: 77 });
    expect(keptEnd()).toEqual({ endedMs: 77, untilMs: 1_000 + REOPEN_MS });
    // The page is loaded again: the server says that the case has ended, to a page that knows no role.
    expect(await openSession()).toEqual({ id: 'ab' });
    forgetSession({ room: false, endedMs: null });
    expect([keptEnd()?.endedMs, await openSession()]).toEqual([77, { id: 'ab' }]);
    wall += REOPEN_MS;
    expect(keptEnd()).toBeNull();
    expect(await openSession()).toMatchObject({ failure: { key: 'fail_no_link' } });
    expect([...tab]).toEqual([]);
  });
  it('leaves nothing in any other tab, and a refusal leaves nothing in the room’s', async () => {
    await enters('mentor');
    keepPedal('Space');
    forgetSession({ room: false, endedMs: 77 });
    expect([...tab]).toEqual([]);
    await enters('room');
    keepPedal('Space');
    forgetSession({ room: true, endedMs: null });
    expect([keptPedal(), keptEnd()?.endedMs]).toEqual([null, null]);
    forgetSession(null);
    expect([...tab]).toEqual([]);
  });
  it('is forgotten once the case is open', async () => {
    await enters('room');
    forgetSession({ room: true, endedMs: 77 });
    forgetEnd();
    wall += REOPEN_MS;
    expect(await openSession()).toEqual({ id: 'ab' });
  });
  it('is this tab’s own: its link tells of it again, another case’s does not', async () => {
    await enters('room');
    forgetSession({ room: true, endedMs: 77 });
    says(410, ENDED);
    expect(await opened('room')).toMatchObject({ failure: { key: 'fail_ended' } });
    expect(keptEnd()).not.toBeNull();
    says(503);
    expect(await opened('other')).toEqual({ unreachable: true });
    expect(keptEnd()).not.toBeNull();
    says(410, ENDED);
    expect(await opened('other')).toMatchObject({ failure: { key: 'fail_ended' } });
    expect([...tab]).toEqual([]);
  });
});

describe('opening a case again', () => {
  it('tells a server that is not reached from one that refuses', async () => {
    await enters('room');
    forgetSession({ room: true, endedMs: 77 });
    answer.mockImplementation(() => Promise.reject(new TypeError('network')));
    expect(await reopenCase()).toBe('unreachable');
    for (const [status, word] of [[500, 'unreachable'], [503, 'unreachable'], [410, 'refused'], [403, 'refused'], [401, 'refused']] as const) {
      says(status);
      expect([status, await reopenCase()]).toEqual([status, word]);
    }
    expect(keptEnd()).not.toBeNull();
    says(204);
    expect(await reopenCase()).toBe('done');
    expect(answer).toHaveBeenLastCalledWith('/api/reopen?id=ab', { method: 'POST', credentials: 'same-origin' });
    expect([keptEnd(), await openSession()]).toEqual([null, { id: 'ab' }]);
  });
});
