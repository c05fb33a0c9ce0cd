// One page's ink: its pen, its outbox and the sheet of the case. The top machine of ink in the browser, turned by hand.
// **One mutation, then poll packets and the timeout.**
import { create } from '@bufbuild/protobuf';
import type { FrameIndex } from '../../gen/frame_pb';
import type { InkPacket, Op, OpRefusal, Snapshot, StrokeKey } from '../../gen/ink_pb';
import { ClearAllSchema, GrantSchema, InkOffSchema, LeadSchema, PinSchema, StrokeCommitSchema, StrokeKeySchema, UndoSchema } from '../../gen/ink_pb';
import { encodePoints, POINTS_MAX } from '../points';
import type { CaptureNtp, PerfMs } from '../units';
import { isGone } from './fade';
import type { LiveHead } from './outbox';
import { Outbox } from './outbox';
import type { Drawn, Hold, PenSample } from './pen';
import { HOLD_PEN, Pen } from './pen';
import type { Stroke } from './sheet';
import { Sheet, strokeId } from './sheet';

export class InkClient {
  readonly sheet = new Sheet();
  readonly pen = new Pen();
  private outbox: Outbox | null = null;
  private orphans: Outbox[] = [];
  /** A clear that no outbox took: there was no page name yet, or no room. Hidden here already. */
  private untold: { upTo: bigint; at: CaptureNtp; pressed: PerfMs } | null = null;
  private nextNumber = 1;
  private current: { key: StrokeKey; began: CaptureNtp } | null = null;

  get author(): number { return this.outbox?.author ?? 0; }
  get epoch(): number { return this.outbox?.epoch ?? 0; }
  /** Number of the newest own act that is on disk; 0: none under this name. */
  get acknowledged(): number { return this.outbox?.acknowledged ?? 0; }
  get unacknowledged(): number { return this.orphans.reduce((n, o) => n + o.unacknowledged, this.outbox?.unacknowledged ?? 0); }

  /**
   * The server has named this page. The same page resumed keeps its outbox. A new name (the server forgot us): what was not
   * acknowledged waits for the snapshot, which tells what arrived after all, and the rest is said again under the new name.
   */
  handleWelcome(author: number, epoch: number, caseId = ''): void {
    this.sheet.handleConnection();
    if (this.outbox && this.outbox.author === author && this.outbox.epoch === epoch) {
      this.outbox.handleConnection();
      return;
    }
    this.penCancel();
    for (const old of this.outbox ? [...this.orphans.splice(0), this.outbox] : []) {
      if (old.author === author && old.unacknowledged > 0) this.orphans.push(old);
      // Somebody else's acts are nobody's to say: what they hid or showed here ends.
      else for (const op of old.waiting) this.sheet.dropOwn(op.author, op.epoch, op.seq);
    }
    this.outbox = new Outbox(author, epoch, caseId);
    this.outbox.handleApplied(this.sheet.applied);
    this.outbox.handleConnection();
    this.nextNumber = 1;
    this.sayUntold();
  }

  /** The path changed (channel opened, fell back to the socket): say everything again at once. */
  handlePath(): void { this.outbox?.handleConnection(); }

  /** A packet from the server. Returns own ops that were refused: their user is told. */
  handlePacket(packet: InkPacket, now: PerfMs): OpRefusal[] {
    for (const clear of packet.clears) this.handleClear(clear.upTo);
    const applied = this.sheet.handleOrdered(packet.ordered, now);
    for (const live of packet.live) if (live.key?.author !== this.author || live.key.epoch !== this.epoch) this.sheet.handleLive(live, now);
    if (packet.inkOffNow !== undefined) this.sheet.handleInkOff(packet.inkOffNow);
    const refused = this.outbox?.handlePacket(packet, now) ?? [];
    for (const r of refused) this.sheet.dropOwn(r.author, r.epoch, r.seq);
    if (applied) this.outbox?.handleApplied(this.sheet.applied);
    this.sayUntold();
    return refused;
  }

  handleSnapshot(piece: Snapshot, now: PerfMs): void {
    this.sheet.handleSnapshot(piece, now);
    this.outbox?.handleApplied(this.sheet.applied);
    if (piece.last) this.adoptOrphans(now);
  }

