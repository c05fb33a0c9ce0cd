//! A feed that somebody watches alone: its frames as they come, and while it is silent a few that say so. Pure.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;

use crate::health;
use crate::picture::Picture;
use crate::timing::stamps::StrictStamps;

/// How often a silent feed's held picture is sent: joiners see it, and its state is told.
const SILENT_EVERY: Duration = Duration::from_millis(200);

/// What to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The newest frame.
    Fresh,
    /// The held picture once more, with its state.
    Held,
}

/// One feed's turn by turn. Forgotten when nobody watches it any more.
#[derive(Debug, Default)]
pub struct Single {
    pub stamps: StrictStamps,
    /// Last image at its own size, for when the feed is dead.
    pub held: Option<Arc<Picture>>,
    /// Capture of the last fresh frame sent, when anything was sent last, since when somebody watches; case timeline.
    sent: Option<CaptureTime>,
    made: Option<CaptureTime>,
    began: Option<CaptureTime>,
}

impl Single {
    /// `newest`: capture of the feed's newest frame; `at_hand`: it has a picture at its own size. The error: when to look again.
    pub fn due(
        &mut self,
        newest: Option<CaptureTime>,
        at_hand: bool,
        period: Duration,
        now: CaptureTime,
    ) -> Result<Due, CaptureTime> {
        let began = *self.began.get_or_insert(now);
        if at_hand && newest.is_some_and(|n| self.sent.is_none_or(|sent| n > sent)) {
            return Ok(Due::Fresh);
        }
        let late_at = newest.unwrap_or(began).saturating_add(health::stale_after(period));
        let due = self.made.map_or(late_at, |made| late_at.max(made.saturating_add(SILENT_EVERY)));
        if due <= now { Ok(Due::Held) } else { Err(due) }
    }

    /// Something was sent (or could not be) at `now`; `fresh`: the capture of a fresh frame.
    pub fn handle_sent(&mut self, fresh: Option<CaptureTime>, now: CaptureTime) {
        self.made = Some(now);
        self.sent = fresh.or(self.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(40);

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    #[test]
    fn each_frame_is_sent_once_and_silence_is_told_five_times_a_second() {
        let mut single = Single::default();
        assert_eq!(single.due(Some(at(0)), true, PERIOD, at(1)), Ok(Due::Fresh));
        single.handle_sent(Some(at(0)), at(1));
        assert_eq!(single.due(Some(at(0)), true, PERIOD, at(2)), Err(at(250)));
        assert_eq!(single.due(Some(at(0)), true, PERIOD, at(250)), Ok(Due::Held));
        single.handle_sent(None, at(250));
        assert_eq!(single.due(Some(at(0)), true, PERIOD, at(260)), Err(at(450)));
        assert_eq!(single.due(Some(at(470)), true, PERIOD, at(471)), Ok(Due::Fresh), "it came back");
    }

    #[test]
    fn a_feed_that_never_came_is_told_after_the_bound() {
        let mut single = Single::default();
        assert_eq!(single.due(None, false, PERIOD, at(0)), Err(at(250)));
        assert_eq!(single.due(None, false, PERIOD, at(251)), Ok(Due::Held));
    }

    #[test]
    fn a_frame_without_its_own_size_waits_for_the_next() {
        let mut single = Single::default();
        assert_eq!(single.due(Some(at(0)), false, PERIOD, at(1)), Err(at(250)));
    }
}
