// The closing line of the tests, alone on a line, for whoever counts.
import { readFileSync } from 'node:fs';
const r = JSON.parse(readFileSync(new URL('../node_modules/.cache/vitest.json', import.meta.url), 'utf8'));
console.log(`${r.numPassedTests} passed, ${r.numFailedTests} failed, ${r.numPendingTests} skipped`);
