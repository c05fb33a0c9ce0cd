//! Refusals of ops until their page has them. One travels at once, on a channel that may lose it; and again with every packet
//! that carries the void which the op became, so that a page which confirms the void has the refusal too.

use std::collections::{BTreeMap, VecDeque};

use annotation::id::{Epoch, Order};
use annotation::wire::{OpRefusal, OrderedOp};

/// Kept of one page: more than may be refused at once. Policy: drop_oldest; its stroke is gone from the page all the same.
const KEPT_MAX: usize = 128;

/// Bounded by the pages of the case.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<Epoch, VecDeque<(Order, OpRefusal)>>);

impl Refusals {
    /// `order`: of the void.
    pub(crate) fn add(&mut self, page: Epoch, order: Order, refusal: OpRefusal) {
        let kept = self.0.entry(page).or_default();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((order, refusal));
    }

    /// Those whose voids are in `ordered`.
    pub(crate) fn of(&self, page: Epoch, ordered: &[OrderedOp]) -> Vec<OpRefusal> {
        let (Some(kept), Some(first), Some(last)) = (self.0.get(&page), ordered.first(), ordered.last()) else {
            return Vec::new();
        };
        kept.iter()
            .filter(|(order, _)| (first.order..=last.order).contains(&order.0))
            .map(|(_, refusal)| refusal.clone())
            .collect()
    }

    /// The page has everything up to `have`.
    pub(crate) fn handle_confirmed(&mut self, page: Epoch, have: Order) {
        if let Some(kept) = self.0.get_mut(&page) {
            kept.retain(|(order, _)| *order > have);
            if kept.is_empty() {
                self.0.remove(&page);
            }
        }
    }

    /// A page that comes, or comes back, is brought up to date by other means: what it may have missed.
    pub(crate) fn take(&mut self, page: Epoch) -> Vec<OpRefusal> {
        self.0.remove(&page).unwrap_or_default().into_iter().map(|(_, refusal)| refusal).collect()
    }
}
