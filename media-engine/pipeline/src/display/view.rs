//! The ink as the room's display must show it: ordered ops, strokes under pens and the tracker's transforms in, marks to paint out. Pure;
//! the rules are the pages' (`web-client/src/core/ink`), but stricter in one: on a picture that is late or lost there is no ink.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use annotation::INK_VERSION;
use annotation::op::StrokeId;
use annotation::outline::Texture;
use annotation::points::{self, POINTS_MAX, Point};
use annotation::rebase::Similarity;
use annotation::sheet::Sheets;
use annotation::time::CaptureTime;
use annotation::wire::{
    FrameRef, FrameSpan, InkPacket, LiveAck, LiveStroke, OrderedOp, Reference, Snapshot, Surface, Tool, XformFrame, op::Body,
};
use link::frame::FeedState;
use link::wire::{InkAuthor, InkAuthors, InkHeard, InkPointer};
use prost::Message as _;

use super::insets::{Lost, by_frame};
use super::pointers::Pointers;
use super::tracks::{Track, Tracks, inverse};
use crate::program::layout::PixelRect;
use crate::tracker::host::still_id;

/// A mark that no transform names is drawn where it was made for so long after pen-down.
const UNNAMED: Duration = Duration::from_millis(500);
/// A stroke under a pen that nobody continues is let go of.
const WET_IDLE: Duration = Duration::from_secs(10);
/// How long a family name stands beside the first stroke of its author.
const LABELLED: Duration = Duration::from_secs(3);
/// Strokes under pens; ops that wait for an earlier one; people. Policy: drop_newest, the server repeats.
const WET_MAX: usize = 64;
const HELD_MAX: usize = 512;
const AUTHORS_MAX: usize = 64;

/// A picture of a feed in the composed one: which frame of it, where, and what lies in front of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Surfaced {
    pub feed: String,
    pub capture: CaptureTime,
    pub state: FeedState,
    /// 0: not known.
    pub geometry: u32,
    pub rect: PixelRect,
    pub front: Vec<PixelRect>,
}

impl Surfaced {
    /// Nothing of this feed is shown, of no time.
    pub fn is_hidden(&self) -> bool {
        matches!(self.state, FeedState::Curtain | FeedState::MaskUnknown)
    }

    fn takes_ink(&self) -> bool {
        matches!(self.state, FeedState::Live | FeedState::XrayOff | FeedState::Looping) && self.capture != CaptureTime::UNKNOWN
    }
}

/// A mark to be painted. Two of equal `look` are painted alike.
#[derive(Debug, Clone)]
pub struct Mark {
    pub id: StrokeId,
    pub tool: Tool,
    pub points: Arc<Vec<Point>>,
    pub width: u32,
    pub moved: Similarity,
    pub reference: Option<Reference>,
    pub look: Look,
}

/// What a mark's pixels hang on.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub rect: PixelRect,
    pub front: Vec<PixelRect>,
    pub texture: Texture,
    pub unsure: bool,
    /// In 64 steps.
    pub opacity: u8,
    pub text: String,
    /// Family name, or empty: Japanese and English.
    pub name: (String, String),
    n_points: usize,
    rebased: bool,
    /// Where three places of it lie, quarters of a pixel: what a similarity does is known by them.
    at: [(i32, i32); 3],
}

/// Where somebody points.
#[derive(Debug, Clone, PartialEq)]
pub struct Ring {
    /// In units of points.
    pub at: (i32, i32),
    pub rect: PixelRect,
    pub front: Vec<PixelRect>,
    pub texture: Texture,
    /// Family name, or empty: Japanese and English.
    pub name: (String, String),
}

/// What cannot be read, or is no ink of this version: the display begins anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InkFault {
    #[error("the server's ink cannot be read: {0}")]
    Malformed(String),
    #[error("the server's ink has version {0}")]
    Version(u32),
    #[error("the server's ink is out of order")]
    Order,
}

