// Pointers: ephemeral rings on the glass, the newest wins, gone a second after the last word. Sans-IO.
import { create } from '@bufbuild/protobuf';
import type { Pointer } from '../gen/signal_pb';
import { PointerSchema } from '../gen/signal_pb';
import type { PerfMs } from './units';

/** Gone this long after the last word. */
export const POINTER_MS = 1_000;
/** Own words a second at most: 30. Standing still it is said again, so that it is not taken for gone. */
const SAY_MS = 33;
const AGAIN_MS = 300;
/** Authors followed at once. Policy: drop_newest. */
const POINTERS_MAX = 16;

export interface Ring { readonly author: number; readonly feed: string; readonly x: number; readonly y: number }
interface Heard extends Ring { readonly number: number; readonly at: PerfMs; readonly shown: boolean }

export class Pointers {
  private readonly heard = new Map<number, Heard>();
  private own: { feed: string; x: number; y: number; shown: boolean } | null = null;
  private number = 0;
  private saidAt: PerfMs | null = null;
  private dirty = false;
  /** Times that the end of pointing is still to be said: a lost word must not leave a ring. */
  private goodbyes = 0;
  /** Rises with every change of what is to be seen. */
  revision = 0;

  /** Somebody else's. */
  handle(p: Pointer, now: PerfMs): void {
    const before = this.heard.get(p.author);
    // After a second of silence a page may have begun its numbers anew.
    if (before && now - before.at < POINTER_MS && p.number <= before.number) return;
    if (!before && this.heard.size >= POINTERS_MAX) return;
    this.heard.set(p.author, { author: p.author, feed: p.feed, x: p.x, y: p.y, number: p.number, at: now, shown: p.shown });
    this.revision += 1;
  }

  handleTimeout(now: PerfMs): void {
    for (const [author, one] of this.heard) {
      if (now - one.at < POINTER_MS) continue;
      this.heard.delete(author);
      this.revision += 1;
    }
  }

  /** Where this page's own pointer is; null: it has left. */
  point(at: { feed: string; x: number; y: number } | null): void {
    if (at === null && !this.own?.shown) return;
    this.own = at === null ? { ...(this.own as { feed: string; x: number; y: number }), shown: false } : { ...at, shown: true };
    if (at === null) this.goodbyes = 3;
    this.dirty = true;
    this.revision += 1;
  }

  /** What must be said now. */
  poll(now: PerfMs, author: number): Pointer | null {
    const since = this.saidAt === null ? Infinity : now - this.saidAt;
    const own = this.own;
    if (!own || since < SAY_MS) return null;
    if (own.shown ? !this.dirty && since < AGAIN_MS : this.goodbyes === 0) return null;
    if (!own.shown) this.goodbyes -= 1;
    this.dirty = false;
    this.saidAt = now;
    this.number += 1;
    return create(PointerSchema, { author, feed: own.feed, x: own.x, y: own.y, shown: own.shown, number: this.number });
  }

  /** All rings to be seen, the own one too. */
  rings(own: number): Ring[] {
    const out: Ring[] = [];
    for (const one of this.heard.values()) if (one.shown && one.author !== own) out.push(one);
    if (this.own?.shown) out.push({ author: own, feed: this.own.feed, x: this.own.x, y: this.own.y });
    return out;
  }
}
