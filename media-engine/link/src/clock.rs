//! Steering a local clock to the case timeline by four timestamps. The same rule runs in the browser
//! (`web-client/src/core/clock.ts`); vectors: `vectors/clock.json`.
//!
//! The first exchange of a connection sets the offset at once; from then on it is slewed by at most
//! [`SLEW_PPM_MAX`], so that no age ever jumps. Among recent exchanges the one with the shortest round trip is
//! believed most: a queue only ever adds to it. Source: RFC 5905 §8 (on-wire protocol), §10 (clock filter).

use std::collections::VecDeque;

use annotation::time::CaptureTime;

/// Fastest steering after the first exchange.
pub const SLEW_PPM_MAX: i64 = 500;
/// Exchanges that the filter remembers: at one a second, 8 s.
const FILTER_LENGTH: usize = 8;

/// Maps a local clock to the case timeline. Both are NTP 32.32; the local one may have any epoch, but must be monotone.
#[derive(Debug, Clone, Default)]
pub struct ClockMap {
    /// (offset ns, round trip ns) of the last exchanges, oldest first.
    recent: VecDeque<(i64, i64)>,
    /// Offset in force at `steered_at`, and where it is going.
    offset_ns: i64,
    target_ns: i64,
    rtt_ns: i64,
    steered_at: Option<CaptureTime>,
}

impl ClockMap {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one exchange. `t1` sent and `t4` received on the local clock, `t2` received and `t3` sent on the timeline.
    /// Impossible quadruples (negative round trip) are ignored and return false.
    pub fn handle_exchange(&mut self, t1: CaptureTime, t2: CaptureTime, t3: CaptureTime, t4: CaptureTime) -> bool {
        let rtt = t4.minus_ns(t1) - t3.minus_ns(t2);
        if t4 < t1 || t3 < t2 || rtt < 0 {
            return false;
        }
        // Half of the sum, written as a mean of two differences so that it cannot overflow.
        let offset = t2.minus_ns(t1) / 2 + t3.minus_ns(t4) / 2;
        if self.recent.len() == FILTER_LENGTH {
            self.recent.pop_front();
        }
        self.recent.push_back((offset, rtt));
        let (best_offset, best_rtt) = self.recent.iter().copied().min_by_key(|&(_, rtt)| rtt).unwrap_or((offset, rtt));
        match self.steered_at {
            None => self.offset_ns = best_offset,
            Some(_) => self.offset_ns = self.offset_at(t4),
        }
        self.target_ns = best_offset;
        self.rtt_ns = best_rtt;
        self.steered_at = Some(t4);
        true
    }

    /// The case timeline's time at `local`; `None` before the first exchange.
    pub fn to_timeline(&self, local: CaptureTime) -> Option<CaptureTime> {
        self.steered_at?;
        Some(local.offset_ns(self.offset_at(local)))
    }

    /// Half the round trip of the best exchange: how wrong `to_timeline` can be by an uneven path.
    pub fn uncertainty_ns(&self) -> Option<i64> {
        self.steered_at.map(|_| self.rtt_ns / 2)
    }

