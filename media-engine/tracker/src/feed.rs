//! All anchors of one feed.

use std::collections::BTreeMap;
use std::sync::Arc;

use annotation::time::CaptureTime;
use annotation::wire::TrackState;

use crate::anchor::{Anchor, Change, Effort, Placed};
use crate::luma::{Background, Frame, Kind, Luma, Plane};
use crate::similarity::Vec2;

/// Most anchors of one feed. Policy: drop_newest; ink that is not followed leaves the live picture.
pub const ANCHORS_MAX: usize = 16;
/// Likeness of two pictures' coarsest levels under which the scene was cut.
const CUT_BELOW: f32 = 0.35;
/// And under which it may have been: ink of which then nothing at all is seen is lost at once.
const CHANGED_BELOW: f32 = 0.8;
/// Frames between pen-down and now that are looked at on the way; of more, evenly as many.
const CATCH_UP_MAX: usize = 24;

/// Where an anchor was, frame by frame, oldest first.
pub type Path = Vec<(CaptureTime, Placed)>;

#[derive(Debug)]
struct Followed {
    anchor: Anchor,
    /// The frame drawn on. While the picture is that one still, the ink is where it was put.
    drawn_on: Arc<Luma>,
    placed: Placed,
}

/// Follows the anchors of one feed. Same frames, same result.
#[derive(Debug)]
pub struct FeedTracker<Id: Ord + Clone> {
    kind: Kind,
    anchors: BTreeMap<Id, Followed>,
    /// The last picture that was different from the one before it.
    last: Option<(Arc<Luma>, Plane)>,
    background: Background,
    seed: u64,
    turn: usize,
}

