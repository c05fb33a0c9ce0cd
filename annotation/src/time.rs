//! Points in time on the case timeline. No clock in here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds between 1900-01-01 (NTP) and 1970-01-01 (Unix).
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

/// When something happened (for a picture: when the sensor saw it), NTP 32.32: seconds since 1900 in the upper
/// 32 bits, fraction in the lower. On the case timeline unless said otherwise. Zero means *not known*.
/// Source: RFC 5905 §6 (NTP timestamp format).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct CaptureTime(pub u64);

impl CaptureTime {
    pub const UNKNOWN: CaptureTime = CaptureTime(0);

    pub fn is_known(self) -> bool {
        self.0 != 0
    }

    /// `unix`: time since 1970-01-01 UTC.
    pub fn from_unix(unix: Duration) -> Self {
        let seconds = (unix.as_secs() + NTP_UNIX_OFFSET_S) & 0xFFFF_FFFF;
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        CaptureTime(seconds << 32 | fraction)
    }

    /// Time since 1970-01-01 UTC; zero for anything before.
    pub fn to_unix(self) -> Duration {
        let seconds = (self.0 >> 32).saturating_sub(NTP_UNIX_OFFSET_S);
        let nanos = ((self.0 & 0xFFFF_FFFF) * 1_000_000_000 + (1 << 31)) >> 32;
        Duration::new(seconds, 0) + Duration::from_nanos(nanos)
    }

    /// Low 32 bits of Unix time in milliseconds, as burnt into pictures in measuring mode.
    pub fn unix_ms_low32(self) -> u32 {
        (self.to_unix().as_millis() & 0xFFFF_FFFF) as u32
    }

    /// RTP timestamp of this instant: capture time x 90 kHz mod 2^32, the same on every layer of a feed.
    pub fn rtp_90khz(self) -> u32 {
        // (ntp * 90000) >> 32 in 128 bits, then wrapped.
        ((u128::from(self.0) * 90_000) >> 32) as u32
    }

    pub fn saturating_add(self, d: Duration) -> Self {
        CaptureTime(self.0.saturating_add(duration_to_ntp(d)))
    }

    pub fn saturating_sub(self, d: Duration) -> Self {
        CaptureTime(self.0.saturating_sub(duration_to_ntp(d)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: CaptureTime) -> Duration {
        ntp_to_duration(self.0.saturating_sub(earlier.0))
    }

    /// This minus `other`, in nanoseconds, signed.
    pub fn minus_ns(self, other: CaptureTime) -> i64 {
        let raw = self.0 as i128 - other.0 as i128;
        ((raw * 1_000_000_000) >> 32) as i64
    }

    /// This moved by a signed number of nanoseconds.
    pub fn offset_ns(self, ns: i64) -> Self {
        let raw = (i128::from(ns) << 32) / 1_000_000_000;
        CaptureTime((i128::from(self.0) + raw).clamp(0, i128::from(u64::MAX)) as u64)
    }
}

fn duration_to_ntp(d: Duration) -> u64 {
    (d.as_secs() << 32) + ((u64::from(d.subsec_nanos()) << 32) / 1_000_000_000)
}

fn ntp_to_duration(ntp: u64) -> Duration {
    Duration::new(ntp >> 32, 0) + Duration::from_nanos(((ntp & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_survives_the_round_trip_to_a_nanosecond() {
        for ns in [0u64, 1, 33_366_700, 1_790_000_000_123_456_789] {
            let unix = Duration::from_nanos(1_000_000_000 + ns);
            let back = CaptureTime::from_unix(unix).to_unix();
            let error = back.as_nanos().abs_diff(unix.as_nanos());
            assert!(error <= 1, "{ns}: off by {error} ns");
        }
    }

    #[test]
    fn rtp_timestamps_of_one_frame_apart_differ_by_3003() {
        let t0 = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let t1 = t0.saturating_add(Duration::from_nanos(33_366_667));
        assert_eq!(t1.rtp_90khz().wrapping_sub(t0.rtp_90khz()), 3003);
    }

    #[test]
    fn rtp_timestamps_wrap_and_go_on() {
        let mut t = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        for _ in 0..20 {
            let next = t.saturating_add(Duration::from_secs(3600));
            assert_eq!(next.rtp_90khz().wrapping_sub(t.rtp_90khz()), 3600 * 90_000);
            t = next;
        }
    }

    #[test]
    fn signed_differences_have_a_sign() {
        let t0 = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let t1 = t0.offset_ns(-1_500_000_000);
        assert!((t1.minus_ns(t0) + 1_500_000_000).abs() < 2);
        assert_eq!(t1.since(t0), Duration::ZERO);
    }
}
