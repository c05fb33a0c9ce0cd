//! How often a player or a camera may come with candidates. Each is looked at by the media thread, which serves everybody.

use std::time::Duration;

use annotation::time::CaptureTime;

use crate::texts::Code;

/// PATCHes of one resource at once; a browser sends one to ten, while it gathers.
const AT_ONCE: u32 = 20;
/// One more is given back in each of these.
const EACH: Duration = Duration::from_millis(500);

/// The PATCHes that one resource has left.
#[derive(Debug, Clone, Default)]
pub(super) struct Patches {
    spent: u32,
    since: Option<CaptureTime>,
}

impl Patches {
    pub(super) fn take(&mut self, now: CaptureTime) -> Result<(), Code> {
        let since = self.since.get_or_insert(now);
        let back = u32::try_from(now.since(*since).as_millis() / EACH.as_millis()).unwrap_or(u32::MAX);
        if back > 0 {
            self.spent = self.spent.saturating_sub(back);
            *since = since.saturating_add(EACH.saturating_mul(back));
        }
        if self.spent >= AT_ONCE {
            return Err(Code::RequestTooOften);
        }
        self.spent += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_in_a_burst_and_then_slowly() {
        let start = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let mut patches = Patches::default();
        assert_eq!((0..30).filter(|_| patches.take(start).is_ok()).count(), 20);
        let later = start.saturating_add(Duration::from_secs(2));
        assert_eq!((0..30).filter(|_| patches.take(later).is_ok()).count(), 4);
        assert_eq!(patches.take(later), Err(Code::RequestTooOften));
    }
}
