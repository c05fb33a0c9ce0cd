// All ink of the case as this page knows it: ordered ops in, strokes out, in the same way as annotation/src/sheet.rs. On top
// of what is ordered stand this page's own acts that are not yet acknowledged, and strokes still under somebody's pen.
import type { LiveStroke, Op, OrderedOp, Snapshot, StrokeCommit, StrokeKey } from '../../gen/ink_pb';
import type { Point } from '../points';
import { decodePoints, POINTS_MAX } from '../points';
import type { PerfMs } from '../units';

/** A stroke as it is drawn. `appeared`: when this page first saw it, for its label. */
export interface Stroke {
  readonly id: string;
  readonly author: number;
  readonly epoch: number;
  readonly number: number;
  readonly feed: string;
  /** Line width, 1/16384 of the picture's width. */
  readonly width: number;
  readonly began: bigint;
  readonly points: readonly Point[];
  readonly appeared: PerfMs;
  /** wet: under the pen; pending: committed here, not yet ordered; dry: ordered. */
  readonly phase: 'wet' | 'pending' | 'dry';
}

interface Wet { stroke: Stroke; points: Point[]; touched: PerfMs }

/** A live stroke that nobody continues is let go after this; its commit, if it comes, still shows. */
const WET_IDLE_MS = 10_000;
/** Live strokes of others, and ordered ops waiting for an earlier one. Policy: drop_newest; both come again. */
const WET_MAX = 64;
const HELD_MAX = 512;

export const strokeId = (key: StrokeKey): string => `${key.author}.${key.epoch}.${key.number}`;
const opId = (author: number, epoch: number, seq: number): string => `${author}.${epoch}.${seq}`;

export class Sheet {
  /** Every order up to this is applied. */
  applied = 0n;
  /** Rises with every change of what is to be drawn. */
  revision = 0;
  private dry = new Map<string, Stroke>();
  private pending = new Map<string, Op>();
  private wet = new Map<string, Wet>();
  private undone = new Set<string>();
  private committed = new Set<string>();
  private heads = new Map<string, number>();
  private held = new Map<bigint, OrderedOp>();
  private clearedUpTo = 0n;
  private off = false;
  private newest = 0n;

  /** The newest `began` of any stroke seen here, its author's clock a little ahead of ours or not. */
  get newestBegan(): bigint { return this.newest; }
  get isOff(): boolean { return this.off; }
  get cleared(): bigint { return this.clearedUpTo; }

  /** Ordered ops of a packet. A gap waits for the server's repeat. True: something new was applied. */
  handleOrdered(ops: readonly OrderedOp[], now: PerfMs): boolean {
    const before = this.applied;
    for (const one of ops) if (one.order > this.applied && this.held.size < HELD_MAX) this.held.set(one.order, one);
    for (let next = this.held.get(this.applied + 1n); next; next = this.held.get(this.applied + 1n)) {
      this.held.delete(next.order);
      this.apply(next, now);
    }
    for (const order of this.held.keys()) if (order <= this.applied) this.held.delete(order);
    return this.applied !== before;
  }

  /** One piece of the whole ink, ascending; the last covers everything up to its `upTo`. */
  handleSnapshot(piece: Snapshot, now: PerfMs): void {
    for (const one of piece.ops) if (one.order > this.applied) this.apply(one, now);
    if (piece.last && piece.upTo > this.applied) this.applied = piece.upTo;
    this.handleOrdered([], now);
    this.revision += 1;
  }

  /** Relayed points of somebody's stroke. Points land at their index, twice if need be; a hole is bridged until it is filled. */
  handleLive(live: LiveStroke, now: PerfMs): void {
    const key = live.key;
    const frame = live.frame;
    const points = live.points ? decodePoints(live.points) : [];
    if (!key || !frame || !points || live.first > POINTS_MAX || live.first + points.length > POINTS_MAX) return;
    const id = strokeId(key);
    if (live.began > this.newest) this.newest = live.began;
    if (live.lifted && live.first === 0 && points.length === 0) {
      // The server's last word on a stroke that its author abandoned: no commit follows.
      if (this.wet.delete(id)) this.revision += 1;
      return;
    }
    if (live.began <= this.clearedUpTo || this.committed.has(id) || this.undone.has(id)) return;
    let wet = this.wet.get(id);
    if (!wet) {
      if (this.wet.size >= WET_MAX) return;
      const stroke: Stroke = {
        id, author: key.author, epoch: key.epoch, number: key.number, feed: frame.feed, width: live.width, began: live.began, points: [], appeared: now, phase: 'wet',
      };
      wet = { stroke, points: [], touched: now };
      this.wet.set(id, wet);
    }
    points.forEach((p, i) => { if (wet) wet.points[live.first + i] = p; });
    wet.touched = now;
    this.revision += 1;
  }

  /** The room's clear, at once: also what arrives later, if it was begun before. */
  handleClear(upTo: bigint): void {
    if (upTo <= this.clearedUpTo) return;
    this.clearedUpTo = upTo;
    for (const [id, s] of this.dry) if (s.began <= upTo) this.dry.delete(id);
    for (const [id, w] of this.wet) if (w.stroke.began <= upTo) this.wet.delete(id);
    this.revision += 1;
  }

  handleInkOff(off: boolean): void {
    if (off !== this.off) this.revision += 1;
    this.off = off;
  }

