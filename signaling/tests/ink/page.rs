//! A page's side of ink as the web client has it: an outbox until acknowledged, a replica, how far it has come.

use annotation::id::{Epoch, Order};
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{self, InkPacket, op::Body};
use prost::Message;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use signaling::ink_room::{InkRights, REPEAT_MS};

use crate::kit::{commit, key, page_of};

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rights: InkRights,
    pub(crate) case: &'static str,
    pub(crate) seq: u32,
    pub(crate) outbox: Vec<wire::Op>,
    /// Whatever was acknowledged as on disk.
    pub(crate) acknowledged: u32,
    pub(crate) refused: Vec<u32>,
    pub(crate) replica: Sheets,
    said: Option<CaptureTime>,
    snapshot: Vec<wire::OrderedOp>,
}

impl Page {
    pub(crate) fn new(case: &'static str, rights: InkRights) -> Self {
        Page {
            rights,
            case,
            seq: 0,
            outbox: vec![],
            acknowledged: 0,
            refused: vec![],
            replica: Sheets::default(),
            said: None,
            snapshot: vec![],
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        page_of(self.rights)
    }

    pub(crate) fn say(&mut self, body: Body, now: CaptureTime) {
        self.seq += 1;
        let op = wire::Op { author: self.rights.author.0, epoch: self.epoch().0, seq: self.seq, at: now.0, body: Some(body) };
        self.outbox.push(op);
        self.said = None;
    }

    /// One act of a hand.
    pub(crate) fn act(&mut self, rng: &mut ChaCha8Rng, now: CaptureTime) {
        let number = self.seq + 1;
        let earlier = key(self.rights, rng.random_range(1..=number));
        let body = match rng.random_range(0..12) {
            0 if self.rights.is_room => Body::ClearAll(wire::ClearAll { up_to: now.0 }),
            1 if self.rights.is_room => Body::InkOff(wire::InkOff { off: rng.random_bool(0.5) }),
            2 => Body::Undo(wire::Undo { stroke: Some(earlier) }),
            3 => Body::Pin(wire::Pin { stroke: Some(earlier), pinned: rng.random_bool(0.5) }),
            4 => Body::Grant(wire::Grant { author: rng.random_range(1..5), may_draw: rng.random_bool(0.8) }),
            5 if rng.random_bool(0.2) => Body::Lead(wire::Lead { author: rng.random_range(1..4) }),
            _ => {
                let mut stroke = commit(self.rights, number, now);
                stroke.fades = rng.random_bool(0.4);
                Body::Stroke(stroke)
            }
        };
        self.say(body, now);
    }

    /// The packet that is due, if one is: the whole outbox, as often as it is not acknowledged.
    pub(crate) fn poll_packet(&mut self, now: CaptureTime, behind: bool) -> Option<Vec<u8>> {
        let due = self.said.is_none_or(|said| now.since(said).as_millis() >= u128::from(REPEAT_MS));
        if !due || (self.outbox.is_empty() && !behind) {
            return None;
        }
        self.said = Some(now);
        let packet = InkPacket {
            version: 1,
            ops: self.outbox.iter().take(40).cloned().collect(),
            have_order: self.replica.applied().0,
            case_id: self.case.into(),
            ..Default::default()
        };
        Some(packet.encode_to_vec())
    }

    pub(crate) fn handle_packet(&mut self, bytes: &[u8]) {
        let packet = InkPacket::decode(bytes).expect("the server's own");
        for op in &packet.ordered {
            if op.order <= self.replica.applied().0 + 1 {
                self.replica.handle_op(op).expect("in order");
            }
        }
        let (author, epoch) = (self.rights.author.0, self.epoch().0);
        let own = packet.acks.iter().filter(|a| a.author == author && a.epoch == epoch);
        self.acknowledged = own.map(|a| a.seq).fold(self.acknowledged, u32::max);
        self.refused.extend(packet.refused.iter().map(|r| r.seq));
        let acknowledged = self.acknowledged;
        self.outbox.retain(|op| op.seq > acknowledged);
    }

    pub(crate) fn handle_snapshot(&mut self, piece: &[u8]) {
        let piece = wire::Snapshot::decode(piece).expect("the server's own");
        self.snapshot.extend(piece.ops);
        if piece.last {
            // A fresh page has nothing; one that comes back keeps what it has where the snapshot is not newer.
            let ops = std::mem::take(&mut self.snapshot);
            if piece.up_to >= self.replica.applied().0 {
                self.replica = Sheets::default();
                self.replica.handle_snapshot(&ops, Order(piece.up_to));
            }
        }
    }

    /// The connection broke and is there again: say everything again.
    pub(crate) fn handle_connection(&mut self) {
        self.said = None;
        self.snapshot.clear();
    }
}
