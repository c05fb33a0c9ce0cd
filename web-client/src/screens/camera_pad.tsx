// The room's camera: the keys of those who turn it from outside, and the room's switch. Without such a camera there is neither.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Client } from '../edge/client';
import type { CameraKey } from '../edge/camera';
import type { IconName } from '../gen/sprite';
import { pick } from '../i18n';
import type { Texts } from '../i18n';
import { Icon, Tag } from './parts';

const KEYS: readonly (readonly [CameraKey, IconName, keyof Texts])[] = [
  ['left', 'caret-left-bold', 'camera_left'], ['up', 'caret-up-bold', 'camera_up'], ['down', 'caret-down-bold', 'camera_down'], ['right', 'caret-right-bold', 'camera_right'],
  ['in', 'magnifying-glass-plus-bold', 'camera_in'], ['out', 'magnifying-glass-minus-bold', 'camera_out'],
];
const ARROWS: Readonly<Record<string, CameraKey>> = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' };

/** Family name of who turns it now; empty: nobody else does. */
function othersName({ store }: Client): string {
  const { author } = store.camera.value;
  const person = author === 0 || author === store.welcome.value?.author ? undefined : store.people.value.find((p) => p.author === author);
  return person ? pick(store.language.value, person.familyJa, person.familyEn) : '';
}

function problemOf({ store }: Client): string {
  const t = store.texts.value;
  switch (store.camera.value.problem) {
    case '': return '';
    case 'ptz.not-executable': return t.camera_cannot;
    case 'ptz.unknown-command': return t.camera_unknown;
    default: return t.camera_silent;
  }
}

/** Why nothing can be turned now; empty: it can. */
function reasonOf(client: Client): string {
  const { store } = client;
  const t = store.texts.value;
  const other = othersName(client);
  return store.curtain.value?.drawn ? t.camera_covered : !store.camera.value.allowed ? t.camera_forbidden : other ? `${other} ${t.camera_taken}` : '';
}

/** Mentor and desk: held keys turn it, as long as they are held. One line until somebody opens it: it is used seldom, and what stands below it always. */
export function CameraPad({ client }: { client: Client }): JSX.Element | null {
  const { store, camera } = client;
  const t = store.texts.value;
  const feed = store.turned.value;
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const letGo = (): void => { camera.letGo(); };
    addEventListener('blur', letGo);
    addEventListener('pagehide', letGo);
    document.addEventListener('visibilitychange', letGo);
    return () => {
      letGo();
      removeEventListener('blur', letGo);
      removeEventListener('pagehide', letGo);
      document.removeEventListener('visibilitychange', letGo);
    };
  }, [camera]);
  const reason = reasonOf(client);
  // A key that cannot be pressed any more says nothing of its end.
  useEffect(() => { if (reason !== '') camera.letGo(); }, [camera, reason]);
  if (feed === null) return null;
  const problem = problemOf(client);
  const keyOf = (e: KeyboardEvent, own: CameraKey): CameraKey | null => ARROWS[e.key] ?? (e.code === 'Space' || e.key === 'Enter' ? own : null);
  return (
    <section class="panel camera" data-testid="camera" data-able={reason === ''}>
      <div class="fold">
        <div>
          <h2>{pick(store.language.value, feed.nameJa, feed.nameEn)}{open ? <small> {t.camera_title}</small> : null}</h2>
          <p class="mid" role="status" data-testid="camera-reason">{reason || problem || (open ? t.camera_hold : t.camera_may)}</p>
        </div>
        <button class="btn" type="button" data-testid="camera-open" aria-expanded={open} disabled={!open && reason !== ''} onClick={() => { camera.letGo(); setOpen(!open); }}>
          <Icon name={open ? 'x-bold' : 'video-camera-fill'} /><span>{open ? t.act_dismiss : t.camera_open}</span>
        </button>
      </div>
      {open ? <div class="pad" role="group" aria-label={t.camera_title}>
        {KEYS.map(([key, icon, word]) => (
          <button key={key} class={`btn key-${key}`} type="button" data-testid={`camera-${key}`} disabled={reason !== ''} aria-label={t[word]}
            onPointerDown={(e) => {
              if (e.button !== 0) return;
              e.currentTarget.setPointerCapture(e.pointerId);
              camera.press(key);
            }}
            onPointerUp={() => { camera.release(key); }} onPointerCancel={() => { camera.release(key); }} onLostPointerCapture={() => { camera.release(key); }}
            onContextMenu={(e) => { e.preventDefault(); }}
            onKeyDown={(e) => {
              const pressed = keyOf(e, key);
              if (pressed === null || e.ctrlKey || e.metaKey || e.altKey) return;
              e.preventDefault();
              e.stopPropagation();
              if (!e.repeat) camera.press(pressed, 'keyboard');
            }}
            onKeyUp={(e) => {
              const released = keyOf(e, key);
              if (released === null) return;
              e.stopPropagation();
              camera.release(released);
            }}
            onBlur={() => { camera.letGoTyped(); }}>
            <Icon name={icon} />
          </button>
        ))}
      </div> : null}
    </section>
  );
}

/** The room's switch, off until it is pressed, and who turns the camera now. */
export function CameraSwitch({ client }: { client: Client }): JSX.Element | null {
  const { store, camera } = client;
  const t = store.texts.value;
  if (store.turned.value === null) return null;
  const { allowed } = store.camera.value;
  return (
    <button class={`btn cameraswitch ${allowed ? 'on' : ''}`} type="button" data-testid="camera-switch" aria-pressed={allowed} onClick={() => { camera.allow(!allowed); }}>
      <Icon name={allowed ? 'video-camera-fill' : 'video-camera-slash-bold'} /><span>{allowed ? t.camera_allowed : t.camera_allow}</span>
    </button>
  );
}

/** Somebody turns the room's camera, or it does not answer: said in the room. */
export function CameraSigns({ client }: { client: Client }): JSX.Element | null {
  const { store } = client;
  const t = store.texts.value;
  const other = othersName(client);
  const problem = problemOf(client);
  if (store.turned.value === null || !store.camera.value.allowed || (!other && !problem)) return null;
  return (
    <div class="inksigns" data-testid="camera-signs">
      {other ? <Tag icon="video-camera-fill" look="" testid="camera-moving"><>{other} {t.camera_moves}</></Tag> : null}
      {problem ? <p class="mid" role="status" data-testid="camera-problem"><Icon name="warning-bold" /> {problem}</p> : null}
    </div>
  );
}
