// From the link to a session: the token in the fragment is exchanged once for a cookie named after its id; the tab keeps
// the id and names it in every request, so that two people's pages can stand side by side in one browser.
import type { Failure } from '../core/store';
import { failureOf } from '../core/store';

const KEPT = 'shirube.id';

export type Opened = { readonly id: string } | { readonly failure: Failure } | { readonly unreachable: true };

/** Reads the fragment, exchanges it, and takes it out of the address. Without a fragment: the id this tab holds. */
export async function openSession(): Promise<Opened> {
  const token = location.hash.slice(1);
  if (!token) {
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
  const field = (name: string): string => {
    const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
    return typeof value === 'string' ? value : '';
  };
  if (answer.ok && field('id')) {
    sessionStorage.setItem(KEPT, field('id'));
    history.replaceState(null, '', `/case${location.search}`);
    return { id: field('id') };
  }
  if (answer.status >= 500) return { unreachable: true };
  return { failure: failureOf(field('code') || 'auth.link', { ja: field('message_ja'), en: field('message_en') }) };
}

/** The room takes back the end of its case. False: it cannot any more, or the server is not reached. */
export async function reopenCase(): Promise<boolean> {
  const id = sessionStorage.getItem(KEPT) ?? '';
  try {
    return (await fetch(`/api/reopen?id=${encodeURIComponent(id)}`, { method: 'POST', credentials: 'same-origin' })).ok;
  } catch {
    return false;
  }
}

/** The key of the pedal that was paired in this tab: a reload does not unpair it, the end of the case does. */
const PEDAL = 'shirube.pedal';
export function keptPedal(): string | null { return sessionStorage.getItem(PEDAL); }
export function keepPedal(code: string | null): void {
  if (code === null) sessionStorage.removeItem(PEDAL);
  else sessionStorage.setItem(PEDAL, code);
}

/** `ended`: the case may be opened again, and then this page comes back under its own name, which opens nothing while it is closed. */
export function forgetSession(ended: boolean): void {
  if (!ended) sessionStorage.removeItem(KEPT);
  sessionStorage.removeItem(PEDAL);
}
