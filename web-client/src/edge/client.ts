// The page's top machine at the edge: carries bytes, time and frames between the cores, the server and the store. Decides
// nothing that a core can decide.
import { create } from '@bufbuild/protobuf';
import { CaseClock } from '../core/clock';
import { Backoff, LineVoice, LineWatch, MediaWatch } from '../core/line';
import { NO_FIGURES } from '../core/media_stats';
import { OpenOffer } from '../core/offer';
import { clientBytes, ephPingBytes, parseCtl, parseEph, parseInk, parseServer, parseVit, reportOf, screenOf, SIGNAL_VERSION } from '../core/protocol';
import type { CHANNEL } from '../core/protocol';
import { RefreshWatch } from '../core/refresh';
import type { Flow } from '../core/stall';
import type { NoticeKey } from '../core/store';
import { failureOf, Store } from '../core/store';
import type { CaptureNtp, LocalNtp, PerfMs } from '../core/units';
import { captureNtp, unixMsFromNtp } from '../core/units';
import type { Still } from '../core/stills';
import { glassOf, stillsOf } from '../core/stills';
import { withVitals } from '../core/vitals';
import type { View } from '../core/view';
import { PROGRAM, slotsOffered, Views } from '../core/view';
import type { FrameIndex } from '../gen/frame_pb';
import type { Assign, CaseState, ClientMessage, FeedInfo, Person, ServerMessage, Welcome } from '../gen/signal_pb';
import {
  ClientHelloSchema, ClockPingSchema, EndCaseSchema, LeaveSchema, OfferSchema, RefreshSchema, SelectSchema, SetLayoutSchema, SetTimingSchema,
} from '../gen/signal_pb';
import { perfNow, toLocalNtp } from './clock';
import { CameraHand } from './camera';
import { CurtainHand } from './curtain';
import { Inking } from './inking';
import type { MediaPath } from './peer';
import { relaysOf } from './peer';
import type { Socket } from './socket';
import type { FrameShown } from './video_frames';
import { StillPictures } from './stills';
import { Talk } from './talk';
import { say } from './voices';
import { Marks } from './marks';
import type { StageEvents } from './stage_events';
import type { StillOf, Ways } from './ways';
import { WAYS } from './ways';

declare const __VERSION__: string;

/** The client's heartbeat: half the pen's repeat at most, a tenth of the stall limit. */
const TICK_MS = 50;
/** A socket that does not open or answer for this long is given up; one younger than the other is not dialled anew. */
const SOCKET_SILENT_MS = 4_000, SOCKET_FRESH_MS = 300, SOCKET_PING_MS = 1_500;
const REPORT_MS = 1_000;
/** How often it is looked how wide the pictures are drawn. */
const WIDTHS_MS = 250;
/** The ink channel is missed after this long. */
const INK_PATH_MS = 2_000;
/** Offers without a picture before the network is suspected. */
const MEDIA_TRIES = 3;

export class Client {
  readonly store = new Store();
  readonly views = new Views(perfNow());
  readonly inking: Inking;
  private readonly clock = new CaseClock();
  private readonly line = new LineWatch();
  private readonly lineVoice = new LineVoice();
  private readonly media = new MediaWatch();
  private readonly refresh = new RefreshWatch();
  private readonly backoff = new Backoff();
  private readonly marks = new Marks((now) => this.views.slots.map((view) => this.flow(now, view.slot)).join(' '), (now) => this.tickStages(now));
  readonly voice: Talk;
  readonly curtain: CurtainHand;
  readonly camera = new CameraHand(this.store, { send: (body) => this.send(body) });
  readonly stills = new StillPictures((still) => this.stillAddress({ still: still.id || null, feed: still.feed, capture: still.capture }), perfNow);
  private readonly stages = new Set<StageEvents>();
  private id = '';
  private resume = '';
  private socket: Socket | null = null;
  private socketTried: PerfMs | null = null;
  private socketSince: PerfMs | null = null;
  private socketHeard: PerfMs | null = null;
  private socketOpen = false;
  private welcomed = false;
  private connectAt: PerfMs | null = null;
  private nextSocketPing = -Infinity;
  private nextReport = -Infinity;
  private nextWidths = -Infinity;
  private path: MediaPath | null = null;
  private pathId = 0;
  private readonly offer = new OpenOffer();
  private offers = 0;
  private framesShown = 0;
  private freezes = 0;
  private wasStalled = false;
  private mediaFigures = NO_FIGURES;
  private inkPathGone: PerfMs | null = null;
  /** The still that was asked for last. */
  private opening: Still | null = null;

