import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { FeedState, FrameIndexSchema, Sync } from '../gen/frame_pb';
import { formatAge } from './age';
import { FrameRing, ShownLog } from './frames';
import { ageCautions, inkShows, LATE_MS, lookOf, readGlass, readHeld } from './glass';
import type { Look } from './glass';
import { Backoff, LineVoice, LineWatch, LOST_MS, MediaWatch, PROBE_MS } from './line';
import { FIRST_FRAME_MS, SOURCE_GONE_MS, STALL_MS, StallWatch } from './stall';
import type { CaptureNtp, PerfMs } from './units';
import { ntpFromUnixMs } from './units';

const ms = (t: number): PerfMs => t as PerfMs;
const T0 = 1_790_000_000_000;
const ntp = (t: number): CaptureNtp => ntpFromUnixMs(T0 + t) as CaptureNtp;
const clock = { toTimeline: (t: PerfMs): CaptureNtp => ntp(t), uncertaintyMs: () => 12 };

function glass(frames: { at: number; field: number; fluoro: number; state?: FeedState }[]): { ring: FrameRing; log: ShownLog } {
  const ring = new FrameRing();
  const log = new ShownLog();
  frames.forEach((f, i) => {
    ring.handleFrame(create(FrameIndexSchema, {
      program: 'program', rtpTs: i, width: 1280, height: 720,
      entries: [
        { feed: 'field', rect: { x: 0, y: 0, w: 800, h: 450 }, capture: ntp(f.field), state: f.state ?? FeedState.LIVE },
        { feed: 'fluoro', rect: { x: 800, y: 0, w: 400, h: 400 }, capture: f.fluoro === 0 ? 0n : ntp(f.fluoro), state: FeedState.LIVE },
      ],
    }));
    log.handleShown(i, ms(f.at));
  });
  return { ring, log };
}
const ages = (g: ReturnType<typeof glass>, now: number): (number | null)[] =>
  readGlass(g.ring, g.log, clock, ms(now))?.rects.map((r) => (r.ageMs === null ? null : Math.round(r.ageMs))) ?? [];

describe('time alignment', () => {
  const frame = (sync: Sync, field: number, fluoro: number) => create(FrameIndexSchema, {
    program: 'program', rtpTs: 1, width: 1280, height: 720,
    entries: [
      { feed: 'field', rect: { x: 0, y: 0, w: 800, h: 450 }, capture: ntp(field), state: FeedState.LIVE },
      { feed: 'fluoro', rect: { x: 800, y: 0, w: 400, h: 400 }, capture: ntp(fluoro), state: FeedState.LIVE, sync },
    ],
  });
  it('says by how much a picture is older than the main feed, and nothing where nobody knows', () => {
    const skews = (sync: Sync) => readHeld(frame(sync, 1_000, 860), clock, ms(1_010)).rects.map((r) => (r.skewMs === null ? null : Math.round(r.skewMs)));
    expect(skews(Sync.OFF)).toEqual([null, 140]);
    expect(skews(Sync.ALIGNED)).toEqual([null, 140]);
    expect(skews(Sync.UNKNOWN)).toEqual([null, null]);
    expect(skews(Sync.UNSPECIFIED)).toEqual([null, null]);
  });
  it('has a look of its own, graver than X-ray off and less grave than late', () => {
    const live = { flow: 'flowing' as const, sourceGone: false, state: FeedState.LIVE, ageMs: 100 };
    expect(lookOf({ covered: false, ...live, sync: Sync.ALIGNED })).toBe('live');
    expect([Sync.OFF, Sync.UNKNOWN].map((sync) => lookOf({ covered: false, ...live, sync }))).toEqual(['unsynced', 'unsynced']);
    expect(lookOf({ covered: false, ...live, state: FeedState.STALE, sync: Sync.OFF })).toBe('stale');
    expect(lookOf({ covered: false, ...live, flow: 'stalled', sync: Sync.OFF })).toBe('stalled');
    expect(inkShows('unsynced')).toBe(true);
  });
});

