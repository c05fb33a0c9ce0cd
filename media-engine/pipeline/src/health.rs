//! Is a feed live, late or gone? Pure: told when frames came and what time it is.

use std::time::Duration;

use annotation::time::CaptureTime;
use link::frame::FeedState;

/// A feed is stale when its newest frame is older than this or three periods, the larger.
const STALE_MIN: Duration = Duration::from_millis(250);
/// A feed is lost when nothing came for this long (or a little more than its stale bound, for the slowest feeds).
const LOST: Duration = Duration::from_millis(500);

pub fn stale_after(period: Duration) -> Duration {
    (period * 3).max(STALE_MIN)
}

pub fn lost_after(period: Duration) -> Duration {
    LOST.max(stale_after(period))
}

/// State of a feed whose newest frame was captured at `newest` (`None`: none yet), with this cadence.
pub fn state(newest: Option<CaptureTime>, period: Duration, now: CaptureTime) -> FeedState {
    let Some(newest) = newest else { return FeedState::Lost };
    let age = now.since(newest);
    if age > lost_after(period) {
        FeedState::Lost
    } else if age > stale_after(period) {
        FeedState::Stale
    } else {
        FeedState::Live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
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
            assert_eq!(state(Some(at(1000)), period, at(1000 + age)), want, "{age} ms");
        }
    }

    #[test]
    fn a_slow_feed_has_three_periods() {
        let period = Duration::from_millis(133);
        assert_eq!(state(Some(at(0)), period, at(390)), FeedState::Live);
        assert_eq!(state(Some(at(0)), period, at(410)), FeedState::Stale);
        assert_eq!(state(Some(at(0)), Duration::from_secs(1), at(2900)), FeedState::Live);
        assert_eq!(state(Some(at(0)), Duration::from_secs(1), at(3100)), FeedState::Lost);
    }

    #[test]
    fn a_feed_without_a_frame_is_lost_never_live() {
        assert_eq!(state(None, Duration::from_millis(40), at(0)), FeedState::Lost);
    }

    #[test]
    fn a_frame_from_the_near_future_is_live() {
        assert_eq!(state(Some(at(10)), Duration::from_millis(40), at(0)), FeedState::Live);
    }
}
