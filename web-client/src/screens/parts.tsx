// Parts that several screens share. Words always stand beside icons.
import '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { NoticeKey } from '../core/store';
import { newestStill } from '../core/stills';
import type { Client } from '../edge/client';
import type { IconName } from '../gen/sprite';
import { Role } from '../gen/signal_pb';
import type { Person } from '../gen/signal_pb';
import type { Language, Texts } from '../i18n';
import { pick } from '../i18n';

export function Icon({ name }: { name: IconName }): JSX.Element {
  return <svg class="i" aria-hidden="true"><use href={`#i-${name}`} /></svg>;
}

export function Tag({ icon, look, children, testid }: { icon: IconName; look: string; children: ComponentChildren; testid?: string }): JSX.Element {
  return <span class={`tag ${look}`} {...(testid ? { 'data-testid': testid } : {})}><Icon name={icon} /><span>{children}</span></span>;
}

// One locale for both languages: only it knows the short name of this country's time. Made once; making one is slow.
const TO_THE_MINUTE = new Intl.DateTimeFormat('ja-JP', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const TO_THE_SECOND = new Intl.DateTimeFormat('ja-JP', { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short', hourCycle: 'h23' });

/** Hour and minute, with seconds where asked, in this place's time. */
export function clockText(ms: number | null, seconds: boolean, unknown: string): string {
  if (ms === null) return unknown;
  return (seconds ? TO_THE_SECOND : TO_THE_MINUTE).format(ms);
}

/** Case, its state, and what must be known of it. `room`: large, with the sentence about the native monitors. */
export function Header({ client, room, beside = null }: { client: Client; room: boolean; beside?: ComponentChildren }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const info = store.caseInfo.value;
  const language = store.language.value;
  const [time, zone] = clockText(store.caseTimeMs.value, !room, t.time_unknown).split(' ');
  const title = info ? pick(language, info.titleJa, info.titleEn) : t.opening;
  const state = info?.state === 'live' ? <Tag icon="circle-fill" look="c-live" testid="case-state">{t.live_case}</Tag>
    : info ? <Tag icon="circle-dashed-bold" look="c-low" testid="case-state">{t.case_state_other}</Tag> : null;
  return (
    <header>
      {room ? state : null}
      <div class="title">
        <h1 class="nm cut" data-testid="case-title">{title}</h1>
        {room ? <span class="native">{t.native_monitors}</span> : null}
      </div>
      {room ? null : state}
      {info?.rehearsal ? <Tag icon="test-tube-bold" look="c-hi" testid="rehearsal"><>{t.rehearsal}{room ? null : <span class="wide">{language === 'ja' ? '・' : ' · '}{t.rehearsal_note}</span>}</></Tag> : null}
      <span class="grow" />
      {info?.patientAwake ? <span class="awake" data-testid="patient-awake"><Icon name="ear-fill" /><span>{t.patient_awake}</span></span> : null}
      {info?.patientAwake ? <span class="grow" /> : null}
      <button class="btn quiet lang" type="button" title="日本語 / English" aria-label={t.language_switch} data-testid="language" onClick={() => { chooseLanguage(client, language === 'ja' ? 'en' : 'ja'); }}>
        <Icon name="translate-bold" /><span class={room ? 'word' : 'wide'} lang={language === 'ja' ? 'en' : 'ja'}>{t.language_other}</span>
      </button>
      {beside}
      <CurtainTag client={client} />
      {info?.recording ? <Tag icon="record-fill" look="c-red">{t.recording}</Tag> : <Tag icon="prohibit-bold" look="bare c-steel">{t.not_recording}</Tag>}
      <b class="clock num" data-testid="clock">{time}{zone ? <span class="zone"> {zone}</span> : null}</b>
    </header>
  );
}

/** The privacy curtain is drawn: said on every screen of the case, with the time since when. */
export function CurtainTag({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const curtain = store.curtain.value;
  if (!curtain?.drawn) return null;
  return <Tag icon="eye-slash-bold" look="c-violet" testid="curtain-tag"><>{store.texts.value.look_curtain_plate}<span class="num"> {clockText(curtain.sinceMs, false, '')}</span></></Tag>;
}

/** The choice lives in the address, so that nothing is kept on the terminal. */
export function chooseLanguage(client: Client, language: Language): void {
  client.store.language.value = language;
  const query = new URLSearchParams(location.search);
  query.set('lang', language);
  history.replaceState(null, '', `${location.pathname}?${query}`);
}

export function roleName(role: Role, t: Texts): string {
  switch (role) {
    case Role.ROOM: return t.role_room;
    case Role.MENTOR: return t.role_mentor;
    case Role.DESK: return t.role_desk;
    case Role.VENDOR: return t.role_vendor;
    case Role.PLANNER: return t.role_planner;
    case Role.ADMINISTRATOR: return t.role_administrator;
    default: return t.role_observer;
  }
}

const roleWord = (p: Person, t: Texts): string => (p.role === Role.MENTOR && p.lead ? t.role_mentor_lead : roleName(p.role, t));

function PersonRow({ person: p, client }: { person: Person; client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const language = store.language.value;
  const mine = p.author === store.welcome.value?.author;
  const lost = mine ? store.voicePath.value === 'cut' : (store.lostPeople.value.has(p.author) || (p.present && store.lineLostSeconds.value !== null));
  const absent = !lost && !mine && !p.present;
  const microphone = mine ? store.microphone.value === 'sending' : p.microphone;
  const speaking = !lost && !absent && p.speaking;
  const icon: IconName = lost ? 'wifi-slash-bold' : absent ? 'user-bold' : speaking ? 'speaker-high-fill' : microphone ? 'microphone-bold' : 'microphone-slash-bold';
  const voice = lost ? t.person_lost : absent ? t.person_absent : speaking ? t.person_speaking : microphone ? t.person_mic_on : t.person_mic_off;
  const name = pick(language, p.nameJa, p.nameEn);
  const where = pick(language, p.institutionJa, p.institutionEn);
  const inRoom = store.screen.value === 'room';
  const open = language === 'ja' ? '（' : ' (';
  const shut = language === 'ja' ? '）' : ')';
  return (
    <li class={`who ${mine ? 'me' : ''} ${speaking ? 'talk' : ''} ${lost ? 'gone' : ''} ${absent ? 'away' : ''}`} data-testid={`person-${p.author}`} data-voice={lost ? 'lost' : absent ? 'absent' : speaking ? 'speaking' : microphone ? 'on' : 'off'}>
      <Icon name={icon} />
      <div>
        <b class="cut">{name}{mine && !inRoom ? `${open}${t.you}${shut}` : ''}</b>
        <small class="what"><span class="cut">{[roleWord(p, t), mine && inRoom ? t.this_room : inRoom ? '' : where, p.mayDraw && !p.lead && !store.lends.value ? t.person_may_draw : ''].filter(Boolean).join(language === 'ja' ? '　' : ', ')}</span><span class="said">{voice}</span></small>
      </div>
      <Lending person={p} client={client} mine={mine} />
    </li>
  );
}

/** The pen is lent and taken back here, by the lead and by the room. */
function Lending({ person: p, client, mine }: { person: Person; client: Client; mine: boolean }): JSX.Element | null {
  const { store, inking } = client;
  const t = store.texts.value;
  const wanted = p.asksPen && !p.mayDraw ? <Tag icon="hand-palm-bold" look="c-hi" testid={`asks-${p.author}`}>{t.pen_wanted}</Tag> : null;
  if (!store.lends.value || mine || p.lead || !p.present || !(p.role === Role.MENTOR || p.role === Role.DESK)) return wanted;
  return (
    <span class="lend">
      {p.role === Role.MENTOR && p.mayDraw && (store.me.value?.lead || !store.lead.value?.present) ? <button class="btn" type="button" data-testid={`lead-${p.author}`} onClick={() => { inking.nameLead(p.author); }}>{t.lead_name}</button> : null}
      <button class={`btn ${wanted ? 'on' : ''}`} type="button" data-testid={`lend-${p.author}`} onClick={() => { inking.lend(p.author, !p.mayDraw); }}>
        {wanted ? <Icon name="hand-palm-bold" /> : null}<span>{p.mayDraw ? t.pen_take_back : t.pen_lend}{wanted ? <small>{t.pen_wanted}</small> : null}</span>
      </button>
    </span>
  );
}

export function People({ client, empty }: { client: Client; empty: string }): JSX.Element {
  const t = client.store.texts.value;
  const people = [...client.store.people.value].sort((a, b) => Number(b.present) - Number(a.present) || a.author - b.author);
  return (
    <section class="panel people" aria-label={t.people} data-testid="people">
      <h2>{t.people}</h2>
      {people.length > 0 ? <ul>{people.map((p) => <PersonRow key={p.author} person={p} client={client} />)}</ul> : <p class="mid">{empty}</p>}
    </section>
  );
}

/** Since when the line is lost: to this page, or, in the room, to everybody far away. */
export function lineLost(client: Client): { seconds: number | null } | null {
  const { store } = client;
  if (store.lineLostSeconds.value !== null) return { seconds: store.lineLostSeconds.value };
  const remote = store.screen.value === 'room' && store.remoteLost();
  return remote ? { seconds: null } : null;
}

export function Telephone({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const info = store.caseInfo.value;
  const lost = lineLost(client);
  const name = info ? pick(store.language.value, info.telephoneNameJa, info.telephoneNameEn) : '';
  if (lost) {
    return (
      <section class="panel phone lost" data-testid="telephone" data-line="lost" role="alert">
        <div class="row what"><Icon name="wifi-slash-bold" /><span>{t.line_lost}</span><span class="grow" />{lost.seconds === null ? null : <span class="num" aria-live="off">{lost.seconds} {t.line_lost_seconds}</span>}</div>
        <div class="call">{t.line_lost_call}</div>
        <div class="tel">{info?.telephone ?? t.age_none}</div>
        <small>{t.line_lost_again}</small>
      </section>
    );
  }
  return (
    <section class="panel phone" data-testid="telephone" data-line="up">
      <h2 class="row"><Icon name="phone-fill" /><span>{t.telephone}</span></h2>
      <div class="tel">{info?.telephone ?? t.age_none}</div>
      <small>{name}</small>
    </section>
  );
}

const ACTS: Record<NoticeKey, (client: Client) => { word: keyof Texts; act: () => void } | null> = {
  fail_microphone: (c) => ({ word: 'act_try_again', act: () => { void c.voice.prepare(); } }),
  fail_microphone_none: (c) => ({ word: 'act_try_again', act: () => { void c.voice.prepare(); } }),
  fail_autoplay: (c) => ({ word: 'act_listen', act: () => { void c.voice.listen(); } }),
  fail_outbox: () => null,
  fail_ink_refused: (c) => ({ word: 'act_dismiss', act: () => { c.dismiss('fail_ink_refused'); } }),
  fail_fifth: (c) => ({ word: 'act_dismiss', act: () => { c.dismiss('fail_fifth'); } }),
  fail_ink_unplaced: (c) => ({ word: 'act_dismiss', act: () => { c.dismiss('fail_ink_unplaced'); } }),
  fail_pen_elsewhere: (c) => ({ word: 'pen_here', act: () => { c.dismiss('fail_pen_elsewhere'); c.inking.takePen(); } }),
  fail_unreachable: () => null,
  fail_media: () => null,
  fail_store_full: () => null,
  fail_store_failing: () => null,
  fail_clock: () => null,
  fail_line_small: (c) => ({ word: 'act_dismiss', act: () => { c.dismiss('fail_line_small'); } }),
  // What still comes over such a line: one sharp picture of each X-ray run.
  fail_line_paused: (c) => (newestStill(c.store.stills.value) ? { word: 'act_still', act: () => { void c.openStill(newestStill(c.store.stills.value)); } } : null),
  fail_shed: () => null,
  fail_shed_singles: () => null,
  fail_display_silent: () => null,
  fail_display_down: () => null,
  fail_restarting: () => null,
};

/** Sentences of trouble in the side column, each with its one act. */
export function Notices({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  if (store.notices.value.length === 0) return null;
  return (
    <section class="panel notices" role="status" data-testid="notices">
      {store.notices.value.map((key) => {
        const act = ACTS[key](client);
        return (
          <div class="notice" key={key} data-testid={key}>
            <p>{t[key]}</p>
            {act ? <button class="btn" type="button" onClick={act.act}>{t[act.word]}</button> : null}
          </div>
        );
      })}
    </section>
  );
}

/** Small signs about ink: who draws now, off, by the spare path, not yet sent. Nothing stands here while all is quiet. */
export function InkSigns({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const language = store.language.value;
  const drawing = store.drawingNow.value.map((author) => store.people.value.find((p) => p.author === author)).filter((p) => p !== undefined);
  const signs = [
    store.inkOff.value ? <Tag key="off" icon="pencil-simple-slash-bold" look="fill c-amber" testid="ink-off">{t.ink_off}</Tag> : null,
    drawing.length > 0 ? <Tag key="drawing" icon="pencil-simple-fill" look="c-hi" testid="drawing-now">{drawing.map((p) => pick(language, p.familyJa, p.familyEn)).join(language === 'ja' ? '・' : ', ')}{language === 'ja' ? '　' : ' '}{t.ink_drawing}</Tag> : null,
    store.pedal.value === 'pairing' ? <Tag key="pedal" icon="hourglass-medium-bold" look="c-amber" testid="pedal-pairing">{t.pedal_press}</Tag> : null,
    store.inkUnsent.value > 0 ? <Tag key="unsent" icon="hourglass-medium-bold" look="c-amber" testid="ink-unsent">{t.ink_unsent} {store.inkUnsent.value}</Tag> : null,
    store.inkFallback.value ? <Tag key="path" icon="path-bold" look="c-amber" testid="ink-fallback">{t.ink_fallback}</Tag> : null,
  ].filter((sign) => sign !== null);
  return <div class="inksigns" role="status">{signs}</div>;
}

const HOLD_MS = 1_500;

/** Ending needs a hold: the fill runs left to right, letting go or leaving cancels at once. Also by holding Enter. */
export function HoldButton({ client, onDone }: { client: Client; onDone: () => void }): JSX.Element {
  const t = client.store.texts.value;
  const button = useRef<HTMLButtonElement>(null);
  const word = useRef<HTMLSpanElement>(null);
  const hold = useRef<{ began: number; frame: number } | null>(null);
  const stop = (): void => {
    if (hold.current) cancelAnimationFrame(hold.current.frame);
    hold.current = null;
    button.current?.style.setProperty('--p', '0%');
    button.current?.classList.remove('holding');
    if (word.current) word.current.textContent = t.end;
  };
  const step = (now: number): void => {
    if (!hold.current) return;
    const part = Math.min(1, Math.max(0, now - hold.current.began) / HOLD_MS);
    button.current?.style.setProperty('--p', `${part * 100}%`);
    if (word.current) word.current.textContent = `${t.end_left_before} ${((1 - part) * HOLD_MS / 1000).toFixed(1)} ${t.end_left_after}`.trim();
    if (part >= 1) {
      stop();
      if (word.current) word.current.textContent = t.end_sending;
      onDone();
      return;
    }
    hold.current.frame = requestAnimationFrame(step);
  };
  const start = (began: number): void => {
    if (hold.current) return;
    button.current?.classList.add('holding');
    hold.current = { began, frame: requestAnimationFrame(step) };
  };
  return (
    <button ref={button} class="btn hold" type="button" data-testid="end"
      onPointerDown={(e) => { if (e.button === 0) start(e.timeStamp); }} onPointerUp={stop} onPointerLeave={stop} onPointerCancel={stop} onBlur={stop}
      onKeyDown={(e) => { if (e.key === 'Enter' && !e.repeat) start(e.timeStamp); if (e.key === 'Enter') e.preventDefault(); }} onKeyUp={stop} onContextMenu={(e) => { e.preventDefault(); }}>
      <Icon name="stop-circle-bold" /><span><span ref={word} class="num">{t.end}</span><small>{t.end_note}</small></span>
    </button>
  );
}
