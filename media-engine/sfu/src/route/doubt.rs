//! An estimator that takes the loss of a radio for a full line. WebRTC's, and str0m's after it, once it holds loss to be of its own making gives
//! a line that loses 10 % 2 Mbit/s and one that loses 20 % 0.67, whatever it carries: 100 kbit/s by the loss beyond 5 %. A burst of
//! losses is enough for it. But a line that is full makes packets wait before it loses them: where the round trip is what it was, the
//! estimate of before stands. Pure.

use std::time::{Duration, Instant};

use super::layer::Line;

/// Share lost within the last second from which the estimator may be wrong, and from which a line may be full without anything that waits:
/// one that throws away what is too much (see [`super::collapse`]).
const LOSES: f32 = 0.05;
const HEAVY: f32 = 0.35;
/// Bursts come and go; for so long after one the line is still one that loses.
const LOSES_FOR: Duration = Duration::from_secs(3);
/// Beyond the quickest round trip: something waits. A keyframe does, for a moment.
const WAITS: Duration = Duration::from_millis(60);
const WAITS_LOOKS: u32 = 3;
/// The quickest is of the last 10 to 20 s.
const QUICKEST_FOR: Duration = Duration::from_secs(10);
/// An estimate may sink so far by itself, and one of less than this is of a narrow line: it took a quarter lost to come there by loss.
const SINKS_PERCENT: u64 = 75;
const NARROW_BPS: u64 = 600_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Doubt {
    /// Quickest round trip since then, and of the time before.
    quickest: Option<(Instant, Duration)>,
    before: Option<Duration>,
    /// Looks in a row in which something waited on the way.
    waits: u32,
    lost: Option<Instant>,
    /// The last estimate that was not of loss.
    believed_bps: Option<u64>,
}

impl Doubt {
    /// What stands instead of this estimate, bps, and whether the estimator is to begin anew there. To be called five times a second.
    /// `enough`: an estimate of more needs no doubt, bps.
    pub(crate) fn look(&mut self, now: Instant, line: Line, estimate: u64, enough: u64) -> Option<(u64, bool)> {
        let Some(trip) = line.round_trip else {
            self.believed_bps = None;
            return None;
        };
        let waits = self.waits_on_the_way(now, trip);
        self.waits = if waits { self.waits + 1 } else { 0 };
        let lost = line.lost.unwrap_or(0.0);
        if lost >= LOSES {
            self.lost = Some(now);
        }
        let loses = lost < HEAVY && self.lost.is_some_and(|at| now.saturating_duration_since(at) < LOSES_FOR);
        let before = self.believed_bps.unwrap_or(estimate);
        let sank = before >= NARROW_BPS && estimate.saturating_mul(100) < before.saturating_mul(SINKS_PERCENT);
        if !loses || self.waits >= WAITS_LOOKS || !sank {
            self.believed_bps = Some(if loses && self.waits == 0 { estimate.max(before) } else { estimate });
            return None;
        }
        // While something waits the estimator is left to find out why.
        (estimate < enough).then_some((before, !waits))
    }

    fn waits_on_the_way(&mut self, now: Instant, trip: Duration) -> bool {
        let (since, quickest) = self.quickest.get_or_insert((now, trip));
        *quickest = trip.min(*quickest);
        if now.saturating_duration_since(*since) >= QUICKEST_FOR {
            self.before = Some(*quickest);
            self.quickest = Some((now, trip));
        }
        let quickest = self.quickest.map(|(_, trip)| trip).into_iter().chain(self.before).min();
        quickest.is_some_and(|quickest| trip >= quickest + WAITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;

    const GOOD: u64 = 5_000_000;
    const ENOUGH: u64 = 3_400_000;

    /// Looks five times a second: (lost of the last second, round trip, estimate); what stands in the end of each.
    fn looks(all: impl IntoIterator<Item = (f32, u64, u64)>) -> Vec<u64> {
        let (start, mut doubt) = (some_instant(), Doubt::default());
        let look = |(n, (lost, trip, estimate)): (u64, (f32, u64, u64))| {
            let round_trip = Some(Duration::from_millis(trip));
            let line = Line { lost: Some(lost), round_trip, ..Line::default() };
            let stands = doubt.look(start + Duration::from_millis(n * 200), line, estimate, ENOUGH);
            stands.map_or(estimate, |(bps, _)| bps)
        };
        (0u64..).zip(all).map(look).collect()
    }

    fn of(n: usize, lost: f32, trip: u64, estimate: u64) -> impl Iterator<Item = (f32, u64, u64)> {
        std::iter::repeat_n((lost, trip, estimate), n)
    }

    #[test]
    fn an_estimate_that_sinks_by_loss_alone_is_not_believed_and_stands_again_when_the_losses_are_over() {
        let stands = looks(of(50, 0.0, 62, GOOD).chain(of(100, 0.12, 65, 650_000)).chain(of(50, 0.0, 62, 4_900_000)));
        assert!(stands[..150].iter().all(|bps| *bps == GOOD), "{stands:?}");
        assert_eq!(stands[199], 4_900_000);
        // What is enough is not doubted.
        assert_eq!(looks(of(50, 0.1, 62, GOOD).chain(of(10, 0.1, 62, ENOUGH)))[59], ENOUGH);
    }

    #[test]
    fn a_line_whose_round_trip_grows_with_its_losses_is_full() {
        // A keyframe waits for a look or two, a full line for longer.
        let stands = looks(of(50, 0.1, 62, GOOD).chain(of(2, 0.1, 140, 650_000)).chain(of(10, 0.1, 62, 650_000)));
        assert!(stands.iter().all(|bps| *bps == GOOD), "{stands:?}");
        let stands = looks(of(50, 0.1, 62, GOOD).chain(of(10, 0.1, 300, 650_000)).chain(of(10, 0.1, 62, 650_000)));
        assert!(stands[52..].iter().all(|bps| *bps == 650_000), "{stands:?}");
    }

    #[test]
    fn a_line_that_loses_nothing_or_more_than_any_radio_is_believed() {
        for lost in [0.0, 0.02, 0.4] {
            assert_eq!(looks(of(50, lost, 62, GOOD).chain(of(1, lost, 62, 650_000)))[50], 650_000, "{lost}");
        }
    }

    #[test]
    fn what_a_narrow_line_carries_is_not_doubted() {
        assert_eq!(looks(of(50, 0.1, 62, 400_000).chain(of(1, 0.1, 62, 250_000)))[50], 250_000);
    }

    #[test]
    fn a_line_that_became_longer_is_known_within_twenty_seconds() {
        let longer = of(50, 0.0, 20, GOOD).chain(of(105, 0.1, 120, GOOD)).chain(of(5, 0.1, 120, 650_000));
        assert_eq!(looks(longer)[159], GOOD);
    }

    #[test]
    fn without_a_round_trip_nothing_is_known_of_what_waits() {
        let mut doubt = Doubt::default();
        let line = Line { lost: Some(0.1), ..Line::default() };
        for estimate in [GOOD, 650_000] {
            assert_eq!(doubt.look(some_instant(), line, estimate, ENOUGH), None);
        }
    }
}