  constructor(private readonly ways: Ways = WAYS) {
    this.voice = new Talk(this.store, { send: (body) => this.send(body), speak: async (track) => { await this.path?.speak(track); }, askMicrophone: ways.askMicrophone });
    this.curtain = new CurtainHand(this.store, {
      send: (body) => this.send(body), hush: (hushed) => this.voice.hush(hushed),
      repaint: () => { for (const stage of this.stages) { stage.tick(perfNow()); stage.inkNow(); } },
    });
    this.inking = new Inking(this.store, {
      send: (body) => this.send(body), isOpen: (name) => this.media.takes(this.path?.isOpen(name) ?? false, this.socketOpen, perfNow()), sendChannel: (name, bytes) => { this.path?.send(name, bytes); }, toTimeline: (t) => this.toTimeline(t),
      repaint: (at) => { for (const stage of this.stages) if (at === 'now') stage.inkNow(); else stage.ink(); },
    });
  }
  get ink(): Inking['ink'] { return this.inking.ink; }

  /** A stage begins to listen; returns how it ends. */
  attach(stage: StageEvents): () => void {
    this.stages.add(stage);
    this.showTrack(stage);
    return () => { this.stages.delete(stage); };
  }
  /** The live picture that stands beside a held one. */
  shownLive: HTMLVideoElement | null = null;
  private tracks: readonly MediaStreamTrack[] = [];
  private showTrack(stage: StageEvents): void {
    const track = this.tracks[stage.slot()];
    if (track) stage.video(track);
  }

  async start(): Promise<void> {
    setInterval(() => this.tick(), TICK_MS);
    this.marks.start();
    addEventListener('online', () => this.retryNow());
    document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') this.retryNow(); });
    // A page that is put away for good says so; a line that is lost cannot.
    addEventListener('pagehide', () => this.send({ case: 'leave', value: create(LeaveSchema, {}) }));
    for (;;) {
      const opened = await this.ways.openSession();
      if ('id' in opened) {
        this.id = opened.id;
        this.store.notice('fail_unreachable', false);
        this.connect();
        return;
      }
      if ('failure' in opened) {
        this.store.failure.value = opened.failure;
        this.store.phase.value = 'over';
        return;
      }
      this.store.notice('fail_unreachable', true);
      await new Promise((resolve) => setTimeout(resolve, this.backoff.delayMs()));
    }
  }

  // ——— times ———

  /** The case timeline at a moment of this page; null before the first exchange. */
  toTimeline(t: PerfMs): CaptureNtp | null { return this.clock.toTimeline(toLocalNtp(t)); }
  caseNow(): CaptureNtp | null { return this.toTimeline(perfNow()); }
  uncertaintyMs(): number | null {
    const ns = this.clock.uncertaintyNs();
    return ns === null ? null : Number(ns) / 1e6;
  }
  flow(now: PerfMs, slot = this.largeView.slot): Flow { return this.views.slots[slot]?.flow(now, this.sourceGone(), this.marks.paints.limit(now)) ?? 'waiting'; }
  private get largeView(): View { return this.views.of(this.store.large.value) ?? (this.views.slots[0] as View); }
  /** The server is heard, and says that the room's compositor is gone. */
  sourceGone(): boolean {
    return this.store.phase.value === 'open' && !this.store.engineUp.value && this.line.lostSince(perfNow()) === null;
  }

