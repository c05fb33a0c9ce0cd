// What the screens show, in signals. Written by the client at the edge, read by screens and stage; no DOM, no clock.
import type { PedalState } from './pedal';
import { computed, effect, signal, untracked } from '@preact/signals-core';
import type { CaseInfo, FeedInfo, HealthReport, Person, Welcome } from '../gen/signal_pb';
import type { Language, Texts } from '../i18n';
import { CATALOGUE } from '../i18n';
import type { VoicePath } from './line';
import type { Screen } from './protocol';
import type { PenPlace } from './binding';
import type { Frozen } from './ink/freeze';
import type { Drawer } from './ink/look';
import type { Inked, OnGlass, Still } from './stills';
import { NOTHING_ON_GLASS } from './stills';
import type { ToolName } from './ink/tools';
import type { PerfMs } from './units';
import type { VitalsNow } from './vitals';
import { Waves } from './waves';
import { REPORT_STALE_MS } from './health';
import { PROGRAM } from './view';

/** opening: no answer yet · open · lost: was open, reconnecting · over: refused for good or ended. */
export type Phase = 'opening' | 'open' | 'lost' | 'over';

/** A sentence of trouble: which text, and where it came from. */
/** An open case without an exchange of clocks for so long is said: its pictures have no age. */
export const TIMELESS_MS = 5_000;

export type FailureKey = Extract<keyof Texts, `fail_${string}`>;
export interface Failure {
  readonly key: FailureKey;
  /** The server's own sentence, where it sent one. */
  readonly said: { readonly ja: string; readonly en: string } | null;
  /** Stable code, shown small at the end. */
  readonly reference: string | null;
}

/** The case is over, which is no fault. */
export const hasEnded = (failure: Failure | null): boolean => failure === null || failure.key === 'fail_ended';

/** A sentence in the side column, with its one act. */
export type NoticeKey = 'fail_microphone' | 'fail_microphone_none' | 'fail_autoplay' | 'fail_outbox' | 'fail_ink_refused' | 'fail_ink_unplaced' | 'fail_fifth' | 'fail_pen_elsewhere' | 'fail_unreachable' | 'fail_media' | 'fail_store_full' | 'fail_store_failing' | 'fail_clock' | 'fail_line_small' | 'fail_line_paused' | 'fail_shed' | 'fail_shed_singles' | 'fail_display_silent' | 'fail_display_down' | 'fail_restarting';

/** idle: not asked · asking · ready: allowed, not sending · sending · refused · none: no device. */
export type MicrophoneState = 'idle' | 'asking' | 'ready' | 'sending' | 'refused' | 'none';

/** sinceMs: Unix ms of the case timeline; null: pressed here, and not told yet. */
/** The room's camera: whether the room lets it be turned, who turns it now (0: nobody), what is wrong with it (a code, or empty). */
export interface CameraState { readonly allowed: boolean; readonly author: number; readonly problem: string }
export interface Curtain { readonly drawn: boolean; readonly sinceMs: number | null; readonly author: number }

