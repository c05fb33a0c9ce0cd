// The room's camera under this page's hand: keys that are held are said again and again, and let go once. It never moves by itself: whoever
// falls silent has let go, and so has a page that is hidden or loses its focus.
import { create } from '@bufbuild/protobuf';
import type { Store } from '../core/store';
import { MoveCameraSchema, AllowCameraSchema } from '../gen/signal_pb';
import type { CaseState, ClientMessage } from '../gen/signal_pb';

export type CameraKey = 'left' | 'right' | 'up' | 'down' | 'in' | 'out';

/** A held key is said again this often; the room stops the camera 300 ms after the last word. */
export const AGAIN_MS = 100;
/** Percent of the fastest: at first, and once a key has been held so many words long. */
const SLOW = 35;
const FAST = 100;
const SLOW_WORDS = 8;

export interface CameraWays {
  send(body: ClientMessage['body']): void;
  /** Calls again and again; returns how it ends. */
  every(ms: number, act: () => void): () => void;
}

const WAYS: Pick<CameraWays, 'every'> = {
  every: (ms, act) => {
    const timer = setInterval(act, ms);
    return () => { clearInterval(timer); };
  },
};

export class CameraHand {
  private readonly held = new Set<CameraKey>();
  /** Those of them that are held on the keyboard: they go with the focus, the others with their pointer. */
  private readonly typed = new Set<CameraKey>();
  private words = 0;
  private end: (() => void) | null = null;
  private readonly ways: CameraWays;

  constructor(private readonly store: Store, ways: Pick<CameraWays, 'send'> & Partial<CameraWays>) {
    this.ways = { ...WAYS, ...ways };
  }

  handleState(state: CaseState): void {
    this.store.camera.value = { allowed: state.cameraAllowed, author: state.cameraAuthor, problem: state.cameraProblem };
    if (!state.cameraAllowed) this.letGo();
  }

  /** The room's switch. */
  allow(allowed: boolean): void { this.ways.send({ case: 'allowCamera', value: create(AllowCameraSchema, { allowed }) }); }

  press(key: CameraKey, by: 'pointer' | 'keyboard' = 'pointer'): void {
    if (this.held.has(key)) return;
    if (by === 'keyboard') this.typed.add(key);
    this.held.add(key);
    this.words = 0;
    this.say();
    this.end ??= this.ways.every(AGAIN_MS, () => { this.say(); });
  }

  release(key: CameraKey): void {
    this.typed.delete(key);
    if (!this.held.delete(key)) return;
    if (this.held.size > 0) this.say();
    else this.stop();
  }

  /** The focus went to another key, or elsewhere. A pointer that took it there holds on. */
  letGoTyped(): void { for (const key of [...this.typed]) this.release(key); }

  /** All keys at once: the focus went, the page is hidden, the room withdrew. */
  letGo(): void {
    this.typed.clear();
    if (this.held.size === 0) return;
    this.held.clear();
    this.stop();
  }

  private stop(): void {
    this.end?.();
    this.end = null;
    this.move(0, 0, 0);
  }

  private say(): void {
    const speed = this.words < SLOW_WORDS ? SLOW : FAST;
    this.words += 1;
    const along = (forth: CameraKey, back: CameraKey): number => (Number(this.held.has(forth)) - Number(this.held.has(back))) * speed;
    this.move(along('right', 'left'), along('up', 'down'), along('in', 'out'));
  }

  private move(pan: number, tilt: number, zoom: number): void {
    const feed = this.store.turned.value;
    if (feed !== null) this.ways.send({ case: 'moveCamera', value: create(MoveCameraSchema, { feed: feed.feed, pan, tilt, zoom }) });
  }
}