  /** An act of this page, shown before it is acknowledged. */
  handleOwn(op: Op, now: PerfMs): void {
    this.pending.set(opId(op.author, op.epoch, op.seq), op);
    if (op.body.case === 'stroke' && op.body.value.key) {
      const id = strokeId(op.body.value.key);
      this.appeared.set(id, this.wet.get(id)?.stroke.appeared ?? now);
      this.wet.delete(id);
    }
    if (op.body.case === 'clearAll') this.handleClear(op.body.value.upTo);
    if (op.body.case === 'inkOff') this.off = op.body.value.off;
    this.revision += 1;
  }

  /** An own op that will never be taken, or that goes on under another key. */
  dropOwn(author: number, epoch: number, seq: number): void {
    if (this.pending.delete(opId(author, epoch, seq))) this.revision += 1;
  }

  /** This page's own stroke under its own pen: drawn from `points`, which may grow. */
  handleOwnWet(commit: Pick<StrokeCommit, 'key' | 'frame' | 'width' | 'began'>, points: Point[], now: PerfMs): void {
    if (!commit.key || !commit.frame) return;
    const id = strokeId(commit.key);
    const stroke: Stroke = {
      id, author: commit.key.author, epoch: commit.key.epoch, number: commit.key.number, feed: commit.frame.feed, width: commit.width, began: commit.began, points, appeared: now, phase: 'wet',
    };
    this.wet.set(id, { stroke, points, touched: now });
    this.revision += 1;
  }

  touchOwnWet(key: StrokeKey, now: PerfMs): void {
    const wet = this.wet.get(strokeId(key));
    if (wet) wet.touched = now;
    this.revision += 1;
  }

  dropWet(key: StrokeKey): void {
    if (this.wet.delete(strokeId(key))) this.revision += 1;
  }

  /** Lets go of live strokes that stopped. */
  handleTimeout(now: PerfMs): void {
    for (const [id, w] of this.wet) {
      if (now - w.touched >= WET_IDLE_MS) {
        this.wet.delete(id);
        this.revision += 1;
      }
    }
  }

  /** Whether the ordered log holds this op. */
  hasOp(author: number, epoch: number, seq: number): boolean {
    return (this.heads.get(`${author}.${epoch}`) ?? 0) >= seq;
  }

  /** What is to be drawn: committed strokes in order, own unacknowledged after them, then strokes under the pen. */
  visible(): Stroke[] {
    if (this.off) return [];
    const undoing = new Set<string>();
    for (const op of this.pending.values()) if (op.body.case === 'undo' && op.body.value.stroke) undoing.add(strokeId(op.body.value.stroke));
    const out: Stroke[] = [];
    for (const s of this.dry.values()) if (!undoing.has(s.id)) out.push(s);
    for (const op of this.pending.values()) {
      if (op.body.case !== 'stroke' || !op.body.value.key) continue;
      const id = strokeId(op.body.value.key);
      if (this.dry.has(id) || undoing.has(id) || op.body.value.began <= this.clearedUpTo) continue;
      const stroke = this.strokeOf(op.body.value, 'pending');
      if (stroke) out.push(stroke);
    }
    for (const w of this.wet.values()) out.push({ ...w.stroke, points: w.points.filter(Boolean) });
    return out;
  }

  /** Own strokes that can be undone, oldest first. */
  ownStrokes(author: number): Stroke[] {
    return this.visible().filter((s) => s.author === author && s.phase !== 'wet');
  }

  private appeared = new Map<string, PerfMs>();

  private strokeOf(commit: StrokeCommit, phase: Stroke['phase']): Stroke | null {
    const points = commit.points ? decodePoints(commit.points) : null;
    if (!commit.key || !commit.frame || !points) return null;
    const id = strokeId(commit.key);
    return {
      id, author: commit.key.author, epoch: commit.key.epoch, number: commit.key.number, feed: commit.frame.feed, width: commit.width, began: commit.began, points,
      appeared: this.appeared.get(id) ?? (0 as PerfMs), phase,
    };
  }

  private apply(ordered: OrderedOp, now: PerfMs): void {
    this.applied = ordered.order;
    this.revision += 1;
    const op = ordered.op;
    if (!op) return;
    const page = `${op.author}.${op.epoch}`;
    this.heads.set(page, Math.max(this.heads.get(page) ?? 0, op.seq));
    this.pending.delete(opId(op.author, op.epoch, op.seq));
    switch (op.body.case) {
      case 'stroke': {
        const commit = op.body.value;
        if (!commit.key) return;
        const id = strokeId(commit.key);
        if (commit.began > this.newest) this.newest = commit.began;
        this.committed.add(id);
        if (!this.appeared.has(id)) this.appeared.set(id, this.wet.get(id)?.stroke.appeared ?? now);
        this.wet.delete(id);
        const stroke = commit.began > this.clearedUpTo && !this.undone.has(id) ? this.strokeOf(commit, 'dry') : null;
        if (stroke) this.dry.set(id, stroke);
        return;
      }
      case 'undo': {
        if (!op.body.value.stroke) return;
        const id = strokeId(op.body.value.stroke);
        this.undone.add(id);
        this.dry.delete(id);
        this.wet.delete(id);
        return;
      }
      case 'clearAll': return this.handleClear(op.body.value.upTo);
      case 'inkOff': this.off = op.body.value.off; return;
      case 'pin': case 'lead': case 'grant': case 'rebase': return;
      case undefined: return; // void: refused in its place, or of a later version
      default: return unreachable(op.body);
    }
  }
}

function unreachable(value: never): void { void value; }
