// What runs the case, read from the server's figures: numbers or null, never a plausible guess. Pure.
import { FeedState } from '../gen/frame_pb';
import type { FeedStatus, HealthReport, LayerStatus, PeerStatus } from '../gen/signal_pb';
import type { CaptureNtp } from './units';
import { ntpMinusNs } from './units';

/** A report older than this says nothing about now. They come once a second. */
export const REPORT_STALE_MS = 3_500;

export interface HealthLine { readonly feeds: number; readonly feedsLive: number; readonly engineUp: boolean; readonly rttMs: number | null }

const holds = (state: FeedState): boolean => state === FeedState.LIVE || state === FeedState.XRAY_OFF || state === FeedState.LOOPING;

/** The feeds that come from outside. The program is made of them and has no source of its own to be well or lost: its figures are its layers'. */
export function sourcesOf(report: HealthReport): FeedStatus[] { return report.feeds.filter((f) => f.kind !== 'program' && f.feed !== 'program'); }

/** The line to this page stalls, as far as the page can tell: not where it has no pictures, nor where the compositor is what is gone. */
export function lineStalls(peer: PeerStatus, report: HealthReport): boolean { return peer.media && peer.pictureStalled && report.engineUp; }

/** The machinery in one line; null while nothing recent is known. */
export function healthLine(report: HealthReport | null, stale: boolean): HealthLine | null {
  if (report === null || stale) return null;
  const rtts = report.peers.filter((p) => p.media && p.rttMs > 0).map((p) => p.rttMs);
  const feeds = sourcesOf(report);
  return {
    feeds: feeds.length, feedsLive: report.engineUp ? feeds.filter((f) => holds(f.state)).length : 0, engineUp: report.engineUp,
    rttMs: rtts.length > 0 ? Math.max(...rtts) : null,
  };
}

export interface Numbers {
  /** Worst age of a picture at any page, ms. */
  readonly ageMs: number | null;
  /** Worst loss of any page's media, 0 to 1. */
  readonly loss: number | null;
  /** Share of one core that encoding took between two reports, 0 and up. */
  readonly encodeCores: number | null;
  readonly clockMs: number | null;
}

/** The four numbers. `before`: the report before, for what is a rate. */
export function numbersOf(report: HealthReport | null, before: HealthReport | null): Numbers {
  const peers = report?.peers.filter((p) => p.media) ?? [];
  const worst = (values: number[]): number | null => (values.length > 0 ? Math.max(...values) : null);
  return {
    ageMs: worst(peers.map((p) => p.ageMs).filter((v) => v > 0)),
    loss: worst(peers.map((p) => p.loss).filter((v) => Number.isFinite(v) && v >= 0)),
    encodeCores: report && before ? encodeCores(report, before) : null,
    clockMs: report && report.engineUp ? report.clockUncertaintyUs / 1000 : null,
  };
}

/** Reports come once a second, but the first to a page as it joins: the engine's counters, which move once a second too, say nothing of a shorter time. */
const SPAN_NS_MIN = 500_000_000n;

function encodeCores(report: HealthReport, before: HealthReport): number | null {
  const ns = ntpMinusNs(report.at, before.at);
  if (!report.engineUp || ns < SPAN_NS_MIN || report.layers.length === 0) return null;
  let us = 0;
  for (const layer of report.layers) {
    const frames = framesBetween(layer, before);
    if (frames !== null) us += frames * layer.encodeUsP50;
  }
  return us / (Number(ns) / 1000);
}

function layerIn(report: HealthReport, layer: LayerStatus): LayerStatus | undefined {
  return report.layers.find((l) => l.feed === layer.feed && l.layer === layer.layer);
}

function framesBetween(layer: LayerStatus, before: HealthReport): number | null {
  const old = layerIn(before, layer);
  // A counter that fell belongs to an engine that was started anew.
  return old && layer.frames >= old.frames ? Number(layer.frames - old.frames) : null;
}

/** Frames a second and bits a second of a layer between two reports. */
export function rateOf(layer: LayerStatus, report: HealthReport, before: HealthReport | null): { fps: number | null; bps: number | null } {
  const old = before ? layerIn(before, layer) : undefined;
  const ns = before ? ntpMinusNs(report.at, before.at) : 0n;
  const s = Number(ns) / 1e9;
  if (!before || !old || ns < SPAN_NS_MIN || layer.frames < old.frames || layer.bytes < old.bytes) return { fps: null, bps: null };
  return { fps: Number(layer.frames - old.frames) / s, bps: (Number(layer.bytes - old.bytes) * 8) / s };
}

/** Age of a feed's newest picture when the report was made, ms; null without a picture. */
export function feedAgeMs(feed: FeedStatus, report: HealthReport): number | null {
  return feed.capture === 0n ? null : Math.max(0, Number(ntpMinusNs(report.at, feed.capture as CaptureNtp)) / 1e6);
}

/** The one thing that most needs somebody, or null. The graver first: engine, feed lost, problem told, feed late, page stalled, the room's own screen dark. */
export type Trouble =
  | { readonly kind: 'engine' } | { readonly kind: 'silent' }
  | { readonly kind: 'lost' | 'problem' | 'stale'; readonly feed: FeedStatus }
  | { readonly kind: 'stalled'; readonly peer: PeerStatus }
  | { readonly kind: 'display'; readonly problem: string }
  | { readonly kind: 'shed'; readonly shed: string };

export function troubleOf(report: HealthReport | null, stale: boolean): Trouble | null {
  if (report === null) return null;
  if (stale) return { kind: 'silent' };
  if (!report.engineUp) return { kind: 'engine' };
  const feed = (test: (f: FeedStatus) => boolean): FeedStatus | undefined => report.feeds.find(test);
  const lost = feed((f) => f.state === FeedState.LOST);
  if (lost) return { kind: 'lost', feed: lost };
  const problem = feed((f) => f.problem !== '');
  if (problem) return { kind: 'problem', feed: problem };
  const late = feed((f) => f.state === FeedState.STALE);
  if (late) return { kind: 'stale', feed: late };
  const stalled = report.peers.find((p) => lineStalls(p, report));
  if (stalled) return { kind: 'stalled', peer: stalled };
  if (report.display !== '' && report.display !== 'shown') return { kind: 'display', problem: report.display };
  return report.shed ? { kind: 'shed', shed: report.shed } : null;
}