  handleFrameShown(frame: FrameShown, slot: number): void {
    const view = this.views.slots[slot];
    if (!view?.isNew(frame.rtpTs)) return;
    const now = perfNow();
    const flowed = this.flow(now, slot) === 'flowing';
    this.media.handleAlive(frame.came);
    this.line.handlePicture(frame.came);
    this.offers = 0;
    this.store.notice('fail_media', false);
    if (!view.handleFrame(frame.rtpTs, frame.shown, this.views.ring(view.feed), now, frame.came)) return;
    if (slot === this.largeView.slot) {
      this.framesShown += 1;
      this.marks.handleFrame(view.provenAt ?? now);
    }
    this.refresh.handleFrame(slot, now);
    // The heartbeat repaints what changed; only the return of the picture is told at once, and its end.
    if (!flowed) this.tickStages(now);
  }

  // ——— what people do ———

  /** Puts the program or a single feed large. */
  show(feed: string): void {
    if (feed !== this.store.large.value) {
      this.inking.unfreeze();
      this.views.handleLarge(feed);
    }
    this.store.large.value = feed === PROGRAM || this.store.singles.value.includes(feed) ? feed : PROGRAM;
    this.syncSlots();
  }

  /** Where a pinned frame of this case can be had; null: before the case is known. */
  stillAddress(of: StillOf): string | null {
    const name = this.store.caseInfo.value?.caseId;
    return name ? this.ways.stillAddress(name, of, this.id) : null;
  }

  /** Puts a still large; null: back to the live picture. */
  async openStill(still: Still | null): Promise<void> {
    this.opening = still;
    if (still === null) return this.inking.unfreeze();
    const picture = await this.stills.load(still);
    if (picture && this.opening === still) this.inking.openStill(still);
  }

  private handleStills(stills: readonly Still[]): void {
    this.store.stills.value = stills;
    this.stills.keepOnly(stills);
    if (this.store.still.value && !stills.some((s) => s.id === this.store.still.value?.id)) this.inking.unfreeze();
  }

  endCase(): void { this.send({ case: 'end', value: create(EndCaseSchema, { confirm: true }) }); }

  // ——— the heartbeat ———

  private tick(): void {
    const now = perfNow();
    this.marks.paints.handleTick(now);
    if (this.store.phase.value !== 'over') {
      this.tickConnection(now);
      this.tickClock(now);
      this.tickLine(now);
      this.tickMedia(now);
      this.tickRefresh(now);
      this.inking.tick(now);
      this.store.inkUnsent.value = this.socketOpen ? 0 : this.ink.unacknowledged;
      this.tickInkPath(now);
      this.tickReport(now);
      this.tickWidths(now);
    }
    this.tickStages(now);
  }

  private tickStages(now: PerfMs): void { for (const stage of this.stages) stage.tick(now); }

  /** How wide each slot is drawn by whoever draws it widest: no line carries more than is seen. */
  private tickWidths(now: PerfMs): void {
    if (now < this.nextWidths) return;
    this.nextWidths = now + WIDTHS_MS;
    const widest = new Map<number, number>();
    for (const stage of this.stages) widest.set(stage.slot(), Math.max(widest.get(stage.slot()) ?? 0, stage.pixels()));
    for (const [slot, width] of widest) this.views.handleDrawn(slot, width, now);
    this.refresh.handleDrawn(widest);
    this.syncSlots();
  }

  /** The program's layout for everybody; what it is then, the server says. */
  setTiming(timing: 'aligned' | 'now'): void { this.send({ case: 'setTiming', value: create(SetTimingSchema, { timing }) }); }
  setLayout(layout: string): void { this.send({ case: 'setLayout', value: create(SetLayoutSchema, { layout }) }); }

  /** Something says that the network may be back: the next attempt is due at once. */
  private retryNow(): void { if (this.connectAt !== null) this.connectAt = perfNow(); }

