//! Where the engine's threads meet: newest frames of every feed, and what the server asked for. State, not queues: what is
//! newer replaces what is older, so nothing here can grow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::FeedState;

use crate::figures::{Figures, Glance};
use crate::health::{self, Beam, Cadence, Signs};
use crate::mask::MaskState;
use crate::picture::{Geometry, Picture};
use crate::program::align::Timing;
use crate::program::layout::Arrangement;
use crate::timing::case_clock::Generation;
use crate::tracker::figures::TrackerFigures;

/// Frames kept per feed: at least so many, and those of a time longer than any alignment waits (the wall's 200 ms), which at 60 a second are
/// 16. Policy: drop_oldest.
const FRAMES_KEPT: usize = 8;
const FRAMES_MAX: usize = 32;
const KEPT_FOR: Duration = Duration::from_millis(250);

/// One picture of one feed, stamped when it was captured, on the case timeline.
#[derive(Debug, Clone)]
pub struct CapturedFrame {
    pub capture: CaptureTime,
    /// When it came, whatever its capture path took: from this its feed's health is judged.
    pub came: CaptureTime,
    /// Of a feed that plays what was captured before: when that was. `capture` is then when it is played.
    pub origin: Option<CaptureTime>,
    /// At the size of its place in the program; `None` while it has none.
    pub picture: Option<Arc<Picture>>,
    /// At its own size; only while somebody watches the feed alone, and only of the newest frame.
    pub single: Option<Arc<Picture>>,
    /// As its source delivered it: the largest there is.
    pub own: Option<Arc<Picture>>,
    pub glance: Glance,
}

impl CapturedFrame {
    /// When what it shows was captured.
    pub fn origin(&self) -> CaptureTime {
        self.origin.unwrap_or(self.capture)
    }

    /// Names the shape of the picture as its source delivered it; 0: not known.
    pub fn geometry_id(&self) -> u32 {
        self.own.as_ref().map_or(0, |own| own.geometry().id())
    }
}

/// A sign of life without a new picture.
#[derive(Debug, Clone)]
pub struct Heard {
    pub at: CaptureTime,
    pub off: Option<Option<CaptureTime>>,
    pub single: Option<Arc<Picture>>,
    pub glance: Glance,
}

/// What is known of one feed.
#[derive(Debug, Default)]
pub struct FeedSlot {
    /// Oldest first, of this generation of the timeline only.
    pub frames: VecDeque<CapturedFrame>,
    /// Since start.
    pub total: u64,
    /// One sentence, or empty.
    pub problem: String,
    /// Since the last report.
    pub figures: Figures,
    /// How large its place in the program is; its pictures have that size from the next one on.
    pub place: Option<Geometry>,
    /// When its source last delivered anything, and what is known of X-ray.
    pub heard: Option<CaptureTime>,
    pub beam: Option<Beam>,
    /// A pause of its signal means X-ray off.
    pub gaps: bool,
    pub cadence: Cadence,
    /// Its times are those of arrival: nobody knows how they lie to the others'.
    pub by_arrival: bool,
    /// Does somebody watch this feed alone?
    pub single_wanted: bool,
    /// Whether it has masks, and whether one is on its pictures.
    pub mask: MaskState,
    /// It goes behind the privacy curtain.
    pub behind_curtain: bool,
    /// The curtain is drawn before it: nothing that it captures is kept here, so nobody can have it.
    covered: bool,
}

impl FeedSlot {
    pub fn newest(&self) -> Option<&CapturedFrame> {
        self.frames.back()
    }

    /// State of a feed whose source says it has this cadence.
    pub fn state(&self, declared: Duration, now: CaptureTime) -> FeedState {
        if self.covered {
            return FeedState::Curtain;
        }
        let looping = self.newest().is_some_and(|f| f.origin.is_some());
        let signs = Signs { heard: self.heard, beam: self.beam, gaps: self.gaps, failed: !self.problem.is_empty(), looping };
        match health::state(signs, self.cadence.period(declared), now) {
            FeedState::Lost => FeedState::Lost,
            _ if self.mask == MaskState::Unknown => FeedState::MaskUnknown,
            state => state,
        }
    }

    /// From capture to arrival, the worst of the frames kept.
    pub fn usual_lateness(&self) -> Duration {
        self.frames.iter().map(|f| f.came.since(f.capture)).max().unwrap_or_default()
    }

    pub fn is_covered(&self) -> bool {
        self.covered
    }

    fn cover(&mut self, covered: bool) {
        self.covered = covered;
        if covered {
            self.frames.clear();
            self.figures = Figures::default();
        }
    }

