// Picture and marks painted in one turn. A video is put on the glass by the browser's compositor when it likes, ink when the page has painted: where ink
// moves fast, a picture that is on the glass one frame before its ink shows that ink beside its tissue. While this canvas stands for the video, no picture
// is seen before the page has placed its ink. The video goes on under it, so that nothing blinks when it stands for itself again; what is covered is not drawn.
import { element } from './strip';

interface Told { rtpTimestamp?: number }

export class Together {
  readonly canvas = element('canvas', 'together');
  /** Of the picture on it. Null: the video stands for itself. */
  rtpTs: number | null = null;
  private timestamp: number | null = null;

  constructor() { this.canvas.hidden = true; }

  /** Paints the picture that the video has now. False: it cannot be had this way, or does not say which it is; then the video stands for itself. */
  take(video: HTMLVideoElement): boolean {
    if (typeof VideoFrame !== 'function' || video.videoWidth === 0) return this.none();
    // Opaque: what lies under it need not be drawn. One that was lost paints nothing and says nothing: black over a good picture.
    const context = this.canvas.getContext('2d', { alpha: false });
    if (!context || context.isContextLost?.()) return this.none();
    let frame: VideoFrame;
    try { frame = new VideoFrame(video); } catch { return this.none(); }
    try {
      if (this.rtpTs !== null && frame.timestamp === this.timestamp) return true;
      const told = (frame as VideoFrame & { metadata?(): Told }).metadata?.().rtpTimestamp;
      if (told === undefined) return this.none();
      if (this.canvas.width !== frame.displayWidth || this.canvas.height !== frame.displayHeight) {
        this.canvas.width = frame.displayWidth;
        this.canvas.height = frame.displayHeight;
      }
      context.drawImage(frame, 0, 0);
      this.timestamp = frame.timestamp;
      this.canvas.hidden = false;
      this.rtpTs = told;
      return true;
    } finally { frame.close(); }
  }

  /** The video stands for itself again; nothing of its pictures is kept. */
  release(): void {
    if (this.rtpTs === null) return;
    this.rtpTs = this.timestamp = null;
    this.canvas.hidden = true;
    this.canvas.width = this.canvas.height = 0;
  }

  private none(): false {
    this.release();
    return false;
  }
}
