// Panels of the desk that speak of the whole program: its layout, and vital signs as numbers.
import type { JSX } from 'preact';
import { captureNtp, ntpFromUnixMs } from '../core/units';
import { vitalText } from '../core/vitals';
import type { Client } from '../edge/client';
import type { Texts } from '../i18n';

/** Numbers as a device said them, for reference only: the picture of its monitor stands beside them. */
export function VitalsPanel({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const vitals = store.vitals.value;
  if (vitals === null || vitals.numbers.length === 0) return null;
  const ms = store.caseTimeMs.value;
  const now = ms === null ? null : captureNtp(ntpFromUnixMs(ms));
  return (
    <section class="panel" data-testid="vitals">
      <h2>{t.vitals} <small>{t.vitals_reference}{vitals.synchronised ? '' : ` · ${t.vitals_unsynchronised}`}</small></h2>
      <dl class="kv">
        {vitals.numbers.map((n) => [<dt key={n.name}>{n.name}</dt>, <dd key={`${n.name}-value`} data-testid={`vital-${n.name}`}>{vitalText(n, now)} {n.unit}</dd>])}
      </dl>
    </section>
  );
}

const NAMES: Readonly<Record<string, keyof Texts>> = {
  'field-large': 'layout_field', 'fluoroscopy-large': 'layout_fluoroscopy', biplane: 'layout_biplane', quad: 'layout_quad', single: 'layout_single', wall: 'layout_wall',
};

/** The program's layout, for everybody. What is shown is what the engine says, not what was pressed. */
export function LayoutChoice({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  if (store.layouts.value.length === 0) return null;
  const name = (id: string): string => { const key = NAMES[id]; return key ? t[key] : id; };
  return (
    <section class="panel" data-testid="layouts">
      <h2><label for="layout">{t.layout}</label></h2>
      <select id="layout" data-testid="layout" value={store.layout.value} onChange={(e) => { client.setLayout(e.currentTarget.value); e.currentTarget.value = store.layout.value; }}>
        {store.layouts.value.map((id) => <option key={id} value={id}>{name(id)}</option>)}
      </select>
    </section>
  );
}
