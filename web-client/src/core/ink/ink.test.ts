// One page's ink against a small server of its own, over a link that loses, doubles and swaps.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { FrameIndex } from '../../gen/frame_pb';
import { FeedState, FrameIndexSchema } from '../../gen/frame_pb';
import type { InkPacket } from '../../gen/ink_pb';
import { InkPacketSchema, LiveStrokeSchema, OpSchema, OrderedOpSchema, SnapshotSchema } from '../../gen/ink_pb';
import { encodePoints } from '../points';
import type { CaptureNtp, PerfMs } from '../units';
import { InkClient } from './client';
import { OUTBOX_MAX, PACKET_BYTES_MAX, REPEAT_MS } from './outbox';
import { generator, Link, Server } from './test_kit';

const ms = (t: number): PerfMs => t as PerfMs;
const ntp = (t: number): CaptureNtp => BigInt(1_000_000 + t) as CaptureNtp;

describe('the outbox', () => {
  it('repeats every 50 ms until the op is on disk, then falls silent', () => {
    const { client } = page(1);
    client.pollPackets(ms(0));
    scribble(client, 10);
    expect(opsIn(client.pollPackets(ms(20)))).toEqual([1]);
    expect(client.pollTimeout(ms(21))).toBe(20 + REPEAT_MS);
    expect(client.pollPackets(ms(69))).toEqual([]);
    expect(opsIn(client.pollPackets(ms(70)))).toEqual([1]);
    client.handlePacket(create(InkPacketSchema, { version: 1, acks: [{ author: 2, epoch: 1, seq: 1 }] }), ms(80));
    expect(client.pollPackets(ms(130))).toEqual([]);
    expect(client.pollTimeout(ms(130))).toBeNull();
    expect(client.unacknowledged).toBe(0);
  });

  it('says all unacknowledged ops in every packet, oldest first', () => {
    const { client } = page(1);
    for (let i = 0; i < 3; i += 1) scribble(client, i * 100);
    expect(opsIn(client.pollPackets(ms(400)))).toEqual([1, 2, 3]);
  });

  it('keeps packets within one datagram and uses several when there is more to say', () => {
    const { client } = page(1);
    for (let i = 0; i < 12; i += 1) scribble(client, i * 100, 120);
    const packets = client.pollPackets(ms(5_000));
    expect(packets.length).toBeGreaterThan(1);
    for (const p of packets) expect(toBinary(InkPacketSchema, p).length).toBeLessThanOrEqual(PACKET_BYTES_MAX);
    expect(opsIn(packets)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it('sends points from the last confirmed one on, while the pen is down', () => {
    const { client } = page(1);
    client.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(0), ms(0));
    for (let i = 1; i <= 9; i += 1) client.penMove([{ x: 100 + i * 10, y: 100, pressure: 1 }], ntp(i), ms(i));
    const first = client.pollPackets(ms(10)).flatMap((p) => p.live);
    expect(first.map((l) => [l.first, l.points?.x.length, l.lifted])).toEqual([[0, 10, false]]);
    client.handlePacket(create(InkPacketSchema, { version: 1, liveAcks: [{ key: first[0]?.key ?? NONE, have: 8 }] }), ms(11));
    client.penMove([{ x: 300, y: 100, pressure: 1 }], ntp(12), ms(12));
    expect(client.pollPackets(ms(13)).flatMap((p) => p.live).map((l) => [l.first, l.points?.x.length])).toEqual([[8, 3]]);
  });

  it('does not say the same points again and again on a far line, but does once their confirmation is late', () => {
    const { client } = page(1);
    client.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(0), ms(0));
    const confirm = (have: number, t: number): void => { client.handlePacket(create(InkPacketSchema, { version: 1, liveAcks: [{ key: { author: 2, epoch: 1, number: 1 }, have }] }), ms(t)); };
    const firstSaid = (t: number): number | undefined => {
      client.penMove([{ x: 100 + t / 4, y: 100, pressure: 1 }], ntp(t), ms(t));
      return client.pollPackets(ms(t)).flatMap((p) => p.live)[0]?.first;
    };
    // A point every 25 ms, each confirmed 400 ms after it was said.
    const said: number[] = [];
    for (let t = 0; t <= 1_500; t += 25) {
      if (t >= 400) confirm((t - 400) / 25 + 2, t);
      said.push((t / 25 + 2) - (firstSaid(t) ?? Infinity));
    }
    expect(Math.max(...said.slice(0, 16)), 'how long an answer takes is not known yet: all goes again').toBe(17);
    expect(Math.max(...said.slice(30)), 'what is older than 100 ms does not').toBeLessThan(8);
    // From now on nothing is confirmed.
    const late = Array.from({ length: 20 }, (_, i) => firstSaid(1_525 + i * 25));
    expect(Math.min(...late.slice(0, 4).map(Number)), 'not late yet').toBeGreaterThan(46);
    expect(Math.min(...late.map(Number)), 'the first that is not confirmed').toBe(46);
  });

  it('says a clear in every packet, and any other act after half a second, however long the disk once took', () => {
    const { client } = page(1);
    scribble(client, 0);
    client.pollPackets(ms(20));
    client.handlePacket(create(InkPacketSchema, { version: 1, acks: [{ author: 2, epoch: 1, seq: 1 }] }), ms(10_020));
    scribble(client, 10_100);
    const saidAt: number[] = [];
    for (let t = 10_150; t <= 11_000; t += 50) if (opsIn(client.pollPackets(ms(t))).includes(2)) saidAt.push(t - 10_150);
    expect(saidAt.some((t) => t > 100 && t <= 600), String(saidAt)).toBe(true);
    client.clearAll(ntp(11_100), ms(11_100));
    for (let t = 11_150; t <= 11_500; t += 50) expect(opsIn(client.pollPackets(ms(t))), String(t)).toContain(3);
  });

  it('tells at once how far it has come when something new was applied', () => {
    const { client, server } = page(1);
    client.pollPackets(ms(0));
    const other = page(1, server, 3);
    scribble(other.client, 10);
    server.take(other.client.pollPackets(ms(20)));
    client.handlePacket(server.packet(0n), ms(30));
    const [told] = client.pollPackets(ms(30));
    expect(told?.haveOrder).toBe(1n);
    expect(told?.ops).toEqual([]);
    expect(client.pollPackets(ms(200))).toEqual([]);
  });

  it('lets the room clear also when it holds all the ink it can', () => {
    const { client } = page(1);
    for (let i = 0; i < OUTBOX_MAX + 5; i += 1) scribble(client, i * 10);
    expect(client.unacknowledged).toBe(OUTBOX_MAX);
    expect(client.clearAll(ntp(1_000_000), ms(1_000_000))).toBe(true);
    expect(client.sheet.visible()).toHaveLength(0);
    expect(client.unacknowledged).toBe(OUTBOX_MAX + 1);
  });

  it('names a refused op once, also when its acknowledgement came first', () => {
    const { client } = page(1);
    scribble(client, 0);
    const refusal = { author: 2, epoch: 1, seq: 1, code: 'ink.frame-mismatch' };
    client.handlePacket(create(InkPacketSchema, { version: 1, acks: [{ author: 2, epoch: 1, seq: 1 }] }), ms(4));
    const said = () => client.handlePacket(create(InkPacketSchema, { version: 1, refused: [refusal], acks: [{ author: 2, epoch: 1, seq: 1 }] }), ms(5));
    expect(said().map((r) => r.seq)).toEqual([1]);
    expect(said()).toEqual([]);
    const stranger = create(InkPacketSchema, { version: 1, refused: [{ ...refusal, seq: 2 }] });
    expect(client.handlePacket(stranger, ms(6)), 'nothing of this page').toEqual([]);
  });

  it('drops a refused op and names it, so that its user is told', () => {
    const { client } = page(1);
    scribble(client, 0);
    expect(client.sheet.visible()).toHaveLength(1);
    const refused = client.handlePacket(create(InkPacketSchema, { version: 1, refused: [{ author: 2, epoch: 1, seq: 1, code: 'ink.frame-mismatch' }] }), ms(5));
    expect(refused.map((r) => r.code)).toEqual(['ink.frame-mismatch']);
    expect(client.sheet.visible()).toHaveLength(0);
    expect(client.unacknowledged).toBe(0);
  });
});

describe('over a bad link', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    it(`no op is lost and none doubled, and two pages end with the same ink (seed ${seed})`, () => {
      const random = generator(seed);
      const server = new Server();
      const a = page(1, server, 2).client;
      const b = page(1, server, 3).client;
      const links = [new Link(random), new Link(random), new Link(random), new Link(random)] as const;
      let drawn = 0;
      for (let t = 0; t < 30_000; t += 10) {
        const [aUp, bUp, aDown, bDown] = links;
        const cut = t > 8_000 && t < 10_500;
        if (t < 20_000 && t % 400 === 0) { scribble(t % 800 === 0 ? a : b, t, 20); drawn += 1; }
        if (t < 20_000 && t % 2_400 === 0) a.undo(ntp(t), ms(t));
        for (const p of a.pollPackets(ms(t))) aUp.send(toBinary(InkPacketSchema, p), t);
        for (const p of b.pollPackets(ms(t))) bUp.send(toBinary(InkPacketSchema, p), t);
        for (const [up, down] of [[aUp, aDown], [bUp, bDown]] as const) {
          for (const bytes of up.arrivals(t)) {
            if (cut) continue;
            down.send(toBinary(InkPacketSchema, server.take([fromBinary(InkPacketSchema, bytes)])), t);
          }
        }
        if (t % 50 === 0) for (const [down, have] of [[aDown, a.sheet.applied], [bDown, b.sheet.applied]] as const) down.send(toBinary(InkPacketSchema, server.packet(have)), t);
        for (const bytes of aDown.arrivals(t)) if (!cut) a.handlePacket(fromBinary(InkPacketSchema, bytes), ms(t));
        for (const bytes of bDown.arrivals(t)) if (!cut) b.handlePacket(fromBinary(InkPacketSchema, bytes), ms(t));
      }
      const strokes = server.log.filter((o) => o.op?.body.case === 'stroke');
      expect(strokes).toHaveLength(drawn);
      expect(new Set(server.log.map((o) => `${o.op?.author}.${o.op?.seq}`)).size).toBe(server.log.length);
      expect(a.unacknowledged + b.unacknowledged).toBe(0);
      expect(a.sheet.visible().map((s) => s.id)).toEqual(b.sheet.visible().map((s) => s.id));
      expect(a.sheet.applied).toBe(BigInt(server.log.length));
    });
  }
});

