// One page's ink: its pen, its outbox and the sheet of the case. The top machine of ink in the browser, turned by hand.
// **One mutation, then poll packets and the timeout.**
import { create } from '@bufbuild/protobuf';
import type { FrameIndex } from '../../gen/frame_pb';
import type { InkPacket, OpRefusal, Snapshot, StrokeKey } from '../../gen/ink_pb';
import { ClearAllSchema, StrokeCommitSchema, StrokeKeySchema, Tool, UndoSchema } from '../../gen/ink_pb';
import { encodePoints, POINTS_MAX, simplifyPoints } from '../points';
import type { CaptureNtp, PerfMs } from '../units';
import { Outbox } from './outbox';
import type { PenSample } from './pen';
import { Pen } from './pen';
import type { Stroke } from './sheet';
import { Sheet } from './sheet';

export class InkClient {
  readonly sheet = new Sheet();
  readonly pen = new Pen();
  private outbox: Outbox | null = null;
  private orphans: Outbox | null = null;
  private nextNumber = 1;
  private current: { key: StrokeKey; began: CaptureNtp } | null = null;

  get author(): number { return this.outbox?.author ?? 0; }
  get epoch(): number { return this.outbox?.epoch ?? 0; }
  /** Number of the newest own act that is on disk; 0: none under this name. */
  get acknowledged(): number { return this.outbox?.acknowledged ?? 0; }
  get unacknowledged(): number { return (this.outbox?.unacknowledged ?? 0) + (this.orphans?.unacknowledged ?? 0); }

  /**
   * The server has named this page. The same page resumed keeps its outbox. A new name (the server forgot us): what was not
   * acknowledged waits for the snapshot, which tells what arrived after all, and the rest is said again under the new name.
   */
  handleWelcome(author: number, epoch: number): void {
    if (this.outbox && this.outbox.author === author && this.outbox.epoch === epoch) {
      this.outbox.handleConnection();
      return;
    }
    this.cancelStroke();
    if (this.outbox && this.outbox.author === author && this.outbox.unacknowledged > 0) this.orphans = this.outbox;
    this.outbox = new Outbox(author, epoch);
    this.outbox.handleApplied(this.sheet.applied);
    this.outbox.handleConnection();
    this.nextNumber = 1;
  }

  /** The path changed (channel opened, fell back to the socket): say everything again at once. */
  handlePath(): void { this.outbox?.handleConnection(); }

  /** A packet from the server. Returns own ops that were refused: their user is told. */
  handlePacket(packet: InkPacket, now: PerfMs): OpRefusal[] {
    for (const clear of packet.clears) this.handleClear(clear.upTo);
    const applied = this.sheet.handleOrdered(packet.ordered, now);
    for (const live of packet.live) if (live.key?.author !== this.author || live.key.epoch !== this.epoch) this.sheet.handleLive(live, now);
    if (packet.inkOffNow !== undefined) this.sheet.handleInkOff(packet.inkOffNow);
    const refused = this.outbox?.handlePacket(packet) ?? [];
    for (const r of refused) this.sheet.dropOwn(r.author, r.epoch, r.seq);
    if (applied) this.outbox?.handleApplied(this.sheet.applied);
    return refused;
  }

  handleSnapshot(piece: Snapshot, now: PerfMs): void {
    this.sheet.handleSnapshot(piece, now);
    this.outbox?.handleApplied(this.sheet.applied);
    if (piece.last) this.adoptOrphans(now);
  }

  /** 'unplaced': the pen is on the glass, but what lies under it, or when, is not known yet: its user is told. */
  penDown(sample: PenSample, frame: FrameIndex | null, began: CaptureNtp | null, now: PerfMs, exact = true): 'began' | 'nothing' | 'unplaced' {
    if (this.sheet.isOff) return 'nothing';
    if (!this.outbox || began === null || frame === null) return 'unplaced';
    const outcome = this.pen.penDown(sample, frame, exact);
    const state = this.pen.state;
    if (outcome !== 'began' || state.kind !== 'drawing') return outcome === 'unplaced' ? 'unplaced' : 'nothing';
    const key = create(StrokeKeySchema, { author: this.outbox.author, epoch: this.outbox.epoch, number: this.nextNumber });
    this.nextNumber += 1;
    this.current = { key, began };
    this.outbox.beginLive(key, state.surface.width, state.surface.ref, began, state.points);
    this.sheet.handleOwnWet({ key, frame: state.surface.ref, width: state.surface.width, began }, state.points, now);
    return 'began';
  }

