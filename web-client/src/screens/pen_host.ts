// The hand over the stage: which tool it holds, what lies under it, and what that makes of its samples.
import type { Client } from '../edge/client';
import { perfNow } from '../edge/clock';
import { lumaOf } from '../edge/luma';
import { watchPointer } from '../edge/pointer';
import type { PointerSample } from '../edge/pointer';
import { entryAt, toFeed } from '../core/frames';
import type { MeasuredOn } from '../core/ink/calibration';
import { distanceTo } from '../core/ink/hit';
import { apply } from '../core/ink/moved';
import type { Hold, PenSample, PenState } from '../core/ink/pen';
import { SAY_MS } from '../core/ink/pen_pace';
import { standingOf } from '../core/ink/standing';
import type { Stroke } from '../core/ink/sheet';
import { cleanText, TEXT_MAX, TOOLS } from '../core/ink/tools';
import type { ToolName } from '../core/ink/tools';
import type { PerfMs } from '../core/units';
import { PICTURE_WIDTH } from '../core/units';
import type { FrameEntry } from '../gen/frame_pb';
import { FeedState } from '../gen/frame_pb';
import { Surface as On } from '../gen/ink_pb';
import type { Seen, Stage } from '../stage/stage';

/** While something hovers, the picture under it is looked at this often, to know whether it moves. */
const PROBE_MS = 150;
/** Tracked ink that moved less than this in half a second lies on a still field: 2 px at 1080p. */
const RESTLESS = (2 * PICTURE_WIDTH) / 1_920;
const RESTLESS_SPAN = 1n << 31n;
/** A mark within this of the eraser is meant, px of a 1080p picture. */
const REACH = (14 * PICTURE_WIDTH) / 1_920;
/** Between two places looked at by the eraser, CSS px. */
const RUB_PX = 5;

/** Kinds of feeds that show X-ray. */
const XRAY: ReadonlySet<string> = new Set(['fluoroscopy', 'last-run']);

interface Under { readonly seen: Seen; readonly entry: FrameEntry; readonly sample: PenSample }

