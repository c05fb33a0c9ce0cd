// What the page's top machine tells those who draw its pictures.
import type { PerfMs } from '../core/units';

/** What a stage wants to hear. Several may stand on one page: one is large, the others are its filmstrip. */
export interface StageEvents {
  /** The slot whose picture it shows. */
  slot(): number;
  /** How wide its picture is drawn now, in device pixels. */
  pixels(): number;
  video(track: MediaStreamTrack): void;
  tick(now: PerfMs): void;
  /** Ink changed: repaint with the next animation frame. */
  ink(): void;
  /** Repaint before this returns. */
  inkNow(): void;
}
