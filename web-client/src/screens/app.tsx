// Which page stands: opening, the role's screen, or one sentence.
import type { JSX } from 'preact';
import type { Client } from '../edge/client';
import type { FailureKey } from '../core/store';
import { clockText, chooseLanguage, Icon, Notices } from './parts';
import { Desk } from './desk';
import { Mentor } from './mentor';
import { Room } from './room';
import { Vendor } from './vendor';
import { pick } from '../i18n';

export function App({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  document.documentElement.lang = store.language.value;
  if (store.phase.value === 'over') return <Over client={client} />;
  switch (store.screen.value) {
    case 'room': return <Room client={client} />;
    case 'mentor': return <Mentor client={client} />;
    case 'desk': return <Desk client={client} />;
    case 'vendor': return <Vendor client={client} />;
    case null: return (
      <div class="sentence" data-testid="opening"><div class="panel"><p class="mid">{t.opening}</p><Notices client={client} /></div></div>
    );
  }
}

const RELOADS: ReadonlySet<FailureKey> = new Set(['fail_version']);

function Over({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const language = store.language.value;
  const failure = store.failure.value;
  const ended = failure === null || failure.key === 'fail_ended';
  const own = failure ? t[failure.key] : '';
  const said = failure?.said ? pick(language, failure.said.ja, failure.said.en) : '';
  const telephone = store.caseInfo.value?.telephone;
  return (
    <div class={`sentence ${store.screen.value === 'room' ? 'far' : ''}`} data-testid={ended ? 'ended' : 'failure'} data-code={failure?.reference ?? ''}>
      <div class="panel">
        <Icon name={ended ? 'stop-circle-bold' : 'info-bold'} />
        <div>
          {ended && failure === null
            ? <><h1 class="num">{language === 'ja' ? `${clockText(store.endedAtMs.value, false, '')} ${t.ended_at}`.trim() : `${t.ended_at} ${clockText(store.endedAtMs.value, false, '')}`.trim()}</h1><p class="mid">{t.ended_note}</p></>
            : <><p class="own">{failure?.key === 'fail_refused' && said ? said : own}</p></>}
          {telephone ? <p class="tel row"><Icon name="phone-fill" />{telephone}</p> : null}
          <div class="row acts">
            {failure && RELOADS.has(failure.key) ? <button class="btn pri" type="button" onClick={() => { location.reload(); }}>{t.act_reload}</button> : null}
            <button class="btn" type="button" lang={language === 'ja' ? 'en' : 'ja'} onClick={() => { chooseLanguage(client, language === 'ja' ? 'en' : 'ja'); }}><Icon name="translate-bold" />{t.language_other}</button>
            {failure?.reference ? <small class="ref">{t.fail_reference} {failure.reference}</small> : null}
          </div>
        </div>
      </div>
    </div>
  );
}
