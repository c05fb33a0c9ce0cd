// This page's voice: its microphone, the voices of others, and the wishes about both that outlive a line. Knows nothing of
// pictures and ink.
//
// Nothing begins to speak into the room without a press, as the patient hears it. A remote page speaks by itself only where the room opens
// the voices while the page is in the case, or where this very tab was speaking before: a reload, a path made anew, a server that restarted.
// One that is opened while voices are open hears them, and is muted until its person presses.
import { create } from '@bufbuild/protobuf';
import type { Store } from '../core/store';
import type { CaseState, ClientMessage } from '../gen/signal_pb';
import { MicrophoneSchema, RemoteMuteSchema, VoiceOpenSchema } from '../gen/signal_pb';
import type { askMicrophone } from './microphone';
import { keepTalk, keptTalk } from './session';
import { Voices } from './voices';

export interface TalkWays {
  send(body: ClientMessage['body']): void;
  /** Puts this track on the media path; null takes it off. */
  speak(track: MediaStreamTrack | null): Promise<void>;
  askMicrophone: typeof askMicrophone;
}

export class Talk {
  private readonly voices = new Voices();
  private track: MediaStreamTrack | null = null;
  private muteWish: boolean | null = null;
  private hushed = false;
  /** Whether this page is to speak while voices are open, by a press here or in the room; null: nobody has pressed for it. */
  private speaks: boolean | null = null;
  /** The next state is the first of its connection: what it says has changed while nobody listened. */
  private first = true;
  /** Voices are closed, and were not merely gone with a server that takes them up again: whoever opens them presses. */
  private pressAwaited = false;
  private everOpen = false;
  private pressed = 0;

  constructor(private readonly store: Store, private readonly ways: TalkWays) {}

  /** One press in the room: its microphone opens, and all hear each other. */
  async start(): Promise<void> {
    this.voices.mute(this.store.remoteMuted.value);
    const playing = this.voices.play();
    const ready = await this.prepare();
    if (ready) await this.talk(true);
    this.store.notice('fail_autoplay', !(await playing));
    this.ways.send({ case: 'voiceOpen', value: create(VoiceOpenSchema, { open: true }) });
  }

  /** Opens this page's microphone, or shuts it. `held`: for as long as a key is down, which no reload outlives. */
  async talk(on: boolean, held = false): Promise<void> {
    const mine = (this.pressed += 1);
    if (on && !this.track && !(await this.prepare())) return;
    // The browser asked for longer than the key was down.
    if (mine !== this.pressed) return;
    if (!held) this.keep(on);
    this.store.microphone.value = on ? 'sending' : this.track ? 'ready' : this.store.microphone.value;
    this.sayMicrophone(on);
    await this.ways.speak(on ? this.track : null);
  }

  muteRemote(muted: boolean): void {
    // The wish stands until the server says the same, also over a line that is down: nobody is heard again by a reconnect.
    this.muteWish = muted;
    this.store.remoteMuted.value = muted;
    this.voices.mute(muted);
    this.sayMute(muted);
  }

  /** Behind the curtain this microphone gives silence, whatever it was asked for; afterwards that again. */
  hush(hushed: boolean): void {
    this.hushed = hushed;
    if (this.track) this.track.enabled = !hushed;
  }

  async listen(): Promise<void> {
    this.voices.mute(false);
    this.store.notice('fail_autoplay', !(await this.voices.play()));
  }

  async prepare(): Promise<boolean> {
    if (this.track) return true;
    this.store.microphone.value = 'asking';
    const asked = await this.ways.askMicrophone();
    this.store.notice('fail_microphone', 'refused' in asked && asked.refused === 'refused');
    this.store.notice('fail_microphone_none', 'refused' in asked && asked.refused === 'none');
    if ('refused' in asked) {
      this.store.microphone.value = asked.refused;
      return false;
    }
    this.track = asked.track;
    this.track.enabled = !this.hushed;
    this.track.onended = () => {
      this.track = null;
      this.store.microphone.value = 'refused';
      this.store.notice('fail_microphone', true);
      void this.ways.speak(null);
    };
    this.store.microphone.value = 'ready';
    return true;
  }

  handleWelcome(): void {
    const { store } = this;
    if (this.muteWish !== null) this.sayMute(this.muteWish);
    const screen = store.screen.value;
    this.first = true;
    if (screen !== 'room') this.speaks ??= keptTalk(...this.who());
    if ((screen === 'mentor' || screen === 'desk') && store.welcome.value?.maySpeak && store.microphone.value === 'idle') {
      void this.prepare().then(() => this.followVoice());
    }
    if (store.microphone.value === 'sending') this.sayMicrophone(true);
  }

  handleState(state: CaseState): void {
    const { store } = this;
    const was = store.voiceOpen.value;
    const opened = state.voiceOpen && !was;
    store.voiceOpen.value = state.voiceOpen;
    // Who has muted himself is not opened by others.
    if (opened && this.pressAwaited && this.speaks !== false && store.screen.value !== 'room') this.keep(true);
    if (state.voiceOpen) [this.everOpen, this.pressAwaited] = [true, false];
    else if (was ? !this.first : !this.everOpen && this.speaks === null) this.pressAwaited = true;
    this.first = false;
    if (this.muteWish === state.remoteMuted) this.muteWish = null;
    const muted = (store.remoteMuted.value = this.muteWish ?? state.remoteMuted);
    if (store.screen.value === 'room') this.voices.mute(muted || store.microphone.value === 'idle');
    if (opened) this.followVoice();
  }

  /** A media path was made anew. */
  handleTracks(tracks: readonly MediaStreamTrack[]): void {
    this.voices.handleTracks(tracks);
    if (this.store.voiceOpen.value && (this.store.screen.value !== 'room' || this.track)) void this.voices.play();
    if (this.store.microphone.value === 'sending') void this.ways.speak(this.track);
  }

  end(): void {
    this.track?.stop();
    this.track = null;
    this.store.microphone.value = 'idle';
  }

  /** Voices are open: a remote page hears at once; where it is to speak its microphone is on at once, and says so. */
  private followVoice(): void {
    if (!this.store.voiceOpen.value || this.store.screen.value === 'room') return;
    void this.listen();
    if (this.speaks && this.track && this.store.welcome.value?.maySpeak) void this.talk(true);
  }

  private keep(on: boolean): void {
    this.speaks = on;
    if (this.store.screen.value !== 'room') keepTalk(...this.who(), on);
  }
  private who(): [string, number] { return [this.store.caseInfo.value?.caseId ?? '', this.store.welcome.value?.author ?? 0]; }

  private sayMicrophone(on: boolean): void { this.ways.send({ case: 'microphone', value: create(MicrophoneSchema, { on }) }); }
  private sayMute(muted: boolean): void { this.ways.send({ case: 'remoteMute', value: create(RemoteMuteSchema, { muted }) }); }
}
