//! How much ink one page, or one person, may say: buckets that refill. What does not fit waits in the page, which repeats.

use annotation::time::CaptureTime;

/// `burst` at once, then `per_s` each second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) burst: u32,
    pub(crate) per_s: u32,
}

/// Packets of one page: one each animation frame at 120 Hz and as many acknowledgements, with a second's grace.
pub(crate) const PACKETS: Limit = Limit { burst: 600, per_s: 300 };
/// New points under one page's pens: a pen at 240 Hz, a mouse at 1,000 Hz, and what waited through a short outage.
pub(crate) const POINTS: Limit = Limit { burst: 8_192, per_s: 2_000 };
/// Ops of one person: a hand makes two marks a second; an outbox of two minutes comes at once.
pub(crate) const OPS: Limit = Limit { burst: 256, per_s: 20 };
/// Bytes of ops of one person: a long stroke is 3 kB. Each is kept for ever.
pub(crate) const OP_BYTES: Limit = Limit { burst: 1 << 20, per_s: 64 << 10 };
/// Refused ops of one person: each is kept for ever as a void, so a page that lies all day must not fill the disk.
pub(crate) const REFUSALS: Limit = Limit { burst: 64, per_s: 1 };
/// Pointers of one page: one each animation frame at 60 Hz.
#[cfg_attr(not(feature = "edge"), expect(dead_code, reason = "pointers come in at the edge"))]
pub(crate) const POINTERS: Limit = Limit { burst: 30, per_s: 60 };

/// Repeats in a row, 50 ms apart, after which the way that a page's ink goes is doubted, and again after as many: 1 s.
const REPEATS_MAX: u32 = 20;

/// Repeats to a page since it last confirmed anything. An unreliable channel whose timers have backed off (RFC 9260 §6.3.3) holds
/// everything up for many seconds, and says nothing of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unheard(u32);

impl Unheard {
    pub(crate) fn handle_sent(&mut self, again: bool) {
        self.0 = self.0.saturating_add(u32::from(again));
    }

    /// Another way is to be tried as well: once a second, so that a machine that sleeps finds no heap of it.
    pub(crate) fn is_long(self) -> bool {
        self.0 > 0 && self.0.is_multiple_of(REPEATS_MAX)
    }
}

/// What is left of a limit. Spending may overdraw once: a stroke is not cut in two.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    /// Thousandths; `None`: full.
    left: Option<(u64, CaptureTime)>,
}

impl Bucket {
    pub(crate) fn has_left(&mut self, limit: Limit, now: CaptureTime) -> bool {
        let full = u64::from(limit.burst) * 1_000;
        let (left, since) = self.left.unwrap_or((full, now));
        let ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        let left = left.saturating_add(ms.saturating_mul(u64::from(limit.per_s))).min(full);
        // The rest of a millisecond is not lost: the time stands until one is whole.
        self.left = Some((left, if ms > 0 { now } else { since }));
        left >= 1_000
    }

    pub(crate) fn spend(&mut self, n: usize) {
        if let Some((left, _)) = &mut self.left {
            *left = left.saturating_sub((n as u64).saturating_mul(1_000));
        }
    }

    /// One, if there is one.
    pub(crate) fn take(&mut self, limit: Limit, now: CaptureTime) -> bool {
        let has = self.has_left(limit, now);
        self.spend(usize::from(has));
        has
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_empty_bucket_refills_at_its_rate_and_never_beyond_its_size() {
        let t = |ms: u64| CaptureTime::from_unix(Duration::from_millis(1_790_000_000_000 + ms));
        let limit = Limit { burst: 3, per_s: 10 };
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, ms| (0..20).filter(|_| bucket.take(limit, t(ms))).count();
        assert_eq!([0, 50, 110, 1_000, 9_000].map(|ms| taken(&mut bucket, ms)), [3, 0, 1, 3, 3]);
    }

    #[test]
    fn a_page_that_confirms_nothing_is_told_another_way_too_once_a_second() {
        let mut unheard = Unheard::default();
        (0..100).for_each(|_| unheard.handle_sent(false));
        assert!(!unheard.is_long(), "new ink is no repeat");
        let long: Vec<u32> = (1..=50u32)
            .filter(|_| {
                unheard.handle_sent(true);
                unheard.is_long()
            })
            .collect();
        assert_eq!(long, [20, 40]);
    }
}
