import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CaseClock, ClockMap } from './clock';
import type { CaptureNtp, LocalNtp } from './units';
import { localNtp, ntpFromUnixMs, ntpMinusNs, perfMs, unixMsFromNtp } from './units';

const at = (ms: number): bigint => ntpFromUnixMs(1_790_000_000_000 + ms);
const local = (ms: number): LocalNtp => at(ms) as LocalNtp;
const line = (ms: number): CaptureNtp => at(ms) as CaptureNtp;
/** The local clock is `ahead` ms before the timeline; the path takes `out` and `back` ms. */
const exchange = (map: ClockMap, t: number, ahead: number, out: number, back: number): boolean =>
  map.handleExchange(local(t), line(t + ahead + out), line(t + ahead + out), local(t + out + back));
const near = (a: bigint | null, b: bigint, ns: bigint): boolean => {
  if (a === null) return false;
  const d = ntpMinusNs(a, b);
  return d < ns && d > -ns;
};

describe('the clock map', () => {
  it('is set at once by the first exchange', () => {
    const map = new ClockMap();
    expect(map.toTimeline(local(0))).toBeNull();
    expect(map.uncertaintyNs()).toBeNull();
    expect(exchange(map, 0, 5_000, 10, 10)).toBe(true);
    expect(near(map.toTimeline(local(20)), at(5_020), 10n)).toBe(true);
    expect(Number(map.uncertaintyNs())).toBeCloseTo(10_000_000, -2);
  });

  it('slews later changes by at most 500 ppm, and time never runs backwards', () => {
    const map = new ClockMap();
    exchange(map, 0, 5_000, 10, 10);
    let last = map.toTimeline(local(20)) ?? 0n;
    for (let s = 1; s < 200; s += 1) {
      exchange(map, s * 1000, 4_950, 10, 10);
      const now = map.toTimeline(local(s * 1000 + 20)) ?? 0n;
      const step = Number(ntpMinusNs(now, last));
      expect(step).toBeGreaterThan(0);
      if (s > 1) expect(Math.abs(step - 1e9)).toBeLessThanOrEqual(501_000);
      last = now;
    }
    expect(Math.abs(Number(ntpMinusNs(last, at(199_020 + 4_950))))).toBeLessThan(1_000_000);
  });

  it('does not move for a reply that was queued', () => {
    const map = new ClockMap();
    exchange(map, 0, 5_000, 10, 10);
    exchange(map, 1_000, 5_000, 10, 400);
    expect(near(map.toTimeline(local(2_000)), at(7_000), 10n)).toBe(true);
  });

  it('forgets the best exchange when it is older than eight', () => {
    const map = new ClockMap();
    exchange(map, 0, 5_000, 1, 1);
    for (let s = 1; s <= 8; s += 1) exchange(map, s * 1000, 5_000, 20, 20);
    expect(Number(map.uncertaintyNs())).toBeCloseTo(20_000_000, -2);
  });

  it('ignores impossible exchanges', () => {
    const map = new ClockMap();
    expect(map.handleExchange(local(100), line(0), line(0), local(50))).toBe(false);
    expect(map.handleExchange(local(0), line(10), line(90), local(5))).toBe(false);
    expect(map.toTimeline(local(0))).toBeNull();
  });

  const vectors = new URL('../../../media-engine/link/vectors/clock.json', import.meta.url);
  it.runIf(existsSync(vectors))('agrees with the vectors shared with the engine', () => {
    const map = new ClockMap();
    const steps = JSON.parse(readFileSync(vectors, 'utf8')) as { t1: string; t2: string; t3: string; t4: string; taken: boolean; probe: string; timeline: string | null; uncertainty_ns: string | null }[];
    for (const s of steps) {
      expect(map.handleExchange(BigInt(s.t1) as LocalNtp, BigInt(s.t2) as CaptureNtp, BigInt(s.t3) as CaptureNtp, BigInt(s.t4) as LocalNtp)).toBe(s.taken);
      expect(map.toTimeline(BigInt(s.probe) as LocalNtp)?.toString() ?? null).toBe(s.timeline);
      expect(map.uncertaintyNs()?.toString() ?? null).toBe(s.uncertainty_ns);
    }
  });
});

