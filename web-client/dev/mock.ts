// The whole page without a server: a fake session, socket and media path in the page itself, with a generated picture and a
// fake frame index. For looking at screens; not shipped. Query: role, lang, state, layout, voice, awake, ink (some, none, four,
// tools, standing), camera (no, yes, silent), track (tracked, unsure, lost), stills (how many), and switches: stillink, open, drawing, pointing, asks, there, fallback, inkoff, freeze, measure, clear (after a second), fifth, pedal (paired, or none pressed yet), wash (contrast leaves the vessel that is marked), nopicture (no still is to be had).
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FeedState, FrameIndexSchema, Sync, MaskState } from '../src/gen/frame_pb';
import type { Op, OrderedOp } from '../src/gen/ink_pb';
import { InkPacketSchema, OpSchema, OrderedOpSchema, SnapshotSchema, StrokeKeySchema, Surface, Tool, TrackState, XformFrameSchema } from '../src/gen/ink_pb';
import { ClientMessageSchema, EphSchema, VitSchema, HealthReportSchema, PersonSchema, Role, ServerMessageSchema } from '../src/gen/signal_pb';
import type { ClientMessage, ServerMessage } from '../src/gen/signal_pb';
import { encodePoints } from '../src/core/points';
import { ntpFromUnixMs } from '../src/core/units';
import { Client } from '../src/edge/client';
import type { Ways } from '../src/edge/ways';
import { begin } from '../src/main';
import { draw, LAYOUTS } from './scene';

const query = new URLSearchParams(location.search);
const asked = (name: string, otherwise: string): string => query.get(name) ?? otherwise;
const state = asked('state', 'live');
const places = LAYOUTS[asked('layout', 'large')] ?? [];
const role = { room: Role.ROOM, desk: Role.DESK, vendor: Role.VENDOR }[asked('role', 'mentor')] ?? Role.MENTOR;
const own = role === Role.ROOM ? 1 : role === Role.MENTOR ? 2 : role === Role.DESK ? 4 : 5;
/** Voices are open; `before`: they were before this page came, which is muted then. */
const voice = asked('voice', 'open') !== 'closed';
const voiceBefore = asked('voice', 'open') === 'before';
const shed = asked('shed', state === 'shed' ? 'smaller' : '');

/** The server's clock: 1.7 s ahead of this page's. */
const serverNow = (): bigint => ntpFromUnixMs(performance.timeOrigin + performance.now() + 1_700);
const msAgo = (ms: number): bigint => serverNow() - (BigInt(Math.round(ms)) << 32n) / 1000n;