  /** 'unplaced': the pen is on the glass, but what lies under it, or when, is not known yet: its user is told. */
  penDown(sample: PenSample, frame: FrameIndex | null, began: CaptureNtp | null, now: PerfMs, hold: Hold = HOLD_PEN): 'began' | 'nothing' | 'unplaced' {
    if (this.sheet.isOff) return 'nothing';
    if (!this.outbox || began === null || frame === null) return 'unplaced';
    const outcome = this.pen.penDown(sample, frame, hold);
    const { state } = this.pen;
    const from = this.afterClear(began);
    if (outcome !== 'began' || state.kind !== 'drawing') return outcome === 'unplaced' ? 'unplaced' : 'nothing';
    const key = this.nextKey(this.outbox);
    const head: LiveHead = { tool: hold.tool, width: state.surface.width, frame: state.surface.ref, began: from, fades: hold.fades, ...(hold.reference ? { reference: hold.reference } : {}) };
    this.current = { key, began: from };
    this.outbox.beginLive(key, head, state.points, state.spans);
    this.sheet.handleOwnWet(create(StrokeCommitSchema, { ...head, key }), state.points, state.spans, now);
    return 'began';
  }

  /** A mark made by one press: text, pin. Null: refused, as `penDown`. */
  place(sample: PenSample, frame: FrameIndex | null, began: CaptureNtp | null, now: PerfMs, hold: Hold, text = ''): 'began' | 'nothing' | 'unplaced' {
    if (this.sheet.isOff) return 'nothing';
    if (!this.outbox || began === null || frame === null) return 'unplaced';
    const outcome = this.pen.penDown(sample, frame, hold);
    const drawn = this.pen.penUp();
    if (outcome !== 'began' || !drawn) return outcome === 'unplaced' ? 'unplaced' : 'nothing';
    const from = this.afterClear(began);
    this.commit(this.nextKey(this.outbox), drawn, from, from, now, text);
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
    if (!current || !this.outbox) return;
    if (!drawn || current.began <= this.sheet.cleared) {
      this.abandon(current.key);
      return;
    }
    this.outbox.liftLive(current.key);
    this.commit(current.key, drawn, current.began, at ?? current.began, now);
  }

  /** The pen leaves without a mark: what was under it is let go everywhere. */
  penCancel(): void {
    this.pen.penUp();
    if (this.current) this.abandon(this.current.key);
    this.current = null;
  }

  get isDrawing(): boolean { return this.current !== null; }

  /** Undoes the newest own stroke that is to be seen. False: there is none. */
  undo(at: CaptureNtp, now: PerfMs): boolean {
    const newest = this.ownStrokes(at).at(-1);
    return newest ? this.undoStroke(newest, at, now) : false;
  }

  /** Undoes every own stroke; how many there were. */
  eraseMine(at: CaptureNtp, now: PerfMs): number {
    return this.ownStrokes(at).filter((s) => this.undoStroke(s, at, now)).length;
  }

  /** The eraser on a stroke: only its author's. */
  eraseStroke(id: string, at: CaptureNtp, now: PerfMs): boolean {
    const stroke = this.ownStrokes(at).find((s) => s.id === id);
    return stroke ? this.undoStroke(stroke, at, now) : false;
  }

  /** Keeps a fading stroke, or lets it fade. */
  pin(stroke: Stroke, pinned: boolean, at: CaptureNtp, now: PerfMs): boolean {
    return this.say({ case: 'pin', value: create(PinSchema, { stroke: keyOf(stroke), pinned }) }, at, now);
  }

  /** Names the lead; 0: nobody. */
  lead(author: number, at: CaptureNtp, now: PerfMs): boolean {
    return this.say({ case: 'lead', value: create(LeadSchema, { author }) }, at, now);
  }

  /** Lends the pen, or takes it back. */
  grant(author: number, mayDraw: boolean, at: CaptureNtp, now: PerfMs): boolean {
    return this.say({ case: 'grant', value: create(GrantSchema, { author, mayDraw }) }, at, now);
  }

  /** The room's switch: no ink is shown while it is off. Hidden at once, then said. */
  inkOff(off: boolean, at: CaptureNtp, now: PerfMs): boolean {
    this.sheet.handleInkOff(off);
    return this.say({ case: 'inkOff', value: create(InkOffSchema, { off }) }, at, now);
  }

