import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { WaveSchema } from '../gen/vitals_pb';
import { ntpFromUnixMs } from './units';
import { rowsOf, SWEEP_S, Waves } from './waves';

const T0 = 1_800_000_000_000;
const piece = (atMs: number, samples: number[], name = 'II', rateHz = 100) => create(WaveSchema, { name, unit: 'mV', rateHz, step: 0.001, start: ntpFromUnixMs(T0 + atMs), samples });
const values = (waves: Waves, from: number, n: number): number[] => Array.from({ length: n }, (_, i) => waves.of('II')?.at(T0 / 10 + from + i) ?? Number.NaN);

describe('waves of the vital signs', () => {
  it('puts pieces where their time is, whatever their order, and leaves gaps as gaps', () => {
    const waves = new Waves();
    waves.handle('vitals', [piece(0, [1000, 2000])]);
    waves.handle('vitals', [piece(60, [7000])]);
    waves.handle('vitals', [piece(40, [5000, -2_147_483_648])]);
    expect(values(waves, 0, 8)).toEqual([1, 2, Number.NaN, Number.NaN, 5, Number.NaN, 7, Number.NaN]);
  });
  it('holds one sweep, and nothing of before a long silence', () => {
    const waves = new Waves();
    waves.handle('vitals', [piece(0, Array.from({ length: 50 }, () => 1000))]);
    waves.handle('vitals', [piece(SWEEP_S * 1000 + 5_000, [2000])]);
    expect(values(waves, 0, 50).every(Number.isNaN)).toBe(true);
    expect(waves.of('II')?.pieceMs).toBe(T0 + SWEEP_S * 1000 + 5_000);
  });
  it('tells what is to be drawn: the new stretch, or all when the scale changed', () => {
    const waves = new Waves();
    const told: [number, number][] = [];
    const end = waves.listen((_, from, to) => { told.push([from - T0 / 10, to - T0 / 10]); });
    waves.handle('vitals', [piece(0, [0, 500])]);
    waves.handle('vitals', [piece(20, [100, 200])]);
    waves.handle('vitals', [piece(40, [9000])]);
    waves.handle('vitals', [piece(-100_000, [9000])]); // long gone
    end();
    waves.handle('vitals', [piece(50, [1])]);
    expect(told.map(([, to]) => to)).toEqual([2, 4, 5]);
    expect(told[1]).toEqual([2, 4]);
    expect(told[2]?.[0]).toBeLessThan(0);
  });
  it('begins anew with another feed or rate, and takes no rate or step that cannot be', () => {
    const waves = new Waves();
    waves.handle('a', [piece(0, [1000])]);
    waves.handle('a', [piece(0, [1000], 'II', 250)]);
    expect(waves.of('II')?.rateHz).toBe(250);
    waves.handle('a', [piece(0, [1], 'X', 0), piece(0, [1], 'Y', 1e9), create(WaveSchema, { ...piece(0, [1], 'Z'), step: Number.NaN })]);
    expect(waves.names).toEqual(['II']);
    waves.handle('b', [piece(0, [1000], 'ABP')]);
    expect(waves.names).toEqual(['ABP']);
  });
  it('has a row for each kind of which anything was said, the gravest first', () => {
    expect(rowsOf(['V1', 'PLETH'], ['ABP-sys', 'ABP-dia', 'TEMP']).map((r) => [r.kind, r.wave])).toEqual([['ecg', 'V1'], ['arterial', null], ['pleth', 'PLETH']]);
    expect(rowsOf([], [])).toEqual([]);
  });
});
