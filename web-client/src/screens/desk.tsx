// The strategy desk: the program large, single feeds around it, who is present, and one line about the machinery. Dark office
// hours on a wall of 3840 x 2160; a laptop shows the same.
import type { JSX } from 'preact';
import { healthLine } from '../core/health';
import type { Client } from '../edge/client';
import { Filmstrip, useFeedKeys } from './filmstrip';
import { EraseMine, TalkButton, TelephoneButton, useTalkKeys } from './mentor';
import { LiveBeside, PenPanel, StandingPanel } from './pen_panels';
import { FreezeButton, Rail, useToolKeys } from './rail';
import { Header, InkSigns, Notices, People } from './parts';
import { StageHost } from './stage_host';
import { LayoutChoice } from './desk_panels';
import { VitalsPanel, vitalsTwice } from './vitals_panel';
import { AlignmentPanel } from './view_panels';
import { StillList } from './stills';
import { CameraPad } from './camera_pad';

export function Desk({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const draws = store.mayDraw.value;
  useTalkKeys(client);
  useToolKeys(client, true);
  useFeedKeys(client);
  return (
    <div class="desk" data-testid="desk">
      <Header client={client} room={false} />
      <main><StageHost client={client} feed={store.large.value} remote={true} draws={true} /></main>
      <Filmstrip client={client} cut={false} />
      <aside class={vitalsTwice(client) ? 'twice' : ''}>
        <People client={client} empty={t.people_nobody} />
        <StillList client={client} />
        <InkSigns client={client} />
        <Notices client={client} />
        {draws ? <PenPanel client={client} /> : null}
        <VitalsPanel client={client} rows={2} traces={true} />
        {draws ? <StandingPanel client={client} /> : null}
        <div class="pair"><AlignmentPanel client={client} /><HealthSummary client={client} /></div>
        <div class="pair"><CameraPad client={client} /><LayoutChoice client={client} /></div>
        <span class="fill" />
        <LiveBeside client={client} />
      </aside>
      <footer>
        <TalkButton client={client} />
        <span class="grow" />
        {draws ? <div class="tools"><Rail client={client} /></div> : <PenPanel client={client} />}
        <FreezeButton client={client} />
        {draws ? <EraseMine client={client} /> : null}
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
