// A small luma picture of a part of what a video shows, without reading a canvas back: 64 x 36 samples.
import { GRID_H, GRID_W } from '../core/ink/stillness';

let buffer = new Uint8Array(0);

/** `part`: of the picture, 0 to 1. Null where frames cannot be read this way. */
export async function lumaOf(video: HTMLVideoElement, part: { x: number; y: number; w: number; h: number }): Promise<Uint8Array | null> {
  if (typeof VideoFrame !== 'function' || video.readyState < 2 || video.videoWidth === 0) return null;
  let frame: VideoFrame;
  try {
    frame = new VideoFrame(video);
  } catch {
    return null;
  }
  try {
    if (frame.format !== 'I420' && frame.format !== 'NV12') return null;
    const size = frame.allocationSize();
    if (buffer.length < size) buffer = new Uint8Array(size);
    const own = buffer;
    const [luma] = await frame.copyTo(own);
    const rect = frame.visibleRect;
    if (!luma || !rect) return null;
    const out = new Uint8Array(GRID_W * GRID_H);
    const w = Math.max(1, Math.floor(rect.width * part.w) - 2);
    const h = Math.max(1, Math.floor(rect.height * part.h) - 2);
    for (let y = 0; y < GRID_H; y += 1) for (let x = 0; x < GRID_W; x += 1) {
      const at = luma.offset + (Math.floor(rect.height * part.y) + Math.floor((y * h) / GRID_H)) * luma.stride + Math.floor(rect.width * part.x) + Math.floor((x * w) / GRID_W);
      out[y * GRID_W + x] = ((own[at] ?? 0) + (own[at + 1] ?? 0) + (own[at + luma.stride] ?? 0) + (own[at + luma.stride + 1] ?? 0)) >> 2;
    }
    return out;
  } catch {
    return null;
  } finally {
    frame.close();
  }
}
