// Where the stage stands within a screen: gives it its room, and its pen.
import { effect } from '@preact/signals-core';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { watchPointer } from '../edge/pointer';
import { watchFrames } from '../edge/video_frames';
import { Stage } from '../stage/stage';
import { pick } from '../i18n';
import { clockText } from './parts';
import { exposeForBenches } from '../edge/benches';

export function StageHost({ client, remote, draws }: { client: Client; remote: boolean; draws: boolean }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => (host.current ? stand(host.current, client, remote, draws) : undefined), [client, remote, draws]);
  return <div class="stage" ref={host} />;
}

function stand(host: HTMLElement, client: Client, remote: boolean, draws: boolean): () => void {
  const { store } = client;
  const person = (author: number) => store.people.value.find((p) => p.author === author);
  const stage = new Stage({
    ring: client.ring,
    log: client.shown,
    ink: client.ink,
    clock: { toTimeline: (t) => client.toTimeline(t), uncertaintyMs: () => client.uncertaintyMs() },
    texts: () => store.texts.value,
    feedName: (feed) => {
      const info = store.welcome.value?.feeds.find((f) => f.feed === feed);
      return info ? pick(store.language.value, info.nameJa, info.nameEn) : feed;
    },
    labelOf: (author) => {
      if (author === store.welcome.value?.author) return store.texts.value.label_you;
      const p = person(author);
      return p ? pick(store.language.value, p.familyJa, p.familyEn) : '';
    },
    drawers: () => store.people.value.map((p) => ({ author: p.author, lead: p.lead, mayDraw: p.mayDraw })),
    watermark: () => {
      const me = store.me.value;
      if (!remote || !me) return null;
      return `${pick(store.language.value, me.nameJa, me.nameEn)} ${clockText(store.caseTimeMs.value, false, '')}`;
    },
    flow: (now) => client.flow(now),
    sourceGone: () => client.sourceGone(),
  });
  host.append(stage.root);
  stage.glass.classList.toggle('draws', draws);

  let painting = 0;
  const paintSoon = (): void => {
    painting ||= requestAnimationFrame(() => {
      painting = 0;
      stage.paint(perfNow());
    });
  };
  const fit = new ResizeObserver(() => {
    stage.fit(host.clientWidth, host.clientHeight);
    stage.paint(perfNow());
  });
  fit.observe(host);
  fit.observe(stage.caption);
  const stopFrames = watchFrames(stage.video, (frame) => client.handleFrameShown(frame));
  client.attach({
    video: (track) => {
      stage.video.srcObject = new MediaStream([track]);
      void stage.video.play().catch(() => undefined);
    },
    tick: (now) => stage.tick(now),
    ink: paintSoon,
    inkNow: () => stage.paint(perfNow()),
  });
  const stopTexts = effect(() => {
    void store.texts.value;
    void store.people.value;
    void store.welcome.value;
    stage.tick(perfNow());
    paintSoon();
  });
  const stopPointer = draws ? watchPen(stage, client) : () => undefined;
  const stopBenches = exposeForBenches(client, stage);
  return () => {
    fit.disconnect();
    stopFrames();
    stopTexts();
    stopPointer();
    stopBenches();
    cancelAnimationFrame(painting);
    stage.root.remove();
  };
}

/** The pen draws at once; one message leaves per animation frame while it is down. */
function watchPen(stage: Stage, client: Client): () => void {
  let sending = 0;
  const sendSoon = (): void => {
    sending ||= requestAnimationFrame(() => {
      sending = 0;
      client.afterInk(perfNow());
    });
  };
  const surface = (): ReturnType<Stage['frameAt']> => {
    const state = client.ink.pen.state;
    return state.kind === 'drawing' ? state.surface.frame : null;
  };
  const stop = watchPointer(stage.glass, {
    down: (s) => {
      const frame = stage.frameAt(s.time);
      const sample = frame ? stage.toProgram(s.x, s.y, s.pressure, frame) : { x: 0, y: 0, pressure: 0 };
      const outcome = client.ink.penDown(sample, frame, client.toTimeline(s.time), s.time);
      client.store.notice('fail_ink_unplaced', outcome === 'unplaced');
      if (outcome === 'began') client.afterInk(perfNow());
      return outcome === 'began';
    },
    move: (samples) => {
      const frame = surface();
      const last = samples.at(-1);
      if (!frame || !last) return;
      client.ink.penMove(samples.map((s) => stage.toProgram(s.x, s.y, s.pressure, frame)), client.toTimeline(last.time), last.time);
      stage.paint(perfNow());
      sendSoon();
    },
    up: () => {
      const now = perfNow();
      client.ink.penUp(client.toTimeline(now), now);
      client.afterInk(now);
    },
  });
  return () => {
    stop();
    cancelAnimationFrame(sending);
  };
}
