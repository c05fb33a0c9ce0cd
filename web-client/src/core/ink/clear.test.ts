// The room's clear: at once and of everything here; and for good only what is gone for everybody, however wrong a page's clock is.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { FrameIndex } from '../../gen/frame_pb';
import { FeedState, FrameIndexSchema } from '../../gen/frame_pb';
import type { Op, OrderedOp } from '../../gen/ink_pb';
import { InkPacketSchema, LiveStrokeSchema, OpSchema, OrderedOpSchema, SnapshotSchema, Tool } from '../../gen/ink_pb';
import { encodePoints } from '../points';
import type { CaptureNtp, PerfMs } from '../units';
import { InkClient } from './client';
import { OUTBOX_MAX } from './outbox';
import { HOLD_PEN } from './pen';
import { generator, Link, Server } from './test_kit';

const ms = (t: number): PerfMs => t as PerfMs;
const ntp = (t: number): CaptureNtp => BigInt(1_000_000 + t) as CaptureNtp;
const FRAME: FrameIndex = create(FrameIndexSchema, {
  program: 'program', rtpTs: 9_000, layoutRev: 3, width: 1280, height: 720, entries: [{ feed: 'field', rect: { x: 0, y: 0, w: 1280, h: 720 }, capture: 55n, state: FeedState.LIVE }],
});
const frame = { feed: 'field', capture: 55n, program: 'program' };
/** The room's page, and its clock: so much ahead of the server's. */
const AHEAD = 40;

/** What the server says to the room alone, in its own time. */
class Room {
  readonly ink = new InkClient();
  private order = 0n;
  constructor(named = true) { if (named) this.ink.handleWelcome(1, 1); }
  ordered(body: Op['body'], author = 2, seq = Number(this.order) + 1): void {
    this.ink.handlePacket(create(InkPacketSchema, { version: 1, ordered: [this.next(body, author, seq)] }), ms(0));
  }
  next(body: Op['body'], author = 2, seq = Number(this.order) + 1): OrderedOp {
    this.order += 1n;
    return create(OrderedOpSchema, { order: this.order, received: 1n, op: create(OpSchema, { author, epoch: 1, seq, body }) });
  }
  live(number: number, began: number, first: number, n = 2): void {
    const points = encodePoints(Array.from({ length: n }, (_, i) => ({ x: first + i, y: 0, pressure: 255 })));
    this.ink.handlePacket(create(InkPacketSchema, { version: 1, live: [create(LiveStrokeSchema, { key: { author: 2, epoch: 1, number }, width: 30, frame, began: ntp(began), first, points })] }), ms(0));
  }
  /** Presses at `t` of the server's time. */
  clear(t: number): boolean { return this.ink.clearAll(ntp(t + AHEAD), ms(t)); }
  get seen(): number[] { return this.ink.sheet.visible().map((s) => s.number); }
}
const stroke = (number: number, began: number): Op['body'] => create(OpSchema, {
  body: { case: 'stroke', value: { key: { author: 2, epoch: 1, number }, tool: Tool.PEN, width: 34, began: ntp(began), frame, points: encodePoints([0, 1, 2, 3].map((x) => ({ x, y: 0, pressure: 255 }))) } },
}).body;
const clear = (upTo: number): Op['body'] => create(OpSchema, { body: { case: 'clearAll', value: { upTo: ntp(upTo) } } }).body;
const NOTHING: Op['body'] = { case: undefined };

