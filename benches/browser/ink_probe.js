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

  // --- room ------------------------------------------------------------------------------------------------------

  /** Places looked at in one frame: more than a pen adds in 250 ms. */
  const AHEAD = 26;
  let watch = null;

  function inked(canvases, x, y) {
    return canvases.some(({ context, ratio }) => context.getImageData(Math.round(x * ratio), Math.round(y * ratio), 1, 1).data[3] > 0);
  }

  function afterPaint() {
    if (watch === null || watch.next >= watch.places.length) return;
    const now = performance.now();
    const end = Math.min(watch.places.length, watch.next + AHEAD);
    for (let i = watch.next; i < end; i += 1) {
      if (watch.seen[i] !== undefined) continue;
      const [x, y] = watch.places[i];
      if (inked(watch.canvases, x, y)) watch.seen[i] = now;
    }
    while (watch.next < watch.places.length && watch.seen[watch.next] !== undefined) watch.next += 1;
    // A place passed over for long was never reached: a line cut short.
    if (watch.next < watch.places.length && watch.seen.length > watch.next + AHEAD / 2) watch.next += 1;
  }
  window.glass.afterPaint(afterPaint);

  window.inkProbe = {
    takePen: () => pen.splice(0),
    /** `lines`: in parts of the glass. Resolves to how many places had ink already, which never count. */
    watch(lines) {
      const canvases = [...document.querySelectorAll('canvas.ink')].map((canvas) => ({
        context: canvas.getContext('2d'), ratio: canvas.width / Math.max(1, canvas.clientWidth), canvas,
      }));
      if (canvases.length === 0) throw new Error('the room has no ink canvas');
      const { clientWidth: w, clientHeight: h } = canvases[0].canvas;
      const places = lines.flat().map(([u, v]) => [u * w, v * h]);
      const taken = places.map(([x, y]) => inked(canvases, x, y));
      watch = { canvases, places, taken, seen: [], next: 0 };
      return taken.filter(Boolean).length;
    },
    /** First animation frame of each place: performance.now(), or null. */
    takeSeen() {
      if (watch === null) return [];
      const { places, seen, taken } = watch;
      watch = null;
      return places.map((_, i) => (taken[i] ? null : (seen[i] ?? null)));
    },
  };
})();