describe('reconnecting', () => {
  it('as the same page says again what was not acknowledged, once', () => {
    const { client, server } = page(1);
    scribble(client, 0);
    client.pollPackets(ms(1)); // lost
    client.handleWelcome(2, 1);
    server.take(client.pollPackets(ms(2)));
    server.take(client.pollPackets(ms(100)));
    expect(server.log).toHaveLength(1);
  });

  it('under a new name says again only what the snapshot lacks', () => {
    const { client, server } = page(1);
    scribble(client, 0);
    server.take(client.pollPackets(ms(1))); // arrived, its acknowledgement lost
    scribble(client, 100);
    client.handleWelcome(2, 7);
    expect(client.unacknowledged).toBe(2);
    client.handleSnapshot(server.snapshot(), ms(200));
    const again = client.pollPackets(ms(201)).flatMap((p) => p.ops);
    expect(again.map((op) => [op.epoch, op.seq])).toEqual([[7, 1]]);
    client.handlePacket(server.take([create(InkPacketSchema, { version: 1, ops: again, haveOrder: client.sheet.applied })]), ms(300));
    expect(client.sheet.visible()).toHaveLength(2);
    expect(client.unacknowledged).toBe(0);
  });

  it('shows the ink of the case from the snapshot, in pieces, twice over', () => {
    const { client, server } = page(1);
    for (let i = 0; i < 5; i += 1) scribble(client, i * 50);
    server.take(client.pollPackets(ms(400)));
    const late = page(1, server, 3).client;
    for (let round = 0; round < 2; round += 1) {
      late.handleSnapshot(create(SnapshotSchema, { version: 1, ops: server.log.slice(0, 3), upTo: 3n }), ms(500));
      late.handleSnapshot(create(SnapshotSchema, { version: 1, ops: server.log.slice(3), upTo: 5n, last: true }), ms(501));
    }
    expect(late.sheet.visible().map((s) => s.id)).toEqual(client.sheet.visible().map((s) => s.id));
    expect(late.sheet.applied).toBe(5n);
  });
});

