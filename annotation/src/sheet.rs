//! The ink of a case as everybody must see it: ordered ops in, strokes out. Server, engine, room and review all apply the
//! same ops in the same order and so hold the same sheets; [`Sheets::state_hash`] says whether they do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::id::{FeedId, Order};
use crate::op::StrokeId;
use crate::time::CaptureTime;
use crate::wire::{self, op::Body};

/// A fading stroke is gone this long after the server took it.
pub const FADE_AFTER: Duration = Duration::from_secs(10);
/// The last part of that, in which it fades.
pub const FADING: Duration = Duration::from_secs(2);

/// How much of a fading stroke is seen this long after `received` (AN17): 1, then a straight line to 0.
pub fn opacity(since_received: Duration) -> f64 {
    let left = FADE_AFTER.saturating_sub(since_received);
    (left.as_secs_f64() / FADING.as_secs_f64()).min(1.0)
}

/// All ink of one case, by stroke. A sheet is the ink of one surface: [`Sheets::sheet`].
#[derive(Debug, Clone, Default)]
pub struct Sheets {
    applied: Order,
    strokes: BTreeMap<StrokeId, wire::StrokeCommit>,
    undone: BTreeSet<StrokeId>,
    /// Every stroke begun at or before this is gone, whenever its commit arrives.
    cleared_up_to: CaptureTime,
    off: bool,
    /// Encoded length of all strokes shown.
    bytes: usize,
}

/// An op that is not the next one. Ours, never the peer's: the caller must apply in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("op {got} was applied after {applied}")]
pub struct OutOfOrder {
    pub got: u64,
    pub applied: u64,
}

impl Sheets {
    /// Applies the next op. An op already applied is ignored (AN7).
    pub fn handle_op(&mut self, ordered: &wire::OrderedOp) -> Result<(), OutOfOrder> {
        if ordered.order <= self.applied.0 {
            return Ok(());
        }
        if ordered.order != self.applied.0 + 1 {
            return Err(OutOfOrder { got: ordered.order, applied: self.applied.0 });
        }
        self.apply(ordered);
        Ok(())
    }

    /// Applies a late joiner's ops (AN12): ascending, with gaps; afterwards everything up to `up_to` counts as applied.
    pub fn handle_snapshot<'a>(&mut self, ops: impl IntoIterator<Item = &'a wire::OrderedOp>, up_to: Order) {
        for ordered in ops {
            if ordered.order > self.applied.0 {
                self.apply(ordered);
            }
        }
        self.applied = self.applied.max(up_to);
    }

    fn apply(&mut self, ordered: &wire::OrderedOp) {
        self.applied = Order(ordered.order);
        match ordered.op.as_ref().and_then(|op| op.body.as_ref()) {
            Some(Body::Stroke(s)) => {
                if let Some(key) = &s.key
                    && s.began > self.cleared_up_to.0
                {
                    self.bytes += prost::Message::encoded_len(s);
                    self.strokes.insert(key.into(), s.clone());
                }
            }
            Some(Body::Undo(u)) => {
                if let Some(key) = &u.stroke {
                    if let Some(s) = self.strokes.remove(&key.into()) {
                        self.bytes -= prost::Message::encoded_len(&s);
                    }
                    self.undone.insert(key.into());
                }
            }
            Some(Body::ClearAll(c)) => {
                self.cleared_up_to = self.cleared_up_to.max(CaptureTime(c.up_to));
                let up_to = self.cleared_up_to.0;
                self.strokes.retain(|_, s| s.began > up_to);
                self.bytes = self.strokes.values().map(prost::Message::encoded_len).sum();
            }
            Some(Body::InkOff(i)) => self.off = i.off,
            Some(Body::Pin(_) | Body::Lead(_) | Body::Grant(_) | Body::Rebase(_)) => {}
            None => {} // void: an op that was refused keeps its place, nothing else
        }
    }

    /// Encoded length of all strokes shown, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn applied(&self) -> Order {
        self.applied
    }

    pub fn is_off(&self) -> bool {
        self.off
    }

    pub fn cleared_up_to(&self) -> CaptureTime {
        self.cleared_up_to
    }

    /// The strokes of one surface, oldest key first.
    pub fn sheet<'a>(&'a self, feed: &'a FeedId) -> impl Iterator<Item = (&'a StrokeId, &'a wire::StrokeCommit)> {
        self.strokes.iter().filter(move |(_, s)| s.frame.as_ref().is_some_and(|f| f.feed == feed.as_str()))
    }

    pub fn strokes(&self) -> impl Iterator<Item = (&StrokeId, &wire::StrokeCommit)> {
        self.strokes.iter()
    }

    pub fn has_stroke(&self, id: &StrokeId) -> bool {
        self.strokes.contains_key(id)
    }

    /// FNV-1a 64 over what is shown: equal hashes on two replicas at the same order mean equal ink.
    pub fn state_hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut eat = |bytes: &[u8]| {
            for b in bytes {
                hash = (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        eat(&self.applied.0.to_le_bytes());
        eat(&self.cleared_up_to.0.to_le_bytes());
        eat(&[u8::from(self.off)]);
        for stroke in self.strokes.values() {
            eat(&prost::Message::encode_to_vec(stroke));
        }
        hash
    }
}
