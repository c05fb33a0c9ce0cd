// All ink of the case as this page knows it: ordered ops in, strokes out, in the same way as annotation/src/sheet.rs. On top
// of what is ordered stand this page's own acts that are not yet acknowledged, and strokes still under somebody's pen.
import type { FrameRef, FrameSpan, LiveStroke, Op, OrderedOp, Reference, Snapshot, StrokeCommit, StrokeKey, Tool } from '../../gen/ink_pb';
import type { Point } from '../points';
import { decodePoints, POINTS_MAX } from '../points';
import type { PerfMs } from '../units';
import { isGone } from './fade';
import type { MovedSpan } from './moved';
import { movedPoints } from './moved';

/** A stroke as it is drawn. `appeared`: when this page first saw it, for its label. */
export interface Stroke {
  readonly id: string;
  readonly author: number;
  readonly epoch: number;
  readonly number: number;
  readonly tool: Tool;
  readonly feed: string;
  /** The frame it was drawn on, and on what of it. */
  readonly frame: FrameRef;
  /** Line width, 1/16384 of the picture's width. */
  readonly width: number;
  readonly began: bigint;
  /** On the stroke's own frame, once the tracker has moved them there; until then as drawn, by `spans`. */
  readonly points: readonly Point[];
  readonly spans: readonly FrameSpan[];
  readonly text: string;
  readonly reference: Reference | undefined;
  readonly fades: boolean;
  /** When the server took it, case time; null: not yet. */
  readonly received: bigint | null;
  /** From when it fades, case time; null: it stays, or is not yet taken by the server. */
  readonly fadeFrom: bigint | null;
  readonly pinned: boolean;
  readonly appeared: PerfMs;
  /** wet: under the pen; pending: committed here, not yet ordered; dry: ordered. */
  readonly phase: 'wet' | 'pending' | 'dry';
}

interface Wet { stroke: Stroke; points: Point[]; spans: FrameSpan[]; touched: PerfMs }

/** A live stroke that nobody continues is let go after this; its commit, if it comes, still shows. */
const WET_IDLE_MS = 10_000;
/** Live strokes of others, and ordered ops waiting for an earlier one. Policy: drop_newest; both come again. */
const WET_MAX = 64;
const HELD_MAX = 512;

/** What has faded is kept for so long after, NTP 32.32: whoever counts the marks of the last minutes (benches) finds them. 300 at most where people draw a lot. */
const KEPT_GONE = 300n << 32n;

export const strokeId = (key: StrokeKey): string => `${key.author}.${key.epoch}.${key.number}`;
const opId = (author: number, epoch: number, seq: number): string => `${author}.${epoch}.${seq}`;

export class Sheet {
  /** Every order up to this is applied. */
  applied = 0n;
  /** Rises with every change of what is to be drawn. */
  revision = 0;
  private dry = new Map<string, Stroke>();
  private shown: { revision: number; strokes: readonly Stroke[] } = { revision: -1, strokes: [] };
  private pending = new Map<string, Op>();
  private wet = new Map<string, Wet>();
  private undone = new Set<string>();
  /** Every stroke of the log so far, and its order. */
  private committed = new Map<string, bigint>();
  private heads = new Map<string, number>();
  private held = new Map<bigint, OrderedOp>();
  /** The server's bound of all clears it told of: what was begun by then is gone for good. */
  private clearedUpTo = 0n;
  /** Own clears that it has not placed yet: they hide, and throw nothing away. */
  private hiddenUpTo = 0n;
  private untoldUpTo = 0n;
  /** Strokes of the whole ink while its pieces come: those up to its order that it does not name are shown no more. */
  private whole: Set<string> | null = null;
  private off = false;
  private newest = 0n;
  /** Newest `received` of the log, which never goes back. */
  private received = 0n;

  /** The newest `began` of any stroke seen here, its author's clock a little ahead of ours or not. */
  get newestBegan(): bigint { return this.newest; }
  get isOff(): boolean { return this.off; }
  /** What was begun at or before this is not shown: by the server's word, or by an own clear until that word comes. */
  get cleared(): bigint { return this.clearedUpTo > this.hiddenUpTo ? this.clearedUpTo : this.hiddenUpTo; }

  /** Ordered ops of a packet. A gap waits for the server's repeat. True: something new was applied. */
  handleOrdered(ops: readonly OrderedOp[], now: PerfMs): boolean {
    const before = this.applied;
    for (const one of ops) if (one.order > this.applied && this.held.size < HELD_MAX) this.held.set(one.order, one);
    this.follow(now);
    if (this.applied !== before && this.whole === null) this.settle();
    return this.applied !== before;
  }

  private follow(now: PerfMs): void {
    for (let next = this.held.get(this.applied + 1n); next; next = this.held.get(this.applied + 1n)) {
      this.held.delete(next.order);
      this.apply(next, now);
    }
    for (const order of this.held.keys()) if (order <= this.applied) this.held.delete(order);
  }