    /// The newest frame captured at or before `t`.
    pub fn newest_at(&self, t: CaptureTime) -> Option<&CapturedFrame> {
        self.frames.iter().rev().find(|f| f.capture <= t)
    }
}

/// A working link. A new one has another `id` and new SSRCs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkUp {
    pub id: u64,
    /// One for each declared layer.
    pub ssrcs: Vec<u32>,
}

/// What the server wants. Layers are indices into the declared list.
#[derive(Debug, Default)]
pub struct Wishes {
    pub up: Option<LinkUp>,
    pub layers: BTreeSet<usize>,
    /// Taken by the program loop.
    pub keyframes: BTreeSet<usize>,
    /// bit/s, taken by the program loop.
    pub bitrates: BTreeMap<usize, u32>,
}

#[derive(Debug, Default)]
pub struct State {
    pub generation: Generation,
    pub feeds: Vec<FeedSlot>,
    pub wishes: Wishes,
    pub arrangement: Arc<Arrangement>,
    pub timing: Timing,
    pub tracker: TrackerFigures,
    pub stop: bool,
    /// The privacy curtain is known to be lifted. Whoever has not been told that has it drawn.
    curtain_lifted: bool,
    /// Rises when it is drawn or lifted: what was composed before and not sent is not sent.
    pub curtain_rev: u32,
}

impl State {
    /// Who stands where from now on. Who has no place any more delivers no pictures for one.
    pub fn arrange(&mut self, arrangement: Arrangement) {
        for (n, slot) in self.feeds.iter_mut().enumerate() {
            let place = arrangement.feeds.iter().find(|f| f.feed == n).map(|f| f.place.picture);
            slot.place = place.and_then(|p| Geometry::new(p.w, p.h));
        }
        self.arrangement = Arc::new(arrangement);
    }

    pub fn curtain_drawn(&self) -> bool {
        !self.curtain_lifted
    }

    /// Draws the curtain, or lifts it: from this very moment on. What is behind it is forgotten.
    pub fn draw_curtain(&mut self, drawn: bool) {
        if drawn == self.curtain_drawn() {
            return;
        }
        self.curtain_lifted = !drawn;
        self.curtain_rev += 1;
        self.feeds.iter_mut().filter(|f| f.behind_curtain).for_each(|f| f.cover(drawn));
    }

    /// The curtain is drawn before this feed now.
    pub fn covers(&self, feed: &str) -> bool {
        let slot = self.arrangement.all().find(|f| f.place.feed.as_str() == feed).and_then(|f| self.feeds.get(f.feed));
        slot.is_some_and(FeedSlot::is_covered)
    }

    /// Whether the feed in this slot has masks; until one does not fit, it does.
    pub fn set_masked(&mut self, feed: usize, masked: bool) {
        if let Some(slot) = self.feeds.get_mut(feed) {
            slot.mask = if masked { MaskState::Certain } else { MaskState::None };
        }
    }

    /// Whether the feed in this slot goes behind the curtain.
    pub fn put_behind_curtain(&mut self, feed: usize, behind: bool) {
        let drawn = self.curtain_drawn();
        if let Some(slot) = self.feeds.get_mut(feed) {
            slot.behind_curtain = behind;
            slot.cover(behind && drawn);
        }
    }
}

/// One lock, held for a few instructions, and one bell.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    changed: Condvar,
    /// Rings only at the end, so that a sleeping source is not woken by every frame.
    stopped: Condvar,
}

impl Board {
    pub fn new(n_feeds: usize) -> Self {
        let state = State { feeds: (0..n_feeds).map(|_| FeedSlot::default()).collect(), ..State::default() };
        Board { state: Mutex::new(state), changed: Condvar::new(), stopped: Condvar::new() }
    }

