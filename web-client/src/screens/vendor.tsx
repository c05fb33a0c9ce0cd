// The vendor in attendance: figures of the machinery from the server's health report. No picture, no ink, no name.
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { formatAge } from '../core/age';
import type { Trouble } from '../core/health';
import { feedAgeMs, lineStalls, numbersOf, rateOf, sourcesOf, troubleOf } from '../core/health';
import { lookOf } from '../core/glass';
import { unixMsFromNtp } from '../core/units';
import type { Client } from '../edge/client';
import { MaskState } from '../gen/frame_pb';
import type { FeedStatus, HealthReport, PeerStatus, Took } from '../gen/signal_pb';
import type { Texts } from '../i18n';
import { pick } from '../i18n';
import { LOOKS } from '../stage/looks';
import { chooseLanguage, clockText, Icon, lineLost, Notices, roleName, Tag } from './parts';

export function Vendor({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const report = store.health.value;
  const language = store.language.value;
  useEffect(() => {
    document.documentElement.classList.add('office');
    return () => { document.documentElement.classList.remove('office'); };
  }, []);
  return (
    <div class="vendor" data-testid="vendor">
      <header>
        <h1>{t.vendor_title}</h1>
        <span class="mid cut">{store.caseInfo.value?.caseId ?? ''}</span>
        {store.caseInfo.value?.rehearsal ? <Tag icon="test-tube-bold" look="c-steel" testid="rehearsal">{t.rehearsal}</Tag> : null}
        <span class="grow" />
        <Tag icon="eye-slash-bold" look="c-steel">{t.vendor_no_pictures}</Tag>
        <button class="btn quiet lang" type="button" aria-label={t.language_switch} data-testid="language" onClick={() => { chooseLanguage(client, language === 'ja' ? 'en' : 'ja'); }}>
          <Icon name="translate-bold" /><span lang={language === 'ja' ? 'en' : 'ja'}>{t.language_other}</span>
        </button>
        <b class="clock num" data-testid="clock">{clockText(store.caseTimeMs.value, true, t.time_unknown)}</b>
      </header>
      <Warning client={client} />
      <main>
        <Notices client={client} />
        <Cards client={client} />
        <Feeds client={client} report={report} />
        <Layers client={client} report={report} />
        <Tracks client={client} report={report} />
      </main>
      <aside>
        <Engine client={client} report={report} />
        <Peers client={client} report={report} />
      </aside>
    </div>
  );
}

const dash = (t: Texts, value: string | null | undefined): string => (value === null || value === undefined || value === '' ? t.age_none : value);

/** How the room's own screen is. */
const displayName = (said: string, t: Texts): string => (said === 'shown' ? t.display_shown : said === 'display.not-answering' ? t.display_silent : t.display_down);

/** What most needs somebody, and its one action: the room's telephone. Nothing stands here while all is well. */
function Warning({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const lost = lineLost(client);
  const trouble: Trouble | null = lost ? { kind: 'silent' } : troubleOf(store.health.value, store.healthStale.value);
  const number = store.caseInfo.value?.telephone ?? '';
  if (!trouble) return <p class={`warn quiet ${store.health.value ? '' : 'none'}`} data-testid="warning" data-trouble=""><Icon name={store.health.value ? 'check-circle-bold' : 'circle-dashed-bold'} /><span>{store.health.value ? t.vendor_well : t.vendor_waiting}</span></p>;
  const feed = 'feed' in trouble ? feedName(trouble.feed, client) : '';
  const [what, next] = ((): [string, string] => {
    switch (trouble.kind) {
      case 'silent': return [t.vendor_silent, t.vendor_silent_next];
      case 'engine': return [t.vendor_engine_gone, t.vendor_engine_next];
      case 'lost': return [`${feed}${t.vendor_colon}${t.look_lost_plate}`, t.look_lost_next];
      case 'problem': return [`${feed}${t.vendor_colon}${trouble.feed.problem}`, t.vendor_problem_next];
      case 'stale': return [`${feed}${t.vendor_colon}${t.look_stale}`, t.vendor_stale_next];
      case 'display': return [trouble.problem === 'display.not-answering' ? t.fail_display_silent : t.fail_display_down, t.vendor_display_next];
      case 'shed': return [trouble.shed.startsWith('singles-') ? t.fail_shed_singles : t.fail_shed, `${t.vendor_shed}${t.vendor_colon}${shedName(trouble.shed, t)}`];
      case 'stalled': return [`${t.vendor_peer} ${trouble.peer.number}${t.vendor_colon}${t.vendor_stalled}`, t.vendor_stalled_next];
    }
  })();
  return (
    <div class="warn" role="alert" data-testid="warning" data-trouble={trouble.kind}>
      <Icon name="warning-bold" />
      <p class="grow"><b>{what}</b><br />{next}</p>
      {number ? <a class="btn pri" href={`tel:${number.replaceAll(/[^+\d]/g, '')}`} data-testid="tell-room"><Icon name="phone-fill" /><span>{t.vendor_tell} <span class="tel">{number}</span></span></a> : null}
    </div>
  );
}

function Cards({ client }: { client: Client }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const n = store.healthStale.value ? numbersOf(null, null) : numbersOf(store.health.value, store.healthBefore.value);
  const card = (id: string, label: string, value: string | null, unit: string): JSX.Element => (
    <div class="panel" data-testid={`number-${id}`}><small>{label}</small><div><b class="num">{dash(t, value)}</b>{value === null ? '' : ` ${unit}`}</div></div>
  );
  return (
    <div class="cards">
      {card('age', t.vendor_age, n.ageMs === null ? null : String(Math.round(n.ageMs)), 'ms')}
      {card('loss', t.vendor_loss, n.loss === null ? null : (n.loss * 100).toFixed(1), '%')}
      {card('encode', t.vendor_encode, n.encodeCores === null ? null : n.encodeCores.toFixed(2), t.vendor_core)}
      {card('clock', t.vendor_clock, n.clockMs === null ? null : `±${n.clockMs < 10 ? n.clockMs.toFixed(2) : Math.round(n.clockMs)}`, 'ms')}
    </div>
  );
}

const feedName = (f: FeedStatus, client: Client): string => pick(client.store.language.value, f.nameJa, f.nameEn) || f.feed;

function Feeds({ client, report }: { client: Client; report: HealthReport | null }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  return (
    <section class="panel scroll">
      <table data-testid="feeds">
        <thead><tr><th>{t.vendor_feed}</th><th>{t.vendor_state}</th><th>{t.vendor_format}</th><th class="r">{t.vendor_luma}</th><th class="r">{t.vendor_black}</th><th class="r">{t.vendor_frozen}</th><th>{t.vendor_mask}</th><th class="r">{t.vendor_feed_age}</th><th>{t.vendor_problem}</th></tr></thead>
        <tbody>
          {report && sourcesOf(report).length > 0 ? sourcesOf(report).map((f) => <FeedRow key={f.feed} client={client} feed={f} report={report} />) : <tr><td colSpan={9} class="mid">{t.age_none}</td></tr>}
        </tbody>
      </table>
    </section>
  );
}

function FeedRow({ client, feed: f, report }: { client: Client; feed: FeedStatus; report: HealthReport }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const stale = store.healthStale.value;
  const ageMs = feedAgeMs(f, report);
  const look = stale ? 'unknown' : lookOf({ covered: store.covered.value.has(f.feed), flow: report.engineUp ? 'flowing' : 'stalled', sourceGone: !report.engineUp, state: f.state, ageMs, sync: f.sync });
  const words = LOOKS[look];
  const age = formatAge(words.age, ageMs);
  // Figures of a picture that is not there say nothing.
  const there = look === 'live' || look === 'unsynced' || look === 'xoff' || look === 'looping' || look === 'stale';
  const figure = (value: string): string => (there ? value : t.age_none);
  return (
    <tr data-testid={`feed-${f.feed}`} data-look={look}>
      <td><b>{feedName(f, client)}</b></td>
      <td><span class={words.tag}><Icon name={words.icon} /><span>{t[words.word]}</span></span></td>
      <td class="num">{f.width > 0 && f.height > 0 ? `${f.width}×${f.height}${f.periodUs > 0 ? ` ${(1e6 / f.periodUs).toFixed(2).replace(/\.?0+$/, '')}` : ''}` : t.age_none}</td>
      <td class="r">{figure(f.lumaMean > 0 ? String(f.lumaMean) : t.age_none)}</td>
      <td class="r">{figure(`${(f.blackPermille / 10).toFixed(1)} %`)}</td>
      <td class="r">{figure(`${(f.frozenPermille / 10).toFixed(1)} %`)}</td>
      <td data-testid={`mask-${f.feed}`}>{stale ? t.age_none : maskWord(f.mask, t)}</td>
      <td class="r">{age && !stale ? `${age.value} ${t[`age_${age.unit}`]}` : t.age_none}</td>
      <td class="wrap">{dash(t, f.problem)}</td>
    </tr>
  );
}

const maskWord = (mask: MaskState, t: Texts): string => (mask === MaskState.CERTAIN ? t.vendor_mask_on : mask === MaskState.UNKNOWN ? t.look_unmasked : mask === MaskState.NONE ? t.vendor_mask_none : t.age_none);

function Layers({ client, report }: { client: Client; report: HealthReport | null }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const ms = (us: number): string => (us > 0 ? (us / 1000).toFixed(1) : t.age_none);
  const name = (feed: string): string => {
    if (feed === 'program') return t.program;
    const known = report?.feeds.find((f) => f.feed === feed);
    return known ? feedName(known, client) : feed;
  };
  return (
    <section class="panel scroll">
      <table data-testid="layers">
        <thead><tr><th>{t.vendor_layer}</th><th class="r">{t.vendor_watchers}</th><th class="r">{t.vendor_fps}</th><th class="r">{t.vendor_bitrate}</th><th class="r">{t.vendor_encode_ms}</th><th class="r">{t.vendor_rtp50}</th><th class="r">{t.vendor_rtp99}</th><th class="r">{t.vendor_dropped}</th></tr></thead>
        <tbody>
          {report && report.layers.length > 0 ? report.layers.map((l) => {
            const rate = rateOf(l, report, store.healthBefore.value);
            const live = !store.healthStale.value;
            return (
              <tr key={`${l.feed} ${l.layer}`} data-testid={`layer-${l.feed}-${l.layer}`}>
                <td><b>{name(l.feed)}</b> <span class="mid">{l.layer}</span></td><td class="r">{l.watchers}</td>
                <td class="r">{rate.fps === null || !live ? t.age_none : rate.fps.toFixed(1)}</td><td class="r">{rate.bps === null || !live ? t.age_none : (rate.bps / 1e6).toFixed(2)}</td>
                <td class="r">{ms(l.encodeUsP50)}</td><td class="r">{ms(l.captureToRtpUsP50)}</td><td class="r">{ms(l.captureToRtpUsP99)}</td><td class="r">{String(l.dropped)}</td>
              </tr>
            );
          }) : <tr><td colSpan={8} class="mid">{t.age_none}</td></tr>}
        </tbody>
      </table>
    </section>
  );
}

function Engine({ client, report }: { client: Client; report: HealthReport | null }): JSX.Element {
  const { store } = client;
  const t = store.texts.value;
  const known = report !== null && !store.healthStale.value;
  const up = known ? (report.engineUp ? t.health_up : t.health_down) : t.age_none;
  const tracker = known ? report.tracker : undefined;
  // Without ink there is nothing to follow, and no share of it.
  const followed = tracker !== undefined && tracker.anchors > 0 ? tracker : null;
  return (
    <section class="panel" data-testid="engine">
      <h2>{t.vendor_engine}</h2>
      <dl class="kv">
        <dt>{t.health_engine}</dt><dd class={known && !report.engineUp ? 'c-orchid' : ''}>{up}</dd>
        <dt>{t.vendor_since}</dt><dd>{known && report.engineUp && report.engineSince !== 0n ? clockText(unixMsFromNtp(report.engineSince), true, t.age_none) : t.age_none}</dd>
        <dt>{t.vendor_restarts}</dt><dd>{report ? report.engineRestarts : t.age_none}</dd>
        <dt>{t.vendor_software}</dt><dd>{dash(t, report?.engineSoftware)}</dd>
        <dt>{t.vendor_server}</dt><dd>{dash(t, store.welcome.value?.software)}</dd>
        <dt>{t.vendor_shed}</dt><dd class={known && report.shed ? 'c-amber' : ''} data-testid="shed">{known ? (report.shed ? shedName(report.shed, t) : t.shed_nothing) : t.age_none}</dd>
        {known && report.display ? <><dt>{t.vendor_display}</dt><dd class={report.display === 'shown' ? '' : 'c-orchid'} data-testid="display">{displayName(report.display, t)}</dd></> : null}
        <dt>{t.vendor_link_dropped}</dt><dd>{report ? String(report.linkDropped) : t.age_none}</dd>
        <dt>{t.vendor_tracker}</dt><dd data-testid="tracker-shares">{followed ? [followed.trackedPermille, followed.unsurePermille, followed.lostPermille].map((p) => (p / 10).toFixed(1)).join(' / ') + ' %' : t.age_none}</dd>
        <dt>{t.vendor_tracker_ms}</dt><dd data-testid="tracker-ms">{followed ? `${(followed.frameUsP50 / 1000).toFixed(1)} / ${(followed.frameUsP99 / 1000).toFixed(1)} ms` : t.age_none}</dd>
        <dt>{t.vendor_tracker_skipped}</dt><dd data-testid="tracker-skipped">{tracker ? String(tracker.skipped) : t.age_none}</dd>
        <dt>{t.vendor_forwarding}</dt><dd class="num" data-testid="forwarding">{tookText(report?.forwarding, t)}</dd>
        <dt>{t.vendor_joining}</dt><dd class="num" data-testid="joining">{tookText(report?.joining, t)}</dd>
        <dt>{t.vendor_starting}</dt><dd class="num" data-testid="starting">{tookText(report?.starting, t)}</dd>
      </dl>
    </section>
  );
}

const SHED: Readonly<Record<string, keyof Texts>> = { 'singles-half': 'shed_singles_half', 'singles-few': 'shed_singles_few', 'program-30': 'shed_program_30', smaller: 'shed_smaller' };
const shedName = (shed: string, t: Texts): string => { const key = SHED[shed]; return key ? t[key] : shed; };
/** How its packets travel, and what its line is estimated to carry. */
function lineText(p: PeerStatus): string {
  const way = p.byTcp ? 'TCP' : 'UDP';
  // Of a camera what it sends; of all others what their line carries.
  const kbps = p.kind === 'camera' ? p.kbps : p.estimateKbps;
  return kbps > 0 ? `${way} · ${(kbps / 1000).toFixed(1)} Mbit/s` : way;
}

/** Half of all took at most the first, 99 of 100 the second. */
function tookText(took: Took | undefined, t: Texts): string {
  if (!took) return t.age_none;
  const ms = (us: number): string => (us < 10_000 ? (us / 1000).toFixed(1) : String(Math.round(us / 1000)));
  return `${ms(took.p50Us)} / ${ms(took.p99Us)} ms`;
}

function nameOf(feed: string, report: HealthReport | null, client: Client): string {
  if (feed === 'program') return client.store.texts.value.program;
  const known = report?.feeds.find((f) => f.feed === feed);
  return known ? feedName(known, client) : feed;
}

/** A page by its role; a player or a camera by what it is and its feed, which is all that is known of it here. */
function peerName(p: PeerStatus, report: HealthReport, client: Client): string {
  const t = client.store.texts.value;
  if (p.kind === 'player') return `${t.vendor_player} · ${nameOf(p.feed, report, client)}`;
  if (p.kind === 'camera') return `${t.vendor_camera} · ${nameOf(p.feed, report, client)}`;
  return roleName(p.role, t);
}

/** What each page is sent, slot by slot. */
function Tracks({ client, report }: { client: Client; report: HealthReport | null }): JSX.Element {
  const t = client.store.texts.value;
  const name = (feed: string): string => nameOf(feed, report, client);
  const rows = report && !client.store.healthStale.value ? report.peers.filter((p) => p.media).flatMap((p) => p.tracks.map((track) => ({ p, track }))) : [];
  return (
    <section class="panel scroll">
      <table data-testid="tracks">
        <thead><tr><th>{t.vendor_track}</th><th>{t.vendor_layer}</th><th class="r">{t.vendor_rtt}</th><th class="r">{t.vendor_loss_short}</th><th class="r">{t.vendor_nacks}</th><th class="r">{t.vendor_keyframes}</th><th class="r">{t.vendor_switches}</th><th class="r">{t.vendor_freezes}</th><th class="r">{t.vendor_frozen_s}</th></tr></thead>
        <tbody>
          {rows.length > 0 ? rows.map(({ p, track }) => (
            <tr key={`${p.kind} ${p.number} ${track.slot}`} data-testid={`track-${p.kind}${p.number}-${track.slot}`}>
              <td><b class="num">{p.number}</b> {p.kind === 'player' ? t.vendor_player : roleName(p.role, t)} · {name(track.feed)}</td><td class="mid">{track.layer === '' ? t.vendor_paused : track.layer}</td>
              <td class="r">{track.rttMs > 0 ? `${Math.round(track.rttMs)} ms` : t.age_none}</td><td class="r">{`${(track.loss * 100).toFixed(1)} %`}</td>
              <td class="r">{String(track.nacks)}</td><td class="r">{String(track.keyframes)}</td><td class="r">{String(track.switches)}</td>
              <td class="r">{track.freezes}</td><td class="r">{(track.frozenMs / 1000).toFixed(1)}</td>
            </tr>
          )) : <tr><td colSpan={9} class="mid">{t.age_none}</td></tr>}
        </tbody>
      </table>
    </section>
  );
}

/** Pages of the case, by number and role, then players and cameras. */
function Peers({ client, report }: { client: Client; report: HealthReport | null }): JSX.Element {
  const t = client.store.texts.value;
  return (
    <section class="panel scroll grow">
      <h2>{t.vendor_peers}</h2>
      <table data-testid="peers">
        <thead><tr><th>{t.vendor_peer}</th><th class="r">{t.vendor_rtt}</th><th class="r">{t.vendor_loss_short}</th><th class="r">{t.vendor_feed_age}</th><th class="r">{t.vendor_freezes}</th></tr></thead>
        <tbody>
          {report && report.peers.length > 0 ? report.peers.map((p) => {
            const figure = (on: boolean, value: string): string => (p.media && on ? value : t.age_none);
            return (
              <tr key={`${p.kind} ${p.number}`} data-testid={`peer-${p.kind}${p.number}`}>
                <td><b class="num">{p.number}</b> {peerName(p, report, client)}{p.media ? <><br /><small class="mid num">{lineText(p)}</small></> : null}{lineStalls(p, report) ? <><br /><Tag icon="wifi-slash-bold" look="fill c-orchid">{t.look_stalled}</Tag></> : null}</td>
                <td class="r">{figure(p.rttMs > 0, `${Math.round(p.rttMs)} ms`)}</td><td class="r">{figure(true, `${((p.kind === 'camera' ? p.lossIn : p.loss) * 100).toFixed(1)} %`)}</td>
                <td class="r">{figure(p.ageMs > 0, `${Math.round(p.ageMs)} ms`)}</td><td class="r">{figure(p.kind !== 'player', String(p.freezes))}</td>
              </tr>
            );
          }) : <tr><td colSpan={5} class="mid">{t.age_none}</td></tr>}
        </tbody>
      </table>
    </section>
  );
}