#[derive(Debug)]
struct Wet {
    head: LiveStroke,
    points: Arc<Vec<Point>>,
    touched: CaptureTime,
}

#[derive(Debug, Default)]
pub struct InkView {
    sheets: Sheets,
    /// The snapshot is whole: until then nothing is shown, and nothing confirmed.
    whole: bool,
    held: BTreeMap<u64, OrderedOp>,
    wet: BTreeMap<StrokeId, Wet>,
    cleared: CaptureTime,
    off: bool,
    over: bool,
    tracks: Tracks,
    authors: BTreeMap<u32, InkAuthor>,
    appeared: BTreeMap<StrokeId, CaptureTime>,
    pointers: Pointers,
    /// Points of committed strokes, and whether they are the rebased ones.
    points: BTreeMap<StrokeId, (bool, Arc<Vec<Point>>)>,
}

/// A stroke, under a pen or committed.
struct Drawn<'a> {
    id: StrokeId,
    tool: i32,
    width: u32,
    frame: &'a FrameRef,
    began: CaptureTime,
    spans: &'a [FrameSpan],
    text: &'a str,
    reference: Option<Reference>,
    points: Arc<Vec<Point>>,
    rebased: bool,
    wet: bool,
    opacity: f64,
}

enum Standing {
    Here {
        moved: Similarity,
        unsure: bool,
    },
    /// Not on this picture; it stands in an inset on its own frame.
    Away,
    /// On a picture of its own, which is shown for itself.
    Elsewhere,
}

impl InkView {
    /// A piece of the whole ink. `now`: case timeline, as everywhere here.
    pub fn handle_snapshot(&mut self, bytes: &[u8], now: CaptureTime) -> Result<(), InkFault> {
        let piece = Snapshot::decode(bytes).map_err(|e| InkFault::Malformed(e.to_string()))?;
        check_version(piece.version)?;
        let up_to = if piece.last { piece.up_to } else { 0 };
        self.sheets.handle_snapshot(&piece.ops, annotation::id::Order(up_to));
        self.off = self.sheets.is_off();
        self.whole |= piece.last;
        // Of a case that has ended there is none: its end was taken back.
        self.over = false;
        self.follow_held(now)
    }

    pub fn handle_packet(&mut self, bytes: &[u8], now: CaptureTime) -> Result<Option<InkHeard>, InkFault> {
        let packet = InkPacket::decode(bytes).map_err(|e| InkFault::Malformed(e.to_string()))?;
        check_version(packet.version)?;
        for clear in &packet.clears {
            self.handle_clear(CaptureTime(clear.up_to));
        }
        let before = self.sheets.applied();
        for op in packet.ordered {
            if op.order > before.0 && self.held.len() < HELD_MAX {
                self.held.insert(op.order, op);
            }
        }
        self.follow_held(now)?;
        // After the ops: it is newer than any of them, said before it is on disk.
        if let Some(off) = packet.ink_off_now {
            self.off = off;
        }
        let live_acks: Vec<LiveAck> = packet.live.into_iter().filter_map(|live| self.handle_live(live, now)).collect();
        let news = self.sheets.applied() != before || !live_acks.is_empty();
        Ok((news && self.whole).then(|| InkHeard { join: false, have_order: self.sheets.applied().0, live_acks }))
    }

    pub fn handle_authors(&mut self, authors: InkAuthors) {
        self.authors = authors.authors.into_iter().take(AUTHORS_MAX).map(|a| (a.author, a)).collect();
    }

    pub fn handle_pointer(&mut self, pointer: InkPointer, now: CaptureTime) {
        self.pointers.handle(pointer, now);
    }

    pub fn handle_xform(&mut self, frame: &XformFrame) {
        self.tracks.handle(frame);
    }

    /// The case has ended.
    pub fn handle_over(&mut self) {
        *self = InkView { over: true, ..InkView::default() };
    }

