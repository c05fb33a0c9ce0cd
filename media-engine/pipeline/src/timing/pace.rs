//! Drift-free schedules: the k-th frame is due at start + k × period, from exact fractions.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;

/// Time between two frames, as an exact fraction of a second: 1001/30000, 1/25, 33/1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    seconds: u64,
    per: u64,
}

impl Period {
    /// `frames` in `seconds`, e.g. 30000 in 1001. `None` when either is zero, the rate is above 240 a second, or below one a minute.
    pub fn from_rate(frames: u64, seconds: u64) -> Option<Self> {
        let sane = frames > 0 && seconds > 0 && frames <= seconds.saturating_mul(240) && seconds <= frames.saturating_mul(60);
        sane.then_some(Period { seconds, per: frames })
    }

    /// One frame each `ns` nanoseconds, within the same limits.
    pub fn from_ns(ns: u64) -> Option<Self> {
        Self::from_rate(1_000_000_000, ns)
    }

    pub const NTSC_30: Period = Period { seconds: 1001, per: 30_000 };
    pub const HZ_15: Period = Period { seconds: 1, per: 15 };
    pub const HZ_25: Period = Period { seconds: 1, per: 25 };
    pub const HZ_30: Period = Period { seconds: 1, per: 30 };

    /// When frame `k` is due after frame 0, to the nanosecond below.
    pub fn at(self, k: u64) -> Duration {
        let ns = u128::from(k) * u128::from(self.seconds) * 1_000_000_000 / u128::from(self.per);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    pub fn duration(self) -> Duration {
        self.at(1)
    }

    /// Frames and seconds, for caps: 30000/1001.
    pub fn rate(self) -> (u64, u64) {
        (self.per, self.seconds)
    }

    /// The last frame due at or before `elapsed` after frame 0.
    fn index_at(self, elapsed: Duration) -> u64 {
        let k = elapsed.as_nanos() * u128::from(self.per) / (u128::from(self.seconds) * 1_000_000_000);
        u64::try_from(k).unwrap_or(u64::MAX)
    }
}

/// Frames that are shown for different times, again and again. Shape: none empty, so that times rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// When each frame of a turn is due; the first at zero.
    due: Vec<Duration>,
    turn: Duration,
}

impl Times {
    /// `each`: how long each frame is shown; a time of zero counts as a millisecond.
    pub fn new(each: impl IntoIterator<Item = Duration>) -> Self {
        let mut turn = Duration::ZERO;
        let mut due = Vec::new();
        for one in each {
            due.push(turn);
            turn += one.max(Duration::from_millis(1));
        }
        Times { due, turn: turn.max(Duration::from_millis(1)) }
    }

    fn at(&self, k: u64) -> Duration {
        let n = self.due.len().max(1) as u64;
        let turns = u32::try_from(k / n).unwrap_or(u32::MAX);
        self.turn.saturating_mul(turns) + self.due.get((k % n) as usize).copied().unwrap_or_default()
    }

    fn index_at(&self, elapsed: Duration) -> u64 {
        let turns = (elapsed.as_nanos() / self.turn.as_nanos()) as u64;
        let within = Duration::from_nanos((elapsed.as_nanos() % self.turn.as_nanos()) as u64);
        turns * self.due.len() as u64 + (self.due.partition_point(|due| *due <= within) as u64).saturating_sub(1)
    }
}

/// A running schedule on the local clock. It never bursts: what could not be kept is skipped, and the grid stays.
#[derive(Debug, Clone)]
pub struct Pace {
    start: CaptureTime,
    period: Period,
    times: Option<Arc<Times>>,
    k: u64,
}

impl Pace {
    pub fn new(start: CaptureTime, period: Period) -> Self {
        Pace { start, period, times: None, k: 0 }
    }

    /// Each frame at its own time instead of one a period.
    pub fn with_times(self, times: Option<Arc<Times>>) -> Self {
        Pace { times, ..self }
    }

    /// Index of the frame that is due next.
    pub fn k(&self) -> u64 {
        self.k
    }

    pub fn due(&self) -> CaptureTime {
        self.start.saturating_add(self.times.as_ref().map_or_else(|| self.period.at(self.k), |times| times.at(self.k)))
    }

    /// Goes on to the next frame. When more than a whole period was missed at `now`, jumps to the newest frame due and
    /// returns how many were skipped.
    pub fn advance(&mut self, now: CaptureTime) -> u64 {
        self.k += 1;
        let elapsed = now.since(self.start);
        let newest_due = self.times.as_ref().map_or_else(|| self.period.index_at(elapsed), |times| times.index_at(elapsed));
        if newest_due > self.k {
            let skipped = newest_due - self.k;
            self.k = newest_due;
            skipped
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t0() -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000))
    }

    #[test]
    fn thirty_thousand_frames_of_29_97_take_exactly_1001_seconds() {
        assert_eq!(Period::NTSC_30.at(30_000), Duration::from_secs(1001));
        assert_eq!(Period::NTSC_30.at(1), Duration::from_nanos(33_366_666));
        assert_eq!(Period::from_ns(33_000_000).expect("sane").at(1000), Duration::from_secs(33));
    }

    #[test]
    fn a_day_of_frames_does_not_drift() {
        let mut pace = Pace::new(t0(), Period::NTSC_30);
        for _ in 0..100_000u64 {
            let due = pace.due();
            assert_eq!(pace.advance(due), 0);
        }
        let error = pace.due().minus_ns(t0().saturating_add(Period::NTSC_30.at(100_000)));
        assert!(error.abs() <= 1, "{error} ns");
    }

    #[test]
    fn a_missed_second_is_skipped_and_the_grid_stays() {
        let mut pace = Pace::new(t0(), Period::HZ_25);
        let skipped = pace.advance(t0().saturating_add(Duration::from_millis(1010)));
        assert_eq!((skipped, pace.k()), (24, 25));
        assert!(pace.due().minus_ns(t0().saturating_add(Duration::from_secs(1))).abs() <= 1);
    }

    #[test]
    fn frames_of_different_length_keep_their_times_turn_by_turn() {
        let each = [33, 50, 33].map(Duration::from_millis);
        let mut pace = Pace::new(t0(), Period::HZ_25).with_times(Some(Arc::new(Times::new(each))));
        let mut due = Vec::new();
        for _ in 0..5 {
            due.push(pace.due().since(t0()).as_secs_f64() * 1000.0);
            assert_eq!(pace.advance(pace.due()), 0);
        }
        assert_eq!(due.iter().map(|ms| ms.round() as u32).collect::<Vec<_>>(), [0, 33, 83, 116, 149]);
        // 1,160 ms are ten turns; 40 ms later the second frame of the next is the newest.
        assert_eq!((pace.advance(t0().saturating_add(Duration::from_millis(1200))), pace.k()), (25, 31));
    }

    #[test]
    fn absurd_rates_are_refused() {
        assert!(Period::from_rate(0, 1).is_none());
        assert!(Period::from_rate(1, 0).is_none());
        assert!(Period::from_rate(1000, 1).is_none());
        assert!(Period::from_ns(0).is_none());
        assert!(Period::from_ns(61_000_000_000).is_none());
    }
}