describe('a clear from a page whose clock runs ahead', () => {
  it('hides by its own bound until the server’s word on it is here, then what was begun after that shows, in full', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    expect(room.seen).toEqual([]);
    room.live(2, 110, 0);
    room.live(2, 110, 2);
    room.ordered(stroke(3, 115));
    expect(room.seen, 'begun after the press, by a clock that the room does not have').toEqual([]);
    room.ordered(clear(102), 1, 1);
    expect(room.seen).toEqual([3, 2]);
    expect(room.ink.sheet.visible()[1]?.points.map((p) => p.x)).toEqual([0, 1, 2, 3]);
  });

  it('hides for good what was begun by the server’s bound, whenever it arrives', () => {
    const room = new Room();
    room.clear(100);
    room.live(1, 95, 0);
    room.ordered(clear(102), 1, 1);
    room.live(1, 95, 2);
    room.ordered(stroke(2, 102));
    expect(room.seen).toEqual([]);
    room.ordered(stroke(3, 103));
    expect(room.seen).toEqual([3]);
  });

  it('empties the glass in that frame also of marks ahead of the room’s clock, and they stay away', () => {
    const room = new Room();
    room.ordered(stroke(1, 500));
    room.live(2, 600, 0);
    room.clear(100);
    expect(room.seen).toEqual([]);
    const [op] = room.ink.pollPackets(ms(101)).flatMap((p) => p.ops);
    expect(op?.body).toMatchObject({ case: 'clearAll', value: { upTo: ntp(600) } });
    room.ordered(clear(600), 1, 1);
    room.live(2, 600, 2);
    expect(room.seen).toEqual([]);
  });

  it('ends what is under the room’s own pen', () => {
    const room = new Room();
    room.ink.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(900), ms(0));
    room.ink.penMove([{ x: 200, y: 100, pressure: 1 }], ntp(901), ms(1));
    room.clear(100);
    expect(room.seen).toEqual([]);
    room.ordered(clear(100), 1, 1);
    room.ink.penMove([{ x: 300, y: 100, pressure: 1 }], ntp(902), ms(2));
    room.ink.penUp(ntp(903), ms(3));
    expect([room.seen, room.ink.unacknowledged]).toEqual([[], 1]);
    expect(room.ink.pollPackets(ms(4)).flatMap((p) => p.live).map((l) => [l.lifted, l.points?.x.length]), 'and everywhere').toEqual([[true, 0]]);
  });

  it('two of them: each hides until its own word', () => {
    const room = new Room();
    room.clear(100);
    room.clear(200);
    room.ordered(stroke(1, 230));
    room.ordered(clear(105), 1, 1);
    room.ordered(stroke(2, 231));
    expect(room.seen).toEqual([]);
    room.ordered(clear(230), 1, 2);
    expect(room.seen).toEqual([2]);
  });

  it('made while the line is away keeps the time of its press', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    room.ink.handlePath();
    room.ordered(stroke(2, 5_000));
    expect(room.seen).toEqual([2]);
    room.ordered(clear(140), 1, 1);
    room.ordered(stroke(3, 139));
    expect(room.seen).toEqual([2]);
  });

  it('another page of the room clears by the server’s bound at once', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.ordered(stroke(2, 103));
    room.ink.handlePacket(create(InkPacketSchema, { version: 1, clears: [{ upTo: ntp(102) }] }), ms(0));
    expect(room.seen).toEqual([2]);
  });
});

describe('a clear that was refused', () => {
  it.each([['by its void in the order', true], ['by the refusal, said before that', false]])('hides nothing any more, and its user is told: %s', (_, ordered) => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    const refused = create(InkPacketSchema, { version: 1, refused: [{ author: 1, epoch: 1, seq: 1, code: 'ink.room-only' }] });
    if (ordered) room.ordered(NOTHING, 1, 1);
    else expect(room.ink.handlePacket(refused, ms(0)).map((r) => r.code)).toEqual(['ink.room-only']);
    expect(room.seen).toEqual([1]);
  });
});

describe('a clear that no outbox took', () => {
  it('hides, and is said with the first name', () => {
    const room = new Room(false);
    room.ordered(stroke(1, 90));
    expect([room.clear(100), room.seen]).toEqual([false, []]);
    room.ink.handleWelcome(1, 1);
    expect(room.ink.pollPackets(ms(1)).flatMap((p) => p.ops).map((op) => [op.body.case, op.at])).toEqual([['clearAll', ntp(100 + AHEAD)]]);
    room.ordered(stroke(2, 120));
    expect(room.seen).toEqual([]);
    room.ordered(clear(101), 1, 1);
    expect(room.seen).toEqual([2]);
  });
  it('hides, and is said once there is room', () => {
    const room = new Room();
    while (room.clear(100)) expect(room.ink.unacknowledged).toBeLessThan(2 * OUTBOX_MAX);
    const said = room.ink.unacknowledged;
    expect(room.clear(200)).toBe(false);
    room.ink.handlePacket(create(InkPacketSchema, { version: 1, acks: [{ author: 1, epoch: 1, seq: said }] }), ms(1));
    const [op] = room.ink.pollPackets(ms(2)).flatMap((p) => p.ops);
    expect(op?.body).toMatchObject({ case: 'clearAll', value: { upTo: ntp(200 + AHEAD) } });
  });
});

