// The stills of the case's X-ray runs: a short list to open one large from, and in the room the one that is drawn on.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { effect } from '@preact/signals-core';
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { drawnFrame, frameName, listedStills } from '../core/stills';
import type { Still } from '../core/stills';
import { StillView } from '../stage/still_view';
import { Icon } from './parts';
import { feedName } from './stage_host';

/** Height of a tile's picture to its width: low, so that the live picture keeps its place beside a held one. */
const TILE_SHAPE = 0.55;

/** Nothing stands here before the first run has ended. */
export function StillList({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const listed = listedStills(store.stills.value, (id) => store.inked.value.some((one) => one.still === id));
  if (listed.length === 0) return null;
  const open = store.still.value?.id;
  return (
    <section class="panel stills" data-testid="stills">
      <h2><Icon name="image-bold" />{t.stills}<small>{t.stills_note}</small></h2>
      <div class="stillrow">
        {listed.map((still) => (
          <button key={still.id} class={`stilltile ${open === still.id ? 'on' : ''}`} type="button" aria-pressed={open === still.id} aria-label={`${t.still_open} ${feedName(client, still.feed)}`} data-testid={`still-${still.id}`}
            onClick={() => { void client.openStill(open === still.id ? null : still); }}>
            <StillHost client={client} still={still} kind="tile" />
          </button>
        ))}
      </div>
    </section>
  );
}

/** What is drawn on and not before the eyes on the main picture. */
export const drawnOf = ({ store }: Client): Still | null => drawnFrame(store.stills.value, store.inked.value, store.onGlass.value);

/** Beside the main picture: the still, or the frame of a feed that the program does not show, that somebody draws on. Nothing stands here while nobody does. */
export function DrawnStill({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const still = drawnOf(client);
  if (!still) return null;
  return (
    <section class="panel drawnstill" data-testid="drawn-still" data-still={still.id} data-feed={still.feed}>
      <h2><Icon name="pencil-simple-fill" />{store.texts.value.still_inked}</h2>
      <StillHost key={still.id || frameName(still.feed, still.capture)} client={client} still={still} kind="beside" />
    </section>
  );
}

/** tile: small, to be opened. beside: as large as its place. */
type StillKind = 'tile' | 'beside';

function StillHost({ client, still, kind }: { client: Client; still: Still; kind: StillKind }): JSX.Element {
  const host = useRef<HTMLSpanElement>(null);
  useEffect(() => (host.current ? standStill(host.current, client, still, kind) : undefined), [client, still.id, still.feed, still.capture, kind]);
  return <span class="stillhost" ref={host} />;
}

function standStill(host: HTMLElement, client: Client, still: Still, kind: StillKind): () => void {
  const { store, inking } = client;
  const view = new StillView(still.id || still.feed, kind === 'tile');
  host.append(view.root);
  let painting = 0;
  const paint = (): void => {
    painting = 0;
    const at = client.toTimeline(perfNow());
    view.update({
      still, picture: client.stills.picture(still), state: client.stills.state(still), strokes: inking.ink.sheet.visible(at).filter((s) => (still.id ? s.frame.still === still.id : s.feed === still.feed && s.frame.capture === still.capture)),
      drawers: store.drawers.value, at, ratio: globalThis.devicePixelRatio || 1, texts: store.texts.value, name: feedName(client, still.feed),
    });
  };
  const soon = (): void => { painting ||= requestAnimationFrame(paint); };
  const fit = new ResizeObserver(() => {
    view.fit(host.clientWidth, kind === 'tile' ? host.clientWidth * TILE_SHAPE : host.clientHeight - view.caption.offsetHeight);
    soon();
  });
  fit.observe(host);
  let second: number | null = null;
  const stopTexts = effect(() => {
    void store.texts.value;
    void store.drawers.value;
    void client.stills.revision.value;
    soon();
  });
  const detach = client.attach({
    slot: () => -1, pixels: () => 0, video: () => undefined, ink: soon, inkNow: paint,
    // Ages count in whole seconds; what fades on it is repainted with them.
    tick: () => {
      if (store.caseTimeMs.value === second && !inking.ink.sheet.strokes().some((s) => s.fadeFrom !== null && (still.id ? s.frame.still === still.id : s.feed === still.feed))) return;
      second = store.caseTimeMs.value;
      soon();
    },
  });
  return () => {
    fit.disconnect();
    stopTexts();
    detach();
    cancelAnimationFrame(painting);
    view.root.remove();
  };
}
