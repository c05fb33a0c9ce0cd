//! Whether a line has room for keyframes in one go. The pacer spreads what is sent over what the line is known to carry, and an
//! estimator knows no more than it was asked: a line of a gigabit that is asked for 5 Mbit/s holds a keyframe of 90 kB up for
//! 30 ms. So a line that gives all that is wished, with nothing waiting, is asked for more; one that has it not is asked ever
//! more rarely, because a question is a burst.

use std::time::{Duration, Instant};

/// Asked for. The estimator asks the line for up to twice as much, in 15 ms: 45 kB.
const ROOM_BPS: u64 = 12_000_000;
/// Found. A keyframe of 90 kB then leaves within 12 ms, most of it at once.
const FOUND_BPS: u64 = 15_000_000;
/// Pictures that cost less have keyframes that need no room.
const NEED_BPS: u64 = 1_000_000;
/// How long a line must have been good before it is asked, at first and at most.
const EVERY: Duration = Duration::from_secs(2);
const EVERY_MAX: Duration = Duration::from_secs(160);
/// How long an answer takes.
const ASK_FOR: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct Room {
    found: bool,
    /// Being asked.
    asking: bool,
    /// Since when it is asked, or else good.
    since: Option<Instant>,
    every: Duration,
}

impl Default for Room {
    fn default() -> Self {
        Room { found: false, asking: false, since: None, every: EVERY }
    }
}

impl Room {
    /// What to ask of the line beyond what its pictures need; to be called about five times a second. `good`: all is as
    /// wished, nothing waits.
    pub(crate) fn desired(&mut self, now: Instant, estimate_bps: u64, best_bps: u64, good: bool) -> Option<u64> {
        if self.found && estimate_bps >= ROOM_BPS && good {
            return Some(ROOM_BPS);
        }
        self.found = false;
        if !good || best_bps < NEED_BPS {
            (self.asking, self.since) = (false, None);
            return None;
        }
        if estimate_bps >= FOUND_BPS {
            *self = Room { found: true, ..Room::default() };
            return Some(ROOM_BPS);
        }
        let passed = now.saturating_duration_since(*self.since.get_or_insert(now));
        if self.asking && passed >= ASK_FOR {
            (self.asking, self.since) = (false, Some(now));
            self.every = (self.every * 2).min(EVERY_MAX);
        } else if !self.asking && passed >= self.every {
            (self.asking, self.since) = (true, Some(now));
        }
        self.asking.then_some(ROOM_BPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;

    fn asked(estimate: impl Fn(u64) -> u64, best: u64, good: bool, seconds: u64) -> Vec<u64> {
        let (start, mut room) = (some_instant(), Room::default());
        let mut before = None;
        let mut begun = Vec::new();
        for n in 0..seconds * 5 {
            let now = start + Duration::from_millis(n * 200);
            let asked = room.desired(now, estimate(n * 200), best, good);
            if asked.is_some() && before.is_none() {
                begun.push(n * 200);
            }
            before = asked;
        }
        begun
    }

    #[test]
    fn a_line_without_room_is_asked_ever_more_rarely() {
        let begun = asked(|_| 9_000_000, 4_000_000, true, 600);
        assert_eq!(&begun[..3], [2_000, 7_000, 16_000]);
        assert!(begun.len() <= 9, "{begun:?}");
    }

    #[test]
    fn a_line_with_room_is_found_once_and_again_after_it_lost_it() {
        let estimate = |ms| if (2_200..20_000).contains(&ms) || ms > 30_000 { 20_000_000 } else { 9_000_000 };
        assert_eq!(asked(estimate, 4_000_000, true, 60), [2_000, 22_000, 27_000, 30_200]);
    }

    #[test]
    fn small_pictures_and_lines_in_need_are_not_asked() {
        assert!(asked(|_| 9_000_000, 400_000, true, 60).is_empty());
        assert!(asked(|_| 9_000_000, 4_000_000, false, 60).is_empty());
    }
}
