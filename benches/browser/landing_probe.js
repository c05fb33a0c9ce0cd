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

  /** The same of a picture that the page painted. */
  function codesOn(canvas) {
    const block = canvas.width / 40;
    if (!Number.isInteger(block)) return { k: null, ms: null };
    const red = (top, n) => [window.glass.rowsOf(canvas, top, n * block), canvas.width, block];
    return { k: number(...red(canvas.height - 2 * block, 1)), ms: window.glass.decode(...red(block, 2))?.unixMs ?? null };
  }

  /** {k, ms}: its number, and the Unix ms of its time code (low 32 bits); null where not readable. */
  async function codesOf(frame) {
    const { x, y, width, height } = frame.visibleRect;
    const block = width / 40;
    if (!Number.isInteger(block) || (frame.format !== 'I420' && frame.format !== 'NV12')) return { k: null, ms: null };
    const rows = async (top, n) => {
      const rect = { x, y: y + top, width, height: n * block };
      const bytes = new Uint8Array(frame.allocationSize({ rect }));
      const [plane] = await copy.call(frame, bytes, { rect });
      return [bytes.subarray(plane.offset), plane.stride, block];
    };
    const low = await rows(height - 2 * block, 1);
    return { k: number(...low), ms: window.glass.decode(...(await rows(block, 2)))?.unixMs ?? null };
  }

  // A moving code is on every picture, so that no field is ever still. Where a field is to be taken for still, the page's look at it (always the whole
  // frame) sees one and the same picture.
  const copy = VideoFrame.prototype.copyTo;
  let still = null;
  VideoFrame.prototype.copyTo = async function copyTo(into, options) {
    const planes = await copy.call(this, into, options);
    if (still === null || options !== undefined) return planes;
    if (still.length !== into.length) still = into.slice();
    into.set(still);
    return planes;
  };

  /** Share of places of a mark, moved so, that have ink on the canvases of the glass. */
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

  const MS_MAX = 4_294_967_296;
  /** Unix ms of a capture, as the time code says it, with its fraction. */
  const msOf = (ntp) => Number((BigInt.asUintN(64, ntp) * 1000n * 1000n >> 32n) - 2_208_988_800_000_000n) / 1000 % MS_MAX;

  let last = null;
  let rows = null; // the room's
  let kept = null; // where the mark was drawn last
  let newest = null; // {k, rising}
  const byFrame = new Map(); // RTP timestamp of the program -> {k, ms}
  const shown = []; // [first animation frame, {k, ms}], the last seconds
  const waiting = new Set();

  window.glass.afterPaint(() => {
    const video = window.shirube?.video();
    if (!video || video.readyState < 2 || video.videoWidth === 0) return;
    // What is on the glass: the video's own picture, or the one that the page painted over it with its ink.
    const painting = window.glass.painting();
    let frame = null;
    let rtp;
    if (painting) {
      rtp = painting.rtpTs;
    } else {
      try { frame = new VideoFrame(video); } catch { return; }
      rtp = frame.metadata?.().rtpTimestamp ?? null;
    }
    if ((rtp ?? frame.timestamp) === last) return void frame?.close();
    last = rtp ?? frame.timestamp;
    const at = performance.now();
    const into = rows;
    const stroke = rows && window.shirube.ink.strokes().at(-1);
    const points = stroke ? stroke.points.map((p) => [p.x / 16384, p.y / 16384]) : [];
    const moved = (stroke && window.shirube.ink.moved()) || null;
    if (moved) kept = moved;
    // Gone from the picture must be gone from the canvas.
    // The page painted ink for another picture than the one that is on the glass.
    const behind = rtp !== null && Boolean(stroke) && (window.shirube.ink.paintedOn() ?? rtp) !== rtp;
    const row = { k: null, at, behind, painted: painting !== null, moved, inked: moved ? inked(moved, points) : stroke && kept ? inked(kept, points) : 0 };
    const read = (painting ? Promise.resolve(codesOn(painting.canvas)) : codesOf(frame)).then((codes) => {
      row.k = codes.k;
      if (codes.k !== null) {
        newest = { k: codes.k, rising: newest === null || codes.k > newest.k };
        shown.push([at, codes]);
        if (shown.length > 200) shown.shift();
        if (rtp !== null) byFrame.set(rtp, codes);
      }
      into?.push(row);
    }, () => undefined).finally(() => { frame?.close(); waiting.delete(read); });
    waiting.add(read);
  });

  let pressed = null;
  window.addEventListener('pointerdown', (e) => { pressed = e.timeStamp; }, true);

  window.landing = {
    now: () => newest,
    /** Unix ms of performance.now() = 0 on this machine's clock. */
    origin: () => window.glass.calibrate().offset,
    /** When the pen came down last, performance.now(). */
    pressed: () => pressed,
    stayStill(yes) { still = yes ? new Uint8Array(0) : null; },
    begin() { rows = []; kept = null; },
    async end() {
      const done = rows ?? [];
      rows = null;
      await Promise.all(waiting);
      return done.sort((a, b) => a.at - b.at);
    },
    /** The newest mark: the picture it names, the one that stands still under it, and the one that was on the glass when the pen came down. */
    mark() {
      const stroke = window.shirube.ink.strokes().at(-1);
      if (!stroke) return null;
      const held = document.querySelector('[data-testid=glass] > canvas.heldpicture');
      let under = null;
      if (held && !held.hidden && held.width > 0) {
        under = codesOn(held);
      }
      return {
        named: byFrame.get(stroke.frame.programRtpTs)?.k ?? null, namedMs: msOf(stroke.frame.capture), held: under,
        shown: shown.filter(([at]) => at <= pressed).at(-1)?.[1] ?? null, told: stroke.frame.mappingAsTold,
        points: stroke.points.map((p) => [p.x / 16384, p.y / 16384]), phase: stroke.phase,
      };
    },
  };
})();
