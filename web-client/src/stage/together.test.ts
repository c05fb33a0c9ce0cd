// A canvas that stands for the video: always one picture whose number is known.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Together } from './together';

interface Shown { timestamp: number; rtpTimestamp?: number }
let shown: Shown | null = null;
let closed = 0;
const drawn: number[] = [];
let lost = false;

class Frame {
  readonly displayWidth = 1_280;
  readonly displayHeight = 720;
  readonly timestamp: number;
  private readonly of: Shown;
  constructor() {
    if (!shown) throw new Error('no picture');
    this.of = shown;
    this.timestamp = shown.timestamp;
  }
  metadata(): object { return this.of; }
  close(): void { closed += 1; }
}

const video = () => ({ videoWidth: 1_280 }) as unknown as HTMLVideoElement;

beforeEach(() => {
  shown = null;
  closed = 0;
  drawn.length = 0;
  lost = false;
  const context = { isContextLost: () => lost, drawImage: (frame: Frame) => { drawn.push(frame.timestamp); } };
  vi.stubGlobal('VideoFrame', Frame);
  vi.stubGlobal('document', { createElement: () => ({ className: '', hidden: false, width: 300, height: 150, style: {}, getContext: () => context }) });
});
afterEach(() => { vi.unstubAllGlobals(); });

describe('picture and ink painted in one turn', () => {
  it('names the very picture that is on it', () => {
    const [together, of] = [new Together(), video()];
    shown = { timestamp: 33, rtpTimestamp: 3_003 };
    expect(together.take(of)).toBe(true);
    expect(together.rtpTs).toBe(3_003);
    expect([together.canvas.hidden, together.canvas.width]).toEqual([false, 1_280]);
    shown = { timestamp: 66, rtpTimestamp: 6_006 };
    expect(together.rtpTs, 'the video has another by now: what is on the glass is still the first').toBe(3_003);
    together.take(of);
    together.take(of);
    expect([together.rtpTs, drawn, closed]).toEqual([6_006, [33, 66], 3]);
  });

  it('lets the video stand for itself when the machine has lost its canvas', () => {
    const [together, of] = [new Together(), video()];
    shown = { timestamp: 33, rtpTimestamp: 3_003 };
    expect(together.take(of)).toBe(true);
    lost = true;
    expect(together.take(of), 'the same picture is on nothing now').toBe(false);
    expect([together.rtpTs, together.canvas.hidden]).toEqual([null, true]);
  });

  it('lets the video stand for itself where a picture does not say which it is, or there is none', () => {
    const [together, of] = [new Together(), video()];
    shown = { timestamp: 33 };
    expect(together.take(of)).toBe(false);
    expect([together.rtpTs, together.canvas.hidden, drawn]).toEqual([null, true, []]);
    shown = { timestamp: 66, rtpTimestamp: 6_006 };
    together.take(of);
    shown = null;
    expect(together.take(of)).toBe(false);
    expect([together.rtpTs, together.canvas.hidden, together.canvas.width]).toEqual([null, true, 0]);
  });

  it('keeps nothing of a picture when the video stands for itself again, and takes it anew', () => {
    const [together, of] = [new Together(), video()];
    shown = { timestamp: 33, rtpTimestamp: 3_003 };
    together.take(of);
    together.release();
    expect([together.rtpTs, together.canvas.hidden, together.canvas.width]).toEqual([null, true, 0]);
    expect(together.take(of)).toBe(true);
    expect([together.rtpTs, drawn]).toEqual([3_003, [33, 33]]);
  });
});