// ——— picture and frame index ———
let rtp = 4_294_900_000;
let stopped = false;
let paused = false;
const canvas = document.createElement('canvas');
canvas.width = 1280;
canvas.height = 720;
const context = canvas.getContext('2d');
const stateOf = (feed: string): FeedState => {
  if (feed === 'fluoro' && (state === 'xoff' || state === 'mixed')) return FeedState.XRAY_OFF;
  if (state === 'lost' && feed !== 'vitals') return FeedState.LOST;
  if (state === 'mixed' && feed === 'vitals') return FeedState.LOST;
  if (state === 'curtain' && feed === 'camera') return FeedState.CURTAIN;
  if (state === 'unmasked' && feed === 'fluoro') return FeedState.MASK_UNKNOWN;
  if (state === 'stale' && feed === 'field') return FeedState.STALE;
  return FeedState.LIVE;
};
const syncOf = (feed: string): Sync => (feed === 'field' || stateOf(feed) !== FeedState.LIVE ? Sync.UNSPECIFIED : state !== 'unsynced' ? Sync.ALIGNED : feed === 'vitals' ? Sync.UNKNOWN : Sync.OFF);
/** Feed, names; those of the layout, and with the demo's the last run, which has no place in the program. */
const FEEDS: readonly (readonly [string, string, string])[] = ([
  ['program', '統合表示', 'Program'], ['field', '術野映像', 'Operative field'], ['fluoro', '透視', 'Fluoroscopy'], ['run', '透視（くり返し再生）', 'Fluoroscopy, last run'], ['side', '透視（側面）', 'Fluoroscopy, lateral'], ['vitals', '生体情報', 'Vital signs'],
  ['ivus', '血管内超音波', 'IVUS'], ['scope', '顕微鏡', 'Microscope'], ['endo', '内視鏡', 'Endoscope'], ['camera', '手術室内映像', 'Room camera'],
] as const).filter(([feed]) => feed === 'program' || places.some((p) => p.feed === feed) || (feed === 'run' && asked('layout', '') === 'demo'));
const SINGLES: Record<string, [number, number]> = { field: [1280, 720], fluoro: [512, 512], vitals: [1280, 146] };
const inSlot: string[] = ['program', '', '', '', ''];
const slotCanvas = Array.from({ length: 5 }, (_, slot) => {
  if (slot === 0) return canvas;
  const own = document.createElement('canvas');
  own.width = 1280;
  own.height = 720;
  return own;
});
const started = performance.now();
const ageOf = (feed: string): number => {
  const held = performance.now() - started;
  switch (stateOf(feed)) {
    case FeedState.LOST: return 28_000 + held;
    case FeedState.XRAY_OFF: return 252_000 + held;
    case FeedState.STALE: return 640;
    default: return feed === 'vitals' ? 42 : feed === 'fluoro' && state === 'unsynced' ? 198 : feed === 'fluoro' ? 96 : 58;
  }
};
function frame(): Uint8Array {
  const index = create(FrameIndexSchema, {
    program: 'program', rtpTs: rtp >>> 0, layoutRev: 1, width: 1280, height: 720, composed: serverNow(),
    entries: places.map((p) => ({ rect: p, feed: p.feed, capture: state === 'unknown' ? 0n : msAgo(ageOf(p.feed)), state: stateOf(p.feed), sync: syncOf(p.feed) })),
  });
  const singles = inSlot.slice(1).filter(Boolean).map((feed) => {
    const [width, height] = SINGLES[feed] ?? [1280, 720];
    return create(FrameIndexSchema, { program: feed, rtpTs: rtp >>> 0, layoutRev: 1, width, height, composed: serverNow(), entries: [{ rect: { x: 0, y: 0, w: width, h: height }, feed, capture: state === 'unknown' ? 0n : msAgo(ageOf(feed)), state: stateOf(feed) }] });
  });
  return toBinary(EphSchema, create(EphSchema, { version: 1, frames: [index, ...singles], xforms: xforms(index.entries.find((e) => e.feed === 'field')?.capture ?? 0n, index.entries.find((e) => e.feed === 'fluoro')?.capture ?? 0n), pointers: pointers() }));
}
// ——— the tracker: the tissue sways, and the ink with it ———
const track = asked('track', 'tracked');
/** The contrast washes out 1.3 s after the start, when its marks have been seen on it. */
const washed = (): boolean => query.has('wash') && performance.now() - started > 1_300;
const TRACK = { tracked: TrackState.TRACKED, unsure: TrackState.UNSURE, lost: TrackState.LOST }[track] ?? TrackState.TRACKED;
function xforms(capture: bigint, fluoro: bigint) {
  const t = performance.now() / 1000;
  const keys = log.flatMap((o) => (o.op?.body.case === 'stroke' && o.op.body.value.key && o.op.body.value.frame?.feed === 'field' ? [o.op.body.value.key] : []));
  if (query.has('drawing')) keys.push(create(StrokeKeySchema, { author: role === Role.ROOM ? 2 : 3, epoch: 98, number: 1 }));
  if (query.has('wetlost')) keys.pop();
  const [gone, kept] = TRACK === TrackState.LOST ? [keys.slice(0, 2), keys.slice(2)] : [[], keys];
  const place = { a: 1, b: 0, tx: 90 * Math.sin(t), ty: 60 * Math.cos(t * 0.8) };
  const marked = query.has('wash') ? [create(XformFrameSchema, { feed: 'fluoro', capture: fluoro, anchors: [{ strokes: [create(StrokeKeySchema, { author: 2, epoch: 99, number: 7 })], state: washed() ? TrackState.LOST : TrackState.TRACKED, a: 1, b: 0, tx: 40 * Math.sin(t * 6), ty: 0, still: 'wash' }] })] : [];
  return [...marked, create(XformFrameSchema, { feed: 'field', capture, anchors: [{ strokes: kept, state: TRACK === TrackState.LOST ? TrackState.TRACKED : TRACK, ...place }, ...(gone.length > 0 ? [{ strokes: gone, state: TrackState.LOST, ...place, still: 's1' }] : [])] })];
}
// ——— vital signs as data: an ECG and an arterial pressure of 72 a minute ———
const PIECE_MS = 200;
function vitals(): Uint8Array {
  const from = Math.floor(performance.now() / PIECE_MS - 1) * PIECE_MS;
  const wave = (name: string, unit: string, step: number, of: (beat: number) => number) => ({ name, unit, rateHz: 125, start: msAgo(performance.now() - from), step, samples: Array.from({ length: 25 }, (_, i) => Math.round(of((((from + i * 8) / 1000) * 1.2) % 1) / step)) });
  const bump = (beat: number, at: number, wide: number): number => Math.exp(-(((beat - at) / wide) ** 2));
  return toBinary(VitSchema, create(VitSchema, { version: 1, vitals: { feed: 'vitals', synchronised: !query.has('real'),
    numerics: [['HR', '/min', 72], ['ABP-sys', 'mmHg', 118], ['ABP-dia', 'mmHg', 64], ['SpO2', '%', undefined], ['TEMP', 'degC', 36.4]].map(([name, unit, value]) => ({ name: String(name), unit: String(unit), at: serverNow(), ...(value === undefined ? {} : { value: Number(value) }) })),
    waves: [wave('II', 'mV', 0.001, (b) => 0.12 * bump(b, 0.18, 0.03) - 0.1 * bump(b, 0.28, 0.012) + 1.1 * bump(b, 0.3, 0.014) - 0.2 * bump(b, 0.325, 0.014) + 0.25 * bump(b, 0.55, 0.06)),
      wave('ABP', 'mmHg', 0.125, (b) => 64 + 54 * bump(b, 0.45, 0.11) + 18 * bump(b, 0.68, 0.09))] } }));
}
setInterval(() => { if (!stopped && !['lost', 'engine', 'waiting', 'mixed'].includes(state)) events?.channelMessage('vit', vitals()); }, PIECE_MS);

