//! Whether a published feed's camera is to be asked for a keyframe: its packets come, and its decoder makes no picture of them. Pure.

use std::time::Duration;

use annotation::time::CaptureTime;

/// Packets without a picture for so long are of pictures that cannot be decoded.
const DRY_AFTER: Duration = Duration::from_millis(300);
/// And so many pictures' ends among them: a decoder may hold back one or two, of a camera that is slow.
const ENDS: u32 = 3;
/// Between two requests: the second waits so long, each further twice as long, up to the last.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(4);
/// Without a request for so long, the next waits for nothing again.
const FORGIVEN: Duration = Duration::from_secs(10);

/// Of one decoder. No timer: packets carry it, so that a camera that sends nothing is not asked. Times are of one clock that never
/// goes back.
#[derive(Debug, Default)]
pub(super) struct Thirst {
    /// Pictures that the decoder had made when this was last looked at.
    made: u64,
    /// First packet since, and how many pictures have ended.
    dry: Option<(CaptureTime, u32)>,
    asked: Option<CaptureTime>,
    wait: Duration,
}

impl Thirst {
    /// A packet came. `end`: the last of its picture; `made`: pictures that the decoder has made since it began; `broken`: what
    /// came before is missing, so that nothing can be decoded. True: ask now.
    pub(super) fn handle_packet(&mut self, now: CaptureTime, end: bool, made: u64, broken: bool) -> bool {
        if self.made != made {
            self.made = made;
            self.dry = None;
        }
        let (since, ends) = self.dry.get_or_insert((now, 0));
        *ends = ends.saturating_add(u32::from(end));
        let dry = *ends >= ENDS && now.since(*since) >= DRY_AFTER;
        (dry || broken) && self.may_ask(now)
    }

    fn may_ask(&mut self, now: CaptureTime) -> bool {
        self.wait = match self.asked.map(|at| now.since(at)) {
            Some(since) if since < self.wait => return false,
            Some(since) if since < FORGIVEN => (self.wait * 2).min(WAIT_MAX),
            _ => WAIT,
        };
        self.asked = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hair more, so that rounding makes no difference.
    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).saturating_add(Duration::from_micros(ms * 1_000 + ms / 10))
    }

    /// When it asks, in ms. A packet every 10 ms from 0 on, the end of a picture with every `ends_every`-th; `made`: pictures by then.
    fn asks(until: u64, ends_every: u64, made: impl Fn(u64) -> u64, broken: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut thirst = Thirst::default();
        let packets = (0..until / 10).map(|n| (n, n * 10));
        packets
            .filter(|(n, ms)| thirst.handle_packet(at(*ms), n % ends_every == 0, made(*ms), broken(*ms)))
            .map(|p| p.1)
            .collect()
    }

    #[test]
    fn a_decoder_that_never_makes_a_picture_asks_ever_more_rarely() {
        assert_eq!(asks(20_000, 3, |_| 0, |_| false), [300, 800, 1_800, 3_800, 7_800, 11_800, 15_800, 19_800]);
    }

    #[test]
    fn one_that_makes_pictures_does_not_ask_and_one_that_stops_does() {
        assert_eq!(asks(20_000, 3, |ms| ms / 33, |_| false), [0; 0]);
        let stops = |ms: u64| ms.min(5_000) / 33;
        assert_eq!(asks(6_000, 3, stops, |_| false), [5_290, 5_790]);
        let heals = |ms: u64| if (5_000..5_600).contains(&ms) { 5_000 / 33 } else { ms / 33 };
        assert_eq!(asks(20_000, 3, heals, |_| false), [5_290], "healed: no more");
    }

    #[test]
    fn a_slow_camera_whose_decoder_is_two_pictures_behind_is_not_asked() {
        // 2 pictures a second.
        assert_eq!(asks(20_000, 50, |ms| (ms / 500).saturating_sub(1), |_| false), [0; 0]);
    }

    #[test]
    fn what_is_known_to_be_broken_is_asked_for_at_once_and_long_after_at_once_again() {
        let made = |ms: u64| ms / 33;
        assert_eq!(asks(20_000, 3, made, |ms| [0, 100, 700, 18_000].contains(&ms)), [0, 700, 18_000]);
        let every = asks(60_000, 3, made, |_| true);
        assert!(every.len() <= 18, "every packet broken: {}", every.len());
    }

    #[test]
    fn a_camera_that_sends_nothing_is_not_asked() {
        let mut thirst = Thirst::default();
        assert!(!thirst.handle_packet(at(0), true, 0, false));
        assert!(!thirst.handle_packet(at(60_000), false, 0, false), "one packet is no picture");
    }
}
