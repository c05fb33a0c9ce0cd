//! Is a feed live, switched off, looping, late or gone? Pure: told what came and when, and what time it is.
//!
//! Two things are told apart that look alike on glass: a fluoroscopy whose X-ray is off (its last image is held by design, and
//! the signal runs on), and a feed whose signal is gone. Silence alone is never *X-ray off*, except of a feed that is configured so
//! (`xray = "gaps"`), and there only as long as its source does not say that it failed.

use std::collections::VecDeque;
use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::FeedState;

/// A feed is stale when nothing came of it for this long or three periods, the larger.
const STALE_MIN: Duration = Duration::from_millis(250);
/// A feed is lost when nothing came for this long (or a little more than its stale bound, for the slowest feeds).
const LOST: Duration = Duration::from_millis(500);
/// Intervals from which a feed's own cadence is taken, and how many it needs at least.
const INTERVALS: usize = 9;
const INTERVALS_MIN: usize = 4;
const PERIOD_MAX: Duration = Duration::from_secs(1);

/// X-ray, as far as a source, its signal or its pictures tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beam {
    On,
    Off,
}

pub fn stale_after(period: Duration) -> Duration {
    (period * 3).max(STALE_MIN)
}

pub fn lost_after(period: Duration) -> Duration {
    LOST.max(stale_after(period))
}

/// What is known of a feed. Times on the case timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// When the source last delivered anything, a repeated picture too.
    pub heard: Option<CaptureTime>,
    /// `None`: not an X-ray feed, or nothing is known.
    pub beam: Option<Beam>,
    /// A pause of this feed's signal means that X-ray is off.
    pub gaps: bool,
    /// The source says itself that it failed.
    pub failed: bool,
    /// It plays what was captured before.
    pub looping: bool,
}

/// State of a feed with this cadence.
pub fn state(signs: Signs, period: Duration, now: CaptureTime) -> FeedState {
    let Some(heard) = signs.heard else { return FeedState::Lost };
    let silence = now.since(heard);
    let late = if silence > lost_after(period) {
        FeedState::Lost
    } else if silence > stale_after(period) {
        FeedState::Stale
    } else if signs.beam == Some(Beam::Off) {
        return FeedState::XrayOff;
    } else if signs.looping {
        return FeedState::Looping;
    } else {
        return FeedState::Live;
    };
    if signs.gaps && !signs.failed { FeedState::XrayOff } else { late }
}

/// Learns a feed's own cadence from when its pictures come: a source may change its rate, and pulsed fluoroscopy does.
#[derive(Debug, Clone, Default)]
pub struct Cadence {
    last: Option<CaptureTime>,
    intervals: VecDeque<Duration>,
}

impl Cadence {
    pub fn handle(&mut self, at: CaptureTime) {
        if let Some(last) = self.last.replace(at) {
            let interval = at.since(last);
            // A pause is no cadence.
            if !interval.is_zero() && interval <= PERIOD_MAX {
                if self.intervals.len() == INTERVALS {
                    self.intervals.pop_front();
                }
                self.intervals.push_back(interval);
            }
        }
    }

    /// The middle one of the last intervals; `declared` until there are enough of them.
    pub fn period(&self, declared: Duration) -> Duration {
        if self.intervals.len() < INTERVALS_MIN {
            return declared;
        }
        let mut sorted: Vec<Duration> = self.intervals.iter().copied().collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    /// The longest of the last intervals; `None` until there are enough of them.
    pub fn longest(&self) -> Option<Duration> {
        self.intervals.iter().max().copied().filter(|_| self.intervals.len() >= INTERVALS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn heard(ms: u64) -> Signs {
        Signs { heard: Some(at(ms)), ..Signs::default() }
    }

    #[test]
    fn a_feed_of_25_a_second_is_stale_after_250_ms_and_lost_after_500() {
        let period = Duration::from_millis(40);
        for (age, want) in [
            (0, FeedState::Live),
            (249, FeedState::Live),
            (251, FeedState::Stale),
            (499, FeedState::Stale),
            (501, FeedState::Lost),
        ] {
            assert_eq!(state(heard(1000), period, at(1000 + age)), want, "{age} ms");
        }
    }

    #[test]
    fn each_cadence_has_its_own_deadlines() {
        for (rate, stale, lost) in [(60.0, 250, 500), (30.0, 250, 500), (15.0, 250, 500), (7.5, 400, 500), (1.0, 3000, 3000)] {
            let period = Duration::from_secs_f64(1.0 / rate);
            assert_eq!(state(heard(0), period, at(stale - 1)), FeedState::Live, "{rate}");
            let late = if stale == lost { FeedState::Lost } else { FeedState::Stale };
            assert_eq!(state(heard(0), period, at(stale + 1)), late, "{rate}");
            assert_eq!(state(heard(0), period, at(lost + 1)), FeedState::Lost, "{rate}");
        }
    }

    #[test]
    fn a_feed_without_a_frame_is_lost_never_live() {
        for signs in [Signs::default(), Signs { gaps: true, ..Signs::default() }] {
            assert_eq!(state(signs, Duration::from_millis(40), at(0)), FeedState::Lost);
        }
    }

    #[test]
    fn a_frame_from_the_near_future_is_live() {
        assert_eq!(state(heard(10), Duration::from_millis(40), at(0)), FeedState::Live);
    }

    #[test]
    fn x_ray_off_needs_a_signal_that_runs_on() {
        let period = Duration::from_millis(66);
        let off = Signs { beam: Some(Beam::Off), ..heard(10_000) };
        assert_eq!(state(off, period, at(10_100)), FeedState::XrayOff);
        assert_eq!(state(off, period, at(10_300)), FeedState::Stale, "the signal went, too");
        assert_eq!(state(off, period, at(10_600)), FeedState::Lost);
    }

    #[test]
    fn silence_is_x_ray_off_only_where_it_is_configured_and_the_source_did_not_fail() {
        let period = Duration::from_millis(66);
        let gaps = Signs { gaps: true, ..heard(0) };
        assert_eq!(state(gaps, period, at(100)), FeedState::Live);
        assert_eq!(state(gaps, period, at(260)), FeedState::XrayOff);
        assert_eq!(state(gaps, period, at(600_000)), FeedState::XrayOff);
        assert_eq!(state(Signs { failed: true, ..gaps }, period, at(600)), FeedState::Lost);
        assert_eq!(state(heard(0), period, at(600)), FeedState::Lost, "not configured");
    }

    #[test]
    fn what_loops_is_never_live_and_can_be_lost() {
        let looping = Signs { looping: true, ..heard(0) };
        assert_eq!(state(looping, Duration::from_millis(66), at(50)), FeedState::Looping);
        assert_eq!(state(looping, Duration::from_millis(66), at(900)), FeedState::Lost);
    }

    #[test]
    fn the_cadence_follows_a_source_that_changes_its_rate_and_forgets_its_pauses() {
        let mut cadence = Cadence::default();
        let declared = Duration::from_millis(33);
        let mut t = 0;
        for _ in 0..3 {
            cadence.handle(at(t));
            t += 133;
        }
        assert_eq!(cadence.period(declared), declared, "too little is known");
        for _ in 0..12 {
            cadence.handle(at(t));
            t += 133;
        }
        assert!(cadence.period(declared).abs_diff(Duration::from_millis(133)) < Duration::from_millis(1));
        t += 60_000;
        for _ in 0..12 {
            cadence.handle(at(t));
            t += 16;
        }
        assert!(cadence.period(declared).abs_diff(Duration::from_millis(16)) < Duration::from_millis(1));
    }
}