  private tickConnection(now: PerfMs): void {
    if (this.connectAt !== null && now >= this.connectAt) this.connect();
    if (!this.socket || this.socketSince === null) return;
    if (this.socketOpen && now >= this.nextSocketPing) {
      this.nextSocketPing = now + SOCKET_PING_MS;
      this.sendSocketPing(now);
    }
    const heard = this.socketHeard ?? this.socketSince;
    // While the line is known to be lost there is nothing to wait for: a fresh attempt gets through first.
    const lost = this.line.lostSince(now);
    const patience = lost === null ? SOCKET_SILENT_MS : SOCKET_SILENT_MS / 2;
    // One that opened in the silence has no timers that doubled all the while; its welcome may take a moment.
    const young = lost !== null && this.socketOpen && this.socketSince > lost;
    if (now - heard >= patience || (!young && now - heard >= SOCKET_FRESH_MS && this.line.pollRedial())) {
      this.socket.close();
      this.handleSocketClosed();
    }
  }

  private tickClock(now: PerfMs): void {
    if (this.welcomed && this.clock.pollPing(now)) this.sendPing(now);
    const at = this.toTimeline(now);
    const second = at === null ? null : Math.floor(unixMsFromNtp(at) / 1000) * 1000;
    if (second !== this.store.caseTimeMs.value) this.store.caseTimeMs.value = second;
  }

  private tickLine(now: PerfMs): void {
    if (this.line.pollProbe(now)) this.probe(now);
    this.store.handleTimeout(now);
    const since = this.line.lostSince(now);
    const me = this.store.me.value;
    if (me && this.path) this.media.handleOutward(me.media && !me.silent && this.path.stands(), now);
    this.store.voicePath.value = this.media.voicePath(now, since !== null);
    this.store.lineLostSeconds.value = since === null ? null : Math.floor((now - since) / 1000);
    const said = this.lineVoice.handleLine(since !== null || (this.store.screen.value === 'room' && this.store.remoteLost()));
    if (said) say(this.store.texts.value[said === 'lost' ? 'say_lost' : 'say_back'], this.store.language.value);
  }

  private tickMedia(now: PerfMs): void {
    const stalled = this.flow(now) === 'stalled';
    if (stalled && !this.wasStalled && this.largeView.everFlowed) this.freezes += 1;
    this.wasStalled = stalled;
    if (!this.welcomed || [null, 'vendor'].includes(this.store.screen.value)) return;
    this.media.handleTick(now);
    if (this.media.pollProbe(now)) this.probe(now);
    const heard = this.socketOpen && this.line.lostSince(now) === null;
    // Without an engine there are no pictures to miss, and a lost probe would cost the voices their path.
    if (this.store.engineUp.value && this.media.pollBlocked(now, heard)) return this.openMedia(now);
    const unanswered = this.offer.poll(now);
    if (unanswered) this.send({ case: 'offer', value: create(OfferSchema, unanswered) });
    if (this.media.pollSeek(now, heard)) this.path?.restartIce();
    if (this.media.pollRestart(now, heard)) this.openMedia(now);
  }

  /** Asks for a keyframe where a picture stands still though its path is alive. */
  private tickRefresh(now: PerfMs): void {
    const expected = document.visibilityState === 'visible' && !this.sourceGone();
    const slots = this.views.slots.filter((view) => view.isSent).map((view) => view.slot);
    for (const slot of this.refresh.poll(now, { roundTripMs: this.mediaFigures.rttMs, expected, slots })) this.send({ case: 'refresh', value: create(RefreshSchema, { slot }) });
  }

  /** Says when ink has to go by the socket; the first moments of a page are no news. */
  private tickInkPath(now: PerfMs): void {
    if (this.path?.isOpen('ink') || !this.welcomed) this.inkPathGone = null;
    else this.inkPathGone ??= now;
    this.store.inkFallback.value = this.inkPathGone !== null && now - this.inkPathGone >= INK_PATH_MS;
  }

  private tickReport(now: PerfMs): void {
    if (!this.welcomed || now < this.nextReport) return;
    this.nextReport = now + REPORT_MS;
    void this.path?.figures().then((figures) => { this.mediaFigures = figures; }, () => undefined);
    const capture = this.views.captureShown(this.largeView);
    const at = this.toTimeline(now);
    const ageMs = at === null || capture === 0n ? 0 : Number(at - capture) / 4_294_967.296;
    const pictureStalled = document.visibilityState === 'visible' && this.flow(now) === 'stalled';
    const rttMs = this.mediaFigures.rttMs ?? (this.uncertaintyMs() ?? 0) * 2;
    this.send({ case: 'report', value: reportOf(this.mediaFigures, { framesShown: this.framesShown, freezes: this.freezes, rttMs, ageMs, pictureStalled }) });
  }

