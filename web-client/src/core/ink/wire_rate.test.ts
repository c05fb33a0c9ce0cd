// What a pen costs on the wire, on average while somebody draws: ink alone, and with the headers of the transport.
import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState, FrameIndexSchema } from '../../gen/frame_pb';
import type { FrameIndex } from '../../gen/frame_pb';
import type { InkPacket } from '../../gen/ink_pb';
import { InkPacketSchema, Surface as On } from '../../gen/ink_pb';
import type { CaptureNtp, PerfMs } from '../units';
import { InkClient } from './client';
import { HOLD_PEN } from './pen';
import { SAY_MS } from './pen_pace';

/** Of each packet: UDP and IPv4 28, DTLS 1.2 with AES-GCM 37, SCTP 12 and the header of its DATA chunk 16, bytes. */
const HEADERS = 28 + 37 + 12 + 16;
const SECONDS = 12;
/** A mark of 1.6 s, 0.4 s of rest. */
const DOWN_MS = 1_600;
const EVERY_MS = 2_000;
const FRAME_MS = 1_000 / 30;

const ntp = (t: number): CaptureNtp => ((3_900_000_000n << 32n) + BigInt(Math.round(t * 4_294_967))) as CaptureNtp;
const frame = (t: number): FrameIndex => create(FrameIndexSchema, {
  program: 'program', rtpTs: (Math.floor(t / FRAME_MS) * 3_003) >>> 0, layoutRev: 3, width: 1280, height: 720,
  entries: [{ feed: 'operative-field', rect: { x: 0, y: 0, w: 1280, h: 720 }, capture: ntp(Math.floor(t / FRAME_MS) * FRAME_MS), state: FeedState.LIVE, geometry: 77 }],
});

/** Bytes a second. `live`: nothing is held under the pen, so each picture's own points are told apart. The far end is `rttMs` away and says at once what it has; a mark is on disk after 30 ms more. */
function rate(hz: number, rttMs: number, live: boolean): { bytes: number; packets: number } {
  const client = new InkClient();
  client.handleWelcome(2, 1, 'case-of-the-day');
  const back: { at: number; packet: InkPacket }[] = [];
  let [bytes, packets, said, order] = [0, 0, -Infinity, 0n];
  const say = (t: number): void => {
    for (const packet of client.pollPackets(t as PerfMs)) {
      bytes += toBinary(InkPacketSchema, packet).length + HEADERS;
      packets += 1;
      const liveAcks = packet.live.map((l) => ({ key: l.key!, have: l.first + (l.points?.x.length ?? 0) }));
      back.push({ at: t + rttMs, packet: create(InkPacketSchema, { version: 1, liveAcks }) });
      for (const op of packet.ops) {
        order = BigInt(op.seq);
        back.push({ at: t + rttMs + 30, packet: create(InkPacketSchema, { version: 1, acks: [{ author: 2, epoch: 1, seq: op.seq }], lastOrder: order }) });
      }
    }
  };
  let next = 0;
  for (let t = 0; t < SECONDS * 1_000; t += 1) {
    for (const answer of back.filter((b) => b.at <= t)) client.handlePacket(answer.packet, t as PerfMs);
    for (let i = back.length - 1; i >= 0; i -= 1) if ((back[i]?.at ?? 0) <= t) back.splice(i, 1);
    const within = t % EVERY_MS;
    if (within === 0) {
      client.penDown({ x: 300, y: 200, pressure: 0.4 }, frame(t), ntp(t), t as PerfMs, { ...HOLD_PEN, on: live ? On.LIVE : On.FROZEN });
      next = t;
      say(t);
    } else if (within === DOWN_MS) {
      client.penUp(ntp(t), t as PerfMs);
      say(t);
    } else if (within < DOWN_MS && t >= next) {
      next += 1_000 / hz;
      const a = t / 90;
      client.penMove([{ x: 640 + 260 * Math.cos(a), y: 360 + 200 * Math.sin(1.3 * a), pressure: 0.4 + 0.3 * Math.sin(a), ...(live ? { seen: frame(t) } : {}) }], ntp(t), t as PerfMs);
      if (t - said >= SAY_MS) {
        said = t;
        say(t);
      }
    }
    // The page's own timer.
    const due = client.pollTimeout(t as PerfMs);
    if (due !== null && t % 50 === 0 && due <= t) say(t);
  }
  return { bytes: bytes / SECONDS, packets: packets / SECONDS };
}

/** kB/s with all headers, at most, on a held picture and on the live one; ink's own bytes stay under 10 on a held one and 12 on the live one. */
const LIMITS = new Map([[60, [10, 11.5]], [120, [12, 14.5]], [240, [16.5, 19.5]]]);

describe('a pen on the wire', () => {
  for (const [hz, limits] of LIMITS) for (const rtt of [20, 120, 300]) for (const live of [false, true]) {
    it(`at ${hz} samples a second, ${rtt} ms there and back, ${live ? 'on the live picture' : 'on a held one'}`, () => {
      const { bytes, packets } = rate(hz, rtt, live);
      expect(bytes / 1_000, 'with all headers').toBeLessThanOrEqual(limits[live ? 1 : 0] ?? 0);
      expect((bytes - packets * HEADERS) / 1_000, 'ink alone').toBeLessThanOrEqual(live ? 12 : 10);
      expect(packets, 'it draws').toBeGreaterThan(20);
    });
  }
});
