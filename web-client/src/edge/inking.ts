// This page's ink at the edge: the pen of the whole browser, the cores of ink, and how their words leave. Knows the glass only
// as something to repaint.
import { create } from '@bufbuild/protobuf';
import { InkClient } from '../core/ink/client';
import { Freeze } from '../core/ink/freeze';
import { Calibration } from '../core/ink/calibration';
import { Stillness } from '../core/ink/stillness';
import { Tracks } from '../core/ink/tracks';
import type { ToolName } from '../core/ink/tools';
import { Pointers } from '../core/pointers';
import { ephPointerBytes, inkBytes } from '../core/protocol';
import type { Inked, Still } from '../core/stills';
import { frameName } from '../core/stills';
import type { Store } from '../core/store';
import type { CaptureNtp, PerfMs } from '../core/units';
import { captureNtp, unixMsFromNtp } from '../core/units';
import type { FrameIndex } from '../gen/frame_pb';
import type { InkPacket, Snapshot, XformFrame } from '../gen/ink_pb';
import type { ClientMessage, Eph, Pointer, Welcome } from '../gen/signal_pb';
import { AskPenSchema } from '../gen/signal_pb';
import { pick } from '../i18n';
import { standingLong } from '../core/ink/fade';
import { perfNow, toLocalNtp } from './clock';
import type { PenTabs } from './pen_tabs';
import { openPenTabs } from './pen_tabs';

/** How often that, and what others draw, is looked at. */
const LOOK_MS = 500;

export interface InkWays {
  /** To the server, by the socket. */
  send(body: ClientMessage['body']): void;
  isOpen(name: 'ink' | 'eph'): boolean;
  sendChannel(name: 'ink' | 'eph', bytes: Uint8Array<ArrayBuffer>): void;
  toTimeline(t: PerfMs): CaptureNtp | null;
  /** Ink changed: with the next animation frame, or before this returns. */
  repaint(at: 'frame' | 'now'): void;
}

export class Inking {
  readonly ink = new InkClient();
  readonly tracks = new Tracks();
  readonly pointers = new Pointers();
  readonly freeze = new Freeze();
  readonly stillness = new Stillness();
  readonly calibration = new Calibration();
  /** The mark under the hand, if any. */
  hovered: string | null = null;
  private readonly tabs: PenTabs;
  private seen = -1;
  /** Names of the frames with ink on them. */
  private inked = '';
  private nextLook = -Infinity;
  /** Before a barrel button or the eraser end: what the hand held. */
  private held: ToolName | null = null;

  constructor(private readonly store: Store, private readonly ways: InkWays) {
    this.tabs = openPenTabs((place) => {
      this.store.penPlace.value = place;
      if (place.kind !== 'here') this.layDown();
    });
    store.mayDraw.subscribe((may) => { if (!may) this.handBack(); });
  }

  // ——— what people do ———

  choose(tool: ToolName): void {
    if (tool === 'measure' && !this.store.measuring.value) return;
    this.pointAt(null);
    this.store.tool.value = tool;
    this.held = null;
  }

  /** A barrel button or the eraser end holds another tool for as long as it is pressed. */
  borrow(tool: ToolName | null): void {
    if (tool !== null) {
      this.held ??= this.store.tool.value;
      this.store.tool.value = tool;
    } else if (this.held !== null) {
      this.pointAt(null);
      this.store.tool.value = this.held;
      this.held = null;
    }
  }

  /** The room's clear: hidden before this returns, then said. */
  clear(): void {
    const now = perfNow();
    const at = this.ways.toTimeline(now) ?? captureNtp(toLocalNtp(now));
    this.ink.clearAll(at, now);
    this.ways.repaint('now');
    this.store.clearedAtMs.value = unixMsFromNtp(at);
    this.after(now);
  }

  /** The room's switch for all ink: hidden before this returns, then said. */
  switchOff(off: boolean): void {
    const now = perfNow();
    this.ink.inkOff(off, this.ways.toTimeline(now) ?? captureNtp(toLocalNtp(now)), now);
    this.ways.repaint('now');
    this.after(now);
  }

