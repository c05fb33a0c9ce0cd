// The pictures of stills, fetched once each and kept in memory only.
import { signal } from '@preact/signals-core';
import type { PictureState } from '../core/picture_ask';
import type { Still } from '../core/stills';
import { frameName } from '../core/stills';

/** Pictures kept, of 1 to 4 MB decoded. Policy: drop_oldest. */
const KEPT_MAX = 12;
/** One that did not come is asked for again after this, when it is wanted. */
const AGAIN_MS = 900;

/** `wasRefused`: it did not come the last time; it is not said to be coming again and again. */
interface Kept { readonly id: string; readonly image: HTMLImageElement; state: 'coming' | 'there' | 'failed'; since: number; readonly wasRefused: boolean; readonly done: Promise<boolean> }

export class StillPictures {
  private readonly kept = new Map<string, Kept>();
  /** Rises when a picture has come, or has not. */
  readonly revision = signal(0);

  /** `address`: where a still can be had; null: before the case is known. */
  constructor(private readonly address: (still: Still) => string | null, private readonly now: () => number) {}

  /** The picture, if it is there; else it is asked for. */
  picture(still: Still): HTMLImageElement | null {
    const kept = this.want(still);
    return kept?.state === 'there' ? kept.image : null;
  }

  /** Without asking for it. */
  state(still: Still): PictureState {
    const kept = this.kept.get(still.id || frameName(still.feed, still.capture));
    return kept?.state === 'there' ? 'there' : kept?.state === 'failed' || kept?.wasRefused ? 'missing' : 'coming';
  }

  /** Resolves when the picture is there; null: it cannot be had. */
  async load(still: Still): Promise<HTMLImageElement | null> {
    const kept = this.want(still);
    return kept && (await kept.done) ? kept.image : null;
  }

  /** Those that are offered no more go. */
  keepOnly(stills: readonly Still[]): void {
    for (const [name, { id }] of this.kept) if (id !== '' && !stills.some((s) => s.id === id)) this.kept.delete(name);
  }

  private want(still: Still): Kept | null {
    const name = still.id || frameName(still.feed, still.capture);
    const known = this.kept.get(name);
    if (known && (known.state !== 'failed' || this.now() - known.since < AGAIN_MS)) return known;
    const source = this.address(still);
    if (source === null) return null;
    const image = new Image();
    image.decoding = 'async';
    image.src = source;
    const kept: Kept = {
      id: still.id, image, state: 'coming', since: this.now(), wasRefused: known?.state === 'failed',
      done: image.decode().then(() => true, () => false).then((there) => {
        kept.state = there ? 'there' : 'failed';
        kept.since = this.now();
        this.revision.value += 1;
        return there;
      }),
    };
    this.kept.delete(name);
    this.kept.set(name, kept);
    if (this.kept.size > KEPT_MAX) this.kept.delete(this.kept.keys().next().value ?? '');
    return kept;
  }
}
