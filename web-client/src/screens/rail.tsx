// The hand's tools, and what keys hold them. A label on hover and focus; the key stands in it.
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { ToolName } from '../core/ink/tools';
import { TOOLS } from '../core/ink/tools';
import type { Client } from '../edge/client';
import type { IconName } from '../gen/sprite';
import type { Texts } from '../i18n';
import { Icon } from './parts';

const FACES: Record<ToolName, { readonly icon: IconName; readonly word: keyof Texts }> = {
  pen: { icon: 'pencil-simple-bold', word: 'pen' }, arrow: { icon: 'arrow-up-right-bold', word: 'tool_arrow' }, ellipse: { icon: 'circle-bold', word: 'tool_ellipse' },
  line: { icon: 'line-segment-bold', word: 'tool_line' }, text: { icon: 'text-t-bold', word: 'tool_text' }, pin: { icon: 'map-pin-bold', word: 'tool_pin' },
  pointer: { icon: 'cursor-bold', word: 'tool_pointer' }, eraser: { icon: 'eraser-bold', word: 'tool_eraser' }, measure: { icon: 'ruler-bold', word: 'tool_measure' },
};

/** `measures`: the length tool too, once it is switched on. */
export function toolNames(measures: boolean): ToolName[] {
  return (Object.keys(TOOLS) as ToolName[]).filter((name) => name !== 'measure' || measures);
}

export function Rail({ client }: { client: Client }): JSX.Element {
  const { store, inking } = client;
  const t = store.texts.value;
  const here = store.penPlace.value.kind === 'here';
  return (
    <nav aria-label={t.menu_tools} data-testid="rail">
      {toolNames(store.measuring.value).map((name) => (
        <button key={name} class={`btn ${store.tool.value === name ? 'on' : ''}`} type="button" aria-pressed={store.tool.value === name} disabled={!here} data-testid={`tool-${name}`} onClick={() => { inking.choose(name); }}>
          <Icon name={FACES[name].icon} /><span class="hint">{t[FACES[name].word]}<kbd>{TOOLS[name].key.toUpperCase()}</kbd></span>
        </button>
      ))}
      <hr />
      <button class="btn" type="button" data-testid="undo" onClick={() => { inking.undo(); }}><Icon name="arrow-u-up-left-bold" /><span class="hint">{t.undo}<kbd>Ctrl+Z</kbd></span></button>
      <button class={`btn ${store.fades.value ? 'on' : ''}`} type="button" aria-pressed={store.fades.value} data-testid="fade" onClick={() => { store.fades.value = !store.fades.value; }}>
        <Icon name="timer-bold" /><span class="hint">{store.fades.value ? t.fade_on : t.fade_off}</span>
      </button>
    </nav>
  );
}

/** Dock: hold the picture or let it go; keep a mark that would fade. */
export function FreezeButton({ client }: { client: Client }): JSX.Element {
  const { store, inking } = client;
  const t = store.texts.value;
  const frozen = store.frozen.value !== null;
  return (
    <button class={`btn dockbtn ${frozen ? 'on' : ''}`} type="button" aria-pressed={frozen} data-testid="freeze" title={t.freeze_note} onClick={() => { inking.toggleFreeze(); }}>
      <Icon name="snowflake-bold" /><span>{frozen ? t.unfreeze : t.freeze}</span>
    </button>
  );
}

export function KeepButton({ client }: { client: Client }): JSX.Element {
  const { store, inking } = client;
  const t = store.texts.value;
  return <button class="btn dockbtn" type="button" data-testid="keep" disabled={!store.inkOnGlass.value} onClick={() => { inking.togglePin(); }}><Icon name="push-pin-bold" /><span>{t.keep}</span></button>;
}

/** Letters hold tools · K keeps · F freezes · Esc returns to live · Ctrl+Z undoes · Delete erases own ink. Not while something is typed. */
export function useToolKeys(client: Client, able: boolean): void {
  useEffect(() => {
    if (!able) return undefined;
    const { store, inking } = client;
    const down = (e: KeyboardEvent): void => {
      if (e.repeat || e.altKey || e.target instanceof HTMLInputElement) return;
      if (e.key === 'Escape') return inking.unfreeze();
      if (e.key.toLowerCase() === 'f' && !e.ctrlKey && !e.metaKey) return inking.toggleFreeze();
      if (!store.mayDraw.value) return;
      if (e.ctrlKey || e.metaKey) {
        if (e.code !== 'KeyZ' || e.shiftKey) return;
        e.preventDefault();
        inking.undo();
        return;
      }
      if (e.code === 'Delete') return inking.eraseMine();
      if (e.key.toLowerCase() === 'k') return inking.togglePin();
      const tool = toolNames(store.measuring.value).find((name) => TOOLS[name].key === e.key.toLowerCase());
      if (tool && store.penPlace.value.kind === 'here') inking.choose(tool);
    };
    addEventListener('keydown', down);
    return () => { removeEventListener('keydown', down); };
  }, [client, able]);
}