export class Store {
  readonly language = signal<Language>('ja');
  readonly texts = computed<Texts>(() => CATALOGUE[this.language.value]);
  readonly phase = signal<Phase>('opening');
  readonly failure = signal<Failure | null>(null);
  readonly screen = signal<Screen | null>(null);
  readonly welcome = signal<Welcome | null>(null);
  readonly caseInfo = signal<CaseInfo | null>(null);
  /** The program first. Follows feeds that come and go. */
  readonly feeds = signal<readonly FeedInfo[]>([]);
  /** Ids of the single feeds, in the server's order. */
  readonly singles = computed<readonly string[]>(() => this.feeds.value.filter((f) => f.feed !== PROGRAM && !f.masked).map((f) => f.feed));
  /** What stands large: the program or a single feed. */
  readonly large = signal(PROGRAM);
  /** Feed of each slot of the media path as the server has assigned it. */
  readonly slots = signal<readonly string[]>([PROGRAM]);
  readonly health = signal<HealthReport | null>(null);
  /** The report before it, for rates. */
  readonly healthBefore = signal<HealthReport | null>(null);
  /** The newest report is too old to speak of now. */
  readonly healthStale = signal(false);
  readonly vitals = signal<VitalsNow | null>(null);
  readonly waves = new Waves();
  /** The program's layout, and those it can have; changed for everybody. */
  readonly layout = signal('');
  readonly layouts = signal<readonly string[]>([]);
  /** aligned | now; empty: not told. */
  readonly timing = signal('');
  readonly people = signal<readonly Person[]>([]);
  /** Authors who were here and whose line is lost: not those who left on purpose. */
  readonly lostPeople = signal<ReadonlySet<number>>(new Set());
  readonly voiceOpen = signal(false);
  readonly remoteMuted = signal(false);
  /** Whether a voice from here can be heard there, by the path alone. */
  readonly voicePath = signal<VoicePath>('none');
  readonly engineUp = signal(true);
  /** What the room's machine cannot carry now; empty: it carries all. */
  readonly shed = signal('');
  /** The privacy curtain: drawn or not, since when and by whom it was moved; null: it never was. */
  readonly curtain = signal<Curtain | null>(null);
  /** Feeds before which it is drawn now. */
  readonly covered = computed<ReadonlySet<string>>(() => new Set(this.curtain.value?.drawn ? this.feeds.value.filter((f) => f.curtain).map((f) => f.feed) : []));
  readonly camera = signal<CameraState>({ allowed: false, author: 0, problem: '' });
  /** The feed whose camera can be turned; null: there is none. */
  readonly turned = computed<FeedInfo | null>(() => this.feeds.value.find((f) => f.ptz) ?? null);
  readonly microphone = signal<MicrophoneState>('idle');
  readonly notices = signal<readonly NoticeKey[]>([]);
  readonly endedAtMs = signal<number | null>(null);
  /** Seconds that the line is lost, whole; null while it is there. */
  readonly lineLostSeconds = signal<number | null>(null);
  /** Unix ms of the case timeline, at each full second; null while not known. */
  readonly caseTimeMs = signal<number | null>(null);
  readonly inkOnGlass = signal(false);
  readonly inkOff = signal(false);
  readonly inkFallback = signal(false);
  readonly inkUnsent = signal(0);
  readonly clearedAtMs = signal<number | null>(null);
  /** The room's foot pedal, which clears the ink. */
  readonly pedal = signal<PedalState>('none');
  /** What this hand holds. */
  readonly tool = signal<ToolName>('pen');
  /** New marks fade. */
  readonly fades = signal(true);
  /** This page's large picture is held. */
  readonly frozen = signal<Frozen>(null);
  /** Stills of the X-ray runs, oldest first. */
  readonly stills = signal<readonly Still[]>([]);
  /** The one that stands large; null: the live picture does, or a frozen one. */
  readonly still = signal<Still | null>(null);
  /** Frames with ink on them, the last drawn on last. */
  readonly inked = signal<readonly Inked[]>([]);
  /** What the program shows. */
  readonly onGlass = signal<OnGlass>(NOTHING_ON_GLASS);
  /** Whether this page of this browser holds the pen. */
  readonly penPlace = signal<PenPlace>({ kind: 'asking' });
  /** Others whose pen is on the glass now. */
  readonly drawingNow = signal<readonly number[]>([]);
  /** Own marks that stand longer than they should without being looked at. */
  readonly inkStanding = signal(0);
  /** Measuring is off until this page switches it on. */
  readonly measuring = signal(false);
  /** What stands between this page and a length: nothing to measure on, no known length yet, its ends drawn and its length not told, ready. */
  readonly measureStep = signal<'nowhere' | 'reference' | 'length' | 'ready'>('reference');
  readonly me = computed<Person | null>(() => this.people.value.find((p) => p.author === this.welcome.value?.author) ?? null);

