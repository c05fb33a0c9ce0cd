// The strategy desk: the program large, single feeds around it, who is present, and one line about the machinery. Dark office
// hours on a wall of 3840 x 2160; a laptop shows the same.
import type { JSX } from 'preact';
import { healthLine } from '../core/health';
import type { Client } from '../edge/client';
import { Filmstrip, useFeedKeys } from './filmstrip';
import { TalkButton, TelephoneButton, useKeys } from './mentor';
import { Header, Icon, InkSigns, Notices, People } from './parts';
import { StageHost } from './stage_host';

export function Desk({ client, draws }: { client: Client; draws: boolean }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  useKeys(client, draws);
  useFeedKeys(client);
  return (
    <div class="desk" data-testid="desk">
      <Header client={client} room={false} />
      <main><StageHost client={client} feed={store.large.value} remote={true} draws={draws} /></main>
      <Filmstrip client={client} cut={false} />
      <aside>
        <People client={client} empty={t.people_nobody} />
        <HealthSummary client={client} />
        <InkSigns client={client} />
        <Notices client={client} />
        {draws ? null : <p class="panel mid">{t.watch_only}</p>}
      </aside>
      <footer>
        <TalkButton client={client} />
        <span class="grow" />
        {draws ? <button class="btn" type="button" data-testid="undo" onClick={() => { client.undo(); }}><Icon name="arrow-u-up-left-bold" /><span>{t.undo}</span></button> : null}
        {draws ? <button class="btn erase" type="button" data-testid="erase-mine" onClick={() => { client.eraseMine(); }}><Icon name="eraser-bold" /><span>{t.erase_mine}</span></button> : null}
        <TelephoneButton client={client} />
      </footer>
    </div>
  );
}

/** Feeds that are live, the engine, and the slowest line, in one place. Not known reads as a dash. */
function HealthSummary({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const line = healthLine(store.health.value, store.healthStale.value);
  const well = line !== null && line.engineUp && line.feedsLive === line.feeds;
  return (
    <section class="panel health" data-testid="health" data-well={well}>
      <h2>{t.health}</h2>
      <dl class="kv">
        <dt>{t.health_feeds}</dt><dd class={line && line.feedsLive < line.feeds ? 'c-amber' : ''}>{line ? `${line.feedsLive} / ${line.feeds}` : t.age_none}</dd>
        <dt>{t.health_engine}</dt><dd class={line && !line.engineUp ? 'c-orchid' : ''}>{line ? (line.engineUp ? t.health_up : t.health_down) : t.age_none}</dd>
        <dt>{t.health_rtt}</dt><dd>{line?.rttMs == null ? t.age_none : `${Math.round(line.rttMs)} ms`}</dd>
      </dl>
    </section>
  );
}
