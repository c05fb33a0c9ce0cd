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
import { forgetSession } from './edge/session';
import { languageOf } from './i18n';
import { App } from './screens/app';

export function begin(client: Client): void {
  client.store.language.value = languageOf(location.search, navigator.languages);
  installSprite(document.body);
  const root = document.getElementById('app');
  if (root) render(<App client={client} />, root);
  client.store.phase.subscribe((phase) => { if (phase === 'over') forgetSession(hasEnded(client.store.failure.value)); });
  if (!canReceive()) {
    client.store.failure.value = { key: 'fail_no_webrtc', said: null, reference: null };
    client.store.phase.value = 'over';
    return;
  }
  void client.start();
}
