// Pictures of the screens in both languages, all states and sizes, from the page without a server. Usage:
// node dev/shots.mjs [words in the name ...]. They land in dev/shots, which git ignores; what is cut or off the screen is said.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';
import { probe } from './probe.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const sizes = { desk: [1440, 900], wall: [1920, 1080], tablet: [1180, 820], phone: [390, 844], half: [960, 1040], wall4k: [3840, 2160], laptop: [1280, 720], small: [1024, 768], portrait: [768, 1024], low: [960, 600], mobile: [360, 640], lying: [844, 390] };
const shots = [];
for (const lang of ['ja', 'en']) {
  // What has to fit: each page in its narrow sizes, quiet and in trouble.
  for (const [size, roles] of [['wall', 'mentor,desk'], ['desk', 'mentor,desk'], ['laptop', 'room,mentor,desk,vendor'], ['small', 'room,mentor,desk,vendor'], ['half', 'room,mentor'], ['low', 'room'], ['portrait', 'room,mentor'], ['phone', 'room,mentor']]) {
    for (const role of roles.split(',')) {
      for (const [word, more] of [['shed', { state: 'shed', stills: '3' }], ['curtain', { state: 'curtain', layout: 'camera' }], ['camera', { camera: 'no', layout: 'camera' }], ['frozen', { freeze: '', stills: '4', state: 'shed' }]]) {
        if (word === 'frozen' ? /room|vendor/.test(role) || size === 'phone' : word !== 'shed' && role !== 'room') continue;
        shots.push([`fit-${role}-${size}-${word}-${lang}`, size, { role, lang, ...more }]);
      }
    }
  }
  // The sign that the patient hears takes room in every header.
  for (const [size, roles] of [['small', 'room,mentor,desk'], ['laptop', 'room,mentor,desk'], ['lying', 'mentor']]) for (const role of roles.split(',')) shots.push([`awake-${role}-${size}-${lang}`, size, { role, awake: '', lang }]);
  // As many tiles as there can be, in each width.
  for (const size of ['laptop', 'desk', 'small', 'tablet', 'wall', 'half', 'low', 'phone']) {
    for (const layout of ['demo', 'wall']) {
      for (const state of ['live', 'unknown', 'stalled']) shots.push([`many-mentor-${size}-${layout}-${state}-${lang}`, size, { role: 'mentor', layout, state, camera: 'yes', stills: '3', lang }]);
      shots.push([`many-desk-${size}-${layout}-${lang}`, size, { role: 'desk', layout, camera: 'yes', stills: '3', lang }], [`many-room-${size}-${layout}-${lang}`, size, { role: 'room', layout, camera: 'yes', lang }]);
    }
  }
  // A mentor on a bad line, and what the room and the desk see of it.
  for (const [role, sizes] of [['mentor', 'laptop,desk,small,phone'], ['desk', 'laptop,desk'], ['room', 'laptop,wall,phone']]) {
    for (const size of sizes.split(',')) {
      for (const state of role === 'mentor' ? ['small', 'paused', 'stalled', 'line', 'waiting'] : role === 'desk' ? ['paused', 'line'] : ['remote', 'line']) {
        shots.push([`bad-${role}-${size}-${state}-${lang}`, size, { role, state, layout: 'demo', camera: 'yes', stills: '3', lang }]);
      }
    }
  }
  for (const state of ['live', 'lost', 'stalled', 'line', 'mixed', 'stale', 'unknown', 'waiting', 'engine', 'unsynced']) {
    shots.push([`mentor-${state}-${lang}`, 'desk', { role: 'mentor', state, lang }], [`room-${state}-${lang}`, 'wall', { role: 'room', state, lang }]);
  }
  shots.push(
    [`mentor-paused-${lang}`, 'desk', { role: 'mentor', state: 'paused', lang }], [`mentor-paused-phone-${lang}`, 'phone', { role: 'mentor', state: 'paused', lang }], [`room-paused-${lang}`, 'wall', { role: 'room', state: 'paused', lang }],
    [`mentor-wall-${lang}`, 'wall', { role: 'mentor', lang }], [`mentor-tablet-${lang}`, 'tablet', { role: 'mentor', lang }],
    [`mentor-phone-${lang}`, 'phone', { role: 'mentor', lang }], [`mentor-phone-line-${lang}`, 'phone', { role: 'mentor', state: 'line', lang }], [`mentor-half-${lang}`, 'half', { role: 'mentor', lang }], [`room-half-${lang}`, 'half', { role: 'room', lang }],
    [`room-tablet-${lang}`, 'tablet', { role: 'room', lang }], [`room-desk-${lang}`, 'desk', { role: 'room', lang }], [`room-phone-${lang}`, 'phone', { role: 'room', lang }],
    [`mentor-full-${lang}`, 'desk', { role: 'mentor', layout: 'full', lang }], [`room-full-${lang}`, 'wall', { role: 'room', layout: 'full', lang }],
    [`room-quiet-${lang}`, 'wall', { role: 'room', ink: 'none', voice: 'closed', awake: '', lang }], [`mentor-quiet-${lang}`, 'desk', { role: 'mentor', ink: 'none', voice: 'closed', awake: '', lang }],
    [`mentor-muted-${lang}`, 'desk', { role: 'mentor', voice: 'before', awake: '', lang }], [`desk-muted-${lang}`, 'tablet', { role: 'desk', voice: 'before', lang }], [`mentor-muted-phone-${lang}`, 'phone', { role: 'mentor', voice: 'before', lang }],
    [`mentor-nomic-${lang}`, 'desk', { role: 'mentor', nomic: '', lang }], [`room-remote-${lang}`, 'wall', { role: 'room', state: 'remote', lang }],
    [`desk-${lang}`, 'desk', { role: 'desk', lang }], [`desk-phone-${lang}`, 'phone', { role: 'desk', lang }], [`desk-phone-line-${lang}`, 'phone', { role: 'desk', state: 'line', pen: 'ask', lang }], [`desk-4k-${lang}`, 'wall4k', { role: 'desk', lang }], [`vendor-shed-${lang}`, 'desk', { role: 'vendor', state: 'shed', lang }], [`room-shed-${lang}`, 'wall', { role: 'room', state: 'shed', lang }], [`desk-unsynced-${lang}`, 'desk', { role: 'desk', state: 'unsynced', lang }], [`desk-4k-mixed-${lang}`, 'wall4k', { role: 'desk', lang, state: 'mixed', large: 'field' }], [`desk-tablet-${lang}`, 'tablet', { role: 'desk', lang }], [`mentor-single-${lang}`, 'desk', { role: 'mentor', lang, large: 'field' }], [`vendor-bad-${lang}`, 'desk', { role: 'vendor', lang, state: 'mixed' }], [`vendor-engine-${lang}`, 'desk', { role: 'vendor', lang, state: 'engine' }], [`vendor-unmasked-${lang}`, 'desk', { role: 'vendor', lang, state: 'unmasked' }], [`vendor-tablet-${lang}`, 'tablet', { role: 'vendor', lang }], [`vendor-${lang}`, 'desk', { role: 'vendor', lang }], [`vendor-restarting-${lang}`, 'desk', { role: 'vendor', lang, restarting: '' }], [`mentor-restarting-${lang}`, 'desk', { role: 'mentor', lang, restarting: '' }], [`expired-${lang}`, 'desk', { state: 'expired', lang }], [`unreachable-${lang}`, 'desk', { state: 'unreachable', lang }],
    ...['curtain', 'unmasked'].flatMap((state) => ['room', 'mentor', 'desk'].map((role) => [`${state}-${role}-${lang}`, role === 'room' ? 'wall' : 'desk', { role, state, layout: 'camera', lang, ...(role === 'desk' ? { large: 'camera' } : {}) }])),
    ...[['no', 'room', {}], ['yes', 'room', { turns: '' }], ['silent', 'room', {}], ['no', 'mentor', {}], ['yes', 'mentor', {}], ['yes', 'desk', { turns: '' }]].map(([camera, role, more]) => [`turn-${camera}-${role}-${lang}`, role === 'room' ? 'wall' : 'desk', { role, camera, layout: 'camera', lang, ...more }]),
    ...[['room', 'wall', 'display.not-answering'], ['desk', 'desk', 'display.down'], ['vendor', 'desk', 'display.not-answering'], ['vendor', 'small', 'shown']].map(([role, size, display], n) => [`display-${n}-${role}-${lang}`, size, { role, display, lang }]),
    [`turn-tablet-room-${lang}`, 'tablet', { role: 'room', camera: 'no', layout: 'camera', lang }], [`turn-half-room-${lang}`, 'half', { role: 'room', camera: 'no', layout: 'camera', lang }],
    [`turn-tablet-${lang}`, 'tablet', { role: 'mentor', camera: 'yes', layout: 'camera', lang }],
    [`ink-four-room-${lang}`, 'wall', { role: 'room', ink: 'four', lang }],
    [`ink-tools-room-${lang}`, 'wall', { role: 'room', ink: 'tools', lang }], [`ink-tools-mentor-${lang}`, 'desk', { role: 'mentor', ink: 'tools', large: 'field', lang }],
    [`ink-unsure-room-${lang}`, 'wall', { role: 'room', ink: 'tools', track: 'unsure', lang }], [`ink-lost-room-${lang}`, 'wall', { role: 'room', ink: 'some', track: 'lost', lang }], [`ink-lost-mentor-${lang}`, 'desk', { role: 'mentor', track: 'lost', lang }], [`ink-lost-words-room-${lang}`, 'wall', { role: 'room', ink: 'some', track: 'lost', nopicture: '', lang }], [`ink-lost-words-tablet-${lang}`, 'tablet', { role: 'mentor', track: 'lost', nopicture: '', lang }],
    [`ink-frozen-mentor-${lang}`, 'desk', { role: 'mentor', freeze: '', lang }], [`ink-frozen-single-${lang}`, 'desk', { role: 'mentor', freeze: '', large: 'field', lang }], [`ink-frozen-notice-${lang}`, 'desk', { role: 'mentor', freeze: '', fifth: '', asks: '', lang }], [`ink-frozen-notice-desk-${lang}`, 'desk', { role: 'desk', freeze: '', fifth: '', lang }], [`ink-frozen-tablet-${lang}`, 'tablet', { role: 'mentor', freeze: '', lang }], [`ink-frozen-desk-${lang}`, 'wall4k', { role: 'desk', freeze: '', lang }],
    [`ink-drawing-room-${lang}`, 'wall', { role: 'room', drawing: '', pointing: '', lang }], [`ink-drawing-tablet-${lang}`, 'tablet', { role: 'room', drawing: '', lang }], [`ink-drawing-phone-${lang}`, 'phone', { role: 'mentor', drawing: '', lang }],
    [`ink-asks-room-${lang}`, 'wall', { role: 'room', asks: '', lang }], [`ink-asks-mentor-${lang}`, 'desk', { role: 'mentor', asks: '', lang }], [`ink-asked-desk-${lang}`, 'desk', { role: 'desk', asked: '', lang }], [`ink-ask-desk-${lang}`, 'desk', { role: 'desk', lang }],
    [`ink-off-room-${lang}`, 'wall', { role: 'room', inkoff: '', lang }], [`ink-off-mentor-${lang}`, 'desk', { role: 'mentor', inkoff: '', lang }], [`ink-fallback-mentor-${lang}`, 'desk', { role: 'mentor', fallback: '', lang }],
    [`stills-mentor-${lang}`, 'desk', { role: 'mentor', stills: '4', stillink: '', state: 'xoff', lang }], [`stills-open-mentor-${lang}`, 'desk', { role: 'mentor', stills: '4', stillink: '', open: '', lang }], [`stills-open-tablet-${lang}`, 'tablet', { role: 'mentor', stills: '4', stillink: '', open: '', lang }], [`stills-phone-${lang}`, 'phone', { role: 'mentor', stills: '4', stillink: '', lang }], [`stills-open-phone-${lang}`, 'phone', { role: 'mentor', stills: '4', stillink: '', open: '', lang }],
    [`stills-room-${lang}`, 'wall', { role: 'room', stills: '2', stillink: '', lang }], [`stills-room-half-${lang}`, 'half', { role: 'room', stills: '2', stillink: '', lang }], [`stills-desk-${lang}`, 'desk', { role: 'desk', stills: '3', stillink: '', lang }], [`stills-open-desk-${lang}`, 'wall4k', { role: 'desk', stills: '3', stillink: '', open: '', lang }],
    [`ink-cleared-room-${lang}`, 'wall', { role: 'room', clear: '', lang }], [`ink-cleared-tablet-${lang}`, 'tablet', { role: 'room', clear: '', lang }],
    [`ink-pen-mentor-${lang}`, 'desk', { role: 'mentor', pen: '', lang }], [`ink-paused-mentor-${lang}`, 'desk', { role: 'mentor', state: 'paused', pen: '', lang }], [`ink-paused-tablet-${lang}`, 'tablet', { role: 'mentor', state: 'paused', pen: '', lang }],
    [`ink-pedal-room-${lang}`, 'wall', { role: 'room', pedal: 'paired', lang }], [`ink-pedal-half-${lang}`, 'half', { role: 'room', pedal: 'pairing', lang }], [`ink-pedal-tablet-${lang}`, 'tablet', { role: 'room', pedal: 'pairing', lang }],
    [`ink-lost-full-${lang}`, 'wall', { role: 'room', layout: 'full', ink: 'tools', track: 'lost', lang }],
    [`ink-fifth-mentor-${lang}`, 'desk', { role: 'mentor', fifth: '', lang }], [`ink-fifth-desk-${lang}`, 'desk', { role: 'desk', fifth: '', lang }],
    [`ink-wash-room-${lang}`, 'wall', { role: 'room', wash: '', lang }], [`ink-wash-mentor-${lang}`, 'desk', { role: 'mentor', wash: '', lang }],
    [`ended-room-${lang}`, 'wall', { role: 'room', ended: '', lang }], [`ended-mentor-${lang}`, 'desk', { role: 'mentor', ended: '', lang }], [`ended-phone-${lang}`, 'phone', { role: 'mentor', ended: '', lang }], [`ended-tablet-${lang}`, 'tablet', { role: 'room', ended: '', lang }], [`singles-desk-${lang}`, 'desk', { role: 'mentor', state: 'shed', shed: 'singles-half', large: 'field', lang }],
    [`ink-wet-lost-room-${lang}`, 'wall', { role: 'room', drawing: '', wetlost: '', lang }],
    [`ink-there-mentor-${lang}`, 'desk', { role: 'mentor', there: '', lang }], [`ink-standing-mentor-${lang}`, 'desk', { role: 'mentor', ink: 'standing', lang }], [`ink-measure-mentor-${lang}`, 'desk', { role: 'mentor', measure: '', state: 'mixed', lang }],
  );
}

