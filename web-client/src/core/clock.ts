// Steering this page's clock to the case timeline by four timestamps, rule for rule as media-engine/link/src/clock.rs.
//
// The first exchange of a connection sets the offset at once; from then on it is slewed by at most SLEW_PPM_MAX, so that no
// age ever jumps. Among recent exchanges the one with the shortest round trip is believed most: a queue only ever adds to it.
// Source: RFC 5905 §8 (on-wire protocol), §10 (clock filter).
import type { CaptureNtp, LocalNtp } from './units';
import { ntpMinusNs, ntpOffsetNs } from './units';

/** Fastest steering after the first exchange. */
export const SLEW_PPM_MAX = 500n;
/** Exchanges that the filter remembers: at one a second, 8 s. */
const FILTER_LENGTH = 8;

interface Exchange { readonly offset: bigint; readonly rtt: bigint }

/** Maps a local clock to the case timeline. Both NTP 32.32; offsets and round trips in ns. */
export class ClockMap {
  private recent: Exchange[] = [];
  private offset = 0n;
  private target = 0n;
  private rtt = 0n;
  private steeredAt: LocalNtp | null = null;

  /** `t1` sent and `t4` received on the local clock, `t2` received and `t3` sent on the timeline. False: impossible, ignored. */
  handleExchange(t1: LocalNtp, t2: CaptureNtp, t3: CaptureNtp, t4: LocalNtp): boolean {
    const rtt = ntpMinusNs(t4, t1) - ntpMinusNs(t3, t2);
    if (t4 < t1 || t3 < t2 || rtt < 0n) return false;
    const offset = ntpMinusNs(t2, t1) / 2n + ntpMinusNs(t3, t4) / 2n;
    if (this.recent.length === FILTER_LENGTH) this.recent.shift();
    this.recent.push({ offset, rtt });
    let best: Exchange = this.recent[0] ?? { offset, rtt };
    for (const one of this.recent) if (one.rtt < best.rtt) best = one;
    this.offset = this.steeredAt === null ? best.offset : this.offsetAt(t4);
    this.target = best.offset;
    this.rtt = best.rtt;
    this.steeredAt = t4;
    return true;
  }

  /** The case timeline's time at `local`; null before the first exchange. */
  toTimeline(local: LocalNtp): CaptureNtp | null {
    return this.steeredAt === null ? null : (ntpOffsetNs(local, this.offsetAt(local)) as CaptureNtp);
  }

  /** Half the round trip of the best exchange: how wrong `toTimeline` can be by an uneven path. */
  uncertaintyNs(): bigint | null {
    return this.steeredAt === null ? null : this.rtt / 2n;
  }

  private offsetAt(local: LocalNtp): bigint {
    if (this.steeredAt === null) return 0n;
    const elapsed = ntpMinusNs(local, this.steeredAt);
    const allowed = ((elapsed < 0n ? 0n : elapsed) / 1_000_000n) * SLEW_PPM_MAX;
    const wanted = this.target - this.offset;
    return this.offset + (wanted > allowed ? allowed : wanted < -allowed ? -allowed : wanted);
  }
}

/** Pings at the start of a connection, and then. */
const QUICK_PINGS = 4;
const QUICK_PING_MS = 100;
const PING_MS = 1_000;

/** Outside of what an exchange allows by more than this, the time is wrong for certain: far above what clocks drift apart from one exchange to the next, far below what anybody sees. */
const PROVEN_NS = 2_000_000n;

/**
 * The page's clock over all its connections: the map goes on, since neither side's clock changes with a socket. However uneven the path and however long an answer
 * waited for a page or a server that stood, the truth lies within half the round trip of what the exchange says. A time that does is slewed; one that does not is
 * wrong for certain (another server, a machine that slept, the guess of a first exchange) and is set: half a second of slewing would take a quarter of an hour.
 */
export class CaseClock {
  private map = new ClockMap();
  private sent = 0;
  private nextPing = -Infinity;

  handleConnection(nowMs: number): void {
    this.sent = 0;
    this.nextPing = nowMs;
  }

  handlePong(t1: LocalNtp, t2: CaptureNtp, t3: CaptureNtp, t4: LocalNtp): boolean {
    const fresh = new ClockMap();
    if (!fresh.handleExchange(t1, t2, t3, t4)) return false;
    const is = this.map.toTimeline(t4);
    const says = fresh.toTimeline(t4);
    const error = is === null || says === null ? null : ntpMinusNs(is, says);
    const within = (fresh.uncertaintyNs() ?? 0n) + PROVEN_NS;
    if (error !== null && error <= within && error >= -within) return this.map.handleExchange(t1, t2, t3, t4);
    this.map = fresh;
    return true;
  }

  /** True once for each ping that is due. */
  pollPing(nowMs: number): boolean {
    if (nowMs < this.nextPing) return false;
    this.sent += 1;
    this.nextPing = nowMs + (this.sent < QUICK_PINGS ? QUICK_PING_MS : PING_MS);
    return true;
  }

  toTimeline(local: LocalNtp): CaptureNtp | null { return this.map.toTimeline(local); }
  uncertaintyNs(): bigint | null { return this.map.uncertaintyNs(); }
}
