//! When a program frame may go out: pictures of one instant side by side, waiting for no one longer than the bound. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::{FeedState, Sync};

/// A feed that missed the bound is not awaited until it was on time for this long.
const EXCUSED_FOR: Duration = Duration::from_secs(1);
/// How much later than its latest of late a frame may come before it counts as missed. Without it the death of an inset would
/// cost the whole bound, once; with it a feed whose frames come at once costs this.
const SLACK: Duration = Duration::from_millis(20);
/// Main frames for which an inset's word is still out: 60 a second for 200 ms are 12. Policy: drop_oldest.
const OPEN_MAX: usize = 32;

/// How a program treats time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Pictures of one instant side by side.
    #[default]
    Aligned,
    /// The main feed as soon as it is there, insets at their own age.
    Now,
}

impl Timing {
    pub fn as_str(self) -> &'static str {
        match self {
            Timing::Aligned => "aligned",
            Timing::Now => "now",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "aligned" => Some(Timing::Aligned),
            "now" => Some(Timing::Now),
            _ => None,
        }
    }
}

/// What the aligner knows of one inset. All times on the case timeline.
#[derive(Debug, Clone, Copy)]
pub struct Inset {
    /// Index on the board.
    pub feed: usize,
    pub newest: Option<CaptureTime>,
    pub period: Duration,
    pub state: FeedState,
    /// From capture to arrival, the worst of its last frames.
    pub usual: Duration,
}

impl Inset {
    fn is_live(&self) -> bool {
        matches!(self.state, FeedState::Live | FeedState::Stale)
    }

    /// Is it known to have no frame at or before `t` but those it has? It has a later one, or its next is not due by then.
    fn is_settled(&self, t: CaptureTime) -> bool {
        self.newest.is_none_or(|newest| newest > t || newest.saturating_add(self.period) > t)
    }

    /// Its next frame is not coming after this: it has never been so late.
    fn patience(&self) -> CaptureTime {
        let due = self.newest.unwrap_or_default().saturating_add(self.period);
        due.saturating_add(self.usual + SLACK)
    }
}

/// For a main frame of time t each inset shows its newest frame captured at or before t. The aligner waits only until an
/// inset is known to have no other such frame: it has a later one, or its next is not due by t, or would be later than it ever is.
/// At most `bound` after t.
#[derive(Debug, Clone, Default)]
pub struct Aligner {
    watched: BTreeMap<usize, Watch>,
}

/// One inset's punctuality.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// When it was last found late.
    late_at: Option<CaptureTime>,
    /// Main frames that were not waited for, and for which it may still be on time.
    open: VecDeque<CaptureTime>,
}

impl Aligner {
    /// Until when the main frame of time `t` should wait; `None`: compose now. Call again on every change and at that time.
    /// `bound`: zero for *now*.
    pub fn wait_until(&mut self, t: CaptureTime, bound: Duration, insets: &[Inset], now: CaptureTime) -> Option<CaptureTime> {
        let mut wait: Option<CaptureTime> = None;
        for inset in insets {
            let watch = self.watched.entry(inset.feed).or_default();
            watch.look_back(inset, bound, now);
            if bound.is_zero() || !inset.is_live() || inset.is_settled(t) {
                continue;
            }
            let until = t.saturating_add(bound).min(inset.patience());
            if watch.late_at.is_some_and(|at| now.since(at) < EXCUSED_FOR) {
                watch.ask(t);
            } else if now >= until {
                watch.late_at = Some(now);
                watch.ask(t);
            } else {
                wait = Some(wait.map_or(until, |w| w.min(until)));
            }
        }
        wait
    }

    /// Is every inset settled for `t`, so that this main frame need not wait? Marks nobody late.
    pub fn is_ready(&self, t: CaptureTime, insets: &[Inset], now: CaptureTime) -> bool {
        let excused = |inset: &Inset| {
            let late_at = self.watched.get(&inset.feed).and_then(|w| w.late_at);
            late_at.is_some_and(|at| now.since(at) < EXCUSED_FOR)
        };
        insets.iter().all(|inset| !inset.is_live() || inset.is_settled(t) || excused(inset))
    }
}

impl Watch {
    fn ask(&mut self, t: CaptureTime) {
        if self.open.back().is_some_and(|&last| last >= t) {
            return;
        }
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(t);
    }

    /// What was open and is settled now came on time; what is past the bound did not.
    fn look_back(&mut self, inset: &Inset, bound: Duration, now: CaptureTime) {
        while let Some(&t) = self.open.front() {
            let over = now > t.saturating_add(bound);
            if over {
                self.late_at = Some(now);
            } else if !inset.is_settled(t) {
                return;
            }
            self.open.pop_front();
        }
    }
}

/// Beyond one period of its own feed an inset may be so much older before it is said.
pub const EXCESS_MAX: Duration = Duration::from_millis(33);
/// So many program frames in a row, and so long without one before it is taken back: a word that flickers is not read.
const OFF_AFTER: u32 = 3;
const BACK_AFTER: Duration = Duration::from_secs(1);

/// How much older than the main frame of time `t` the inset captured then is, beyond one period of its own feed.
pub fn excess(t: CaptureTime, captured: CaptureTime, period: Duration) -> Duration {
    t.since(captured).saturating_sub(period)
}

/// Says whether one inset shows the instant of the main feed.
#[derive(Debug, Clone, Default)]
pub struct SyncWord {
    over: u32,
    /// When it was last too old, while that is said.
    off_at: Option<CaptureTime>,
}

