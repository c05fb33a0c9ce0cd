import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PHONE } from './phone';

it('a page without a rail of tools has no ink, upright or on its side', () => {
  const css = readFileSync(new URL('../design/screens.css', import.meta.url), 'utf8');
  const hidesRail = css.split('@media ').slice(1).filter((block) => /\.mentor > nav[^{]*\{ display: none; \}/.test(block.split('\n}')[0] ?? ''));
  expect(hidesRail.map((block) => block.slice(0, block.indexOf(' {')))).toEqual(PHONE.split(', '));
});
