// Begins: language, sprite, client, screen.
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

export function begin(client: Client): void {
  client.store.language.value = languageOf(location.search, navigator.languages);
  installSprite(document.body);
  const root = document.getElementById('app');
  if (root) render(<App client={client} />, root);
  const { phase, failure, screen, endedAtMs } = client.store;
  phase.subscribe((now) => {
    if (now === 'open') forgetEnd();
    if (now === 'over') forgetSession(hasEnded(failure.peek()) ? { room: screen.peek() === 'room', endedMs: endedAtMs.peek() } : null);
  });
  // A link that is opened in the tab of a page that is over differs in its fragment alone, for which no browser loads again.
  addEventListener('hashchange', () => { if (phase.peek() === 'over' && location.hash.length > 1) location.reload(); });
  if (!canReceive()) {
    client.store.failure.value = { key: 'fail_no_webrtc', said: null, reference: null };
    client.store.phase.value = 'over';
    return;
  }
  void client.start();
}
