// For tests of ink: a small server with the rules of annotation/src/sequencer.rs, and a link that loses, doubles and swaps.
import { clone, create } from '@bufbuild/protobuf';
import type { InkPacket, OpRefusal, OrderedOp, Snapshot } from '../../gen/ink_pb';
import { InkPacketSchema, LiveStrokeSchema, OpAckSchema, OpRefusalSchema, OpSchema, OrderedOpSchema, SnapshotSchema } from '../../gen/ink_pb';
import { strokeId } from './sheet';

/** Only the next op of a page is taken, old ones are acknowledged again, gaps wait. */
export class Server {
  log: OrderedOp[] = [];
  /** Every clear is refused: it keeps its place as a void. */
  refusesClears = false;
  private readonly heads = new Map<string, number>();
  /** When each stroke under a pen began, as this server knows it. */
  private readonly began = new Map<string, bigint>();

  /** `now`: its own time, which limits every time said; null: times count as they are said. */
  take(packets: readonly InkPacket[], now: bigint | null = null): InkPacket {
    const acks = new Map<string, { author: number; epoch: number }>();
    const refused: OpRefusal[] = [];
    let have = 0n;
    for (const packet of packets) {
      have = packet.haveOrder;
      for (const said of packet.ops) {
        const page = `${said.author}.${said.epoch}`;
        acks.set(page, said);
        if (said.seq !== (this.heads.get(page) ?? 0) + 1) continue;
        this.heads.set(page, said.seq);
        const op = clone(OpSchema, said);
        if (op.body.case === 'stroke') op.body.value.began = this.beganOf(op.body.value, now);
        if (op.body.case === 'clearAll') {
          op.body.value.upTo = earlier(op.body.value.upTo, now);
          if (this.refusesClears) {
            op.body = { case: undefined };
            refused.push(create(OpRefusalSchema, { author: op.author, epoch: op.epoch, seq: op.seq, code: 'ink.room-only' }));
          }
        }
        this.log.push(create(OrderedOpSchema, { order: BigInt(this.log.length + 1), received: now ?? 0n, op }));
      }
    }
    const { ordered, lastOrder } = this.packet(have);
    return create(InkPacketSchema, { version: 1, ordered, lastOrder, refused, acks: [...acks].map(([page, { author, epoch }]) => create(OpAckSchema, { author, epoch, seq: this.heads.get(page) ?? 0 })) });
  }

  /** What goes to the other pages at once: points under the pen, and the clears among the ops just taken, the last `taken` of the log. */
  relay(packet: InkPacket, taken: number, now: bigint): InkPacket {
    const live = packet.live.filter((one) => one.frame).map((one) => {
      const began = this.beganOf(one, now);
      if (one.key) this.began.set(strokeId(one.key), began);
      return { ...clone(LiveStrokeSchema, one), began };
    });
    const clears = this.log.slice(this.log.length - taken).flatMap((o) => (o.op?.body.case === 'clearAll' ? [o.op.body.value] : []));
    return create(InkPacketSchema, { version: 1, live: live.filter((one) => one.began > this.cleared()), clears });
  }

  packet(have: bigint): InkPacket {
    return create(InkPacketSchema, { version: 1, ordered: this.log.filter((o) => o.order > have).slice(0, 8), lastOrder: BigInt(this.log.length) });
  }

  /** The whole log. */
  snapshot(): Snapshot { return create(SnapshotSchema, { version: 1, ops: this.log, upTo: BigInt(this.log.length), last: true }); }

  /** What the log amounts to, in pieces of `size` ops: strokes that show, the clear in force, and each page's newest op as a void. */
  pieces(size: number): Snapshot[] {
    const shown = new Set(this.shown());
    const cleared = this.cleared();
    const clear = this.log.find((o) => o.op?.body.case === 'clearAll' && o.op.body.value.upTo === cleared);
    const ops = this.log.flatMap((one) => {
      const { op } = one;
      if (!op) return [];
      if (one === clear || (op.body.case === 'stroke' && op.body.value.key && shown.has(strokeId(op.body.value.key)))) return [one];
      if (this.heads.get(`${op.author}.${op.epoch}`) !== op.seq) return [];
      return [create(OrderedOpSchema, { order: one.order, received: one.received, op: { author: op.author, epoch: op.epoch, seq: op.seq, at: op.at } })];
    });
    const n = Math.max(1, Math.ceil(ops.length / size));
    return Array.from({ length: n }, (_, i) => create(SnapshotSchema, { version: 1, ops: ops.slice(i * size, (i + 1) * size), upTo: BigInt(this.log.length), last: i + 1 === n }));
  }

  /** Ids of the strokes shown once `log` is applied, as annotation/src/sheet.rs has it. */
  shown(log: readonly OrderedOp[] = this.log): string[] {
    const cleared = this.cleared(log);
    const undone = new Set(log.map((o) => (o.op?.body.case === 'undo' && o.op.body.value.stroke ? strokeId(o.op.body.value.stroke) : '')));
    return log.flatMap((o) => {
      const stroke = o.op?.body.case === 'stroke' ? o.op.body.value : null;
      return stroke?.key && stroke.began > cleared && !undone.has(strokeId(stroke.key)) ? [strokeId(stroke.key)] : [];
    });
  }

  private cleared(log: readonly OrderedOp[] = this.log): bigint {
    return log.reduce((newest, o) => (o.op?.body.case === 'clearAll' && o.op.body.value.upTo > newest ? o.op.body.value.upTo : newest), 0n);
  }

  /** A clock ahead makes no ink that a clear cannot reach, and a commit began when its first point was seen. */
  private beganOf({ key, began }: { key?: Parameters<typeof strokeId>[0] | undefined; began: bigint }, now: bigint | null): bigint {
    return earlier(began, (key && this.began.get(strokeId(key))) ?? now);
  }
}

const earlier = (said: bigint, limit: bigint | null): bigint => (limit !== null && said > limit ? limit : said);

/** Loses a fifth, doubles a tenth, delays by 5 to 90 ms so that packets swap places. */
export class Link {
  private flying: { at: number; bytes: Uint8Array }[] = [];
  constructor(private readonly random: () => number) {}
  send(bytes: Uint8Array, t: number): void {
    if (this.random() < 0.2) return;
    const copies = this.random() < 0.1 ? 2 : 1;
    for (let i = 0; i < copies; i += 1) this.flying.push({ at: t + 5 + this.random() * 85, bytes });
  }
  arrivals(t: number): Uint8Array[] {
    const here = this.flying.filter((f) => f.at <= t).sort((a, b) => a.at - b.at);
    this.flying = this.flying.filter((f) => f.at > t);
    return here.map((f) => f.bytes);
  }
}

export function generator(seed: number): () => number {
  let s = seed * 2_654_435_761;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