export function watchPen(stage: Stage, client: Client): () => void {
  const { inking, store } = client;
  let sending = 0;
  let said = -Infinity;
  let using: ToolName | null = null;
  let borrowed = false;
  let probedAt = -Infinity;
  let rubbed: PointerSample | null = null;
  const name = document.createElement('span');
  name.className = 'penplace';
  name.hidden = true;
  name.setAttribute('aria-hidden', 'true');
  name.dataset['testid'] = 'pen-place';
  stage.glass.append(name);

  const under = (s: PointerSample): Under | null => {
    const seen = stage.seenAt(s.time);
    if (!seen) return null;
    const sample = stage.toProgram(s.x, s.y, s.pressure, seen.frame);
    const entry = entryAt(seen.frame, sample.x, sample.y);
    return entry && { seen, entry, sample };
  };

  const saySoon = (): void => {
    const now = perfNow();
    if (now - said >= SAY_MS) {
      said = now;
      inking.after(now);
      return;
    }
    sending ||= requestAnimationFrame(() => {
      sending = 0;
      said = perfNow();
      inking.after(said as PerfMs);
    });
  };

  const isXray = (feed: string): boolean => XRAY.has(store.feeds.value.find((f) => f.feed === feed)?.kind ?? '');

  /** Nothing moves under the pen: from the picture itself, and from what is followed on it. X-ray is never taken for still: contrast comes and goes. */
  const isStill = (at: Under, now: PerfMs): boolean => {
    if (isXray(at.entry.feed)) return false;
    const restless = inking.tracks.restlessness(at.entry.feed, at.entry.capture, RESTLESS_SPAN);
    return inking.stillness.isStill(at.entry.feed, now) && (restless === null || restless < RESTLESS);
  };

  /** Holds the picture under the pen where it moves; what lies under the pen then. */
  const settle = (s: PointerSample): Under | null => {
    const before = under(s);
    if (!before) return null;
    if (inking.freeze.penDown(isStill(before, s.time))) {
      store.frozen.value = 'pen';
      if (!stage.isHeld) return before;
    }
    return under(s);
  };

  /** Where a known length holds: this feed in this shape, or this still. */
  const placeOf = (at: Under): MeasuredOn => ({ feed: at.entry.feed, geometry: at.entry.geometry, still: stage.stillShown?.id ?? '' });

  const holdOf = (tool: ToolName, at: Under): Hold => {
    const still = stage.stillShown;
    const on = still ? On.STILL : at.entry.state === FeedState.XRAY_OFF ? On.HELD : at.entry.state === FeedState.LOOPING ? On.RUN : stage.isHeld ? On.FROZEN : On.LIVE;
    const { tool: wire, making } = TOOLS[tool];
    const reference = tool === 'measure' ? inking.calibration.of(placeOf(at)) : null;
    return { tool: wire, making, fades: store.fades.value, on, exact: at.seen.exact, ...(reference ? { reference } : {}), ...(still ? { still: still.id } : {}) };
  };

  const told = (outcome: 'began' | 'nothing' | 'unplaced'): boolean => {
    store.notice('fail_ink_unplaced', outcome === 'unplaced');
    if (outcome === 'began') inking.after(perfNow());
    return outcome === 'began';
  };

  const pointAt = (s: PointerSample): boolean => {
    const at = under(s);
    const point = at && toFeed(at.entry, at.sample.x, at.sample.y, 1);
    inking.pointAt(at && point && { feed: at.entry.feed, x: point.x, y: point.y });
    return point !== null;
  };

  /** Whatever lies between two samples too: a quick hand leaps. */
  const eraseTo = (s: PointerSample): void => {
    const from = rubbed ?? s;
    rubbed = s;
    const steps = Math.max(1, Math.ceil(Math.hypot(s.x - from.x, s.y - from.y) / RUB_PX));
    for (let i = 1; i <= steps; i += 1) {
      const at = under({ ...s, x: from.x + ((s.x - from.x) * i) / steps, y: from.y + ((s.y - from.y) * i) / steps });
      const hit = at && markAt(client, at, true, stage.stillShown?.id);
      if (hit) inking.erase(hit.id);
    }
  };

  const askText = (s: PointerSample, at: Under): void => {
    const input = document.createElement('input');
    input.className = 'textmark';
    input.maxLength = TEXT_MAX;
    input.setAttribute('aria-label', store.texts.value.tool_text);
    input.dataset['testid'] = 'text-mark';
    input.style.left = `${Math.min(s.x, stage.glass.clientWidth - 180)}px`;
    input.style.top = `${Math.max(0, s.y - 24)}px`;
    const began = client.toTimeline(s.time);
    let over = false;
    const done = (keep: boolean): void => {
      if (over) return;
      over = true;
      const text = keep ? cleanText(input.value) : null;
      input.remove();
      const now = perfNow();
      if (text !== null) told(inking.ink.place(at.sample, at.seen.frame, began, now, holdOf('text', at), text));
      inking.freeze.penUp(now);
    };
    input.addEventListener('keydown', (e) => {
      e.stopPropagation();
      if (e.isComposing) return; // Enter ends the conversion of kana, not the mark
      if (e.key === 'Enter') done(true);
      if (e.key === 'Escape') done(false);
    });
    input.addEventListener('keyup', (e) => { e.stopPropagation(); });
    input.addEventListener('pointerdown', (e) => { e.stopPropagation(); });
    input.addEventListener('blur', () => { done(true); });
    stage.glass.append(input);
    // The press that asked for it still takes the focus elsewhere.
    setTimeout(() => { input.focus(); });
  };

  const stop = watchPointer(stage.glass, {
    down: (s, how) => {
      if (!store.mayDraw.value) return false;
      if (store.penPlace.value.kind !== 'here') {
        store.notice('fail_pen_elsewhere', true);
        return false;
      }
      name.hidden = true;
      if (how === 'point' && store.tool.value !== 'pointer') {
        inking.borrow('pointer');
        borrowed = true;
      }
      const tool = store.tool.value;
      using = tool;
      if (tool === 'pointer') return pointAt(s);
      if (tool === 'eraser') {
        rubbed = null;
        eraseTo(s);
        return true;
      }
      const at = settle(s);
      if (!at) {
        inking.freeze.penUp(s.time);
        return told(stage.seenAt(s.time) ? 'nothing' : 'unplaced');
      }
      if (tool === 'measure') store.measureStep.value = !isXray(at.entry.feed) ? 'nowhere' : inking.calibration.of(placeOf(at)) ? 'ready' : 'reference';
      if (tool === 'measure' && store.measureStep.value === 'nowhere') return false;
      if (tool === 'text') {
        askText(s, at);
        return false;
      }
      const outcome = TOOLS[tool].making === 'place'
        ? inking.ink.place(at.sample, at.seen.frame, client.toTimeline(s.time), s.time, holdOf(tool, at))
        : inking.ink.penDown(at.sample, at.seen.frame, client.toTimeline(s.time), s.time, holdOf(tool, at));
      const began = told(outcome);
      if (!began || TOOLS[tool].making === 'place') inking.freeze.penUp(s.time);
      return began && TOOLS[tool].making !== 'place';
    },
    move: (samples) => {
      const last = samples.at(-1);
      if (!last) return;
      stage.handleNear(perfNow());
      if (using === 'pointer') return void pointAt(last);
      if (using === 'eraser') return samples.forEach(eraseTo);
      const state = inking.ink.pen.state;
      if (state.kind !== 'drawing') return;
      const frame = state.surface.frame;
      const moving = state.hold.on === On.LIVE;
      inking.ink.penMove(samples.map((s) => ({ ...stage.toProgram(s.x, s.y, s.pressure, frame), ...(moving ? { seen: stage.seenAt(s.time)?.frame ?? null } : {}) })), client.toTimeline(last.time), last.time);
      saySoon();
    },
    up: () => {
      const now = perfNow();
      if (using === 'pointer') inking.pointAt(null);
      else if (!knownLength(client, inking.ink.pen.state)) inking.ink.penUp(client.toTimeline(now), now);
      finish(now);
    },
    cancel: () => {
      inking.pointAt(null);
      inking.ink.penCancel();
      finish(perfNow());
    },
    hover: (s, points) => {
      if (s === null || !store.mayDraw.value) {
        name.hidden = true;
        inking.hovered = null;
        if (borrowed || store.tool.value === 'pointer') inking.pointAt(null);
        if (borrowed) inking.borrow(null);
        borrowed = false;
        return;
      }
      if (points !== borrowed) {
        inking.borrow(points ? 'pointer' : null);
        borrowed = points;
      }
      stage.handleNear(perfNow());
      const at = under(s);
      name.hidden = at === null;
      if (at) {
        const where = store.caseInfo.value ? store.caseInfo.value[store.language.value === 'ja' ? 'titleJa' : 'titleEn'] : '';
        if (name.textContent !== where) name.textContent = where;
        name.style.transform = `translate(${Math.round(s.x) + 14}px, ${Math.round(s.y) + 14}px)`;
        inking.hovered = markAt(client, at, false, stage.stillShown?.id)?.id ?? null;
        probe(at, s.time);
      }
      if (store.tool.value === 'pointer') pointAt(s);
    },
    eraserEnd: () => { inking.undo(); },
  });

  function finish(now: PerfMs): void {
    using = null;
    if (borrowed) inking.borrow(null);
    borrowed = false;
    inking.freeze.penUp(now);
    inking.after(now);
  }

  function probe({ seen, entry }: Under, now: PerfMs): void {
    const r = entry.rect;
    if (stage.isHeld || now - probedAt < PROBE_MS || !r) return;
    probedAt = now;
    const { width, height } = seen.frame;
    void lumaOf(stage.video, { x: r.x / width, y: r.y / height, w: r.w / width, h: r.h / height }).then((luma) => {
      if (luma) inking.stillness.handle(entry.feed, luma, now);
    });
  }

  return () => {
    stop();
    name.remove();
    cancelAnimationFrame(sending);
  };
}