    /// The snapshot is there.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Switched off by the room.
    pub fn is_off(&self) -> bool {
        self.off
    }

    fn follow_held(&mut self, now: CaptureTime) -> Result<(), InkFault> {
        while self.whole
            && let Some(op) = self.held.remove(&(self.sheets.applied().0 + 1))
        {
            self.sheets.handle_op(&op).map_err(|_| InkFault::Order)?;
            match op.op.and_then(|op| op.body) {
                Some(Body::Stroke(s)) => {
                    if let Some(key) = &s.key {
                        self.wet.remove(&key.into());
                        self.appeared.entry(key.into()).or_insert(now);
                    }
                }
                Some(Body::Undo(u)) => drop(u.stroke.and_then(|key| self.wet.remove(&StrokeId::from(&key)))),
                Some(Body::ClearAll(c)) => self.handle_clear(CaptureTime(c.up_to)),
                Some(Body::InkOff(i)) => self.off = i.off,
                _ => {}
            }
        }
        let applied = self.sheets.applied().0;
        self.held.retain(|order, _| *order > applied);
        Ok(())
    }

    /// At once, also for what arrives later and was begun before.
    fn handle_clear(&mut self, up_to: CaptureTime) {
        self.cleared = self.cleared.max(up_to);
        let cleared = self.cleared;
        self.wet.retain(|_, w| w.head.began > cleared.0);
    }

    fn handle_live(&mut self, mut live: LiveStroke, now: CaptureTime) -> Option<LiveAck> {
        let key = live.key?;
        let id = StrokeId::from(&key);
        let new = live.points.take().and_then(|p| points::decode(&p).ok())?;
        let first = live.first as usize;
        if live.lifted && first == 0 && new.is_empty() {
            // The server's last word on a stroke that its author abandoned.
            self.wet.remove(&id);
            return None;
        }
        let known = self.wet.contains_key(&id);
        let gone = live.began <= self.cleared.max(self.sheets.cleared_up_to()).0 || self.sheets.has_stroke(&id);
        if gone || first + new.len() > POINTS_MAX || (!known && (self.wet.len() >= WET_MAX || live.frame.is_none())) {
            return None;
        }
        self.appeared.entry(id).or_insert(now);
        let wet = self.wet.entry(id).or_insert_with(|| Wet { head: live.clone(), points: Arc::default(), touched: now });
        wet.touched = now;
        // Beyond a hole nothing is taken; the server repeats from what was confirmed.
        if first <= wet.points.len() {
            let have = wet.points.len();
            Arc::make_mut(&mut wet.points).extend(new.into_iter().skip(have - first));
            if live.spans.len() > wet.head.spans.len() {
                wet.head.spans = live.spans;
            }
        }
        Some(LiveAck { key: Some(key), have: wet.points.len() as u32 })
    }

    /// Does a mark here hang on what the tracker says of this very frame, which it has not said yet?
    pub fn awaits(&self, picture: &Surfaced) -> bool {
        let (feed, capture) = (picture.feed.as_str(), picture.capture);
        if self.off || !picture.takes_ink() || picture.state != FeedState::Live || self.tracks.has(feed, capture) {
            return false;
        }
        let followed = |id: &StrokeId| matches!(self.tracks.of(feed, capture, id, &[]), Some(Track::Placed { .. }));
        self.sheets.strokes().map(|(id, _)| id).chain(self.wet.keys()).any(followed)
    }

