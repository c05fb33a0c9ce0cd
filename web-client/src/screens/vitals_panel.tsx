// Vital signs as data: traces that sweep, and the newest numbers, for reference only. The picture of the device's own monitor stands in the program.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { formatAge } from '../core/age';
import { unixMsFromNtp, type CaptureNtp } from '../core/units';
import { areNotOfNow, MISSING, vitalText, type VitalsNow } from '../core/vitals';
import { rowsOf, SWEEP_S, TRACE_OLD_MS, type Row, type Sweep } from '../core/waves';
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { Icon } from './parts';

/** Wiped ahead of the pen, so that old and new are told apart. */
const AHEAD_S = 0.3;

/** The main picture shows the vital signs too. */
export function vitalsTwice({ store }: Client): boolean {
  return store.feeds.value.some((f) => f.kind === 'vital-signs' && store.onGlass.value.feeds.includes(f.feed));
}

/** `rows`: at most so many; `traces`: with the waves, else numbers alone in one line. */
export function VitalsPanel({ client, rows, traces }: { client: Client; rows: number; traces: boolean }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const vitals = store.vitals.value;
  void store.caseTimeMs.value; // drawn anew each second, by the exact time
  if (vitals === null) return null;
  const now = client.caseNow();
  const shown = rowsOf(store.waves.names, vitals.numbers.map((n) => n.name)).slice(0, rows);
  if (shown.length === 0) return null;
  const others = vitals.numbers.filter((n) => !shown.some((r) => r.numbers.includes(n.name)) && !n.name.endsWith('-mean'));
  const pieces = shown.flatMap((r) => (r.wave === null ? [] : [store.waves.of(r.wave)?.pieceMs ?? 0]));
  // Without waves the numbers' own time.
  const newest = Math.max(...(pieces.length > 0 ? pieces : vitals.numbers.map((n) => unixMsFromNtp(n.at))));
  const ageMs = now === null ? null : Math.max(0, unixMsFromNtp(now) - newest);
  const old = ageMs !== null && ageMs >= TRACE_OLD_MS;
  const stale = areNotOfNow(ageMs, pieces.length > 0, store.lineLostSeconds.value !== null || client.flow(perfNow()) === 'stalled');
  const age = formatAge(old ? 'counting' : 'live', ageMs);
  const notes = [t.vitals_reference, ...(vitals.synchronised ? [] : [t.vitals_unsynchronised])];
  return (
    <section class={`panel vit ${traces ? '' : 'line'}`} data-testid="vitals" data-old={old} data-stale={stale}>
      <h2><span>{t.vitals} <small>{notes.join(' · ')}</small></span>{age ? <span class={`num ${old || stale ? 'c-amber' : ''}`}>{stale ? <Icon name="hourglass-medium-bold" /> : null}{age.value}<small> {t[`age_${age.unit}`]}</small></span> : null}</h2>
      <div class="rows">
        {shown.map((row) => <TraceRow key={row.kind} client={client} row={row} now={now} vitals={vitals} trace={traces && row.wave !== null} />)}
      </div>
      {traces && others.length > 0 ? <p class="others">{others.slice(0, 4).map((n) => <span key={n.name}>{n.name} <b data-testid={`vital-${n.name}`}>{vitalText(n, now)}</b> <small>{n.unit}</small></span>)}</p> : null}
    </section>
  );
}

function TraceRow({ client, row, now, vitals, trace }: { client: Client; row: Row; now: CaptureNtp | null; vitals: VitalsNow; trace: boolean }): JSX.Element {
  const values = row.numbers.map((name) => {
    const n = vitals.numbers.find((known) => known.name === name);
    return n ? vitalText(n, now) : MISSING;
  });
  const text = values.every((v) => v === MISSING) ? MISSING : values.join('/');
  return (
    <div class={`vrow ${row.kind}`}>
      {trace ? <Trace client={client} name={row.wave ?? ''} /> : null}
      <small class="lab">{row.label}</small>
      <b class="num" data-testid={`vital-${row.numbers[0] ?? row.kind}`}>{text}</b>
    </div>
  );
}

/** Painted when samples come, only where they are: no timer, no animation frame. */
function Trace({ client, name }: { client: Client; name: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const at = canvas.current;
    const c = at?.getContext('2d');
    if (!at || !c) return undefined;
    const { waves } = client.store;
    const all = (): void => {
      const sweep = waves.of(name);
      at.width = Math.max(1, Math.round(at.clientWidth * devicePixelRatio));
      at.height = Math.max(1, Math.round(at.clientHeight * devicePixelRatio));
      c.strokeStyle = getComputedStyle(at).color;
      if (sweep) paint(c, sweep, sweep.oldest, sweep.newest + 1);
    };
    const resized = new ResizeObserver(all);
    resized.observe(at);
    const end = waves.listen((sweep, from, to) => { if (sweep.name === name) paint(c, sweep, from, to); });
    return () => { resized.disconnect(); end(); };
  }, [client, name]);
  return <canvas ref={canvas} class="trace" aria-hidden="true" />;
}

/** Samples `from` to `to` (exclusive) where the sweep has them, and the gap ahead. */
function paint(c: CanvasRenderingContext2D, sweep: Sweep, from: number, to: number): void {
  const { width, height } = c.canvas;
  const across = sweep.rateHz * SWEEP_S;
  const xOf = (i: number): number => ((i % across) / across) * width;
  const yOf = (v: number): number => height - ((v - sweep.low) / (sweep.high - sweep.low)) * height;
  const wipe = (x: number, w: number): void => {
    c.clearRect(x, 0, w, height);
    if (x + w > width) c.clearRect(0, 0, x + w - width, height);
  };
  wipe(xOf(from), ((to - from + sweep.rateHz * AHEAD_S) / across) * width);
  c.lineWidth = Math.max(1.5 * devicePixelRatio, height / 26);
  c.lineJoin = 'round';
  c.beginPath();
  let pen = false;
  for (let i = Math.max(from - 1, sweep.oldest); i < to; i += 1) {
    const v = sweep.at(i);
    const wraps = i % across < 1;
    if (Number.isNaN(v)) { pen = false; continue; }
    if (pen && !wraps) c.lineTo(xOf(i), yOf(v));
    else c.moveTo(xOf(i), yOf(v));
    pen = true;
  }
  c.stroke();
}
