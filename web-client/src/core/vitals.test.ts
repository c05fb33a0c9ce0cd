import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { VitalsSchema } from '../gen/vitals_pb';
import type { CaptureNtp } from './units';
import { areNotOfNow, NUMBER_OLD_MS, NUMBERS_SILENT_MS, vitalText, withVitals } from './vitals';

const s = (seconds: number): bigint => BigInt(Math.round(seconds * 1000)) * (1n << 32n) / 1000n;
const said = (name: string, at: number, value?: number): ReturnType<typeof create<typeof VitalsSchema>> =>
  create(VitalsSchema, { feed: 'vitals', synchronised: true, numerics: [{ name, unit: '/min', at: s(at), ...(value === undefined ? {} : { value }) }] });
const text = (now: ReturnType<typeof withVitals>, name: string, at: number): string | undefined => {
  const number = now.numbers.find((n) => n.name === name);
  return number && vitalText(number, s(at) as CaptureNtp);
};

describe('vital signs as data', () => {
  it('shows the newest number of each name, whatever the order of packets', () => {
    let now = withVitals(null, said('HR', 10, 72.4));
    now = withVitals(now, said('RR', 11, 12));
    now = withVitals(now, said('HR', 12, 75));
    now = withVitals(now, said('HR', 11, 60));
    expect(now.numbers.map((n) => n.name)).toEqual(['HR', 'RR']);
    expect([text(now, 'HR', 12), text(now, 'RR', 12)]).toEqual(['75', '12']);
  });
  it('shows what is missing, invalid or old as missing, never as a number', () => {
    expect(text(withVitals(null, said('HR', 10)), 'HR', 10)).toBe('--');
    expect(text(withVitals(null, said('HR', 10, Number.NaN)), 'HR', 10)).toBe('--');
    const now = withVitals(null, said('HR', 10, 72));
    expect(text(now, 'HR', 10 + NUMBER_OLD_MS / 1000)).toBe('72');
    expect(text(now, 'HR', 10.1 + NUMBER_OLD_MS / 1000)).toBe('--');
    const number = now.numbers[0];
    expect(number && vitalText(number, null)).toBe('--');
  });
  it('are none of now as soon as nothing comes any more, and not because a device measures seldom', () => {
    expect(areNotOfNow(NUMBERS_SILENT_MS - 1, true, true)).toBe(false);
    expect(areNotOfNow(NUMBERS_SILENT_MS, true, false)).toBe(true); // waves have ended
    expect(areNotOfNow(NUMBERS_SILENT_MS, false, true)).toBe(true); // the line has
    expect(areNotOfNow(5_000, false, false)).toBe(false);
    expect([areNotOfNow(null, true, true), areNotOfNow(null, true, false)]).toEqual([true, false]);
  });
  it('begins anew with another feed', () => {
    const other = create(VitalsSchema, { feed: 'monitor-2', numerics: [] });
    expect(withVitals(withVitals(null, said('HR', 1, 72)), other).numbers).toEqual([]);
  });
});