describe('the age of the picture', () => {
  it('is the worst of the last 500 ms, each frame counted until the next replaced it', () => {
    const g = glass([{ at: 1_000, field: 940, fluoro: 900 }, { at: 1_133, field: 1_080, fluoro: 1_000 }, { at: 1_166, field: 1_110, fluoro: 1_000 }]);
    expect(ages(g, 1_180)).toEqual([193, 233]);
    expect(ages(g, 1_700)).toEqual([590, 700]);
  });
  it('is each picture’s own, and unknown where the capture is', () => {
    expect(ages(glass([{ at: 1_000, field: 950, fluoro: 0 }]), 1_010)).toEqual([60, null]);
  });
  it('forgets a picture that stood and was marked, as soon as others flow again', () => {
    const g = glass([{ at: 1_000, field: 970, fluoro: 960 }, { at: 3_200, field: 3_150, fluoro: 3_100 }, { at: 3_233, field: 3_190, fluoro: 3_190 }]);
    expect(ages(g, 3_240)).toEqual([83, 133]);
    const held = glass([{ at: 1_000, field: 970, fluoro: 960 }, { at: 1_000 + STALL_MS - 1, field: 1_300, fluoro: 1_300 }]);
    expect(ages(held, 1_400)).toEqual([29 + STALL_MS, 39 + STALL_MS]);
  });
  it('forgets a picture held on purpose as soon as its feed is live again, and no other', () => {
    const before = { at: 1_000, field: -5_000, fluoro: 960 };
    const after = { at: 1_040, field: 1_000, fluoro: 990 };
    for (const state of [FeedState.XRAY_OFF, FeedState.LOOPING]) {
      expect(ages(glass([{ ...before, state }, after]), 1_060)).toEqual([60, 80]);
      expect(ages(glass([{ ...before, state }, { ...after, field: -5_000, state }]), 1_060)).toEqual([6_060, 80]);
    }
    for (const state of [FeedState.LIVE, FeedState.STALE, FeedState.LOST]) expect(ages(glass([{ ...before, state }, after]), 1_060)).toEqual([6_040, 80]);
  });
  it('knows nothing of a picture that returned before its index did', () => {
    const g = glass([{ at: 1_000, field: 970, fluoro: 960 }]);
    g.log.handleShown(77, ms(3_200));
    expect(ages(g, 3_210)).toEqual([null, null]);
  });
  it('goes on growing while the picture stands', () => {
    const g = glass([{ at: 1_000, field: 940, fluoro: 900 }]);
    expect(ages(g, 4_000)).toEqual([3_060, 3_100]);
  });
  it('is not known without a clock, nor when the capture lies in the future', () => {
    const g = glass([{ at: 1_000, field: 1_300, fluoro: 990 }]);
    expect(ages(g, 1_010)).toEqual([null, 20]);
    const none = readGlass(g.ring, g.log, { toTimeline: () => null, uncertaintyMs: () => null }, ms(1_010));
    expect(none?.rects.map((r) => r.ageMs)).toEqual([null, null]);
  });
  it('reads nothing before a frame is shown, or when no index of it arrived', () => {
    expect(readGlass(new FrameRing(), new ShownLog(), clock, ms(0))).toBeNull();
    const g = glass([{ at: 1_000, field: 940, fluoro: 900 }]);
    expect(readGlass(new FrameRing(), g.log, clock, ms(1_010))).toBeNull();
  });
});

describe('how an age reads', () => {
  it('has two decimals below ten seconds, whole seconds to a minute, minutes after', () => {
    expect(formatAge('live', 90)).toEqual({ value: '0.09', unit: 's', plusMinus: null });
    expect(formatAge('live', 90, 12)).toEqual({ value: '0.09', unit: 's', plusMinus: '±0.01' });
    expect(formatAge('live', 9_994)?.value).toBe('9.99');
    expect(formatAge('live', 9_996)).toEqual({ value: '9', unit: 's_ago', plusMinus: null });
    expect(formatAge('held', 12_900)).toEqual({ value: '12', unit: 's_ago', plusMinus: null });
    expect(formatAge('held', 252_000)).toEqual({ value: '4:12', unit: 'ago', plusMinus: null });
    expect(formatAge('counting', 3_240)).toEqual({ value: '3.2', unit: 's_ago', plusMinus: null });
    expect(formatAge('counting', 28_400)?.value).toBe('28');
    expect(formatAge('held', 3_725_000)?.value).toBe('1:02:05');
  });
  it('leaves an uncertainty below 0.01 s unsaid, and never invents a number', () => {
    expect(formatAge('live', 90, 4)?.plusMinus).toBeNull();
    for (const unknown of [null, NaN, -1, Infinity]) expect(formatAge('live', unknown)).toBeNull();
  });
});

