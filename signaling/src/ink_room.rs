//! The ink of one case: bytes of pages in, bytes for pages out, the sequencer between. Pure: the store, the channels and
//! the clock are the case's. Every call is followed by a full drain of [`InkRoom::poll_effect`].
//!
//! A page's packet repeats what it has not seen acknowledged; this room's packets do the same towards the page: ordered ops
//! from the page's `have_order` on, again every [`REPEAT_MS`] until confirmed. So no channel needs to be reliable.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use annotation::INK_VERSION;
use annotation::id::{Author, Epoch, Order};
use annotation::op::{Fault, StrokeId};
use annotation::sequencer::{Sequencer, Verdict};
use annotation::time::CaptureTime;
use annotation::wire::{self, InkPacket, OrderedOp, op::Body};
use bytes::Bytes;
use link::frame::FrameIndex;
use prost::Message;

use crate::ink_refusals::Refusals;
use crate::ink_wet::WetStrokes;

pub use annotation::sequencer::InkRights;

/// Payload of one packet, so that with SCTP, DTLS and UDP around it fits a 1,300-byte path.
const PACKET_BYTES: usize = 1_100;
/// Piece of a snapshot, on the socket. With `SHOWN_BYTES_MAX` at most some 70 pieces: a page's mailbox holds them all.
const PIECE_BYTES: usize = 60_000;
/// Repeat of what a page has not confirmed.
pub const REPEAT_MS: u64 = 50;
/// Frame indexes kept of each picture to check what ops name: 30 s at 60 frames/s.
const FRAMES_KEPT: usize = 1_800;
/// Pictures (programs and single feeds) whose indexes are kept; of more, the earliest by name.
const PICTURES_MAX: usize = 40;
/// Longest packet taken from a page: an op of full length and its surroundings.
const PACKET_BYTES_MAX: usize = 48 * 1024;
/// Refused ops of one author: this many at once, then one a second. Each is kept for ever as a void, so a page that lies all
/// day must not fill the disk.
const REFUSALS: u32 = 64;
/// Most ops looked at in one packet; the rest comes with the repeat.
const OPS_PER_PACKET: usize = 64;

/// A packet that is not ink. The page's fault; it is told, and its link stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InkFault {
    #[error("the packet cannot be read: {0}")]
    Malformed(String),
    #[error("the packet has version {0}, this server speaks {INK_VERSION}")]
    Version(u32),
    #[error("a packet of {0} bytes is over the limit")]
    TooLong(usize),
    #[error("this page has not joined")]
    NotJoined,
    #[error("too many of this person's ops were refused; the rest waits")]
    TooManyRefused,
}

/// What a person did with ink that the audit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InkAct {
    Clear,
    InkOff(bool),
    Refused(&'static str),
}

/// What must happen next.
#[derive(Debug, Clone, PartialEq)]
pub enum InkEffect {
    /// To disk in this order, then [`InkRoom::handle_stored`].
    Store(Vec<OrderedOp>),
    /// An encoded `InkPacket`.
    Send {
        page: Epoch,
        packet: Bytes,
    },
    /// An encoded `Snapshot` piece, in order.
    Snapshot {
        page: Epoch,
        piece: Bytes,
    },
    Audit {
        author: Author,
        act: InkAct,
    },
}

#[derive(Debug)]
struct Page {
    rights: InkRights,
    /// Confirmed by the page.
    have: Order,
    /// Sent so far; ops above go out at once, the rest with the repeat.
    sent: Order,
    repeat_at: Option<CaptureTime>,
}

/// The last frame indexes of one picture.
#[derive(Debug, Default)]
struct Frames {
    by_time: BTreeMap<u32, FrameIndex>,
    order: VecDeque<u32>,
}

