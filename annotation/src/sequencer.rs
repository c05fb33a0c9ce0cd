//! One order for all ink of a case. Op key (author, epoch, seq): only the next is taken, old ones are acknowledged again,
//! gaps wait for the client's repeat. The log is never edited; an op that is refused keeps its place as a void, so that its
//! author's numbering goes on, also after a restart. Rules AN1–AN12 in `SPEC.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::baton::Drawers;
use crate::id::{Author, Epoch, Order};
use crate::op::{self, Fault, StrokeId};
use crate::rebase::Similarity;
use crate::sheet::Sheets;
use crate::textures::Textures;
use crate::time::CaptureTime;
use crate::wire::{self, op::Body};

/// What a page may do with ink. The server knows; the wire never says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InkRights {
    pub author: Author,
    /// As its role has it; whether it has the pen now is the baton's to say.
    pub may_draw: bool,
    /// The operating room: may clear, and switch ink off.
    pub is_room: bool,
}

/// What became of an op.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Taken; to be stored, then acknowledged. With a fault it was taken as a void: refused for ever, in its place.
    Taken(Box<wire::OrderedOp>, Option<Fault>),
    /// Known already. Acknowledge again once durable.
    Known,
    /// An earlier op is missing; the client's repeat brings it.
    Gap,
}

/// Most ink shown at once, encoded: what a late joiner can be sent in a second on a poor line.
pub const SHOWN_BYTES_MAX: usize = 4 << 20;

/// Author and page of what the room's engine says. No person has this number.
pub const ENGINE: (Author, Epoch) = (Author(0), Epoch(0));

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    taken: u32,
    durable: u32,
    /// Of its newest durable op.
    order: Order,
}

/// Puts ops in order. Holds the log in memory, ascending, and the sheets it amounts to.
#[derive(Debug, Default)]
pub struct Sequencer {
    heads: BTreeMap<(Author, Epoch), Head>,
    log: Vec<wire::OrderedOp>,
    durable: Order,
    sheets: Sheets,
    /// The ink of the durable part alone.
    settled: Sheets,
    known_strokes: BTreeSet<StrokeId>,
    drawers: Drawers,
    textures: Textures,
    /// Begun with the pen, which was taken back since; their commit is still taken.
    ending: BTreeSet<StrokeId>,
}

impl Sequencer {
    /// From the store: every op so far, ascending from 1 without a gap, all durable.
    pub fn new(stored: Vec<wire::OrderedOp>, drawers: Drawers) -> Self {
        let mut sequencer = Sequencer { drawers, ..Default::default() };
        if let Some(lead) = sequencer.lead() {
            sequencer.textures.handle_pen(lead);
        }
        for ordered in stored {
            sequencer.append(ordered);
        }
        sequencer.handle_durable(Order(sequencer.log.len() as u64));
        sequencer
    }

    /// Takes one op of a page. `now`: case timeline. `frame_fits`: whether the frames that a stroke names were shown with that
    /// feed in them; `None` when they have left the ring (AN9).
    pub fn handle_op(
        &mut self,
        rights: InkRights,
        page: Epoch,
        mut op: wire::Op,
        frame_fits: impl FnOnce(&wire::StrokeCommit) -> Option<bool>,
        now: CaptureTime,
    ) -> Verdict {
        let head = self.heads.get(&(rights.author, page)).copied().unwrap_or_default();
        if op.seq <= head.taken {
            return Verdict::Known;
        }
        if op.seq != head.taken + 1 {
            return Verdict::Gap;
        }
        let fault = self.judge(rights, page, &mut op, frame_fits, now).err();
        let op = match fault {
            None => op,
            Some(_) => wire::Op { author: rights.author.0, epoch: page.0, seq: op.seq, at: now.0, body: None },
        };
        Verdict::Taken(Box::new(self.put(op, now)), fault)
    }

    /// Takes the engine's word on a stroke drawn over a moving picture (AN20). `None`: it names no stroke that is shown and was
    /// drawn so, or was said of it before; nothing is logged.
    pub fn handle_rebase(&mut self, rebase: wire::Rebase, now: CaptureTime) -> Option<wire::OrderedOp> {
        let shown = self.sheets.stroke(&rebase.stroke.as_ref()?.into())?;
        let spans = &shown.stroke.spans;
        let sound = |s: &wire::Similarity| Similarity::checked(s.a, s.b, s.tx, s.ty).is_some();
        let ascending = rebase.spans.windows(2).all(|s| s[0].first < s[1].first);
        // One more than the stroke's own spans: the points before the first may be moved too.
        let fits = (1..=spans.len() + 1).contains(&rebase.spans.len());
        if spans.is_empty() || shown.is_rebased() || !fits || !ascending || !rebase.spans.iter().all(sound) {
            return None;
        }
        let (author, page) = ENGINE;
        let seq = self.heads.get(&ENGINE).map_or(0, |h| h.taken) + 1;
        let op = wire::Op { author: author.0, epoch: page.0, seq, at: now.0, body: Some(Body::Rebase(rebase)) };
        Some(self.put(op, now))
    }

