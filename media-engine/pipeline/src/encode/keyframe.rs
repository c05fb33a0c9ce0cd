//! Keyframe requests, coalesced: a pending flag, at most one forced keyframe per layer in 500 ms. Pure.

use std::time::Duration;

use annotation::time::CaptureTime;

const FORCED_APART: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Default)]
pub struct KeyframeGate {
    pending: bool,
    last: Option<CaptureTime>,
}

impl KeyframeGate {
    pub fn request(&mut self) {
        self.pending = true;
    }

    /// Called for each frame before it is encoded: must it be a keyframe? `now`: any one monotone clock.
    pub fn take(&mut self, now: CaptureTime) -> bool {
        let too_soon = self.last.is_some_and(|last| now.since(last) < FORCED_APART);
        if !self.pending || too_soon {
            return false;
        }
        self.pending = false;
        self.last = Some(now);
        true
    }

    /// A keyframe left the encoder by itself: nobody needs another.
    pub fn handle_keyframe(&mut self, now: CaptureTime) {
        self.pending = false;
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_of_requests_yields_one_keyframe_and_a_later_one_waits_for_its_turn() {
        let mut gate = KeyframeGate::default();
        assert!(!gate.take(at(0)), "nobody asked");
        gate.request();
        gate.request();
        assert!(gate.take(at(10)));
        assert!(!gate.take(at(40)));
        gate.request();
        assert!(!gate.take(at(300)), "too soon, but kept");
        assert!(gate.take(at(510)));
        assert!(!gate.take(at(2000)));
    }

    #[test]
    fn a_keyframe_that_came_by_itself_satisfies_those_who_wait() {
        let mut gate = KeyframeGate::default();
        gate.request();
        gate.handle_keyframe(at(0));
        assert!(!gate.take(at(600)));
    }
}
