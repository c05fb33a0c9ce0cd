// The voices of others: one audio element for each slot, in streams of their own so that the browser delays neither picture nor voice.
export class Voices {
  private readonly elements: HTMLAudioElement[] = [];
  private muted = true;

  handleTracks(tracks: readonly MediaStreamTrack[]): void {
    tracks.forEach((track, slot) => {
      const element = this.elements[slot] ?? document.createElement('audio');
      if (!element.isConnected) {
        element.hidden = true;
        element.dataset['testid'] = `voice-${slot}`;
        document.body.append(element);
      }
      this.elements[slot] = element;
      element.autoplay = true;
      element.muted = this.muted;
      element.srcObject = new MediaStream([track]);
    });
  }

  /** Local first: silent or not in the same turn, whatever the network does. */
  mute(muted: boolean): void {
    this.muted = muted;
    for (const element of this.elements) element.muted = muted;
  }

  /** False: the browser wants a press first. */
  async play(): Promise<boolean> {
    const tries = await Promise.allSettled(this.elements.map((e) => e.play()));
    return !tries.some((t) => t.status === 'rejected' && (t.reason as { name?: string }).name === 'NotAllowedError');
  }
}

/** Says a sentence once, at the level of conversation, if the machine has a voice for the language. */
export function say(text: string, language: 'ja' | 'en'): void {
  const synthesis = globalThis.speechSynthesis as SpeechSynthesis | undefined;
  const voice = synthesis?.getVoices().find((v) => v.lang.toLowerCase().startsWith(language));
  if (!synthesis || !voice) return;
  const words = new SpeechSynthesisUtterance(text);
  words.voice = voice;
  words.lang = voice.lang;
  synthesis.speak(words);
}