  penMove(samples: readonly PenSample[], at: CaptureNtp | null, now: PerfMs): void {
    if (!this.current) return;
    const outcome = this.pen.penMove(samples, POINTS_MAX);
    if (outcome === 'nothing') return;
    this.sheet.touchOwnWet(this.current.key, now);
    this.outbox?.touchLive();
    if (outcome === 'ended') this.penUp(at, now);
  }

  /** Pen up: the stroke becomes an op. One that was cleared meanwhile is let go. */
  penUp(at: CaptureNtp | null, now: PerfMs): void {
    const drawn = this.pen.penUp();
    const current = this.current;
    this.current = null;
    if (!drawn || !current || !this.outbox) return;
    if (current.began <= this.sheet.cleared) {
      this.outbox.dropLive(current.key);
      this.sheet.dropWet(current.key);
      return;
    }
    this.outbox.liftLive(current.key);
    const value = create(StrokeCommitSchema, {
      key: current.key, tool: Tool.PEN, width: drawn.surface.width, frame: drawn.surface.ref, began: current.began, points: encodePoints(simplifyPoints(drawn.points)),
    });
    const op = this.outbox.commit({ case: 'stroke', value }, at ?? current.began);
    if (op) this.sheet.handleOwn(op, now);
    else this.sheet.dropWet(current.key);
  }

  /** Undoes the newest own stroke. False: there is none. */
  undo(at: CaptureNtp, now: PerfMs): boolean {
    const newest = this.ownStrokes().at(-1);
    return newest ? this.undoStroke(newest, at, now) : false;
  }

  /** Undoes every own stroke; how many there were. */
  eraseMine(at: CaptureNtp, now: PerfMs): number {
    return this.ownStrokes().filter((s) => this.undoStroke(s, at, now)).length;
  }

  /**
   * The room's clear at `at`, case timeline: hides at once, then is said. Covers every stroke seen here, also one whose author's
   * clock runs ahead. False: there is no page name yet, so it is only hidden here.
   */
  clearAll(at: CaptureNtp, now: PerfMs): boolean {
    const upTo = this.sheet.newestBegan > at ? this.sheet.newestBegan : at;
    this.handleClear(upTo);
    const op = this.outbox?.commit({ case: 'clearAll', value: create(ClearAllSchema, { upTo }) }, at);
    if (op) this.sheet.handleOwn(op, now);
    return op !== undefined && op !== null;
  }

  handleTimeout(now: PerfMs): void { this.sheet.handleTimeout(now); }
  pollPackets(now: PerfMs): InkPacket[] { return this.outbox?.pollPackets(now) ?? []; }
  pollTimeout(now: PerfMs): PerfMs | null { return this.outbox?.pollTimeout(now) ?? null; }

  private ownStrokes(): Stroke[] {
    return this.sheet.ownStrokes(this.author).sort((a, b) => (a.began < b.began ? -1 : a.began > b.began ? 1 : 0));
  }

  private undoStroke(stroke: Stroke, at: CaptureNtp, now: PerfMs): boolean {
    const key = create(StrokeKeySchema, { author: stroke.author, epoch: stroke.epoch, number: stroke.number });
    const op = this.outbox?.commit({ case: 'undo', value: create(UndoSchema, { stroke: key }) }, at);
    if (!op) return false;
    this.sheet.handleOwn(op, now);
    return true;
  }

  private handleClear(upTo: bigint): void {
    this.sheet.handleClear(upTo);
    if (this.current && this.current.began <= upTo) this.outbox?.dropLive(this.current.key);
  }

  private cancelStroke(): void {
    this.pen.penUp();
    if (this.current) this.sheet.dropWet(this.current.key);
    this.current = null;
  }

  private adoptOrphans(now: PerfMs): void {
    const orphans = this.orphans;
    const outbox = this.outbox;
    this.orphans = null;
    if (!orphans || !outbox) return;
    const renamed = new Map<number, StrokeKey>();
    for (const op of orphans.waiting) {
      this.sheet.dropOwn(op.author, op.epoch, op.seq);
      if (this.sheet.hasOp(op.author, op.epoch, op.seq)) continue;
      const body = op.body;
      if (body.case === 'stroke' && body.value.key) {
        const key = create(StrokeKeySchema, { author: outbox.author, epoch: outbox.epoch, number: this.nextNumber });
        this.nextNumber += 1;
        renamed.set(body.value.key.number, key);
        body.value.key = key;
      } else if (body.case === 'undo' && body.value.stroke?.epoch === orphans.epoch) {
        const key = renamed.get(body.value.stroke.number);
        if (key) body.value.stroke = key;
      }
      const again = outbox.commit(body, op.at);
      if (again) this.sheet.handleOwn(again, now);
    }
  }
}