let pointed = 0;
function pointers() {
  if (!query.has('pointing')) return [];
  pointed += 1;
  return [{ $typeName: 'shirube.signal.v1.Pointer' as const, author: role === Role.ROOM ? 2 : 3, feed: 'field', x: 9_200, y: 2_600, shown: true, number: pointed }];
}

const painter = setInterval(() => {
  if (stopped || !context || state === 'waiting') return;
  rtp = (rtp + 3_003) % 4_294_967_296;
  if (!paused) draw(context, places, performance.now() / 1000, washed());
  inSlot.forEach((feed, slot) => {
    const own = slotCanvas[slot];
    const size = SINGLES[feed];
    if (slot === 0 || !own || !size) return;
    if (own.width !== size[0]) own.width = size[0];
    if (own.height !== size[1]) own.height = size[1];
    const c = own.getContext('2d');
    if (c) draw(c, [{ feed, x: 0, y: 0, w: size[0], h: size[1] }], performance.now() / 1000);
  });
  events?.channelMessage('eph', frame());
}, 33);
void painter;

const realCallback = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function fake(call) {
  return realCallback.call(this, (now, metadata) => { call(now, { ...metadata, rtpTimestamp: rtp >>> 0 }); });
};

// ——— people ———
let asking = query.has('asked');
const granted = new Map<number, boolean>(query.has('asks') ? [[3, false]] : []);
const people = () => [
  { author: 1, role: Role.ROOM, nameJa: '高橋 健一', nameEn: 'Kenichi Takahashi', institutionJa: '南島病院', institutionEn: 'Minamishima', familyJa: '高橋', familyEn: 'Takahashi', microphone: voice, speaking: voice && role !== Role.ROOM, mayDraw: false, lead: false },
  { author: 2, role: Role.MENTOR, nameJa: '佐藤 美咲', nameEn: 'Misaki Sato', institutionJa: '中央大学病院', institutionEn: 'Chuo Univ. Hospital', familyJa: '佐藤', familyEn: 'Sato', microphone: voice, speaking: voice && role === Role.ROOM, mayDraw: true, lead: true },
  { author: 3, role: Role.MENTOR, nameJa: '田中 悠', nameEn: 'Yu Tanaka', institutionJa: '中央大学病院', institutionEn: 'Chuo Univ. Hospital', familyJa: '田中', familyEn: 'Tanaka', microphone: false, speaking: false, mayDraw: true, lead: false },
  { author: 4, role: Role.DESK, nameJa: '小林 直樹', nameEn: 'Naoki Kobayashi', institutionJa: '南島病院', institutionEn: 'Minamishima', familyJa: '小林', familyEn: 'Kobayashi', microphone: false, speaking: false, mayDraw: false, lead: false },
].map((p) => create(PersonSchema, { ...p, texture: [4, 1, 2, 3][p.author - 1] ?? 0, mayDraw: granted.get(p.author) ?? p.mayDraw, asksPen: (p.author === own && asking) || (p.author === 3 && query.has('asks')), present: !(p.author === 4), media: !(p.author === 4) && !(remoteGone && p.author !== own) }));
let remoteGone = false;
let lineGone = false;

