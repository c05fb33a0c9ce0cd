//! How long a viewer's browser is told to hold pictures before it shows them (the playout-delay extension). Pure.
//!
//! Who guides is shown each picture as soon as it is decoded: what he asks for is still what the operator is doing. Where the
//! line loses packets that picture stands still whenever a repair is lost too, so there he is given one round trip, in which
//! a lost packet is asked for and comes: the first repair is then never seen, the second is short. Who only watches is given
//! a steady picture at a tenth of a second more. Both bounds are told alike, so that what the browser adds by itself for a
//! while goes again and the delay does not grow over hours.

use std::time::Duration;

/// Smoothed loss above which repairs that are lost too are felt: at 2 % one in 25 s; and below which they are rare again.
const LOSSY: f32 = 0.02;
const CLEAN: f32 = 0.01;
/// Above this a repair that is lost too comes up every few minutes; below, what is sent again is next to nothing.
const LOSES: f32 = 0.005;
/// Weight of a new report, of one a second.
const NEW: f32 = 0.25;
/// A round trip that is not known yet.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// Longer and the picture is of another moment; shorter repairs nothing.
const REPAIR: std::ops::RangeInclusive<Duration> = Duration::from_millis(40)..=Duration::from_millis(250);
/// A round trip that changes by less leaves the delay as it is: each change is seen as a picture that hurries or waits.
const STEADY: Duration = Duration::from_millis(20);
/// What a viewer who only watches is given beyond that.
const SMOOTH: Duration = Duration::from_millis(100);
/// The extension counts in hundredths of a second.
const STEP_MS: u128 = 10;

/// Of one viewer's line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Playout {
    loss: f32,
    /// Given for repairs.
    repair: Duration,
}

impl Playout {
    /// A report on the line, about once a second.
    pub(crate) fn handle_report(&mut self, rtt: Option<Duration>, loss: Option<f32>) {
        let Some(loss) = loss.filter(|l| l.is_finite()) else { return };
        self.loss += NEW * (loss.clamp(0.0, 1.0) - self.loss);
        let lossy = if self.repair.is_zero() { self.loss >= LOSSY } else { self.loss >= CLEAN };
        let wanted = rtt.unwrap_or(RTT_UNKNOWN).clamp(*REPAIR.start(), *REPAIR.end());
        if !lossy {
            self.repair = Duration::ZERO;
        } else if self.repair.abs_diff(wanted) >= STEADY {
            self.repair = wanted;
        }
    }

    /// The line loses enough for repairs to be lost too.
    pub(crate) fn loses(&self) -> bool {
        self.loss >= LOSES
    }

    /// What to say with each packet, in hundredths of a second. `smooth`: of one who only watches.
    pub(crate) fn hundredths(&self, smooth: bool) -> u64 {
        let held = self.repair + if smooth { SMOOTH } else { Duration::ZERO };
        held.as_millis().div_ceil(STEP_MS) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(62));

    fn after(reports: &[(usize, f32)]) -> Playout {
        let mut playout = Playout::default();
        for (n, loss) in reports {
            for _ in 0..*n {
                playout.handle_report(RTT, Some(*loss));
            }
        }
        playout
    }

    #[test]
    fn who_guides_over_a_clean_line_waits_for_nothing() {
        assert_eq!(Playout::default().hundredths(false), 0);
        assert_eq!(after(&[(100, 0.0)]).hundredths(false), 0);
        // What a radio loses by itself, and one bad second.
        assert_eq!(after(&[(100, 0.008)]).hundredths(false), 0);
        assert_eq!(after(&[(60, 0.0), (1, 0.07)]).hundredths(false), 0);
    }

    #[test]
    fn a_lossy_line_is_given_one_round_trip_within_seconds_and_back_when_it_is_clean() {
        assert_eq!(after(&[(60, 0.0), (3, 0.05)]).hundredths(false), 7, "62 ms, and never less");
        assert_eq!(after(&[(60, 0.05), (5, 0.0)]).hundredths(false), 7, "not at once");
        assert_eq!(after(&[(60, 0.05), (8, 0.0)]).hundredths(false), 0);
    }

    #[test]
    fn loss_that_swings_about_the_bound_does_not_make_the_picture_hurry_and_wait() {
        let mut playout = Playout::default();
        let mut changes = 0;
        let mut before = 0;
        for n in 0..600 {
            playout.handle_report(Some(Duration::from_millis(60 + n % 15)), Some(if n % 2 == 0 { 0.0 } else { 0.035 }));
            changes += u32::from(std::mem::replace(&mut before, playout.hundredths(false)) != before);
        }
        assert!(changes <= 2, "{changes} changes in ten minutes");
    }

    #[test]
    fn who_only_watches_has_a_tenth_of_a_second_more() {
        assert_eq!(Playout::default().hundredths(true), 10);
        assert_eq!(after(&[(20, 0.05)]).hundredths(true), 17);
    }

    #[test]
    fn a_long_or_unknown_round_trip_has_bounds() {
        let mut playout = Playout::default();
        for _ in 0..20 {
            playout.handle_report(Some(Duration::from_secs(3)), Some(0.1));
        }
        assert_eq!(playout.hundredths(false), 25);
        let mut playout = Playout::default();
        for _ in 0..20 {
            playout.handle_report(None, Some(0.1));
        }
        assert_eq!(playout.hundredths(false), 10);
        playout.handle_report(None, Some(f32::NAN));
        playout.handle_report(None, None);
        assert_eq!(playout.hundredths(false), 10);
    }
}
