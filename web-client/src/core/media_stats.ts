// What the browser counts of its media path, from getStats (W3C webrtc-stats), as the server is told of it. Pure.

export interface TrackFigures {
  readonly slot: number;
  readonly freezes: number;
  readonly frozenMs: number;
  readonly framesDecoded: number;
  readonly framesDropped: number;
  /** Mean wait of a picture in the jitter buffer. */
  readonly jitterMs: number;
}

export interface MediaFigures {
  /** Round trip of the path in use; null until known. */
  readonly rttMs: number | null;
  readonly tracks: readonly TrackFigures[];
  /** Share of the samples of voice that were made up, of all since the path began. */
  readonly voiceConcealed: number;
}

export const NO_FIGURES: MediaFigures = { rttMs: null, tracks: [], voiceConcealed: 0 };

/** One entry of a stats report, as far as it is read. */
export interface StatsEntry {
  readonly type: string;
  readonly id?: string;
  readonly nominated?: boolean;
  readonly state?: string;
  readonly localCandidateId?: string;
  readonly candidateType?: string;
  readonly currentRoundTripTime?: number;
  readonly kind?: string;
  readonly mid?: string;
  readonly freezeCount?: number;
  readonly totalFreezesDuration?: number;
  readonly framesDecoded?: number;
  readonly framesDropped?: number;
  readonly jitterBufferDelay?: number;
  readonly jitterBufferEmittedCount?: number;
  readonly concealedSamples?: number;
  readonly totalSamplesReceived?: number;
}

/** Do pictures and voice go by a relay? */
export function byRelay(entries: Iterable<StatsEntry>): boolean {
  const all = [...entries];
  const used = all.filter((one) => one.type === 'candidate-pair' && one.nominated === true && one.state === 'succeeded');
  return used.some((pair) => all.some((one) => one.id === pair.localCandidateId && one.candidateType === 'relay'));
}

/** `mids`: of the video slots, in their order. Slots in which nothing was ever decoded are left out. */
export function figuresOf(entries: Iterable<StatsEntry>, mids: readonly (string | null)[]): MediaFigures {
  let rttMs: number | null = null;
  const tracks: TrackFigures[] = [];
  let concealed = 0;
  let played = 0;
  for (const one of entries) {
    if (one.type === 'candidate-pair' && one.nominated && one.currentRoundTripTime !== undefined) rttMs = one.currentRoundTripTime * 1000;
    if (one.type !== 'inbound-rtp') continue;
    if (one.kind === 'audio') {
      concealed += one.concealedSamples ?? 0;
      played += one.totalSamplesReceived ?? 0;
      continue;
    }
    const slot = one.mid === undefined ? -1 : mids.indexOf(one.mid);
    if (slot < 0 || (one.framesDecoded ?? 0) === 0) continue;
    const emitted = one.jitterBufferEmittedCount ?? 0;
    tracks.push({
      slot, freezes: one.freezeCount ?? 0, frozenMs: Math.round((one.totalFreezesDuration ?? 0) * 1000),
      framesDecoded: one.framesDecoded ?? 0, framesDropped: one.framesDropped ?? 0,
      jitterMs: emitted > 0 ? ((one.jitterBufferDelay ?? 0) / emitted) * 1000 : 0,
    });
  }
  tracks.sort((a, b) => a.slot - b.slot);
  return { rttMs, tracks, voiceConcealed: played > 0 ? concealed / played : 0 };
}