// ——— ink: a sequencer of three lines ———
const log: OrderedOp[] = [];
const order = (op: Op): void => { log.push(create(OrderedOpSchema, { order: BigInt(log.length + 1), received: serverNow(), op })); };
function stroke(author: number, number: number, feed: string, xy: [number, number][], tool = Tool.PEN, text = ''): void {
  const points = encodePoints(xy.map(([x, y]) => ({ x, y, pressure: 255 })));
  const place = places.find((p) => p.feed === feed);
  order(create(OpSchema, {
    author, epoch: 99, seq: number, at: serverNow(),
    body: { case: 'stroke', value: {
      key: { author, epoch: 99, number }, tool, width: Math.round((4 / (place?.w ?? 1280)) * 16_384), began: msAgo(asked('ink', '') === 'standing' ? 30_000 : 2_000), points, text,
      frame: { feed, capture: msAgo(12_000), program: 'program', programRtpTs: 1, layoutRev: 1, surface: feed === 'fluoro' && !query.has('wash') ? Surface.HELD : Surface.FROZEN },
      ...(tool === Tool.MEASURE ? { reference: { x1: 4_000, y1: 9_000, x2: 4_900, y2: 9_000, lengthUm: 2_000 } } : {}),
    } },
  }));
}
const arc = (cx: number, cy: number, r: number, from: number, to: number): [number, number][] =>
  Array.from({ length: 24 }, (_, i) => { const a = from + ((to - from) * i) / 23; return [Math.round(cx + r * Math.cos(a)), Math.round(cy + r * Math.sin(a))]; });
if (asked('ink', 'some') === 'tools') {
  stroke(2, 1, 'field', [[11_600, 2_600], [9_000, 4_900]], Tool.ARROW);
  stroke(2, 2, 'field', [[5_200, 3_200], [8_000, 5_200]], Tool.ELLIPSE);
  stroke(3, 1, 'field', [[3_600, 6_800], [7_600, 6_200]], Tool.LINE);
  stroke(2, 3, 'field', [[9_400, 6_700]], Tool.TEXT, asked('lang', 'ja') === 'ja' ? 'ここを避ける' : 'not here');
  stroke(3, 2, 'field', [[7_000, 2_600]], Tool.PIN);
} else if (asked('ink', 'some') !== 'none') {
  stroke(2, 1, 'field', arc(7_000, 4_400, 1_900, 0.4, 2.7));
  stroke(2, 2, 'field', [[10_800, 3_200], [10_000, 3_700], [9_300, 4_300], [8_900, 5_000], [8_800, 5_100], [8_850, 4_500], [8_800, 5_100], [9_450, 4_850]]);
  stroke(3, 1, 'field', arc(5_600, 3_000, 1_300, 3.4, 5.2));
  if (asked('ink', 'some') === 'four') {
    stroke(1, 1, 'field', arc(8_200, 2_600, 1_500, 3.6, 5.6));
  }
}
if (query.has('wash')) stroke(2, 7, 'fluoro', arc(7_600, 6_600, 1_500, 0.4, 5.6));

