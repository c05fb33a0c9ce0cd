//! Which program frame to make when, and what it shows. Pure: reads the board, told the time.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::{FeedState, Sync};

use super::align::{Aligner, Inset, SyncWord, Timing, excess};
use super::layout::{Arrangement, ProgramFeed};
use crate::board::{CapturedFrame, FeedSlot, State};
use crate::health;
use crate::output::stats::Samples;

/// A main feed whose pictures come further apart than this does not clock the program: its companions would stand still with it.
const CLOCK_MAX: Duration = Duration::from_millis(200);

/// What one rectangle is to show.
#[derive(Debug, Clone)]
pub struct Shown {
    pub frame: Option<CapturedFrame>,
    pub state: FeedState,
    pub sync: Sync,
}

/// Its source delivers, and nothing of it is shown.
pub fn is_dark(state: FeedState) -> bool {
    matches!(state, FeedState::Curtain | FeedState::MaskUnknown)
}

/// A state that is true also without a picture.
pub fn shows_none(state: FeedState) -> bool {
    is_dark(state) || state == FeedState::XrayOff
}

/// How far one inset lies from the main feed.
#[derive(Debug, Default)]
struct Skew {
    word: SyncWord,
    said: Sync,
    last: Option<i64>,
    excess: Samples,
}

/// What is reported of it, us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SkewReport {
    pub skew_us: i32,
    pub excess_us_p50: u32,
    pub excess_us_p99: u32,
    pub sync: Sync,
}

/// A main frame that goes out next.
#[derive(Debug)]
struct Pending {
    frame: CapturedFrame,
    /// It came after the program had gone on without it.
    overtaken: bool,
}

/// The main feed clocks the program: a frame goes out when the main feed's frame is there, *aligned* also its companions or the
/// bound is up. A timer takes over while the main feed is dead, or too slow to be a clock. The program's time does not go back for
/// a main frame that the timer has overtaken: that one is shown as soon as it is there, beside what its companions show by then.
#[derive(Debug)]
pub struct Picker {
    timing: Timing,
    /// As configured; else by the layout.
    bound: Option<Duration>,
    aligner: Aligner,
    pending: Option<Pending>,
    /// Capture of the last main frame composed, time of the last program frame, and when that was made, case timeline.
    last_main: Option<CaptureTime>,
    last_t: Option<CaptureTime>,
    last_made: Option<CaptureTime>,
    /// The timer clocks the program, until a main frame comes in time.
    by_timer: bool,
    /// When the frame that is due could have been made.
    ready_at: Option<CaptureTime>,
    /// The main frame that was found waiting, and until when.
    waited: Option<(CaptureTime, CaptureTime)>,
    /// Since when somebody watches on this link.
    began: Option<CaptureTime>,
    skews: BTreeMap<usize, Skew>,
}

impl Picker {
    pub fn new(timing: Timing, bound: Option<Duration>) -> Self {
        Picker {
            timing,
            bound,
            aligner: Aligner::default(),
            pending: None,
            last_main: None,
            last_t: None,
            last_made: None,
            by_timer: false,
            ready_at: None,
            waited: None,
            began: None,
            skews: BTreeMap::new(),
        }
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
        self.aligner = Aligner::default();
    }

    /// Another link: another timeline.
    pub fn begin_link(&mut self) {
        *self = Picker::new(self.timing, self.bound);
    }

    /// Another feed clocks the program: what is known of the one before says nothing of its pictures. Until one comes in time, the timer goes on.
    pub fn begin_main(&mut self) {
        (self.last_main, self.pending, self.waited, self.ready_at) = (None, None, None, None);
        self.by_timer = self.last_made.is_some();
    }

    /// What waited when the last viewer left is old by now.
    pub fn forget_waiting(&mut self) {
        self.pending = None;
        self.began = None;
    }