  // ——— the socket ———

  private connect(): void {
    this.connectAt = null;
    this.socketTried = perfNow();
    this.socketSince = this.socketTried;
    this.socketHeard = null;
    this.socket = this.ways.openSocket(this.id, {
      open: () => {
        this.socketOpen = true;
        this.socketHeard = perfNow();
        this.send({ case: 'hello', value: create(ClientHelloSchema, { version: SIGNAL_VERSION, software: __VERSION__, resume: this.resume, language: this.store.language.value }) });
      },
      message: (bytes) => {
        const now = perfNow();
        this.socketHeard = now;
        this.line.handleHeard(now);
        this.media.handleSocket(now);
        const message = parseServer(bytes);
        if (message) this.handleServer(message, now);
        this.inking.after(perfNow());
      },
      close: () => { this.media.handleBroken(perfNow()); this.handleSocketClosed(); },
    });
  }

  private handleSocketClosed(): void {
    if (this.store.phase.value === 'over') return;
    const was = this.welcomed;
    this.socket = null;
    this.socketOpen = false;
    this.welcomed = false;
    if (this.store.phase.value === 'open') this.store.phase.value = 'lost';
    if (this.store.welcome.value === null) this.store.notice('fail_unreachable', true);
    // An attempt that hung has been waited for already.
    const now = perfNow();
    const spent = this.socketTried === null ? 0 : now - this.socketTried;
    this.connectAt = (now + Math.max(50, this.backoff.delayMs() - spent)) as PerfMs;
    if (was) this.connect(); // one that stood: on another network the next one stands at once
  }

  private handleServer(message: ServerMessage, now: PerfMs): void {
    const body = message.body;
    switch (body.case) {
      case 'welcome': return this.handleWelcome(body.value, now);
      case 'answer':
        if (!this.offer.handleAnswer(body.value.id)) return;
        this.media.handleAnswer(now);
        return void this.path?.answer(body.value.sdp);
      case 'people': return this.handlePeople(body.value.people, now);
      case 'state': this.store.handleDisk(body.value.store); this.store.notice('fail_restarting', body.value.restarting); return this.handleCaseState(body.value);
      case 'refused':
        if (body.value.code === 'media.busy') this.offer.handleBusy(now);
        if (body.value.final) this.finish(failureOf(body.value.code, { ja: body.value.messageJa, en: body.value.messageEn }));
        return;
      case 'ink': return this.inking.handlePacket(body.value, now);
      case 'snapshot': return this.inking.handleSnapshot(body.value, now);
      case 'clock': return this.handlePong(body.value.t1, body.value.t2, body.value.t3, now);
      case 'frame': return this.handleIndex(body.value, null);
      case 'assign': return this.handleAssign(body.value, now);
      case 'health': return this.store.handleHealth(body.value, now);
      case 'feeds': return this.handleFeeds(body.value.feeds);
      case 'xform': return this.inking.handleXform(body.value);
      case 'pointer': return this.inking.handlePointer(body.value, now);
      case 'iceServers': return this.handleRelays(body.value.servers);
      case 'stills': return this.handleStills(stillsOf(body.value.stills));
      case 'voice': case undefined: return; // voice: who is in a voice slot; the list of who is present shows who speaks
      default: return unreachable(body);
    }
  }