describe('a dead picture never looks alive', () => {
  const live = { covered: false, flow: 'flowing', sourceGone: false, state: FeedState.LIVE, ageMs: 80 } as const;
  it('is live only when frames flow, the feed lives and its age is known', () => {
    expect(lookOf(live)).toBe('live');
    expect(lookOf({ ...live, ageMs: null })).toBe('unknown');
    expect([LATE_MS, LATE_MS + 1].map((ageMs) => lookOf({ ...live, ageMs }))).toEqual(['live', 'stale']);
    expect(lookOf({ ...live, state: null })).toBe('unknown');
    expect(lookOf({ ...live, state: FeedState.UNSPECIFIED })).toBe('unknown');
    expect(lookOf({ ...live, state: 99 as FeedState })).toBe('unknown');
  });
  it('has the curtain before everything else, from the press on and until the engine has lifted it too', () => {
    for (const flow of ['flowing', 'stalled', 'waiting'] as const) {
      expect(lookOf({ ...live, flow, covered: true })).toBe('curtain');
      expect(lookOf({ ...live, flow, state: FeedState.CURTAIN })).toBe('curtain');
      expect(lookOf({ ...live, flow, sourceGone: true, covered: true, state: null })).toBe('curtain');
    }
    expect([inkShows('curtain'), inkShows('unmasked')]).toEqual([false, false]);
  });
  it('shows the graver of two states: link before source before late', () => {
    expect(lookOf({ ...live, flow: 'stalled', state: FeedState.LOST })).toBe('stalled');
    expect(lookOf({ ...live, state: FeedState.LOST })).toBe('lost');
    expect(lookOf({ ...live, state: FeedState.STALE })).toBe('stale');
    expect(lookOf({ ...live, state: FeedState.MASK_UNKNOWN })).toBe('unmasked');
    expect(lookOf({ ...live, state: FeedState.XRAY_OFF })).toBe('xoff');
    expect(lookOf({ ...live, state: FeedState.LOOPING, ageMs: 60_000 })).toBe('looping');
    expect(lookOf({ ...live, flow: 'waiting' })).toBe('waiting');
  });
  it('is late from 1 s on and, once late, until it is younger than 0.8 s', () => {
    let before: Look | null = null;
    const looks = [400, 950, 1_001, 990, 850, 801, 800, 950, 1_000, 1_010].map((ageMs) => (before = lookOf({ ...live, ageMs, before })));
    expect(looks).toEqual(['live', 'live', 'stale', 'stale', 'stale', 'stale', 'live', 'live', 'live', 'stale']);
    // What the source, the line or the curtain made of it meanwhile is nothing to keep.
    expect((['stalled', 'xoff', 'curtain', 'unsynced', 'frozen', null] as const).map((was) => lookOf({ ...live, ageMs: 900, before: was }))).toEqual(Array.from({ length: 6 }, () => 'live'));
    expect(lookOf({ ...live, ageMs: 900, sync: Sync.OFF, before: 'stale' })).toBe('stale');
  });
  it('has its number marked from 0.5 s on, while the word still says live', () => {
    expect([90, 499, 500, 999].map((ageMs) => ageCautions('live', ageMs))).toEqual([false, false, true, true]);
    expect([ageCautions('unsynced', 600), ageCautions('stale', 300), ageCautions('stale', null)]).toEqual([true, true, true]);
    // Held, dead and unknown ones are old by their nature, and say that otherwise.
    for (const look of ['frozen', 'still', 'xoff', 'looping', 'lost', 'stalled', 'paused', 'unknown', 'waiting', 'curtain', 'unmasked'] as const) expect(ageCautions(look, 9_000), look).toBe(false);
  });
  it('blames the source when the server itself says that the compositor is gone', () => {
    expect(lookOf({ ...live, flow: 'stalled', sourceGone: true })).toBe('lost');
    expect(lookOf({ ...live, sourceGone: true })).toBe('live');
  });
  it('hides ink of a late picture, and keeps it on a frozen one', () => {
    const shows: Record<Look, boolean> = { live: true, unsynced: true, xoff: true, looping: true, lost: true, stalled: true, paused: true, frozen: true, still: true, unknown: true, stale: false, waiting: false, curtain: false, unmasked: false };
    for (const [look, expected] of Object.entries(shows)) expect(inkShows(look as Look), look).toBe(expected);
  });
});

