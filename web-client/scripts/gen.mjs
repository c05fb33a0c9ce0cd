// Makes src/gen: the wire types from the shared .proto files, and the icon sprite from the icons named in src.
// The .proto files lie in three rooms and import each other by bare name, so they are gathered into one folder first.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';
import { makeFonts } from './fonts.mjs';
import { ICONS } from './icons.mjs';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const whole = join(here, 'src', 'gen');
// Made beside it and put in its place at the end, so that nobody reads half of it.
const gen = join(here, 'node_modules', '.cache', 'gen');
const gathered = join(here, 'node_modules', '.cache', 'proto');

rmSync(gen, { recursive: true, force: true });
rmSync(gathered, { recursive: true, force: true });
mkdirSync(gen, { recursive: true });
mkdirSync(gathered, { recursive: true });

for (const file of ['annotation/ink.proto', 'media-engine/link/frame.proto', 'media-engine/link/vitals.proto', 'signaling/signal.proto']) {
  copyFileSync(join(here, '..', file), join(gathered, file.split('/').at(-1)));
}
writeFileSync(join(gathered, 'buf.yaml'), 'version: v2\n');
writeFileSync(join(gathered, 'buf.gen.yaml'), [
  'version: v2', 'plugins:', '  - local: protoc-gen-es', `    out: ${gen}`, '    opt:', '      - target=ts', '      - import_extension=none', '',
].join('\n'));
const made = spawnSync(join(here, 'node_modules', '.bin', 'buf'), ['generate', '.'], {
  cwd: gathered, stdio: 'inherit', env: { ...process.env, PATH: `${join(here, 'node_modules', '.bin')}:${process.env.PATH}` },
});
if (made.status !== 0) { console.error('gen: buf could not generate the wire types'); process.exit(1); }

const assets = join(here, 'node_modules', '@phosphor-icons', 'core', 'assets');
const symbols = ICONS.map(([name, weight]) => {
  const file = weight === 'regular' ? `${name}.svg` : `${name}-${weight}.svg`;
  const text = readFileSync(join(assets, weight, file), 'utf8');
  const inner = /<svg[^>]*>(.*)<\/svg>/s.exec(text)?.[1];
  if (!inner) { console.error(`gen: ${file} holds no picture`); process.exit(1); }
  return `<symbol id="i-${name}-${weight}" viewBox="0 0 256 256">${inner}</symbol>`;
});
writeFileSync(join(gen, 'sprite.ts'), [
  '// Made by scripts/gen.mjs from @phosphor-icons/core (MIT). Not edited by hand.',
  `export type IconName = ${ICONS.map(([n, w]) => `'${n}-${w}'`).join(' | ')};`,
  `export const SPRITE = ${JSON.stringify(`<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0">${symbols.join('')}</svg>`)};`, '',
].join('\n'));
await makeFonts(here, gen);
rmSync(whole, { recursive: true, force: true });
renameSync(gen, whole);
console.log(`gen: ${readdirSync(whole).length} files`);
