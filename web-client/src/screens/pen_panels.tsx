// What the side column says about the pen: where it is, who has it, what stands too long, and lengths.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { REFERENCE_UM_MAX } from '../core/ink/measure';
import type { Client } from '../edge/client';
import { Icon } from './parts';
import { BesideHost } from './stage_host';

/** Nothing stands here while the pen is in this hand. */
export function PenPanel({ client }: { client: Client }): JSX.Element | null {
  const { store, inking } = client;
  const t = store.texts.value;
  if (!store.mayDraw.value) {
    const asking = store.me.value?.asksPen ?? false;
    return (
      <section class="panel penpanel" data-testid="pen-panel" data-pen={asking ? 'asked' : 'none'}>
        <p class={asking ? '' : 'mid'}>{asking ? t.pen_asked : t.watch_only}{asking ? <small>{t.pen_asked_note}</small> : null}</p>
        <button class="btn" type="button" data-testid="ask-pen" aria-pressed={asking} onClick={() => { inking.ask(!asking); }}><Icon name="hand-palm-bold" /><span>{asking ? t.pen_unask : t.pen_ask}</span></button>
      </section>
    );
  }
  const place = store.penPlace.value;
  if (place.kind !== 'there') return null;
  return (
    <section class="panel penpanel" data-testid="pen-panel" data-pen="there">
      <p>{place.where ? t.pen_there : t.pen_there_none}{place.where ? <small>{place.where}</small> : null}</p>
      <button class="btn" type="button" data-testid="pen-here" onClick={() => { store.notice('fail_pen_elsewhere', false); inking.takePen(); }}><Icon name="pencil-simple-bold" /><span>{t.pen_here}</span></button>
    </section>
  );
}

/** Own marks that are in the way of somebody's eyes. */
export function StandingPanel({ client }: { client: Client }): JSX.Element | null {
  const { store, inking } = client;
  const t = store.texts.value;
  if (store.inkStanding.value === 0) return null;
  return (
    <section class="panel penpanel" role="status" data-testid="ink-standing">
      <p>{t.ink_standing}</p>
      <button class="btn" type="button" onClick={() => { inking.eraseMine(); }}><Icon name="eraser-bold" /><span>{t.erase_mine}</span></button>
    </section>
  );
}

/** The live picture stands here while the large one is held. */
export function LiveBeside({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  return store.frozen.value === null ? null : <div class="beside" data-testid="live-beside"><BesideHost client={client} feed={store.large.value} /></div>;
}

export function MeasurePanel({ client }: { client: Client }): JSX.Element {
  const { store, inking } = client;
  const t = store.texts.value;
  const [typed, type] = useState('');
  const mm = Number(typed.replace(',', '.'));
  const fit = typed !== '' && Number.isFinite(mm) && mm > 0 && mm * 1_000 <= REFERENCE_UM_MAX;
  if (!store.measuring.value) {
    return <button class="btn quiet measure" type="button" data-testid="measure-on" onClick={() => { inking.switchMeasuring(true); }}><Icon name="ruler-bold" /><span>{t.measure_on}<small>{t.measure_note}</small></span></button>;
  }
  const step = store.measureStep.value;
  const tell = (): void => { if (fit) { inking.tellLength(mm); type(''); } };
  return (
    <section class="panel penpanel" data-testid="measure-panel" data-step={step}>
      <p>{step === 'nowhere' ? t.measure_nowhere : step === 'reference' ? t.measure_reference : step === 'length' ? t.measure_length : t.measure_ready}</p>
      {step === 'length' ? (
        <form class="row" onSubmit={(e) => { e.preventDefault(); tell(); }}>
          <input class="field" inputMode="decimal" autoComplete="off" aria-label={t.measure_length} aria-invalid={typed !== '' && !fit} data-testid="measure-mm" value={typed} onInput={(e) => { type(e.currentTarget.value); }} />
          <span>{t.measure_mm}</span>
          <button class="btn" type="submit" disabled={!fit} data-testid="measure-set">{t.measure_set}</button>
        </form>
      ) : null}
      {step === 'length' && typed !== '' && !fit ? <small class="c-amber">{t.measure_bad}</small> : null}
      <div class="row">
        {step === 'ready' ? <button class="btn" type="button" onClick={() => { inking.newLength(); }}>{t.measure_again}</button> : null}
        <button class="btn" type="button" data-testid="measure-off" onClick={() => { inking.switchMeasuring(false); }}>{t.measure_off}</button>
      </div>
    </section>
  );
}
