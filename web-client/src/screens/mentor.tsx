// The mentor's page: rail, picture, side column, dock.
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Client } from '../edge/client';
import { Header, Icon, InkSigns, lineLost, Notices, People } from './parts';
import { Filmstrip, useFeedKeys } from './filmstrip';
import { StageHost } from './stage_host';

export function Mentor({ client, draws }: { client: Client; draws: boolean }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  useKeys(client, draws);
  useFeedKeys(client);
  return (
    <div class={`mentor ${draws ? '' : 'norail'}`} data-testid="mentor">
      <Header client={client} room={false} />
      {draws ? (
        <nav aria-label={t.menu_tools}>
          <button class="btn on" type="button" aria-pressed="true" data-testid="tool-pen"><Icon name="pencil-simple-bold" /><span class="hint">{t.pen}</span></button>
          <hr />
          <button class="btn" type="button" data-testid="undo" onClick={() => { client.undo(); }}><Icon name="arrow-u-up-left-bold" /><span class="hint">{t.undo}</span></button>
        </nav>
      ) : null}
      <main><StageHost client={client} feed={store.large.value} remote={true} draws={draws && !onPhone()} /><Filmstrip client={client} cut={true} /></main>
      <aside>
        <People client={client} empty={t.people_nobody} />
        <InkSigns client={client} />
        <Notices client={client} />
        {draws ? <p class="panel noink mid">{t.no_ink_here}</p> : <p class="panel mid">{t.watch_only}</p>}
      </aside>
      <footer>
        <TalkButton client={client} />
        <span class="grow" />
        {draws ? <button class="btn erase" type="button" data-testid="erase-mine" onClick={() => { client.eraseMine(); }}><Icon name="eraser-bold" /><span>{t.erase_mine}</span></button> : null}
        <TelephoneButton client={client} />
      </footer>
    </div>
  );
}

/** No ink on a phone: a finger covers what it draws on. */
const onPhone = (): boolean => matchMedia('(max-width: 600px)').matches;

export function TalkButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const sending = store.microphone.value === 'sending';
  const able = store.voiceOpen.value;
  const muted = able && sending && store.remoteMuted.value;
  const touch = matchMedia('(pointer: coarse)').matches;
  const [word, note] = !able ? [t.talk_wait, t.talk_wait_note]
    : muted ? [t.talk_room_muted, t.talk_room_muted_note]
    : sending ? [t.talking, t.talking_note]
    : [t.talk, touch ? t.talk_note_touch : t.talk_note];
  const look = !able ? 'wait' : muted ? 'stopped' : sending ? 'live' : 'pri';
  return (
    <button class={`btn talk ${look}`} type="button" data-testid="talk" aria-pressed={sending} disabled={!able} onClick={() => { void client.voice.talk(!sending); }}>
      <Icon name={muted ? 'microphone-slash-bold' : 'microphone-fill'} /><span><span>{word}</span><small>{note}</small></span>
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

/** Space held = talk while off · M mute · Ctrl+Z undo · Delete erase my ink. */
export function useKeys(client: Client, draws: boolean): void {
  useEffect(() => {
    let held = false;
    const { store } = client;
    const down = (e: KeyboardEvent): void => {
      if (e.repeat || e.altKey) {
        if (e.code === 'Space' && held) e.preventDefault();
        return;
      }
      if (e.code === 'Space' && !e.ctrlKey && store.voiceOpen.value) {
        e.preventDefault();
        if (store.microphone.value === 'sending') return;
        held = true;
        void client.voice.talk(true);
      } else if (e.code === 'KeyM' && !e.ctrlKey && !e.metaKey) {
        if (store.microphone.value === 'sending') void client.voice.talk(false);
      } else if (draws && e.code === 'KeyZ' && (e.ctrlKey || e.metaKey) && !e.shiftKey) {
        e.preventDefault();
        client.undo();
      } else if (draws && e.code === 'Delete') {
        client.eraseMine();
      }
    };
    const up = (e: KeyboardEvent): void => {
      if (e.code !== 'Space') return;
      if (store.voiceOpen.value) e.preventDefault();
      if (held) void client.voice.talk(false);
      held = false;
    };
    const blur = (): void => {
      if (held) void client.voice.talk(false);
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
  }, [client, draws]);
}
