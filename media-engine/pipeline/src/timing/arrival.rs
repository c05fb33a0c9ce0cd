//! When a picture that came over a network was captured, as far as can be told. Pure.
//!
//! A sender numbers its pictures by a clock of its own, evenly; they come unevenly. The one that came fastest of late had the least
//! delay: all are taken to have been captured as much before they came as that one (sliding minimum of arrival minus
//! sender's time). So jitter is taken out, a sender whose clock is a little fast or slow is followed, and no picture is said to be younger
//! than it is.

use std::collections::VecDeque;
use std::time::Duration;

use annotation::time::CaptureTime;

/// How far back the fastest picture may lie: a clock 200 ppm slow is then 2 ms off at most.
const WINDOW: Duration = Duration::from_secs(10);
/// A jump of the sender's clock against ours by more than this is another life of it.
const JUMP: Duration = Duration::from_secs(1);
/// Between two pictures, at least.
const STEP_MIN: Duration = Duration::from_micros(100);
/// Sender's NTP times further from ours than this are not believed.
const BELIEVED: Duration = Duration::from_secs(10);
const AHEAD_MAX: Duration = Duration::from_millis(500);

/// Makes capture times, on the local clock, of arrivals.
#[derive(Debug, Clone, Default)]
pub struct ArrivalClock {
    /// (arrival, arrival minus sender's time in ns), offsets rising: the first is the least of the window.
    least: VecDeque<(CaptureTime, i64)>,
    last: Option<CaptureTime>,
}

impl ArrivalClock {
    /// `sent_ns`: on the sender's clock, from any start. `arrived`: local clock, rising. Returns a capture time not after `arrived`
    /// that rises strictly (but for another life of the sender's clock).
    pub fn capture(&mut self, sent_ns: i64, arrived: CaptureTime) -> CaptureTime {
        let arrived_ns = arrived.minus_ns(CaptureTime(0));
        let offset = arrived_ns.wrapping_sub(sent_ns);
        if self.least.front().is_some_and(|(_, least)| offset.abs_diff(*least) > JUMP.as_nanos() as u64) {
            self.least.clear();
        }
        while self.least.back().is_some_and(|(_, other)| *other >= offset) {
            self.least.pop_back();
        }
        self.least.push_back((arrived, offset));
        while self.least.front().is_some_and(|(at, _)| arrived.since(*at) > WINDOW) {
            self.least.pop_front();
        }
        let least = self.least.front().map_or(offset, |(_, least)| *least);
        self.rising(arrived.offset_ns(least.wrapping_sub(offset)), arrived)
    }

    /// Of a source that says itself how long ago a picture was captured.
    pub fn aged(&mut self, age_ns: i64, arrived: CaptureTime) -> CaptureTime {
        let age = if age_ns < BELIEVED.as_nanos() as i64 { age_ns.max(0) } else { 0 };
        self.rising(arrived.offset_ns(-age), arrived)
    }

    /// Of a sender whose clock is believed: its own time, where it is near ours.
    pub fn believed(&mut self, sent: CaptureTime, arrived: CaptureTime) -> Option<CaptureTime> {
        let sane = arrived.since(sent) < BELIEVED && sent.since(arrived) < AHEAD_MAX;
        sane.then(|| self.rising(sent.min(arrived), arrived))
    }

    fn rising(&mut self, capture: CaptureTime, arrived: CaptureTime) -> CaptureTime {
        let after = self.last.map_or(capture, |last| capture.max(last.saturating_add(STEP_MIN)));
        // Never in the future, whatever came before.
        let capture = if after <= arrived { after } else { capture.min(arrived) };
        self.last = Some(capture);
        capture
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn at(us: i64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).offset_ns(us * 1000)
    }

    /// A sender of 30 a second whose clock runs `ppm` fast, 20 ms away, with up to 15 ms of jitter. Errors of capture, us.
    fn errors(ppm: i64, pictures: i64) -> Vec<i64> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let mut clock = ArrivalClock::default();
        let mut last = at(0);
        (0..pictures)
            .map(|k| {
                let sensor = k * 33_333;
                let jitter = if random.random_bool(0.2) { 0 } else { random.random_range(0..15_000) };
                let arrived = at(sensor + 20_000 + jitter).max(last.offset_ns(1000));
                last = arrived;
                let sent_ns = (sensor + sensor * ppm / 1_000_000) * 1000 + 123_456_789;
                clock.capture(sent_ns, arrived).minus_ns(at(sensor + 20_000)) / 1000
            })
            .collect()
    }

    #[test]
    fn jitter_is_taken_out_and_what_is_left_is_the_shortest_way() {
        let errors = errors(0, 1000);
        assert!(errors[30..].iter().all(|e| e.abs() < 100), "{:?}", errors[30..].iter().max());
    }

    #[test]
    fn a_sender_200_ppm_fast_or_slow_for_an_hour_is_followed() {
        for ppm in [-200, 200] {
            let errors = errors(ppm, 108_000);
            let worst = errors[300..].iter().map(|e| e.abs()).max().expect("many");
            assert!(worst < 2_700, "{ppm} ppm: {worst} us");
        }
    }

    #[test]
    fn a_sender_that_starts_anew_is_believed_at_once() {
        let mut clock = ArrivalClock::default();
        for k in 0..100 {
            clock.capture(k * 33_000_000, at(k * 33_000));
        }
        let arrived = at(5_000_000);
        assert!(clock.capture(0, arrived).minus_ns(arrived).abs() < 1000);
    }

    #[test]
    fn captures_rise_and_are_never_later_than_the_arrival() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let (mut clock, mut last, mut arrived) = (ArrivalClock::default(), None, at(0));
        for _ in 0..10_000 {
            arrived = arrived.offset_ns(random.random_range(200_000..50_000_000));
            let capture = clock.capture(random.random_range(0..900_000_000), arrived);
            assert!(capture <= arrived);
            assert!(last.is_none_or(|last| capture > last), "rises");
            last = Some(capture);
        }
    }

    #[test]
    fn a_sender_far_from_our_time_is_not_believed() {
        let mut clock = ArrivalClock::default();
        assert_eq!(clock.believed(at(0), at(30_000)), Some(at(0)));
        assert_eq!(clock.believed(at(40_000), at(35_000)), Some(at(35_000)), "a little ahead of us");
        assert_eq!(clock.believed(at(60_000_000), at(70_000)), None);
        assert_eq!(clock.believed(at(0), at(60_000_000)), None);
        assert_eq!(clock.aged(5_000_000, at(100_000)), at(95_000));
        assert_eq!(clock.aged(-5, at(200_000)), at(200_000));
    }
}