    /// The time of the program frame to make now, or when to look again.
    pub fn due(
        &mut self,
        state: &State,
        arrangement: &Arrangement,
        now: CaptureTime,
    ) -> Result<CaptureTime, Option<CaptureTime>> {
        let Some(main) = arrangement.feeds.first() else { return Err(None) };
        let Some(slot) = state.feeds.get(main.feed) else { return Err(None) };
        self.pending = None;
        let bound = match self.timing {
            Timing::Aligned => self.bound.unwrap_or_else(|| arrangement.align_bound()),
            Timing::Now => Duration::ZERO,
        };
        let insets: Vec<Inset> = arrangement.feeds.iter().skip(1).filter(|f| f.awaited).map(|f| inset(state, f, now)).collect();
        let mut waiting = slot.frames.iter().filter(|f| self.last_main.is_none_or(|last| f.capture > last));
        // The newest that need not wait: who is behind does not catch up frame by frame.
        let ready = waiting.clone().rev().find(|f| bound.is_zero() || self.aligner.is_ready(f.capture, &insets, now));
        let is_clock = is_clock(slot);
        if let Some(frame) = ready.or_else(|| waiting.next()) {
            let t = frame.capture;
            // Who came late once has lost its turn; who is regular again, only later than before, clocks the program from its own time.
            let late = self.by_timer && self.last_t.is_some_and(|last| t.saturating_add(main.period) < last);
            if late && !is_clock {
                let newest = slot.newest().unwrap_or(frame).clone();
                (self.ready_at, self.waited) = (Some(newest.came), None);
                self.pending = Some(Pending { frame: newest, overtaken: true });
                return Ok(now);
            }
            return match self.aligner.wait_until(t, bound, &insets, now) {
                None => {
                    let companions = || insets.iter().filter_map(|i| state.feeds.get(i.feed)?.newest().map(|f| f.came)).max();
                    let until = self.waited.take().filter(|w| w.0 == t).map(|w| companions().map_or(w.1, |came| came.min(w.1)));
                    self.ready_at = Some(until.map_or(frame.came, |until| until.max(frame.came)));
                    self.pending = Some(Pending { frame: frame.clone(), overtaken: !is_clock });
                    // Less than a period before the timer's last: the companions wait for it.
                    Ok(if late { t } else { self.last_t.map_or(t, |last| last.max(t)) })
                }
                Some(at) => {
                    self.waited = Some((t, at));
                    Err(Some(at))
                }
            };
        }
        // The main feed is silent: a timer takes over, for the sake of its companions as soon as the frame that is missing is half a period
        // later than any of late, or a second one is missing, else when it counts as late. At two periods and a moment the companions, too, would
        // stand still for more than one frame.
        let began = *self.began.get_or_insert(now);
        let period = slot.cadence.period(main.period);
        let patience = match slot.cadence.longest() {
            _ if arrangement.feeds.len() == 1 => health::stale_after(period),
            Some(longest) => (longest + period / 2).min(period * 2),
            None => period * 2,
        };
        let late_at = slot.newest().map_or(began, |f| f.came).saturating_add(patience.min(health::stale_after(period)));
        // As often as the quickest of them has something new.
        let tick = arrangement.feeds.iter().map(|f| f.period).min().unwrap_or(main.period);
        let due = match self.last_made {
            Some(made) if self.by_timer => made.saturating_add(tick),
            Some(made) => late_at.max(made.saturating_add(tick)),
            None => late_at,
        };
        if due <= now { Ok(now) } else { Err(Some(due)) }
    }

