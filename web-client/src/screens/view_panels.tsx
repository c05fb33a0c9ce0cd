// How the program treats time: the room's choice, and at the desk how far each inset lies from the main feed.
import type { JSX } from 'preact';
import { sourcesOf } from '../core/health';
import type { Client } from '../edge/client';
import { Sync } from '../gen/frame_pb';
import { pick } from '../i18n';
import { LOOKS, skewText } from '../stage/looks';
import { LayoutSelect } from './desk_panels';
import { Tag } from './parts';
import { CameraSwitch } from './camera_pad';

/** The room's: which layout, and aligned or now. What is shown as chosen is what the engine says, not what was pressed. */
export function RoomView({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const timing = store.timing.value;
  if (timing === '' && store.layouts.value.length === 0 && store.turned.value === null) return null;
  return (
    <div class="roomview" role="group" aria-label={t.view}>
      <CameraSwitch client={client} />
      <LayoutSelect client={client} />
      {timing === '' ? null : (
        <select data-testid="timing" aria-label={t.timing} value={timing} onChange={(e) => { client.setTiming(e.currentTarget.value === 'now' ? 'now' : 'aligned'); e.currentTarget.value = timing; }}>
          <option value="aligned">{t.timing_aligned}</option>
          <option value="now">{t.timing_now}</option>
        </select>
      )}
    </div>
  );
}

/** Of each inset of the program that is live: its skew, and its age beyond one period of its own. */
export function AlignmentPanel({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const report = store.health.value;
  const timing = store.timing.value;
  const compared = report === null || store.healthStale.value ? [] : sourcesOf(report).filter((f) => f.sync !== Sync.UNSPECIFIED);
  if (compared.length === 0) return null;
  const off = (sync: Sync): boolean => sync === Sync.OFF || sync === Sync.UNKNOWN;
  return (
    <section class="panel" data-testid="alignment">
      <table class="skews">
        <thead><tr><th><h2>{t.skew_title} <small>{timing === 'now' ? t.timing_now : ''}</small></h2></th><th class="r">{t.skew_of}</th><th class="r">{t.skew_excess}</th></tr></thead>
        <tbody>
          {compared.map((f) => (
            <tr key={f.feed} data-testid={`skew-${f.feed}`} data-sync={f.sync}>
              <td>{pick(store.language.value, f.nameJa, f.nameEn) || f.feed}{off(f.sync) ? <><br /><Tag icon={LOOKS.unsynced.icon} look="fill c-amber">{t.look_unsynced}</Tag></> : null}</td>
              <td class="r num">{f.sync === Sync.UNKNOWN ? t.skew_unknown : skewText(f.skewUs / 1000, t)}</td>
              <td class="r num">{f.sync === Sync.UNKNOWN ? t.age_none : `${(f.excessUsP99 / 1e6).toFixed(2)}${t.skew_unit}`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
