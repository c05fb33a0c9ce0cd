//! Where the engine's threads meet: newest frames of every feed, and what the server asked for. State, not queues: what is
//! newer replaces what is older, so nothing here can grow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;

use crate::figures::{Figures, Glance};
use crate::picture::{Geometry, Picture};
use crate::program::layout::Arrangement;
use crate::timing::case_clock::Generation;

/// Frames kept per feed: 8 at 60 a second is 133 ms, more than any alignment waits. Policy: drop_oldest.
const FRAMES_KEPT: usize = 8;

/// One picture of one feed, stamped when it was captured, on the case timeline.
#[derive(Debug, Clone)]
pub struct CapturedFrame {
    pub capture: CaptureTime,
    /// At the size of its place in the program.
    pub picture: Arc<Picture>,
    /// At its own size; only while somebody watches the feed alone, and only of the newest frame.
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
    /// Does somebody watch this feed alone?
    pub single_wanted: bool,
}

impl FeedSlot {
    pub fn newest(&self) -> Option<&CapturedFrame> {
        self.frames.back()
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
    pub stop: bool,
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
        if let Some(before) = slot.frames.back_mut() {
            before.single = None;
        }
        if slot.frames.len() == FRAMES_KEPT {
            slot.frames.pop_front();
        }
        slot.figures.add(frame.glance, frame.capture);
        slot.frames.push_back(frame);
        slot.total += 1;
        slot.problem.clear();
        drop(state);
        self.changed.notify_all();
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
            state.feeds.iter_mut().for_each(|f| f.frames.clear());
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
            picture: Arc::new(Picture::black(Geometry::new(16, 16).expect("even"))),
            single: None,
            glance: Glance::default(),
        }
    }

    #[test]
    fn a_slot_keeps_the_newest_frames_and_drops_the_oldest() {
        let board = Board::new(1);
        for ms in 0..100 {
            board.put(0, Generation(0), frame(ms));
        }
        board.read(|state| {
            let slot = &state.feeds[0];
            assert_eq!((slot.frames.len(), slot.total), (FRAMES_KEPT, 100));
            assert_eq!(slot.newest().map(|f| f.capture), Some(frame(99).capture));
            assert_eq!(slot.newest_at(frame(95).capture).map(|f| f.capture), Some(frame(95).capture));
            assert!(slot.newest_at(frame(3).capture).is_none());
        });
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
}
