import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState } from '../gen/frame_pb';
import type { HealthReport } from '../gen/signal_pb';
import { HealthReportSchema } from '../gen/signal_pb';
import { feedAgeMs, healthLine, lineStalls, numbersOf, rateOf, sourcesOf, troubleOf } from './health';

const s = (t: number): bigint => BigInt(t) << 32n;
const report = (at: number, over: object = {}): HealthReport => create(HealthReportSchema, {
  at: s(at), engineUp: true, clockUncertaintyUs: 3_000,
  feeds: [{ feed: 'field', state: FeedState.LIVE, capture: s(at) - (1n << 30n) }, { feed: 'fluoro', state: FeedState.XRAY_OFF }],
  layers: [{ feed: 'program', layer: 'high', frames: BigInt(at * 30), bytes: BigInt(at * 250_000), encodeUsP50: 5_000 }],
  peers: [{ number: 1, media: true, rttMs: 12, loss: 0.01, ageMs: 62 }, { number: 2, media: false, rttMs: 900, loss: 1, ageMs: 5_000 }],
  ...over,
});

describe('the figures of a case', () => {
  it('are the worst of the pages whose media is up', () => {
    expect(numbersOf(report(11), report(10))).toEqual({ ageMs: 62, loss: expect.closeTo(0.01, 5), encodeCores: expect.closeTo(0.15, 3), clockMs: 3 });
    expect(healthLine(report(11), false)).toEqual({ feeds: 2, feedsLive: 2, engineUp: true, rttMs: 12 });
  });
  it('are not known, rather than nought, where nothing says them', () => {
    expect(numbersOf(null, null)).toEqual({ ageMs: null, loss: null, encodeCores: null, clockMs: null });
    expect(numbersOf(report(11, { peers: [], engineUp: false }), null)).toEqual({ ageMs: null, loss: null, encodeCores: null, clockMs: null });
    expect(healthLine(report(11), true)).toBeNull();
    const one = report(11);
    expect(one.feeds.map((f) => feedAgeMs(f, one))).toEqual([250, null]);
  });
  it('give rates between two reports, and none across an engine that was started anew', () => {
    const [now, before] = [report(11), report(10)];
    const layer = now.layers[0];
    expect(layer && rateOf(layer, now, before)).toEqual({ fps: 30, bps: 2_000_000 });
    expect(layer && rateOf(layer, now, report(12))).toEqual({ fps: null, bps: null });
    expect(layer && rateOf(layer, now, null)).toEqual({ fps: null, bps: null });
    // Two reports within a moment: the counters moved by a second's worth.
    const soon = report(10, { at: s(10) + (1n << 28n), layers: now.layers });
    expect(layer && rateOf(layer, soon, before)).toEqual({ fps: null, bps: null });
    expect(numbersOf(soon, before).encodeCores).toBe(null);
  });
});

describe('what has no source, or no line, of its own', () => {
  it('is not counted as a feed that is missing: the program', () => {
    const one = report(1, { feeds: [{ feed: 'program', kind: 'program' }, { feed: 'field', kind: 'field', state: FeedState.LIVE }] });
    expect(healthLine(one, false)).toMatchObject({ feeds: 1, feedsLive: 1 });
    expect(sourcesOf(one).map((f) => f.feed)).toEqual(['field']);
  });
  it('is not a line that stalls: a page without pictures, and any while the compositor is gone', () => {
    const one = report(1, { peers: [{ number: 1, media: true, pictureStalled: true }, { number: 2, media: false, pictureStalled: true }, { number: 3, media: true }] });
    expect(one.peers.map((p) => lineStalls(p, one))).toEqual([true, false, false]);
    expect(one.peers.map((p) => lineStalls(p, { ...one, engineUp: false }))).toEqual([false, false, false]);
  });
});

describe('the one trouble that is told', () => {
  it('is the gravest', () => {
    expect(troubleOf(report(1), false)).toBeNull();
    expect(troubleOf(null, false)).toBeNull();
    expect(troubleOf(report(1), true)?.kind).toBe('silent');
    const lost = { feeds: [{ feed: 'a', state: FeedState.STALE }, { feed: 'b', state: FeedState.LOST }] };
    expect(troubleOf(report(1, lost), false)).toMatchObject({ kind: 'lost', feed: { feed: 'b' } });
    expect(troubleOf(report(1, { ...lost, engineUp: false }), false)?.kind).toBe('engine');
    expect(troubleOf(report(1, { peers: [{ number: 3, media: true, pictureStalled: true }] }), false)).toMatchObject({ kind: 'stalled', peer: { number: 3 } });
    expect(troubleOf(report(1, { display: 'shown', shed: 'smaller' }), false)?.kind).toBe('shed');
    expect(troubleOf(report(1, { display: 'display.not-answering', shed: 'smaller' }), false)).toEqual({ kind: 'display', problem: 'display.not-answering' });
  });
});
