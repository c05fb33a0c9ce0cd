//! The ink of a case as everybody must see it: ordered ops in, strokes out. Server, engine, room and review all apply the
//! same ops in the same order and so hold the same sheets; [`Sheets::state_hash`] says whether they do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;

use crate::baton::Baton;
use crate::id::{Author, FeedId, Order};
use crate::op::StrokeId;
use crate::points::{self, Point};
use crate::rebase;
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

/// A stroke on the glass, and what was said of it since.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub stroke: wire::StrokeCommit,
    /// From when it fades; `None`: it stays.
    fades_from: Option<CaptureTime>,
    rebase: Option<wire::Rebase>,
    /// The ops that made it so: its own, the newest pin, the rebase.
    made_by: Order,
    pinned_by: Option<Order>,
    rebased_by: Option<Order>,
    bytes: usize,
}

impl Shown {
    /// How much of it is seen at `now`, case timeline; 0 once it has faded.
    pub fn opacity(&self, now: CaptureTime) -> f64 {
        self.fades_from.map_or(1.0, |from| opacity(now.since(from)))
    }

    /// When it is gone; `None`: it stays.
    pub fn gone_at(&self) -> Option<CaptureTime> {
        self.fades_from.map(|from| from.saturating_add(FADE_AFTER))
    }

    /// Its points as they are drawn: on the frame it is anchored to, moved there where it was drawn over a moving picture (AN20).
    pub fn points(&self) -> Vec<Point> {
        let points = self.stroke.points.as_ref().and_then(|p| points::decode(p).ok()).unwrap_or_default();
        match &self.rebase {
            Some(rebase) => rebase::moved(&points, &rebase.spans),
            None => points,
        }
    }

    pub fn is_rebased(&self) -> bool {
        self.rebase.is_some()
    }
}

