//! The program loop: waits for the main feed, aligns, composes, tells the server which picture is where, encodes. Feeds that
//! somebody watches alone are sent by it too, after the program.
//!
//! While the main feed is dead a timer takes over at its period, so that the program goes on and shows the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameEntry, FrameIndex, Rect, Sync};
use link::wire::{FeedHealth, Health, to_server};

use super::align::Timing;
use super::compositor;
use super::layers::{LayerOf, LayerPlan, Layers};
use super::layout::{Arrangement, PixelRect, ProgramFeed};
use super::pick::{Picker, Shown, is_dark, shows_none};
use super::single::{Due, Single};
use crate::board::{Board, CapturedFrame, LinkUp, State};
use crate::clock::LocalClock;
use crate::display::run::{Composed, Screen};
use crate::encode::governor::{Governor, Second};
use crate::feed::fit::within;
use crate::mask::MaskState;
use crate::output::link::LinkHandle;
use crate::output::stats::Samples;
use crate::picture::{Geometry, Picture, PicturePool};
use crate::ptz::Cameras;
use crate::scale::Scaler;
use crate::timing::case_clock::CaseClock;
use crate::timing::stamps::StrictStamps;

const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// Health is said out of turn, too; load is looked at once a second.
const GOVERN_EVERY: Duration = Duration::from_millis(900);
/// A change of a feed's state is reported at once, but a feed that flickers not more often than this.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// How often states are looked at: silence rings no bell.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A single feed has one rectangle, for ever.
const SINGLE_LAYOUT_REV: u32 = 1;

/// The program's own state. Runs on one thread.
#[derive(Debug)]
pub struct Program {
    arrangement: Arc<Arrangement>,
    size: Geometry,
    clock: LocalClock,
    case_clock: Arc<CaseClock>,
    board: Arc<Board>,
    link: LinkHandle,
    /// The room's display, if it has one.
    screen: Option<Screen>,
    cameras: Cameras,

    layers: Layers,
    singles: BTreeMap<usize, Single>,
    canvas: PicturePool,
    scaler: Scaler,
    stamps: StrictStamps,
    picker: Picker,
    governor: Governor,
    governed: CaptureTime,
    lateness: Samples,
    link_id: Option<u64>,
    /// Last image of each feed, by its index on the board.
    held: BTreeMap<usize, Arc<Picture>>,
    /// State of each feed as last reported.
    states: BTreeMap<usize, FeedState>,
    next_health: CaptureTime,
    /// Not before this a change of state is reported out of turn.
    next_change: CaptureTime,
    skipped: u64,
}

/// What to do next.
enum Step {
    Stop,
    Wishes {
        up: Option<LinkUp>,
        layers: BTreeSet<usize>,
        keyframes: BTreeSet<usize>,
        bitrates: BTreeMap<usize, u32>,
    },
    Arrange(Arc<Arrangement>),
    Time(Timing),
    Health,
    /// `curtain`: its revision when the pictures were taken off the board.
    Compose {
        shown: Vec<Shown>,
        t: CaptureTime,
        curtain: u32,
    },
    Single {
        feed: usize,
        due: Due,
        newest: Option<CapturedFrame>,
        state: FeedState,
        now: CaptureTime,
        curtain: u32,
    },
}

impl Program {
    #[allow(clippy::too_many_arguments, reason = "built once, by the engine")]
    pub fn new(
        plans: Vec<LayerPlan>,
        size: Geometry,
        align_bound: Option<Duration>,
        clock: LocalClock,
        case_clock: Arc<CaseClock>,
        board: Arc<Board>,
        link: LinkHandle,
    ) -> Self {
        let (arrangement, timing) = board.read(|state| (state.arrangement.clone(), state.timing));
        Program {
            canvas: PicturePool::new(size),
            scaler: Scaler::default(),
            stamps: StrictStamps::new(),
            picker: Picker::new(timing, align_bound),
            layers: Layers::new(plans, clock, link.clone()),
            singles: BTreeMap::new(),
            governor: Governor::default(),
            governed: clock.now(),
            lateness: Samples::default(),
            link_id: None,
            held: BTreeMap::new(),
            states: BTreeMap::new(),
            next_health: clock.now(),
            next_change: clock.now(),
            skipped: 0,
            arrangement,
            size,
            clock,
            case_clock,
            board,
            link,
            screen: None,
            cameras: Cameras::default(),
        }
    }

