// What this page has to say about ink until the server has it on disk. Lives in memory only. Sans-IO: commands and
// `handle*` come in, `poll*` says what must leave and when.
//
// Every packet carries all unacknowledged ops, oldest first, as far as they fit, and of each live stroke the points from the
// last confirmed one on. So a lost packet costs one repeat (50 ms), never a retransmission timer of the transport.
import { create, toBinary } from '@bufbuild/protobuf';
import type { FrameRef, InkPacket, LiveStroke, Op, OpRefusal, StrokeKey } from '../../gen/ink_pb';
import { InkPacketSchema, LiveStrokeSchema, OpSchema, Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import { encodePoints } from '../points';
import type { PerfMs } from '../units';
import { strokeId } from './sheet';

export const INK_VERSION = 1;
/** Repeat while something is unacknowledged. */
export const REPEAT_MS = 50;
/** One datagram: fits a 1,200-byte SCTP payload with its headers. An op that alone is longer travels alone. */
export const PACKET_BYTES_MAX = 1_100;
/** Ops kept. At 30 strokes a minute: over an hour without a line. Policy: drop_newest, and the user is told. */
export const OUTBOX_MAX = 2_048;
/** Packets of one turn: 16 x 1,100 bytes per 50 ms = 350 kB/s at most. Later ops go when earlier ones are acknowledged. */
const PACKETS_PER_TURN = 16;
/** Points of one LiveStroke message: at most 7 bytes each, so 140 always fit. */
const LIVE_POINTS_MAX = 140;

interface Live {
  readonly key: StrokeKey;
  readonly width: number;
  readonly frame: FrameRef;
  readonly began: bigint;
  readonly points: Point[];
  confirmed: number;
  lifted: boolean;
  /** Once committed: the op that carries it. */
  seq: number | null;
}

interface Waiting { readonly op: Op; readonly bytes: number }

export class Outbox {
  private ops: Waiting[] = [];
  private live = new Map<string, Live>();
  private nextSeq = 1;
  private sentAt: PerfMs | null = null;
  private dirty = false;
  private haveOrder = 0n;
  private toldOrder = 0n;
  /** Every act up to this number is on disk. */
  acknowledged = 0;

  /** Author and page, given by the server. A new page begins its numbers anew. */
  constructor(readonly author: number, readonly epoch: number) {}

  get unacknowledged(): number { return this.ops.length; }
  get waiting(): readonly Op[] { return this.ops.map((w) => w.op); }

  /** Puts an act into the outbox. Null: full, the act is not taken. */
  commit(body: Op['body'], at: bigint): Op | null {
    if (this.ops.length >= OUTBOX_MAX) return null;
    const op = create(OpSchema, { author: this.author, epoch: this.epoch, seq: this.nextSeq, at, body });
    this.nextSeq += 1;
    this.ops.push({ op, bytes: toBinary(OpSchema, op).length });
    if (body.case === 'stroke' && body.value.key) {
      const live = this.live.get(strokeId(body.value.key));
      if (live) live.seq = op.seq;
    }
    this.dirty = true;
    return op;
  }

  /** Begins to send a stroke under the pen. `points` grows in place; say `touch` after adding. */
  beginLive(key: StrokeKey, width: number, frame: FrameRef, began: bigint, points: Point[]): void {
    this.live.set(strokeId(key), { key, width, frame, began, points, confirmed: 0, lifted: false, seq: null });
    this.dirty = true;
  }

  touchLive(): void { this.dirty = true; }

  liftLive(key: StrokeKey): void {
    const live = this.live.get(strokeId(key));
    if (live) live.lifted = true;
    this.dirty = true;
  }

  dropLive(key: StrokeKey): void { this.live.delete(strokeId(key)); }

  /** Acknowledgements and refusals. Returns the refusals that concerned this outbox, to be told. */
  handlePacket(packet: InkPacket): OpRefusal[] {
    for (const ack of packet.acks) {
      if (ack.author !== this.author || ack.epoch !== this.epoch) continue;
      this.acknowledged = Math.max(this.acknowledged, ack.seq);
      this.ops = this.ops.filter((w) => w.op.seq > ack.seq);
      for (const [id, live] of this.live) if (live.seq !== null && live.seq <= ack.seq) this.live.delete(id);
    }
    for (const ack of packet.liveAcks) {
      const live = ack.key ? this.live.get(strokeId(ack.key)) : undefined;
      if (live) live.confirmed = Math.max(live.confirmed, Math.min(ack.have, live.points.length));
    }
    const refused = packet.refused.filter((r) => r.author === this.author && r.epoch === this.epoch && this.ops.some((w) => w.op.seq === r.seq));
    for (const r of refused) {
      this.ops = this.ops.filter((w) => w.op.seq !== r.seq);
      for (const [id, live] of this.live) if (live.seq === r.seq) this.live.delete(id);
    }
    return refused;
  }

  /** Every order up to `order` is applied here; told to the server at once, and again with every packet. */
  handleApplied(order: bigint): void { this.haveOrder = order; }

  /** A new path: everything is said again at once, also how far this page has come. */
  handleConnection(): void {
    this.dirty = true;
    this.toldOrder = -1n;
  }

  /** Packets that must leave now; empty when nothing is new and no repeat is due. */
  pollPackets(now: PerfMs): InkPacket[] {
    const repeatDue = this.hasUnconfirmed() && (this.sentAt === null || now - this.sentAt >= REPEAT_MS);
    const news = this.dirty || this.haveOrder !== this.toldOrder;
    if (!news && !repeatDue) return [];
    const packets = this.packets();
    this.dirty = false;
    this.toldOrder = this.haveOrder;
    this.sentAt = now;
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

  private packets(): InkPacket[] {
    const empty = (): InkPacket => create(InkPacketSchema, { version: INK_VERSION, haveOrder: this.haveOrder });
    const out: InkPacket[] = [empty()];
    let room = PACKET_BYTES_MAX - 16;
    const next = (bytes: number): InkPacket | null => {
      if (bytes + 4 > room && room < PACKET_BYTES_MAX - 16) {
        if (out.length >= PACKETS_PER_TURN) return null;
        out.push(empty());
        room = PACKET_BYTES_MAX - 16;
      }
      room -= bytes + 4;
      return out.at(-1) ?? null;
    };
    for (const live of this.live.values()) {
      for (const message of liveMessages(live)) next(toBinary(LiveStrokeSchema, message).length)?.live.push(message);
    }
    for (const waiting of this.ops) {
      const packet = next(waiting.bytes);
      if (!packet) break;
      packet.ops.push(waiting.op);
    }
    return out;
  }
}

function* liveMessages(live: Live): Generator<LiveStroke> {
  for (let first = live.confirmed; first < live.points.length; first += LIVE_POINTS_MAX) {
    const points = live.points.slice(first, first + LIVE_POINTS_MAX);
    const last = first + points.length === live.points.length;
    yield create(LiveStrokeSchema, {
      key: live.key, tool: Tool.PEN, width: live.width, frame: live.frame, began: live.began, first, points: encodePoints(points), lifted: live.lifted && last,
    });
  }
}
