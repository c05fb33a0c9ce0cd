// Stills: which there are, which is the newest, which are listed, and which the room is shown.
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { StillInfoSchema } from '../gen/signal_pb';
import type { Inked } from './stills';
import { drawnFrame, frameName, frameOf, listedStills, newestStill, stillsOf } from './stills';

const told = (n: number, feed = 'fluoro') => create(StillInfoSchema, { still: `s${n}`, feed, capture: BigInt(n) << 32n, width: 512, height: 512, geometry: 7 });
const stills = stillsOf([told(1), told(2, 'biplane'), told(3), told(4, 'biplane'), told(5), told(6)]);

describe('stills of runs', () => {
  it('are those that are pictures', () => {
    expect(stillsOf([told(1), create(StillInfoSchema, { still: 's2', capture: 1n }), create(StillInfoSchema, { ...told(3), still: '' })]).map((s) => s.id)).toEqual(['s1']);
  });
  it('have a newest one, of any feed or of one', () => {
    expect(newestStill(stills)?.id).toBe('s6');
    expect(newestStill(stills, 'biplane')?.id).toBe('s4');
    expect(newestStill(stills, 'field')).toBeNull();
    expect(newestStill([])).toBeNull();
  });
  it('are listed newest first, and one with ink on it however old', () => {
    expect(listedStills(stills, () => false).map((s) => s.id)).toEqual(['s6', 's5', 's4']);
    expect(listedStills(stills, (id) => id === 's1').map((s) => s.id)).toEqual(['s6', 's5', 's4', 's1']);
  });
  it('are shown in the room while they are drawn on: the one drawn on last that is there', () => {
    const on = (n: number): Inked => ({ still: `s${n}`, feed: 'fluoro', capture: BigInt(n) << 32n, geometry: 7 });
    const glass = { feeds: ['field', 'fluoro'], held: [] };
    expect(drawnFrame(stills, [], glass)).toBeNull();
    expect(drawnFrame(stills, [on(5), on(1)], glass)?.id).toBe('s1');
    expect(drawnFrame(stills, [on(5), on(99)], glass)?.id).toBe('s5');
    expect(drawnFrame(stills, [on(5)], { ...glass, held: [frameName('fluoro', 5n << 32n)] }), 'its ink lies on the held image itself').toBeNull();
  });
  it('give way to a frame of the looping run, or of any feed that the program does not show', () => {
    const run: Inked = { still: '', feed: 'fluoro-run', capture: 9n, geometry: 7 };
    expect(drawnFrame(stills, [run], { feeds: ['field', 'fluoro'], held: [] })).toMatchObject({ id: '', feed: 'fluoro-run', capture: 9n });
    expect(drawnFrame(stills, [run], { feeds: ['field', 'fluoro-run'], held: [] }), 'it stands in an inset on its own picture').toBeNull();
    expect(drawnFrame(stills, [run], { feeds: [], held: [] }), 'nothing is known of the glass').toBeNull();
  });
  it('stand on a glass as a picture of their own, as old as they are', () => {
    const [still] = stills;
    const frame = still && frameOf(still);
    expect(frame).toMatchObject({ program: 'fluoro', width: 512, height: 512 });
    expect(frame?.entries[0]).toMatchObject({ feed: 'fluoro', capture: 1n << 32n, geometry: 7, rect: { x: 0, y: 0, w: 512, h: 512 } });
  });
});