    /// Hands over a frame. One stamped in another life of the timeline is dropped.
    pub fn put(&self, feed: usize, generation: Generation, frame: CapturedFrame) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let Some(slot) = state.feeds.get_mut(feed) else { return };
        if slot.covered {
            slot.heard = Some(frame.came);
            slot.problem.clear();
            return;
        }
        if slot.mask == MaskState::Unknown {
            slot.mask = MaskState::Certain;
        }
        if let Some(before) = slot.frames.back_mut() {
            before.single = None;
        }
        let old = |second: &CapturedFrame| frame.capture.since(second.capture) > KEPT_FOR;
        while slot.frames.len() >= FRAMES_MAX || (slot.frames.len() >= FRAMES_KEPT && slot.frames.get(1).is_some_and(old)) {
            slot.frames.pop_front();
        }
        slot.figures.add(frame.glance, frame.capture);
        slot.heard = Some(frame.came);
        slot.cadence.handle(frame.came);
        slot.beam = None;
        slot.frames.push_back(frame);
        slot.total += 1;
        slot.problem.clear();
        drop(state);
        self.changed.notify_all();
    }

    /// The signal runs, and nothing new is to be shown of it. `off`: X-ray is off since the picture captured then (`None` in it:
    /// since before the first); younger ones were repetitions of it. `single`: the held picture at its own size.
    pub fn hear(&self, feed: usize, generation: Generation, heard: Heard) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let Some(slot) = state.feeds.get_mut(feed) else { return };
        slot.heard = Some(heard.at);
        slot.problem.clear();
        if slot.covered {
            return;
        }
        slot.figures.add(heard.glance, heard.at);
        if let Some(last) = heard.off {
            slot.beam = Some(Beam::Off);
            while let Some(last) = last
                && slot.frames.len() > 1
                && slot.frames.back().is_some_and(|f| f.capture > last)
            {
                let single = slot.frames.pop_back().and_then(|f| f.single);
                if let Some(before) = slot.frames.back_mut() {
                    before.single = single;
                }
            }
            // All that is left may be repetitions: they show what was captured then.
            if let (Some(last), Some(frame)) = (last, slot.frames.back_mut()) {
                frame.capture = frame.capture.min(last);
            }
            if let Some(frame) = slot.frames.back_mut().filter(|_| slot.single_wanted) {
                frame.single = frame.single.take().or(heard.single);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A picture came whose size has no confirmed mask: that it came is all that is known of it here.
    pub fn hear_unmasked(&self, feed: usize, generation: Generation, at: CaptureTime, (width, height): (u32, u32)) {
        self.change(|state| {
            let current = state.generation == generation;
            let Some(slot) = state.feeds.get_mut(feed).filter(|_| current) else { return };
            slot.heard = Some(at);
            slot.mask = MaskState::Unknown;
            slot.frames.clear();
            slot.figures = Figures::default();
            slot.problem =
                format!("No mask is confirmed for its {width}x{height}; propose one from a still, look at it, configure it.");
        });
    }

    pub fn set_problem(&self, feed: usize, problem: String) {
        self.change(|state| {
            if let Some(slot) = state.feeds.get_mut(feed) {
                slot.problem = problem;
            }
        });
    }

    /// A new life of the timeline: frames stamped before are forgotten, for they cannot be compared.
    pub fn begin_generation(&self, generation: Generation) {
        self.change(|state| {
            state.generation = generation;
            for f in &mut state.feeds {
                f.frames.clear();
                (f.heard, f.cadence) = (None, Cadence::default());
            }
        });
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    pub fn stop(&self) {
        self.change(|state| state.stop = true);
        self.stopped.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Sleeps; returns at once, and true, when the engine stops.
    pub fn sleep(&self, duration: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self.stopped.wait_timeout_while(state, duration, |s| !s.stop).unwrap_or_else(PoisonError::into_inner);
        state.stop
    }

    /// For the program loop: the state, after at most one wait for a change.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ms: u64) -> CapturedFrame {
        let capture = CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms));
        CapturedFrame {
            capture,
            came: capture,
            origin: None,
            picture: Some(Arc::new(Picture::black(Geometry::new(16, 16).expect("even")))),
            single: None,
            own: None,
            glance: Glance::default(),
        }
    }

    #[test]
    fn a_slot_keeps_the_newest_frames_and_drops_the_oldest() {
        let board = Board::new(1);
        for k in 0..100 {
            board.put(0, Generation(0), frame(k * 40));
        }
        board.read(|state| {
            let slot = &state.feeds[0];
            assert_eq!((slot.frames.len(), slot.total), (FRAMES_KEPT, 100));
            assert_eq!(slot.newest().map(|f| f.capture), Some(frame(99 * 40).capture));
            assert_eq!(slot.newest_at(frame(95 * 40).capture).map(|f| f.capture), Some(frame(95 * 40).capture));
            assert!(slot.newest_at(frame(120).capture).is_none());
        });
        for (step, kept) in [(16, 17), (1, FRAMES_MAX)] {
            let board = Board::new(1);
            for k in 0..100 {
                board.put(0, Generation(0), frame(k * step));
            }
            assert_eq!(board.read(|s| s.feeds[0].frames.len()), kept, "{step} ms apart");
        }
    }

    #[test]
    fn frames_of_an_old_timeline_are_refused_and_forgotten() {
        let board = Board::new(1);
        board.put(0, Generation(0), frame(1));
        board.begin_generation(Generation(1));
        board.put(0, Generation(0), frame(2));
        assert!(board.read(|s| s.feeds[0].newest().is_none()));
        board.put(0, Generation(1), frame(3));
        assert!(board.read(|s| s.feeds[0].newest().is_some()));
    }

    #[test]
    fn a_frame_clears_the_problem() {
        let board = Board::new(1);
        board.set_problem(0, "The cable is out.".into());
        board.put(0, Generation(0), frame(1));
        assert!(board.read(|s| s.feeds[0].problem.is_empty()));
    }

    #[test]
    fn a_curtain_is_drawn_until_it_is_known_to_be_lifted_and_nothing_stays_behind_it() {
        let board = Board::new(2);
        board.change(|s| s.put_behind_curtain(1, true));
        let period = Duration::from_millis(33);
        let look = || board.read(|s| (s.feeds[1].frames.len(), s.feeds[1].state(period, frame(40).capture)));
        for feed in [0, 1] {
            board.put(feed, Generation(0), frame(1));
        }
        assert_eq!(look(), (0, FeedState::Curtain), "nobody said that it is lifted");
        assert_eq!(board.read(|s| s.feeds[0].frames.len()), 1, "the other feed is not behind it");
        board.change(|s| s.draw_curtain(false));
        board.put(1, Generation(0), frame(33));
        assert_eq!(look(), (1, FeedState::Live));
        board.change(|s| s.draw_curtain(true));
        assert_eq!(look(), (0, FeedState::Curtain), "in the same moment");
        board.put(1, Generation(0), frame(39));
        assert_eq!(look(), (0, FeedState::Curtain));
        assert_eq!(board.read(|s| (s.feeds[1].figures.clone().take().luma_mean, s.feeds[0].frames.len())), (0, 1));
        // A seat that is given to another feed, and to one behind the curtain again.
        board.change(|s| s.feeds[1] = FeedSlot::default());
        board.change(|s| s.put_behind_curtain(1, true));
        assert_eq!(look(), (0, FeedState::Curtain));
    }

    #[test]
    fn a_picture_without_a_certain_mask_is_dark_until_one_with_it_comes() {
        let board = Board::new(1);
        let period = Duration::from_millis(33);
        let look = |ms| board.read(|s| (s.feeds[0].frames.len(), s.feeds[0].state(period, frame(ms).capture)));
        board.change(|s| s.feeds[0].mask = MaskState::Certain);
        board.put(0, Generation(0), frame(0));
        assert_eq!(look(1), (1, FeedState::Live));
        board.hear_unmasked(0, Generation(0), frame(33).capture, (640, 480));
        assert_eq!(look(34), (0, FeedState::MaskUnknown));
        assert!(board.read(|s| s.feeds[0].problem.contains("640x480")));
        assert_eq!(look(900).1, FeedState::Lost, "it stopped, too");
        board.put(0, Generation(0), frame(933));
        assert_eq!((look(934), board.read(|s| s.feeds[0].mask)), ((1, FeedState::Live), MaskState::Certain));
    }

    #[test]
    fn x_ray_off_takes_back_repetitions_and_holds_the_last_image_with_its_own_time() {
        let board = Board::new(1);
        let off = |at: u64, last: u64| Heard {
            at: frame(at).capture,
            off: Some(Some(frame(last).capture)),
            single: None,
            glance: Glance::default(),
        };
        for k in 0..20 {
            board.put(0, Generation(0), frame(k * 33));
        }
        board.hear(0, Generation(0), off(660, 16 * 33));
        let period = Duration::from_millis(33);
        board.read(|s| {
            assert_eq!(s.feeds[0].newest().map(|f| f.capture), Some(frame(16 * 33).capture));
            assert_eq!(s.feeds[0].state(period, frame(700).capture), FeedState::XrayOff);
            assert_eq!(s.feeds[0].state(period, frame(1300).capture), FeedState::Lost, "the signal stopped, too");
        });
        // Longer ago than any frame that is kept: the oldest stands for it.
        board.hear(0, Generation(0), off(700, 33));
        assert_eq!(board.read(|s| s.feeds[0].newest().map(|f| f.capture)), Some(frame(33).capture));
        board.put(0, Generation(0), frame(2000));
        assert_eq!(board.read(|s| s.feeds[0].state(period, frame(2001).capture)), FeedState::Live);
    }
}
