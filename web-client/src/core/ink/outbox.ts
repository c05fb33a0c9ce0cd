// What this page has to say about ink until the server has it on disk. Lives in memory only. Sans-IO: commands and
// `handle*` come in, `poll*` says what must leave and when.
//
// What is new goes in the next packets three times (points) or twice (ops), whatever is heard; every 50 ms all that is not
// acknowledged goes again: ops oldest first, as far as they fit, and of each live stroke the points from the last confirmed one
// on (what is older than 100 ms only once its answer is late, so that a far line does not carry the same ten times). So a lost packet
// costs nothing, a burst of lost ones one repeat, and never a retransmission timer of the transport.
import { create, toBinary } from '@bufbuild/protobuf';
import type { FrameSpan, InkPacket, LiveStroke, Op, OpRefusal, StrokeKey } from '../../gen/ink_pb';
import { InkPacketSchema, LiveStrokeSchema, OpSchema } from '../../gen/ink_pb';
import type { Point } from '../points';
import { encodePoints } from '../points';
import type { PerfMs } from '../units';
import { strokeId } from './sheet';

export const INK_VERSION = 1;
/** Repeat while something is unacknowledged. */
export const REPEAT_MS = 50;
/** One datagram: fits a 1,200-byte SCTP payload with its headers. An op that alone is longer travels alone. */
export const PACKET_BYTES_MAX = 1_100;
/** Without what every packet says of itself. */
const PACKET_ROOM = PACKET_BYTES_MAX - 20;
/** Ops kept. At 30 strokes a minute: over an hour without a line. Policy: drop_newest, and the user is told. */
export const OUTBOX_MAX = 2_048;
/** The room's veto goes through all the same: hiding ink must never wait for room. It is small, and pressed by hand. */
const VETO_MAX = OUTBOX_MAX + 256;
/** Refusals remembered as told: the server repeats them until it knows that they arrived. */
const TOLD_MAX = 1_024;
/** Packets of one turn: 16 x 1,100 bytes per 50 ms = 350 kB/s at most. Later ops go when earlier ones are acknowledged. */
const PACKETS_PER_TURN = 16;
/** Points of one LiveStroke message: at most 7 bytes each, and a span of 12 for every eighth, so 100 always fit. */
const LIVE_POINTS_MAX = 100;

/** So long points are repeated unasked. */
const UNASKED_MS = 2 * REPEAT_MS;

/** Packets that carry something new, beside the repeats. */
const POINTS_SENT = 3;
const OPS_SENT = 2;
/** However long the disk once took, an op without an answer is said again after this. */
const OPS_LATE_MS = 500;

/** What a live stroke says beside its points; said until some of its points are confirmed. */
export type LiveHead = Pick<LiveStroke, 'tool' | 'width' | 'frame' | 'began' | 'fades' | 'reference'>;

interface Live {
  readonly key: StrokeKey;
  readonly head: LiveHead;
  readonly points: Point[];
  readonly spans: FrameSpan[];
  confirmed: number;
  /** When how many points had been said, since the last that is confirmed; the oldest first. At most one entry a packet. */
  readonly said: { readonly points: number; readonly at: PerfMs }[];
  /** Points there were when each of the last packets left, the oldest first. */
  marks: number[];
  lifted: boolean;
  /** Once committed: the op that carries it. */
  seq: number | null;
}

interface Waiting { readonly op: Op; readonly bytes: number; sent: number; since: PerfMs | null }

/** Sent packets of one live stroke that are remembered: 5 s. Policy: drop_oldest. */
const SAID_MAX = 512;

export class Outbox {
  private ops: Waiting[] = [];
  private live = new Map<string, Live>();
  private abandoned: LiveStroke[] = [];
  private nextSeq = 1;
  /** When all was last said. */
  private sentAt: PerfMs | null = null;
  private dirty = false;
  private readonly told = new Set<number>();
  private haveOrder = 0n;
  private toldOrder = 0n;
  /** From points said to confirmed, and from an op said to on disk, ms, as it is where nothing is lost. Infinity: not known. */
  private readonly answer = { points: Infinity, ops: Infinity };
  /** Every act up to this number is on disk. */
  acknowledged = 0;

  /** Author and page, given by the server, and the one case that the pen is bound to. A new page begins its numbers anew. */
  constructor(readonly author: number, readonly epoch: number, readonly caseId = '') {}

  get unacknowledged(): number { return this.ops.length; }
  get waiting(): readonly Op[] { return this.ops.map((w) => w.op); }