  undo(): void { this.withTime((at, now) => this.ink.undo(at, now)); }
  eraseMine(): void { this.withTime((at, now) => this.ink.eraseMine(at, now)); }
  erase(stroke: string): void { this.withTime((at, now) => this.ink.eraseStroke(stroke, at, now)); }

  /** Keeps the mark under the hand or else the newest own one, or lets it fade. Its author may, and who lends the pen. */
  togglePin(): void {
    this.withTime((at, now) => {
      const mine = this.ink.sheet.visible(at).filter((s) => s.phase !== 'wet' && (s.author === this.ink.author || this.store.lends.value));
      const one = mine.find((s) => s.id === this.hovered) ?? mine.filter((s) => s.author === this.ink.author).at(-1);
      if (one) this.ink.pin(one, one.fadeFrom !== null || !one.pinned, at, now);
    });
  }

  lend(author: number, mayDraw: boolean): void { this.withTime((at, now) => this.ink.grant(author, mayDraw, at, now)); }
  nameLead(author: number): void { this.withTime((at, now) => this.ink.lead(author, at, now)); }

  /** A polite request for the pen, or no more. */
  ask(asking: boolean): void { this.ways.send({ case: 'askPen', value: create(AskPenSchema, { asking }) }); }

  /** F: holds the picture, or returns to the live one. */
  toggleFreeze(): void {
    this.freeze.toggle();
    this.store.still.value = null;
    this.store.frozen.value = this.freeze.state;
  }
  /** A still stands large until it is closed. */
  openStill(still: Still): void {
    this.freeze.openStill();
    this.store.still.value = still;
    this.store.frozen.value = 'still';
  }
  unfreeze(): void {
    this.freeze.release();
    this.store.still.value = null;
    this.store.frozen.value = null;
  }

  /** Measuring, off until it is switched on here. */
  switchMeasuring(on: boolean): void {
    this.store.measuring.value = on;
    this.calibration.forget();
    this.store.measureStep.value = 'reference';
    if (!on && this.store.tool.value === 'measure') this.choose('pen');
    if (on) this.choose('measure');
  }
  /** How long the line is that was drawn along something known. */
  tellLength(mm: number): void {
    if (this.calibration.tell(mm)) this.store.measureStep.value = 'ready';
  }
  newLength(): void {
    this.calibration.forget();
    this.store.measureStep.value = 'reference';
  }

  /** The pen of this browser is wanted here. */
  takePen(): void { this.tabs.take(); }

  /** Where this page's own pointer is. */
  pointAt(at: { feed: string; x: number; y: number } | null): void {
    this.pointers.point(at);
    this.sayPointer(perfNow());
    this.ways.repaint('frame');
  }

  // ——— what arrives ———

  handleWelcome(welcome: Welcome): void {
    this.ink.handleWelcome(welcome.author, welcome.epoch, welcome.caseInfo?.caseId ?? '');
    if (welcome.caseInfo) this.tabs.begin(welcome.caseInfo.caseId, pick(this.store.language.value, welcome.caseInfo.titleJa, welcome.caseInfo.titleEn));
  }
  handlePath(): void { this.ink.handlePath(); }
  handleSnapshot(piece: Snapshot, now: PerfMs): void { this.ink.handleSnapshot(piece, now); }
  handlePacket(packet: InkPacket, now: PerfMs): void {
    const refused = this.ink.handlePacket(packet, now);
    if (refused.some((r) => r.code === 'ink.no-texture')) this.store.notice('fail_fifth', true);
    if (refused.some((r) => r.code !== 'ink.no-texture')) this.store.notice('fail_ink_refused', true);
  }
  handleEph(eph: Eph, now: PerfMs): void {
    for (const xform of eph.xforms) this.handleXform(xform);
    for (const pointer of eph.pointers) this.handlePointer(pointer, now);
  }
  handleXform(frame: XformFrame): void { this.tracks.handle(frame); }
  /** How feeds are shown: a length known on one of them may not hold any more. */
  handleIndex(frame: FrameIndex): void {
    for (const entry of frame.entries) {
      if (this.calibration.handlePicture(frame.program, entry.feed, entry.state, entry.geometry)) this.store.measureStep.value = 'reference';
    }
  }
  handlePointer(pointer: Pointer, now: PerfMs): void {
    const before = this.pointers.revision;
    this.pointers.handle(pointer, now);
    if (this.pointers.revision !== before) this.ways.repaint('frame');
  }

