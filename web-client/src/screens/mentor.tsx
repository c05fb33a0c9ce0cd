// The mentor's page: rail, picture, side column, dock.
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Client } from '../edge/client';
import { Header, Icon, InkSigns, lineLost, Notices, People } from './parts';
import { Filmstrip, useFeedKeys } from './filmstrip';
import { LiveBeside, MeasurePanel, PenPanel, StandingPanel } from './pen_panels';
import { FreezeButton, KeepButton, Rail, useToolKeys } from './rail';
import { StageHost } from './stage_host';
import { StillList } from './stills';
import { PHONE } from './phone';
import { VitalsPanel, vitalsTwice } from './vitals_panel';
import { CameraPad } from './camera_pad';

export function Mentor({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const able = !onPhone();
  const draws = store.mayDraw.value;
  useTalkKeys(client);
  useToolKeys(client, able);
  useFeedKeys(client);
  return (
    <div class={`mentor ${able && draws ? '' : 'norail'}`} data-testid="mentor">
      <Header client={client} room={false} />
      {able && draws ? <Rail client={client} /> : null}
      <main><StageHost client={client} feed={store.large.value} remote={true} draws={able} /><Filmstrip client={client} cut={true} /></main>
      <aside class={vitalsTwice(client) ? 'twice' : ''}>
        <VitalsPanel client={client} rows={2} traces={true} />
        <People client={client} empty={t.people_nobody} />
        <InkSigns client={client} />
        <Notices client={client} />
        {able ? <PenPanel client={client} /> : <p class="panel noink mid">{t.no_ink_here}</p>}
        {able && draws ? <StandingPanel client={client} /> : null}
        {able && draws ? <MeasurePanel client={client} /> : null}
        <CameraPad client={client} />
        <span class="fill" />
        <StillList client={client} />
        <LiveBeside client={client} />
      </aside>
      <footer>
        <TalkButton client={client} />
        <span class="grow" />
        {able ? <FreezeButton client={client} /> : null}
        {able && draws ? <KeepButton client={client} /> : null}
        {able && draws ? <EraseMine client={client} /> : null}
        <TelephoneButton client={client} />
      </footer>
    </div>
  );
}

/** No ink on a phone: a finger covers what it draws on. */
const onPhone = (): boolean => matchMedia(PHONE).matches;

export function EraseMine({ client }: { client: Client }): JSX.Element {
  return <button class="btn erase" type="button" data-testid="erase-mine" onClick={() => { client.inking.eraseMine(); }}><Icon name="eraser-bold" /><span>{client.store.texts.value.erase_mine}</span></button>;
}

export function TalkButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const sending = store.microphone.value === 'sending';
  const able = store.voiceOpen.value;
  const muted = able && sending && store.remoteMuted.value;
  const silent = muted || (able && !sending);
  const touch = matchMedia('(pointer: coarse)').matches;
  const path = store.voicePath.value;
  const [word, note] = !able ? [t.talk_wait, t.talk_wait_note]
    : path === 'none' ? [t.talk_joining, t.talk_joining_note]
    : path === 'cut' ? [t.talk_cut, sending ? t.talk_cut_sending : t.line_lost_again]
    : muted ? [t.talk_room_muted, t.talk_room_muted_note]
    : sending ? [t.talking, t.talking_note]
    : [t.voice_mic_off, touch ? t.talk_note_touch : t.talk_note];
  const look = !able ? 'wait' : path === 'cut' ? 'cut' : path === 'none' ? 'wait' : muted ? 'stopped' : sending ? 'live' : 'pri';
  return (
    <button class={`btn talk ${look}`} type="button" data-testid="talk" data-path={path} aria-pressed={sending} disabled={!able} onClick={() => { void client.voice.talk(!sending); }}>
      <Icon name={able && path === 'cut' ? 'wifi-slash-bold' : silent ? 'microphone-slash-bold' : 'microphone-fill'} /><span><span>{word}</span><small>{note}</small></span>
    </button>
  );
}

export function TelephoneButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const number = store.caseInfo.value?.telephone ?? '';
  const lost = lineLost(client);
  return (
    <a class={`btn telbtn ${lost ? 'lost' : ''}`} href={`tel:${number.replaceAll(/[^+\d]/g, '')}`} data-testid="telephone" data-line={lost ? 'lost' : 'up'} aria-label={`${t.telephone} ${number}`}>
      <Icon name={lost ? 'wifi-slash-bold' : 'phone-fill'} />
      <span>{lost ? <small class="num" role="alert">{t.line_lost}{lost.seconds === null ? '' : ` ${lost.seconds} ${t.line_lost_seconds}`} · {t.line_lost_call}</small> : null}<span class="tel">{number || t.age_none}</span></span>
    </a>
  );
}

/** Space held = talk while off · M mute. Not while something is typed. */
export function useTalkKeys(client: Client): void {
  useEffect(() => {
    let held = false;
    const { store } = client;
    const down = (e: KeyboardEvent): void => {
      if (e.target instanceof HTMLInputElement) return;
      if (e.repeat || e.altKey) {
        if (e.code === 'Space' && held) e.preventDefault();
        return;
      }
      if (e.code === 'Space' && !e.ctrlKey && store.voiceOpen.value) {
        e.preventDefault();
        if (store.microphone.value === 'sending') return;
        held = true;
        void client.voice.talk(true, true);
      } else if (e.code === 'KeyM' && !e.ctrlKey && !e.metaKey) {
        if (store.microphone.value === 'sending') void client.voice.talk(false);
      }
    };
    const up = (e: KeyboardEvent): void => {
      if (e.code !== 'Space' || e.target instanceof HTMLInputElement) return;
      if (store.voiceOpen.value) e.preventDefault();
      if (held) void client.voice.talk(false, true);
      held = false;
    };
    const blur = (): void => {
      if (held) void client.voice.talk(false, true);
      held = false;
    };
    addEventListener('keydown', down);
    addEventListener('keyup', up);
    addEventListener('blur', blur);
    return () => {
      removeEventListener('keydown', down);
      removeEventListener('keyup', up);
      removeEventListener('blur', blur);
    };
  }, [client]);
}