    /// What is to be painted on these pictures, and what stands on none of them.
    pub fn scene(&mut self, pictures: &[Surfaced], now: CaptureTime) -> (Vec<Mark>, Vec<Lost>) {
        self.wet.retain(|_, w| now.since(w.touched) < WET_IDLE);
        if self.off || self.over || !self.whole {
            return Default::default();
        }
        self.read_points();
        let drawn = self.drawn(now);
        let named = self.named(&drawn, now);
        let (mut marks, mut away) = (Vec::new(), Vec::new());
        for d in &drawn {
            for picture in pictures.iter().filter(|p| p.feed == d.frame.feed && p.capture.is_known()) {
                match self.standing(d, picture, now) {
                    Standing::Here { moved, unsure } if picture.takes_ink() => {
                        marks.push(self.mark(d, picture, moved, unsure, named.contains(&d.id)));
                    }
                    Standing::Away if !picture.is_hidden() => away.push(self.lost(d, picture)),
                    _ => {}
                }
            }
        }
        (marks, by_frame(away))
    }

    /// A mark on the frame that it was drawn on.
    fn lost(&self, d: &Drawn<'_>, picture: &Surfaced) -> Lost {
        let (feed, capture) = (d.frame.feed.clone(), CaptureTime(d.frame.capture));
        let named = Some(d.frame.still.as_str()).filter(|id| !id.is_empty()).or_else(|| self.tracks.still_of(&d.id));
        let exact = || annotation::id::FeedId::parse(&feed).map_or_else(|_| String::new(), |feed| still_id(&feed, capture));
        let still = named.map_or_else(exact, str::to_owned);
        let mut mark = self.mark(d, picture, Similarity::IDENTITY, false, false);
        (mark.look.front, mark.look.opacity, mark.points) = (Vec::new(), 64, d.points.clone());
        let names = self.authors.get(&d.id.author.0).map(names).into_iter().collect();
        Lost { feed, capture, still, marks: vec![mark], names }
    }

    /// Committed strokes as they are drawn, decoded once.
    fn read_points(&mut self) {
        let sheets = &self.sheets;
        self.points.retain(|id, (rebased, _)| sheets.stroke(id).is_some_and(|s| s.is_rebased() == *rebased));
        for (id, shown) in sheets.shown() {
            self.points.entry(*id).or_insert_with(|| (shown.is_rebased(), Arc::new(shown.points())));
        }
        let (wet, points) = (&self.wet, &self.points);
        self.appeared.retain(|id, _| wet.contains_key(id) || points.contains_key(id));
    }

