import { expect, test } from 'vitest';
import { byRelay, figuresOf, NO_FIGURES } from './media_stats';

test('freezes are the browser’s own, by slot, and a slot that never showed anything is left out', () => {
  const figures = figuresOf([
    { type: 'candidate-pair', nominated: false, currentRoundTripTime: 0.9 },
    { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.042 },
    { type: 'inbound-rtp', kind: 'video', mid: '3', framesDecoded: 0 },
    { type: 'inbound-rtp', kind: 'video', mid: '1', framesDecoded: 90, framesDropped: 2, freezeCount: 1, totalFreezesDuration: 0.4, jitterBufferDelay: 1.8, jitterBufferEmittedCount: 90 },
    { type: 'inbound-rtp', kind: 'video', mid: '0', framesDecoded: 10 },
    { type: 'inbound-rtp', kind: 'video', mid: '77', framesDecoded: 10 },
    { type: 'outbound-rtp', kind: 'audio' },
  ], ['0', '1', '2', '3', '4']);
  expect(figures.rttMs).toBeCloseTo(42);
  expect(figures.tracks.map((t) => t.slot)).toEqual([0, 1]);
  expect(figures.tracks[1]).toEqual({ slot: 1, freezes: 1, frozenMs: 400, framesDecoded: 90, framesDropped: 2, jitterMs: 20 });
});

test('voice made up is a share of all that was played, over all speakers', () => {
  const figures = figuresOf([
    { type: 'inbound-rtp', kind: 'audio', concealedSamples: 480, totalSamplesReceived: 48_000 },
    { type: 'inbound-rtp', kind: 'audio', concealedSamples: 0, totalSamplesReceived: 48_000 },
  ], []);
  expect(figures.voiceConcealed).toBeCloseTo(0.005);
  expect(figuresOf([], [])).toEqual(NO_FIGURES);
});

test('a path goes by a relay when its pair in use begins at one', () => {
  const stats = (used: string) => [
    { type: 'local-candidate', id: 'A', candidateType: 'host' },
    { type: 'local-candidate', id: 'B', candidateType: 'relay' },
    { type: 'candidate-pair', nominated: false, state: 'succeeded', localCandidateId: 'B' },
    { type: 'candidate-pair', nominated: true, state: 'succeeded', localCandidateId: used },
  ];
  expect([byRelay(stats('A')), byRelay(stats('B')), byRelay([])]).toEqual([false, true, false]);
});