  /** A new connection: the whole ink comes from its beginning, also where the one before broke off in it. */
  handleConnection(): void { this.whole = null; }

  /** One piece of the whole ink, ascending; the last covers everything up to its `upTo`. It leaves out what was undone, and the undoing. */
  handleSnapshot(piece: Snapshot, now: PerfMs): void {
    const whole = this.whole ?? new Set<string>();
    this.whole = piece.last ? null : whole;
    for (const one of piece.ops) {
      if (one.op?.body.case === 'stroke' && one.op.body.value.key) whole.add(strokeId(one.op.body.value.key));
      if (one.order > this.applied) this.apply(one, now);
    }
    if (piece.last) {
      if (piece.upTo > this.applied) this.applied = piece.upTo;
      for (const id of this.dry.keys()) if ((this.committed.get(id) ?? 0n) <= piece.upTo && !whole.has(id)) this.dry.delete(id);
    }
    this.follow(now);
    // Not before all of it is there: an own clear may be a void in one piece and the clear that went over it in the next.
    if (piece.last) this.settle();
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
      const stroke: Stroke = { ...keyOf(key), ...drawnOf(live, frame), points: [], spans: [], text: '', received: null, fadeFrom: null, pinned: false, appeared: now, phase: 'wet' };
      wet = { stroke, points: [], spans: [], touched: now };
      this.wet.set(id, wet);
    }
    for (const span of live.spans) if (!wet.spans.some((known) => known.first === span.first)) wet.spans.push(span);
    points.forEach((p, i) => { if (wet) wet.points[live.first + i] = p; });
    wet.touched = now;
    this.revision += 1;
  }

  /** The room's clear as the server told it, at once: also what arrives later, if it was begun before. */
  handleClear(upTo: bigint): void {
    if (upTo <= this.clearedUpTo) return;
    this.clearedUpTo = upTo;
    for (const [id, s] of this.dry) if (s.began <= upTo) this.dry.delete(id);
    for (const [id, w] of this.wet) if (w.stroke.began <= upTo) this.wet.delete(id);
    this.revision += 1;
  }

  /**
   * An own clear that is in no outbox yet; 0: none. Like one on its way it hides and no more: its bound is this page's, whose clock may run
   * ahead, and the server limits it to its own time. What others go on seeing must come back here.
   */
  handleUntoldClear(upTo: bigint): void {
    this.untoldUpTo = upTo;
    this.hide();
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
    if (op.body.case === 'clearAll') this.hide();
    if (op.body.case === 'inkOff') this.off = op.body.value.off;
    this.revision += 1;
  }

  /** An own op that will never be taken, or that goes on under another key. */
  dropOwn(author: number, epoch: number, seq: number): void {
    if (!this.pending.delete(opId(author, epoch, seq))) return;
    this.hide();
    this.revision += 1;
  }

  /** This page's own stroke under its own pen: drawn from `points` and `spans`, which may grow. */
  handleOwnWet(commit: Omit<StrokeCommit, 'points' | '$typeName'>, points: Point[], spans: FrameSpan[], now: PerfMs): void {
    if (!commit.key || !commit.frame) return;
    const stroke: Stroke = { ...keyOf(commit.key), ...drawnOf(commit, commit.frame), points, spans, text: commit.text, received: null, fadeFrom: null, pinned: false, appeared: now, phase: 'wet' };
    this.wet.set(stroke.id, { stroke, points, spans, touched: now });
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

  /** What is to be drawn at `at`, case time: committed strokes in order, own unacknowledged after them, then those under the pen. */
  visible(at: bigint | null = null): readonly Stroke[] {
    const all = this.strokes();
    return all.some((s) => isGone(s.fadeFrom, at)) ? all.filter((s) => !isGone(s.fadeFrom, at)) : all;
  }

  /** The same with those that have faded in the last minutes, which a pin set in time may bring back. */
  strokes(): readonly Stroke[] {
    if (this.shown.revision !== this.revision) this.shown = { revision: this.revision, strokes: this.off ? [] : this.list() };
    return this.shown.strokes;
  }

  /**
   * Own acts that have their place in the order need no standing in. What has long faded by the log's own clock is let go, as the log's state does at
   * once (AN17): else all that ever faded would be looked through with each painting, for the whole case.
   */
  private settle(): void {
    for (const [id, s] of this.dry) if (isGone(s.fadeFrom, this.received - KEPT_GONE)) this.dry.delete(id);
    let settled = false;
    for (const [id, op] of this.pending) if (this.hasOp(op.author, op.epoch, op.seq)) settled = this.pending.delete(id) || settled;
    if (!settled) return;
    this.hide();
    this.revision += 1;
  }

  private hide(): void {
    let upTo = this.untoldUpTo;
    for (const { body } of this.pending.values()) if (body.case === 'clearAll' && body.value.upTo > upTo) upTo = body.value.upTo;
    if (upTo !== this.hiddenUpTo) this.revision += 1;
    this.hiddenUpTo = upTo;
  }

  private list(): Stroke[] {
    const { cleared } = this;
    const undoing = new Set<string>();
    const pins = new Map<string, boolean>();
    for (const op of this.pending.values()) {
      if (op.body.case === 'undo' && op.body.value.stroke) undoing.add(strokeId(op.body.value.stroke));
      if (op.body.case === 'pin' && op.body.value.stroke) pins.set(strokeId(op.body.value.stroke), op.body.value.pinned);
    }
    const out: Stroke[] = [];
    for (const s of this.dry.values()) {
      const pin = pins.get(s.id);
      if (s.began > cleared && !undoing.has(s.id)) out.push(pin === undefined ? s : { ...s, fadeFrom: pin ? null : s.received, pinned: pin });
    }
    for (const op of this.pending.values()) {
      if (op.body.case !== 'stroke' || !op.body.value.key) continue;
      const id = strokeId(op.body.value.key);
      if (this.dry.has(id) || undoing.has(id) || op.body.value.began <= cleared) continue;
      const stroke = this.strokeOf(op.body.value, 'pending', null);
      if (stroke) out.push({ ...stroke, pinned: pins.get(id) ?? false });
    }
    for (const w of this.wet.values()) if (w.stroke.began > cleared) out.push({ ...w.stroke, points: w.points.filter(Boolean), spans: w.spans });
    return out;
  }

  /** Own strokes that can be undone, oldest first. */
  ownStrokes(author: number): Stroke[] {
    return this.strokes().filter((s) => s.author === author && s.phase !== 'wet');
  }

  private appeared = new Map<string, PerfMs>();

  private strokeOf(commit: StrokeCommit, phase: Stroke['phase'], received: bigint | null): Stroke | null {
    const points = commit.points ? decodePoints(commit.points) : null;
    if (!commit.key || !commit.frame || !points) return null;
    const key = keyOf(commit.key);
    return {
      ...key, ...drawnOf(commit, commit.frame), points, spans: commit.spans, text: commit.text, received, fadeFrom: commit.fades ? received : null, pinned: false,
      appeared: this.appeared.get(key.id) ?? (0 as PerfMs), phase,
    };
  }

  private apply(ordered: OrderedOp, now: PerfMs): void {
    this.applied = ordered.order;
    if (ordered.received > this.received) this.received = ordered.received;
    this.revision += 1;
    const op = ordered.op;
    if (!op) return;
    const page = `${op.author}.${op.epoch}`;
    this.heads.set(page, Math.max(this.heads.get(page) ?? 0, op.seq));
    switch (op.body.case) {
      case 'stroke': {
        const commit = op.body.value;
        if (!commit.key) return;
        const id = strokeId(commit.key);
        if (commit.began > this.newest) this.newest = commit.began;
        this.committed.set(id, ordered.order);
        if (!this.appeared.has(id)) this.appeared.set(id, this.wet.get(id)?.stroke.appeared ?? now);
        this.wet.delete(id);
        const stroke = commit.began > this.clearedUpTo && !this.undone.has(id) ? this.strokeOf(commit, 'dry', ordered.received) : null;
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
      case 'pin': {
        const stroke = op.body.value.stroke && this.dry.get(strokeId(op.body.value.stroke));
        // What had faded when the server took the pin stays gone.
        if (!stroke || isGone(stroke.fadeFrom, ordered.received)) return;
        const { pinned } = op.body.value;
        this.dry.set(stroke.id, { ...stroke, pinned, fadeFrom: pinned ? null : stroke.received });
        return;
      }
      case 'rebase': {
        const stroke = op.body.value.stroke && this.dry.get(strokeId(op.body.value.stroke));
        if (stroke) this.dry.set(stroke.id, { ...stroke, points: movedPoints(stroke.points, op.body.value.spans as readonly MovedSpan[]), spans: [] });
        return;
      }
      case 'lead': case 'grant': return; // who may draw stands in the list of who is present
      case undefined: return; // void: refused in its place, or of a later version
      default: return unreachable(op.body);
    }
  }
}

const keyOf = (key: StrokeKey): Pick<Stroke, 'id' | 'author' | 'epoch' | 'number'> => ({ id: strokeId(key), author: key.author, epoch: key.epoch, number: key.number });

function drawnOf(of: Pick<StrokeCommit, 'tool' | 'width' | 'began' | 'fades' | 'reference'>, frame: FrameRef): Pick<Stroke, 'tool' | 'feed' | 'frame' | 'width' | 'began' | 'fades' | 'reference'> {
  return { tool: of.tool, feed: frame.feed, frame, width: of.width, began: of.began, fades: of.fades, reference: of.reference };
}

function unreachable(value: never): void { void value; }
