//! How often a player or a camera may come with candidates. Each is looked at by the media thread, which serves everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::time::CaptureTime;

use crate::claims::TokenId;
use crate::ink_limits::{Bucket, Limit};
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

/// Pages, players and cameras that one link may open at once; each is a row of the audit.
const ENTRIES: Limit = Limit { burst: 64, per_s: 1 };
/// Links that are remembered. Policy: the one that has not come for longest is forgotten: what it spent is given back by then, or nearly.
const LINKS_MAX: usize = 256;

/// Choices for everybody (layout, timing, who may turn the camera) of one page: a hand that tries them all, then one a second. The
/// privacy curtain, the voices' *mute* and *clear* have none: they always pass.
pub(super) const SETTINGS: Limit = Limit { burst: 10, per_s: 1 };

/// How often each link has come in.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// With the number of its newest coming.
    links: BTreeMap<TokenId, (Bucket, u64)>,
    comings: u64,
}

impl Entries {
    pub(super) fn take(&mut self, link: TokenId, now: CaptureTime) -> Result<(), Code> {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&link) {
            let oldest = self.links.iter().min_by_key(|(_, (_, came))| *came).map(|(link, _)| *link);
            oldest.and_then(|oldest| self.links.remove(&oldest));
        }
        self.comings += 1;
        let (bucket, came) = self.links.entry(link).or_default();
        *came = self.comings;
        if bucket.take(ENTRIES, now) { Ok(()) } else { Err(Code::RequestTooOften) }
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

    #[test]
    fn a_link_comes_in_as_often_as_people_do_and_no_program_floods_the_audit() {
        let start = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let link = |n: u32| {
            let mut id = [0; crate::claims::TOKEN_ID_BYTES];
            id[..4].copy_from_slice(&n.to_be_bytes());
            TokenId(id)
        };
        let (mut entries, one, two) = (Entries::default(), link(1), link(2));
        assert_eq!((0..300).filter(|_| entries.take(one, start).is_ok()).count(), 64);
        assert!(entries.take(two, start).is_ok(), "another link has its own");
        let later = start.saturating_add(Duration::from_secs(5));
        assert_eq!((0..30).filter(|_| entries.take(one, later).is_ok()).count(), 5);
        // Many others, one after the other: the one that keeps trying is not let in by them.
        for n in 10..1_000 {
            assert!(entries.take(link(n), later).is_ok());
            assert_eq!(entries.take(one, later), Err(Code::RequestTooOften), "forgotten among {n} others");
            assert!(entries.links.len() <= LINKS_MAX);
        }
        assert!(!entries.links.contains_key(&two), "the one that came first and never again is");
    }
}
