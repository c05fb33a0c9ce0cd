import { describe, expect, it } from 'vitest';
import { PAIRING_MS, Pedal } from './pedal';
import type { PerfMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;
const key = (code: string, over: { modified?: boolean; repeat?: boolean } = {}) => ({ code, modified: false, repeat: false, ...over });

describe('the pedal', () => {
  it('is inert until it is paired, then clears the ink, and no other key does', () => {
    const pedal = new Pedal();
    expect(pedal.handleKey(key('F13'), ms(0))).toBeNull();
    pedal.pair(ms(10));
    expect(pedal.state).toBe('pairing');
    expect(pedal.handleKey(key('F13'), ms(900)), 'the press that pairs clears nothing').toBe('paired');
    expect(pedal.state).toBe('paired');
    expect(pedal.handleKey(key('F13'), ms(1_000))).toBe('clear');
    expect(pedal.handleKey(key('KeyB'), ms(1_100))).toBeNull();
  });
  it('a foot that stays on it clears once, and the key with others is another', () => {
    const pedal = new Pedal('KeyB');
    expect(pedal.handleKey(key('KeyB', { repeat: true }), ms(0))).toBeNull();
    expect(pedal.handleKey(key('KeyB', { modified: true }), ms(0))).toBeNull();
    expect(pedal.handleKey(key('KeyB'), ms(0))).toBe('clear');
  });
  it('no key that leads through the page or is held with others becomes the pedal', () => {
    const pedal = new Pedal();
    pedal.pair(ms(0));
    for (const code of ['Tab', 'ShiftLeft', 'ControlRight', '']) expect(pedal.handleKey(key(code), ms(1)), code).toBeNull();
    expect(pedal.state).toBe('pairing');
    expect(pedal.handleKey(key('Escape'), ms(2))).toBeNull();
    expect(pedal.state, 'Esc ends the pairing').toBe('none');
  });
  it('pairing ends by itself, and what comes too late does nothing', () => {
    const pedal = new Pedal('F13');
    pedal.pair(ms(0));
    expect(pedal.handleTimeout(ms(PAIRING_MS - 1))).toBe(false);
    expect(pedal.handleKey(key('F13'), ms(PAIRING_MS))).toBeNull();
    expect(pedal.state, 'the one before was let go').toBe('none');
  });
  it('is forgotten on request', () => {
    const pedal = new Pedal('F13');
    pedal.forget();
    expect([pedal.state, pedal.handleKey(key('F13'), ms(0))]).toEqual(['none', null]);
  });
});
