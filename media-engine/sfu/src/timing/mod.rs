//! RTP timestamps to capture times.

pub(crate) mod normalise;

use annotation::time::CaptureTime;

/// Capture time in ticks of 90 kHz since 1900.
fn ticks_of(time: CaptureTime) -> i64 {
    ((u128::from(time.0) * 90_000) >> 32) as i64
}

/// The first capture time of a tick, so that rounding down again gives the same tick.
fn of_ticks(ticks: i64) -> CaptureTime {
    let ntp = (u128::try_from(ticks).unwrap_or(0) << 32).div_ceil(90_000);
    CaptureTime(u64::try_from(ntp).unwrap_or(u64::MAX))
}

/// Extends an RTP timestamp of ours (capture time x 90 kHz mod 2^32) to the capture time nearest to `near`, which must be
/// within 6.6 h of it. The result maps back to exactly `rtp`.
pub(crate) fn capture_of(rtp: u32, near: CaptureTime) -> CaptureTime {
    let near = ticks_of(near);
    of_ticks(near + i64::from(rtp.wrapping_sub(near as u32) as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_timestamp_comes_back_to_its_own_capture_time() {
        let now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        for ms in [0u64, 1, 33, 500, 60_000, 6 * 3_600_000] {
            for capture in [now.saturating_sub(Duration::from_millis(ms)), now.saturating_add(Duration::from_millis(ms))] {
                let back = capture_of(capture.rtp_90khz(), now);
                assert_eq!(back.rtp_90khz(), capture.rtp_90khz(), "{ms} ms");
                assert!(back.minus_ns(capture).abs() <= 11_112, "{ms} ms: off by {} ns", back.minus_ns(capture));
            }
        }
    }

    #[test]
    fn a_wrap_between_now_and_the_frame_is_seen() {
        // Find an instant just after the 90 kHz clock wrapped.
        let mut now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        now = now.saturating_add(Duration::from_millis(u64::from(u32::MAX - now.rtp_90khz()) / 90 + 20));
        assert!(now.rtp_90khz() < 90_000);
        let before = now.saturating_sub(Duration::from_millis(100));
        assert!(before.rtp_90khz() > now.rtp_90khz());
        assert!(capture_of(before.rtp_90khz(), now).minus_ns(before).abs() <= 11_112);
    }
}
