// Which page stands: opening, the role's screen, or one sentence.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Client } from '../edge/client';
import { hasEnded } from '../core/store';
import { forgetSession, keptEnd, REOPEN_MS, reopenCase } from '../edge/session';
import { wallMs } from '../edge/clock';
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

function Over({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const language = store.language.value;
  const failure = store.failure.value;
  const ended = hasEnded(failure);
  const own = failure ? t[failure.key] : '';
  const said = failure?.said ? pick(language, failure.said.ja, failure.said.en) : '';
  const room = store.screen.value === 'room' || (ended && keptEnd() !== null);
  // A page that has ended comes back by its link: where that stands in the address still, by loading it again.
  const reloads = failure?.key === 'fail_version' || (failure?.key === 'fail_ended' && !room && location.hash.length > 1);
  const telephone = store.caseInfo.value?.telephone;
  return (
    <div class={`sentence ${room ? 'far' : ''}`} data-testid={ended ? 'ended' : 'failure'} data-code={failure?.reference ?? ''}>
      <div class="panel">
        <Icon name={ended ? 'stop-circle-bold' : 'info-bold'} />
        <div>
          {ended && failure === null
            ? <><h1 class="num">{language === 'ja' ? `${clockText(store.endedAtMs.value, false, '')} ${t.ended_at}`.trim() : `${t.ended_at} ${clockText(store.endedAtMs.value, false, '')}`.trim()}</h1><p class="mid">{t.ended_note}</p></>
            : <><p class="own">{failure?.key === 'fail_refused' && said ? said : own}</p></>}
          {ended ? <Reopen client={client} /> : null}
          {telephone ? <p class="tel row"><Icon name="phone-fill" />{telephone}</p> : null}
          <div class="row acts">
            {reloads ? <button class="btn pri" type="button" onClick={() => { location.reload(); }}>{t.act_reload}</button> : null}
            <button class="btn" type="button" lang={language === 'ja' ? 'en' : 'ja'} onClick={() => { chooseLanguage(client, language === 'ja' ? 'en' : 'ja'); }}><Icon name="translate-bold" />{t.language_other}</button>
            {failure?.reference ? <small class="ref">{t.fail_reference} {failure.reference}</small> : null}
          </div>
        </div>
      </div>
    </div>
  );
}

/** What may be done next, for as long as it may: the room opens the case again, the others come back by their links. */
function Reopen({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const [kept] = useState(keptEnd);
  const [state, setState] = useState<'open' | 'sending' | 'unreachable' | 'over'>('open');
  useEffect(() => {
    const timer = setTimeout(() => { setState((now) => (now === 'sending' ? now : 'over')); }, kept ? kept.untilMs - wallMs() : REOPEN_MS);
    return () => { clearTimeout(timer); };
  }, []);
  useEffect(() => { if (state === 'over') forgetSession(null); }, [state]);
  if (state === 'over') return kept ? <p class="mid" data-testid="reopen-over">{t.reopen_failed}</p> : null;
  const endedAt = kept ? kept.endedMs : store.endedAtMs.value;
  const sentence = endedAt === null ? null
    : <p class="mid num">{(kept ? t.ended_until : t.ended_again).replace('{time}', clockText(endedAt + REOPEN_MS, false, ''))}</p>;
  if (kept === null) return sentence;
  const press = async (): Promise<void> => {
    setState('sending');
    const answer = await reopenCase();
    if (answer === 'done') location.reload();
    else setState(answer === 'unreachable' && keptEnd() !== null ? 'unreachable' : 'over');
  };
  return (
    <>
      {sentence}
      {state === 'unreachable' ? <p class="mid" data-testid="reopen-unreachable">{t.reopen_unreachable}</p> : null}
      <div class="row acts">
        <button class="btn pri" type="button" data-testid="reopen" disabled={state === 'sending'} onClick={() => { void press(); }}><Icon name="arrow-u-up-left-bold" />{state === 'sending' ? t.reopen_sending : t.act_reopen}</button>
      </div>
    </>
  );
}