    /// What each rectangle shows in the program frame of time `t`, which was just found due.
    pub fn shown(&mut self, state: &State, arrangement: &Arrangement, t: CaptureTime, now: CaptureTime) -> Vec<Shown> {
        let mut all = Vec::with_capacity(arrangement.feeds.len());
        // The instant beside which the others are judged: the main picture's, as long as that is called live; and how long one picture of it stands.
        let (mut instant, mut stands) = (t, Duration::ZERO);
        for (n, f) in arrangement.feeds.iter().enumerate() {
            let slot = state.feeds.get(f.feed);
            let frame = match &self.pending {
                Some(pending) if n == 0 => Some(pending.frame.clone()),
                // A main feed that comes later than frames are kept shows the others as near its time as there are any.
                _ => slot.and_then(|s| s.newest_at(t).or_else(|| s.frames.front())).cloned(),
            };
            let state = slot.map_or(FeedState::Lost, |s| s.state(f.period, now));
            let state = if frame.is_some() || shows_none(state) { state } else { FeedState::Lost };
            let by_arrival = slot.is_some_and(|s| s.by_arrival);
            let period = slot.map_or(f.period, |s| s.cadence.period(f.period));
            let captured = frame.as_ref().map(|f| f.capture);
            if n == 0 && state == FeedState::Live {
                (instant, stands) = (captured.unwrap_or(t), period);
            }
            let sync = match captured {
                Some(_) if state == FeedState::Live && by_arrival => Sync::Unknown,
                Some(captured) if n > 0 => self.compare(f.feed, (instant, stands), captured, period, state, now),
                _ => Sync::Unspecified,
            };
            self.skews.entry(f.feed).or_default().said = sync;
            all.push(Shown { frame, state, sync });
        }
        all
    }

    fn compare(
        &mut self,
        feed: usize,
        (t, stands): (CaptureTime, Duration),
        captured: CaptureTime,
        period: Duration,
        state: FeedState,
        now: CaptureTime,
    ) -> Sync {
        let skew = self.skews.entry(feed).or_default();
        if state != FeedState::Live {
            (skew.last, skew.word) = (None, SyncWord::default());
            return Sync::Unspecified;
        }
        let excess = excess(t, captured, period);
        skew.last = Some(t.minus_ns(captured));
        skew.excess.add(u32::try_from(excess.as_micros()).unwrap_or(u32::MAX));
        // Newer than the main picture, beyond the time that one stands, is not the same instant either.
        skew.word.handle(excess.max(captured.since(t).saturating_sub(stands)), now)
    }

    /// How late the frame just made was handed on at `now`: from when it could have been made. Once a frame.
    pub fn take_lateness(&mut self, now: CaptureTime) -> Option<Duration> {
        self.ready_at.take().map(|ready| now.since(ready))
    }

    /// The program frame of time `t` was made at `now`.
    pub fn handle_made(&mut self, t: CaptureTime, now: Option<CaptureTime>) {
        let pending = self.pending.take();
        self.by_timer = pending.as_ref().is_none_or(|p| p.overtaken);
        self.last_main = pending.map(|p| p.frame.capture).or(self.last_main);
        self.last_t = Some(t);
        self.last_made = now;
    }

    /// Of one feed, since the last call.
    pub fn take_skew(&mut self, feed: usize) -> SkewReport {
        let Some(skew) = self.skews.get_mut(&feed) else { return SkewReport::default() };
        let (excess_us_p50, excess_us_p99) = skew.excess.take_percentiles();
        let skew_us = skew.last.take().map_or(0, |ns| i32::try_from(ns / 1000).unwrap_or(i32::MAX));
        SkewReport { skew_us, excess_us_p50, excess_us_p99, sync: std::mem::take(&mut skew.said) }
    }
}

/// Do its pictures come often enough to clock a program? A pause of seconds is no cadence, but the last interval tells of it.
fn is_clock(slot: &FeedSlot) -> bool {
    let mut newest = slot.frames.iter().rev().map(|f| f.came);
    let last = newest.next().zip(newest.next()).map(|(last, before)| last.since(before));
    last.into_iter().chain(slot.cadence.longest()).all(|interval| interval <= CLOCK_MAX)
}

fn inset(state: &State, f: &ProgramFeed, now: CaptureTime) -> Inset {
    let none = Inset { feed: f.feed, newest: None, period: f.period, state: FeedState::Lost, usual: Duration::ZERO };
    let Some(slot) = state.feeds.get(f.feed) else { return none };
    Inset {
        newest: slot.newest().map(|f| f.capture),
        period: slot.cadence.period(f.period),
        state: slot.state(f.period, now),
        usual: slot.usual_lateness(),
        ..none
    }
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