  /** Puts an act into the outbox. Null: full, the act is not taken. */
  commit(body: Op['body'], at: bigint): Op | null {
    if (this.ops.length >= (isVeto(body) ? VETO_MAX : OUTBOX_MAX)) return null;
    const op = create(OpSchema, { author: this.author, epoch: this.epoch, seq: this.nextSeq, at, body });
    this.nextSeq += 1;
    this.ops.push({ op, bytes: toBinary(OpSchema, op).length, sent: 0, since: null });
    if (body.case === 'stroke' && body.value.key) {
      const live = this.live.get(strokeId(body.value.key));
      if (live) live.seq = op.seq;
    }
    this.dirty = true;
    return op;
  }

  /** Begins to send a stroke under the pen. `points` and `spans` grow in place; say `touch` after adding. */
  beginLive(key: StrokeKey, head: LiveHead, points: Point[], spans: FrameSpan[] = []): void {
    this.live.set(strokeId(key), { key, head, points, spans, confirmed: 0, said: [], marks: [], lifted: false, seq: null });
    this.dirty = true;
  }

  touchLive(): void { this.dirty = true; }

  liftLive(key: StrokeKey): void {
    const live = this.live.get(strokeId(key));
    if (live) live.lifted = true;
    this.dirty = true;
  }

  /** A stroke that ends without a mark: said once more, empty, so that others let go of it too. */
  abandonLive(key: StrokeKey): void {
    const live = this.live.get(strokeId(key));
    this.live.delete(strokeId(key));
    if (live) this.abandoned.push(create(LiveStrokeSchema, { ...live.head, key, first: 0, points: encodePoints([]), lifted: true }));
    this.dirty = true;
  }

  dropLive(key: StrokeKey): void { this.live.delete(strokeId(key)); }

  /** Acknowledgements and refusals. Returns the refusals that concerned this outbox, each once, to be told. */
  handlePacket(packet: InkPacket, now: PerfMs): OpRefusal[] {
    // Before acknowledgements: a refused op is acknowledged too, for it keeps its place in the order.
    const refused = packet.refused.filter((r) => r.author === this.author && r.epoch === this.epoch && r.seq < this.nextSeq && !this.told.has(r.seq));
    for (const r of refused) {
      this.told.add(r.seq);
      this.ops = this.ops.filter((w) => w.op.seq !== r.seq);
      for (const [id, live] of this.live) if (live.seq === r.seq) this.live.delete(id);
    }
    for (const seq of this.told) if (this.told.size > TOLD_MAX) this.told.delete(seq);
    for (const ack of packet.acks) {
      if (ack.author !== this.author || ack.epoch !== this.epoch) continue;
      this.acknowledged = Math.max(this.acknowledged, ack.seq);
      const newest = this.ops.findLast((w) => w.op.seq <= ack.seq);
      if (newest && newest.since !== null) this.answer.ops = lately(this.answer.ops, now - newest.since);
      this.ops = this.ops.filter((w) => w.op.seq > ack.seq);
      for (const [id, live] of this.live) if (live.seq !== null && live.seq <= ack.seq) this.live.delete(id);
    }
    for (const ack of packet.liveAcks) {
      const live = ack.key ? this.live.get(strokeId(ack.key)) : undefined;
      if (!live || ack.have <= live.confirmed) continue;
      live.confirmed = Math.min(ack.have, live.points.length);
      const first = live.said.find((s) => s.points >= live.confirmed);
      if (first) this.answer.points = lately(this.answer.points, now - first.at);
      while (live.said[0] && live.said[0].points <= live.confirmed) live.said.shift();
    }
    return refused;
  }

  /** Every order up to `order` is applied here; told to the server at once, and again with every packet. */
  handleApplied(order: bigint): void { this.haveOrder = order; }

  /** A new path: everything is said again at once, also how far this page has come. */
  handleConnection(): void {
    this.dirty = true;
    this.sentAt = null;
    this.answer.points = this.answer.ops = Infinity; // another way
    // The server may have been restarted: it knows no stroke under a pen.
    for (const live of this.live.values()) {
      live.confirmed = 0;
      live.said.length = 0;
    }
    this.toldOrder = -1n;
  }

  /** Packets that must leave now; empty when nothing is new and no repeat is due. */
  pollPackets(now: PerfMs): InkPacket[] {
    const repeatDue = this.hasUnconfirmed() && (this.sentAt === null || now - this.sentAt >= REPEAT_MS);
    const news = this.dirty || this.haveOrder !== this.toldOrder;
    if (!news && !repeatDue) return [];
    const all = repeatDue || this.sentAt === null || this.isAllNew();
    const packets = this.packets(all, now);
    this.dirty = false;
    this.toldOrder = this.haveOrder;
    if (all) this.sentAt = now;
    for (const live of this.live.values()) {
      live.marks.push(live.points.length);
      if (live.marks.length >= POINTS_SENT) live.marks.shift();
      if ((live.said.at(-1)?.points ?? live.confirmed) < live.points.length) live.said.push({ points: live.points.length, at: now });
      if (live.said.length > SAID_MAX) live.said.shift();
    }
    return packets;
  }