describe('the whole ink after a reconnection', () => {
  const whole = (room: Room, pieces: readonly OrderedOp[][], upTo: bigint, at: (i: number) => void = () => {}): void => pieces.forEach((ops, i) => {
    room.ink.handleSnapshot(create(SnapshotSchema, { version: 1, ops, upTo, last: i + 1 === pieces.length }), ms(0));
    at(i);
  });

  it('says the server’s bound of a clear whose answer was lost', () => {
    const room = new Room();
    room.clear(100);
    whole(room, [[room.next(clear(102), 1, 1)], [room.next(stroke(1, 110))]], 2n);
    expect(room.seen).toEqual([1]);
  });

  it('shows nothing in between where another clear went over it, of which a later piece tells', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    const own = room.next(NOTHING, 1, 1);
    const other = room.next(clear(130), 9, 1);
    const seen: number[][] = [];
    whole(room, [[own], [other, room.next(stroke(2, 131))]], 4n, () => seen.push(room.seen));
    expect(seen).toEqual([[], [2]]);
  });

  it('of a server that knows this page no more: the clear is said again, and hides until then', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    room.ink.handleWelcome(1, 7);
    whole(room, [[], [room.next(stroke(2, 120))]], 2n);
    expect(room.seen).toEqual([]);
    expect(room.ink.pollPackets(ms(1)).flatMap((p) => p.ops).map((op) => [op.epoch, op.seq, op.at])).toEqual([[7, 1, ntp(100 + AHEAD)]]);
    room.ink.handlePacket(create(InkPacketSchema, { version: 1, ordered: [create(OrderedOpSchema, { order: 3n, op: create(OpSchema, { author: 1, epoch: 7, seq: 1, body: clear(102) }) })] }), ms(2));
    expect(room.seen).toEqual([2]);
  });

  it('of a server that forgot this page twice before it could say anything', () => {
    const room = new Room();
    room.clear(100);
    room.ink.handleWelcome(1, 7);
    room.clear(200);
    room.ink.handleWelcome(1, 8);
    whole(room, [[room.next(stroke(1, 90)), room.next(stroke(2, 190)), room.next(stroke(3, 300))]], 3n);
    expect(room.seen).toEqual([3]);
    expect(room.ink.pollPackets(ms(1)).flatMap((p) => p.ops).map((op) => [op.epoch, op.seq, op.at])).toEqual([[8, 1, ntp(140)], [8, 2, ntp(240)]]);
  });

  it('takes away what was undone meanwhile, of which it tells nothing, and keeps what came after it', () => {
    const room = new Room();
    for (const n of [1, 2, 3]) room.ordered(stroke(n, n));
    const kept = create(OrderedOpSchema, { order: 2n, op: create(OpSchema, { author: 2, epoch: 1, seq: 2, body: stroke(2, 2) }) });
    room.ink.handleWelcome(1, 1);
    whole(room, [[kept], []], 2n);
    expect(room.seen).toEqual([2, 3]);
  });
  it('does so also after one that broke off', () => {
    const room = new Room();
    const first = room.next(stroke(1, 1));
    room.ink.handleSnapshot(create(SnapshotSchema, { version: 1, ops: [first], upTo: 2n }), ms(0));
    room.ink.handleWelcome(1, 1);
    whole(room, [[room.next(stroke(2, 2))]], 2n);
    expect(room.seen).toEqual([2]);
  });

  it('of somebody else’s name: what the one before hid is not hidden', () => {
    const room = new Room();
    room.ordered(stroke(1, 90));
    room.clear(100);
    room.ink.handleWelcome(4, 7);
    expect([room.seen, room.ink.unacknowledged]).toEqual([[1], 0]);
  });
});

