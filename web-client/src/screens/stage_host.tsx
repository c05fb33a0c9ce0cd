// Where the stage stands within a screen: gives it its room, and its pen.
import { effect, untracked } from '@preact/signals-core';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { watchFrames } from '../edge/video_frames';
import { FrameRing, ShownLog } from '../core/frames';
import { PROGRAM } from '../core/view';
import { CropTile } from '../stage/crop';
import { Stage } from '../stage/stage';
import type { StageContext, StageKind } from '../stage/stage';
import { watchPen } from './pen_host';
import { pick } from '../i18n';
import { clockText } from './parts';
import { exposeForBenches } from '../edge/benches';

/** Of the window, at most. The large picture has under three quarters of it, so this is over a quarter of its area. */
const BESIDE_HEIGHT = 0.42;

interface Standing { readonly client: Client; readonly feed: string; readonly remote: boolean; readonly draws: boolean }

/** What stands large. */
export function StageHost({ client, feed = PROGRAM, remote, draws }: { client: Client; feed?: string; remote: boolean; draws: boolean }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => (host.current ? stand(host.current, { client, feed, remote, draws }) : undefined), [client, feed, remote, draws]);
  return <div class="stage" ref={host} />;
}

/** The live picture while the large one is held: never under a quarter of it. */
export function BesideHost({ client, feed }: { client: Client; feed: string }): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return undefined;
    const stage = new Stage(contextOf(client, feed, true), 'beside');
    client.shownLive = stage.video;
    const stop = standStage(host.current, client, stage, feed, () => false, 'beside');
    return () => {
      client.shownLive = null;
      stop();
    };
  }, [client, feed]);
  return <div class="besidehost" ref={host} />;
}

/** A tile of the filmstrip with a picture of its own, or (`cut`) one cut out of the program's. */
export function TileHost({ client, feed, cut }: { client: Client; feed: string; cut: boolean }): JSX.Element {
  const host = useRef<HTMLSpanElement>(null);
  useEffect(() => (host.current ? (cut ? standCut : standSmall)(host.current, client, feed) : undefined), [client, feed, cut]);
  return <span class="tilehost" ref={host} />;
}

/** Name of a feed in the screen's language. */
export function feedName(client: Client, feed: string): string {
  const info = client.store.feeds.value.find((f) => f.feed === feed);
  return info ? pick(client.store.language.value, info.nameJa, info.nameEn) : feed;
}

/** What a pen draws is painted so often where it stands small, beside where it is drawn; *clear* and marks that move with their picture do not wait. */
const SMALL_PAINT_MS = 30;

const NO_RING = new FrameRing();
const NO_LOG = new ShownLog();