describe('the page clock over connections', () => {
  it('is set anew by another server, and goes on with the old time until then', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    clock.handlePong(local(0), line(5_010), line(5_010), local(20));
    clock.handleConnection(1_000);
    expect(near(clock.toTimeline(local(1_000)), at(6_000), 1_000n)).toBe(true);
    clock.handlePong(local(1_000), line(9_010), line(9_010), local(1_020));
    expect(near(clock.toTimeline(local(1_020)), at(9_020), 1_000n)).toBe(true);
  });

  it('is not moved by what a new connection says late, to either side', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    for (const t of [0, 100, 200, 300]) clock.handlePong(local(t), line(5_010 + t), line(5_010 + t), local(t + 20));
    clock.handleConnection(1_000);
    // A page that has much to do hears each answer 150 ms late; then a path on which the way out is slow.
    for (const t of [1_000, 1_100, 1_200, 1_300]) clock.handlePong(local(t), line(5_010 + t), line(5_010 + t), local(t + 170));
    for (const t of [2_000, 3_000]) clock.handlePong(local(t), line(5_160 + t), line(5_160 + t), local(t + 170));
    expect(near(clock.toTimeline(local(3_200)), at(8_200), 1_000n)).toBe(true);
  });

  it('does not take for the clock\'s what an answer waited for a server that stood', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    for (const t of [0, 100, 200, 300]) clock.handlePong(local(t), line(5_010 + t), line(5_010 + t), local(t + 20));
    // It stands from 1 s to 5 s; the page probes it all the while, and dials anew.
    clock.handleConnection(5_100);
    for (let t = 1_000; t <= 5_000; t += 100) clock.handlePong(local(t), line(10_110), line(10_110), local(5_120));
    // 4 s of slewing at most, towards the exchange that waited least.
    expect(near(clock.toTimeline(local(5_120)), at(10_120), 3_000_000n)).toBe(true);
    clock.handlePong(local(5_130), line(10_140), line(10_140), local(5_150));
    expect(near(clock.toTimeline(local(5_150)), at(10_150), 3_000_000n)).toBe(true);
  });

  it('is right again with the first answer after the machine slept and its clock with it', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    for (const t of [0, 100, 200, 300, 1_300]) clock.handlePong(local(t), line(5_010 + t), line(5_010 + t), local(t + 20));
    clock.handlePong(local(2_300), line(37_310), line(37_310), local(2_320));
    expect(near(clock.toTimeline(local(2_320)), at(37_320), 1_000n)).toBe(true);
  });

  it('takes the quickest of the first four exchanges as the first one', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    clock.handlePong(local(0), line(5_400), line(5_400), local(410));
    clock.handlePong(local(420), line(5_430), line(5_430), local(440));
    clock.handlePong(local(500), line(5_600), line(5_600), local(620));
    expect(near(clock.toTimeline(local(620)), at(5_620), 1_000n)).toBe(true);
    expect(Number(clock.uncertaintyNs())).toBeCloseTo(10_000_000, -2);
    clock.handlePong(local(700), line(5_710), line(5_710), local(720));
    // Within what the path allows it is slewed.
    clock.handlePong(local(1_700), line(6_718), line(6_718), local(1_720));
    expect(Math.abs(Number(ntpMinusNs(clock.toTimeline(local(2_720)) ?? 0n, at(7_720))))).toBeLessThan(1_000_000);
  });

  it('pings four times quickly, then once a second', () => {
    const clock = new CaseClock();
    clock.handleConnection(0);
    const sent: number[] = [];
    for (let t = 0; t <= 3_500; t += 10) if (clock.pollPing(t)) sent.push(t);
    expect(sent).toEqual([0, 100, 200, 300, 1_300, 2_300, 3_300]);
  });
});

describe('NTP', () => {
  it('keeps Unix milliseconds to a microsecond', () => {
    for (const ms of [0, 1_790_000_000_123.456, 1_790_000_000_999.999]) expect(Math.abs(unixMsFromNtp(ntpFromUnixMs(ms)) - ms)).toBeLessThan(0.001);
  });
  it('is monotone on the page clock', () => {
    let last = 0n;
    for (let t = 0; t < 50; t += 0.1) {
      const now = localNtp(1_790_000_000_000.4, perfMs(t));
      expect(now).toBeGreaterThan(last);
      last = now;
    }
  });
});