/// The ink of one case. Bounded: pages by the case, frames by the ring, wet strokes by [`WetStrokes`].
#[derive(Debug, Default)]
pub struct InkRoom {
    sequencer: Sequencer,
    pages: BTreeMap<Epoch, Page>,
    wet: WetStrokes,
    /// (refusals left, since when) by author; and when the last refusal was audited.
    refusals: BTreeMap<Author, (u32, CaptureTime)>,
    audited: BTreeMap<Author, CaptureTime>,
    /// Not yet known to have reached their pages.
    untold: Refusals,
    frames: BTreeMap<String, Frames>,
    effects: VecDeque<InkEffect>,
}

impl InkRoom {
    /// From the store: every op of the case, ascending from 1.
    pub fn new(stored: Vec<OrderedOp>) -> Self {
        InkRoom { sequencer: Sequencer::new(stored), ..Default::default() }
    }

    /// A page came, or came back: all ink that is durable goes to it, compacted, in pieces, in order, on the socket. That path is
    /// reliable, so it counts as received; a page whose socket breaks comes again.
    pub fn handle_join(&mut self, page: Epoch, rights: InkRights, now: CaptureTime) {
        let up_to = self.sequencer.durable();
        self.pages.insert(page, Page { rights, have: up_to, sent: up_to, repeat_at: None });
        let mut pieces: Vec<Vec<OrderedOp>> = vec![Vec::new()];
        let mut bytes = 0;
        for op in self.sequencer.compacted() {
            let length = op.encoded_len() + 4;
            if bytes + length > PIECE_BYTES && bytes > 0 {
                pieces.push(Vec::new());
                bytes = 0;
            }
            bytes += length;
            if let Some(piece) = pieces.last_mut() {
                piece.push(op);
            }
        }
        let n = pieces.len();
        for (i, ops) in pieces.into_iter().enumerate() {
            let piece = wire::Snapshot { version: INK_VERSION, ops, up_to: up_to.0, last: i + 1 == n };
            self.effects.push_back(InkEffect::Snapshot { page, piece: piece.encode_to_vec().into() });
        }
        let seq = self.sequencer.durable_seq(rights.author, page);
        if seq > 0 {
            let acks = vec![wire::OpAck { author: rights.author.0, epoch: page.0, seq }];
            self.send(page, InkPacket { acks, ..self.empty() });
        }
        let refused = self.untold.take(page);
        if !refused.is_empty() {
            self.send(page, InkPacket { refused, ..self.empty() });
        }
        for live in self.wet.all(page) {
            self.send(page, InkPacket { live: vec![live], ..self.empty() });
        }
        self.plan_repeat(page, now);
    }

    /// A page went. Its strokes under the pen stay where they are for its return, then [`WetStrokes`] lets them go.
    pub fn handle_leave(&mut self, page: Epoch, now: CaptureTime) {
        self.pages.remove(&page);
        self.wet.handle_leave(page, now);
    }

    pub fn handle_rights(&mut self, page: Epoch, rights: InkRights) {
        if let Some(p) = self.pages.get_mut(&page) {
            p.rights = rights;
        }
    }

    /// A packet from a page, over whichever path. `now`: receive time, case timeline.
    pub fn handle_bytes(&mut self, page: Epoch, bytes: &[u8], now: CaptureTime) -> Result<(), InkFault> {
        if bytes.len() > PACKET_BYTES_MAX {
            return Err(InkFault::TooLong(bytes.len()));
        }
        let packet = InkPacket::decode(bytes).map_err(|e| InkFault::Malformed(e.to_string()))?;
        if packet.version != INK_VERSION {
            return Err(InkFault::Version(packet.version));
        }
        let Some(state) = self.pages.get_mut(&page) else { return Err(InkFault::NotJoined) };
        let rights = state.rights;
        let have = Order(packet.have_order).min(self.sequencer.durable());
        if have > state.have {
            state.have = have;
            state.sent = state.sent.max(have);
            self.untold.handle_confirmed(page, have);
        }
        if !packet.ops.is_empty() && !self.may_be_refused(rights.author, now) {
            return Err(InkFault::TooManyRefused);
        }
        self.handle_ops(page, rights, packet.ops, now);
        self.handle_live(page, rights, packet.live, now);
        for ack in &packet.live_acks {
            if let Some(key) = &ack.key {
                self.wet.handle_seen(page, key.into(), ack.have);
            }
        }
        self.plan_repeat(page, now);
        Ok(())
    }

