// The operating room's page: read at three metres, pressed with wet gloves. It never scrolls and never freezes.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Client } from '../edge/client';
import { PedalHand } from '../edge/pedal';
import { clockText, Header, HoldButton, Icon, InkSigns, lineLost, Notices, People, Telephone } from './parts';
import { StageHost } from './stage_host';
import { VitalsPanel, vitalsTwice } from './vitals_panel';
import { RoomView } from './view_panels';
import { CameraSigns } from './camera_pad';
import { DrawnStill, drawnOf } from './stills';

export function Room({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  return (
    <div class="room" data-testid="room">
      <Header client={client} room={true} beside={<PedalButton client={client} />} />
      <main><StageHost client={client} remote={false} draws={false} /><RoomView client={client} /></main>
      <aside>
        <People client={client} empty={t.people_nobody} />
        <InkSigns client={client} />
        <CameraSigns client={client} />
        <Notices client={client} />
        <span class="fill" />
        <DrawnStill client={client} />
        {/* Beside a still that is drawn on, or more than one trouble, they need not stand twice. */}
        {vitalsTwice(client) && (drawnOf(client) || store.notices.value.length + (lineLost(client) ? 1 : 0) > 1) ? null : <VitalsPanel client={client} rows={2} traces={false} />}
        <Telephone client={client} />
      </aside>
      {/* The keyboard comes to these first (tabIndex 1), to the case's end last, wherever they stand. */}
      <footer>
        <ClearButton client={client} />
        <VoiceButton client={client} />
        <MuteButton client={client} />
        <InkOffButton client={client} />
        <CurtainButton client={client} />
        <span class="grow" />
        <HoldButton client={client} onDone={() => { client.endCase(); }} />
      </footer>
    </div>
  );
}

/** How long *cleared* stands after the press. */
const CLEARED_MS = 3_000;

/** Acts on press, not release, in the same frame. Filled only while ink is on the glass. */
function ClearButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const at = store.clearedAtMs.value;
  const now = store.caseTimeMs.value;
  const justNow = at !== null && (now === null || now - at < CLEARED_MS);
  const note = store.inkUnsent.value > 0 && at !== null ? t.clear_waiting
    : justNow ? `${t.clear_done} ${clockText(at, false, '')}`.trim() : store.pedal.value === 'paired' ? t.clear_pedal : t.clear_note;
  const byPointer = useRef(false);
  useEffect(() => {
    // Two keys at once: none alone does anything in the room.
    const down = (e: KeyboardEvent): void => { if (e.shiftKey && e.code === 'Delete' && !e.repeat) client.inking.clear(); };
    addEventListener('keydown', down);
    return () => { removeEventListener('keydown', down); };
  }, [client]);
  return (
    <button class={`btn clear ${store.inkOnGlass.value ? 'pri' : ''}`} type="button" tabIndex={1} data-testid="clear"
      onPointerDown={(e) => {
        if (e.button !== 0) return;
        byPointer.current = true;
        client.inking.clear();
      }}
      onClick={() => {
        if (!byPointer.current) client.inking.clear(); // by keyboard
        byPointer.current = false;
      }}>
      <Icon name="eraser-fill" /><span><span>{t.clear}</span><small class="num">{note}</small></span>
    </button>
  );
}

/** Pairs the foot pedal: a key that clears the ink and does nothing else. Pressed again it lets go of it. */
function PedalButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const hand = useRef<PedalHand | null>(null);
  useEffect(() => {
    hand.current = new PedalHand(store, () => { client.inking.clear(); });
    return hand.current.listen();
  }, [client]);
  const state = store.pedal.value;
  return (
    <button class={`btn quiet lang ${state === 'paired' ? 'on' : ''}`} type="button" data-testid="pedal" data-pedal={state} aria-pressed={state === 'paired'} aria-label={state === 'none' ? t.pedal_pair : t.pedal_let_go}
      onClick={(e) => { e.currentTarget.blur(); hand.current?.toggle(); }}>
      <Icon name={state === 'paired' ? 'footprints-fill' : 'footprints-bold'} /><span class="wide">{t.pedal}</span>
    </button>
  );
}

function VoiceButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  if (store.curtain.value?.drawn) {
    return (
      <button class="btn voice" type="button" tabIndex={1} data-testid="voice" data-voice="curtain" disabled>
        <Icon name="microphone-slash-bold" /><span><span>{t.voice_curtain}</span><small>{t.voice_curtain_note}</small></span>
      </button>
    );
  }
  const started = store.voiceOpen.value && store.microphone.value !== 'idle' && store.microphone.value !== 'asking';
  const on = store.microphone.value === 'sending';
  const cut = on && store.voicePath.value === 'cut';
  if (!started) {
    // Nobody hears anybody before it is pressed: the one step to take, filled as long as no ink waits to be cleared.
    return (
      <button class={`btn voice ${store.inkOnGlass.value ? 'first' : 'pri'}`} type="button" tabIndex={1} data-testid="voice" data-voice="closed" onClick={oncePer400(() => { void client.voice.start(); })}>
        <Icon name="chats-circle-bold" /><span><span>{t.voice_start}</span><small>{t.voice_start_note}</small></span>
      </button>
    );
  }
  return (
    <button class={`btn voice ${cut ? 'cut' : on ? 'open' : ''}`} type="button" tabIndex={1} data-testid="voice" data-voice={on ? 'on' : 'off'} aria-pressed={on} onClick={oncePer400(() => { void client.voice.talk(!on); })}>
      <Icon name={cut ? 'wifi-slash-bold' : on ? 'microphone-fill' : 'microphone-slash-bold'} /><span><span>{cut ? t.voice_cut : on ? t.voice_on : t.voice_mic_off}</span><small>{cut ? t.line_lost_again : on ? t.voice_on_note : t.voice_mic_off_note}</small></span>
    </button>
  );
}

function MuteButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const muted = store.remoteMuted.value;
  return (
    <button class={`btn stack ${muted ? 'on' : ''}`} type="button" tabIndex={1} data-testid="mute-remote" aria-pressed={muted} onClick={oncePer400(() => { client.voice.muteRemote(!muted); })}>
      <Icon name={muted ? 'speaker-slash-fill' : 'speaker-slash-bold'} /><span><span>{muted ? t.muted_remote : t.mute_remote}</span><small>{t.mute_remote_note}</small></span>
    </button>
  );
}

/** Hides all ink, or shows it again: everywhere, and here in the same frame. */
function InkOffButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const off = store.inkOff.value;
  return (
    <button class={`btn stack ${off ? 'on' : ''}`} type="button" tabIndex={1} data-testid="ink-switch" aria-pressed={off} onClick={oncePer400(() => { client.inking.switchOff(!off); })}>
      <Icon name={off ? 'pencil-simple-slash-bold' : 'pencil-simple-bold'} /><span><span>{off ? t.ink_on_button : t.ink_off_button}</span><small>{off ? t.ink_on_note : t.ink_off_note}</small></span>
    </button>
  );
}

/** Draws the curtain on press, in the same frame; lifts it on release, so that no hand that stays on it does both. */
function CurtainButton({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const drawn = store.curtain.value?.drawn ?? false;
  const drew = useRef(false);
  return (
    <button class={`btn stack ${drawn ? 'veiled' : ''}`} type="button" tabIndex={1} data-testid="curtain" aria-pressed={drawn}
      onPointerDown={(e) => {
        drew.current = false;
        if (e.button !== 0 || drawn) return;
        drew.current = true;
        lastTouch = e.timeStamp;
        client.curtain.press(true);
      }}
      onClick={(e) => {
        const done = drew.current;
        drew.current = false;
        if (!done) oncePer400(() => { client.curtain.press(!drawn); })(e);
      }}>
      <Icon name="eye-slash-bold" /><span><span>{drawn ? t.curtain_lift : t.look_curtain_plate}</span><small>{drawn ? t.curtain_lift_note : t.curtain_note}</small></span>
    </button>
  );
}

let lastTouch = -Infinity;
/** A second touch within 400 ms is ignored: wet gloves. */
function oncePer400(act: () => void): (e: Event) => void {
  return (e) => {
    if (e.timeStamp - lastTouch < 400) return;
    lastTouch = e.timeStamp;
    act();
  };
}