describe('the sheet', () => {
  it('waits at a gap and goes on when it is filled', () => {
    const { client, server } = page(1);
    for (let i = 0; i < 3; i += 1) scribble(client, i * 50);
    server.take(client.pollPackets(ms(400)));
    const late = page(1, server, 3).client;
    late.handlePacket(create(InkPacketSchema, { version: 1, ordered: server.log.slice(1) }), ms(1));
    expect(late.sheet.applied).toBe(0n);
    late.handlePacket(create(InkPacketSchema, { version: 1, ordered: server.log.slice(0, 1) }), ms(2));
    expect(late.sheet.applied).toBe(3n);
    expect(late.sheet.visible()).toHaveLength(3);
  });

  it('shows an own stroke before it is acknowledged and takes it back by undo', () => {
    const { client, server } = page(1);
    scribble(client, 0);
    expect(client.sheet.visible().map((s) => s.phase)).toEqual(['pending']);
    expect(client.undo(ntp(5), ms(5))).toBe(true);
    expect(client.sheet.visible()).toEqual([]);
    expect(client.undo(ntp(6), ms(6))).toBe(false);
    client.handlePacket(server.take(client.pollPackets(ms(10))), ms(11));
    expect(client.sheet.visible()).toEqual([]);
  });

  it('undoes the newest own stroke first, and erases all own strokes but nobody else’s', () => {
    const { client, server } = page(1);
    const other = page(1, server, 3).client;
    scribble(other, 0);
    scribble(client, 10);
    scribble(client, 20);
    for (const c of [client, other]) client.handlePacket(server.take(c.pollPackets(ms(30))), ms(31));
    client.undo(ntp(40), ms(40));
    expect(client.sheet.visible().map((s) => [s.author, s.number])).toEqual([[2, 1], [3, 1]].filter(() => true).sort());
    expect(client.eraseMine(ntp(50), ms(50))).toBe(1);
    expect(client.sheet.visible().map((s) => s.author)).toEqual([3]);
  });

  it('clears in the same turn, with the network cut, and tells the server when it is back', () => {
    const { client, server } = page(1);
    const room = page(1, server, 1).client;
    scribble(client, 0);
    room.handlePacket(server.take(client.pollPackets(ms(10))), ms(11));
    expect(room.sheet.visible()).toHaveLength(1);
    room.clearAll(ntp(500), ms(500));
    expect(room.sheet.visible()).toEqual([]);
    room.pollPackets(ms(501)); // lost: the network is cut
    server.take(room.pollPackets(ms(9_000)));
    client.handlePacket(server.packet(client.sheet.applied), ms(9_010));
    expect(client.sheet.visible()).toEqual([]);
  });

  it('kills points in flight of a stroke begun before the clear, and shows a later one', () => {
    const { client } = page(1);
    const live = (number: number, began: number) => create(LiveStrokeSchema, {
      key: { author: 3, epoch: 1, number }, width: 30, frame: { feed: 'field', capture: 1n, program: 'program' }, began: ntp(began), first: 0, points: encodePoints([{ x: 1, y: 1, pressure: 255 }]),
    });
    client.handlePacket(create(InkPacketSchema, { version: 1, live: [live(1, 100)] }), ms(100));
    expect(client.sheet.visible()).toHaveLength(1);
    client.handlePacket(create(InkPacketSchema, { version: 1, clears: [{ upTo: ntp(200) }] }), ms(200));
    expect(client.sheet.visible()).toEqual([]);
    client.handlePacket(create(InkPacketSchema, { version: 1, live: [live(1, 100), live(2, 150)] }), ms(210));
    expect(client.sheet.visible()).toEqual([]);
    client.handlePacket(create(InkPacketSchema, { version: 1, live: [live(3, 201)] }), ms(220));
    expect(client.sheet.visible().map((s) => s.number)).toEqual([3]);
  });

  it('clears also a stroke whose author’s clock runs ahead of the room’s', () => {
    const { client, server } = page(1);
    const room = page(1, server, 1).client;
    scribble(client, 700);
    room.handlePacket(server.take(client.pollPackets(ms(710))), ms(711));
    room.clearAll(ntp(500), ms(712));
    expect(room.sheet.visible()).toEqual([]);
    const clear = room.pollPackets(ms(713)).flatMap((p) => p.ops)[0];
    expect(clear?.body).toMatchObject({ case: 'clearAll', value: { upTo: ntp(700) } });
    expect(clear?.at).toBe(ntp(500));
  });

  it('lifts a stroke at once that its author has abandoned', () => {
    const { client } = page(1);
    const key = { author: 3, epoch: 1, number: 1 };
    const frame = { feed: 'field', capture: 1n, program: 'program' };
    const live = (points: number, lifted: boolean) => create(InkPacketSchema, { version: 1, live: [{
      key, width: 30, frame, began: ntp(0), first: 0, lifted, points: encodePoints(Array.from({ length: points }, (_, i) => ({ x: i, y: 0, pressure: 255 }))),
    }] });
    client.handlePacket(live(3, false), ms(0));
    client.handlePacket(live(3, true), ms(10));
    expect(client.sheet.visible()).toHaveLength(1); // pen up: a commit follows
    client.handlePacket(live(0, true), ms(20));
    expect(client.sheet.visible()).toEqual([]);
  });

  it('does not commit an own stroke that was cleared under the pen', () => {
    const { client } = page(1);
    client.penDown({ x: 10, y: 10, pressure: 1 }, FRAME, ntp(100), ms(100));
    client.handlePacket(create(InkPacketSchema, { version: 1, clears: [{ upTo: ntp(150) }] }), ms(150));
    client.penMove([{ x: 60, y: 10, pressure: 1 }], ntp(160), ms(160));
    client.penUp(ntp(170), ms(170));
    expect(client.sheet.visible()).toEqual([]);
    expect(client.unacknowledged).toBe(0);
  });

  it('bridges a hole in relayed points until it is filled', () => {
    const { client } = page(1);
    const live = (first: number, xs: number[]) => create(InkPacketSchema, { version: 1, live: [{
      key: { author: 3, epoch: 1, number: 1 }, width: 30, frame: { feed: 'field', capture: 1n, program: 'program' }, began: ntp(0), first, points: encodePoints(xs.map((x) => ({ x, y: 0, pressure: 255 }))),
    }] });
    client.handlePacket(live(0, [0, 1]), ms(0));
    client.handlePacket(live(4, [4, 5]), ms(1));
    expect(client.sheet.visible()[0]?.points.map((p) => p.x)).toEqual([0, 1, 4, 5]);
    client.handlePacket(live(2, [2, 3]), ms(2));
    client.handlePacket(live(0, [0, 1]), ms(3));
    expect(client.sheet.visible()[0]?.points.map((p) => p.x)).toEqual([0, 1, 2, 3, 4, 5]);
    client.handleTimeout(ms(60_000));
    expect(client.sheet.visible()).toEqual([]);
  });

  it('goes dark at once when ink is switched off, and no pen begins', () => {
    const { client } = page(1);
    scribble(client, 0);
    client.handlePacket(create(InkPacketSchema, { version: 1, inkOffNow: true }), ms(10));
    expect(client.sheet.visible()).toEqual([]);
    expect(client.penDown({ x: 10, y: 10, pressure: 1 }, FRAME, ntp(20), ms(20))).toBe('nothing');
    client.handlePacket(create(InkPacketSchema, { version: 1, inkOffNow: false }), ms(30));
    expect(client.sheet.visible()).toHaveLength(1);
  });

  it('applies an op without content as a void that keeps its place', () => {
    const { client } = page(1);
    client.handlePacket(create(InkPacketSchema, { version: 1, ordered: [create(OrderedOpSchema, { order: 1n, op: create(OpSchema, { author: 9, epoch: 1, seq: 1 }) })] }), ms(0));
    expect(client.sheet.applied).toBe(1n);
  });
});

