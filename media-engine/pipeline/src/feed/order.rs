//! Packets of one published feed in the order of their numbers. One that was lost on the camera's line and sent again comes late; a
//! depayloader would throw it away, and wait for a keyframe that nobody sends. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::time::CaptureTime;

/// How long what came is held for what is missing: a round trip of 60 to 100 ms on the camera's line, and its wait for its turn.
const HELD_FOR: Duration = Duration::from_millis(150);
/// Held at most: 0.5 s of 4 Mbit/s in packets of 1,100 bytes. Policy: the gap is given up.
const HELD_MAX: usize = 256;
/// A number further than this from the next is of another run.
const RUN: u64 = 1_024;

/// What became of a packet's coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Whole,
    /// Something that is missing was given up; what comes out next does not follow what came out last.
    Gap,
}

/// Times are of one clock that never goes back.
#[derive(Debug)]
pub(super) struct Order<T> {
    /// The number that comes out next, counted on over the wrap.
    next: Option<u64>,
    /// What waits for a smaller number, with its arrival.
    held: BTreeMap<u64, (CaptureTime, T)>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Order { next: None, held: BTreeMap::new() }
    }
}

impl<T> Order<T> {
    /// `seq`: of RTP. What can go on now goes to `out`, in order.
    pub(super) fn handle_packet(&mut self, now: CaptureTime, seq: u16, packet: T, mut out: impl FnMut(T)) -> Came {
        // Far from 0, so that what is a little older is a number too.
        let next = *self.next.get_or_insert(1 << 32 | u64::from(seq));
        let ahead = i64::from(seq.wrapping_sub(next as u16) as i16);
        let mut came = Came::Whole;
        if ahead.unsigned_abs() > RUN {
            self.give_up_all(&mut out);
            self.next = Some(1 << 32 | u64::from(seq));
            came = Came::Gap;
            self.held.insert(1 << 32 | u64::from(seq), (now, packet));
        } else if let Some(number) = next.checked_add_signed(ahead).filter(|n| *n >= next) {
            self.held.entry(number).or_insert((now, packet));
        }
        self.give(&mut out);
        while let Some((first, _)) = self.held.first_key_value() {
            let waits = self.held.values().map(|(at, _)| now.since(*at)).max().unwrap_or_default();
            if self.held.len() <= HELD_MAX && waits < HELD_FOR {
                break;
            }
            self.next = Some(*first);
            came = Came::Gap;
            self.give(&mut out);
        }
        came
    }

    /// What follows without a gap.
    fn give(&mut self, out: &mut impl FnMut(T)) {
        let Some(next) = &mut self.next else { return };
        while let Some((_, packet)) = self.held.remove(next) {
            out(packet);
            *next += 1;
        }
    }

    fn give_up_all(&mut self, out: &mut impl FnMut(T)) {
        std::mem::take(&mut self.held).into_values().for_each(|(_, packet)| out(packet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hair more, so that rounding makes no difference.
    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).saturating_add(Duration::from_micros(ms * 1_000 + ms / 10))
    }

    /// (ms, number) in; what came out by then, and after which arrivals a gap was given up.
    fn run(arrivals: &[(u64, u16)]) -> (Vec<u16>, Vec<u64>) {
        let (mut order, mut out, mut gaps) = (Order::default(), Vec::new(), Vec::new());
        for (ms, seq) in arrivals {
            if order.handle_packet(at(*ms), *seq, *seq, |p| out.push(p)) == Came::Gap {
                gaps.push(*ms);
            }
        }
        (out, gaps)
    }

    #[test]
    fn what_is_sent_again_takes_its_place_and_what_came_twice_comes_out_once() {
        let (out, gaps) = run(&[(0, 65_534), (5, 65_535), (10, 1), (15, 2), (16, 2), (90, 0), (95, 3), (96, 3), (97, 1)]);
        assert_eq!((out, gaps), (vec![65_534, 65_535, 0, 1, 2, 3], vec![]));
    }

    #[test]
    fn what_does_not_come_in_time_is_given_up_and_may_not_come_later() {
        let (out, gaps) = run(&[(0, 7), (10, 9), (100, 10), (159, 11), (160, 13), (170, 8), (309, 14), (310, 15)]);
        assert_eq!(out, [7, 9, 10, 11, 13, 14, 15]);
        assert_eq!(gaps, [160, 310], "two gaps, each after its time");
    }

    #[test]
    fn another_run_begins_at_once_and_what_is_held_is_bounded() {
        let (out, gaps) = run(&[(0, 7), (1, 9), (2, 40_000), (3, 40_001), (4, 300)]);
        assert_eq!((out, gaps), (vec![7, 9, 40_000, 40_001, 300], vec![2, 4]));
        let flood: Vec<(u64, u16)> = std::iter::once((0, 0)).chain((2..600).map(|n| (1, n))).collect();
        let (out, gaps) = run(&flood);
        assert_eq!((out.len(), gaps), (599, vec![1]));
    }

    /// Whatever comes, what comes out follows without a gap unless one is told, and nothing is kept for long.
    #[test]
    fn any_numbers_at_any_times_keep_its_bounds() {
        let mut state = 11u64;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..200 {
            let (mut order, mut ms, mut seq, mut last) = (Order::default(), 0, random(65_536), None);
            for _ in 0..400 {
                ms += random(20);
                seq = if random(100) == 0 { random(65_536) } else { seq + random(4) };
                let number = (seq + 65_536 - random(30)) as u16;
                let mut out = Vec::new();
                let came = order.handle_packet(at(ms), number, number, |n| out.push(n));
                if came == Came::Whole {
                    let before: Vec<u16> = last.into_iter().chain(out.iter().copied()).collect();
                    assert!(before.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "{before:?}");
                }
                last = out.last().copied().or(last);
                assert!(order.held.len() <= HELD_MAX);
                assert!(order.held.values().all(|(came, _)| at(ms).since(*came) < HELD_FOR));
                assert!(order.held.keys().all(|n| Some(*n) > order.next));
            }
        }
    }
}
