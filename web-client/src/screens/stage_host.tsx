// Where the stage stands within a screen: gives it its room, and its pen.
import { effect } from '@preact/signals-core';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { watchPointer } from '../edge/pointer';
import { watchFrames } from '../edge/video_frames';
import { FrameRing, ShownLog } from '../core/frames';
import { PROGRAM } from '../core/view';
import { CropTile } from '../stage/crop';
import { Stage } from '../stage/stage';
import type { StageContext } from '../stage/stage';
import { pick } from '../i18n';
import { clockText } from './parts';
import { exposeForBenches } from '../edge/benches';

interface Standing { readonly client: Client; readonly feed: string; readonly remote: boolean; readonly draws: boolean }

/** What stands large. */
export function StageHost({ client, feed = PROGRAM, remote, draws }: { client: Client; feed?: string; remote: boolean; draws: boolean }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => (host.current ? stand(host.current, { client, feed, remote, draws }) : undefined), [client, feed, remote, draws]);
  return <div class="stage" ref={host} />;
}

/** A tile of the filmstrip with a picture of its own, or (`cut`) one cut out of the program's. */
export function TileHost({ client, feed, cut }: { client: Client; feed: string; cut: boolean }): JSX.Element {
  const host = useRef<HTMLSpanElement>(null);
  useEffect(() => (host.current ? (cut ? standCut : standSmall)(host.current, client, feed) : undefined), [client, feed, cut]);
  return <span class="tilehost" ref={host} />;
}

const NO_RING = new FrameRing();
const NO_LOG = new ShownLog();

function contextOf(client: Client, feed: string, remote: boolean): StageContext {
  const { store } = client;
  return {
    feed,
    ring: () => client.views.ring(feed) ?? NO_RING,
    log: () => client.views.of(feed)?.log ?? NO_LOG,
    ink: client.ink,
    clock: { toTimeline: (t) => client.toTimeline(t), uncertaintyMs: () => client.uncertaintyMs() },
    texts: () => store.texts.value,
    feedName: (one) => {
      const info = store.feeds.value.find((f) => f.feed === one);
      return info ? pick(store.language.value, info.nameJa, info.nameEn) : one;
    },
    labelOf: (author) => {
      if (author === store.welcome.value?.author) return store.texts.value.label_you;
      const p = store.people.value.find((other) => other.author === author);
      return p ? pick(store.language.value, p.familyJa, p.familyEn) : '';
    },
    drawers: () => store.people.value.map((p) => ({ author: p.author, lead: p.lead, mayDraw: p.mayDraw })),
    watermark: () => {
      const me = store.me.value;
      if (!remote || !me) return null;
      return `${pick(store.language.value, me.nameJa, me.nameEn)} ${clockText(store.caseTimeMs.value, false, '')}`;
    },
    flow: (now) => {
      const view = client.views.of(feed);
      return view ? client.flow(now, view.slot) : 'waiting';
    },
    sourceGone: () => client.sourceGone(),
  };
}

const play = (video: HTMLVideoElement) => (track: MediaStreamTrack): void => {
  if (video.srcObject instanceof MediaStream && video.srcObject.getVideoTracks()[0] === track) return;
  video.srcObject = new MediaStream([track]);
  void video.play().catch(() => undefined);
};

function stand(host: HTMLElement, { client, feed, remote, draws }: Standing): () => void {
  const { store } = client;
  const stage = new Stage(contextOf(client, feed, remote));
  const stop = standStage(host, client, stage, feed, () => true);
  stage.glass.classList.toggle('draws', draws);
  const stopTexts = effect(() => {
    void store.texts.value;
    void store.people.value;
    void store.welcome.value;
    void store.feeds.value;
    stage.tick(perfNow());
    stage.paint(perfNow());
  });
  const stopPointer = draws ? watchPen(stage, client) : () => undefined;
  const stopBenches = exposeForBenches(client, stage);
  return () => {
    stopTexts();
    stopPointer();
    stopBenches();
    stop();
  };
}

/** Only one element counts the frames of a slot: the large one, where it shows the same feed. */
function standSmall(host: HTMLElement, client: Client, feed: string): () => void {
  return standStage(host, client, new Stage(contextOf(client, feed, true), true), feed, () => client.store.large.value !== feed);
}

function standStage(host: HTMLElement, client: Client, stage: Stage, feed: string, counts: () => boolean): () => void {
  host.append(stage.root);
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
  const slot = (): number => client.views.of(feed)?.slot ?? -1;
  const stopFrames = watchFrames(stage.video, (frame) => { if (counts()) client.handleFrameShown(frame, slot()); });
  const detach = client.attach({ slot, video: play(stage.video), tick: (now) => stage.tick(now), ink: paintSoon, inkNow: () => stage.paint(perfNow()) });
  return () => {
    fit.disconnect();
    stopFrames();
    detach();
    cancelAnimationFrame(painting);
    stage.root.remove();
  };
}

function standCut(host: HTMLElement, client: Client, feed: string): () => void {
  const tile = new CropTile(feed, contextOf(client, PROGRAM, true));
  host.append(tile.root);
  const nothing = (): void => undefined;
  const stopFrames = feed === PROGRAM ? watchFrames(tile.video, (frame) => { if (client.store.large.value !== PROGRAM) client.handleFrameShown(frame, 0); }) : nothing;
  const detach = client.attach({ slot: () => 0, video: play(tile.video), tick: (now) => tile.tick(now), ink: nothing, inkNow: nothing });
  return () => {
    stopFrames();
    detach();
    tile.root.remove();
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
      const outcome = client.ink.penDown(sample, frame, client.toTimeline(s.time), s.time, stage.isExact(frame, s.time));
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
