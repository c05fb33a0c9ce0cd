// The program and the single feeds side by side; pressing one puts it large. Its place never changes.
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { PROGRAM } from '../core/view';
import type { Client } from '../edge/client';
import { TileHost } from './stage_host';

/** The program and as many feeds as there are keys and places of a wall. */
const TILES_MAX = 9;

/** `cut`: tiles are cut out of the program, so that nothing more is encoded for them. */
export function Filmstrip({ client, cut }: { client: Client; cut: boolean }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const held = store.slots.value;
  const tiles = [PROGRAM, ...store.singles.value].slice(0, TILES_MAX);
  return (
    <nav class="film" style={{ '--n': tiles.length }} aria-label={t.film_label} data-testid="filmstrip">
      {tiles.map((feed, i) => (
        <button key={feed} class={`filmtile ${store.large.value === feed ? 'on' : ''}`} type="button" aria-pressed={store.large.value === feed} data-testid={`show-${feed}`} onClick={() => { client.show(feed); }}>
          <TileHost client={client} feed={feed} cut={cut || feed === PROGRAM || !held.includes(feed)} />
          <kbd aria-hidden="true">{i}</kbd>
        </button>
      ))}
    </nav>
  );
}

/** 0 program · 1 to 8 a single feed. */
export function useFeedKeys(client: Client): void {
  useEffect(() => {
    const down = (e: KeyboardEvent): void => {
      if (e.target instanceof HTMLInputElement || e.repeat || e.altKey || e.ctrlKey || e.metaKey || !/^[0-8]$/.test(e.key)) return;
      const feed = e.key === '0' ? PROGRAM : client.store.singles.value[Number(e.key) - 1];
      if (feed) client.show(feed);
    };
    addEventListener('keydown', down);
    return () => { removeEventListener('keydown', down); };
  }, [client]);
}
