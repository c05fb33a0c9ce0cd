// Runs in the page, before its own scripts: what is on the glass at each animation frame, and when that is.
// The same file reads the product's page and the baseline's. Times leave the page as Unix milliseconds.
(() => {
  'use strict';
  const nativeFrame = window.requestAnimationFrame.bind(window);

  // --- clock -----------------------------------------------------------------------------------------------------

  // Unix time of performance.now() = 0. Date.now() is Unix time cut to whole ms, so each reading bounds the offset from
  // both sides: Date.now() - performance.now() <= offset < the same + 1. Thousands of readings close the gap to what
  // performance.now() itself is rounded to (0.1 ms).
  function calibrate(spinMs = 60) {
    let low = -Infinity;
    let high = Infinity;
    const until = performance.now() + spinMs;
    for (;;) {
      const before = performance.now();
      const unix = Date.now();
      const after = performance.now();
      low = Math.max(low, unix - after);
      high = Math.min(high, unix + 1 - before);
      if (after >= until) break;
    }
    return { offset: (low + high) / 2, uncertaintyMs: Math.abs(high - low) / 2 };
  }

  // --- TC48 ------------------------------------------------------------------------------------------------------

  function crc16(bytes) {
    let crc = 0xffff;
    for (const byte of bytes) {
      crc ^= byte << 8;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    return crc;
  }

  // `luma`: two rows of 32 blocks, the first at column `block`. Null: the CRC is wrong.
  function decode(luma, stride, block) {
    const words = [0, 0];
    const inner = Math.max(1, block >> 1);
    const from = block >> 2;
    for (let row = 0; row < 2; row += 1) {
      for (let column = 0; column < 32; column += 1) {
        let sum = 0;
        for (let y = row * block + from; y < row * block + from + inner; y += 1) {
          const at = y * stride + (column + 1) * block + from;
          for (let x = at; x < at + inner; x += 1) sum += luma[x];
        }
        words[row] = ((words[row] << 1) | (sum / (inner * inner) > 128 ? 1 : 0)) >>> 0;
      }
    }
    const counter = words[1] >>> 16;
    const bytes = [words[0] >>> 24, (words[0] >>> 16) & 255, (words[0] >>> 8) & 255, words[0] & 255, counter >>> 8, counter & 255];
    return crc16(bytes) === (words[1] & 0xffff) ? { unixMs: words[0], counter } : null;
  }

  // --- reading ---------------------------------------------------------------------------------------------------

  let run = null;
  const newRun = (clock) =>
    ({ clock, lastTimestamp: null, lastCounter: null, lastUnixMs: null, lastRtp: null, onCanvas: 0, missed: 0, unreadable: 0, samples: [], frames: [], width: 0 });
  const painted = []; // called after everything that the page paints in a frame

  // The frame that the video shows now; it is looked at once, and each picture counts at the first animation frame that has it.
  async function look(run, video, atMs) {
    if (video.readyState < 2 || video.videoWidth === 0) return;
    let frame;
    try {
      frame = new VideoFrame(video);
    } catch {
      return;
    }
    try {
      if (frame.timestamp === run.lastTimestamp) return;
      run.lastTimestamp = frame.timestamp;
      const { x, y, width } = frame.visibleRect;
      const block = width / 40;
      run.width = width;
      if (!Number.isInteger(block) || (frame.format !== 'I420' && frame.format !== 'NV12')) {
        run.unreadable += 1;
        return;
      }
      const rect = { x, y: y + block, width, height: 2 * block };
      const bytes = new Uint8Array(frame.allocationSize({ rect }));
      const [plane] = await frame.copyTo(bytes, { rect });
      count(run, decode(bytes.subarray(plane.offset), plane.stride, block), atMs);
    } finally {
      frame.close();
    }
  }

  function count(run, code, atMs) {
    if (code === null) {
      run.unreadable += 1;
    } else if (code.counter !== run.lastCounter || code.unixMs !== run.lastUnixMs) {
      if (run.lastCounter !== null) run.missed += (((code.counter - run.lastCounter) & 0xffff) || 1) - 1;
      run.lastCounter = code.counter;
      run.lastUnixMs = code.unixMs;
      run.samples.push([atMs, code.unixMs]);
    }
  }

  // While ink moves fast the page paints picture and ink into canvases in one turn, over the video: then that canvas is what is on the glass.
  const painting = () => window.shirube?.picture?.() ?? null;

  /** Luma of `n` rows of a canvas from `top`. */
  function rowsOf(canvas, top, n) {
    const { data } = canvas.getContext('2d').getImageData(0, top, canvas.width, n);
    return Uint8Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
  }

  function lookAtCanvas(run, { canvas, rtpTs }, atMs) {
    if (rtpTs === run.lastRtp) return;
    run.lastRtp = rtpTs;
    run.onCanvas += 1;
    const block = canvas.width / 40;
    count(run, Number.isInteger(block) ? decode(rowsOf(canvas, block, 2 * block), canvas.width, block) : null, atMs);
  }

  /** The one that is to be seen: of the product, what stands beside a held picture. */
  function theVideo() {
    const shown = window.shirube?.video?.();
    if (shown && shown.videoWidth > 0) return shown;
    let best = null;
    for (const video of document.querySelectorAll('video')) {
      if (video.videoWidth > 0 && (best === null || video.videoWidth > best.videoWidth)) best = video;
    }
    return best;
  }

  function eachFrame(begun) {
    const now = performance.now();
    if (run !== null) {
      run.frames.push(now);
      const video = theVideo();
      if (video !== null && painting() === null) void look(run, video, now);
    }
    flushPageFrames(begun);
    const picture = run === null ? null : painting();
    if (picture !== null) lookAtCanvas(run, picture, now);
    for (const hook of painted) hook();
    nativeFrame(eachFrame);
  }

  // The page's own animation frames run inside ours, in their order, so that a hook can look after all of them.
  let waiting = new Map();
  let handle = 0;
  window.requestAnimationFrame = (callback) => {
    handle += 1;
    waiting.set(handle, callback);
    return handle;
  };
  let running = new Map();
  window.cancelAnimationFrame = (id) => {
    waiting.delete(id);
    running.delete(id);
  };
  function flushPageFrames(begun) {
    running = waiting;
    waiting = new Map();
    for (const callback of running.values()) {
      try {
        callback(begun);
      } catch (error) {
        reportError(error);
      }
    }
  }
  nativeFrame(eachFrame);

  window.glass = {
    calibrate,
    decode,
    painting,
    rowsOf,
    afterPaint: (hook) => void painted.push(hook),
    // Does a picture with a readable code stand on the glass?
    async ready() {
      const video = theVideo();
      const probe = newRun(null);
      if (video !== null) await look(probe, video, performance.now());
      return probe.samples.length === 1;
    },
    start() {
      run = newRun(calibrate());
    },
    // Every picture since `start` as [shown, captured], Unix ms. The run goes on.
    pictures() {
      return (run?.samples ?? []).map(([at, unixMs]) => {
        const shown = at + run.clock.offset;
        const age = ((shown % 4294967296) - unixMs + 4294967296) % 4294967296;
        return [shown, shown - (age > 2147483648 ? age - 4294967296 : age)];
      });
    },
    // Ages in ms of every picture at the first animation frame that contains it. The code holds whole ms, cut: on average
    // 0.5 ms are added to every age, on both sides alike.
    stop() {
      const done = run;
      run = null;
      const end = calibrate();
      // Both ends bound the offset; their difference is the drift over the run.
      const offset = (done.clock.offset + end.offset) / 2;
      const ages = done.samples.slice(1).map(([at, unixMs]) => {
        const age = (((at + offset) % 4294967296) - unixMs + 4294967296) % 4294967296;
        return Math.round((age > 2147483648 ? age - 4294967296 : age) * 1000) / 1000;
      });
      const gaps = done.frames.slice(1).map((t, i) => t - done.frames[i]);
      return {
        ages,
        missed: done.missed,
        onCanvas: done.onCanvas,
        unreadable: done.unreadable,
        width: done.width,
        frameGapsMs: gaps,
        clock: {
          uncertaintyMs: Math.max(done.clock.uncertaintyMs, end.uncertaintyMs) + Math.abs(end.offset - done.clock.offset) / 2,
          offset,
        },
      };
    },
  };
})();
