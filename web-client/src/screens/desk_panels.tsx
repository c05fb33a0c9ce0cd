// Panels of the desk that speak of the whole program.
import type { JSX } from 'preact';
import type { Client } from '../edge/client';
import type { Texts } from '../i18n';

const NAMES: Readonly<Record<string, keyof Texts>> = {
  'field-large': 'layout_field', 'fluoroscopy-large': 'layout_fluoroscopy', biplane: 'layout_biplane', quad: 'layout_quad', single: 'layout_single', wall: 'layout_wall',
};

/** The program's layout, for everybody. What is shown is what the engine says, not what was pressed. */
export function LayoutChoice({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  if (store.layouts.value.length === 0) return null;
  return (
    <section class="panel layouts" data-testid="layouts">
      <h2><label for="layout">{t.layout}</label></h2>
      <LayoutSelect client={client} />
    </section>
  );
}

export function LayoutSelect({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  if (store.layouts.value.length === 0) return null;
  const name = (id: string): string => { const key = NAMES[id]; return key ? t[key] : id; };
  return (
    <select id="layout" data-testid="layout" aria-label={t.layout} value={store.layout.value} onChange={(e) => { client.setLayout(e.currentTarget.value); e.currentTarget.value = store.layout.value; }}>
      {store.layouts.value.map((id) => <option key={id} value={id}>{name(id)}</option>)}
    </select>
  );
}