describe('the pen', () => {
  it('names the frame that was seen, and maps to the picture under it', () => {
    const { client } = page(1);
    expect(client.penDown({ x: 1_120, y: 560, pressure: 1 }, FRAME, ntp(0), ms(0))).toBe('began');
    client.penUp(ntp(1), ms(1));
    const op = client.pollPackets(ms(2)).flatMap((p) => p.ops)[0];
    const stroke = op?.body.case === 'stroke' ? op.body.value : null;
    expect(stroke?.frame).toMatchObject({ feed: 'fluoro', capture: 44n, program: 'program', programRtpTs: 9_000, layoutRev: 3 });
    expect(stroke?.points?.x).toEqual([Math.round((48 / 192) * 16_384)]);
    expect(stroke?.width).toBe(Math.round(((6 / 1_920) * 1_280 / 192) * 16_384));
  });
  it('draws nothing outside every picture, and says so where it cannot know what lies under it, or when', () => {
    const { client } = page(1);
    expect(client.penDown({ x: 10, y: 10, pressure: 1 }, null, ntp(0), ms(0))).toBe('unplaced');
    expect(client.penDown({ x: 2_000, y: 10, pressure: 1 }, FRAME, ntp(0), ms(0))).toBe('nothing');
    const none = create(FrameIndexSchema, { ...FRAME, entries: FRAME.entries.map((e) => ({ ...e, capture: 0n })) });
    expect(client.penDown({ x: 10, y: 10, pressure: 1 }, none, ntp(0), ms(0))).toBe('unplaced');
    expect(client.penDown({ x: 10, y: 10, pressure: 1 }, FRAME, null, ms(0))).toBe('unplaced');
  });
  it('ends the stroke where it leaves its picture, also into one that lies in front', () => {
    const { client } = page(1);
    client.penDown({ x: 1_000, y: 560, pressure: 1 }, FRAME, ntp(0), ms(0));
    client.penMove([{ x: 1_050, y: 560, pressure: 1 }, { x: 1_100, y: 560, pressure: 1 }, { x: 1_050, y: 600, pressure: 1 }], ntp(1), ms(1));
    expect(client.pen.state.kind).toBe('idle');
    client.penMove([{ x: 900, y: 560, pressure: 1 }], ntp(2), ms(2));
    const op = client.pollPackets(ms(3)).flatMap((p) => p.ops)[0];
    expect(op?.body.case === 'stroke' ? op.body.value.points?.x.length : null).toBe(2);
  });
});

