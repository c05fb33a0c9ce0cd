import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as { version: string };

export default defineConfig({
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