/// All ink of one case, by stroke. A sheet is the ink of one surface: [`Sheets::sheet`].
#[derive(Debug, Clone, Default)]
pub struct Sheets {
    applied: Order,
    strokes: BTreeMap<StrokeId, Shown>,
    /// Every stroke begun at or before this is gone, whenever its commit arrives.
    cleared_up_to: CaptureTime,
    off: bool,
    baton: Baton,
    /// Newest `received` of the log: the clock by which ink fades in the log's own state.
    newest: CaptureTime,
    /// Earliest that a stroke may be gone; nothing before it is looked at.
    next_gone: Option<CaptureTime>,
    /// Encoded length of all strokes shown.
    bytes: usize,
    /// The ops in force: of *clear*, *ink off*, lead, and of each pen lent.
    cleared_by: Option<Order>,
    off_by: Option<Order>,
    lead_by: Option<Order>,
    granted_by: BTreeMap<Author, Order>,
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
        self.fade();
        Ok(())
    }

    /// Applies a late joiner's ops (AN12): ascending, with gaps; afterwards everything up to `up_to` counts as applied. What
    /// fades does so at the end only: between the ops that are there others may have kept it.
    pub fn handle_snapshot<'a>(&mut self, ops: impl IntoIterator<Item = &'a wire::OrderedOp>, up_to: Order) {
        for ordered in ops {
            if ordered.order > self.applied.0 {
                self.apply(ordered);
            }
        }
        self.applied = self.applied.max(up_to);
        if up_to > Order(0) {
            self.fade();
        }
    }

    fn apply(&mut self, ordered: &wire::OrderedOp) {
        let order = Order(ordered.order);
        self.applied = order;
        let received = CaptureTime(ordered.received).max(self.newest);
        self.newest = received;
        match ordered.op.as_ref().and_then(|op| op.body.as_ref()) {
            Some(Body::Stroke(s)) => {
                if let Some(key) = &s.key
                    && s.began > self.cleared_up_to.0
                {
                    let bytes = s.encoded_len();
                    self.bytes += bytes;
                    let shown = Shown {
                        stroke: s.clone(),
                        fades_from: s.fades.then_some(received),
                        rebase: None,
                        made_by: order,
                        pinned_by: None,
                        rebased_by: None,
                        bytes,
                    };
                    self.expect_gone(&shown);
                    self.strokes.insert(key.into(), shown);
                }
            }
            Some(Body::Undo(u)) => {
                if let Some(s) = u.stroke.as_ref().and_then(|key| self.strokes.remove(&key.into())) {
                    self.bytes -= s.bytes;
                }
            }
            Some(Body::ClearAll(c)) => {
                if c.up_to > self.cleared_up_to.0 {
                    self.cleared_up_to = CaptureTime(c.up_to);
                    self.cleared_by = Some(order);
                }
                let up_to = self.cleared_up_to.0;
                self.keep(|s| s.stroke.began > up_to);
            }
            Some(Body::InkOff(i)) => {
                self.off = i.off;
                self.off_by = Some(order);
            }
            Some(Body::Pin(p)) => {
                if let Some(shown) = p.stroke.as_ref().and_then(|key| self.strokes.get_mut(&key.into())) {
                    shown.fades_from = (!p.pinned).then_some(received);
                    shown.pinned_by = Some(order);
                    let shown = shown.clone();
                    self.expect_gone(&shown);
                }
            }
            Some(Body::Lead(l)) => {
                self.baton.handle_lead(l.author);
                self.lead_by = Some(order);
            }
            Some(Body::Grant(g)) => {
                self.baton.handle_grant(g.author, g.may_draw);
                if g.may_draw {
                    self.granted_by.insert(Author(g.author), order);
                } else {
                    self.granted_by.remove(&Author(g.author));
                }
            }
            Some(Body::Rebase(r)) => {
                if let Some(shown) = r.stroke.as_ref().and_then(|key| self.strokes.get_mut(&key.into())) {
                    let more = r.encoded_len();
                    shown.bytes += more;
                    self.bytes += more;
                    shown.rebase = Some(r.clone());
                    shown.rebased_by = Some(order);
                }
            }
            None => {} // void: an op that was refused keeps its place, nothing else
        }
    }

    fn expect_gone(&mut self, shown: &Shown) {
        if let Some(at) = shown.gone_at() {
            self.next_gone = Some(self.next_gone.map_or(at, |known| known.min(at)));
        }
    }

    /// Lets go what had faded when the newest op was taken. So the state hangs on the log alone, not on who looks when.
    fn fade(&mut self) {
        let now = self.newest;
        if self.next_gone.is_some_and(|at| at <= now) {
            self.keep(|s| s.gone_at().is_none_or(|at| at > now));
            self.next_gone = self.strokes.values().filter_map(Shown::gone_at).min();
        }
    }

    fn keep(&mut self, wanted: impl Fn(&Shown) -> bool) {
        self.strokes.retain(|_, s| wanted(s));
        self.bytes = self.strokes.values().map(|s| s.bytes).sum();
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

    /// Who leads and who was lent the pen.
    pub fn baton(&self) -> &Baton {
        &self.baton
    }

    /// The strokes of one surface, oldest key first.
    pub fn sheet<'a>(&'a self, feed: &'a FeedId) -> impl Iterator<Item = (&'a StrokeId, &'a wire::StrokeCommit)> {
        self.strokes().filter(move |(_, s)| s.frame.as_ref().is_some_and(|f| f.feed == feed.as_str()))
    }

    pub fn strokes(&self) -> impl Iterator<Item = (&StrokeId, &wire::StrokeCommit)> {
        self.strokes.iter().map(|(id, s)| (id, &s.stroke))
    }

    /// With what was said of them since; those that have faded since the newest op among them: ask [`Shown::opacity`].
    pub fn shown(&self) -> impl Iterator<Item = (&StrokeId, &Shown)> {
        self.strokes.iter()
    }

    pub fn stroke(&self, id: &StrokeId) -> Option<&Shown> {
        self.strokes.get(id)
    }

    pub fn has_stroke(&self, id: &StrokeId) -> bool {
        self.strokes.contains_key(id)
    }

    /// Orders of the ops that the state hangs on: without them nothing is left out that is shown or in force.
    pub(crate) fn made_by(&self) -> BTreeSet<Order> {
        let strokes = self.strokes.values().flat_map(|s| [Some(s.made_by), s.pinned_by, s.rebased_by]);
        let rest = [self.cleared_by, self.off_by, self.lead_by];
        strokes.chain(rest).flatten().chain(self.granted_by.values().copied()).collect()
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
        self.baton.eat(&mut eat);
        for shown in self.strokes.values() {
            eat(&shown.stroke.encode_to_vec());
            eat(&shown.fades_from.map_or(0, |at| at.0).to_le_bytes());
            eat(&shown.rebase.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default());
        }
        hash
    }
}