describe('over a bad link, with clocks that are wrong', () => {
  for (const seed of Array.from({ length: 24 }, (_, i) => i + 1)) {
    it(`the room sees what the log says, whatever it cleared when (seed ${seed})`, () => {
      const random = generator(seed);
      const chance = (per: number): boolean => random() < 1 / per;
      const server = new Server();
      const pages = [1, 2, 3].map((author) => ({
        author, epoch: 1, ink: new InkClient(), up: new Link(random), down: new Link(random), away: 0, drawing: false,
        /** Its clock against the server's. */
        off: Math.round((random() - 0.4) * (chance(3) ? 3_000 : 120)),
      }));
      for (const page of pages) page.ink.handleWelcome(page.author, page.epoch);
      const [room] = pages;
      if (!room) throw new Error('no room');
      /** What was on the room's glass at a press: never seen there again. */
      const vanished = new Set<string>();
      let pressed = 0;
      for (let t = 0; t < 20_000; t += 10) {
        const busy = t < 14_000;
        for (const page of pages) {
          const { ink } = page;
          const at = ntp(t + page.off);
          if (busy && !page.drawing && chance(30)) {
            page.drawing = ink.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, at, ms(t)) === 'began';
          } else if (page.drawing) {
            ink.penMove([{ x: 110 + (t % 500), y: 120, pressure: 1 }], at, ms(t));
            if (chance(12)) {
              ink.penUp(at, ms(t));
              page.drawing = false;
            }
          }
          if (busy && chance(200)) ink.undo(at, ms(t));
          if (busy && t >= page.away && chance(250)) page.away = t + 2_000 * random();
          if (t < page.away && t + 10 >= page.away) {
            // Back: as the same page, or as one that the server has forgotten; with the whole ink, which the socket does not lose.
            if (chance(2)) page.epoch += 1;
            ink.handleWelcome(page.author, page.epoch);
            for (const piece of server.pieces(3)) {
              ink.handleSnapshot(piece, ms(t));
              if (page === room) for (const s of ink.sheet.visible()) expect(vanished.has(s.id), `${s.id} between pieces at ${t}`).toBe(false);
            }
          }
        }
        if (busy && chance(150)) {
          for (let again = 0; again < (chance(4) ? 2 : 1); again += 1) {
            for (const s of room.ink.sheet.visible()) vanished.add(s.id);
            room.ink.clearAll(ntp(t + room.off), ms(t));
            room.drawing = false;
            pressed += 1;
            expect(room.ink.sheet.visible()).toEqual([]);
          }
        }
        for (const page of pages) {
          for (const p of page.ink.pollPackets(ms(t))) page.up.send(toBinary(InkPacketSchema, p), t);
          for (const bytes of page.up.arrivals(t)) {
            if (t < page.away) continue;
            const packet = fromBinary(InkPacketSchema, bytes);
            // The way of a page ends with its name.
            if (packet.ops.some((op) => op.epoch !== page.epoch)) continue;
            const before = server.log.length;
            const answer = server.take([packet], ntp(t));
            const relayed = server.relay(packet, server.log.length - before, ntp(t));
            page.down.send(toBinary(InkPacketSchema, answer), t);
            for (const other of pages) if (other !== page) other.down.send(toBinary(InkPacketSchema, relayed), t);
          }
          if (t % 50 === 0) page.down.send(toBinary(InkPacketSchema, server.packet(page.ink.sheet.applied)), t);
          for (const bytes of page.down.arrivals(t)) if (t >= page.away) page.ink.handlePacket(fromBinary(InkPacketSchema, bytes), ms(t));
          page.ink.handleTimeout(ms(t));
        }
        const visible = room.ink.sheet.visible();
        for (const s of visible) expect(vanished.has(s.id), `${s.id} is back at ${t}`).toBe(false);
        const log = server.log.filter((o) => o.order <= room.ink.sheet.applied);
        const clears = log.filter((o) => o.op?.body.case === 'clearAll').length;
        if (clears < pressed || room.ink.unacknowledged > 0 || server.log.some((o) => o.op?.author === room.author && o.order > room.ink.sheet.applied)) continue;
        // No act of the room is on its way: its dry ink is the log's, to the stroke.
        expect(visible.filter((s) => s.phase === 'dry').map((s) => s.id).sort(), `at ${t}`).toEqual(server.shown(log).sort());
      }
      expect(pressed).toBeGreaterThan(2);
      for (const page of pages) page.ink.handleTimeout(ms(60_000));
      for (const page of pages) expect(page.ink.sheet.visible().map((s) => s.id).sort(), `page ${page.author}`).toEqual(server.shown().sort());
    });
  }
});

describe('a page whose clock is behind', () => {
  const BEHIND = 30;
  it('keeps what it begins on a glass that it saw cleared: the page’s time says before, its user knows better', () => {
    const page = new Room();
    page.ordered(stroke(1, 90));
    page.ordered(clear(102));
    expect(page.ink.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(110 - BEHIND), ms(110))).toBe('began');
    page.ink.penMove([{ x: 200, y: 100, pressure: 1 }], ntp(115 - BEHIND), ms(115));
    expect(page.seen, 'under the pen').toHaveLength(1);
    expect(page.ink.pollPackets(ms(116)).flatMap((p) => p.live).map((l) => l.began), 'and for all others').toEqual([ntp(103)]);
    page.ink.penUp(ntp(120 - BEHIND), ms(120));
    expect(page.ink.place({ x: 300, y: 100, pressure: 1 }, FRAME, ntp(125 - BEHIND), ms(125), { ...HOLD_PEN, tool: Tool.TEXT, making: 'place' }, 'RCA')).toBe('began');
    const said = page.ink.pollPackets(ms(126)).flatMap((p) => p.ops).map((op) => (op.body.case === 'stroke' ? op.body.value.began : null));
    expect(said).toEqual([ntp(103), ntp(103)]);
    expect(page.seen).toHaveLength(2);
  });

  it('loses what was under its pen when the clear came', () => {
    const page = new Room();
    page.ink.penDown({ x: 100, y: 100, pressure: 1 }, FRAME, ntp(110 - BEHIND), ms(110));
    page.ink.penMove([{ x: 200, y: 100, pressure: 1 }], ntp(115 - BEHIND), ms(115));
    page.ordered(clear(112));
    page.ink.penUp(ntp(120 - BEHIND), ms(120));
    expect([page.seen, page.ink.unacknowledged]).toEqual([[], 0]);
  });
});