describe('the stall watchdog', () => {
  it('says stalled within 500 ms of the last frame, without any callback of the video', () => {
    const watch = new StallWatch(ms(0));
    watch.handleFrame(ms(1_000));
    expect(watch.flow(ms(1_000 + STALL_MS - 1))).toBe('flowing');
    expect(watch.flow(ms(1_000 + STALL_MS))).toBe('stalled');
    expect(watch.pollTimeout(ms(1_100))).toBe(1_000 + STALL_MS);
    watch.handleFrame(ms(3_000));
    expect(watch.flow(ms(3_010))).toBe('flowing');
    expect(watch.flow(ms(3_000 + SOURCE_GONE_MS), true)).toBe('stalled');
    expect(watch.flow(ms(3_000 + SOURCE_GONE_MS), false)).toBe('flowing');
  });
  it('waits before the first frame, and says so when none comes', () => {
    const watch = new StallWatch(ms(0));
    expect(watch.flow(ms(STALL_MS + 1))).toBe('waiting');
    expect(watch.flow(ms(FIRST_FRAME_MS))).toBe('stalled');
    expect(watch.everFlowed).toBe(false);
  });
});

describe('the line', () => {
  it('is probed once in a silence, and lost within a second', () => {
    const line = new LineWatch();
    expect(line.lostSince(ms(5_000))).toBeNull();
    line.handleHeard(ms(0));
    expect(line.pollProbe(ms(PROBE_MS - 1))).toBe(false);
    expect(line.pollProbe(ms(PROBE_MS))).toBe(true);
    expect(line.pollProbe(ms(PROBE_MS + 50))).toBe(false);
    expect(line.lostSince(ms(LOST_MS - 1))).toBeNull();
    expect(line.lostSince(ms(LOST_MS))).toBe(0);
    expect(LOST_MS).toBeLessThan(1_000);
    line.handleHeard(ms(8_000));
    expect(line.lostSince(ms(8_100))).toBeNull();
  });
  it('is spoken of once when lost and once when back', () => {
    const voice = new LineVoice();
    expect([false, true, true, false, false, true].map((lost) => voice.handleLine(lost))).toEqual([null, 'lost', null, 'back', null, 'lost']);
  });
  it('is tried again after 0.25 s, doubling to 1 s, and quickly again after a success', () => {
    const backoff = new Backoff();
    expect([1, 2, 3, 4, 5].map(() => backoff.delayMs())).toEqual([250, 500, 1_000, 1_000, 1_000]);
    backoff.handleSuccess();
    expect(backoff.delayMs()).toBe(250);
  });
});

describe('a socket whose timers have backed off', () => {
  it('is dialled anew once when pictures flow again over a line that counts as lost', () => {
    const line = new LineWatch();
    line.handleHeard(ms(0));
    line.handlePicture(ms(LOST_MS - 1));
    expect(line.pollRedial()).toBe(false);
    line.handlePicture(ms(2_080));
    expect(line.pollRedial()).toBe(true);
    line.handlePicture(ms(2_110));
    expect(line.pollRedial()).toBe(false);
    line.handleHeard(ms(2_200));
    line.handlePicture(ms(6_000));
    expect(line.pollRedial()).toBe(true);
  });
  it('is left alone when it spoke first', () => {
    const line = new LineWatch();
    line.handleHeard(ms(0));
    line.handlePicture(ms(2_080));
    line.handleHeard(ms(2_090));
    expect(line.pollRedial()).toBe(false);
  });
});