    /// Receive times never go back, so that what fades goes in one order everywhere.
    fn put(&mut self, op: wire::Op, now: CaptureTime) -> wire::OrderedOp {
        let received = self.log.last().map_or(now.0, |last| now.0.max(last.received));
        let ordered = wire::OrderedOp { order: self.log.len() as u64 + 1, received, op: Some(op) };
        self.append(ordered.clone());
        ordered
    }

    /// Everything up to `up_to` is on disk.
    pub fn handle_durable(&mut self, up_to: Order) {
        let from = self.durable.0 as usize;
        let to = (up_to.0 as usize).min(self.log.len());
        for ordered in self.log.get(from..to).unwrap_or_default() {
            if let Some(op) = &ordered.op {
                let head = self.heads.entry((Author(op.author), Epoch(op.epoch))).or_default();
                head.durable = head.durable.max(op.seq);
                head.order = Order(ordered.order);
            }
            let applied = self.settled.handle_op(ordered);
            debug_assert!(applied.is_ok(), "the log has a gap: {applied:?}");
        }
        self.durable = self.durable.max(Order(to as u64));
    }

    /// Newest durable order.
    pub fn durable(&self) -> Order {
        self.durable
    }

    /// Newest durable sequence number of a page; 0 before its first.
    pub fn durable_seq(&self, author: Author, page: Epoch) -> u32 {
        self.heads.get(&(author, page)).map_or(0, |h| h.durable)
    }

    /// Durable ops above `after`, ascending.
    pub fn durable_after(&self, after: Order) -> &[wire::OrderedOp] {
        self.log.get((after.0 as usize).min(self.durable.0 as usize)..self.durable.0 as usize).unwrap_or_default()
    }

    /// What a late joiner needs instead of the whole log: the ops of what shows, the *clear*, *ink off*, lead and grants in force, and
    /// of every page its newest op (as a void), so that it knows what of its own has arrived. Durable, ascending; the orders
    /// between are covered. Applied in this order they give the same sheets as the log.
    pub fn compacted(&self) -> Vec<wire::OrderedOp> {
        let whole = self.settled.made_by();
        let heads = self.heads.values().map(|h| h.order).filter(|o| *o > Order(0));
        let all: BTreeSet<Order> = whole.iter().copied().chain(heads).collect();
        all.into_iter()
            .filter_map(|order| {
                let mut ordered = self.log.get(order.0 as usize - 1)?.clone();
                if !whole.contains(&order)
                    && let Some(op) = &mut ordered.op
                {
                    op.body = None;
                }
                Some(ordered)
            })
            .collect()
    }

    /// Who leads now.
    pub fn lead(&self) -> Option<Author> {
        self.sheets.baton().lead(&self.drawers)
    }

    /// Whether this person's ink is taken now.
    pub fn may_draw(&self, rights: InkRights) -> bool {
        rights.may_draw && (rights.is_room || self.sheets.baton().has_pen(rights.author, &self.drawers))
    }

    /// Whose ink has which texture.
    pub fn textures(&self) -> &Textures {
        &self.textures
    }

    /// A stroke begun with the pen ended when the pen was taken back: its commit is taken all the same (AN14a).
    pub fn allow_end(&mut self, stroke: StrokeId) {
        if !self.known_strokes.contains(&stroke) {
            self.ending.insert(stroke);
        }
    }

    /// Nothing comes of it any more.
    pub fn forbid_end(&mut self, stroke: &StrokeId) {
        self.ending.remove(stroke);
    }

    /// The ink with every op taken so far, durable or not.
    pub fn sheets(&self) -> &Sheets {
        &self.sheets
    }

    fn append(&mut self, ordered: wire::OrderedOp) {
        if let Some(op) = &ordered.op {
            let head = self.heads.entry((Author(op.author), Epoch(op.epoch))).or_default();
            head.taken = head.taken.max(op.seq);
            if let Some(Body::Stroke(s)) = &op.body
                && let Some(key) = &s.key
            {
                self.known_strokes.insert(key.into());
                self.ending.remove(&key.into());
            }
        }
        let lead = self.lead();
        let applied = self.sheets.handle_op(&ordered);
        debug_assert!(applied.is_ok(), "the log has a gap: {applied:?}");
        self.take_texture(ordered.op.as_ref(), lead);
        self.log.push(ordered);
    }

