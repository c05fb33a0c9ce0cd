// Marks that left the live picture: by frame, the newest first, and whose they are.
import { describe, expect, it } from 'vitest';
import type { Stroke } from './ink/sheet';
import { framesOf, namesOf } from './lost_frames';

const mark = (id: string, capture: bigint, author = 2, still = ''): Stroke => ({ id, author, feed: 'field', frame: { still, capture } }) as Stroke;

describe('marks without a place', () => {
  it('stand by the frame they were drawn on, the two newest', () => {
    const tracks = { stillOf: (id: string) => (id === 'c' ? 's3' : null) };
    const frames = framesOf([mark('a', 1n), mark('b', 2n), mark('c', 3n), mark('d', 2n)], tracks);
    expect(frames.map((f) => [f.still, f.capture, f.strokes.map((s) => s.id)])).toEqual([['s3', 3n, ['c']], [null, 2n, ['b', 'd']]]);
  });
  it('name who drew them, each once, without those that nobody knows', () => {
    const labelOf = (author: number): string => ['', '', 'Sato', 'Tanaka'][author] ?? '';
    expect(namesOf([mark('a', 1n, 3), mark('b', 1n, 2), mark('c', 1n, 3), mark('d', 1n, 9)], labelOf)).toBe('Tanaka, Sato');
    expect(namesOf([mark('d', 1n, 9)], labelOf)).toBe('');
  });
});
