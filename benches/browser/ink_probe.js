// Runs in the page, after reader.js. On the mentor's page: when each pen sample happened. On the room's page: the first
// animation frame whose ink canvases have pixels where the pen was.
(() => {
  'use strict';

  // --- mentor ----------------------------------------------------------------------------------------------------

  const pen = []; // [clientX, clientY, performance.now() of the input event itself]
  window.addEventListener('pointermove', (event) => {
    if (event.buttons === 0 || pen.length > 200_000) return;
    // Moves are dealt out once a frame; the samples inside keep their own times.
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length > 0 ? all : [event]) pen.push([one.clientX, one.clientY, one.timeStamp]);
  }, { capture: true, passive: true });

  // What the page says on its channel of ink.
  const wire = { bytes: 0, packets: 0, since: 0 };
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function counted(data) {
    if (this.label === 'ink') {
      wire.bytes += data.byteLength ?? 0;
      wire.packets += 1;
    }
    return send.call(this, data);
  };

  // --- room ------------------------------------------------------------------------------------------------------

  /** Places of one line looked at in one frame: more than a pen adds in 400 ms. */
  const AHEAD = 26;
  /** Lines looked at in one frame: the newest that has ink, the one after it, and some before whose ink is late. */
  const LINES_BACK = 3;
  /** Places that a gap can hide. */
  const GAP = 1;
  /** The last places of a line, which may be dry when they are first painted; all that are, where the page paints late. */
  const LIFTED = 3;
  let watch = null;

  /** A canvas is as large as its ink: where it lies now is read anew for each frame. `under`: the pen's own canvas alone, on which no older line lies. */
  function inked(canvases, under, x, y) {
    return canvases.some(({ context, canvas, left, top, ratio }) => {
      if (under && !canvas.classList.contains('wet')) return false;
      const px = Math.round((x - left) * ratio);
      const py = Math.round((y - top) * ratio);
      return px >= 0 && py >= 0 && px < canvas.width && py < canvas.height && context.getImageData(px, py, 1, 1).data[3] > 0;
    });
  }
  function standing() {
    return [...document.querySelectorAll('[data-testid=glass] > canvas.ink')].filter((canvas) => !canvas.hidden && canvas.width > 0).map((canvas) => ({
      canvas, context: canvas.getContext('2d'), left: parseFloat(canvas.style.left), top: parseFloat(canvas.style.top), ratio: canvas.width / parseFloat(canvas.style.width),
    }));
  }

  /** Ink follows the tissue: where a place of the main feed, which fills the glass, lies in this frame. */
  function carried(moved, [x, y]) {
    return [moved.a * x - moved.b * y + moved.tx * watch.width, moved.b * x + moved.a * y + moved.ty * watch.width];
  }

  function afterPaint() {
    if (watch === null) return;
    const now = performance.now();
    const canvases = standing();
    // A line that never gets ink must not stop the watch: one that is further down may begin.
    const last = Math.min(watch.lines.length - 1, watch.newest + 2);
    for (let n = Math.max(0, watch.newest - LINES_BACK); n <= last; n += 1) {
      const line = watch.lines[n];
      // Each line is one mark, and goes its own way once it is followed.
      const moved = window.shirube.ink.moved(n);
      if (moved === null) continue;
      const wet = moved.phase === 'wet';
      const end = Math.min(line.places.length, line.next + AHEAD);
      // Ink that is not sure has gaps: a place in one is reached when the pen's next place has ink, never before.
      let ahead = 0;
      for (let i = Math.min(line.places.length, end + GAP) - 1; i >= line.next; i -= 1) {
        if (!line.taken[i] && line.seen[i] === undefined && inked(canvases, wet && i < line.places.length - LIFTED, ...carried(moved, line.places[i]))) ahead = i + 1;
        if (line.seen[i] !== undefined || i >= end || ahead === 0 || ahead - 1 - i > GAP) continue;
        line.seen[i] = now;
        watch.newest = Math.max(watch.newest, n);
      }
      while (line.next < line.places.length && line.seen[line.next] !== undefined) line.next += 1;
    }
  }
  window.glass.afterPaint(afterPaint);

  window.inkProbe = {
    takePen: () => pen.splice(0),
    /** Bytes and packets of ink since this was asked last, and for how long, ms. */
    takeWire() {
      const { bytes, packets, since } = wire;
      Object.assign(wire, { bytes: 0, packets: 0, since: performance.now() });
      return { bytes, packets, ms: wire.since - since };
    },
    /** `lines`: in parts of the glass. Resolves to how many places had ink already, which never count. */
    watch(lines) {
      const glass = document.querySelector('[data-testid=glass]');
      if (!glass) throw new Error('the room has no glass');
      const { clientWidth: w, clientHeight: h } = glass;
      const canvases = standing();
      watch = {
        width: w,
        newest: -1,
        lines: lines.map((line) => ({ places: line.map(([u, v]) => [u * w, v * h]), seen: [], next: 0, taken: [] })),
      };
      for (const line of watch.lines) line.taken = line.places.map(([x, y]) => inked(canvases, false, x, y));
      return watch.lines.flatMap((line) => line.taken).filter(Boolean).length;
    },
    /** First animation frame of each place of each line: performance.now(), or null. */
    takeSeen() {
      const lines = watch?.lines ?? [];
      watch = null;
      return lines.map(({ places, seen, taken }) => places.map((_, i) => (taken[i] ? null : (seen[i] ?? null))));
    },
  };
})();