  // ——— time ———

  tick(now: PerfMs): void {
    this.ink.handleTimeout(now);
    const rings = this.pointers.revision;
    this.pointers.handleTimeout(now);
    if (rings !== this.pointers.revision) this.ways.repaint('frame');
    this.sayPointer(now);
    this.tabs.tick(now);
    if (this.freeze.pollReturn(now)) this.store.frozen.value = null;
    this.after(now);
    if (now < this.nextLook) return;
    this.nextLook = now + LOOK_MS;
    this.look(this.ways.toTimeline(now));
  }

  /** Ink changed here or there: show it, and say what must be said. */
  after(now: PerfMs): void {
    for (const packet of this.ink.pollPackets(now)) this.say(packet);
    const { sheet } = this.ink;
    if (sheet.revision === this.seen) return;
    this.seen = sheet.revision;
    this.store.inkOff.value = sheet.isOff;
    this.look(this.ways.toTimeline(now));
    this.ways.repaint('frame');
  }

  /** What the screens say about ink; also what changes by time alone. */
  private look(at: CaptureNtp | null): void {
    const { store, ink } = this;
    const visible = ink.sheet.visible(at);
    store.inkOnGlass.value = visible.length > 0;
    const frames = new Map<string, Inked>();
    for (const { frame, feed } of [...visible].sort((a, b) => (a.began < b.began ? -1 : 1))) {
      const key = frame.still || frameName(feed, frame.capture);
      frames.delete(key);
      frames.set(key, { still: frame.still, feed, capture: frame.capture, geometry: frame.geometry });
    }
    const inked = [...frames.keys()].join();
    if (inked !== this.inked) {
      this.inked = inked;
      store.inked.value = [...frames.values()];
    }
    const drawing = [...new Set(visible.filter((s) => s.phase === 'wet' && s.author !== ink.author).map((s) => s.author))].sort();
    if (drawing.join() !== store.drawingNow.value.join()) store.drawingNow.value = drawing;
    store.inkStanding.value = standingLong(visible, ink.author, at);
  }

  private say(packet: InkPacket): void {
    if (this.ways.isOpen('ink')) this.ways.sendChannel('ink', inkBytes(packet));
    else this.ways.send({ case: 'ink', value: packet });
  }

  private sayPointer(now: PerfMs): void {
    const pointer = this.pointers.poll(now, this.ink.author);
    if (!pointer) return;
    if (this.ways.isOpen('eph')) this.ways.sendChannel('eph', ephPointerBytes(pointer));
    else this.ways.send({ case: 'pointer', value: pointer });
  }

  /** Another page took the pen: what is under it here ends without a mark. */
  private layDown(): void {
    if (this.ink.isDrawing) this.ink.penCancel();
    this.pointAt(null);
  }

  /** The pen was taken back: what is under it ends here and stays. The server keeps of it what was drawn until then. */
  private handBack(): void {
    if (!this.ink.isDrawing) return this.layDown();
    const now = perfNow();
    this.ink.penUp(this.ways.toTimeline(now), now);
    this.layDown();
    this.after(now);
  }

  private withTime(act: (at: CaptureNtp, now: PerfMs) => void): void {
    const now = perfNow();
    const at = this.ways.toTimeline(now);
    if (at !== null) act(at, now);
    this.after(now);
  }
}