// ——— helpers ———

const NONE = create(LiveStrokeSchema, { key: {} }).key ?? (() => { throw new Error('a key'); })();

const FRAME: FrameIndex = create(FrameIndexSchema, {
  program: 'program', rtpTs: 9_000, layoutRev: 3, width: 1280, height: 720,
  entries: [
    { feed: 'field', rect: { x: 0, y: 0, w: 1280, h: 720 }, capture: 55n, state: FeedState.LIVE },
    { feed: 'fluoro', rect: { x: 1072, y: 512, w: 192, h: 192 }, capture: 44n, state: FeedState.LIVE },
  ],
});

function page(epoch: number, server = new Server(), author = 2): { client: InkClient; server: Server } {
  const client = new InkClient();
  client.handleWelcome(author, epoch);
  return { client, server };
}

function scribble(client: InkClient, t: number, points = 6): void {
  client.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(t), ms(t));
  client.penMove(Array.from({ length: points }, (_, i) => ({ x: 110 + i * 4, y: 100 + 40 * Math.sin(i), pressure: 1 })), ntp(t + 1), ms(t + 1));
  client.penUp(ntp(t + 2), ms(t + 2));
}

const opsIn = (packets: readonly InkPacket[]): number[] => packets.flatMap((p) => p.ops.map((op) => op.seq));
