// Measuring mode only: read-only looks into the page for end-to-end programs, as `window.shirube`.
import { effect } from '@preact/signals-core';
import { PICTURE_WIDTH } from '../core/units';
import { PROGRAM } from '../core/view';
import type { Stage } from '../stage/stage';
import type { Client } from './client';
import { perfNow } from './clock';

declare global {
  interface Window { shirube?: object }
}

export function exposeForBenches(client: Client, stage: Stage): () => void {
  const ring = () => client.views.ring(PROGRAM);
  const stop = effect(() => {
    if (!client.store.welcome.value?.measuring) return;
    window.shirube = Object.freeze({
      /** The live picture that is to be seen: what stands large, or what stands beside it while that is held. */
      video: () => client.shownLive ?? stage.video,
      glass: () => stage.glass,
      /** While a canvas stands for the video: that, and the RTP timestamp of the picture on it. */
      picture: () => stage.picture,
      clock: Object.freeze({
        /** Case timeline now (or at a performance.now() time), NTP 32.32 as bigint; null before the first exchange. */
        now: (at?: number) => client.toTimeline((at ?? perfNow()) as ReturnType<typeof perfNow>),
        uncertaintyMs: () => client.uncertaintyMs(),
      }),
      frames: Object.freeze({
        size: () => ring()?.size ?? 0,
        newest: () => ring()?.newest ?? null,
        at: (rtpTs: number) => ring()?.at(rtpTs) ?? null,
        shown: () => client.views.of(PROGRAM)?.log.last ?? null,
      }),
      ink: Object.freeze({
        strokes: () => client.ink.sheet.strokes(),
        /** Without those that have faded. */
        visible: () => client.ink.sheet.visible(client.toTimeline(perfNow())),
        applied: () => client.ink.sheet.applied,
        unacknowledged: () => client.ink.unacknowledged,
        /** Own acts up to `seq` that the server has told to be on disk. */
        acknowledged: () => ({ author: client.ink.author, epoch: client.ink.epoch, seq: client.ink.acknowledged }),
        author: () => client.ink.author,
        /** RTP timestamp of the picture that ink was painted for last. */
        paintedOn: () => stage.paintedOn,
        /**
         * Where a mark on the main feed was painted last, the newest or the `nth`: x' = a·x − b·y + tx, y' = b·x + a·y + ty, tx, ty in parts of the picture's width; whether it is
         * drawn with gaps; and its phase. Null: it is not on it.
         */
        moved: (nth = -1) => {
          // As ink is painted: by the picture's own index, or by the newest before it where that has not come.
          const on = stage.paintedOn ?? client.views.of(PROGRAM)?.log.last?.rtpTs ?? null;
          const main = ((on === null ? null : ring()?.upTo(on)) ?? ring()?.newest)?.entries[0];
          const stroke = main && client.ink.sheet.strokes().filter((s) => s.feed === main.feed).at(nth);
          if (!main || !stroke) return null;
          const standing = stage.standing(stroke.id);
          if (standing?.kind !== 'here') return null;
          const { a, b, tx, ty } = standing.moved;
          return { a, b, tx: tx / PICTURE_WIDTH, ty: ty / PICTURE_WIDTH, unsure: standing.unsure, phase: stroke.phase };
        },
        /** Pointers that are to be seen. */
        rings: () => client.inking.pointers.rings(client.ink.author),
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
