import { describe, expect, it } from 'vitest';
import { OFFER_AGAIN_MS, OFFER_BUSY_MS, OpenOffer } from './offer';
import type { PerfMs } from './units';

const at = (ms: number): PerfMs => ms as PerfMs;

describe('an offer without an answer', () => {
  it('is sent again, the very same, on a fresh socket to the same server', () => {
    const offer = new OpenOffer();
    const sent = offer.handleOffer('v=0 restart', at(700));
    expect(offer.poll(at(800))).toBeNull();
    offer.handleWelcome(true, at(900));
    expect(offer.poll(at(900))).toEqual(sent);
    expect(offer.poll(at(950))).toBeNull();
    expect(offer.handleAnswer(sent.id)).toBe(true);
    offer.handleWelcome(true, at(1_000));
    expect(offer.poll(at(90_000))).toBeNull();
  });

  it('is forgotten where another server answers, and with the path that it was for', () => {
    const offer = new OpenOffer();
    const first = offer.handleOffer('a', at(0));
    offer.handleWelcome(false, at(100));
    expect(offer.poll(at(90_000))).toBeNull();
    expect(offer.handleAnswer(first.id)).toBe(false);
    const second = offer.handleOffer('b', at(100));
    offer.handleStart();
    expect(offer.handleAnswer(second.id)).toBe(false);
    expect(offer.poll(at(90_000))).toBeNull();
  });

  it('takes one answer, though the server gives one to each sending', () => {
    const offer = new OpenOffer();
    const { id } = offer.handleOffer('a', at(0));
    offer.handleWelcome(true, at(100));
    offer.poll(at(100));
    expect(offer.handleAnswer(id)).toBe(true);
    expect(offer.handleAnswer(id)).toBe(false);
  });

  it('is sent again on a standing socket, less often each time, and soon where the server was busy', () => {
    const offer = new OpenOffer();
    offer.handleOffer('a', at(0));
    const sent: number[] = [];
    for (let ms = 0; ms <= 15_000; ms += 50) if (offer.poll(at(ms))) sent.push(ms);
    expect(sent).toEqual([OFFER_AGAIN_MS, 2 * OFFER_AGAIN_MS, 4 * OFFER_AGAIN_MS]);
    offer.handleOffer('b', at(20_000));
    offer.handleBusy(at(20_100));
    expect(offer.poll(at(20_100 + OFFER_BUSY_MS))?.sdp).toBe('b');
  });
});
