// Pen, mouse and finger on the glass: captured, coalesced, in CSS px of the element.
import type { PerfMs } from '../core/units';
import { perfMs } from '../core/units';

export interface PointerSample { readonly x: number; readonly y: number; readonly pressure: number; readonly time: PerfMs }

export interface PointerEvents {
  /** True: the stroke began and the pointer is kept. */
  down(sample: PointerSample): boolean;
  move(samples: readonly PointerSample[]): void;
  up(): void;
}

/** Touch is ignored while a pen is near, and this long after. */
const PEN_NEAR_MS = 2_000;

export function watchPointer(on: HTMLElement, events: PointerEvents): () => void {
  let holding: number | null = null;
  let penSeen = -Infinity;
  const sampleOf = (e: PointerEvent, box: DOMRect): PointerSample => ({
    x: e.clientX - box.left, y: e.clientY - box.top,
    // A mouse reports 0.5 while pressed: it has no pressure.
    pressure: e.pointerType === 'pen' && e.pressure > 0 ? e.pressure : 1,
    time: perfMs(e.timeStamp),
  });
  const down = (e: PointerEvent): void => {
    if (e.pointerType === 'pen') penSeen = e.timeStamp;
    if (holding !== null || !e.isPrimary || e.button !== 0) return;
    if (e.pointerType === 'touch' && e.timeStamp - penSeen < PEN_NEAR_MS) return;
    if (!events.down(sampleOf(e, on.getBoundingClientRect()))) return;
    holding = e.pointerId;
    e.preventDefault();
    try { on.setPointerCapture(e.pointerId); } catch { /* a pointer already gone, or one made by a test: the stroke goes on without capture */ }
  };
  const move = (e: PointerEvent): void => {
    if (e.pointerType === 'pen') penSeen = e.timeStamp;
    if (e.pointerId !== holding) return;
    const box = on.getBoundingClientRect();
    const coalesced = e.getCoalescedEvents?.() ?? [];
    events.move((coalesced.length > 0 ? coalesced : [e]).map((one) => sampleOf(one, box)));
  };
  const up = (e: PointerEvent): void => {
    if (e.pointerId !== holding) return;
    holding = null;
    events.up();
  };
  const names = [['pointerdown', down], ['pointermove', move], ['pointerup', up], ['pointercancel', up], ['lostpointercapture', up]] as const;
  for (const [name, handler] of names) on.addEventListener(name, handler);
  return () => { for (const [name, handler] of names) on.removeEventListener(name, handler); };
}
