//! Which forwarding thread a case is in. All that one peer does to another it does within a case, so threads have nothing to
//! say to each other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use link::id::CaseId;

use crate::api::PeerId;

/// Cases whose place is remembered; those after them are placed by their name alone. A case never moves while the process
/// lives, so that nothing of it is ever in two places.
const CASES_MAX: usize = 16_384;

#[derive(Debug, Clone, Copy)]
struct Placed {
    shard: usize,
    /// Offers on their way to the shard.
    offers: u32,
}

#[derive(Debug, Default)]
struct Known {
    cases: HashMap<CaseId, usize>,
    /// Cases in each shard.
    load: Vec<usize>,
    peers: HashMap<PeerId, Placed>,
}

#[derive(Debug)]
pub(crate) struct Places {
    shards: usize,
    known: RwLock<Known>,
}

impl Places {
    pub(crate) fn new(shards: usize) -> Self {
        Places { shards, known: RwLock::new(Known { load: vec![0; shards], ..Known::default() }) }
    }

    /// The thread of a case; one not heard of before gets the one with the fewest.
    pub(crate) fn of_case(&self, case: &CaseId) -> usize {
        if self.shards == 1 {
            return 0;
        }
        if let Some(shard) = self.read().cases.get(case) {
            return *shard;
        }
        let mut known = self.write();
        if let Some(shard) = known.cases.get(case) {
            return *shard;
        }
        if known.cases.len() >= CASES_MAX {
            let mut hasher = DefaultHasher::new();
            case.as_str().hash(&mut hasher);
            return (hasher.finish() % self.shards as u64) as usize;
        }
        let shard = (0..self.shards).min_by_key(|s| known.load[*s]).unwrap_or(0);
        known.load[shard] += 1;
        known.cases.insert(case.clone(), shard);
        shard
    }

    /// `None`: nobody knows this peer.
    pub(crate) fn of_peer(&self, peer: PeerId) -> Option<usize> {
        if self.shards == 1 {
            return Some(0);
        }
        self.read().peers.get(&peer).map(|p| p.shard)
    }

    /// A peer's offer is about to be sent to its case's thread.
    pub(crate) fn handle_offer(&self, peer: PeerId, case: &CaseId) -> usize {
        let shard = self.of_case(case);
        if self.shards > 1 {
            let mut known = self.write();
            let placed = known.peers.entry(peer).or_insert(Placed { shard, offers: 0 });
            placed.offers += 1;
        }
        // A peer stays in its case: the thread of the other one refuses what names another.
        self.of_peer(peer).unwrap_or(shard)
    }

    /// That offer was answered, or could not be sent. `known`: the thread has this peer now.
    pub(crate) fn handle_answer(&self, peer: PeerId, known: bool) {
        self.update(peer, known, 1);
    }

    /// A thread closed this peer, and may know another under its number.
    pub(crate) fn handle_closed(&self, peer: PeerId, known: bool) {
        self.update(peer, known, 0);
    }

    fn update(&self, peer: PeerId, known: bool, answered: u32) {
        if self.shards == 1 {
            return;
        }
        let mut all = self.write();
        let Some(placed) = all.peers.get_mut(&peer) else { return };
        placed.offers = placed.offers.saturating_sub(answered);
        if !known && placed.offers == 0 {
            all.peers.remove(&peer);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(n: usize) -> CaseId {
        CaseId::parse(&format!("case-{n}")).expect("an id")
    }

    #[test]
    fn cases_are_spread_evenly_and_stay_where_they_are() {
        let places = Places::new(3);
        let first: Vec<usize> = (0..9).map(|n| places.of_case(&case(n))).collect();
        assert_eq!([0, 1, 2].map(|s| first.iter().filter(|f| **f == s).count()), [3, 3, 3]);
        assert_eq!((0..9).map(|n| places.of_case(&case(n))).collect::<Vec<_>>(), first);
    }

    #[test]
    fn past_the_bound_a_case_is_placed_by_its_name_and_nothing_is_remembered() {
        let places = Places::new(2);
        for n in 0..CASES_MAX + 100 {
            let shard = places.of_case(&case(n));
            assert_eq!(places.of_case(&case(n)), shard);
        }
        assert_eq!(places.read().cases.len(), CASES_MAX);
    }

    #[test]
    fn a_peer_is_where_its_case_is_until_it_has_closed_and_no_offer_of_it_is_on_its_way() {
        let places = Places::new(2);
        let (a, b) = (places.of_case(&case(0)), places.of_case(&case(1)));
        assert_ne!(a, b);
        assert_eq!(places.of_peer(PeerId(1)), None);
        assert_eq!(places.handle_offer(PeerId(1), &case(1)), b);
        assert_eq!(places.handle_offer(PeerId(1), &case(1)), b, "again, before the first is answered");
        places.handle_answer(PeerId(1), true);
        places.handle_closed(PeerId(1), false);
        assert_eq!(places.of_peer(PeerId(1)), Some(b), "the second offer is still on its way");
        places.handle_answer(PeerId(1), true);
        assert_eq!(places.of_peer(PeerId(1)), Some(b));
        places.handle_closed(PeerId(1), false);
        assert_eq!(places.of_peer(PeerId(1)), None);
        assert_eq!(places.handle_offer(PeerId(2), &case(0)), a);
        places.handle_answer(PeerId(2), false);
        assert_eq!(places.of_peer(PeerId(2)), None, "one that was refused leaves nothing behind");
    }

    #[test]
    fn with_one_thread_there_is_nothing_to_remember() {
        let places = Places::new(1);
        assert_eq!(
            (places.of_case(&case(5)), places.of_peer(PeerId(9)), places.handle_offer(PeerId(9), &case(5))),
            (0, Some(0), 0)
        );
        assert!(places.read().cases.is_empty() && places.read().peers.is_empty());
    }
}
