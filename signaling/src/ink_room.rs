//! The ink of one case: bytes of pages in, bytes for pages out, the sequencer between. Pure: the store, the channels and
//! the clock are the case's. Every call is followed by a full drain of [`InkRoom::poll_effect`].
//!
//! A page's packet repeats what it has not seen acknowledged; this room's packets do the same towards the page: ordered ops
//! from the page's `have_order` on, again every [`REPEAT_MS`] until confirmed. So no channel needs to be reliable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use annotation::INK_VERSION;
use annotation::baton::Drawers;
use annotation::id::{Author, Epoch, FeedId, Order};
use annotation::op::{Fault, StrokeId};
use annotation::sequencer::{ENGINE, Sequencer, Verdict};
use annotation::sheet::Sheets;
use annotation::textures::Textures;
use annotation::time::CaptureTime;
use annotation::wire::{self, InkPacket, OrderedOp, op::Body};
use bytes::Bytes;
use link::frame::FrameIndex;
use link::id::CaseId;
use link::wire::Anchor;
use prost::Message;

use crate::ink_anchors::Anchors;
use crate::ink_frames::FrameRings;
use crate::ink_limits::{self as limits, Bucket, Unheard};
use crate::ink_refusals::Refusals;
use crate::ink_wet::WetStrokes;

pub use annotation::sequencer::InkRights;

/// Payload of one packet, so that with SCTP, DTLS and UDP around it fits a 1,300-byte path.
const PACKET_BYTES: usize = 1_100;
/// Piece of a snapshot, on the socket. With `SHOWN_BYTES_MAX` at most some 70 pieces: a page's mailbox holds them all.
const PIECE_BYTES: usize = 60_000;
/// Repeat of what a page has not confirmed.
pub const REPEAT_MS: u64 = 50;
/// Longest packet taken from a page: an op of full length and its surroundings.
const PACKET_BYTES_MAX: usize = 48 * 1024;
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
    #[error("this page's pen is bound to another case")]
    OtherCase,
    #[error("more ink than a hand can make; the rest waits")]
    TooFast,
}

/// What a person did with ink that the audit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InkAct {
    Clear,
    InkOff(bool),
    /// The lead was named, or handed over.
    Lead,
    /// The pen was lent, or taken back.
    Grant(bool),
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
    /// To the engine's tracker.
    Anchor(Anchor),
    /// Whose pen it is has changed: [`InkRoom::lead`], [`InkRoom::granted`], [`InkRoom::textures`].
    Pen,
    /// A frame of a looping run is drawn on: it is to be kept as a still, since it goes with the next run.
    Keep {
        feed: FeedId,
        capture: CaptureTime,
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
    unheard: Unheard,
    packets: Bucket,
    points: Bucket,
}

/// What is left of one person's limits.
#[derive(Debug, Default)]
struct Purse {
    ops: Bucket,
    op_bytes: Bucket,
    refusals: Bucket,
}

/// The ink of one case. Bounded: pages by the case, frames by their rings, wet strokes by [`WetStrokes`], what people say by
/// [`limits`].
#[derive(Debug)]
pub struct InkRoom {
    case: CaseId,
    sequencer: Sequencer,
    pages: BTreeMap<Epoch, Page>,
    wet: WetStrokes,
    purses: BTreeMap<Author, Purse>,
    /// When the last refusal was audited.
    audited: BTreeMap<Author, CaptureTime>,
    /// Not yet known to have reached their pages.
    untold: Refusals,
    frames: FrameRings,
    anchors: Anchors,
    effects: VecDeque<InkEffect>,
}

impl InkRoom {
    /// From the store: every op of the case, ascending from 1. `drawers`: its people who may draw.
    pub fn new(case: CaseId, stored: Vec<OrderedOp>, drawers: Drawers) -> Self {
        InkRoom {
            case,
            sequencer: Sequencer::new(stored, drawers),
            pages: BTreeMap::new(),
            wet: WetStrokes::default(),
            purses: BTreeMap::new(),
            audited: BTreeMap::new(),
            untold: Refusals::default(),
            frames: FrameRings::default(),
            anchors: Anchors::default(),
            effects: VecDeque::new(),
        }
    }

