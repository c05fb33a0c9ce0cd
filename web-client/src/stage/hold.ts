// A picture held under the pen: the very frame that the video shows, with the timestamp that names it.
import { element } from './strip';

interface Told { rtpTimestamp?: number }

/** RTP timestamp of the very picture that the video shows at this instant, which may be newer than the last that the browser told of. Null: it does not say. */
export function pictureOn(video: HTMLVideoElement): number | null {
  if (typeof VideoFrame !== 'function' || video.videoWidth === 0) return null;
  try {
    const frame = new VideoFrame(video);
    const told = (frame as VideoFrame & { metadata?(): Told }).metadata?.().rtpTimestamp;
    frame.close();
    return told ?? null;
  } catch { return null; /* no frame to be had this way */ }
}

export class Hold {
  readonly canvas = element('canvas', 'heldpicture');

  constructor() { this.canvas.hidden = true; }


  /** Takes the picture that is shown. The RTP timestamp of just that picture, or null where the browser does not tell; false: there is none. */
  take(video: HTMLVideoElement): number | null | false {
    if (video.videoWidth === 0) return false;
    this.canvas.width = video.videoWidth;
    this.canvas.height = video.videoHeight;
    // Opaque: what lies under it need not be drawn.
    const context = this.canvas.getContext('2d', { alpha: false });
    if (!context) return false;
    this.canvas.hidden = false;
    if (typeof VideoFrame === 'function') {
      try {
        const frame = new VideoFrame(video);
        context.drawImage(frame, 0, 0);
        const told = (frame as VideoFrame & { metadata?(): Told }).metadata?.().rtpTimestamp;
        frame.close();
        return told ?? null;
      } catch { /* no frame to be had this way: the picture itself is taken, and named by what was shown last */ }
    }
    context.drawImage(video, 0, 0);
    return null;
  }

  /** A still instead of what the video shows. */
  put(picture: HTMLImageElement): void {
    this.canvas.width = picture.naturalWidth;
    this.canvas.height = picture.naturalHeight;
    this.canvas.getContext('2d', { alpha: false })?.drawImage(picture, 0, 0);
    this.canvas.hidden = false;
  }

  /** Nothing of it is kept. */
  release(): void {
    this.canvas.hidden = true;
    this.canvas.width = this.canvas.height = 0;
  }
}