    /// All that is on some picture, committed strokes first.
    fn drawn(&self, now: CaptureTime) -> Vec<Drawn<'_>> {
        let dry = self.sheets.shown().filter_map(|(id, shown)| {
            let s = &shown.stroke;
            let opacity = shown.opacity(now);
            let (rebased, points) = self.points.get(id)?;
            (opacity > 0.0 && s.began > self.cleared.0).then_some(Drawn {
                id: *id,
                tool: s.tool,
                width: s.width,
                frame: s.frame.as_ref()?,
                began: CaptureTime(s.began),
                spans: if *rebased { &[] } else { &s.spans },
                text: &s.text,
                reference: s.reference,
                points: points.clone(),
                rebased: *rebased,
                wet: false,
                opacity,
            })
        });
        let wet = self.wet.iter().filter_map(|(id, w)| {
            let s = &w.head;
            Some(Drawn {
                id: *id,
                tool: s.tool,
                width: s.width,
                frame: s.frame.as_ref()?,
                began: CaptureTime(s.began),
                spans: &s.spans,
                text: "",
                reference: s.reference,
                points: w.points.clone(),
                rebased: false,
                wet: true,
                opacity: 1.0,
            })
        });
        dry.chain(wet).filter(|d| !d.points.is_empty()).collect()
    }

    /// The first stroke of each author among those that appeared in the last seconds.
    fn named(&self, drawn: &[Drawn<'_>], now: CaptureTime) -> BTreeSet<StrokeId> {
        let mut first: BTreeMap<annotation::id::Author, &Drawn<'_>> = BTreeMap::new();
        for d in drawn.iter().filter(|d| self.appeared.get(&d.id).is_some_and(|at| now.since(*at) < LABELLED)) {
            let known = first.entry(d.id.author).or_insert(d);
            if d.began < known.began {
                *known = d;
            }
        }
        first.values().map(|d| d.id).collect()
    }

    /// Where a mark stands on one picture. Under a pen that is down it stays in sight (AN29).
    fn standing(&self, d: &Drawn<'_>, picture: &Surfaced, now: CaptureTime) -> Standing {
        let standing = self.followed(d, picture, now);
        let f = d.frame;
        let stays = d.wet && d.tool != Tool::Measure as i32 && f.surface != Surface::Still as i32 && !is_other_shape(f, picture);
        if !matches!(standing, Standing::Away) || !stays {
            return standing;
        }
        let moved = self.tracks.last_known(&f.feed, picture.capture, &d.id).unwrap_or(Similarity::IDENTITY);
        Standing::Here { moved, unsure: true }
    }

    /// Followed, doubted, or not on it any more.
    fn followed(&self, d: &Drawn<'_>, picture: &Surfaced, now: CaptureTime) -> Standing {
        const STILL: Standing = Standing::Here { moved: Similarity::IDENTITY, unsure: false };
        let f = d.frame;
        let other_shape = is_other_shape(f, picture);
        let same_frame = picture.capture.0 == f.capture && !other_shape;
        let surface = Surface::try_from(f.surface);
        match surface {
            Ok(Surface::Still | Surface::Held | Surface::Run) if same_frame => return STILL,
            Ok(Surface::Still) => return Standing::Elsewhere,
            Err(_) => return Standing::Away,
            Ok(Surface::Held | Surface::Run) => {}
            Ok(Surface::Unspecified | Surface::Live | Surface::Frozen) if same_frame && d.spans.is_empty() => return STILL,
            Ok(Surface::Unspecified | Surface::Live | Surface::Frozen) => {}
        }
        // A length is true in its own frame alone.
        if other_shape || d.tool == Tool::Measure as i32 {
            return Standing::Away;
        }
        let ends: Vec<Point> = d.points.first().into_iter().chain(d.points.last()).copied().collect();
        match self.tracks.of(&f.feed, picture.capture, &d.id, &ends) {
            Some(Track::Placed { moved, unsure }) => return Standing::Here { moved, unsure },
            Some(Track::Lost) => return Standing::Away,
            None => {}
        }
        if matches!(surface, Ok(Surface::Held | Surface::Run)) {
            return Standing::Away;
        }
        let moved = Similarity::IDENTITY;
        if now.since(d.began) < UNNAMED {
            return Standing::Here { moved, unsure: picture.capture.0 != f.capture };
        }
        // Nobody follows this feed: the place is a guess, and says so.
        if !self.tracks.heard(&f.feed) {
            return Standing::Here { moved, unsure: !d.wet && picture.state != FeedState::XrayOff };
        }
        Standing::Away
    }

    /// Where people point on these pictures, also while ink is off.
    pub fn rings(&self, pictures: &[Surfaced], now: CaptureTime) -> Vec<Ring> {
        let ring = |p: &InkPointer| {
            let picture = pictures.iter().find(|s| s.feed == p.feed && s.takes_ink())?;
            let (texture, name) = (self.texture(p.author), self.authors.get(&p.author).map(names).unwrap_or_default());
            Some(Ring { at: (p.x, p.y), rect: picture.rect, front: picture.front.clone(), texture, name })
        };
        self.pointers.seen(now).filter_map(ring).collect()
    }

    fn texture(&self, author: u32) -> Texture {
        match self.authors.get(&author).map_or(0, |a| a.texture) {
            1 => Texture::A,
            2 => Texture::B,
            3 => Texture::C,
            _ => Texture::D,
        }
    }

    fn mark(&self, d: &Drawn<'_>, picture: &Surfaced, moved: Similarity, unsure: bool, named: bool) -> Mark {
        let points = self.on_own_frame(d);
        let author = self.authors.get(&d.id.author.0);
        let texture = self.texture(d.id.author.0);
        let name = author.filter(|_| named).map(names).unwrap_or_default();
        let unit = picture.rect.w as f64 / f64::from(points::PICTURE_WIDTH);
        let place = |x: i32, y: i32| {
            let (x, y) = moved.apply(f64::from(x), f64::from(y));
            ((x * unit * 4.0).round() as i32, (y * unit * 4.0).round() as i32)
        };
        let first = points.first().map_or((0, 0), |p| (p.x, p.y));
        let last = points.last().map_or((0, 0), |p| (p.x, p.y));
        let at = [place(first.0, first.1), place(last.0, last.1), place(first.0.saturating_add(2_000), first.1)];
        let look = Look {
            rect: picture.rect,
            front: picture.front.clone(),
            texture,
            unsure,
            opacity: (d.opacity * 64.0).ceil() as u8,
            text: d.text.to_owned(),
            name,
            n_points: points.len(),
            rebased: d.rebased,
            at,
        };
        let tool = Tool::try_from(d.tool).unwrap_or(Tool::Unspecified);
        Mark { id: d.id, tool, points, width: d.width, moved, reference: d.reference, look }
    }

    /// Points drawn on later frames are moved back by what the tracker said of those.
    fn on_own_frame(&self, d: &Drawn<'_>) -> Arc<Vec<Point>> {
        if d.spans.is_empty() {
            return d.points.clone();
        }
        let mut out = Vec::with_capacity(d.points.len());
        let mut next = 0;
        let mut back = Similarity::IDENTITY;
        for (i, p) in d.points.iter().enumerate() {
            while let Some(span) = d.spans.get(next).filter(|s| s.first as usize <= i) {
                let (feed, at) = (&d.frame.feed, CaptureTime(span.capture));
                back = match self.tracks.of(feed, at, &d.id, &[]) {
                    Some(Track::Placed { moved, .. }) => inverse(moved),
                    // As where the mark stands: so its newest point lies where the pen is.
                    _ if d.wet => self.tracks.last_known(feed, at, &d.id).map_or(Similarity::IDENTITY, inverse),
                    _ => Similarity::IDENTITY,
                };
                next += 1;
            }
            let (x, y) = back.apply(f64::from(p.x), f64::from(p.y));
            out.push(Point { x: x.round() as i32, y: y.round() as i32, pressure: p.pressure });
        }
        Arc::new(out)
    }
}

