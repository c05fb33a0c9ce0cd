// Words can be read: WCAG 2 contrast of the palette, and of every rule that names both its colour and its ground.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const css = (name: string): string => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '');
type Palette = ReadonlyMap<string, string>;
const paletteOf = (selector: string): Map<string, string> => {
  const tokens = css('tokens.css');
  const at = tokens.indexOf(`${selector} {`);
  const body = tokens.slice(tokens.indexOf('{', at) + 1, tokens.indexOf('}', at));
  return new Map([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{3,6})\b/g)].map(([, name, value]) => [name ?? '', value ?? '']));
};
const room: Palette = paletteOf(':root');
const office: Palette = paletteOf(':root.office');

/** Relative luminance, WCAG 2. `colour`: #rgb or #rrggbb. */
function luminance(colour: string): number {
  const six = colour.length === 4 ? [...colour.slice(1)].map((c) => c + c).join('') : colour.slice(1);
  const [r = 0, g = 0, b = 0] = [0, 2, 4].map((i) => {
    const c = parseInt(six.slice(i, i + 2), 16) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const of = (palette: Palette, name: string): string => palette.get(name) ?? expect.unreachable(`no token ${name}`);
const WORDS = ['hi', 'mid', 'low', 'focus', 'live', 'steel', 'amber', 'orchid', 'violet', 'red'];

describe.each([['room', room], ['office', office]] as const)('the palette of the %s', (_, palette) => {
  it.each(WORDS)('%s is read on page, panel and control', (word) => {
    for (const ground of ['bg', 's1', 's2']) expect(contrast(of(palette, word), of(palette, ground)), ground).toBeGreaterThanOrEqual(4.5);
  });
  it.each(['hi', 'live', 'steel', 'amber', 'orchid', 'violet', 'red'])('text on a filled %s is read', (fill) => {
    expect(contrast(of(palette, 'on'), of(palette, fill))).toBeGreaterThanOrEqual(4.5);
  });
  it('borders of controls and the ring of focus are seen', () => {
    for (const ground of ['bg', 's1', 's2']) {
      expect(contrast(of(palette, 'edge'), of(palette, ground)), ground).toBeGreaterThanOrEqual(3);
      expect(contrast(of(palette, 'focus'), of(palette, ground)), ground).toBeGreaterThanOrEqual(3);
    }
  });
});

/** Rules with a colour and a solid ground of their own: selector, colour, ground. */
function pairs(name: string): [string, string, string][] {
  const resolve = (value: string | undefined, palette: Palette): string | undefined => {
    const token = /^var\(--([\w-]+)\)$/.exec(value ?? '')?.[1];
    return token === undefined ? (/^#[0-9a-f]{3}([0-9a-f]{3})?$/.test(value ?? '') ? value : undefined) : palette.get(token);
  };
  return [...css(name).matchAll(/([^{}]+)\{([^{}]*)\}/g)].flatMap(([, selector = '', body = '']): [string, string, string][] => {
    const palette = /\.(office|vendor)\b/.test(selector) ? office : room;
    const value = (property: string): string | undefined => resolve(new RegExp(`(?:^|;)\\s*${property}:\\s*([^;]+)`).exec(body)?.[1]?.trim(), palette);
    const [colour, ground] = [value('color'), value('background')];
    return colour === undefined || ground === undefined ? [] : [[selector.trim(), colour, ground]];
  });
}

describe.each(['parts.css', 'screens.css'])('rules of %s', (name) => {
  const found = pairs(name);
  it('there are some', () => { expect(found.length).toBeGreaterThan(name === 'parts.css' ? 10 : 0); });
  it.each(found)('%s', (_, colour, ground) => { expect(contrast(colour, ground)).toBeGreaterThanOrEqual(4.5); });
});

it('second lines are read on the grounds of pressed, speaking and lost', () => {
  for (const [word, ground] of [['mid', '#143026'], ['mid', '#231d33'], ['hi', '#3a1230'], ['orchid', '#3a1230'], ['live', '#143026']] as const) {
    expect(css('parts.css'), ground).toContain(ground);
    expect(contrast(of(room, word), ground), `${word} on ${ground}`).toBeGreaterThanOrEqual(4.5);
  }
});
