//! What of the store stands ready in memory, so that nobody at a door waits for the disk: whether it takes what it is given,
//! numbers for new pages that are reserved on it already, and which tokens are withdrawn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError, RwLock};

use annotation::id::Epoch;
use link::id::CaseId;
use tokio::sync::Notify;

use crate::claims::TokenId;
use crate::texts::Code;

/// Numbers of pages reserved ahead, at once: a case has 48 pages, so each may come anew while the disk is full.
pub(super) const EPOCHS_AHEAD: u32 = 64;

/// Whether the disk takes what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskState {
    #[default]
    Taking,
    /// No room. What waits is kept in memory and by the pages, and written when there is room again.
    Full,
    /// It refuses for another reason.
    Failing,
}

impl DiskState {
    /// As pages and doors say it.
    pub fn code(self) -> Option<Code> {
        match self {
            DiskState::Taking => None,
            DiskState::Full => Some(Code::StoreFull),
            DiskState::Failing => Some(Code::StoreFailing),
        }
    }

    /// SQLite says FULL for a full disk and for its own bound; a quota of the file system looks like any other fault.
    pub(super) fn of(fault: &sqlx::Error) -> Self {
        let full = match fault {
            // Primary result code 13; the extended ones keep it in their low byte.
            sqlx::Error::Database(fault) => {
                fault.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xFF == 13)
            }
            sqlx::Error::Io(fault) => fault.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        };
        if full { DiskState::Full } else { DiskState::Failing }
    }
}

/// Why a page gets no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoEpoch {
    #[error("the store has stopped")]
    Stopped,
    #[error("the reserved numbers are used up, and the disk reserves no more")]
    Refusing(DiskState),
}

/// Reserved numbers of each case, on disk already, ascending. What is left of them at the end of a run is never used.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    cases: Mutex<BTreeMap<CaseId, Reserved>>,
    /// More were reserved.
    pub(super) added: Notify,
}

#[derive(Debug, Default)]
struct Reserved {
    numbers: VecDeque<u32>,
    /// More are being reserved.
    asked: bool,
}

impl Epochs {
    /// `last`: the greatest number that is now reserved on disk, the end of a block of [`EPOCHS_AHEAD`].
    pub(super) fn add(&self, case: &CaseId, last: u32) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let reserved = cases.entry(case.clone()).or_default();
        reserved.numbers.extend(last.saturating_sub(EPOCHS_AHEAD - 1)..=last);
        reserved.asked = false;
        self.added.notify_waiters();
    }

    pub(super) fn take(&self, case: &CaseId) -> Option<Epoch> {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        cases.get_mut(case)?.numbers.pop_front().map(Epoch)
    }

    /// True when more should be reserved and nobody has asked for them yet: the caller does.
    pub(super) fn shall_ask(&self, case: &CaseId) -> bool {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reserved) = cases.get_mut(case) else { return false };
        let ask = reserved.numbers.len() < EPOCHS_AHEAD as usize / 2 && !reserved.asked;
        reserved.asked |= ask;
        ask
    }

    pub(super) fn forget_asking(&self, case: &CaseId) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reserved) = cases.get_mut(case) {
            reserved.asked = false;
        }
    }
}

/// Tokens that were withdrawn. Grows by acts of people only; a token is never given back.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(RwLock<BTreeSet<TokenId>>);

impl Withdrawn {
    pub(super) fn contains(&self, id: &TokenId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// True where it is news.
    pub(super) fn add(&self, id: TokenId) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_numbers_are_given_once_and_in_order() {
        let (epochs, case) = (Epochs::default(), CaseId::parse("demo").expect("an id"));
        assert_eq!(epochs.take(&case), None);
        epochs.add(&case, 2 * EPOCHS_AHEAD);
        assert!(!epochs.shall_ask(&case), "there are enough");
        let taken: Vec<_> = std::iter::from_fn(|| epochs.take(&case)).map(|epoch| epoch.0).collect();
        assert_eq!(taken, (EPOCHS_AHEAD + 1..=2 * EPOCHS_AHEAD).collect::<Vec<_>>());
        assert!(epochs.shall_ask(&case) && !epochs.shall_ask(&case), "one asks");
    }
}
