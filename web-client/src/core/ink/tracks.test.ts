// Where marks stand: followed by the tracker's word alone, and gone from a picture that does not hold them.
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState } from '../../gen/frame_pb';
import { FrameRefSchema, LiveStrokeSchema, StrokeKeySchema, Surface as On, Tool, TrackState, XformFrameSchema } from '../../gen/ink_pb';
import type { PerfMs } from '../units';
import type { Stroke } from './sheet';
import { Sheet } from './sheet';
import { anyStands, pointsOnOwnFrame, standingOf, UNNAMED_MS } from './standing';
import { Tracks } from './tracks';

const MS = (1n << 32n) / 1_000n;
const T0 = 1_000_000n * MS;
const at = (ms: number): bigint => T0 + BigInt(ms) * MS;
const KEY = create(StrokeKeySchema, { author: 2, epoch: 1, number: 1 });
const stroke = (over: Partial<Stroke> = {}, on: On = On.FROZEN): Stroke => ({
  id: '2.1.1', author: 2, epoch: 1, number: 1, tool: Tool.PEN, feed: 'field', frame: create(FrameRefSchema, { feed: 'field', capture: at(0), surface: on }), width: 34, began: at(100),
  points: [{ x: 100, y: 200, pressure: 255 }], spans: [], text: '', reference: undefined, fades: false, received: null, fadeFrom: null, pinned: false, appeared: 0 as PerfMs, phase: 'dry', ...over,
});
const xform = (ms: number, state: TrackState, tx = 0, still = '') => create(XformFrameSchema, { feed: 'field', capture: at(ms), anchors: [{ strokes: [KEY], state, a: 1, b: 0, tx, ty: 0, still }] });
const shown = (ms: number, state = FeedState.LIVE) => ({ feed: 'field', capture: at(ms), state });
const now = at(10_000);