    /// Everything up to `up_to` is on disk: acknowledge to its authors, show to everybody.
    pub fn handle_stored(&mut self, up_to: Order, now: CaptureTime) {
        let before = self.sequencer.durable();
        self.sequencer.handle_durable(up_to);
        let mut acks: BTreeMap<Epoch, wire::OpAck> = BTreeMap::new();
        for op in self.sequencer.durable_after(before).iter().filter_map(|o| o.op.as_ref()) {
            if let Some(Body::Stroke(s)) = &op.body
                && let Some(key) = &s.key
            {
                self.wet.handle_committed(key.into());
            }
            acks.insert(Epoch(op.epoch), wire::OpAck { author: op.author, epoch: op.epoch, seq: op.seq });
        }
        for (page, ack) in acks {
            self.send(page, InkPacket { acks: vec![ack], ..self.empty() });
        }
        let pages: Vec<Epoch> = self.pages.keys().copied().collect();
        for page in pages {
            self.send_ordered(page, false, now);
        }
    }

    /// A program frame was composed; ops may name it from now on.
    pub fn handle_frame(&mut self, frame: &FrameIndex) {
        if !self.frames.contains_key(&frame.program) && self.frames.len() >= PICTURES_MAX {
            return;
        }
        let kept = self.frames.entry(frame.program.clone()).or_default();
        if kept.by_time.insert(frame.rtp_ts, frame.clone()).is_none() {
            kept.order.push_back(frame.rtp_ts);
        }
        if kept.order.len() > FRAMES_KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_time.remove(&oldest);
        }
    }

    /// Repeats what pages have not confirmed, and lets abandoned wet strokes go.
    pub fn handle_timeout(&mut self, now: CaptureTime) {
        let due: Vec<Epoch> =
            self.pages.iter().filter(|(_, p)| p.repeat_at.is_some_and(|at| at <= now)).map(|(page, _)| *page).collect();
        for page in due {
            self.send_ordered(page, true, now);
        }
        for live in self.wet.handle_timeout(now) {
            self.fan_out(None, InkPacket { live: vec![live], ..self.empty() });
        }
    }

    pub fn poll_effect(&mut self) -> Option<InkEffect> {
        self.effects.pop_front()
    }

    /// Soonest of all deadlines.
    pub fn poll_timeout(&self) -> Option<CaptureTime> {
        self.pages.values().filter_map(|p| p.repeat_at).chain(self.wet.poll_timeout()).min()
    }

    /// Counts for metrics: ops taken, strokes shown, pages.
    pub fn counts(&self) -> (u64, usize, usize) {
        (self.sequencer.sheets().applied().0, self.sequencer.sheets().strokes().count(), self.pages.len())
    }

    fn handle_ops(&mut self, page: Epoch, rights: InkRights, ops: Vec<wire::Op>, now: CaptureTime) {
        let mut store = Vec::new();
        let mut known = false;
        for mut op in ops.into_iter().take(OPS_PER_PACKET) {
            // What was seen under the pen says when the stroke began, whatever its commit says later (AN6).
            if let Some(Body::Stroke(stroke)) = &mut op.body
                && let Some(began) = stroke.key.as_ref().and_then(|key| self.wet.began(key.into()))
            {
                stroke.began = stroke.began.min(began.0);
            }
            let frames = &self.frames;
            let verdict = self.sequencer.handle_op(rights, page, op, |frame| frame_fits(frames, frame, now), now);
            if let Verdict::Taken(_, Some(_)) = verdict
                && !self.spend_refusal(rights.author, now)
            {
                // Taken already, so it is stored; the rest of the packet waits for the page's repeat.
                if let Verdict::Taken(ordered, fault) = verdict {
                    self.announce(page, rights, &ordered, fault.as_ref(), now);
                    store.push(*ordered);
                }
                break;
            }
            match verdict {
                Verdict::Gap => break,
                Verdict::Known => known = true,
                Verdict::Taken(ordered, fault) => {
                    self.announce(page, rights, &ordered, fault.as_ref(), now);
                    store.push(*ordered);
                }
            }
        }
        if !store.is_empty() {
            self.effects.push_back(InkEffect::Store(store));
        }
        let seq = self.sequencer.durable_seq(rights.author, page);
        if known && seq > 0 {
            let acks = vec![wire::OpAck { author: rights.author.0, epoch: page.0, seq }];
            self.send(page, InkPacket { acks, ..self.empty() });
        }
    }

    /// What is told before the op is on disk: refusals to its page, *clear* and *ink off* to everybody (AN11).
    fn announce(&mut self, page: Epoch, rights: InkRights, ordered: &OrderedOp, fault: Option<&Fault>, now: CaptureTime) {
        let Some(op) = &ordered.op else { return };
        if let Some(fault) = fault {
            let code = fault.code();
            let refusal = wire::OpRefusal { author: op.author, epoch: op.epoch, seq: op.seq, code: code.into() };
            self.untold.add(page, Order(ordered.order), refusal.clone());
            self.send(page, InkPacket { refused: vec![refusal], ..self.empty() });
            let due = self.audited.get(&rights.author).is_none_or(|last| now.since(*last) >= Duration::from_secs(1));
            if due {
                self.audited.insert(rights.author, now);
                self.effects.push_back(InkEffect::Audit { author: rights.author, act: InkAct::Refused(code) });
            }
        }
        match &op.body {
            Some(Body::ClearAll(clear)) => {
                self.wet.handle_clear(CaptureTime(clear.up_to));
                self.fan_out(Some(page), InkPacket { clears: vec![*clear], ..self.empty() });
                self.effects.push_back(InkEffect::Audit { author: rights.author, act: InkAct::Clear });
            }
            Some(Body::InkOff(ink)) => {
                self.fan_out(Some(page), InkPacket { ink_off_now: Some(ink.off), ..self.empty() });
                self.effects.push_back(InkEffect::Audit { author: rights.author, act: InkAct::InkOff(ink.off) });
            }
            _ => {}
        }
    }

    fn handle_live(&mut self, page: Epoch, rights: InkRights, live: Vec<wire::LiveStroke>, now: CaptureTime) {
        let mut known: BTreeMap<StrokeId, u32> = BTreeMap::new();
        for stroke in live.into_iter().take(OPS_PER_PACKET) {
            let Some(key) = stroke.key else { continue };
            let id = StrokeId::from(&key);
            // A live stroke is the page's own, of somebody who may draw, with a frame (AN4); else it is not relayed.
            if !rights.may_draw || id.author != rights.author || id.epoch != page || self.sequencer.sheets().has_stroke(&id) {
                continue;
            }
            let cleared = self.sequencer.sheets().cleared_up_to();
            if let Ok(have) = self.wet.handle_points(stroke, cleared, now) {
                known.insert(id, have);
            }
        }
        if known.is_empty() {
            return;
        }
        let live_acks = known.iter().map(|(id, have)| wire::LiveAck { key: Some((*id).into()), have: *have }).collect();
        self.send(page, InkPacket { live_acks, ..self.empty() });
        let others: Vec<Epoch> = self.pages.keys().copied().filter(|p| *p != page).collect();
        for other in others {
            for id in known.keys() {
                if let Some(live) = self.wet.poll_relay(other, *id) {
                    self.send(other, InkPacket { live: vec![live], ..self.empty() });
                }
            }
        }
    }

    /// Whether this author has a refusal left: [`REFUSALS`] at once, one more each second.
    fn may_be_refused(&mut self, author: Author, now: CaptureTime) -> bool {
        let (left, since) = self.refusals.entry(author).or_insert((REFUSALS, now));
        let seconds = now.since(*since).as_secs();
        if seconds > 0 {
            *left = u32::try_from(seconds).unwrap_or(REFUSALS).saturating_add(*left).min(REFUSALS);
            *since = now;
        }
        *left > 0
    }

    /// False when that was the last one for now.
    fn spend_refusal(&mut self, author: Author, now: CaptureTime) -> bool {
        let (left, _) = self.refusals.entry(author).or_insert((REFUSALS, now));
        *left = left.saturating_sub(1);
        *left > 0
    }

    /// Ordered ops to one page: the unsent ones, or with `again` everything it has not confirmed. As many packets as needed,
    /// at most 16; the repeat brings the rest.
    fn send_ordered(&mut self, page: Epoch, again: bool, now: CaptureTime) {
        let Some(state) = self.pages.get(&page) else { return };
        let mut from = if again { state.have } else { state.sent };
        for _ in 0..16 {
            let mut ordered = Vec::new();
            let mut bytes = 0;
            for op in self.sequencer.durable_after(from) {
                let length = op.encoded_len() + 4;
                if bytes + length > PACKET_BYTES && !ordered.is_empty() {
                    break;
                }
                bytes += length;
                ordered.push(op.clone());
            }
            let Some(last) = ordered.last() else { break };
            from = Order(last.order);
            let refused = self.untold.of(page, &ordered);
            self.send(page, InkPacket { ordered, refused, ..self.empty() });
        }
        if let Some(state) = self.pages.get_mut(&page) {
            state.sent = state.sent.max(from);
        }
        self.plan_repeat(page, now);
    }

    fn plan_repeat(&mut self, page: Epoch, now: CaptureTime) {
        let durable = self.sequencer.durable();
        if let Some(state) = self.pages.get_mut(&page) {
            let open = state.have < durable;
            let next = now.saturating_add(Duration::from_millis(REPEAT_MS));
            state.repeat_at = open.then(|| state.repeat_at.filter(|at| *at > now).unwrap_or(next));
        }
    }

    fn fan_out(&mut self, except: Option<Epoch>, packet: InkPacket) {
        let bytes: Bytes = packet.encode_to_vec().into();
        for page in self.pages.keys().filter(|p| Some(**p) != except) {
            self.effects.push_back(InkEffect::Send { page: *page, packet: bytes.clone() });
        }
    }

    fn send(&mut self, page: Epoch, packet: InkPacket) {
        if self.pages.contains_key(&page) {
            self.effects.push_back(InkEffect::Send { page, packet: packet.encode_to_vec().into() });
        }
    }

    fn empty(&self) -> InkPacket {
        InkPacket { version: INK_VERSION, last_order: self.sequencer.durable().0, ..Default::default() }
    }
}

/// A frame cannot be from later than this ahead of the server's own time.
const FUTURE: Duration = Duration::from_millis(250);

/// AN9: `None` when the frame is not in the ring. A single feed shown alone names itself as the program. What names a picture
/// from the future, or a program or feed that the ring shows not to exist, cannot have been seen.
fn frame_fits(frames: &BTreeMap<String, Frames>, frame: &wire::FrameRef, now: CaptureTime) -> Option<bool> {
    if frame.capture > now.saturating_add(FUTURE).0 {
        return Some(false);
    }
    let Some(known) = frames.get(&frame.program) else {
        // Before the first index of a restarted server nothing is known; afterwards a stranger is a stranger.
        return if frames.is_empty() { None } else { Some(false) };
    };
    let Some(index) = known.by_time.get(&frame.program_rtp_ts) else {
        let feed_exists = known.by_time.values().next_back().is_some_and(|i| i.entries.iter().any(|e| e.feed == frame.feed));
        return if feed_exists { None } else { Some(false) };
    };
    Some(index.layout_rev == frame.layout_rev && index.entries.iter().any(|e| e.feed == frame.feed && e.capture == frame.capture))
}
