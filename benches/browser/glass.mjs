// The browser's end of `glass`: one request a line on stdin, one answer a line on stdout. One Chromium for all of it.
import { createInterface } from 'node:readline';
import { measureDirect } from './direct.mjs';
import { launch } from './launch.mjs';
import { measureProduct } from './product.mjs';

const say = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);
const browser = await launch();
say({ event: 'ready', chromium: browser.version(), node: process.versions.node });
const marks = { onBegin: () => say({ event: 'begin' }), onEnd: () => say({ event: 'end' }) };
for await (const text of createInterface({ input: process.stdin })) {
  const request = JSON.parse(text);
  try {
    const result = request.what === 'product'
      ? await measureProduct(browser, request.links, request, marks)
      : await measureDirect(browser, request.sender, request, marks);
    say({ event: 'done', result });
  } catch (error) {
    say({ event: 'failed', message: String(error?.message ?? error) });
  }
}
await browser.close();