  private handleWelcome(welcome: Welcome, now: PerfMs): void {
    if (welcome.version !== SIGNAL_VERSION) return this.finish({ key: 'fail_version', said: null, reference: `signal.version.${welcome.version}` });
    this.welcomed = true;
    this.backoff.handleSuccess();
    // A server that gave this page a new name has forgotten its media path too; a path that goes on does so with the relays' names of now.
    const same = this.store.welcome.value === null || this.store.welcome.value.epoch === welcome.epoch;
    this.offer.handleWelcome(same, now);
    if (!same) this.media.handleForgotten(now, true);
    else this.path?.renewRelays(relaysOf(welcome));
    this.resume = welcome.resume;
    this.views.handleConnection();
    this.store.notice('fail_unreachable', false);
    this.store.welcome.value = welcome;
    this.store.screen.value = screenOf(welcome.role);
    if (welcome.caseInfo) this.store.caseInfo.value = welcome.caseInfo;
    this.store.phase.value = 'open';
    this.handleFeeds(welcome.feeds);
    this.clock.handleConnection(now);
    this.inking.handleWelcome(welcome);
    if (welcome.caseInfo?.state === 'ended') return this.handleEnded(null);
    this.tickMedia(now);
    this.curtain.handleWelcome();
    return this.voice.handleWelcome();
  }

  private handlePeople(people: readonly Person[], now: PerfMs): void {
    const own = this.store.welcome.value?.author ?? 0;
    this.store.handlePeople(people, own);
    const me = people.find((p) => p.author === own);
    if (me && me.present && !me.media) this.media.handleForgotten(now);
  }

  private handleFeeds(feeds: readonly FeedInfo[]): void {
    this.store.feeds.value = feeds;
    this.views.handleFeeds(feeds.map((f) => f.feed));
    this.show(this.store.large.value);
  }

  /** Asks for what differs from what was asked for. */
  private syncSlots(): void {
    const screen = this.store.screen.value;
    if (!this.welcomed || screen === null || screen === 'vendor') return;
    for (const { slot, feed, width } of this.views.pollSelects(screen, this.store.singles.value, this.store.large.value, perfNow())) {
      this.send({ case: 'select', value: create(SelectSchema, { slot, feed, layer: feed ? 'high' : '', width }) });
    }
  }

  private handleAssign({ slot, feed, layer, why }: Assign, now: PerfMs): void {
    const { paused, small } = this.views.handleGiven(slot, feed !== '' && why === 'line', layer === '');
    this.store.notice('fail_line_paused', paused);
    this.store.notice('fail_line_small', small && !paused);
    if (layer === '') this.refresh.forget(slot);
    if (!this.views.handleAssign(slot, feed, now)) return;
    this.refresh.forget(slot);
    this.store.slots.value = this.views.slots.map((v) => v.feed);
    for (const stage of this.stages) this.showTrack(stage);
  }

  private handleCaseState(state: CaseState): void {
    this.store.engineUp.value = state.engineUp;
    this.store.layout.value = state.layout;
    this.store.layouts.value = state.layouts;
    this.store.timing.value = state.timing;
    this.store.handleMachine(state.shed, state.displayProblem);
    if (state.caseInfo) this.store.caseInfo.value = state.caseInfo;
    this.curtain.handleState(state);
    this.camera.handleState(state);
    this.voice.handleState(state);
    if (state.caseInfo?.state === 'ended') this.handleEnded(state.at);
  }

  private handleEnded(at: bigint | null): void {
    const now = at !== null && at !== 0n ? captureNtp(at) : this.toTimeline(perfNow());
    this.store.endedAtMs.value = now === null ? null : unixMsFromNtp(now);
    this.finish(null);
  }

  private finish(failure: Store['failure']['value']): void {
    this.store.failure.value = failure;
    this.store.phase.value = 'over';
    this.voice.end();
    this.path?.close();
    this.path = null;
    this.socket?.close();
    this.socket = null;
    this.socketOpen = false;
    this.welcomed = false;
  }

  // ——— media and channels ———

