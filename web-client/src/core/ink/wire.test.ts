// What a pen costs on the wire: a hand that writes without pause at 240 samples a second, over a long line.
import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState, FrameIndexSchema } from '../../gen/frame_pb';
import type { InkPacket } from '../../gen/ink_pb';
import { InkPacketSchema, Surface as On } from '../../gen/ink_pb';
import { captureNtp } from '../units';
import type { PerfMs } from '../units';
import { InkClient } from './client';
import { HOLD_PEN } from './pen';

const T0 = 1_000_000n << 32n;
const at = (ms: number) => captureNtp(T0 + (BigInt(Math.round(ms)) << 32n) / 1000n);
const frame = create(FrameIndexSchema, {
  program: 'program', rtpTs: 4_000_000_000, layoutRev: 3, width: 1280, height: 720,
  entries: [{ rect: { x: 0, y: 0, w: 1280, h: 720 }, feed: 'operative-field', capture: T0, state: FeedState.LIVE, geometry: 700_000 }],
});
/** The pen says what it has every so often (screens/pen_host.ts). */
const SAY_MS = 12;
/** SCTP chunk, DTLS record, UDP and IP around each packet. Source: RFC 9260 §3, RFC 6347 §4.1. */
const AROUND = 28 + 13 + 24 + 8 + 20;

/** Bytes a second of a pen that writes for `seconds`, `rttMs` from the server. */
function written(rttMs: number, seconds: number): { payload: number; whole: number } {
  const client = new InkClient();
  client.handleWelcome(2, 7, 'demo');
  const answers: { due: number; packet: InkPacket }[] = [];
  let [payload, packets, have, ops] = [0, 0, 0, 0];
  const hold = { ...HOLD_PEN, on: On.FROZEN };
  let number = 0;
  const say = (now: number): void => {
    for (const packet of client.pollPackets(now as PerfMs)) {
      payload += toBinary(InkPacketSchema, packet).length;
      packets += 1;
      for (const live of packet.live) if (live.key?.number === number) have = Math.max(have, live.first + (live.points?.x.length ?? 0));
      for (const op of packet.ops) ops = Math.max(ops, op.seq);
      const acks = ops > 0 ? [{ author: 2, epoch: 7, seq: ops }] : [];
      answers.push({ due: now + rttMs, packet: create(InkPacketSchema, { version: 1, acks, liveAcks: packet.live.map((l) => ({ key: l.key as never, have })) }) });
    }
  };
  const samples = seconds * 240;
  let said = -Infinity;
  for (let i = 0; i < samples; i += 1) {
    const now = (i * 1000) / 240;
    while (answers[0] && answers[0].due <= now) client.handlePacket((answers.shift() as (typeof answers)[0]).packet, now as PerfMs);
    // A stroke of a second, then the next: a quick, curved hand with varying pressure.
    const k = i % 240;
    const place = { x: 300 + k * 2.1 + 30 * Math.sin(i / 9), y: 360 + 120 * Math.sin(i / 23), pressure: 0.5 + 0.3 * Math.sin(i / 31) };
    if (k === 0) {
      number += 1;
      have = 0;
      expect(client.penDown(place, frame, at(now), now as PerfMs, hold)).toBe('began');
    } else client.penMove([place], at(now), now as PerfMs);
    if (k === 239) client.penUp(at(now), now as PerfMs);
    if (now - said >= SAY_MS) {
      said = now;
      say(now);
    }
  }
  return { payload: payload / seconds, whole: (payload + packets * AROUND) / seconds };
}

describe('a pen that never rests', () => {
  it.each([20, 120])('takes at most 10 kB a second, %i ms from the server', (rttMs) => {
    const { payload } = written(rttMs, 10);
    expect(payload).toBeLessThanOrEqual(10_000);
  });
});