describe('a mark on a moving picture', () => {
  it('lies where the tracker says for the very frame shown', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    tracks.handle(xform(1_033, TrackState.TRACKED, 80));
    expect(standingOf(stroke(), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false, moved: { tx: 50 } });
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', moved: { tx: 80 } });
  });
  it('has gaps while unsure and is gone when lost', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.UNSURE, 50));
    tracks.handle(xform(1_033, TrackState.LOST, 50, 's7'));
    expect(standingOf(stroke(), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true });
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toEqual({ kind: 'away' });
    expect(tracks.stillOf('2.1.1')).toBe('s7');
  });
  it('that lies almost still keeps its place for 50 ms without a word, is doubted to 150 ms, and is gone then: nothing is guessed', () => {
    const tracks = new Tracks();
    tracks.handle(xform(967, TrackState.TRACKED, 30));
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false, moved: { tx: 50 } });
    expect(standingOf(stroke(), shown(1_066), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true });
    expect(standingOf(stroke(), shown(1_133), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true });
    expect(standingOf(stroke(), shown(1_160), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('that moves fast is doubted with the first picture whose own word has not come, as on a scope in a hand', () => {
    const tracks = new Tracks();
    // 20 px a frame at 1080p: drawn without gaps by the word about the picture before, it was 20 px off and did not say so.
    for (let i = 0; i < 4; i += 1) tracks.handle(xform(900 + i * 33, TrackState.TRACKED, 170 * i));
    expect(standingOf(stroke(), shown(999), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false, moved: { tx: 510 } });
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true, moved: { tx: 510 } });
    tracks.handle(xform(1_033, TrackState.TRACKED, 520));
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false, moved: { tx: 520 } });
    expect(standingOf(stroke(), shown(1_066), tracks, now, 9), 'it may go on as it did').toMatchObject({ unsure: true });
  });
  it('is said to move as fast as it did in the last frames, in units a frame; of one named once that is not known', () => {
    const tracks = new Tracks();
    for (let i = 0; i < 6; i += 1) tracks.handle(xform(900 + i * 33, TrackState.TRACKED, i < 3 ? 0 : 170 * (i - 2)));
    expect(tracks.pace('field', at(966), '2.1.1')).toBe(0);
    expect(tracks.pace('field', at(999), '2.1.1')).toBeCloseTo(170 / (33 * 0.03), 0);
    expect(tracks.pace('field', at(1_065), '2.1.1')).toBeCloseTo(170 / (33 * 0.03), 0);
    expect(tracks.pace('field', at(900), '2.1.1')).toBe(Infinity);
    expect(tracks.pace('scope', at(999), '2.1.1')).toBe(Infinity);
  });
  it('turned about its own place does not count as moved there', () => {
    const tracks = new Tracks();
    const turned = (ms: number, angle: number) => {
      const [a, b, x, y] = [Math.cos(angle), Math.sin(angle), 100, 200];
      return create(XformFrameSchema, { feed: 'field', capture: at(ms), anchors: [{ strokes: [KEY], state: TrackState.TRACKED, a, b, tx: x - a * x + b * y, ty: y - b * x - a * y }] });
    };
    tracks.handle(turned(967, 0));
    tracks.handle(turned(1_000, 0.2));
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
  });
  it('named once only is doubted in the next picture: how it moves is not known', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    expect(standingOf(stroke(), shown(1_000), tracks, now, 9)).toMatchObject({ unsure: false });
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true, moved: { tx: 50 } });
  });
  it('is known by a capture that a timestamp rounded', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    expect(standingOf(stroke(), { ...shown(1_000), capture: at(1_000) - MS / 100n }, tracks, now, 9)).toMatchObject({ unsure: false, moved: { tx: 50 } });
  });
  it('that no frame names is drawn where it was made for half a second, then is gone', () => {
    const tracks = new Tracks();
    tracks.handle(create(XformFrameSchema, { feed: 'field', capture: at(1_000), anchors: [] }));
    const began = at(10_000 - UNNAMED_MS + 20);
    expect(standingOf(stroke({ began }), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', moved: { tx: 0 } });
    // On a picture much later than the one it was made on its place is a guess, and says so.
    const frame = { ...stroke().frame, capture: at(850) };
    expect(standingOf(stroke({ began, frame }), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true, moved: { tx: 0 } });
    // Also on one before it: a page whose pictures are late shows the mark on pictures that its author saw long ago. It was 86 px off and did not say so.
    expect(standingOf(stroke({ began, frame }), shown(700), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true });
    expect(standingOf(stroke({ began, frame }), shown(850), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
    expect(standingOf(stroke({ began: at(9_400) }), shown(1_000), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('on a picture of another size or cut is not drawn as if it were the same', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    const one = stroke({ frame: create(FrameRefSchema, { feed: 'field', capture: at(0), surface: On.FROZEN, geometry: 7 }) });
    expect(standingOf(one, { ...shown(1_000), geometry: 8 }, tracks, now, 9)).toEqual({ kind: 'away' });
    expect(standingOf(one, { ...shown(0), geometry: 8 }, tracks, now, 9)).toEqual({ kind: 'away' });
    expect(standingOf(one, { ...shown(1_000), geometry: 7 }, tracks, now, 9)).toMatchObject({ kind: 'here', moved: { tx: 50 } });
    expect(standingOf(one, { ...shown(1_000), geometry: 0 }, tracks, now, 9)).toMatchObject({ kind: 'here' });
  });
  it('on a still is on that still and nowhere else, and marks of the very frame are on it too', () => {
    const tracks = new Tracks();
    const still = (id: string) => ({ ...shown(0, FeedState.XRAY_OFF), still: id });
    const one = stroke({ frame: create(FrameRefSchema, { feed: 'field', capture: at(0), surface: On.STILL, still: 's1' }) });
    expect(standingOf(one, still('s1'), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
    expect(standingOf(one, { ...still('s2'), capture: at(5) }, tracks, now, 9)).toEqual({ kind: 'elsewhere' });
    expect(standingOf(one, shown(0, FeedState.XRAY_OFF), tracks, now, 9), 'held, and the very image').toMatchObject({ kind: 'here' });
    expect(standingOf(one, shown(40), tracks, now, 9)).toEqual({ kind: 'elsewhere' });
    expect(standingOf(stroke({}, On.HELD), still('s1'), tracks, now, 9)).toMatchObject({ kind: 'here' });
    expect(standingOf(stroke({}, On.LIVE), { ...still('s2'), capture: at(5) }, tracks, now, 9)).toEqual({ kind: 'elsewhere' });
  });
  it('where nobody tracks says that it is a guess', () => {
    expect(standingOf(stroke(), shown(1_000), new Tracks(), now, 9)).toMatchObject({ kind: 'here', unsure: true });
  });
  it('on its own frame is sure, whatever the tracker says of later ones', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.LOST));
    expect(standingOf(stroke(), shown(0), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
  });
  it('is not moved by what no picture can do', () => {
    const tracks = new Tracks();
    tracks.handle(create(XformFrameSchema, { feed: 'field', capture: at(1_000), anchors: [{ strokes: [KEY], state: TrackState.TRACKED, a: 0, b: 0 }] }));
    expect(standingOf(stroke(), shown(1_000), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('stretches drawn on later frames go back to the first', () => {
    const tracks = new Tracks();
    tracks.handle(xform(33, TrackState.TRACKED, 40));
    const drawn = stroke({ points: [{ x: 0, y: 0, pressure: 9 }, { x: 100, y: 0, pressure: 9 }], spans: [{ $typeName: 'shirube.ink.v1.FrameSpan', first: 1, capture: at(33) }] }, On.LIVE);
    expect(pointsOnOwnFrame(drawn, tracks).map((p) => p.x)).toEqual([0, 60]);
  });
});

describe('a mark under a pen that is down', () => {
  const wet = (over: Partial<Stroke> = {}, on: On = On.FROZEN) => stroke({ phase: 'wet', ...over }, on);

  it('an29_stays_in_sight_where_it_was_last_known_and_leaves_when_the_pen_lifts', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 50));
    tracks.handle(xform(1_033, TrackState.LOST));
    expect(standingOf(wet(), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false, moved: { tx: 50 } });
    expect(standingOf(wet(), shown(1_033), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true, moved: { tx: 50 } });
    expect(standingOf(stroke({ phase: 'pending' }), shown(1_033), tracks, now, 9)).toEqual({ kind: 'away' });
    expect(standingOf(stroke(), shown(1_033), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('an29_that_no_frame_ever_named_is_where_the_pen_put_it_with_gaps', () => {
    const tracks = new Tracks();
    tracks.handle(create(XformFrameSchema, { feed: 'field', capture: at(1_000), anchors: [] }));
    expect(standingOf(wet(), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: true, moved: { tx: 0 } });
    for (const on of [On.HELD, On.RUN]) expect(standingOf(wet({}, on), shown(1_000), tracks, now, 9), 'X-ray goes on').toMatchObject({ kind: 'here', unsure: true });
  });
  it('an29_its_newest_point_lies_where_the_pen_is_when_it_is_drawn_live', () => {
    const tracks = new Tracks();
    tracks.handle(xform(33, TrackState.TRACKED, 40));
    tracks.handle(xform(66, TrackState.LOST));
    const spans = [{ $typeName: 'shirube.ink.v1.FrameSpan' as const, first: 1, capture: at(33) }, { $typeName: 'shirube.ink.v1.FrameSpan' as const, first: 2, capture: at(66) }];
    const drawn = wet({ spans, points: [0, 100, 200].map((x) => ({ x, y: 0, pressure: 9 })) }, On.LIVE);
    const standing = standingOf(drawn, shown(66), tracks, now, 9);
    const moved = standing.kind === 'here' ? standing.moved.tx : NaN;
    expect(pointsOnOwnFrame(drawn, tracks).map((p) => p.x + moved)).toEqual([40, 100, 200]);
  });
  it('an29_on_another_geometry_and_of_a_length_does_not_stay', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.LOST));
    const frame = create(FrameRefSchema, { feed: 'field', capture: at(0), surface: On.FROZEN, geometry: 7 });
    expect(standingOf(wet({ frame }), { ...shown(1_000), geometry: 8 }, tracks, now, 9)).toEqual({ kind: 'away' });
    expect(standingOf(wet({ tool: Tool.MEASURE }), shown(1_000), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('an29_goes_with_clear_and_with_ink_off_as_any_other', () => {
    const sheet = new Sheet();
    const live = create(LiveStrokeSchema, { key: KEY, frame: stroke().frame, tool: Tool.PEN, width: 34, began: at(100), points: { x: [100], y: [200], pressure: new Uint8Array() } });
    sheet.handleLive(live, 0 as PerfMs);
    expect(sheet.strokes().map((s) => s.phase)).toEqual(['wet']);
    sheet.handleInkOff(true);
    expect(sheet.strokes()).toEqual([]);
    sheet.handleInkOff(false);
    sheet.handleClear(at(100));
    expect(sheet.strokes()).toEqual([]);
    sheet.handleLive(live, 1 as PerfMs);
    expect(sheet.strokes(), 'points in flight too').toEqual([]);
  });
});

describe('a mark on an X-ray picture', () => {
  it('stays on the held image and leaves the live picture when X-ray resumes', () => {
    const tracks = new Tracks();
    const held = stroke({}, On.HELD);
    expect(standingOf(held, shown(0, FeedState.XRAY_OFF), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
    expect(standingOf(held, shown(1_000), tracks, now, 9)).toEqual({ kind: 'away' });
  });
  it('returns where the tracker has verified it', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED, 12));
    expect(standingOf(stroke({}, On.HELD), shown(1_000), tracks, now, 9)).toMatchObject({ kind: 'here', moved: { tx: 12 } });
  });
  it('of the last run lies on its own frame of the loop alone, and follows where the tracker does', () => {
    const tracks = new Tracks();
    expect(standingOf(stroke({}, On.RUN), shown(0, FeedState.LOOPING), tracks, now, 9)).toMatchObject({ kind: 'here', unsure: false });
    expect(standingOf(stroke({}, On.RUN), shown(66, FeedState.LOOPING), tracks, now, 9)).toEqual({ kind: 'away' });
    tracks.handle(xform(66, TrackState.TRACKED, 7));
    expect(standingOf(stroke({}, On.RUN), shown(66, FeedState.LOOPING), tracks, now, 9)).toMatchObject({ kind: 'here', moved: { tx: 7 } });
  });
  it('of a still is on no moving picture', () => {
    expect(standingOf(stroke({}, On.STILL), shown(40), new Tracks(), now, 9)).toEqual({ kind: 'elsewhere' });
  });
  it('a length is true in its own frame alone', () => {
    const tracks = new Tracks();
    tracks.handle(xform(1_000, TrackState.TRACKED));
    expect(standingOf(stroke({ tool: Tool.MEASURE }), shown(0), tracks, now, 9)).toMatchObject({ kind: 'here' });
    expect(standingOf(stroke({ tool: Tool.MEASURE }), shown(1_000), tracks, now, 9)).toEqual({ kind: 'away' });
  });
});

describe('the stream of transforms', () => {
  it('counts each frame once and forgets the oldest', () => {
    const tracks = new Tracks();
    expect(tracks.handle(xform(0, TrackState.TRACKED))).toBe(true);
    expect(tracks.handle(xform(0, TrackState.TRACKED))).toBe(false);
    for (let i = 1; i <= 400; i += 1) tracks.handle(xform(i * 33, TrackState.TRACKED, i));
    expect(tracks.of('field', at(0), '2.1.1')).toBeNull();
    expect(tracks.of('field', at(400 * 33), '2.1.1')).toMatchObject({ moved: { tx: 400 } });
  });
  it('takes ink that is named in a known frame later, and believes the first word on each', () => {
    const tracks = new Tracks();
    const other = create(StrokeKeySchema, { author: 2, epoch: 1, number: 2 });
    tracks.handle(xform(33, TrackState.TRACKED, 1));
    const revision = tracks.revision;
    const both = create(XformFrameSchema, { feed: 'field', capture: at(33), anchors: [{ strokes: [KEY, other], state: TrackState.TRACKED, a: 1, b: 0, tx: 7, ty: 0 }] });
    expect([tracks.handle(both), tracks.handle(both)]).toEqual([true, false]);
    expect(tracks.revision).toBe(revision + 1);
    expect([tracks.of('field', at(33), '2.1.1'), tracks.of('field', at(33), '2.1.2')]).toMatchObject([{ moved: { tx: 1 } }, { moved: { tx: 7 } }]);
  });
  it('takes frames that come out of order', () => {
    const tracks = new Tracks();
    tracks.handle(xform(66, TrackState.TRACKED, 2));
    tracks.handle(xform(33, TrackState.TRACKED, 1));
    expect(tracks.of('field', at(50), '2.1.1')).toMatchObject({ moved: { tx: 1 } });
  });
  it('knows how restless a field is', () => {
    const tracks = new Tracks();
    expect(tracks.restlessness('field', at(0), 1n << 31n)).toBeNull();
    tracks.handle(xform(0, TrackState.TRACKED, 0));
    tracks.handle(xform(33, TrackState.TRACKED, 30));
    expect(tracks.restlessness('field', at(33), 1n << 31n)).toBeCloseTo(30);
    tracks.handle(xform(66, TrackState.LOST));
    expect(tracks.restlessness('field', at(66), 1n << 31n)).toBe(Infinity);
    // The last word on ink that was erased since says nothing of now.
    expect(tracks.restlessness('field', at(600), 1n << 31n)).toBeNull();
  });
});

describe('whether any mark may stand', () => {
  it('is asked of the feeds that are shown, and of those that have not faded', () => {
    const fading = stroke({ fadeFrom: at(0) });
    expect([anyStands([fading], null, at(9_999)), anyStands([fading], null, at(0) + (10n << 32n)), anyStands([fading], null, null)]).toEqual([true, false, true]);
    expect([anyStands([stroke()], ['field'], now), anyStands([stroke()], ['fluoro'], now), anyStands([], null, now)]).toEqual([true, false, false]);
  });
});
