// Measuring mode only: read-only looks into the page for end-to-end programs, as `window.shirube`.
import { effect } from '@preact/signals-core';
import type { Stage } from '../stage/stage';
import type { Client } from './client';
import { perfNow } from './clock';

declare global {
  interface Window { shirube?: object }
}

export function exposeForBenches(client: Client, stage: Stage): () => void {
  const stop = effect(() => {
    if (!client.store.welcome.value?.measuring) return;
    window.shirube = Object.freeze({
      /** The program's video element. */
      video: () => stage.video,
      glass: () => stage.glass,
      clock: Object.freeze({
        /** Case timeline now (or at a performance.now() time), NTP 32.32 as bigint; null before the first exchange. */
        now: (at?: number) => client.toTimeline((at ?? perfNow()) as ReturnType<typeof perfNow>),
        uncertaintyMs: () => client.uncertaintyMs(),
      }),
      frames: Object.freeze({
        size: () => client.ring.size,
        newest: () => client.ring.newest,
        at: (rtpTs: number) => client.ring.at(rtpTs),
        shown: () => client.shown.last,
      }),
      ink: Object.freeze({
        strokes: () => client.ink.sheet.visible(),
        applied: () => client.ink.sheet.applied,
        unacknowledged: () => client.ink.unacknowledged,
        author: () => client.ink.author,
      }),
      people: () => client.store.people.value,
      microphone: () => client.store.microphone.value,
    });
  });
  return () => {
    stop();
    delete window.shirube;
  };
}
