//! When to ask the encoder for a keyframe: at once, but never twice within 500 ms.

use std::time::{Duration, Instant};

/// Shortest time between two requests for one layer.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(500);

/// Requests for one layer, coalesced. No timer: the next packet of the layer carries a request that had to wait, so a layer
/// that sends nothing is not asked over and over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asking {
    asked: Option<Instant>,
    wanted: bool,
}

impl Asking {
    /// Somebody needs a keyframe. True: ask the encoder now.
    pub(crate) fn want(&mut self, now: Instant) -> bool {
        self.wanted = true;
        self.due(now)
    }

    /// A packet came. True: a request that had to wait, or was not answered, is to be sent now.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let free = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_EVERY);
        let ask = self.wanted && free;
        if ask {
            self.asked = Some(now);
        }
        ask
    }

    /// A keyframe came.
    pub(crate) fn satisfied(&mut self) {
        self.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wants_are_one_request_per_half_second() {
        let start = Instant::now();
        let mut asking = Asking::default();
        let asked = (0..1_000).filter(|ms| asking.want(start + Duration::from_millis(*ms))).count();
        assert_eq!(asked, 2);
    }

    #[test]
    fn an_unanswered_request_is_repeated_while_packets_come_and_an_answered_one_is_not() {
        let start = Instant::now();
        let mut asking = Asking::default();
        assert!(asking.want(start));
        assert!(!asking.due(start + Duration::from_millis(499)));
        assert!(asking.due(start + Duration::from_millis(500)));
        asking.satisfied();
        assert!(!asking.due(start + Duration::from_millis(5_000)));
    }
}