  /**
   * The room's clear at `at`, case timeline: hides at once, then is said. Covers every stroke seen here, also one whose author's
   * clock runs ahead, and what is under the own pen. The server limits the bound to its own time; until its word on this very act
   * is here, what was begun by this page's bound is hidden and no more. False: there is no page name yet; said as soon as there is.
   */
  clearAll(at: CaptureNtp, now: PerfMs): boolean {
    this.penCancel();
    let upTo = at > this.sheet.newestBegan ? at : this.sheet.newestBegan as CaptureNtp;
    for (const { began } of this.sheet.strokes()) if (began > upTo) upTo = began as CaptureNtp;
    this.untold = { upTo, at, pressed: now };
    this.sheet.handleUntoldClear(upTo);
    this.sayUntold();
    return this.untold === null;
  }

  handleTimeout(now: PerfMs): void { this.sheet.handleTimeout(now); }
  pollPackets(now: PerfMs): InkPacket[] { return this.outbox?.pollPackets(now) ?? []; }
  pollTimeout(now: PerfMs): PerfMs | null { return this.outbox?.pollTimeout(now) ?? null; }

  private ownStrokes(at: bigint): Stroke[] {
    return this.sheet.ownStrokes(this.author).filter((s) => !isGone(s.fadeFrom, at)).sort((a, b) => (a.began < b.began ? -1 : a.began > b.began ? 1 : 0));
  }

  /** What is begun on a glass that was seen cleared is of after that, however far this page's clock is behind the one that the clear went by. */
  private afterClear(began: CaptureNtp): CaptureNtp { return began > this.sheet.cleared ? began : ((this.sheet.cleared + 1n) as CaptureNtp); }

  private nextKey(outbox: Outbox): StrokeKey {
    const key = create(StrokeKeySchema, { author: outbox.author, epoch: outbox.epoch, number: this.nextNumber });
    this.nextNumber += 1;
    return key;
  }

  private commit(key: StrokeKey, { surface, hold, points, spans }: Drawn, began: bigint, at: bigint, now: PerfMs, text = ''): void {
    const value = create(StrokeCommitSchema, {
      key, tool: hold.tool, width: surface.width, frame: surface.ref, began, points: encodePoints(points), spans, fades: hold.fades, text,
      ...(hold.reference ? { reference: hold.reference } : {}),
    });
    if (!this.say({ case: 'stroke', value }, at, now)) this.sheet.dropWet(key);
  }

  private abandon(key: StrokeKey): void {
    this.outbox?.abandonLive(key);
    this.sheet.dropWet(key);
  }

  private undoStroke(stroke: Stroke, at: CaptureNtp, now: PerfMs): boolean {
    return this.say({ case: 'undo', value: create(UndoSchema, { stroke: keyOf(stroke) }) }, at, now);
  }

  /** An act of this page: into the outbox, and shown. False: it was not taken. */
  private say(body: Op['body'], at: bigint, now: PerfMs): boolean {
    const op = this.outbox?.commit(body, at);
    if (op) this.sheet.handleOwn(op, now);
    return op !== undefined && op !== null;
  }

  private sayUntold(): void {
    const { untold } = this;
    if (!untold || !this.say({ case: 'clearAll', value: create(ClearAllSchema, { upTo: untold.upTo }) }, untold.at, untold.pressed)) return;
    this.untold = null;
    this.sheet.handleUntoldClear(0n);
  }

  /** The server's word on somebody's clear. */
  private handleClear(upTo: bigint): void {
    this.sheet.handleClear(upTo);
    if (this.current && this.current.began <= upTo) this.outbox?.dropLive(this.current.key);
  }

  private adoptOrphans(now: PerfMs): void {
    const { outbox } = this;
    if (!outbox) return;
    const renamed = new Map<string, StrokeKey>();
    for (const op of this.orphans.splice(0).flatMap((o) => o.waiting)) {
      this.sheet.dropOwn(op.author, op.epoch, op.seq);
      if (this.sheet.hasOp(op.author, op.epoch, op.seq)) continue;
      const body = op.body;
      if (body.case === 'stroke' && body.value.key) {
        const key = this.nextKey(outbox);
        renamed.set(strokeId(body.value.key), key);
        body.value.key = key;
      } else if ((body.case === 'undo' || body.case === 'pin') && body.value.stroke) {
        body.value.stroke = renamed.get(strokeId(body.value.stroke)) ?? body.value.stroke;
      }
      const again = outbox.commit(body, op.at);
      if (again) this.sheet.handleOwn(again, now);
    }
  }
}

const keyOf = (stroke: Stroke): StrokeKey => create(StrokeKeySchema, { author: stroke.author, epoch: stroke.epoch, number: stroke.number });