/** The line just drawn is the known length, not a mark: it is kept here and asked about. */
function knownLength(client: Client, state: PenState): boolean {
  const { store, inking } = client;
  if (state.kind !== 'drawing' || store.tool.value !== 'measure' || store.measureStep.value !== 'reference') return false;
  const [from, to] = [state.points[0], state.points.at(-1)];
  const { entry, ref } = state.surface;
  if (from && to && inking.calibration.draw({ feed: entry.feed, geometry: entry.geometry, still: ref.still }, from, to)) store.measureStep.value = 'length';
  inking.ink.penCancel();
  return true;
}

/** The mark under the hand, the topmost first. `mine`: only own ones. */
function markAt(client: Client, { entry, sample }: Pick<Under, 'entry' | 'sample'>, mine: boolean, still = ''): Stroke | null {
  const point = toFeed(entry, sample.x, sample.y, 1);
  const at = client.toTimeline(perfNow());
  if (!point) return null;
  const { ink, tracks } = client.inking;
  const picture = { feed: entry.feed, capture: entry.capture, state: entry.state, geometry: entry.geometry, still };
  let best: Stroke | null = null;
  let nearest = REACH;
  for (const stroke of ink.sheet.visible(at)) {
    if (stroke.feed !== entry.feed || stroke.phase === 'wet' || (mine && stroke.author !== ink.author)) continue;
    const standing = standingOf(stroke, picture, tracks, at, ink.author);
    if (standing.kind !== 'here') continue;
    const distance = distanceTo(stroke, stroke.points.map((p) => apply(standing.moved, p.x, p.y)), point.x, point.y);
    if (distance <= nearest) {
      nearest = distance;
      best = stroke;
    }
  }
  return best;
}
