//! When a program frame may go out: pictures of one instant side by side, waiting for no one longer than the bound.

use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::FeedState;

/// A feed that missed the bound is not awaited until it was on time for this long.
const EXCUSED_FOR: Duration = Duration::from_secs(1);

/// What the aligner knows of one inset. All times on the case timeline.
#[derive(Debug, Clone, Copy)]
pub struct Inset {
    pub newest: Option<CaptureTime>,
    pub period: Duration,
    pub state: FeedState,
}

/// For a main frame of time t each inset shows its newest frame captured at or before t. The aligner waits only until an
/// inset is known to have no other such frame: it has a later one, or its next is not due by t. At most `bound` after t.
#[derive(Debug, Clone)]
pub struct Aligner {
    bound: Duration,
    /// When each inset was last found late.
    late_at: Vec<Option<CaptureTime>>,
}

impl Aligner {
    pub fn new(bound: Duration, n_insets: usize) -> Self {
        Aligner { bound, late_at: vec![None; n_insets] }
    }

    /// Until when the main frame of time `t` should wait; `None`: compose now. Call again on every change and at that time.
    pub fn wait_until(&mut self, t: CaptureTime, insets: &[Inset], now: CaptureTime) -> Option<CaptureTime> {
        let deadline = t.saturating_add(self.bound);
        let mut wait = false;
        for (inset, late_at) in insets.iter().zip(&mut self.late_at) {
            let live = matches!(inset.state, FeedState::Live | FeedState::Stale);
            let settled = inset.newest.is_none_or(|newest| newest > t || newest.saturating_add(inset.period) > t);
            if !live || settled {
                continue;
            }
            let excused = late_at.is_some_and(|at| now.since(at) < EXCUSED_FOR);
            if excused || now >= deadline {
                *late_at = Some(now);
            } else {
                wait = true;
            }
        }
        wait.then_some(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn inset(newest: u64) -> Inset {
        Inset { newest: Some(at(newest)), period: Duration::from_millis(33), state: FeedState::Live }
    }

    fn aligner() -> Aligner {
        Aligner::new(Duration::from_millis(80), 1)
    }

    #[test]
    fn an_inset_whose_next_frame_is_not_due_costs_nothing() {
        assert_eq!(aligner().wait_until(at(1000), &[inset(980)], at(1000)), None);
        assert_eq!(aligner().wait_until(at(1000), &[inset(1005)], at(1006)), None);
    }

    #[test]
    fn a_frame_that_is_due_is_awaited_up_to_the_bound() {
        let mut a = aligner();
        assert_eq!(a.wait_until(at(1000), &[inset(960)], at(1001)), Some(at(1080)));
        assert_eq!(a.wait_until(at(1000), &[inset(993)], at(1010)), None, "it came");
        let mut b = aligner();
        assert_eq!(b.wait_until(at(1000), &[inset(960)], at(1080)), None, "the bound is up");
    }

    #[test]
    fn who_missed_the_bound_is_not_awaited_until_on_time_for_a_second() {
        let mut a = aligner();
        assert_eq!(a.wait_until(at(1000), &[inset(960)], at(1080)), None);
        assert_eq!(a.wait_until(at(1040), &[inset(990)], at(1041)), None, "excused, and late again");
        assert_eq!(a.wait_until(at(1500), &[inset(1490)], at(1500)), None);
        assert_eq!(a.wait_until(at(1990), &[inset(1940)], at(1990)), None, "still excused, late again at 1990");
        assert!(a.wait_until(at(3000), &[inset(2960)], at(3000)).is_some(), "a second without lateness");
    }

    #[test]
    fn lost_and_switched_off_feeds_are_not_awaited() {
        for state in [FeedState::Lost, FeedState::XrayOff] {
            assert_eq!(aligner().wait_until(at(1000), &[Inset { state, ..inset(100) }], at(1000)), None);
        }
        let never = Inset { newest: None, ..inset(0) };
        assert_eq!(aligner().wait_until(at(1000), &[never], at(1000)), None);
    }
}
