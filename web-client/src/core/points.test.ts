import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InkPacketSchema, PointsSchema } from '../gen/ink_pb';
import type { Point } from './points';
import { COORDINATE_MAX, decodePoints, encodePoints, POINTS_MAX, simplifyPoints } from './points';

const vectors = (name: string): URL => new URL(`../../../annotation/vectors/${name}`, import.meta.url);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('points on the wire', () => {
  it.runIf(existsSync(vectors('points.json')))('are byte for byte those of the shared vectors, both ways', () => {
    const all = JSON.parse(readFileSync(vectors('points.json'), 'utf8')) as { name: string; points: [number, number, number][]; bytes_hex: string }[];
    expect(all.length).toBeGreaterThan(0);
    for (const one of all) {
      const points: Point[] = one.points.map(([x, y, pressure]) => ({ x, y, pressure }));
      expect(hex(toBinary(PointsSchema, encodePoints(points))), one.name).toBe(one.bytes_hex);
      expect(decodePoints(fromBinary(PointsSchema, Buffer.from(one.bytes_hex, 'hex'))), one.name).toEqual(points);
    }
  });

  it.runIf(existsSync(vectors('packet.json')))('read within a whole packet of the shared vectors', () => {
    const { bytes_hex: bytes } = JSON.parse(readFileSync(vectors('packet.json'), 'utf8')) as { bytes_hex: string };
    const packet = fromBinary(InkPacketSchema, Buffer.from(bytes, 'hex'));
    expect(packet.version).toBe(1);
    expect(hex(toBinary(InkPacketSchema, packet))).toBe(bytes);
  });

  it('are refused when lengths differ, when there are too many, and when they lie outside any picture', () => {
    expect(decodePoints(create(PointsSchema, { x: [1, 2], y: [1] }))).toBeNull();
    expect(decodePoints(create(PointsSchema, { x: [1], y: [1], pressure: new Uint8Array(2) }))).toBeNull();
    expect(decodePoints(create(PointsSchema, { x: [COORDINATE_MAX, 1], y: [0, 0] }))).toBeNull();
    const many = Array.from({ length: POINTS_MAX + 1 }, () => 0);
    expect(decodePoints(create(PointsSchema, { x: many, y: many }))).toBeNull();
  });

  it('cost less than three bytes each at the speed of a hand', () => {
    const hand = Array.from({ length: 240 }, (_, i) => ({ x: 8_000 + Math.round(900 * Math.sin(i / 40)), y: 4_000 + Math.round(500 * Math.cos(i / 30)), pressure: 255 }));
    expect(toBinary(PointsSchema, encodePoints(hand)).length / 240).toBeLessThan(3);
  });
});

describe('simplifying at commit', () => {
  const p = (x: number, y: number): Point => ({ x, y, pressure: 255 });
  it('drops what lies on a line and keeps corners and ends', () => {
    expect(simplifyPoints([p(0, 0), p(10, 0), p(20, 1), p(30, 0), p(30, 30)])).toEqual([p(0, 0), p(30, 0), p(30, 30)]);
  });
  it('never moves the line by more than its tolerance', () => {
    const wave = Array.from({ length: 400 }, (_, i) => p(i * 20, Math.round(300 * Math.sin(i / 15))));
    const kept = simplifyPoints(wave);
    expect(kept.length).toBeLessThan(wave.length / 2);
    for (const one of wave) {
      const i = kept.findIndex((k, n) => n > 0 && k.x >= one.x);
      const a = kept[Math.max(0, i - 1)];
      const b = kept[Math.max(0, i)];
      if (!a || !b) continue;
      const t = b.x === a.x ? 0 : (one.x - a.x) / (b.x - a.x);
      expect(Math.abs(one.y - (a.y + t * (b.y - a.y)))).toBeLessThanOrEqual(6);
    }
  });
  it('leaves short strokes alone', () => {
    expect(simplifyPoints([p(1, 1)])).toEqual([p(1, 1)]);
    expect(simplifyPoints([p(1, 1), p(2, 2)])).toHaveLength(2);
  });
});
