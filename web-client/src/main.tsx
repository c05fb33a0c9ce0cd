// Begins: language, client, sprite, screen.
import { render } from 'preact';
import './design/fonts.css';
import './design/tokens.css';
import './design/parts.css';
import './design/screens.css';
import { installSprite } from './design/icon';
import { Client } from './edge/client';
import { hasEnded } from './core/store';
import { canReceive } from './edge/peer';
import { forgetEnd, forgetSession } from './edge/session';
import { languageOf } from './i18n';
import { App } from './screens/app';
import slices from './gen/slices.css?url';

/** Faces for names in kanji are 240 rules that nothing waits for. First of all, so that the interface's own cut stays before them. */
const SLICES_AFTER_MS = 5_000;
let loaded = false;
function loadSlices(): void {
  if (loaded) return;
  loaded = true;
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = slices;
  document.head.prepend(link);
}

export function begin(client: Client): void {
  client.store.language.value = languageOf(location.search, navigator.languages);
  const { phase, failure, screen, endedAtMs } = client.store;
  phase.subscribe((now) => {
    if (now === 'open') forgetEnd();
    if (now === 'over') forgetSession(hasEnded(failure.peek()) ? { room: screen.peek() === 'room', endedMs: endedAtMs.peek() } : null);
  });
  // A link that is opened in the tab of a page that is over differs in its fragment alone, for which no browser loads again.
  addEventListener('hashchange', () => { if (phase.peek() === 'over' && location.hash.length > 1) location.reload(); });
  if (canReceive()) void client.start(); // what is asked of the server is on its way while the page is painted
  else {
    client.store.failure.value = { key: 'fail_no_webrtc', said: null, reference: null };
    client.store.phase.value = 'over';
  }
  installSprite(document.body);
  const root = document.getElementById('app');
  if (root) render(<App client={client} />, root);
  // Of the first picture; a page that has none is painted by then.
  addEventListener('loadeddata', loadSlices, { capture: true, once: true });
  setTimeout(loadSlices, SLICES_AFTER_MS);
}