function contextOf(client: Client, feed: string, remote: boolean): StageContext {
  const { store } = client;
  return {
    feed,
    ring: () => client.views.ring(feed) ?? NO_RING,
    log: () => client.views.of(feed)?.log ?? NO_LOG,
    ink: client.ink,
    tracks: client.inking.tracks,
    pointers: client.inking.pointers,
    still: (of) => client.stillAddress(of),
    clock: { toTimeline: (t) => client.toTimeline(t), uncertaintyMs: () => client.uncertaintyMs() },
    texts: () => store.texts.value,
    feedName: (one) => feedName(client, one),
    labelOf: (author) => {
      if (author === store.welcome.value?.author) return store.texts.value.label_you;
      const p = store.people.value.find((other) => other.author === author);
      return p ? pick(store.language.value, p.familyJa, p.familyEn) : '';
    },
    drawers: () => store.drawers.value,
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
    covered: (one) => store.covered.value.has(one),
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
  // The picture is held in the same turn in which it is asked for.
  const stopFreeze = effect(() => {
    const { value } = store.frozen;
    const still = store.still.value;
    untracked(() => {
      const picture = still && client.stills.picture(still);
      if (still && picture) stage.holdStill(still, picture, perfNow());
      else if (value === null) stage.release(perfNow());
      else if (!stage.isHeld && !(draws && stage.holdNow(perfNow()))) client.inking.unfreeze();
    });
  });
  const stopBenches = exposeForBenches(client, stage);
  return () => {
    stopTexts();
    stopPointer();
    stopFreeze();
    stopBenches();
    stop();
  };
}

/** Only one element counts the frames of a slot: the large one, where it shows the same feed. */
function standSmall(host: HTMLElement, client: Client, feed: string): () => void {
  return standStage(host, client, new Stage(contextOf(client, feed, true), 'tile'), feed, () => client.store.large.value !== feed);
}

function standStage(host: HTMLElement, client: Client, stage: Stage, feed: string, counts: () => boolean, kind: StageKind = 'large'): () => void {
  host.append(stage.root);
  let painting = 0;
  let paintedAt = -Infinity;
  const paintSoon = (): void => {
    painting ||= requestAnimationFrame(() => {
      painting = 0;
      const now = perfNow();
      if (kind !== 'large' && now - paintedAt < SMALL_PAINT_MS) return void paintSoon();
      paintedAt = now;
      stage.paint(now);
    });
  };
  // While marks stand each animation frame asks which picture lies under them.
  let following = 0;
  const follow = (): void => {
    following = 0;
    const now = perfNow();
    stage.follow(now);
    if (stage.isFollowed(now)) following = requestAnimationFrame(follow);
  };
  const fit = new ResizeObserver(() => {
    // What stands beside has the height that its width asks for, as long as what speaks above it is seen: a square picture half as wide as the held one is enough.
    stage.fit(host.clientWidth, kind === 'beside' ? BESIDE_HEIGHT * innerHeight : host.clientHeight);
    stage.paint(perfNow());
  });
  fit.observe(host);
  fit.observe(stage.caption);
  const slot = (): number => client.views.of(feed)?.slot ?? -1;
  const stopFrames = watchFrames(stage.video, (frame) => {
    if (counts()) client.handleFrameShown(frame, slot());
    const now = perfNow();
    stage.follow(now);
    if (stage.isFollowed(now)) following ||= requestAnimationFrame(follow);
  });
  const detach = client.attach({ slot, pixels: () => stage.pixels, video: play(stage.video), tick: (now) => stage.tick(now), ink: paintSoon, inkNow: () => stage.paint(perfNow()) });
  return () => {
    fit.disconnect();
    stopFrames();
    detach();
    cancelAnimationFrame(painting);
    cancelAnimationFrame(following);
    stage.root.remove();
  };
}

/** The program's video that tiles are cut from: in no page, so that nothing is painted of it. One a client, while any tile stands. */
interface Source { readonly video: HTMLVideoElement; readonly stop: () => void; readonly tiles: Set<CropTile> }
const sources = new WeakMap<Client, Source>();

function sourceOf(client: Client): Source {
  const known = sources.get(client);
  if (known) return known;
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  // Nobody else counts the program's frames while a single feed stands large.
  const stopFrames = watchFrames(video, (frame) => { if (client.store.large.value !== PROGRAM) client.handleFrameShown(frame, 0); });
  const nothing = (): void => undefined;
  const tiles = new Set<CropTile>();
  const detach = client.attach({ slot: () => 0, pixels: () => Math.max(0, ...[...tiles].map((tile) => tile.pixels)), video: play(video), tick: nothing, ink: nothing, inkNow: nothing });
  const source = {
    video, tiles,
    stop: () => {
      stopFrames();
      detach();
      video.srcObject = null;
      sources.delete(client);
    },
  };
  sources.set(client, source);
  return source;
}

function standCut(host: HTMLElement, client: Client, feed: string): () => void {
  const source = sourceOf(client);
  const tile = new CropTile(feed, contextOf(client, PROGRAM, true), source.video);
  source.tiles.add(tile);
  host.append(tile.root);
  const nothing = (): void => undefined;
  const detach = client.attach({ slot: () => -1, pixels: () => 0, video: nothing, tick: (now) => tile.tick(now), ink: nothing, inkNow: nothing });
  return () => {
    detach();
    tile.root.remove();
    source.tiles.delete(tile);
    if (source.tiles.size === 0) source.stop();
  };
}