fn names(author: &InkAuthor) -> (String, String) {
    (author.family_ja.clone(), author.family_en.clone())
}

/// Another size or cut of the picture is another sheet.
fn is_other_shape(frame: &FrameRef, picture: &Surfaced) -> bool {
    picture.geometry != 0 && frame.geometry != 0 && picture.geometry != frame.geometry
}

fn check_version(version: u32) -> Result<(), InkFault> {
    if version == INK_VERSION { Ok(()) } else { Err(InkFault::Version(version)) }
}

/// Fuzz body: whatever the server says, nothing panics, and what is painted stays bounded.
pub fn fuzz(data: &[u8]) {
    let now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
    let mut view = InkView::default();
    let cut = data.first().map_or(0, |n| usize::from(*n)).min(data.len());
    let (snapshot, packet) = data.split_at(cut);
    let _ = view.handle_snapshot(snapshot, now);
    let _ = view.handle_snapshot(&Snapshot { version: INK_VERSION, last: true, ..Default::default() }.encode_to_vec(), now);
    let _ = view.handle_packet(packet, now);
    let _ = view.handle_packet(data, now);
    let rect = PixelRect { x: 0, y: 0, w: 640, h: 360 };
    let picture = Surfaced { feed: "field".into(), capture: now, state: FeedState::Live, geometry: 0, rect, front: vec![] };
    assert!(view.scene(&[picture], now).0.len() <= HELD_MAX + WET_MAX);
}

#[cfg(test)]
mod tests;