// ——— stills of X-ray runs ———
const stills = Array.from({ length: Number(asked('stills', '0')) }, (_, i, all = Number(asked('stills', '0'))) => ({
  $typeName: 'shirube.signal.v1.StillInfo' as const, still: `fluoro-${i + 1}`, feed: 'fluoro', capture: msAgo((all - i) * 71_000 - 52_000), width: 512, height: 512, geometry: 0,
}));
const newest = stills.at(-1);
if (query.has('stillink') && newest) {
  const on = (author: number, number: number, xy: [number, number][], tool = Tool.PEN): void => {
    order(create(OpSchema, {
      author, epoch: 99, seq: 50 + number, at: serverNow(),
      body: { case: 'stroke', value: {
        key: { author, epoch: 99, number: 50 + number }, tool, width: 190, began: msAgo(1_500), text: '', points: encodePoints(xy.map(([x, y]) => ({ x, y, pressure: 255 }))),
        frame: { feed: 'fluoro', capture: newest.capture, program: 'fluoro', programRtpTs: 0, layoutRev: 0, surface: Surface.STILL, still: newest.still },
        ...(tool === Tool.MEASURE ? { reference: { x1: 4_000, y1: 9_000, x2: 4_900, y2: 9_000, lengthUm: 2_000 } } : {}),
      } },
    }));
  };
  on(2, 1, arc(8_000, 7_600, 2_600, 0.5, 4.9));
  on(3, 2, [[13_200, 4_200], [10_200, 6_600]], Tool.ARROW);
  on(2, 3, [[5_200, 12_400], [8_600, 12_900]], Tool.MEASURE);
}

if (query.has('inkoff')) order(create(OpSchema, { author: 1, epoch: 99, seq: 99, at: serverNow(), body: { case: 'inkOff', value: { off: true } } }));
if (query.has('there')) {
  const other = new BroadcastChannel('shirube.pen');
  other.onmessage = (e: MessageEvent<{ kind: string }>) => { if (e.data.kind === 'who') other.postMessage({ kind: 'held', case: 'another', where: asked('lang', 'ja') === 'ja' ? '南島病院 カテ室2' : 'Minamishima, cath lab 2', taken: 9e12 }); };
}
/** Somebody draws just now, without end. */
function someoneDraws(): void {
  const author = role === Role.ROOM ? 2 : 3;
  let n = 4;
  setInterval(() => {
    n = Math.min(120, n + 2);
    const points = encodePoints(Array.from({ length: n }, (_, i) => ({ x: 4_000 + i * 45, y: Math.round(6_600 + 400 * Math.sin(i / 12)), pressure: 120 + Math.round(120 * Math.abs(Math.sin(i / 20))) })));
    const live = { key: { author, epoch: 98, number: 1 }, tool: Tool.PEN, width: 40, began: msAgo(200), first: 0, points, frame: { feed: 'field', capture: msAgo(58), program: 'program', programRtpTs: 1, layoutRev: 1, surface: Surface.FROZEN } };
    events?.channelMessage('ink', toBinary(InkPacketSchema, create(InkPacketSchema, { version: 1, live: [live], lastOrder: BigInt(log.length) })));
  }, 50);
}
if (query.has('drawing')) someoneDraws();

