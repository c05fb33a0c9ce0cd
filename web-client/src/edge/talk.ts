// This page's voice: its microphone, the voices of others, and the wishes about both that outlive a line. Knows nothing of
// pictures and ink.
import { create } from '@bufbuild/protobuf';
import type { Store } from '../core/store';
import type { CaseState, ClientMessage } from '../gen/signal_pb';
import { MicrophoneSchema, RemoteMuteSchema, VoiceOpenSchema } from '../gen/signal_pb';
import type { askMicrophone } from './microphone';
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

  /** Opens this page's microphone, or shuts it. */
  async talk(on: boolean): Promise<void> {
    if (on && !this.track && !(await this.prepare())) return;
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
    if ((screen === 'mentor' || screen === 'desk') && store.welcome.value?.maySpeak && store.microphone.value === 'idle') {
      void this.prepare().then(() => this.followVoice());
    }
    if (store.microphone.value === 'sending') this.sayMicrophone(true);
  }

  handleState(state: CaseState): void {
    const { store } = this;
    const opened = state.voiceOpen && !store.voiceOpen.value;
    store.voiceOpen.value = state.voiceOpen;
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

  /** The room has opened voice: a remote page hears at once, and its microphone is on at once, and says so. */
  private followVoice(): void {
    if (!this.store.voiceOpen.value || this.store.screen.value === 'room') return;
    void this.listen();
    if (this.track && this.store.welcome.value?.maySpeak) void this.talk(true);
  }

  private sayMicrophone(on: boolean): void { this.ways.send({ case: 'microphone', value: create(MicrophoneSchema, { on }) }); }
  private sayMute(muted: boolean): void { this.ways.send({ case: 'remoteMute', value: create(RemoteMuteSchema, { muted }) }); }
}