    /// A page came, or came back: all durable ink goes to it, compacted, in order, on the socket. That is reliable: it counts as received.
    pub fn handle_join(&mut self, page: Epoch, rights: InkRights, now: CaptureTime) {
        let up_to = self.sequencer.durable();
        let (repeat_at, unheard, packets, points) = Default::default();
        self.pages.insert(page, Page { rights, have: up_to, sent: up_to, repeat_at, unheard, packets, points });
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
        let Some(state) = self.pages.get_mut(&page) else { return Err(InkFault::NotJoined) };
        if !state.packets.take(limits::PACKETS, now) {
            return Err(InkFault::TooFast);
        }
        let packet = InkPacket::decode(bytes).map_err(|e| InkFault::Malformed(e.to_string()))?;
        if packet.version != INK_VERSION {
            return Err(InkFault::Version(packet.version));
        }
        // Nothing of it is taken: the hand that drew it looked at another room, or does not say at which (AN21).
        let has_ink = !packet.ops.is_empty() || !packet.live.is_empty();
        if (has_ink || !packet.case_id.is_empty()) && packet.case_id != self.case.as_str() {
            return Err(InkFault::OtherCase);
        }
        let rights = state.rights;
        let have = Order(packet.have_order).min(self.sequencer.durable());
        if have > state.have {
            (state.have, state.unheard) = (have, Unheard::default());
            state.sent = state.sent.max(have);
            self.untold.handle_confirmed(page, have);
        }
        if !packet.ops.is_empty() && !self.purse(rights.author).refusals.has_left(limits::REFUSALS, now) {
            return Err(InkFault::TooManyRefused);
        }
        let ops = self.handle_ops(page, rights, packet.ops, now);
        let live = self.handle_live(page, rights, packet.live, now);
        for ack in &packet.live_acks {
            if let Some(key) = &ack.key {
                self.wet.handle_seen(page, key.into(), ack.have);
            }
        }
        self.plan_repeat(page, now);
        ops.and(live)
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
            if (Author(op.author), Epoch(op.epoch)) == ENGINE {
                continue;
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
        self.frames.handle_frame(frame);
    }

    /// A still can be drawn on: of this feed, captured then.
    pub fn handle_still(&mut self, still: &str, feed: &FeedId, capture: CaptureTime) {
        self.frames.handle_still(still, feed, capture);
    }

    /// The engine's word on a stroke drawn over a moving picture. It goes the way of every op; one that makes no sense goes nowhere.
    pub fn handle_rebase(&mut self, rebase: wire::Rebase, now: CaptureTime) {
        if let Some(ordered) = self.sequencer.handle_rebase(rebase, now) {
            self.effects.push_back(InkEffect::Store(vec![ordered]));
        }
    }

    /// An engine is up and knows nothing: it is told of all ink that may be followed, what is under pens first.
    pub fn handle_engine_up(&mut self, now: CaptureTime) {
        self.anchors.forget();
        let live: Vec<Anchor> = self.wet.whole().filter_map(|live| self.anchors.handle_live(&live)).collect();
        let sheets = self.sequencer.sheets();
        let newest_first = || {
            let mut shown: Vec<_> = sheets.shown().filter(|(_, s)| s.opacity(now) > 0.0).map(|(_, s)| &s.stroke).collect();
            shown.sort_by_key(|s| std::cmp::Reverse(s.began));
            shown
        };
        let dry = newest_first().into_iter().filter_map(|stroke| self.anchors.handle_commit(stroke));
        self.effects.extend(live.into_iter().chain(dry).map(InkEffect::Anchor));
    }

    /// Repeats what pages have not confirmed, and lets abandoned wet strokes go.
    pub fn handle_timeout(&mut self, now: CaptureTime) {
        let due: Vec<Epoch> =
            self.pages.iter().filter(|(_, p)| p.repeat_at.is_some_and(|at| at <= now)).map(|(page, _)| *page).collect();
        for page in due {
            self.send_ordered(page, true, now);
        }
        for live in self.wet.handle_timeout(now) {
            if let Some(key) = &live.key {
                self.sequencer.forbid_end(&key.into());
            }
            self.fan_out(None, InkPacket { live: vec![live], ..self.empty() });
        }
        self.let_anchors_go(now);
    }

    pub fn poll_effect(&mut self) -> Option<InkEffect> {
        self.effects.pop_front()
    }

    /// Soonest of all deadlines.
    pub fn poll_timeout(&self) -> Option<CaptureTime> {
        let sheets = self.sequencer.sheets();
        let fading = self.anchors.told().filter_map(|id| sheets.stroke(id)?.gone_at());
        self.pages.values().filter_map(|p| p.repeat_at).chain(self.wet.poll_timeout()).chain(fading).min()
    }

    /// The ink with every op taken so far.
    pub fn sheets(&self) -> &Sheets {
        self.sequencer.sheets()
    }

    /// Who leads now.
    pub fn lead(&self) -> Option<Author> {
        self.sequencer.lead()
    }

    /// Those to whom the pen is lent now.
    pub fn granted(&self) -> &BTreeSet<Author> {
        self.sequencer.sheets().baton().granted()
    }

    /// Whose ink has which texture.
    pub fn textures(&self) -> &Textures {
        self.sequencer.textures()
    }

    /// It has confirmed nothing for long, though it was told again and again.
    pub fn is_unheard(&self, page: Epoch) -> bool {
        self.pages.get(&page).is_some_and(|p| p.unheard.is_long())
    }

    /// Whether this page's ink is taken now.
    pub fn may_draw(&self, page: Epoch) -> bool {
        self.pages.get(&page).is_some_and(|p| self.sequencer.may_draw(p.rights))
    }

    /// Counts for metrics: ops taken, strokes shown, pages.
    pub fn counts(&self) -> (u64, usize, usize) {
        (self.sequencer.sheets().applied().0, self.sequencer.sheets().strokes().count(), self.pages.len())
    }

    /// `Err`: some wait for the page's repeat.
    fn handle_ops(&mut self, page: Epoch, rights: InkRights, ops: Vec<wire::Op>, now: CaptureTime) -> Result<(), InkFault> {
        let mut store = Vec::new();
        let mut known = false;
        let mut fault_of_rate = Ok(());
        for mut op in ops.into_iter().take(OPS_PER_PACKET) {
            let bytes = op.encoded_len();
            // What hides ink is never too much.
            let hides = matches!(op.body, Some(Body::ClearAll(_) | Body::InkOff(_))) && rights.is_room;
            let purse = self.purses.entry(rights.author).or_default();
            let has_left = purse.ops.has_left(limits::OPS, now) && purse.op_bytes.has_left(limits::OP_BYTES, now);
            if !hides && !has_left {
                fault_of_rate = Err(InkFault::TooFast);
                break;
            }
            // What was seen under the pen says when the stroke began, whatever its commit says later (AN6).
            if let Some(Body::Stroke(stroke)) = &mut op.body
                && let Some(began) = stroke.key.as_ref().and_then(|key| self.wet.began(key.into()))
            {
                stroke.began = stroke.began.min(began.0);
                let ended = self.wet.cut(stroke);
                if !ended && let Some(key) = &stroke.key {
                    self.sequencer.forbid_end(&key.into());
                }
            }
            let before = self.sequencer.textures().of(rights.author);
            let frames = &self.frames;
            match self.sequencer.handle_op(rights, page, op, |stroke| frames.fit(stroke, now), now) {
                Verdict::Gap => break,
                Verdict::Known => known = true,
                Verdict::Taken(ordered, fault) => {
                    let purse = self.purse(rights.author);
                    purse.ops.spend(1);
                    purse.op_bytes.spend(bytes);
                    if fault.is_some() {
                        purse.refusals.spend(1);
                    }
                    let more = fault.is_none() || purse.refusals.has_left(limits::REFUSALS, now);
                    if before != self.sequencer.textures().of(rights.author) {
                        self.effects.push_back(InkEffect::Pen);
                    }
                    self.announce(page, rights, &ordered, fault.as_ref(), now);
                    store.push(*ordered);
                    // Taken, so it is stored; the rest of the packet waits for the page's repeat.
                    if !more {
                        break;
                    }
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
        self.let_anchors_go(now);
        fault_of_rate
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
            Some(Body::Lead(_)) => self.announce_pen(rights.author, InkAct::Lead),
            Some(Body::Grant(grant)) => self.announce_pen(rights.author, InkAct::Grant(grant.may_draw)),
            Some(Body::Stroke(stroke)) => {
                let shown = stroke.key.as_ref().is_some_and(|key| self.sequencer.sheets().has_stroke(&key.into()));
                let anchor = if shown { self.anchors.handle_commit(stroke) } else { None };
                self.effects.extend(anchor.map(InkEffect::Anchor));
            }
            _ => {}
        }
    }

    /// `Err`: some points wait for the page's repeat.
    fn handle_live(
        &mut self,
        page: Epoch,
        rights: InkRights,
        live: Vec<wire::LiveStroke>,
        now: CaptureTime,
    ) -> Result<(), InkFault> {
        let mut known: BTreeMap<StrokeId, u32> = BTreeMap::new();
        let mut fault_of_rate = Ok(());
        let may_draw = self.sequencer.may_draw(rights);
        for stroke in live.into_iter().take(OPS_PER_PACKET) {
            let Some(key) = stroke.key else { continue };
            let id = StrokeId::from(&key);
            // A live stroke is the page's own, of somebody who has the pen, with a frame (AN4, AN14); else it is not relayed.
            if !may_draw || id.author != rights.author || id.epoch != page || self.sequencer.sheets().has_stroke(&id) {
                continue;
            }
            let Some(state) = self.pages.get_mut(&page) else { break };
            if !state.points.has_left(limits::POINTS, now) {
                fault_of_rate = Err(InkFault::TooFast);
                break;
            }
            let cleared = self.sequencer.sheets().cleared_up_to();
            if let Ok((have, new)) = self.wet.handle_points(stroke, cleared, now) {
                state.points.spend(new);
                known.insert(id, have);
                let news = if self.anchors.has(&id) { None } else { self.wet.stroke(&id) };
                if new > 0 && have as usize == new {
                    let frame = self.wet.stroke(&id).and_then(|live| live.frame);
                    self.effects.extend(
                        frame.and_then(|f| self.frames.handle_run(&f)).map(|(feed, capture)| InkEffect::Keep { feed, capture }),
                    );
                }
                let begun = news.and_then(|live| self.anchors.handle_live(&live));
                self.effects.extend(begun.map(InkEffect::Anchor));
            }
        }
        if known.is_empty() {
            return fault_of_rate;
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
        fault_of_rate
    }

    /// What was undone, cleared, refused, let go under the pen, or has faded is followed no more.
    fn let_anchors_go(&mut self, now: CaptureTime) {
        let (sheets, wet) = (self.sequencer.sheets(), &self.wet);
        let gone = self.anchors.handle_gone(|id| match sheets.stroke(id) {
            Some(shown) => shown.gone_at().is_none_or(|at| at > now),
            None => wet.is_shown(id),
        });
        self.effects.extend(gone.into_iter().map(InkEffect::Anchor));
    }

    /// The pen was lent, taken back or handed over: strokes of those who have it no more end where they are (AN14a).
    fn announce_pen(&mut self, author: Author, act: InkAct) {
        self.effects.extend([InkEffect::Audit { author, act }, InkEffect::Pen]);
        let (pages, sequencer) = (&self.pages, &self.sequencer);
        let rights_of = |id: &StrokeId| match pages.get(&id.epoch) {
            Some(page) => page.rights,
            None => InkRights { author: id.author, may_draw: true, is_room: false },
        };
        for stroke in self.wet.handle_pen_gone(|id| sequencer.may_draw(rights_of(id))) {
            self.sequencer.allow_end(stroke);
        }
    }

    fn purse(&mut self, author: Author) -> &mut Purse {
        self.purses.entry(author).or_default()
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
            state.unheard.handle_sent(again);
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
