// One canvas of ink over a picture: as large as what lies on it and no larger, painted only where something changed, and not
// there at all while it is empty. Over moving pictures every pixel of a canvas is blended again with every frame, so area is
// what ink costs. Plain 2D, never desynchronized: over video that turned black on a common GPU and driver.

export interface Extent { readonly x: number; readonly y: number; readonly w: number; readonly h: number }

/** One thing on the canvas. Equal `version`: it looks the same as before, in the same place. CSS px of the glass. */
export interface Item {
  readonly id: string;
  readonly version: string;
  readonly extent: Extent;
  /** What of it is new since `before` of the same id, where it only grew. Null: all of it. */
  grown?(before: Item): Extent | null;
  draw(context: CanvasRenderingContext2D): void;
}

/** The canvas grows by whole steps, so that a line under the pen seldom makes it anew. CSS px. */
const STEP = 128;

export class InkCanvas {
  readonly element = document.createElement('canvas');
  private items = new Map<string, Item>();
  private area: Extent | null = null;
  private glass = { w: 0, h: 0, ratio: 1 };

  constructor(className: string, testid: string) {
    this.element.className = className;
    this.element.dataset['testid'] = testid;
    this.element.width = this.element.height = 0;
    this.element.hidden = true;
  }

  /** Size of the glass in CSS px, and device pixels per CSS px. */
  resize(w: number, h: number, ratio: number): void {
    if (w === this.glass.w && h === this.glass.h && ratio === this.glass.ratio) return;
    this.glass = { w, h, ratio };
    this.area = null;
    this.items = new Map();
  }

  /** Paints what differs from last time. True: something did. */
  paint(all: readonly Item[]): boolean {
    // What looks the same is kept as it was: its geometry is known.
    const next = all.map((item) => {
      const old = this.items.get(item.id);
      return old?.version === item.version ? old : item;
    });
    const items = new Map(next.map((item) => [item.id, item]));
    const wanted = this.areaFor(next);
    if (wanted === null) {
      if (this.area === null && this.items.size === 0) return false;
      this.items = items;
      this.area = null;
      this.element.hidden = true;
      this.element.width = this.element.height = 0; // nothing is kept, not even the memory
      return true;
    }
    if (!same(wanted, this.area)) {
      this.lay(wanted);
      this.items = items;
      this.drawIn(wanted, next);
      return true;
    }
    let dirty: Extent | null = null;
    for (const [id, old] of this.items) if (!items.has(id)) dirty = union(dirty, old.extent);
    for (const item of next) {
      const old = this.items.get(item.id);
      if (old?.version === item.version) continue;
      const grown = old ? item.grown?.(old) ?? null : item.extent;
      dirty = grown ? union(dirty, grown) : union(union(dirty, old?.extent ?? null), item.extent);
    }
    this.items = items;
    if (dirty === null) return false;
    this.drawIn(dirty, next);
    return true;
  }

  /** The area for these, in whole steps and within the glass; the one there is where it fits and is not four times too large. */
  private areaFor(items: readonly Item[]): Extent | null {
    let all: Extent | null = null;
    for (const item of items) all = union(all, item.extent);
    if (all === null) return null;
    const x = Math.max(0, Math.floor(all.x / STEP) * STEP);
    const y = Math.max(0, Math.floor(all.y / STEP) * STEP);
    const w = Math.min(this.glass.w, Math.ceil((all.x + all.w) / STEP) * STEP) - x;
    const h = Math.min(this.glass.h, Math.ceil((all.y + all.h) / STEP) * STEP) - y;
    if (w <= 0 || h <= 0) return null;
    const old = this.area;
    const covers = old !== null && old.x <= x && old.y <= y && old.x + old.w >= x + w && old.y + old.h >= y + h;
    return covers && old.w * old.h <= 4 * w * h ? old : { x, y, w, h };
  }

  private lay(area: Extent): void {
    const { element, glass } = this;
    this.area = area;
    element.hidden = false;
    element.style.left = `${area.x}px`;
    element.style.top = `${area.y}px`;
    element.style.width = `${area.w}px`;
    element.style.height = `${area.h}px`;
    element.width = Math.round(area.w * glass.ratio);
    element.height = Math.round(area.h * glass.ratio);
  }

  private drawIn(dirty: Extent, items: readonly Item[]): void {
    const context = this.element.getContext('2d');
    const area = this.area;
    if (!context || !area) return;
    const { ratio } = this.glass;
    // Whole device pixels, one more on each side: what was smoothed over an edge goes too.
    const x = Math.max(0, Math.floor((dirty.x - area.x) * ratio) - 1);
    const y = Math.max(0, Math.floor((dirty.y - area.y) * ratio) - 1);
    const w = Math.min(this.element.width, Math.ceil((dirty.x + dirty.w - area.x) * ratio) + 1) - x;
    const h = Math.min(this.element.height, Math.ceil((dirty.y + dirty.h - area.y) * ratio) + 1) - y;
    if (w <= 0 || h <= 0) return;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(x, y, w, h);
    context.clip();
    context.clearRect(x, y, w, h);
    context.setTransform(ratio, 0, 0, ratio, -area.x * ratio, -area.y * ratio);
    for (const item of items) if (meet(item.extent, dirty)) item.draw(context);
    context.restore();
  }
}

const same = (a: Extent, b: Extent | null): boolean => b !== null && a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h;
const meet = (a: Extent, b: Extent): boolean => a.x < b.x + b.w + 2 && b.x < a.x + a.w + 2 && a.y < b.y + b.h + 2 && b.y < a.y + a.h + 2;

export function union(a: Extent | null, b: Extent | null): Extent | null {
  if (a === null || b === null) return a ?? b;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y };
}
