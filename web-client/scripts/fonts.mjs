// Cuts the interface's fonts to what its own texts need: first view loads about 90 kB. Names and free text use the
// numbered slices of the package, which the browser fetches on demand by unicode-range.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import subsetFont from 'subset-font';

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i)).join('');
const LATIN = range(0x20, 0x7e) + '\u00a0±·×–—‘’“”…−≈≠≤≥';
const KANA = range(0x3041, 0x3096) + range(0x30a1, 0x30fa) + '・ー　、。「」（）＋〜';
const WEIGHTS = { 400: '400 599', 700: '600 900' };

export async function makeFonts(root, gen) {
  const modules = join(root, 'node_modules');
  const out = join(gen, 'fonts');
  mkdirSync(out, { recursive: true });
  const texts = readFileSync(join(root, 'src', 'i18n', 'ja.ts'), 'utf8');
  const japanese = [...new Set([...texts, ...KANA, ...'指導側医師術者手術室病院大学中央依頼支援訓練透視野生体情報心電図映像動脈圧'])].filter((c) => c.codePointAt(0) > 0x2fff).sort().join('');
  const faces = [];
  for (const weight of [400, 700]) {
    const source = readFileSync(join(modules, '@fontsource', 'biz-udpgothic', 'files', `biz-udpgothic-japanese-${weight}-normal.woff2`));
    writeFileSync(join(out, `biz-${weight}.woff2`), await subsetFont(source, japanese, { targetFormat: 'woff2' }));
    faces.push(face('BIZ UDPGothic', WEIGHTS[weight], `biz-${weight}`, japanese));
  }
  // The same range of weights as the interface's own cut: only faces of equal descriptors stand in for each other, sign by sign.
  const slices = [400, 700].map((weight) => readFileSync(join(modules, '@fontsource', 'biz-udpgothic', `${weight}.css`), 'utf8')
    .replaceAll(`font-weight: ${weight};`, `font-weight: ${WEIGHTS[weight]};`)
    .replaceAll(/, url\([^)]*\.woff\) format\('woff'\)/g, '').replaceAll('url(./files/', 'url(../../node_modules/@fontsource/biz-udpgothic/files/'));
  writeFileSync(join(gen, 'slices.css'), slices.join('\n'));
  const inter = readFileSync(join(modules, '@fontsource-variable', 'inter', 'files', 'inter-latin-wght-normal.woff2'));
  writeFileSync(join(out, 'inter.woff2'), await subsetFont(inter, LATIN, { targetFormat: 'woff2', variationAxes: { wght: { min: 400, max: 750 } } }));
  faces.push(face('Inter', '400 750', 'inter', LATIN));
  writeFileSync(join(gen, 'fonts.css'), `/* Made by scripts/fonts.mjs. Not edited by hand. */\n${faces.join('\n')}\n`);
}

const hex = (c) => `U+${c.codePointAt(0).toString(16).toUpperCase()}`;
const face = (family, weight, file, chars) =>
  `@font-face{font-family:"${family}";font-weight:${weight};font-display:swap;src:url(fonts/${file}.woff2) format("woff2");unicode-range:${[...chars].map(hex).join(',')}}`;