  private openMedia(now: PerfMs): void {
    this.path?.close();
    this.media.handleStart(now);
    this.refresh.forget(null);
    this.offers += 1;
    if (this.offers > MEDIA_TRIES) this.store.notice('fail_media', true);
    this.pathId += 1;
    this.offer.handleStart();
    const id = this.pathId;
    const mine = (): boolean => id === this.pathId;
    this.path = this.ways.openPath({
      offer: (sdp) => {
        if (mine()) this.send({ case: 'offer', value: create(OfferSchema, this.offer.handleOffer(sdp, perfNow())) });
      },
      tracks: (video, voice) => {
        if (!mine()) return;
        this.tracks = video;
        for (const stage of this.stages) this.showTrack(stage);
        this.voice.handleTracks(voice);
      },
      channelOpen: (name) => {
        if (!mine()) return;
        if (name === 'ink') this.inking.handlePath();
        if (name === 'eph') this.sendPing(perfNow());
      },
      channelMessage: (name, bytes) => { if (mine()) this.handleChannel(name, bytes, perfNow()); },
      end: () => { if (mine()) this.media.handleEnd(); },
    }, slotsOffered(this.store.screen.value), relaysOf(this.store.welcome.value));
  }

  private handleRelays(iceServers: Welcome['iceServers']): void {
    if (this.store.welcome.value) this.store.welcome.value = { ...this.store.welcome.value, iceServers };
    this.path?.renewRelays(relaysOf({ iceServers }));
  }

  private handleChannel(name: keyof typeof CHANNEL, bytes: Uint8Array, now: PerfMs): void {
    this.line.handleHeard(now);
    this.media.handleAlive(now);
    this.refresh.handleSign(now);
    this.marks.paints.handleSign(now);
    switch (name) {
      case 'eph': {
        const eph = parseEph(bytes);
        for (const frame of eph?.frames ?? []) this.handleIndex(frame, now);
        if (eph) this.inking.handleEph(eph, now);
        if (eph?.pong) this.handlePong(eph.pong.t1, eph.pong.t2, eph.pong.t3, now);
        return;
      }
      case 'ink': {
        const packet = parseInk(bytes);
        if (packet) this.inking.handlePacket(packet, now);
        this.inking.after(now);
        return;
      }
      case 'ctl': {
        const body = parseCtl(bytes)?.body;
        if (body?.case === 'snapshot') this.inking.handleSnapshot(body.value, now);
        if (body?.case === 'people') this.handlePeople(body.value.people, now);
        if (body?.case === 'state') this.handleCaseState(body.value);
        this.inking.after(now);
        return;
      }
      case 'vit': {
        const vitals = parseVit(bytes)?.vitals;
        if (vitals) this.store.waves.handle(vitals.feed, vitals.waves);
        if (vitals && (vitals.numerics.length > 0 || this.store.vitals.value === null)) this.store.vitals.value = withVitals(this.store.vitals.value, vitals);
        return;
      }
    }
  }

  /** `came`: by the media path, then; null: by the socket, which says nothing of that path. */
  private handleIndex(frame: FrameIndex, came: PerfMs | null): void {
    const view = this.views.handleIndex(frame);
    if (came !== null && view) this.refresh.handleIndex(view.slot, came);
    if (frame.program === PROGRAM) this.store.onGlass.value = glassOf(frame, this.store.onGlass.value);
    if (this.store.measuring.value) this.inking.handleIndex(frame);
  }

  private handlePong(t1: bigint, t2: bigint, t3: bigint, now: PerfMs): void { this.clock.handlePong(t1 as LocalNtp, t2 as CaptureNtp, t3 as CaptureNtp, toLocalNtp(now)); }

  private sendPing(now: PerfMs): void {
    if (this.path?.isOpen('eph')) this.path.send('eph', ephPingBytes(toLocalNtp(now)));
    else this.sendSocketPing(now);
  }

  /** By both ways: which of them answers tells what is gone. */
  private probe(now: PerfMs): void {
    this.sendPing(now);
    this.sendSocketPing(now);
  }

  private sendSocketPing(now: PerfMs): void { this.send({ case: 'clock', value: create(ClockPingSchema, { t1: toLocalNtp(now) }) }); }

  private send(body: ClientMessage['body']): void { if (this.socketOpen) this.socket?.send(clientBytes(body)); }

  dismiss(key: NoticeKey): void { this.store.notice(key, false); }
}

function unreachable(value: never): void { void value; }