  /** When to poll again: at once for news, else for the repeat; null while all is confirmed. */
  pollTimeout(now: PerfMs): PerfMs | null {
    if (this.dirty || this.haveOrder !== this.toldOrder) return now;
    if (!this.hasUnconfirmed()) return null;
    return this.sentAt === null ? now : ((this.sentAt + REPEAT_MS) as PerfMs);
  }

  private hasUnconfirmed(): boolean {
    if (this.ops.length > 0) return true;
    for (const live of this.live.values()) if (live.confirmed < live.points.length) return true;
    return false;
  }

  /** All that is not acknowledged would go in the next packet anyway. */
  private isAllNew(): boolean {
    for (const live of this.live.values()) if (newFrom(live) > live.confirmed) return false;
    return this.ops.every((w) => w.sent < OPS_SENT);
  }

  /** `all`: also what has been said, and is not acknowledged. */
  private packets(all: boolean, now: PerfMs): InkPacket[] {
    const empty = (): InkPacket => create(InkPacketSchema, { version: INK_VERSION, haveOrder: this.haveOrder, caseId: this.caseId });
    const out: InkPacket[] = [empty()];
    let room = PACKET_ROOM - this.caseId.length;
    const next = (bytes: number): InkPacket | null => {
      if (bytes + 4 > room && room < PACKET_ROOM - this.caseId.length) {
        if (out.length >= PACKETS_PER_TURN) return null;
        out.push(empty());
        room = PACKET_ROOM - this.caseId.length;
      }
      room -= bytes + 4;
      return out.at(-1) ?? null;
    };
    for (const message of this.abandoned.splice(0)) out[0]?.live.push(message);
    for (const live of this.live.values()) {
      const from = all ? this.repeatFrom(live, now) : newFrom(live);
      for (const message of liveMessages(live, from, all || live.marks.length < POINTS_SENT - 1)) next(toBinary(LiveStrokeSchema, message).length)?.live.push(message);
    }
    for (const waiting of this.ops) {
      const { sent, since } = waiting;
      const ago = since === null ? 0 : now - since;
      if (sent >= OPS_SENT && !(all && (isVeto(waiting.op.body) || ago <= UNASKED_MS || ago > OPS_LATE_MS || isLate(ago, this.answer.ops)))) continue;
      const packet = next(waiting.bytes);
      if (!packet) break;
      packet.ops.push(waiting.op);
      waiting.sent += 1;
      waiting.since ??= now;
    }
    return out;
  }

  /** From the last confirmed point on; while its answer is not late, without those that were said often enough. */
  private repeatFrom(live: Live, now: PerfMs): number {
    const oldest = live.said[0];
    if (!oldest || isLate(now - oldest.at, this.answer.points)) return live.confirmed;
    const enough = live.said.findLast((s) => now - s.at > UNASKED_MS);
    return Math.max(live.confirmed, Math.min(enough?.points ?? 0, newFrom(live)));
  }
}

const isLate = (ago: number, answer: number): boolean => answer === Infinity || ago > 1.25 * answer + REPEAT_MS;

const isVeto = (body: Op['body']): boolean => body.case === 'clearAll' || body.case === 'inkOff';

/** What was lost is confirmed late, and must not make the next loss wait longer: falls at once, rises by and by. */
const lately = (before: number, now: number): number => (now < before ? now : before + (now - before) / 8);

/** The first point that has not been in enough packets yet. */
const newFrom = (live: Live): number => Math.max(live.confirmed, live.marks.length < POINTS_SENT - 1 ? 0 : live.marks[0] ?? 0);

/** `head`: also what the stroke is, until some of its points are confirmed. */
function* liveMessages(live: Live, from: number, head: boolean): Generator<LiveStroke> {
  for (let first = from; first < live.points.length; first += LIVE_POINTS_MAX) {
    const points = live.points.slice(first, first + LIVE_POINTS_MAX);
    const end = first + points.length;
    // The span in force at the first point, and those that begin among them.
    const spans = live.spans.filter((span, i) => span.first < end && (live.spans[i + 1]?.first ?? Infinity) > first);
    yield create(LiveStrokeSchema, { ...(head && live.confirmed === 0 ? live.head : {}), key: live.key, first, points: encodePoints(points), spans, lifted: live.lifted && end === live.points.length });
  }
}