// ——— figures of the machinery ———
const health = () => {
  const seconds = Math.floor((performance.now() - started) / 1000);
  const names: Record<string, [string, string, string]> = { field: ['operative-field', '術野映像', 'Operative field'], fluoro: ['fluoroscopy', '透視', 'Fluoroscopy'], vitals: ['vital-signs', '生体情報', 'Vital signs'] };
  const up = state !== 'engine';
  return create(HealthReportSchema, {
    at: serverNow(), display: asked('display', ''), shed, engineUp: up, engineSoftware: up ? 'shirube-engine 0.1.0' : '', clockUncertaintyUs: 40, linkDropped: 0n, engineRestarts: up ? 0 : 1, engineSince: msAgo(3_600_000),
    ...(up ? { tracker: { frames: BigInt(seconds * 30), skipped: 0n, anchors: 3, trackedPermille: 962, unsurePermille: 21, lostPermille: 17, frameUsP50: 1_100, frameUsP99: 2_900 } } : {}),
    feeds: Object.entries(SINGLES).map(([feed, [width, height]]) => ({ feed, kind: names[feed]?.[0] ?? '', nameJa: names[feed]?.[1] ?? '', nameEn: names[feed]?.[2] ?? '', state: up ? stateOf(feed) : FeedState.LOST, capture: msAgo(ageOf(feed)), frames: BigInt(seconds * 30), problem: state === 'mixed' && feed === 'vitals' ? 'no samples for 28 s' : state === 'unmasked' && feed === 'fluoro' ? 'No mask is confirmed for its 640x480; propose one from a still, look at it, configure it.' : '', mask: feed === 'fluoro' ? (state === 'unmasked' ? MaskState.UNKNOWN : MaskState.CERTAIN) : MaskState.NONE, lumaMean: feed === 'vitals' ? 0 : 104, blackPermille: feed === 'fluoro' ? 214 : 3, frozenPermille: 0, width, height, periodUs: feed === 'fluoro' ? 66_733 : 33_367, sync: syncOf(feed), skewUs: feed === 'field' ? 0 : Math.round((ageOf(feed) - ageOf('field')) * 1000), excessUsP50: 0, excessUsP99: syncOf(feed) === Sync.OFF ? 73_000 : 2_000 })),
    layers: !up ? [] : [['program', 'high', 2, 250_000, 5_100], ['program', 'mid', 0, 0, 0], ['program', 'low', 0, 0, 0], ['field', 'high', 1, 230_000, 4_700]].map(([feed, layer, watchers, bytes, us]) => ({ feed: String(feed), layer: String(layer), watchers: Number(watchers), frames: BigInt(Number(watchers) > 0 ? seconds * 30 : 0), bytes: BigInt(seconds * Number(bytes)), dropped: 0n, encodeUsP50: Number(us), captureToRtpUsP50: Number(us) * 2, captureToRtpUsP99: Number(us) * 4 })),
    peers: [...[[1, Role.ROOM, 4, 0], [2, Role.MENTOR, 24, 0.002], [3, Role.DESK, 18, 0]].map(([number, r, rttMs, loss]) => ({ number: Number(number), role: Number(r), media: number !== 3, rttMs: Number(rttMs), loss: Number(loss), packetsOut: 100_000n, nacks: 3n, keyframes: 2n, ageMs: 62, freezes: number === 2 ? 1 : 0, pictureStalled: false,
      byTcp: number === 3, estimateKbps: number === 2 ? 4_100 : 22_300, tracks: number === 3 ? [] : (number === 2 ? ['program', 'fluoro'] : ['program']).map((feed, slot) => ({
        slot, feed, layer: slot === 1 ? '' : number === 2 ? 'mid' : 'high', rttMs: Number(rttMs), loss: Number(loss), nacks: 41n, keyframes: 2n, switches: number === 2 ? 3n : 0n, freezes: number === 2 ? 1 : 0, frozenMs: number === 2 ? 640 : 0,
      })),
    })), ...(asked('ported', '') === '' ? [] : [{ number: 7, kind: 'player', feed: 'program', media: true, rttMs: 31, loss: 0.004, estimateKbps: 6_200, tracks: [{ slot: 0, feed: 'program', layer: 'high', rttMs: 31, loss: 0.004, nacks: 12n, keyframes: 1n }] }, { number: 8, kind: 'camera', feed: 'glasses', media: true, lossIn: 0.011, kbps: 3_900, freezes: 2 }])],
    forwarding: { p50Us: 210, p99Us: 4_300 }, joining: { p50Us: 18_000, p99Us: 96_000 }, starting: { p50Us: 31_000, p99Us: 120_000 },
  });
};