    /// `lead`: who led before this op.
    fn take_texture(&mut self, op: Option<&wire::Op>, lead: Option<Author>) {
        let has_pen = |author| self.sheets.baton().has_pen(author, &self.drawers);
        match op.and_then(|op| op.body.as_ref()) {
            Some(Body::Stroke(s)) => self.textures.handle_stroke(Author(s.key.as_ref().map_or(0, |key| key.author))),
            Some(Body::Grant(grant)) if grant.may_draw => self.textures.handle_pen(Author(grant.author)),
            Some(Body::Grant(grant)) if !has_pen(Author(grant.author)) => self.textures.handle_pen_gone(Author(grant.author)),
            Some(Body::Lead(named)) => {
                if let Some(before) = lead.filter(|before| !has_pen(*before)) {
                    self.textures.handle_pen_gone(before);
                }
                if named.author != 0 {
                    self.textures.handle_pen(Author(named.author));
                }
            }
            _ => {}
        }
    }

    fn judge(
        &self,
        rights: InkRights,
        page: Epoch,
        op: &mut wire::Op,
        frame_fits: impl FnOnce(&wire::StrokeCommit) -> Option<bool>,
        now: CaptureTime,
    ) -> Result<(), Fault> {
        if op.author != rights.author.0 || op.epoch != page.0 {
            return Err(Fault::NotYours);
        }
        op::check(op)?;
        op.at = op.at.min(now.0);
        match op.body.as_mut().ok_or(Fault::Empty)? {
            Body::Stroke(stroke) => {
                if !rights.may_draw {
                    return Err(Fault::MayNotDraw);
                }
                let key = stroke.key.as_ref().ok_or(Fault::NotYours)?;
                if !self.may_draw(rights) && !self.ending.contains(&key.into()) {
                    return Err(Fault::NoPen);
                }
                if !self.textures.has_room(rights.author) {
                    return Err(Fault::NoTexture);
                }
                if self.sheets.bytes() + prost::Message::encoded_len(stroke) > SHOWN_BYTES_MAX {
                    return Err(Fault::Full);
                }
                if self.known_strokes.contains(&key.into()) {
                    return Err(Fault::StrokeKnown);
                }
                // A clock ahead must not make ink that *clear* cannot reach (AN6).
                stroke.began = stroke.began.min(now.0);
                let fits = frame_fits(stroke);
                let frame = stroke.frame.as_mut().ok_or(Fault::NoFrame)?;
                match fits {
                    // A page that could not name the frame it showed says so itself, and that stays.
                    Some(true) => {}
                    Some(false) => return Err(Fault::FrameMismatch),
                    None => frame.mapping_as_told = true,
                }
                Ok(())
            }
            Body::Undo(undo) => {
                let key = undo.stroke.as_ref().ok_or(Fault::NotYours)?;
                if self.known_strokes.contains(&key.into()) { Ok(()) } else { Err(Fault::NoSuchStroke) }
            }
            Body::ClearAll(clear) => {
                if !rights.is_room {
                    return Err(Fault::RoomOnly);
                }
                clear.up_to = clear.up_to.min(now.0);
                Ok(())
            }
            Body::Pin(pin) => {
                let key = pin.stroke.as_ref().ok_or(Fault::NoSuchStroke)?;
                let shown = self.sheets.stroke(&key.into()).ok_or(Fault::NoSuchStroke)?;
                if shown.gone_at().is_some_and(|at| at <= now) {
                    return Err(Fault::NoSuchStroke);
                }
                let own = key.author == rights.author.0 && rights.may_draw;
                if own || self.rules(rights) { Ok(()) } else { Err(Fault::LeadOnly) }
            }
            Body::Lead(lead) => {
                if !self.rules(rights) {
                    return Err(Fault::LeadOnly);
                }
                // The pen is no remote person's to lay into nobody's hand.
                match lead.author {
                    0 if !rights.is_room => Err(Fault::RoomOnly),
                    0 => Ok(()),
                    author => self.is_drawer(author).and_then(|()| self.has_texture(author)),
                }
            }
            Body::Grant(grant) => {
                if !self.rules(rights) {
                    return Err(Fault::LeadOnly);
                }
                self.is_drawer(grant.author)?;
                if grant.may_draw { self.has_texture(grant.author) } else { Ok(()) }
            }
            Body::Rebase(_) => Err(Fault::EngineOnly),
            Body::InkOff(_) => {
                if rights.is_room {
                    Ok(())
                } else {
                    Err(Fault::RoomOnly)
                }
            }
        }
    }
    /// The room, and whoever leads.
    fn rules(&self, rights: InkRights) -> bool {
        rights.is_room || (rights.may_draw && self.lead() == Some(rights.author))
    }

    fn has_texture(&self, author: u32) -> Result<(), Fault> {
        if self.textures.has_room(Author(author)) { Ok(()) } else { Err(Fault::NoTexture) }
    }

    fn is_drawer(&self, author: u32) -> Result<(), Fault> {
        if self.drawers.people.contains(&Author(author)) { Ok(()) } else { Err(Fault::Nobody) }
    }
}
