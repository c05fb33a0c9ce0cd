// Which frame the browser handed to its compositor, and when.
import type { PerfMs } from '../core/units';
import { perfMs } from '../core/units';
import { provenAt } from '../core/stall';
import { perfNow } from './clock';

export interface FrameShown {
  /** 90 kHz; null where the browser does not tell. */
  readonly rtpTs: number | null;
  readonly shown: PerfMs;
  /** When the last of it came by its path. */
  readonly came: PerfMs;
  readonly width: number;
  readonly height: number;
}

interface FrameMetadata { rtpTimestamp?: number; presentationTime: number; receiveTime?: number; width: number; height: number }
type Watchable = HTMLVideoElement & { requestVideoFrameCallback?(call: (now: number, metadata: FrameMetadata) => void): number; cancelVideoFrameCallback?(id: number): void };

/** Calls for every new frame; returns how to stop. Without frame callbacks it only tells that the picture moved. */
export function watchFrames(video: HTMLVideoElement, call: (frame: FrameShown) => void): () => void {
  const able = video as Watchable;
  if (able.requestVideoFrameCallback) {
    let id = 0;
    const next = (_now: number, m: FrameMetadata): void => {
      id = able.requestVideoFrameCallback?.(next) ?? 0;
      call({ rtpTs: m.rtpTimestamp ?? null, shown: perfMs(m.presentationTime), came: provenAt(m.receiveTime ?? m.presentationTime, perfNow()), width: m.width, height: m.height });
    };
    id = able.requestVideoFrameCallback(next);
    return () => able.cancelVideoFrameCallback?.(id);
  }
  let frames = 0;
  const timer = setInterval(() => {
    const total = video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    if (total === frames) return;
    frames = total;
    call({ rtpTs: null, shown: perfNow(), came: perfNow(), width: video.videoWidth, height: video.videoHeight });
  }, 100);
  return () => clearInterval(timer);
}
