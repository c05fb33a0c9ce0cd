// Whether the picture still moves. Driven by a timer of the viewer's own, because the video's callback stops when the line does.
import type { PerfMs } from './units';

/**
 * No new frame for this long: the picture has stalled. With the last frame on its way (30 ms), a heartbeat of 50 ms and a frame
 * of the display it is said within 500 ms of the fault, also by a page that is a little late.
 */
export const STALL_MS = 370;
/** And when the server says that the compositor is gone: only what is still on its way can come. */
export const SOURCE_GONE_MS = 150;
/** Before the first frame a viewer waits; after this long it says that no picture comes. */
export const FIRST_FRAME_MS = 4_000;

/** waiting: no frame yet · flowing · stalled: there was a frame, or there should have been one by now · paused: stalled, and the server says that the line carries no picture now. */
export type Flow = 'waiting' | 'flowing' | 'stalled' | 'paused';

export class StallWatch {
  private lastFrame: PerfMs | null = null;
  constructor(private readonly since: PerfMs) {}

  handleFrame(now: PerfMs): void { this.lastFrame = now; }

  flow(now: PerfMs, sourceGone = false): Flow {
    if (this.lastFrame === null) return now - this.since >= FIRST_FRAME_MS ? 'stalled' : 'waiting';
    return now - this.lastFrame >= (sourceGone ? SOURCE_GONE_MS : STALL_MS) ? 'stalled' : 'flowing';
  }

  /** When `flow` changes next if nothing arrives; null when it will not. */
  pollTimeout(now: PerfMs): PerfMs | null {
    const at = this.lastFrame === null ? this.since + FIRST_FRAME_MS : this.lastFrame + STALL_MS;
    return at > now ? (at as PerfMs) : null;
  }

  get everFlowed(): boolean { return this.lastFrame !== null; }
}
