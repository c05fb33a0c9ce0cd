// Whose ink it is: the texture of an author, and its colour. Gaps mean doubt and nothing else, so authors are never told apart
// by dashes. What a mark looks like: outline.ts.
import type { Texture } from './outline';

export const INK_COLOUR: Record<Texture, string> = { A: '#3DE8FF', B: '#FFE24A', C: '#FFFFFF', D: '#A6F58C' };
export const HALO_COLOUR = '#000000';
const ORDER: readonly Texture[] = ['A', 'B', 'C', 'D'];

export interface Drawer { readonly author: number; readonly lead: boolean; readonly mayDraw: boolean }

/** Which texture an author has: the lead mentor A, the others that may draw in the order of their numbers. */
export function textureOf(author: number, people: readonly Drawer[]): Texture {
  const drawers = people.filter((p) => p.mayDraw || p.lead).sort((a, b) => Number(b.lead) - Number(a.lead) || a.author - b.author);
  const place = drawers.findIndex((p) => p.author === author);
  return ORDER[place < 0 ? Math.min(3, Math.max(0, drawers.length)) : Math.min(3, place)] ?? 'D';
}