    /// The room's display gets every picture, whoever else watches.
    pub fn with_screen(self, screen: Option<Screen>) -> Self {
        Program { screen, ..self }
    }

    /// What their control says is in its health.
    pub fn with_cameras(self, cameras: Cameras) -> Self {
        Program { cameras, ..self }
    }

    /// Until the engine stops.
    pub fn run(mut self) {
        let board = self.board.clone();
        loop {
            let step = self.step(board.lock());
            match step {
                Step::Stop => return,
                Step::Wishes { up, layers, keyframes, bitrates } => self.handle_wishes(up, layers, keyframes, bitrates),
                Step::Arrange(arrangement) => self.arrange(arrangement),
                Step::Time(timing) => self.picker.set_timing(timing),
                Step::Health => self.report_health(),
                Step::Compose { shown, t, curtain } => self.compose(shown, t, curtain),
                Step::Single { feed, due, newest, state, now, curtain } => {
                    self.send_single(feed, due, newest, state, now, curtain);
                }
            }
        }
    }

    /// Waits until there is something to do.
    fn step(&mut self, mut state: MutexGuard<'_, State>) -> Step {
        let board = self.board.clone();
        loop {
            if state.stop {
                return Step::Stop;
            }
            let wishes = &mut state.wishes;
            if wishes.up.as_ref().map(|u| u.id) != self.link_id
                || wishes.layers != *self.layers.wanted()
                || !wishes.keyframes.is_empty()
                || !wishes.bitrates.is_empty()
            {
                return Step::Wishes {
                    up: wishes.up.clone(),
                    layers: wishes.layers.clone(),
                    keyframes: std::mem::take(&mut wishes.keyframes),
                    bitrates: std::mem::take(&mut wishes.bitrates),
                };
            }
            if state.arrangement.rev != self.arrangement.rev {
                return Step::Arrange(state.arrangement.clone());
            }
            if state.timing != self.picker.timing() {
                return Step::Time(state.timing);
            }
            let local = self.clock.now();
            if local >= self.next_health {
                return Step::Health;
            }
            let mut wait = self.next_health.since(local);
            if let Some((now, _)) = self.case_clock.stamp(local)
                && (self.link_id.is_some() || self.screen.is_some())
            {
                wait = wait.min(LOOK_EVERY);
                if self.link_id.is_some() && local >= self.next_change && self.has_changed(&state, now) {
                    return Step::Health;
                }
                if self.is_composed() {
                    let arrangement = self.arrangement.clone();
                    let curtain = state.curtain_rev;
                    match self.picker.due(&state, &arrangement, now) {
                        Ok(t) => {
                            let shown = self.picker.shown(&state, &arrangement, t, now);
                            return Step::Compose { shown, t, curtain };
                        }
                        Err(Some(at)) => wait = wait.min(at.since(now)),
                        Err(None) => {}
                    }
                }
                match self.due_single(&state, now) {
                    Ok(step) => return step,
                    Err(Some(at)) => wait = wait.min(at.since(now)),
                    Err(None) => {}
                }
            }
            // Never zero: a deadline of this very nanosecond is looked at again a moment later.
            state = board.wait(state, wait.max(Duration::from_micros(50)));
        }
    }

    /// Somebody sees the program: over a layer of it, or on the room's display.
    fn is_composed(&self) -> bool {
        self.screen.is_some() || self.layers.is_watched(LayerOf::Program)
    }

    fn has_changed(&self, state: &State, now: CaptureTime) -> bool {
        let said = |f: &ProgramFeed| {
            let seen = state.feeds.get(f.feed).map(|slot| slot.state(f.period, now));
            seen.is_some() && seen != self.states.get(&f.feed).copied()
        };
        self.arrangement.all().any(said)
    }

