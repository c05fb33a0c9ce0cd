// The offer that has no answer yet. A socket that breaks takes the answer with it: the server has then changed its ICE
// credentials, and nobody would tell this page. Sans-IO.
import type { PerfMs } from './units';

/** An offer without an answer for so long on a standing socket is sent again, and then after twice as long each time, to the last. */
export const OFFER_AGAIN_MS = 2_000, OFFER_AGAIN_MAX_MS = 8_000;
/** The server was still at the offer of before. */
export const OFFER_BUSY_MS = 250;

export interface Offered { readonly id: number; readonly sdp: string }

/** The same offer again changes nothing at the server: its answer names the same credentials. */
export class OpenOffer {
  private id = 0;
  private open: Offered | null = null;
  private due: PerfMs | null = null;
  private waitMs = OFFER_AGAIN_MS;

  /** Another path: an answer to the one before is none to it. */
  handleStart(): void { this.open = null; }

  handleOffer(sdp: string, now: PerfMs): Offered {
    this.id += 1;
    this.open = { id: this.id, sdp };
    this.waitMs = OFFER_AGAIN_MS;
    this.due = (now + this.waitMs) as PerfMs;
    return this.open;
  }

  /** True where it answers the open offer; each is answered once. */
  handleAnswer(id: number): boolean {
    if (this.open?.id !== id) return false;
    this.open = null;
    return true;
  }

  /** A fresh socket. `same`: to the server that knows this page's path; another one cannot go on with it. */
  handleWelcome(same: boolean, now: PerfMs): void {
    if (!same) this.open = null;
    this.due = now;
  }

  handleBusy(now: PerfMs): void { this.due = (now + OFFER_BUSY_MS) as PerfMs; }

  /** The offer that is to be sent again now. */
  poll(now: PerfMs): Offered | null {
    if (this.open === null || this.due === null || now < this.due) return null;
    this.due = (now + this.waitMs) as PerfMs;
    this.waitMs = Math.min(OFFER_AGAIN_MAX_MS, this.waitMs * 2);
    return this.open;
  }
}