describe('the media path', () => {
  it('is made at once, made anew when it falls silent, and left alone while the server is not heard', () => {
    const media = new MediaWatch();
    expect(media.pollRestart(ms(0), false)).toBe(false);
    expect(media.pollRestart(ms(0), true)).toBe(true);
    media.handleStart(ms(0));
    expect(media.pollRestart(ms(4_900), true)).toBe(false);
    expect(media.pollRestart(ms(5_000), true)).toBe(true);
    media.handleStart(ms(5_000));
    media.handleAnswer(ms(5_000));
    media.handleAlive(ms(5_200));
    expect(media.pollRestart(ms(6_600), true)).toBe(false);
    expect(media.pollRestart(ms(6_701), true)).toBe(true);
    expect(media.pollRestart(ms(6_701), false)).toBe(false);
  });
  it('takes ink while it is heard; silent, ink goes by the socket where there is one, long before the path is given up', () => {
    const media = new MediaWatch();
    expect([media.takes(false, true, ms(0)), media.takes(true, true, ms(0))]).toEqual([false, true]);
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(6_000));
    expect([media.takes(true, true, ms(6_299)), media.takes(false, true, ms(6_299))]).toEqual([true, false]);
    expect([media.takes(true, true, ms(6_300)), media.isAlive(ms(6_300))]).toEqual([false, true]);
    expect(media.takes(true, false, ms(6_300))).toBe(true); // no socket either: what is sent now is there when the path is back
    media.handleAlive(ms(6_400));
    expect(media.takes(true, true, ms(6_400))).toBe(true);
  });
  it('survives a cut of two seconds without being made anew', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(6_000));
    for (let t = 6_950; t < 8_000; t += 50) expect(media.pollRestart(ms(t), false)).toBe(false);
    expect(media.pollRestart(ms(8_050), true)).toBe(false);
    media.handleAlive(ms(8_300));
    expect(media.pollRestart(ms(8_450), true)).toBe(false);
  });
  it('says whether a voice can be heard: not before it has spoken, not while it or the line is silent, and all through a change of paths', () => {
    const media = new MediaWatch();
    expect(media.voicePath(ms(0), false)).toBe('none');
    media.handleStart(ms(0));
    media.handleAnswer(ms(200));
    expect(media.voicePath(ms(400), false)).toBe('none');
    media.handleAlive(ms(500));
    expect(media.voicePath(ms(1_999), false)).toBe('up');
    expect(media.voicePath(ms(2_000), false)).toBe('cut');
    expect(media.voicePath(ms(1_000), true)).toBe('cut');
    // The path before it goes on speaking until the new one is answered.
    media.handleStart(ms(2_000));
    media.handleAlive(ms(2_100));
    expect(media.voicePath(ms(2_200), false)).toBe('up');
  });
  it('is made anew soon after a cut that it did not survive', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(6_000));
    expect(media.pollRestart(ms(8_000), false)).toBe(false);
    expect(media.pollRestart(ms(8_050), true)).toBe(false);
    expect(media.pollRestart(ms(8_600), true)).toBe(false);
    expect(media.pollRestart(ms(8_650), true)).toBe(true);
  });
  it('is asked for a sign of life while it is silent', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    expect(media.pollProbe(ms(900))).toBe(false);
    media.handleAlive(ms(1_000));
    expect([1_200, 1_300, 1_350, 1_400, 1_600].map((t) => media.pollProbe(ms(t)))).toEqual([false, true, false, true, true]);
  });
  it('is made anew at once when the server forgot it and it is silent', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(5_000));
    media.handleForgotten(ms(5_100));
    expect(media.pollRestart(ms(5_100), true)).toBe(false);
    media.handleForgotten(ms(5_500));
    expect(media.pollRestart(ms(5_500), true)).toBe(true);
  });
  it('is given its time over a long line, though the server does not know it yet', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    for (let t = 400; t < 5_000; t += 100) {
      media.handleForgotten(ms(t));
      expect(media.pollRestart(ms(t), true)).toBe(false);
    }
    expect(media.pollRestart(ms(5_000), true)).toBe(true);
    media.handleStart(ms(5_000));
    expect(media.pollRestart(ms(12_400), true)).toBe(false);
    expect(media.pollRestart(ms(12_500), true)).toBe(true);
    media.handleStart(ms(12_500));
    media.handleForgotten(ms(13_000), true);
    expect(media.pollRestart(ms(13_000), true)).toBe(true);
  });
  it('is looked for anew at once where signalling was broken off with it and is there again, and not where only signalling was', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(6_000));
    media.handleBroken(ms(6_010));
    // A picture that was on its way, and signalling again after 150 ms.
    media.handleAlive(ms(6_040));
    for (let t = 6_050; t < 6_240; t += 10) expect(media.pollSeek(ms(t), t >= 6_160)).toBe(false);
    expect(media.pollSeek(ms(6_240), true)).toBe(true);
    expect(media.pollSeek(ms(6_440), true)).toBe(false);
    media.handleAnswer(ms(6_450));
    // The other way is given its time.
    expect(media.pollRestart(ms(7_350), true)).toBe(false);
    expect(media.pollRestart(ms(7_540), true)).toBe(true);

    const other = new MediaWatch();
    other.handleStart(ms(0));
    other.handleAnswer(ms(0));
    other.handleBroken(ms(6_000));
    for (let t = 6_000; t < 7_000; t += 33) {
      other.handleAlive(ms(t));
      expect(other.pollSeek(ms(t), true)).toBe(false);
    }
    const last = 6_000 + 33 * 30;
    expect(other.pollSeek(ms(last + 400), true)).toBe(false);
    expect(other.pollSeek(ms(last + 650), true)).toBe(true);
  });
  it('is made anew within 0.6 s where it alone is silent while the server answers, and not before the socket has answered', () => {
    const silent = (): MediaWatch => {
      const media = new MediaWatch();
      media.handleStart(ms(0));
      media.handleAnswer(ms(100));
      for (let t = 150; t <= 6_000; t += 50) {
        media.handleTick(ms(t));
        expect(media.pollBlocked(ms(t), true)).toBe(false);
        media.handleAlive(ms(t));
      }
      return media;
    };
    const first = (media: MediaWatch, answersAt: number, heardFrom = 0): number => {
      for (let t = 6_050; t < 8_000; t += 50) {
        media.handleTick(ms(t));
        media.pollProbe(ms(t));
        if (t >= answersAt) media.handleSocket(ms(t));
        if (media.pollBlocked(ms(t), t >= heardFrom)) return t;
      }
      return 0;
    };
    expect(first(silent(), 6_350)).toBe(6_500);
    expect(first(silent(), 6_550), 'over a long line').toBe(6_650);
    // An answer to nothing that was asked says nothing of now.
    const early = silent();
    early.handleSocket(ms(6_200));
    expect(first(early, 9_000)).toBe(0);
    expect(first(silent(), 6_350, 6_300), 'after a cut of everything the old way is mostly there again').toBe(0);
    const broken = silent();
    broken.handleBroken(ms(6_010));
    expect(first(broken, 6_350), 'a network that changed is looked for by ICE').toBe(0);
    const other = silent();
    expect(other.pollSeek(ms(6_700), true)).toBe(true);
    expect(first(other, 6_350)).toBe(0);
  });
  it('is not taken for blocked where little came by it before: one lost probe says nothing', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    for (let t = 150; t <= 6_000; t += 100) {
      media.handleAlive(ms(t));
      expect(media.pollBlocked(ms(t), true)).toBe(false);
    }
    const probes: number[] = [];
    for (let t = 6_050; t < 7_400; t += 50) {
      media.handleTick(ms(t));
      if (media.pollProbe(ms(t))) probes.push(t);
      media.handleSocket(ms(t));
      expect(media.pollBlocked(ms(t), true)).toBe(false);
    }
    expect(probes.slice(0, 4)).toEqual([6_250, 6_350, 6_450, 6_550]);
    expect(media.pollRestart(ms(7_700), true), 'the silence alone is enough later').toBe(true);
  });
  it('is not taken for blocked where the page itself stood still', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    media.handleTick(ms(950));
    for (let t = 300; t <= 1_000; t += 50) media.handleAlive(ms(t));
    expect(media.pollBlocked(ms(1_000), true)).toBe(false);
    media.handleTick(ms(1_000));
    media.handleTick(ms(1_300));
    media.pollProbe(ms(1_300));
    media.handleSocket(ms(1_310));
    media.handleTick(ms(1_500));
    expect(media.pollBlocked(ms(1_500), true), '260 ms of these 500 it did not run').toBe(false);
    for (let t = 1_550; t < 1_760; t += 50) {
      media.handleTick(ms(t));
      expect(media.pollBlocked(ms(t), true)).toBe(false);
    }
    media.handleTick(ms(1_800));
    expect(media.pollBlocked(ms(1_800), true)).toBe(true);
  });
  it('gives a way that is looked for its time from the answer on, and no answer more than 2.5 s', () => {
    const sought = (): MediaWatch => {
      const media = new MediaWatch();
      media.handleStart(ms(0));
      media.handleAnswer(ms(100));
      media.handleAlive(ms(6_000));
      expect(media.pollSeek(ms(6_500), true)).toBe(false);
      expect(media.pollSeek(ms(6_800), true)).toBe(true);
      return media;
    };
    const late = sought();
    late.handleAnswer(ms(7_700));
    expect(late.pollRestart(ms(8_650), true)).toBe(false);
    expect(late.pollRestart(ms(8_700), true)).toBe(true);
    const none = sought();
    expect(none.pollRestart(ms(9_250), true)).toBe(false);
    expect(none.pollRestart(ms(9_300), true)).toBe(true);
    const later = sought();
    later.handleAnswer(ms(9_000));
    expect(later.pollRestart(ms(9_300), true)).toBe(true);
  });
  it('is not taken for alive, nor for forgotten, because of the last pictures of the path before it', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    media.handleAlive(ms(6_000));
    media.handleStart(ms(8_000));
    media.handleAlive(ms(8_050));
    for (let t = 8_100; t < 12_900; t += 100) {
      media.handleForgotten(ms(t));
      expect(media.pollSeek(ms(t), true)).toBe(false);
      expect(media.pollRestart(ms(t), true)).toBe(false);
    }
  });
  it('is looked for anew once in a silence, while the server is heard, and is then given time before it is made anew', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(6_000));
    expect(media.pollSeek(ms(6_000), true)).toBe(false);
    expect(media.pollSeek(ms(6_649), true)).toBe(false);
    expect(media.pollSeek(ms(6_650), true)).toBe(true);
    expect(media.pollSeek(ms(6_700), true)).toBe(false);
    media.handleAnswer(ms(6_650));
    expect(media.pollRestart(ms(7_600), true)).toBe(false);
    expect(media.pollRestart(ms(7_650), true)).toBe(true);
    // Found: the next silence is another one.
    media.handleAlive(ms(7_000));
    expect(media.pollRestart(ms(7_700), true)).toBe(false);
    expect(media.pollSeek(ms(7_700), true)).toBe(true);
  });
  it('is not looked for at once when the whole line was cut, and never while there is none', () => {
    const media = new MediaWatch();
    expect(media.pollSeek(ms(0), true)).toBe(false);
    media.handleStart(ms(0));
    media.handleAnswer(ms(100));
    expect(media.pollSeek(ms(4_000), true)).toBe(false);
    media.handleAlive(ms(6_000));
    for (let t = 6_050; t < 8_000; t += 50) expect(media.pollSeek(ms(t), false)).toBe(false);
    expect(media.pollSeek(ms(8_000), true)).toBe(false);
    expect(media.pollSeek(ms(8_250), true)).toBe(false);
    expect(media.pollSeek(ms(8_300), true)).toBe(true);
  });
  it('is made anew soon after it ended', () => {
    const media = new MediaWatch();
    media.handleStart(ms(0));
    media.handleAnswer(ms(0));
    media.handleAlive(ms(900));
    media.handleEnd();
    expect(media.pollRestart(ms(1_000), true)).toBe(true);
  });
});
