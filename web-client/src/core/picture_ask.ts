// Asking for the picture that a mark was drawn on, until it is there. The engine keeps the frames of the last second and those that
// somebody drew on in time: what was drawn during an outage may have no picture anywhere. Pure; no drawing without its picture.
import type { PerfMs } from './units';

/** Asked for again after this at first, each time after twice as long, and never later than the last. */
const AGAIN_MS = 1_000;
const AGAIN_MAX_MS = 16_000;
/** So long a picture that was refused is still said to be coming: it may be on its way to the server. */
const COMING_MS = 3_000;
/** And one of which nothing at all is heard. */
const UNHEARD_MS = 10_000;
/** What was asked and is not answered for so long went down with its line. */
const HUNG_MS = 30_000;

export type PictureState = 'there' | 'coming' | 'missing';

/** A frame of a feed: by the id of its still, or where none was told by when it was captured (NTP 32.32). */
export interface AskedFrame { readonly still: string | null; readonly feed: string; readonly capture: bigint }

export class PictureAsk {
  private frame: AskedFrame | null = null;
  /** The address asked last; null: none yet. */
  private address: string | null = null;
  private since = 0;
  private failures = 0;
  private isAsking = false;
  private isThere = false;
  private askedAt = 0;
  private again = -Infinity;

  /** The picture of `frame` is wanted, which can be had at `address`. Returns the address to load now; null: nothing is to be done. */
  poll(frame: AskedFrame, address: string | null, now: PerfMs): string | null {
    if (this.frame === null || !isSameFrame(this.frame, frame)) {
      this.address = null;
      this.since = now;
      this.failures = 0;
      this.isAsking = this.isThere = false;
    }
    this.frame = frame;
    if (this.isAsking && now - this.askedAt >= HUNG_MS) this.handleFailed(this.address ?? '', this.askedAt as PerfMs);
    if (this.isThere || address === null || (address === this.address && (this.isAsking || now < this.again))) return null;
    this.address = address;
    this.isAsking = true;
    this.askedAt = now;
    return address;
  }

  /** What came, or did not, of an address. False: it is not wanted any more. */
  handleLoaded(address: string): boolean {
    if (address !== this.address || !this.isAsking) return false;
    this.isAsking = false;
    return this.isThere = true;
  }
  handleFailed(address: string, now: PerfMs): void {
    if (address !== this.address || !this.isAsking) return;
    this.isAsking = false;
    this.again = now + Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** this.failures);
    this.failures += 1;
  }

  state(now: PerfMs): PictureState {
    if (this.isThere) return 'there';
    return now - this.since < (this.failures > 0 ? COMING_MS : UNHEARD_MS) ? 'coming' : 'missing';
  }
}

/** A still may get its id after it was asked for by its frame, and marks close to each other share one. */
export function isSameFrame(a: AskedFrame, b: AskedFrame): boolean {
  return a.feed === b.feed && (a.capture === b.capture || (a.still !== null && a.still === b.still));
}
