// From the link to a session: the token in the fragment is exchanged once for a cookie named after its id; the tab keeps
// the id and names it in every request, so that two people's pages can stand side by side in one browser.
import type { Failure } from '../core/store';
import { failureOf } from '../core/store';
import { wallMs } from './clock';

const KEPT = 'shirube.id';
/** Digest of the link that the id came by: another link that is refused in this tab says nothing of the case that ended here. */
const LINK = 'shirube.link';
/** The room's tab, after its case has ended. */
const ENDED = 'shirube.ended';

/** After its end a case may be opened again for so long, by the room (the server's SG23a). */
export const REOPEN_MS = 10 * 60_000;

/** What the room's tab keeps of the end. `endedMs`: on the case timeline, null where it was not told; `untilMs`: on this machine's clock. */
export interface KeptEnd { readonly endedMs: number | null; readonly untilMs: number }

export type Opened = { readonly id: string } | { readonly failure: Failure } | { readonly unreachable: true };

/** Reads the fragment, exchanges it, and takes it out of the address. Without a fragment: the id this tab holds. */
export async function openSession(): Promise<Opened> {
  const token = location.hash.slice(1);
  if (!token) {
    if (sessionStorage.getItem(ENDED) !== null && keptEnd() === null) forgetSession(null);
    const id = sessionStorage.getItem(KEPT);
    return id ? { id } : { failure: { key: 'fail_no_link', said: null, reference: null } };
  }
  let answer: Response;
  try {
    answer = await fetch('/api/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }), credentials: 'same-origin' });
  } catch {
    return { unreachable: true };
  }
  const body: unknown = await answer.json().catch(() => null);
  const link = await digestOf(token);
  const field = (name: string): string => {
    const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
    return typeof value === 'string' ? value : '';
  };
  if (answer.ok && field('id')) {
    sessionStorage.setItem(KEPT, field('id'));
    sessionStorage.setItem(LINK, link);
    forgetEnd();
    history.replaceState(null, '', `/case${location.search}`);
    return { id: field('id') };
  }
  if (answer.status >= 500) return { unreachable: true };
  if (link === '' || link !== sessionStorage.getItem(LINK)) forgetSession(null);
  return { failure: failureOf(field('code') || 'auth.link', { ja: field('message_ja'), en: field('message_en') }) };
}

/** Empty where the browser gives no digests, which is on pages without TLS. */
async function digestOf(token: string): Promise<string> {
  const { subtle } = globalThis.crypto as { subtle?: SubtleCrypto };
  if (!subtle) return '';
  const bytes = new Uint8Array(await subtle.digest('SHA-256', new TextEncoder().encode(token)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export type Reopened = 'done' | 'refused' | 'unreachable';

/** The room takes back the end of its case. */
export async function reopenCase(): Promise<Reopened> {
  const id = sessionStorage.getItem(KEPT) ?? '';
  try {
    const answer = await fetch(`/api/reopen?id=${encodeURIComponent(id)}`, { method: 'POST', credentials: 'same-origin' });
    if (answer.ok) forgetEnd();
    return answer.ok ? 'done' : answer.status >= 500 ? 'unreachable' : 'refused';
  } catch {
    return 'unreachable';
  }
}

/** The key of the pedal that was paired in this tab: a reload does not unpair it, the end of the case does. */
const PEDAL = 'shirube.pedal';
export function keptPedal(): string | null { return sessionStorage.getItem(PEDAL); }
export function keepPedal(code: string | null): void {
  if (code === null) sessionStorage.removeItem(PEDAL);
  else sessionStorage.setItem(PEDAL, code);
}

/** Whether this tab was speaking in a case, or had muted itself: a reload changes neither. */
const TALK = 'shirube.talk';
const talkOf = (caseId: string, author: number): string => `${caseId} ${author} `;
/**
 * Null: nothing was pressed in this tab, or in another case or by another person. That it was speaking is believed of a tab that was loaded anew alone: a copy
 * of a tab, or a window that it opens, is given all that the tab keeps, and nobody has pressed there.
 */
export function keptTalk(caseId: string, author: number): boolean | null {
  const kept = sessionStorage.getItem(TALK);
  if (kept === `${talkOf(caseId, author)}off`) return false;
  const [loaded] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return kept === `${talkOf(caseId, author)}on` && loaded?.type === 'reload' ? true : null;
}
export function keepTalk(caseId: string, author: number, on: boolean): void { sessionStorage.setItem(TALK, `${talkOf(caseId, author)}${on ? 'on' : 'off'}`); }

/** What the room's tab knows of the end of its case, for as long as the case may be opened again; null in every other tab. */
export function keptEnd(): KeptEnd | null {
  const kept = JSON.parse(sessionStorage.getItem(ENDED) ?? 'null') as KeptEnd | null;
  return kept !== null && wallMs() < kept.untilMs ? kept : null;
}

/** The case is open (again). */
export function forgetEnd(): void { sessionStorage.removeItem(ENDED); }

/** The page is over. After an end the room's keeps its own name, which opens nothing while the case is closed, until the case cannot be
 *  opened again; every other page keeps nothing, and so does one that was refused (null). */
export function forgetSession(end: { readonly room: boolean; readonly endedMs: number | null } | null): void {
  for (const key of [PEDAL, TALK]) sessionStorage.removeItem(key);
  if (end?.room) sessionStorage.setItem(ENDED, JSON.stringify({ endedMs: end.endedMs, untilMs: wallMs() + REOPEN_MS } satisfies KeptEnd));
  else if (end === null || keptEnd() === null) for (const key of [KEPT, LINK, ENDED]) sessionStorage.removeItem(key);
}
