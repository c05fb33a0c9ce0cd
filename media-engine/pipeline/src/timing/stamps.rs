//! Program timestamps that increase strictly, whatever the sources do.

use std::time::Duration;

use annotation::time::CaptureTime;

/// A step back by more than this is a new timeline, not a late frame.
const NEW_TIMELINE: Duration = Duration::from_secs(5);

/// Gives each program frame a capture time whose RTP timestamp is later than the one before. When the main feed
/// returns after a timer ran the program, its first captures may lie behind; they are moved up by single ticks.
#[derive(Debug, Clone, Default)]
pub struct StrictStamps {
    last: Option<CaptureTime>,
}

impl StrictStamps {
    pub fn new() -> Self {
        Self::default()
    }

    /// `capture` itself, or the least later time with another RTP timestamp than the frame before.
    pub fn stamp(&mut self, capture: CaptureTime) -> CaptureTime {
        let mut stamped = capture;
        if let Some(last) = self.last
            && last.since(capture) < NEW_TIMELINE
            && (capture <= last || capture.rtp_90khz() == last.rtp_90khz())
        {
            // 11.2 us is a little more than one tick of 90 kHz.
            stamped = last.saturating_add(Duration::from_nanos(11_200));
        }
        self.last = Some(stamped);
        stamped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_micros(us))
    }

    #[test]
    fn a_frame_from_the_past_moves_up_by_one_tick() {
        let mut stamps = StrictStamps::new();
        let mut last = stamps.stamp(at(100_000)).rtp_90khz();
        for us in [60_000, 100_000, 100_001, 100_050, 140_000] {
            let ts = stamps.stamp(at(us)).rtp_90khz();
            let step = ts.wrapping_sub(last) as i32;
            assert!(step > 0, "{us}: {step}");
            assert!(us == 140_000 || step <= 2, "{us}: {step}");
            last = ts;
        }
    }

    #[test]
    fn ordinary_captures_pass_unchanged() {
        let mut stamps = StrictStamps::new();
        for k in 0..100 {
            assert_eq!(stamps.stamp(at(k * 33_366)), at(k * 33_366));
        }
    }

    #[test]
    fn a_new_timeline_far_behind_is_taken_as_it_is() {
        let mut stamps = StrictStamps::new();
        stamps.stamp(at(100_000_000));
        assert_eq!(stamps.stamp(at(1)), at(1));
    }
}