impl SyncWord {
    /// One program frame: its inset's excess age.
    pub fn handle(&mut self, excess: Duration, now: CaptureTime) -> Sync {
        if excess > EXCESS_MAX {
            self.over += 1;
            if self.over >= OFF_AFTER || self.off_at.is_some() {
                self.off_at = Some(now);
            }
        } else {
            self.over = 0;
            self.off_at = self.off_at.filter(|&at| now.since(at) < BACK_AFTER);
        }
        if self.off_at.is_some() { Sync::Off } else { Sync::Aligned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(80);

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    /// One whose frames have come up to 100 ms late.
    fn inset(newest: u64) -> Inset {
        let period = Duration::from_millis(33);
        Inset { feed: 1, newest: Some(at(newest)), period, state: FeedState::Live, usual: Duration::from_millis(100) }
    }

    /// In whole ms: NTP's fractions are no round numbers.
    fn ms(t: Option<CaptureTime>) -> Option<u64> {
        t.map(|t| (t.minus_ns(at(0)) as f64 / 1e6).round() as u64)
    }

    fn wait(a: &mut Aligner, t: u64, inset: Inset, now: u64) -> Option<u64> {
        ms(a.wait_until(at(t), BOUND, &[inset], at(now)))
    }

    #[test]
    fn an_inset_whose_next_frame_is_not_due_costs_nothing() {
        let mut a = Aligner::default();
        assert_eq!(wait(&mut a, 1000, inset(980), 1000), None);
        assert_eq!(wait(&mut a, 1000, inset(1005), 1006), None);
    }

    #[test]
    fn a_frame_that_is_due_is_awaited_up_to_the_bound() {
        let mut a = Aligner::default();
        assert_eq!(wait(&mut a, 1000, inset(960), 1001), Some(1080));
        assert_eq!(wait(&mut a, 1000, inset(993), 1010), None, "it came");
        let mut b = Aligner::default();
        assert_eq!(wait(&mut b, 1000, inset(960), 1080), None, "the bound is up");
    }

    #[test]
    fn now_waits_for_nobody() {
        let mut a = Aligner::default();
        assert_eq!(a.wait_until(at(1000), Duration::ZERO, &[inset(960)], at(1001)), None);
    }

    #[test]
    fn a_feed_that_always_came_at_once_is_given_up_soon() {
        let mut a = Aligner::default();
        let prompt = Inset { usual: Duration::from_millis(2), ..inset(965) };
        assert_eq!(wait(&mut a, 1000, prompt, 1001), Some(965 + 33 + 22));
        assert_eq!(wait(&mut a, 1000, prompt, 1021), None, "it died: the main feed is held up by 21 ms, once");
        assert_eq!(wait(&mut a, 1033, prompt, 1034), None);
    }

    #[test]
    fn who_missed_the_bound_is_not_awaited_until_on_time_for_a_second() {
        let mut a = Aligner::default();
        assert_eq!(wait(&mut a, 1000, inset(960), 1080), None, "missed");
        // From now on each frame comes 30 ms after its capture: within the bound, and later than the main feed's.
        let mut awaited = None;
        for k in 1..60u64 {
            let t = 1080 + 33 * k;
            if awaited.is_none() && wait(&mut a, t, inset(t - 35), t + 1).is_some() {
                awaited = Some(t);
            }
            wait(&mut a, t, inset(t), t + 30);
        }
        assert!(awaited.is_some_and(|t| (2080..2150).contains(&t)), "{awaited:?}: the first after a second without lateness");
    }

    #[test]
    fn who_is_late_again_while_excused_is_excused_for_longer() {
        let mut a = Aligner::default();
        assert_eq!(wait(&mut a, 1000, inset(960), 1080), None);
        assert_eq!(wait(&mut a, 1500, inset(1400), 1501), None);
        // The frame for 1500 came at 1600.
        assert_eq!(wait(&mut a, 1600, inset(1590), 1600), None);
        assert_eq!(wait(&mut a, 2400, inset(2360), 2401), None, "late at 1600");
        assert_eq!(wait(&mut a, 2400, inset(2400), 2430), None);
        assert!(wait(&mut a, 2640, inset(2600), 2641).is_some());
    }

    #[test]
    fn lost_and_switched_off_feeds_are_not_awaited() {
        for state in [FeedState::Lost, FeedState::XrayOff, FeedState::Looping] {
            assert_eq!(wait(&mut Aligner::default(), 1000, Inset { state, ..inset(100) }, 1000), None);
        }
        let never = Inset { newest: None, ..inset(0) };
        assert_eq!(wait(&mut Aligner::default(), 1000, never, 1000), None);
    }

    #[test]
    fn of_two_insets_the_first_patience_is_named_and_then_the_other() {
        let mut a = Aligner::default();
        let slow = inset(960);
        let prompt = Inset { feed: 2, usual: Duration::from_millis(2), ..inset(965) };
        assert_eq!(ms(a.wait_until(at(1000), BOUND, &[slow, prompt], at(1001))), Some(1020));
        assert_eq!(ms(a.wait_until(at(1000), BOUND, &[slow, prompt], at(1021))), Some(1080));
    }

    #[test]
    fn an_inset_too_old_is_said_after_three_frames_and_taken_back_after_a_second() {
        let mut word = SyncWord::default();
        let (late, fine) = (Duration::from_millis(50), Duration::ZERO);
        assert_eq!(word.handle(late, at(0)), Sync::Aligned);
        assert_eq!(word.handle(late, at(33)), Sync::Aligned);
        assert_eq!(word.handle(late, at(66)), Sync::Off);
        assert_eq!(word.handle(fine, at(100)), Sync::Off);
        assert_eq!(word.handle(late, at(600)), Sync::Off);
        assert_eq!(word.handle(fine, at(1500)), Sync::Off);
        assert_eq!(word.handle(fine, at(1601)), Sync::Aligned);
    }
}
