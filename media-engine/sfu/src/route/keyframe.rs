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

/// A viewer who asks on and on waits longer each time, up to this.
const PATIENCE_MAX: Duration = Duration::from_secs(4);
/// Who has not asked for so long is heard at once again.
const FORGIVEN: Duration = Duration::from_secs(10);

/// What one viewer may ask for where others watch the same layer: a keyframe is dear to all of them, so that a line which
/// loses what retransmission cannot repair must not have one whenever it likes. A request that is not heard is not kept: a
/// browser repeats it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience {
    heard: Option<Instant>,
    wait: Duration,
}

impl Patience {
    /// A viewer asks. True: it is heard.
    pub(crate) fn hears(&mut self, now: Instant) -> bool {
        let since = self.heard.map(|at| now.saturating_duration_since(at));
        match since {
            Some(since) if since < self.wait => return false,
            Some(since) if since < FORGIVEN => self.wait = (self.wait * 2).min(PATIENCE_MAX),
            _ => self.wait = ASK_EVERY,
        }
        self.heard = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_on_and_on_is_heard_ever_more_rarely_and_forgiven() {
        let start = Instant::now();
        let mut patience = Patience::default();
        let heard: Vec<u64> =
            (0..300u64).map(|n| n * 100).filter(|ms| patience.hears(start + Duration::from_millis(*ms))).collect();
        assert_eq!(heard, [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500]);
        assert!(patience.hears(start + Duration::from_secs(60)));
        assert!(patience.hears(start + Duration::from_millis(60_500)), "short again");
    }

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
