// Whose ink it is: the texture of an author, and its colour. Gaps mean doubt and nothing else, so authors are never told apart
// by dashes. What a mark looks like: outline.ts.
import type { Texture } from './outline';

export const INK_COLOUR: Record<Texture, string> = { A: '#3DE8FF', B: '#FFE24A', C: '#FFFFFF', D: '#A6F58C' };
export const HALO_COLOUR = '#000000';
const ORDER: readonly Texture[] = ['A', 'B', 'C', 'D'];

/** `texture`: 1 to 4, one person's for the whole case (AN28); 0: none yet. */
export interface Drawer { readonly author: number; readonly texture: number }

/** The texture that the server has given an author; its order is the server's, whoever may draw now. */
export function textureOf(author: number, people: readonly Drawer[]): Texture {
  const place = people.find((p) => p.author === author)?.texture ?? 0;
  return ORDER[place - 1] ?? 'D';
}
