// Runs in the page, after reader.js: which picture of the clip is on the glass, and where the page has drawn the mark on it.
(() => {
  'use strict';

  /** The number in a row of 32 blocks: 16 bits, then the same inverted. Null: no code. `luma` begins at the row. */
  function number(luma, stride, block, step = 1) {
    let word = 0;
    for (let bit = 0; bit < 32; bit += 1) {
      const at = (Math.floor(block / 2) * stride + (bit + 1) * block + Math.floor(block / 2)) * step;
      word = ((word << 1) | (luma[at] > 128 ? 1 : 0)) >>> 0;
    }
    const k = word >>> 16;
    return (~word & 0xffff) === k ? k : null;
  }

  async function numberOf(frame) {
    const { x, y, width, height } = frame.visibleRect;
    const block = width / 40;
    if (!Number.isInteger(block) || (frame.format !== 'I420' && frame.format !== 'NV12')) return null;
    const rect = { x, y: y + height - 2 * block, width, height: block };
    const bytes = new Uint8Array(frame.allocationSize({ rect }));
    const [plane] = await frame.copyTo(bytes, { rect });
    return number(bytes.subarray(plane.offset), plane.stride, block);
  }

  /** Share of places of the newest mark, moved so, that have ink on the canvases of the glass. */
  function inked(moved, points) {
    const glass = window.shirube.glass();
    const width = glass.clientWidth;
    const canvases = [...glass.querySelectorAll(':scope > canvas.ink')].filter((c) => !c.hidden && c.width > 0).map((canvas) => ({
      canvas, context: canvas.getContext('2d'), left: parseFloat(canvas.style.left), top: parseFloat(canvas.style.top), ratio: canvas.width / parseFloat(canvas.style.width),
    }));
    let hit = 0;
    const some = points.filter((_, i) => i % Math.max(1, Math.floor(points.length / 12)) === 0);
    for (const [u, v] of some) {
      const x = (moved.a * u - moved.b * v + moved.tx) * width;
      const y = (moved.b * u + moved.a * v + moved.ty) * width;
      hit += canvases.some(({ canvas, context, left, top, ratio }) => {
        const px = Math.round((x - left) * ratio);
        const py = Math.round((y - top) * ratio);
        return px >= 0 && py >= 0 && px < canvas.width && py < canvas.height && context.getImageData(px, py, 1, 1).data[3] > 0;
      }) ? 1 : 0;
    }
    return some.length > 0 ? hit / some.length : 0;
  }

  let last = null;
  let rows = null; // the room's
  let now = null; // newest number read
  const byFrame = new Map(); // RTP timestamp of the program -> number
  const waiting = new Set();

  window.glass.afterPaint(() => {
    const video = window.shirube?.video();
    if (!video || video.readyState < 2 || video.videoWidth === 0) return;
    let frame;
    try { frame = new VideoFrame(video); } catch { return; }
    if (frame.timestamp === last) return void frame.close();
    last = frame.timestamp;
    const rtp = frame.metadata?.().rtpTimestamp ?? null;
    const moved = rows && window.shirube.ink.moved();
    const stroke = moved ? window.shirube.ink.strokes().at(-1) : null;
    const row = { k: null, at: performance.now(), moved: moved || null, inked: stroke ? inked(moved, stroke.points.map((p) => [p.x / 16384, p.y / 16384])) : 0 };
    const into = rows;
    const read = numberOf(frame).then((k) => {
      row.k = k;
      if (k !== null) now = k;
      if (k !== null && rtp !== null) byFrame.set(rtp, k);
      into?.push(row);
    }, () => undefined).finally(() => { frame.close(); waiting.delete(read); });
    waiting.add(read);
  });

  window.landing = {
    now: () => now,
    /** Unix ms of performance.now() = 0 on this machine's clock. */
    origin: () => window.glass.calibrate().offset,
    begin() { rows = []; },
    async end() {
      const done = rows ?? [];
      rows = null;
      await Promise.all(waiting);
      return done.sort((a, b) => a.at - b.at);
    },
    /** The newest own mark: its frame's number, and the number of the picture that stands still under it. */
    mark() {
      const stroke = window.shirube.ink.strokes().at(-1);
      if (!stroke) return null;
      const held = document.querySelector('[data-testid=glass] > canvas.heldpicture');
      let under = null;
      if (held && !held.hidden && held.width > 0) {
        const block = held.width / 40;
        const { data } = held.getContext('2d').getImageData(0, held.height - 2 * block, held.width, block);
        under = number(data, held.width, block, 4);
      }
      return {
        named: byFrame.get(stroke.frame.programRtpTs) ?? null, held: under, told: stroke.frame.mappingAsTold,
        points: stroke.points.map((p) => [p.x / 16384, p.y / 16384]), phase: stroke.phase,
      };
    },
  };
})();