    fn offset_at(&self, local: CaptureTime) -> i64 {
        let Some(steered_at) = self.steered_at else { return 0 };
        let elapsed = local.minus_ns(steered_at).max(0);
        let allowed = (elapsed / 1_000_000).saturating_mul(SLEW_PPM_MAX);
        self.offset_ns + (self.target_ns - self.offset_ns).clamp(-allowed, allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    /// Local clock is `ahead_ms` before the timeline; path takes `out` and `back` ms.
    fn exchange(map: &mut ClockMap, local_ms: u64, ahead_ms: u64, out: u64, back: u64) -> bool {
        map.handle_exchange(at(local_ms), at(local_ms + ahead_ms + out), at(local_ms + ahead_ms + out), at(local_ms + out + back))
    }

    #[test]
    fn the_first_exchange_sets_the_clock_at_once() {
        let mut map = ClockMap::new();
        assert_eq!(map.to_timeline(at(0)), None);
        assert!(exchange(&mut map, 0, 5_000, 10, 10));
        let error = map.to_timeline(at(20)).expect("set").minus_ns(at(5_020));
        assert!(error.abs() < 10, "{error} ns");
        let uncertainty = map.uncertainty_ns().expect("set");
        assert!((uncertainty - 10_000_000).abs() < 10, "{uncertainty} ns");
    }

    #[test]
    fn a_later_change_is_slewed_and_time_never_runs_backwards() {
        let mut map = ClockMap::new();
        exchange(&mut map, 0, 5_000, 10, 10);
        let mut last = map.to_timeline(at(20)).expect("set");
        for s in 1..200u64 {
            // the timeline has been moved back by 50 ms under our feet
            exchange(&mut map, s * 1000, 4_950, 10, 10);
            let now = map.to_timeline(at(s * 1000 + 20)).expect("set");
            let step = now.minus_ns(last);
            assert!(step > 0);
            if s > 1 {
                assert!((step - 1_000_000_000).abs() <= 501_000, "second {s}: {step}");
            }
            last = now;
        }
        let error = last.minus_ns(at(199_020 + 4_950));
        assert!(error.abs() < 1_000_000, "{error} ns after 199 s at 0.5 ms/s");
    }

    #[test]
    fn a_queued_reply_does_not_move_the_clock() {
        let mut map = ClockMap::new();
        exchange(&mut map, 0, 5_000, 10, 10);
        exchange(&mut map, 1_000, 5_000, 10, 400);
        let error = map.to_timeline(at(2_000)).expect("set").minus_ns(at(7_000));
        assert!(error.abs() < 10, "{error} ns");
    }

    #[test]
    fn impossible_exchanges_are_ignored() {
        let mut map = ClockMap::new();
        assert!(!map.handle_exchange(at(100), at(0), at(0), at(50)));
        assert!(!map.handle_exchange(at(0), at(10), at(90), at(5)));
        assert_eq!(map.to_timeline(at(0)), None);
    }

    /// Drift of the local clock, slews of the timeline, uneven and queued paths, from a seed: what must hold whatever they are.
    #[test]
    fn whatever_the_clocks_and_the_path_do_time_is_monotone_steered_gently_and_off_by_no_more_than_they_explain() {
        for seed in 0..200u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut dice = move |n: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % n
            };
            let drift_ppm = dice(401) as i64 - 200;
            let (out_us, back_us) = (50 + dice(20_000), 50 + dice(20_000));
            let mut slew_ppm = 0i64;
            let (mut true_us, mut line_us) = (0u64, 5_000_000i64);
            let local = |true_us: u64| true_us as i64 + true_us as i64 * drift_ppm / 1_000_000;
            let ntp = |us: i64| CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).offset_ns(us * 1_000);
            let mut map = ClockMap::new();
            let mut last: Option<(CaptureTime, CaptureTime)> = None;
            for s in 0..300u64 {
                if s % 30 == 0 {
                    // With the drift no more than steering can follow.
                    slew_ppm = [-300, 0, 300][dice(3) as usize];
                }
                let queued = if s > 0 && dice(5) == 0 { dice(300_000) } else { 0 };
                let there = line_us + out_us as i64;
                let t4 = true_us + out_us + back_us + queued;
                map.handle_exchange(ntp(local(true_us)), ntp(there), ntp(there), ntp(local(t4)));
                for step in 0..10u64 {
                    let at = t4 + step * 50_000;
                    let (here, told) = (ntp(local(at)), map.to_timeline(ntp(local(at))).expect("set"));
                    if let Some((before, then)) = last.filter(|(before, _)| here > *before) {
                        let (ran, passed) = (told.minus_ns(then), here.minus_ns(before));
                        assert!(ran > 0, "seed {seed}: time ran backwards");
                        assert!(
                            (ran - passed).abs() <= passed / 1_000_000 * SLEW_PPM_MAX + 2_000,
                            "seed {seed}: {ran} in {passed}"
                        );
                    }
                    last = Some((here, told));
                    if s > 20 && step < 5 {
                        // Half of how uneven the path is; what drift and slew do in the time of the filter and a second; steering that lags.
                        let uneven = out_us.abs_diff(back_us) as i64 / 2;
                        let meant = line_us + (at - true_us) as i64 + (at - true_us) as i64 * slew_ppm / 1_000_000;
                        let error = (told.minus_ns(ntp(meant)) / 1_000).abs();
                        assert!(error <= uneven + 700 * 10 + 1_000, "seed {seed} second {s}: {error} us");
                    }
                }
                true_us += 1_000_000;
                line_us += 1_000_000 + slew_ppm;
            }
        }
    }
}
