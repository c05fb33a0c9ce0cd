// Pen, mouse and finger on the glass: captured, raw and coalesced, in CSS px of the element; palms are not hands.
import { PenMode } from '../core/pen_mode';
import type { PerfMs } from '../core/units';
import { perfMs } from '../core/units';

export interface PointerSample { readonly x: number; readonly y: number; readonly pressure: number; readonly time: PerfMs }

export interface PointerEvents {
  /** `how`: a finger beside a pen, or the barrel button, points. True: the pointer is kept until it leaves the glass. */
  down(sample: PointerSample, how: 'draw' | 'point'): boolean;
  move(samples: readonly PointerSample[]): void;
  up(): void;
  /** The system took the pointer away: no mark was meant. */
  cancel(): void;
  /** Over the glass without touching it; null: not any more. `points`: with the barrel button pressed. */
  hover(sample: PointerSample | null, points: boolean): void;
  /** The other end of the pen. */
  eraserEnd(): void;
}

const BARREL = 2;
const ERASER = 32;
const BUTTON_BARREL = 2;
const BUTTON_ERASER = 5;

export function watchPointer(on: HTMLElement, events: PointerEvents): () => void {
  const mode = new PenMode();
  let holding: number | null = null;
  let box = on.getBoundingClientRect();
  const sampleOf = (e: PointerEvent): PointerSample => ({
    x: e.clientX - box.left, y: e.clientY - box.top,
    // A mouse reports 0.5 while pressed: it has no pressure.
    pressure: e.pointerType === 'pen' && e.pressure > 0 ? e.pressure : 1,
    time: perfMs(e.timeStamp),
  });
  const down = (e: PointerEvent): void => {
    const how = mode.handleDown(e.pointerType, perfMs(e.timeStamp));
    if (holding !== null || !e.isPrimary || how === 'nothing') return;
    if (e.pointerType === 'pen' && (e.button === BUTTON_ERASER || (e.buttons & ERASER) !== 0)) {
      e.preventDefault();
      events.eraserEnd();
      return;
    }
    const barrel = e.pointerType === 'pen' && (e.button === BUTTON_BARREL || (e.buttons & BARREL) !== 0);
    if (e.button !== 0 && !barrel) return;
    box = on.getBoundingClientRect();
    if (!events.down(sampleOf(e), barrel ? 'point' : how)) return;
    holding = e.pointerId;
    e.preventDefault();
    try { on.setPointerCapture(e.pointerId); } catch { /* a pointer already gone, or one made by a test: the stroke goes on without capture */ }
  };
  const pieces = (e: PointerEvent): PointerSample[] => {
    const coalesced = e.getCoalescedEvents?.() ?? [];
    return (coalesced.length > 0 ? coalesced : [e]).map(sampleOf);
  };
  // Moves are dealt out once a frame, raw ones at once: where there are raw ones, they alone make the stroke.
  const rawly = 'onpointerrawupdate' in on;
  const raw = (e: Event): void => { if (e instanceof PointerEvent && e.pointerId === holding) events.move(pieces(e)); };
  const move = (e: PointerEvent): void => {
    mode.handleNear(e.pointerType, perfMs(e.timeStamp));
    if (e.pointerId === holding) {
      if (!rawly) events.move(pieces(e));
    } else if (holding === null && e.isPrimary && e.pointerType !== 'touch') {
      box = on.getBoundingClientRect();
      events.hover(sampleOf(e), e.pointerType === 'pen' && (e.buttons & BARREL) !== 0);
    }
  };
  const end = (act: () => void) => (e: PointerEvent): void => {
    if (e.pointerId !== holding) return;
    holding = null;
    act();
  };
  const leave = (): void => { if (holding === null) events.hover(null, false); };
  const menu = (e: Event): void => { e.preventDefault(); }; // the barrel button would open it
  const up = end(() => events.up());
  const names = [['pointerdown', down], ['pointermove', move], ['pointerup', up], ['lostpointercapture', up], ['pointercancel', end(() => events.cancel())], ['pointerleave', leave]] as const;
  for (const [name, handler] of names) on.addEventListener(name, handler);
  on.addEventListener('contextmenu', menu);
  if (rawly) on.addEventListener('pointerrawupdate', raw);
  return () => {
    for (const [name, handler] of names) on.removeEventListener(name, handler);
    on.removeEventListener('contextmenu', menu);
    on.removeEventListener('pointerrawupdate', raw);
  };
}
