// What the log makes of strokes: they fade, are kept, and are moved to their own frame; in the same way on every page.
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { Op } from '../../gen/ink_pb';
import { LiveStrokeSchema, OpSchema, OrderedOpSchema, Surface as On, Tool } from '../../gen/ink_pb';
import { encodePoints } from '../points';
import type { PerfMs } from '../units';
import { Sheet } from './sheet';

const now = 0 as PerfMs;
const s = (seconds: number): bigint => BigInt(Math.round(seconds * 1_000)) * (1n << 32n) / 1_000n + (1n << 40n);
const KEY = { author: 2, epoch: 1, number: 1 };
const body = (over: object = {}): Op['body'] => create(OpSchema, {
  body: { case: 'stroke', value: { key: KEY, tool: Tool.PEN, width: 34, began: s(0), frame: { feed: 'field', capture: s(0), program: 'program', surface: On.LIVE }, points: encodePoints([{ x: 0, y: 0, pressure: 255 }, { x: 100, y: 0, pressure: 255 }]), ...over } },
}).body;

class Log {
  readonly sheet = new Sheet();
  private order = 0n;
  take(received: bigint, op: Op['body'], author = 2): void {
    this.order += 1n;
    this.sheet.handleOrdered([create(OrderedOpSchema, { order: this.order, received, op: create(OpSchema, { author, epoch: 1, seq: Number(this.order), at: received, body: op }) })], now);
  }
  pin(received: bigint, pinned: boolean): void { this.take(received, create(OpSchema, { body: { case: 'pin', value: { stroke: KEY, pinned } } }).body); }
  seen(at: bigint): number { return this.sheet.visible(at).length; }
}

describe('fading', () => {
  it('is gone ten seconds after the server took it, whenever it was drawn', () => {
    const log = new Log();
    log.take(s(3), body({ fades: true }));
    expect([12.9, 13].map((t) => log.seen(s(t)))).toEqual([1, 0]);
  });
  it('is kept by a pin in time, and fades from its own beginning when let go', () => {
    const log = new Log();
    log.take(s(0), body({ fades: true }));
    log.pin(s(9), true);
    expect(log.seen(s(60))).toBe(1);
    log.pin(s(61), false);
    expect(log.seen(s(61))).toBe(0);
  });
  it('is not brought back by a pin that came too late', () => {
    const log = new Log();
    log.take(s(0), body({ fades: true }));
    log.pin(s(10), true);
    expect(log.seen(s(11))).toBe(0);
  });
  it('is let go of minutes after it was gone, by the clock of the log', () => {
    const log = new Log();
    log.take(s(0), body({ fades: true }));
    log.take(s(309.9), body({ fades: true, key: { ...KEY, number: 2 } }));
    expect(log.sheet.strokes()).toHaveLength(2);
    log.take(s(310), body({ key: { ...KEY, number: 3 } }));
    expect(log.sheet.strokes().map((one) => one.number)).toEqual([2, 3]);
  });
  it('is not let go of where it was kept in time, in one packet with what came long after', () => {
    const sheet = new Sheet();
    const of = (order: bigint, received: bigint, op: Op['body']) => create(OrderedOpSchema, { order, received, op: create(OpSchema, { author: 2, epoch: 1, seq: Number(order), at: received, body: op }) });
    const pin = create(OpSchema, { body: { case: 'pin', value: { stroke: KEY, pinned: true } } }).body;
    sheet.handleOrdered([of(1n, s(0), body({ fades: true })), of(2n, s(9), pin), of(3n, s(600), body({ key: { ...KEY, number: 2 } }))], now);
    expect(sheet.visible(s(600)).map((one) => one.number)).toEqual([1, 2]);
  });
  it('a stroke that stays is kept anyway', () => {
    const log = new Log();
    log.take(s(0), body());
    expect(log.seen(s(3_600))).toBe(1);
    expect(log.sheet.visible(null)).toHaveLength(1);
  });
});

describe('a stroke drawn over a moving picture', () => {
  it('is shown where the tracker moved its points, which the log keeps apart', () => {
    const log = new Log();
    log.take(s(0), body({ spans: [{ first: 1, capture: s(0.1) }] }));
    log.take(s(1), create(OpSchema, { body: { case: 'rebase', value: { stroke: KEY, spans: [{ first: 0, a: 1, b: 0 }, { first: 1, a: 1, b: 0, tx: -30.5, ty: 7 }] } } }).body, 0);
    const [stroke] = log.sheet.visible(s(1));
    expect(stroke?.points.map((p) => [p.x, p.y])).toEqual([[0, 0], [70, 7]]);
    expect(stroke?.spans).toEqual([]);
  });
  it('under the pen of somebody else knows its frames however often they are said', () => {
    const sheet = new Sheet();
    const live = (first: number, xs: number[], spans: [number, bigint][]) => create(LiveStrokeSchema, {
      key: KEY, tool: Tool.ARROW, width: 34, began: s(0), frame: { feed: 'field', capture: s(0), program: 'program' }, first, points: encodePoints(xs.map((x) => ({ x, y: 0, pressure: 255 }))), spans: spans.map(([from, capture]) => ({ first: from, capture })),
    });
    sheet.handleLive(live(0, [0, 1, 2], [[1, s(0.1)]]), now);
    sheet.handleLive(live(2, [2, 3], [[1, s(0.1)], [3, s(0.2)]]), now);
    const [stroke] = sheet.visible(null);
    expect(stroke?.tool).toBe(Tool.ARROW);
    expect(stroke?.spans.map((span) => [span.first, span.capture])).toEqual([[1, s(0.1)], [3, s(0.2)]]);
  });
});
