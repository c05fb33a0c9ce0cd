// What a hand can hold, and how each tool makes its mark: along a path, between two places, or at one.
import { Tool } from '../../gen/ink_pb';

export type ToolName = 'pen' | 'arrow' | 'ellipse' | 'line' | 'text' | 'pin' | 'pointer' | 'eraser' | 'measure';

/** path: every sample; ends: the first and the last; place: one. none: it leaves no mark of its own. */
export type Making = 'path' | 'ends' | 'place' | 'none';

export const TOOLS: Record<ToolName, { readonly tool: Tool; readonly making: Making; /** Key, without modifiers. */ readonly key: string }> = {
  pen: { tool: Tool.PEN, making: 'path', key: 'p' },
  arrow: { tool: Tool.ARROW, making: 'ends', key: 'a' },
  ellipse: { tool: Tool.ELLIPSE, making: 'ends', key: 'o' },
  line: { tool: Tool.LINE, making: 'ends', key: 's' },
  text: { tool: Tool.TEXT, making: 'place', key: 't' },
  pin: { tool: Tool.PIN, making: 'place', key: 'x' },
  pointer: { tool: Tool.UNSPECIFIED, making: 'none', key: 'i' },
  eraser: { tool: Tool.UNSPECIFIED, making: 'none', key: 'e' },
  measure: { tool: Tool.MEASURE, making: 'ends', key: 'r' },
};

/** Characters of a text mark. */
export const TEXT_MAX = 40;

/** A text as it may stand on the glass: one line, 1 to 40 characters, nothing that cannot be seen. Null: nothing is left. */
export function cleanText(typed: string): string | null {
  // Controls, and what turns the direction of writing.
  const text = [...typed.replaceAll(/\s+/g, ' ').replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '').trim()].slice(0, TEXT_MAX).join('').trim();
  return text === '' ? null : text;
}
