import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig } from 'vitest/config';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as { version: string };

/** Leaves scripts and styles beside themselves in two smaller codings: over a line of 10 Mbit/s half a second of waiting for the first picture. */
const smaller = {
  name: 'smaller', apply: 'build' as const,
  writeBundle: ({ dir = 'dist' }: { dir?: string }) => {
    const assets = join(dir, 'assets');
    for (const name of readdirSync(assets).filter((one) => /\.(js|css)$/.test(one))) {
      const bytes = readFileSync(join(assets, name));
      writeFileSync(join(assets, `${name}.br`), brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
      writeFileSync(join(assets, `${name}.gz`), gzipSync(bytes, { level: 9 }));
    }
  },
};

export default defineConfig({
  plugins: [smaller],
  define: { __VERSION__: JSON.stringify(`web-client ${version}`) },
  // Nothing here waits for a clock; the limits are those of a machine that has other things to do.
  test: { include: ['src/**/*.test.{ts,tsx}'], environment: 'node', testTimeout: 90_000, hookTimeout: 90_000, reporters: ['default', ['json', { outputFile: 'node_modules/.cache/vitest.json' }]] },
  build: {
    target: 'es2022',
    // No inline data: a strict content security policy holds for every byte of the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
  },
});
