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

/// A keyframe that was sent is there after a round trip and this: its packets leave one after the other, and some are sent again.
const COMING_FOR: Duration = Duration::from_millis(200);
/// The round trip of a line that has not told it, and the longest that counts: whoever tells it may say anything.
const ROUND_TRIP: Duration = Duration::from_millis(100);
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// Packets that wait for the line longer than this: it is full.
const FULL_AFTER: Duration = Duration::from_millis(100);

/// Whether another keyframe helps a picture that stands still though its path is alive. Not while one is on its way (`keyed`: so long ago one
/// was written): its holes are mended sooner than another is there. Not on a full line, where packets of this picture have been `waiting`: it
/// is ten pictures large and would wait behind them; what helps there is a smaller layer, which begins with a keyframe of its own.
pub(crate) fn helps(waiting: Duration, keyed: Option<Duration>, round_trip: Option<Duration>) -> bool {
    let coming_for = round_trip.unwrap_or(ROUND_TRIP).min(ROUND_TRIP_MAX) + COMING_FOR;
    waiting <= FULL_AFTER && keyed.is_none_or(|ago| ago >= coming_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_keyframe_helps_neither_a_full_line_nor_one_on_which_one_is_on_its_way() {
        let ms = Duration::from_millis;
        assert!(helps(ms(0), None, None) && helps(ms(100), Some(ms(300)), None));
        assert!(!helps(ms(101), None, None), "full");
        assert!(!helps(ms(0), Some(ms(259)), Some(ms(60))) && helps(ms(0), Some(ms(260)), Some(ms(60))));
        assert!(helps(ms(0), Some(ms(1_200)), Some(Duration::MAX)), "whatever is told of the line");
    }

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