  /** Whose ink looks like what. */
  readonly drawers = computed<readonly Drawer[]>(() => this.people.value.map(({ author, texture }) => ({ author, texture })));
  /** The server's word on whether this person may draw now. */
  readonly mayDraw = computed(() => this.me.value?.mayDraw ?? this.welcome.value?.mayDraw ?? false);
  readonly lead = computed<Person | null>(() => this.people.value.find((p) => p.lead) ?? null);
  /** May lend the pen and take it back: the lead, and the room. */
  readonly lends = computed(() => this.screen.value === 'room' || (this.me.value?.lead ?? false));

  constructor() {
    // Said where it is seen: single feeds that come less often are nothing to a page that shows none.
    effect(() => {
      const shed = this.screen.value === 'vendor' ? '' : this.shed.value;
      const ofSingles = shed.startsWith('singles-');
      const seen = this.slots.value.some((feed, slot) => slot > 0 && feed !== '');
      untracked(() => {
        this.notice('fail_shed_singles', ofSingles && seen);
        this.notice('fail_shed', shed !== '' && !ofSingles);
      });
    });
  }

  private healthAt: PerfMs | null = null;
  handleHealth(report: HealthReport, now: PerfMs): void {
    this.healthAt = now;
    this.healthBefore.value = this.health.value;
    this.health.value = report;
    this.healthStale.value = false;
  }
  handleTimeout(now: PerfMs): void {
    this.healthStale.value = this.healthAt !== null && now - this.healthAt >= REPORT_STALE_MS;
    const timeless = this.phase.value === 'open' && this.caseTimeMs.value === null;
    this.timelessSince = timeless ? this.timelessSince ?? now : null;
    this.notice('fail_clock', this.timelessSince !== null && now - this.timelessSince >= TIMELESS_MS);
  }

  private timelessSince: PerfMs | null = null;

  notice(key: NoticeKey, on: boolean): void {
    const has = this.notices.value.includes(key);
    if (on && !has) this.notices.value = [...this.notices.value, key];
    if (!on && has) this.notices.value = this.notices.value.filter((k) => k !== key);
  }

  /** What the room's machine cannot carry, and why its own screen shows nothing: that to those who stand before it, or are asked about it. */
  handleMachine(shed: string, problem: string): void {
    this.shed.value = shed;
    const told = problem !== '' && (this.screen.value === 'room' || this.screen.value === 'desk');
    this.notice('fail_display_silent', told && problem === 'display.not-answering');
    this.notice('fail_display_down', told && problem !== 'display.not-answering');
  }

  /** What the server says of its disk: nothing, or a code. */
  handleDisk(code: string): void {
    this.notice('fail_store_full', code === 'store.full');
    this.notice('fail_store_failing', code !== '' && code !== 'store.full');
  }

  /** Others with a picture were here, one of them was lost, and none is left. */
  remoteLost(): boolean {
    return this.lostPeople.value.size > 0 && !this.people.value.some((p) => p.media && !p.silent && p.author !== this.welcome.value?.author);
  }

  /** The list of who is present, and who of them was lost since. */
  handlePeople(people: readonly Person[], own: number): void {
    const before = new Map(this.people.value.map((p) => [p.author, p]));
    const lost = new Set(this.lostPeople.value);
    for (const p of people) {
      if (p.author === own || (p.media && !p.silent) || p.left) lost.delete(p.author);
      else if (p.silent || before.get(p.author)?.media) lost.add(p.author);
    }
    this.people.value = people;
    this.lostPeople.value = lost;
  }
}

/** The failure behind a stable code of the server. */
export function failureOf(code: string, said: { ja: string; en: string } | null): Failure {
  const key: FailureKey = code.startsWith('auth.link.expired') ? 'fail_link_expired'
    : code.startsWith('auth.link.revoked') ? 'fail_link_revoked'
    : code.startsWith('auth.link.other-case') ? 'fail_link_other'
    : code.startsWith('auth.link') || code.startsWith('auth.token') ? 'fail_link_invalid'
    : code.startsWith('case.ended') ? 'fail_ended'
    : code.includes('version') ? 'fail_version' : 'fail_refused';
  return { key, said: said && (said.ja || said.en) ? said : null, reference: code || null };
}
