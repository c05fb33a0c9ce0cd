import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { PHONE } from './phone';

const css = readFileSync(new URL('../design/screens.css', import.meta.url), 'utf8');

it('no screen of the case leaves out that the patient hears, or whether it is recorded', () => {
  const hides = [...css.matchAll(/([^{}]*)\{[^{}]*display: none[^{}]*\}/g)].flatMap((m) => (m[1] ?? '').replaceAll(/:not\([^)]*\)/g, '').split(','));
  expect(hides.length).toBeGreaterThan(5);
  for (const selector of hides) expect(selector.trim()).not.toMatch(/(^|\s)header$|\.awake$|header( >)? \.tag$/);
});

it('a page without a rail of tools has no ink, upright or on its side', () => {
  const hidesRail = css.split('@media ').slice(1).filter((block) => /\.mentor > nav[^{]*\{ display: none; \}/.test(block.split('\n}')[0] ?? ''));
  expect(hidesRail.map((block) => block.slice(0, block.indexOf(' {')))).toEqual(PHONE.split(', '));
});
