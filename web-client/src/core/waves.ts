// Waves of the vital signs as data: the last seconds of each, by the time of its samples, to be drawn as a sweep. Pure.
import type { Wave } from '../gen/vitals_pb';
import { unixMsFromNtp } from './units';

/** From one pass over a place to the next. */
export const SWEEP_S = 6;
/** A trace that got nothing for so long is wiped: what stood there is not of now. */
export const TRACE_OLD_MS = 3_000;
/** The smallest 32-bit number is a missing sample. */
const MISSING_SAMPLE = -2_147_483_648;
const RATE_MAX_HZ = 2_000;
const SWEEPS_MAX = 16;
/** The least that a row's height stands for, in the wave's unit. */
const SPAN_MIN: Readonly<Record<string, number>> = { mV: 1.5, mmHg: 20 };

/** One wave. Samples are counted from 1970 on the case timeline, so that pieces find their place whatever their order. */
export class Sweep {
  /** The newest sample's number; -1: none yet. */
  newest = -1;
  private pieceFrom = 0;
  low = 0;
  high = 1;
  private readonly ring: Float32Array;

  constructor(readonly name: string, readonly unit: string, readonly rateHz: number) {
    this.ring = new Float32Array(Math.ceil(rateHz * SWEEP_S)).fill(Number.NaN);
  }

  /** Takes a piece; null: nothing in it is new enough. `rescaled`: all that stands must be drawn again. */
  handlePiece(piece: Wave): { from: number; to: number; rescaled: boolean } | null {
    const start = Math.round((unixMsFromNtp(piece.start) / 1000) * this.rateHz);
    const n = this.ring.length;
    const from = Math.max(start, start + piece.samples.length - n, this.newest - n + 1);
    const to = start + piece.samples.length;
    if (!Number.isSafeInteger(start) || from >= to) return null;
    if (from > this.newest + n) this.ring.fill(Number.NaN);
    else for (let i = this.newest + 1; i < from; i += 1) this.ring[i % n] = Number.NaN;
    for (let i = from; i < to; i += 1) {
      const said = piece.samples[i - start] ?? MISSING_SAMPLE;
      this.ring[i % n] = said === MISSING_SAMPLE ? Number.NaN : said * piece.step;
    }
    const first = this.newest < 0;
    if (to > this.newest) this.pieceFrom = start;
    this.newest = Math.max(this.newest, to - 1);
    return { from, to, rescaled: this.rescale() || first };
  }

  /** NaN: missing, or not of this sweep any more. */
  at(i: number): number {
    return i > this.newest || i <= this.newest - this.ring.length ? Number.NaN : this.ring[i % this.ring.length] ?? Number.NaN;
  }

  get oldest(): number { return Math.max(0, this.newest - this.ring.length + 1); }
  /** Unix ms, case timeline, of the first sample of the newest piece: until the next piece comes, the glass shows nothing newer than its end. */
  get pieceMs(): number { return (this.pieceFrom / this.rateHz) * 1000; }

  /** Grows at once, shrinks when half the height stands empty: a scale that breathes cannot be read. */
  private rescale(): boolean {
    let low = Infinity;
    let high = -Infinity;
    for (const v of this.ring) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    if (low > high) return false;
    const span = Math.max(high - low, SPAN_MIN[this.unit] ?? 1e-6);
    if (low >= this.low && high <= this.high && span > (this.high - this.low) / 2) return false;
    const middle = (low + high) / 2;
    this.low = middle - span * 0.6;
    this.high = middle + span * 0.6;
    return true;
  }
}

/** All waves of the newest feed of vital signs. */
export class Waves {
  private feed = '';
  private readonly sweeps = new Map<string, Sweep>();
  private readonly listeners = new Set<(sweep: Sweep, from: number, to: number) => void>();

  handle(feed: string, pieces: readonly Wave[]): void {
    if (pieces.length === 0) return;
    if (feed !== this.feed) this.sweeps.clear();
    this.feed = feed;
    for (const piece of pieces) {
      if (!(piece.rateHz >= 1 && piece.rateHz <= RATE_MAX_HZ) || !Number.isFinite(piece.step)) continue;
      let sweep = this.sweeps.get(piece.name);
      if (sweep?.rateHz !== piece.rateHz) {
        if (sweep === undefined && this.sweeps.size >= SWEEPS_MAX) continue;
        sweep = new Sweep(piece.name, piece.unit, piece.rateHz);
        this.sweeps.set(piece.name, sweep);
      }
      const taken = sweep.handlePiece(piece);
      if (taken) for (const tell of this.listeners) tell(sweep, taken.rescaled ? sweep.oldest : taken.from, taken.to);
    }
  }

  /** Told of each stretch of samples that is to be drawn. Ends by the function returned. */
  listen(tell: (sweep: Sweep, from: number, to: number) => void): () => void {
    this.listeners.add(tell);
    return () => { this.listeners.delete(tell); };
  }

  of(name: string): Sweep | null { return this.sweeps.get(name) ?? null; }
  get names(): string[] { return [...this.sweeps.keys()]; }
}

export type RowKind = 'ecg' | 'arterial' | 'pulmonary' | 'pleth';
export interface Row { readonly kind: RowKind; readonly wave: string | null; readonly numbers: readonly string[]; readonly label: string }

const KINDS: readonly { kind: RowKind; label: string; waves: readonly string[]; numbers: readonly string[] }[] = [
  { kind: 'ecg', label: 'HR', waves: ['II', 'ECG', 'I', 'III', 'V5', 'V1'], numbers: ['HR'] },
  { kind: 'arterial', label: 'ABP', waves: ['ABP'], numbers: ['ABP-sys', 'ABP-dia'] },
  { kind: 'pulmonary', label: 'PAP', waves: ['PAP'], numbers: ['PAP-sys', 'PAP-dia'] },
  { kind: 'pleth', label: 'SpO₂', waves: ['PLETH'], numbers: ['SpO2'] },
];

/** The rows of a panel, the gravest first: one for each kind of which a wave or a number was said. */
export function rowsOf(waves: readonly string[], numbers: readonly string[]): Row[] {
  return KINDS.flatMap((k) => {
    const wave = k.waves.find((w) => waves.includes(w)) ?? null;
    return wave !== null || k.numbers.some((n) => numbers.includes(n)) ? [{ kind: k.kind, label: k.label, wave, numbers: k.numbers }] : [];
  });
}