const server = await createServer({ root: join(here, '..'), logLevel: 'error', server: { port: 0, host: '127.0.0.1', hmr: false, watch: null } });
await server.listen();
const base = server.resolvedUrls?.local[0];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--autoplay-policy=no-user-gesture-required', '--no-sandbox'] });
mkdirSync(join(here, 'shots'), { recursive: true });
const asked = shots.filter(([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
const take = async ([name, size, query]) => {
  const [width, height] = sizes[size];
  const page = await browser.newPage({ viewport: { width, height }, timezoneId: 'Asia/Tokyo', ...(size === 'phone' ? { hasTouch: true } : {}) });
  page.on('pageerror', (e) => console.log(name, 'page error:', e.message));
  page.on('console', (m) => { if (m.type() === 'error') console.log(name, m.text()); });
  await page.goto(`${base}dev/index.html?${new URLSearchParams(query)}`, { timeout: 120_000 });
  const late = query.fallback === '' || query.nopicture === '' || ['line', 'stalled', 'paused', 'engine', 'remote', 'small'].includes(query.state ?? '');
  await page.waitForTimeout(late ? 6_500 : query.state === 'waiting' ? 1_500 : 2_000);
  if (query.pen === '') {
    // A pen that is still down.
    const glass = await page.locator('[data-testid=glass]').boundingBox();
    const at = (i) => [glass.x + glass.width * (0.14 + 0.006 * i), glass.y + glass.height * (0.42 + 0.06 * Math.sin(i / 5))];
    await page.mouse.move(...at(0));
    await page.mouse.down();
    for (let i = 1; i < 40; i += 1) await page.mouse.move(...at(i));
    await page.waitForTimeout(300);
  }
  await page.screenshot({ path: join(here, 'shots', `${name}.png`) });
  for (const said of await probe(page)) console.log(`${name}: ${said}`);
  await page.close();
};
for (const one of asked) await take(one);
await browser.close();
await server.close();
