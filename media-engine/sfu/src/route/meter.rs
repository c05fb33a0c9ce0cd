//! How much a layer costs: bits per second, the dearest of the last seconds.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);
/// Windows that are remembered: a calm moment does not make a layer cheap.
const WINDOWS: usize = 4;
/// What each packet costs besides its payload: RTP header and extensions 32, SRTP tag 16, UDP and IPv4 28 bytes.
const HEADERS_BYTES: u64 = 76;

/// Rate of one layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    began: Option<Instant>,
    bytes: u64,
    /// Full windows, newest last; at most [`WINDOWS`].
    windows: [u64; WINDOWS],
    full: usize,
}

impl Meter {
    pub(crate) fn handle_packet(&mut self, now: Instant, payload: usize) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= WINDOW * 2 {
            // A layer that was not sent: what it cost before says little.
            *self = Meter { began: Some(now), ..Meter::default() };
        } else if passed >= WINDOW {
            self.windows.rotate_left(1);
            self.windows[WINDOWS - 1] = self.bytes * 8_000 / (passed.as_millis().max(1) as u64);
            self.full = (self.full + 1).min(WINDOWS);
            self.began = Some(now);
            self.bytes = 0;
        }
        self.bytes += payload as u64 + HEADERS_BYTES;
    }

    /// `None`: not sent, or not for long enough.
    pub(crate) fn bps(&self, now: Instant) -> Option<u64> {
        let began = self.began.filter(|_| self.full > 0)?;
        if now.saturating_duration_since(began) >= WINDOW * 2 {
            return None;
        }
        self.windows.iter().max().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_of_the_last_seconds_counts_and_silence_forgets() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let at = |ms| start + Duration::from_millis(ms);
        for ms in 0..5_000 {
            // 1,000 bytes with headers a millisecond, for a second; then a tenth of that.
            if ms < 1_000 || ms % 10 == 0 {
                meter.handle_packet(at(ms), 924);
            }
        }
        let bps = meter.bps(at(5_000)).expect("measured");
        assert!((7_500_000..=8_100_000).contains(&bps), "{bps}");
        for ms in 5_000..8_000 {
            if ms % 10 == 0 {
                meter.handle_packet(at(ms), 924);
            }
        }
        let bps = meter.bps(at(8_000)).expect("measured");
        assert!((700_000..=850_000).contains(&bps), "{bps}");
        assert_eq!(meter.bps(at(20_000)), None);
        assert_eq!(Meter::default().bps(start), None);
    }
}