// ——— the fake ways out ———
type PathEvents = Parameters<Ways['openPath']>[0];
let events: PathEvents | null = null;
let stillPicture: string | null = null;
const ways: Ways = {
  openSession: () => Promise.resolve(state === 'expired'
    ? { failure: { key: 'fail_link_expired', said: null, reference: 'auth.link.expired' } } : { id: 'mock' }),
  openSocket: (_id, socket) => {
    let dead = false;
    const say = (body: ServerMessage['body']): void => { if (!dead) setTimeout(() => { if (!dead) socket.message(toBinary(ServerMessageSchema, create(ServerMessageSchema, { body }))); }, 6); };
    const tellState = (): void => say({ case: 'state', value: { $typeName: 'shirube.signal.v1.CaseState', voiceOpen, remoteMuted, engineUp: state !== 'engine', at: serverNow(), caseInfo: caseInfo() as never, store: '', layout: 'field-large', layouts: ['field-large', 'fluoroscopy-large', 'quad', 'wall'], timing, shed, curtain: drawn, curtainSince: drawn ? drawnAt : 0n, curtainAuthor: 1, cameraAllowed, cameraAuthor: query.has('turns') ? (own === 2 ? 4 : 2) : 0, cameraProblem: asked('camera', '') === 'silent' ? 'ptz.silent' : '', displayProblem: asked('display', '').replace('shown', ''), restarting: query.has('restarting') } });
    let timing = asked('timing', 'aligned');
    let cameraAllowed = query.has('camera') && asked('camera', '') !== 'no';
    let voiceOpen = voiceBefore;
    let drawn = state === 'curtain';
    const drawnAt = msAgo(95_000);
    let remoteMuted = false;
    let ended = false;
    const tellPeople = (): void => say({ case: 'people', value: { $typeName: 'shirube.signal.v1.People', people: people() } });
    const caseInfo = () => ({
      $typeName: 'shirube.signal.v1.CaseInfo' as const, caseId: 'demo', titleJa: asked('title', '手術室1 訓練症例（サンプル画像）'), titleEn: asked('title', 'OR 1 · rehearsal on sample pictures'),
      telephone: role === Role.ROOM ? '099-000-0123' : '099-000-0188', telephoneNameJa: role === Role.ROOM ? '中央大学病院 カテ室' : '南島病院 手術室3', telephoneNameEn: role === Role.ROOM ? 'Chuo Univ. Hospital cath lab' : 'Minamishima Hospital, OR 3',
      patientAwake: query.has('awake'), recording: false, rehearsal: !query.has('real'), state: ended ? 'ended' : 'live',
    });
    if (state === 'unreachable' || lineGone) { setTimeout(() => socket.close(), 50); return { send: () => undefined, close: () => undefined }; }
    setTimeout(() => socket.open(), 10);
    setTimeout(() => {
      if (state === 'line') { dead = true; stopped = true; lineGone = true; }
      if (state === 'stalled') stopped = true;
      if (state === 'small') say({ case: 'assign', value: { $typeName: 'shirube.signal.v1.Assign', slot: 0, feed: 'program', layer: 'low', why: 'line' } });
      if (state === 'paused') {
        paused = true;
        say({ case: 'assign', value: { $typeName: 'shirube.signal.v1.Assign', slot: 0, feed: 'program', layer: '', why: 'line' } });
      }
      if (state === 'engine') stopped = true;
      if (query.has('ended')) { ended = true; tellState(); }
      if (state === 'remote') { remoteGone = true; say({ case: 'people', value: { $typeName: 'shirube.signal.v1.People', people: people() } }); }
    }, query.has('ended') ? 1_000 : 2_500);
    const hear = (m: ClientMessage): void => {
      switch (m.body.case) {
        case 'hello':
          say({ case: 'welcome', value: { $typeName: 'shirube.signal.v1.Welcome', version: 1, software: 'mock', author: own, epoch: 1, role, resume: 'r', caseInfo: caseInfo() as never, slotsVideo: 5, slotsVoice: 8, mayDraw: role === Role.MENTOR || role === Role.DESK, maySpeak: role !== Role.VENDOR, measuring: true, iceServers: [],
            feeds: FEEDS.map(([feed, nameJa, nameEn]) => ({ curtain: feed === 'camera', ptz: feed === 'camera' && query.has('camera'), masked: false, $typeName: 'shirube.signal.v1.FeedInfo' as const, feed, kind: feed === 'fluoro' ? 'fluoroscopy' : feed === 'vitals' ? 'vital-signs' : '', nameJa, nameEn, width: 0, height: 0, periodUs: 33_367 })) } });
          if (role === Role.DESK || role === Role.VENDOR) setInterval(() => say({ case: 'health', value: health() }), 1_000);
          say({ case: 'people', value: { $typeName: 'shirube.signal.v1.People', people: people() } });
          tellState();
          // The room presses while the page is there, or did before.
          if (voice && !voiceOpen) { voiceOpen = true; tellState(); }
          if (stills.length > 0) say({ case: 'stills', value: { $typeName: 'shirube.signal.v1.Stills', stills } });
          say({ case: 'snapshot', value: create(SnapshotSchema, { version: 1, ops: log, upTo: BigInt(log.length), last: true }) });
          return;
        case 'clock': return say({ case: 'clock', value: { $typeName: 'shirube.signal.v1.ClockPong', t1: m.body.value.t1, t2: serverNow(), t3: serverNow() } });
        case 'select': inSlot[m.body.value.slot] = m.body.value.feed; return say({ case: 'assign', value: { $typeName: 'shirube.signal.v1.Assign', slot: m.body.value.slot, feed: m.body.value.feed, layer: m.body.value.layer, why: 'wished' } });
        case 'setTiming': timing = m.body.value.timing; return tellState();
        case 'voiceOpen': voiceOpen = m.body.value.open; return tellState();
        case 'remoteMute': remoteMuted = m.body.value.muted; return tellState();
        case 'allowCamera': cameraAllowed = m.body.value.allowed; return tellState();
        case 'curtain': drawn = m.body.value.drawn; return tellState();
        case 'askPen': asking = m.body.value.asking; return tellPeople();
        case 'end': ended = true; return tellState();
        default: return undefined;
      }
    };
    return { send: (bytes) => { if (!dead) hear(fromBinary(ClientMessageSchema, bytes)); }, close: () => { dead = true; } };
  },
  openPath: (e) => {
    events = e;
    const tracks = slotCanvas.map((own) => { own.getContext('2d'); return own.captureStream(30).getVideoTracks()[0] as MediaStreamTrack; });
    setTimeout(() => {
      e.tracks(state === 'waiting' ? [] : tracks, []);
      e.channelOpen('ink');
    }, 20);
    return {
      answer: () => Promise.resolve(),
      isOpen: () => !query.has('fallback'),
      send: (name, bytes) => {
        if (name === 'eph' && !stopped) {
          const ping = fromBinary(EphSchema, bytes).ping;
          if (ping) e.channelMessage('eph', toBinary(EphSchema, create(EphSchema, { version: 1, pong: { t1: ping.t1, t2: serverNow(), t3: serverNow() } })));
        }
        if (name === 'ink' && state !== 'line') {
          const packet = fromBinary(InkPacketSchema, bytes);
          for (const op of packet.ops) if (!log.some((o) => o.op?.author === op.author && o.op.epoch === op.epoch && o.op.seq === op.seq)) order(op);
          const answer = create(InkPacketSchema, {
            version: 1, ordered: log.filter((o) => o.order > packet.haveOrder), lastOrder: BigInt(log.length),
            acks: packet.ops.map((op) => ({ author: op.author, epoch: op.epoch, seq: op.seq })), liveAcks: packet.live.map((l) => ({ key: l.key as never, have: l.first + (l.points?.x.length ?? 0) })),
          });
          if (packet.ops.length + packet.live.length > 0) setTimeout(() => e.channelMessage('ink', toBinary(InkPacketSchema, answer)), 15);
        }
        return true;
      },
      speak: () => Promise.resolve(),
      figures: () => Promise.resolve({ rttMs: 20, tracks: [], voiceConcealed: 0 }),
      restartIce: () => undefined, stands: () => true, renewRelays: async () => undefined,
      close: () => undefined,
    };
  },
  stillAddress: (_case, of) => {
    if (query.has('nopicture')) return 'data:image/jpeg,';
    const at = stills.findIndex((s) => s.still === of.still);
    if (at >= 0) {
      const run = document.createElement('canvas');
      run.width = run.height = 512;
      const x = run.getContext('2d');
      if (x) draw(x, [{ feed: 'fluoro', x: 0, y: 0, w: 512, h: 512 }], 3 + at * 0.7);
      return run.toDataURL('image/jpeg');
    }
    const own = document.createElement('canvas');
    own.width = 480;
    own.height = 270;
    const c = own.getContext('2d');
    if (c && of.still === 'wash') {
      own.width = own.height = 480;
      draw(c, [{ feed: 'fluoro', x: 0, y: 0, w: 480, h: 480 }], 3);
      return own.toDataURL('image/jpeg');
    }
    if (c) draw(c, [{ feed: 'field', x: 0, y: 0, w: 480, h: 270 }], 3);
    return (stillPicture ??= own.toDataURL('image/jpeg'));
  },
  askMicrophone: () => Promise.resolve(query.has('nomic') ? { refused: 'refused' as const } : { track: new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0] as MediaStreamTrack }),
};

const client = new Client(ways);
begin(client);
if (query.has('freeze')) setTimeout(() => client.inking.toggleFreeze(), 1_200);
if (query.has('open')) setTimeout(() => { void client.openStill(client.store.stills.value.at(-1) ?? null); }, 1_200);
if (query.has('measure')) setTimeout(() => client.inking.switchMeasuring(true), 700);
if (query.has('large')) setTimeout(() => client.show(asked('large', 'field')), 700);
if (query.has('pedal')) setTimeout(() => document.querySelector<HTMLElement>('[data-testid=pedal]')?.click(), 500);
if (asked('pedal', '') === 'paired') setTimeout(() => dispatchEvent(new KeyboardEvent('keydown', { code: 'F13' })), 900);
if (query.has('clear')) setTimeout(() => client.inking.clear(), 1_200);
if (query.has('fifth')) setTimeout(() => client.store.notice('fail_fifth', true), 700);