impl<Id: Ord + Clone> FeedTracker<Id> {
    pub fn new(kind: Kind, seed: u64) -> Self {
        FeedTracker { kind, anchors: BTreeMap::new(), last: None, background: Background::default(), seed, turn: 0 }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Begins to follow `ink`, drawn on the first of `past` (in pixels of its luma), through the later ones up to now. `None`: there is no room, or
    /// no ink in the picture. Replaces an anchor of the same id.
    pub fn begin(&mut self, id: Id, ink: &[Vec2], past: &[(CaptureTime, Arc<Luma>)]) -> Option<Path> {
        let ((at, drawn_on), later) = past.split_first()?;
        if self.anchors.len() >= ANCHORS_MAX && !self.anchors.contains_key(&id) {
            return None;
        }
        self.seed = self.seed.wrapping_add(1);
        let frame = self.frame(drawn_on);
        let mut anchor = Anchor::new(&frame, *at, ink, self.kind, self.seed)?;
        let mut path = vec![(*at, anchor.handle_keyframe(&frame))];
        let skipped = later.len().saturating_sub(1) / CATCH_UP_MAX;
        for (n, (at, luma)) in later.iter().enumerate() {
            // The last is always looked at: it is now.
            if (later.len() - 1 - n) % (skipped + 1) != 0 {
                continue;
            }
            let placed = if luma.same_as(drawn_on) {
                anchor.handle_unchanged(*at)
            } else {
                anchor.handle_frame(&self.frame(luma), *at, Change::Small, &mut Effort::ample(), true)
            };
            path.push((*at, placed));
        }
        let placed = path.last()?.1;
        self.anchors.insert(id, Followed { anchor, drawn_on: drawn_on.clone(), placed });
        Some(path)
    }

    /// The stroke went on: other ink on the frame it was begun on. It stays where it is known to be. False: there is no such anchor.
    pub fn redraw(&mut self, id: &Id, ink: &[Vec2]) -> bool {
        let Some(drawn_on) = self.anchors.get(id).map(|f| f.drawn_on.clone()) else { return false };
        let frame = self.frame(&drawn_on);
        self.anchors.get_mut(id).is_some_and(|f| f.anchor.redraw(&frame, ink))
    }

    pub fn end(&mut self, id: &Id) {
        self.anchors.remove(id);
    }

    /// The next frame. One lost anchor a frame is looked for everywhere, in turn.
    pub fn handle_frame(&mut self, at: CaptureTime, luma: &Arc<Luma>) -> Vec<(Id, Placed)> {
        // A held image says nothing new: what was true of it stays true.
        if self.last.as_ref().is_some_and(|(last, _)| last.same_as(luma)) {
            for f in self.anchors.values_mut() {
                f.placed = if f.drawn_on.same_as(luma) { f.anchor.handle_unchanged(at) } else { f.anchor.handle_held(at) };
            }
            return self.placed();
        }
        if self.kind == Kind::Fluoroscopy {
            self.background.handle_frame(at, luma);
        }
        if self.anchors.is_empty() {
            self.last = None;
            return Vec::new();
        }
        let frame = self.frame(luma);
        let coarse = &frame.levels[3];
        let change = match self.last.as_ref().map_or(1.0, |(_, last)| alike(last, coarse)) {
            like if like < CUT_BELOW => Change::Cut,
            like if like < CHANGED_BELOW => Change::Large,
            _ => Change::Small,
        };
        self.last = Some((luma.clone(), coarse.clone()));
        // Looking everywhere costs as much as following four: one lost anchor a frame, in turn.
        let is_lost = |f: &Followed| f.anchor.state() == TrackState::Lost;
        let lost: Vec<usize> = self.anchors.values().enumerate().filter(|(_, f)| is_lost(f)).map(|(i, _)| i).collect();
        self.turn = self.turn.wrapping_add(1);
        let looked_for = lost.get(self.turn % lost.len().max(1)).copied();
        // Looking further is shared too: who comes first changes with every frame.
        let mut effort = Effort::of_frame(looked_for.is_some());
        let n = self.anchors.len();
        let first = self.turn % n.max(1);
        let mut all: Vec<&mut Followed> = self.anchors.values_mut().collect();
        all.rotate_left(first);
        for (i, f) in all.into_iter().enumerate() {
            f.placed = if f.drawn_on.same_as(luma) {
                f.anchor.handle_unchanged(at)
            } else {
                f.anchor.handle_frame(&frame, at, change, &mut effort, Some((i + first) % n) == looked_for)
            };
        }
        self.placed()
    }

    /// What was last said of each.
    pub fn placed(&self) -> Vec<(Id, Placed)> {
        self.anchors.iter().map(|(id, f)| (id.clone(), f.placed)).collect()
    }

    /// The feed died or its timeline broke: nothing is where it was.
    pub fn lose_all(&mut self) {
        self.last = None;
        self.background = Background::default();
        self.anchors.values_mut().for_each(|f| f.placed = f.anchor.lose());
    }

    /// Time passes and no frame comes: what is unsure is lost in time. True when something changed.
    pub fn handle_time(&mut self, now: CaptureTime) -> bool {
        let mut changed = false;
        for f in self.anchors.values_mut() {
            let before = f.placed.state;
            f.placed = f.anchor.handle_held_until(now);
            changed |= f.placed.state != before;
        }
        changed
    }

    fn frame(&self, luma: &Luma) -> Frame {
        match self.kind {
            Kind::Tissue => Frame::of_tissue(luma),
            Kind::Fluoroscopy => Frame::of_contrast(luma, &self.background),
        }
    }
}

/// Zero-mean correlation of two small planes; 1 when either is flat, of which nothing can be said.
fn alike(a: &Plane, b: &Plane) -> f32 {
    if a.data.len() != b.data.len() {
        return 0.0;
    }
    let n = a.data.len() as f32;
    let mean = |p: &Plane| p.data.iter().sum::<f32>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    for (x, y) in a.data.iter().zip(&b.data) {
        let (x, y) = (x - ma, y - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa.min(bb) < n { 1.0 } else { ab / (aa * bb).sqrt() }
}