    /// The first single feed that has something to send, or when to look again.
    fn due_single(&mut self, state: &State, now: CaptureTime) -> Result<Step, Option<CaptureTime>> {
        let mut soonest: Option<CaptureTime> = None;
        for (&feed, single) in &mut self.singles {
            let Some(period) = self.arrangement.find(feed).map(|f| f.period) else { continue };
            let Some(slot) = state.feeds.get(feed) else { continue };
            let newest = slot.newest();
            let at_hand = newest.is_some_and(|f| f.single.is_some());
            let said = slot.state(period, now);
            match single.due(newest.map(|f| f.capture), at_hand, period, now) {
                Ok(due) => {
                    let curtain = state.curtain_rev;
                    return Ok(Step::Single { feed, due, newest: newest.cloned(), state: said, now, curtain });
                }
                Err(at) => soonest = Some(soonest.map_or(at, |s| s.min(at))),
            }
        }
        Err(soonest)
    }

    fn compose(&mut self, shown: Vec<Shown>, t: CaptureTime, curtain: u32) {
        self.picker.handle_made(t, self.case_clock.stamp(self.clock.now()).map(|(now, _)| now));
        let takers = self.layers.takers(LayerOf::Program);
        if takers.is_empty() && self.screen.is_none() {
            return;
        }
        let arrangement = self.arrangement.clone();
        for (f, s) in arrangement.feeds.iter().zip(&shown) {
            let size = Geometry { width: f.place.picture.w, height: f.place.picture.h };
            if is_dark(s.state) {
                self.held.remove(&f.feed);
                continue;
            }
            if let Some(picture) = s.frame.as_ref().and_then(|frame| frame.picture.as_ref()) {
                self.held.insert(f.feed, picture.clone());
            }
            // Its place has another size since it delivered: the next picture will have it, a dead feed's held one never.
            if let Some(held) = self.held.get_mut(&f.feed)
                && held.geometry() != size
                && let Some(scaled) = self.scaler.fit(held, size)
            {
                *held = scaled;
            }
        }
        let held = &self.held;
        let canvas = self.canvas.draw(|canvas| {
            compositor::clear(canvas);
            for (f, s) in arrangement.feeds.iter().zip(&shown) {
                let rect = f.place.picture;
                if let Some(picture) = held.get(&f.feed) {
                    compositor::blit(canvas, picture, rect);
                }
                compositor::mark(canvas, rect, s.state);
                compositor::mark_sync(canvas, rect, s.sync);
            }
        });
        let capture = self.stamps.stamp(t);
        let Some((composed, _)) = self.case_clock.stamp(self.clock.now()) else { return };
        let entries = arrangement.feeds.iter().zip(&shown);
        let entries = entries.map(|(f, s)| entry(&f.place.feed, f.place.picture, s.frame.as_ref(), s.state, s.sync));
        let index = FrameIndex {
            program: FeedId::program().as_str().to_owned(),
            rtp_ts: capture.rtp_90khz(),
            layout_rev: arrangement.rev,
            width: self.size.width as u32,
            height: self.size.height as u32,
            entries: entries.collect(),
            composed: composed.0,
        };
        if self.is_behind(curtain) {
            return;
        }
        if let Some(screen) = &self.screen {
            screen.show(Composed { picture: canvas.clone(), entries: index.entries.clone(), curtain });
        }
        if takers.is_empty() {
            return;
        }
        // Without its index a frame would be a picture of unknown age: then it is not sent.
        let Some(number) = self.link.send_control(to_server::Body::Frame(index)) else {
            self.skipped += 1;
            return;
        };
        self.layers.push(&takers, &canvas, capture, number);
        let done = self.case_clock.stamp(self.clock.now());
        if let Some(late) = done.and_then(|(now, _)| self.picker.take_lateness(now)) {
            self.lateness.add(u32::try_from(late.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Once a second: can the machine carry what is asked of it?
    fn govern(&mut self) {
        let now = self.clock.now();
        if now.since(self.governed) < GOVERN_EVERY {
            return;
        }
        self.governed = now;
        let (due, without_room) = self.layers.take_due();
        let period = self.arrangement.feeds.first().map_or(HEALTH_EVERY, |f| f.period);
        let late_p95 = Duration::from_micros(self.lateness.take_p95().into());
        if let Some(shed) = self.governor.handle_second(Second { period, late_p95, due, without_room }, now) {
            let (shed_name, late_ms) = (shed.as_str(), late_p95.as_millis());
            tracing::warn!(shed = shed_name, late_ms, due, without_room, "load: another part of the pictures is shed, or back");
            self.layers.set_shed(shed);
        }
    }

    /// The curtain moved while pictures were in the works: what was made of them is let go of, the next is made in time.
    fn is_behind(&mut self, curtain: u32) -> bool {
        let moved = self.board.read(|state| state.curtain_rev != curtain);
        self.skipped += u64::from(moved);
        moved
    }

    /// One picture of a feed that somebody watches alone, with an index of its own.
    fn send_single(
        &mut self,
        feed: usize,
        due: Due,
        newest: Option<CapturedFrame>,
        state: FeedState,
        now: CaptureTime,
        curtain: u32,
    ) {
        let takers = self.layers.takers(LayerOf::Single(feed));
        let Some(size) = self.layers.single_size(feed) else { return };
        let Some(f) = self.arrangement.find(feed) else { return };
        let Some(single) = self.singles.get_mut(&feed) else { return };
        let fresh = if due == Due::Fresh { newest.as_ref().map(|f| f.capture) } else { None };
        single.handle_sent(fresh, now);
        if let Some(picture) = newest.as_ref().and_then(|f| f.single.clone()) {
            single.held = Some(picture);
        }
        if is_dark(state) {
            single.held = None;
        }
        if takers.is_empty() {
            return;
        }
        let state = if single.held.is_some() || shows_none(state) { state } else { FeedState::Lost };
        let picture = match &single.held {
            Some(held) if state == FeedState::Live => held.clone(),
            held => {
                let mut marked = Picture::black(size);
                held.iter().for_each(|held| marked.copy_from(held));
                let rect = within(size, (f.native.0 as usize, f.native.1 as usize));
                compositor::mark(&mut marked, rect, state);
                Arc::new(marked)
            }
        };
        let capture = single.stamps.stamp(fresh.unwrap_or(now));
        let Some((composed, _)) = self.case_clock.stamp(self.clock.now()) else { return };
        let rect = within(size, (f.native.0 as usize, f.native.1 as usize));
        let index = FrameIndex {
            program: f.place.feed.as_str().to_owned(),
            rtp_ts: capture.rtp_90khz(),
            layout_rev: SINGLE_LAYOUT_REV,
            width: size.width as u32,
            height: size.height as u32,
            entries: vec![entry(
                &f.place.feed,
                rect,
                newest.as_ref().filter(|_| single.held.is_some()),
                state,
                Sync::Unspecified,
            )],
            composed: composed.0,
        };
        if !self.is_behind(curtain)
            && let Some(number) = self.link.send_control(to_server::Body::Frame(index))
        {
            self.layers.push(&takers, &picture, capture, number);
        }
    }

    fn handle_wishes(
        &mut self,
        up: Option<LinkUp>,
        layers: BTreeSet<usize>,
        keyframes: BTreeSet<usize>,
        bitrates: BTreeMap<usize, u32>,
    ) {
        let id = up.as_ref().map(|u| u.id);
        if id != self.link_id {
            self.layers.begin_link(up.map(|u| u.ssrcs).unwrap_or_default());
            self.link_id = id;
            self.picker.begin_link();
            self.singles.clear();
        }
        let watched = self.is_composed();
        self.layers.want(layers);
        if !watched {
            self.picker.forget_waiting();
        }
        self.follow_singles();
        keyframes.into_iter().for_each(|layer| self.layers.request_keyframe(layer));
        bitrates.into_iter().for_each(|(layer, bps)| self.layers.set_bitrate(layer, bps));
    }

    /// Asks the sources for pictures at their own size exactly while somebody watches them alone.
    fn follow_singles(&mut self) {
        let watched = self.layers.singles();
        if watched.iter().eq(self.singles.keys()) {
            return;
        }
        self.singles.retain(|feed, _| watched.contains(feed));
        for &feed in &watched {
            self.singles.entry(feed).or_default();
        }
        self.board.change(|state| {
            for (feed, slot) in state.feeds.iter_mut().enumerate() {
                slot.single_wanted = watched.contains(&feed);
                if !slot.single_wanted {
                    slot.frames.iter_mut().for_each(|f| f.single = None);
                }
            }
        });
    }

    /// Feeds came or went. The stream goes on; the index says from which frame on.
    fn arrange(&mut self, arrangement: Arc<Arrangement>) {
        tracing::info!(rev = arrangement.rev, feeds = arrangement.feeds.len(), "arrangement");
        // Who has no place delivers no picture of its size: what was held would be old when it comes back.
        self.held.retain(|feed, _| arrangement.feeds.iter().any(|f| f.feed == *feed));
        self.states.retain(|feed, _| arrangement.find(*feed).is_some());
        if arrangement.feeds.first().map(|f| f.feed) != self.arrangement.feeds.first().map(|f| f.feed) {
            self.picker.begin_main();
        }
        self.arrangement = arrangement;
    }

    /// Once a second, and when a feed's state changed: what every feed and layer does; and an encoder that failed is started anew.
    #[allow(clippy::needless_update, reason = "the wire may grow by fields that this engine does not measure")]
    fn report_health(&mut self) {
        self.next_health = self.clock.now().saturating_add(HEALTH_EVERY);
        self.next_change = self.clock.now().saturating_add(CHANGE_EVERY);
        self.govern();
        self.layers.mend();
        self.follow_singles();
        let Some((now, _)) = self.case_clock.stamp(self.clock.now()) else { return };
        if self.link_id.is_none() {
            return;
        }
        let (states, picker) = (&mut self.states, &mut self.picker);
        let (feeds, tracker) = self.board.change(|state| {
            let health = |f: &ProgramFeed| {
                let Some(slot) = state.feeds.get_mut(f.feed) else { return FeedHealth::default() };
                let newest = slot.newest().map(CapturedFrame::origin);
                let feed_state = slot.state(f.period, now);
                let before = states.insert(f.feed, feed_state);
                if before != Some(feed_state) {
                    tracing::info!(feed = %f.place.feed, from = ?before, to = ?feed_state, "feed state");
                }
                let problem = match feed_state {
                    FeedState::Lost if slot.problem.is_empty() => {
                        "No picture arrives; check the source and its cable.".to_owned()
                    }
                    _ => slot.problem.clone(),
                };
                let figures = slot.figures.take();
                let skew = picker.take_skew(f.feed);
                FeedHealth {
                    feed: f.place.feed.as_str().to_owned(),
                    state: feed_state.into(),
                    capture: newest.map_or(0, |c| c.0),
                    frames: slot.total,
                    problem,
                    luma_mean: figures.luma_mean,
                    black_permille: figures.black_permille,
                    frozen_permille: figures.frozen_permille,
                    width: f.native.0,
                    height: f.native.1,
                    period_us: figures.period_us,
                    mask: mask_on_wire(slot.mask).into(),
                    skew_us: skew.skew_us,
                    excess_us_p50: skew.excess_us_p50,
                    excess_us_p99: skew.excess_us_p99,
                    sync: skew.sync.into(),
                    ..FeedHealth::default()
                }
            };
            let feeds = self.arrangement.all().map(health).collect();
            (feeds, state.tracker.take())
        });
        let uncertainty = self.case_clock.uncertainty_ns().unwrap_or(0) / 1000;
        let body = Health {
            feeds,
            layers: self.layers.health(self.skipped),
            shed: self.governor.shed().as_str().into(),
            clock_uncertainty_us: u32::try_from(uncertainty).unwrap_or(u32::MAX),
            curtain: self.board.read(|state| state.curtain_drawn()),
            tracker: Some(tracker),
            ptz: self.cameras.health(),
            display: self.screen.as_ref().map(Screen::take_health),
        };
        if self.link.send_control(to_server::Body::Health(body)).is_none() {
            tracing::debug!("health not sent: the server does not read");
        }
    }
}

fn mask_on_wire(mask: MaskState) -> link::frame::MaskState {
    match mask {
        MaskState::None => link::frame::MaskState::None,
        MaskState::Certain => link::frame::MaskState::Certain,
        MaskState::Unknown => link::frame::MaskState::Unknown,
    }
}

fn entry(feed: &FeedId, rect: PixelRect, frame: Option<&CapturedFrame>, state: FeedState, sync: Sync) -> FrameEntry {
    FrameEntry {
        rect: Some(Rect { x: rect.x as u32, y: rect.y as u32, w: rect.w as u32, h: rect.h as u32 }),
        feed: feed.as_str().to_owned(),
        capture: frame.filter(|_| !is_dark(state)).map_or(0, |f| f.origin().0),
        state: state.into(),
        sync: sync.into(),
        geometry: frame.map_or(0, CapturedFrame::geometry_id),
    }
}
