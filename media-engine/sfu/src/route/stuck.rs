//! Whether an estimator has stopped asking its line. One that was last told of too much that is sent, and then of nothing new, asks no
//! more, and has to begin anew. One that asks and finds no more is right: to begin it anew would be a burst of several times what the
//! line carries, and a voice would wait behind it. Pure.

use std::time::{Duration, Instant};

/// An estimate that did not move for so long while the line was not asked either has stuck; it begins anew ever more rarely.
const AFTER: Duration = Duration::from_millis(1_500);
const AFTER_MAX: Duration = Duration::from_millis(2_500);
/// The same where beginning anew has just found more.
const AGAIN_AFTER: Duration = Duration::from_millis(600);

#[derive(Debug, Clone)]
pub(crate) struct Stuck {
    /// The estimate, and since when it stands still and nothing is asked.
    stood: Option<(u64, Instant)>,
    after: Duration,
}

impl Default for Stuck {
    fn default() -> Self {
        Stuck { stood: None, after: AFTER }
    }
}

impl Stuck {
    /// True: begin it anew. `estimate`: bps; `None` where no more is wished for, or nothing can be told. `asked`: the line was, since
    /// the last look.
    pub(crate) fn look(&mut self, now: Instant, estimate: Option<u64>, asked: bool) -> bool {
        let Some(estimate) = estimate else {
            *self = Stuck::default();
            return false;
        };
        match self.stood {
            Some((before, since)) if estimate.abs_diff(before) * 50 < before => {
                if asked {
                    self.stood = Some((before, now));
                    return false;
                }
                let stuck = now.saturating_duration_since(since) >= self.after;
                if stuck {
                    self.stood = Some((estimate, now));
                    self.after = (self.after * 2).min(AFTER_MAX);
                }
                stuck
            }
            before => {
                if before.is_some_and(|(before, _)| estimate * 2 > before * 3) {
                    self.after = AGAIN_AFTER;
                }
                self.stood = Some((estimate, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;

    #[test]
    fn an_estimate_that_stands_still_unasked_begins_anew_and_one_that_moves_or_asks_does_not() {
        let (start, mut stuck) = (some_instant(), Stuck::default());
        let mut look = |n: u64, bps, asked| stuck.look(start + Duration::from_millis(n * 100), Some(bps), asked);
        let at: Vec<u64> = (0..100).filter(|n| look(*n, 224_000, false)).collect();
        assert_eq!(at, [15, 40, 65, 90]);
        assert!(!(100..200).any(|n| look(n, 224_000 + n * 10_000, false)), "it moves");
        assert!(!stuck.look(start + Duration::from_secs(20), None, false), "no more is wished for");
        let mut look = |n: u64, asked| stuck.look(start + Duration::from_millis(n * 100), Some(224_000), asked);
        assert!(!(200..900).any(|n| look(n, n % 10 == 9)), "the line is narrow");
        assert!((900..950).any(|n| look(n, false)));
    }
}
