//! Feeds, rings, anchors: messages and frames in, messages out. Pure; turned by [`run`](super::run).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use annotation::wire::{AnchorXform, FrameSpan, Rebase, Similarity as WireSimilarity, StrokeKey, TrackState, XformFrame};
use link::wire::{Anchor, Rebased, StillWanted};
use tracker::anchor::Placed;
use tracker::feed::FeedTracker;
use tracker::luma::{Kind, Luma};
use tracker::similarity::{Similarity, Vec2};

use super::grey::{self, Shapes};
use super::ring::Ring;
use crate::picture::{Geometry, Picture};

/// Units of the wire across every picture.
const UNITS: f32 = annotation::points::PICTURE_WIDTH as f32;
/// Points of an anchor that are read; the wire names no more.
const POINTS_MAX: usize = 64;
/// Frames that an anchor's path remembers, for strokes drawn over a moving picture: 10 s at 60 a second. Policy: drop_oldest.
const PATH_MAX: usize = 600;
/// A span's frame may have been this far from one that was tracked.
const SPAN_OFF_MAX: Duration = Duration::from_millis(150);
/// Frames drawn on that are kept, whole or grey, for stills asked for later: 16 x 1.4 MB at most. Policy: drop_oldest.
const PINNED_MAX: usize = 16;
/// Images held when X-ray went off, of each feed: 6 x 0.4 MB at 512x512. Policy: drop_oldest.
const RUNS_MAX: usize = 6;
/// Pictures of a looping run: shared with whoever plays it. 20 s at 30 a second. Policy: drop_oldest.
const LOOPED_MAX: usize = 600;
/// Captures of one run lie nearer to each other than this, also where pictures were missed.
const RUNS_APART: Duration = Duration::from_millis(350);
/// How much earlier than its frame an anchor may come.
const EARLY_MAX: Duration = Duration::from_secs(1);
const EARLY_ANCHORS_MAX: usize = 64;
/// Stills known to be with the server. Policy: drop_oldest.
const SENT_MAX: usize = 64;

/// (author, epoch, number).
pub type Key = (u32, u32, u32);

/// A frame to be sent as JPEG.
#[derive(Debug, Clone)]
pub struct StillJob {
    pub id: String,
    pub feed: String,
    pub capture: CaptureTime,
    pub picture: Arc<Picture>,
    /// Of the frame as it was captured; a grey still is smaller.
    pub shape: Geometry,
    /// The image held at the end of an X-ray run.
    pub run: bool,
}

/// What is to leave.
#[derive(Debug, Clone)]
pub enum Output {
    Xform(XformFrame),
    Rebased(Rebased),
    Still(StillJob),
}

/// A still's name: the feed and the capture say all. Letters, digits and hyphens only, as feeds' ids are.
pub fn still_id(feed: &FeedId, capture: CaptureTime) -> String {
    format!("{}-{:016x}", feed.as_str(), capture.0)
}

/// A frame, its picture, and its shape as it was captured.
type Shot = (CaptureTime, Arc<Picture>, Geometry);

fn whole((at, picture): (CaptureTime, &Arc<Picture>)) -> Shot {
    (at, picture.clone(), picture.geometry())
}

#[derive(Debug)]
struct Followed {
    key: StrokeKey,
    still: String,
    /// Where it was, oldest first.
    path: VecDeque<(CaptureTime, Placed)>,
    rebased: bool,
}

#[derive(Debug)]
struct Feed {
    id: FeedId,
    tracker: FeedTracker<Key>,
    luma: Ring<Luma>,
    full: Ring<Picture>,
    shapes: Shapes,
    /// Lately drawn on.
    pinned: VecDeque<Shot>,
    /// One sharp still per X-ray run: the image held when X-ray went off.
    runs: VecDeque<(CaptureTime, Arc<Picture>)>,
    /// Of a feed that plays a run: its pictures, by when they were captured.
    looped: VecDeque<(CaptureTime, Arc<Picture>)>,
    followed: BTreeMap<Key, Followed>,
    /// The ink that cannot be followed: named as lost in every frame, until it is gone. As bounded as strokes are.
    refused: BTreeMap<Key, (StrokeKey, String)>,
    units_per_px: f32,
    down: bool,
}

/// Ink that cannot be followed and is remembered so. Policy: drop_oldest; it is then as if no frame named it.
const REFUSED_MAX: usize = 64;

/// Everything the tracker of one engine knows.
#[derive(Debug, Default)]
pub struct Host {
    feeds: BTreeMap<usize, Feed>,
    sent: VecDeque<String>,
    /// Named before their frame was handled. Policy: drop_oldest.
    early: VecDeque<Anchor>,
    /// Anchors named by the server for feeds or frames that are not there.
    pub unknown: u64,
}

impl Host {
    /// A feed that can be drawn on is there, under this index of the board.
    pub fn begin_feed(&mut self, index: usize, id: FeedId, fluoroscopy: bool) {
        if self.feeds.get(&index).is_some_and(|f| f.id == id) {
            return;
        }
        let kind = if fluoroscopy { Kind::Fluoroscopy } else { Kind::Tissue };
        let feed = Feed {
            id,
            tracker: FeedTracker::new(kind, index as u64),
            luma: Ring::of_luma(),
            full: Ring::of_pictures(),
            shapes: Shapes::default(),
            pinned: VecDeque::new(),
            runs: VecDeque::new(),
            looped: VecDeque::new(),
            followed: BTreeMap::new(),
            refused: BTreeMap::new(),
            units_per_px: 0.0,
            down: false,
        };
        self.feeds.insert(index, feed);
    }

    pub fn end_feeds(&mut self, still_there: impl Fn(usize) -> bool) {
        self.feeds.retain(|index, _| still_there(*index));
    }

    /// The timeline began anew: nothing kept can be compared with what comes.
    pub fn begin_generation(&mut self) {
        for f in self.feeds.values_mut() {
            f.luma.clear();
            f.full.clear();
            f.shapes.clear();
            f.runs.clear();
            f.looped.clear();
            f.tracker.lose_all();
        }
    }

    /// The link to the server ended; the next one names its anchors anew.
    pub fn forget_anchors(&mut self) {
        for f in self.feeds.values_mut() {
            for key in f.followed.keys() {
                f.tracker.end(key);
            }
            f.followed.clear();
            f.refused.clear();
        }
        self.early.clear();
        self.sent.clear();
    }

    /// Newest frame handled of a feed.
    pub fn newest(&self, index: usize) -> Option<CaptureTime> {
        self.feeds.get(&index).and_then(|f| f.luma.newest())
    }

    /// A frame that there is no time to look at: it can be drawn on all the same.
    pub fn keep_frame(&mut self, index: usize, at: CaptureTime, picture: &Arc<Picture>) {
        self.feeds.get_mut(&index).and_then(|feed| feed.keep(at, picture));
    }

    /// One frame of one feed, as large as there is.
    pub fn handle_frame(&mut self, index: usize, at: CaptureTime, picture: &Arc<Picture>) -> Vec<Output> {
        let Some(feed) = self.feeds.get_mut(&index) else { return Vec::new() };
        let Some(luma) = feed.keep(at, picture) else { return Vec::new() };
        let placed = feed.tracker.handle_frame(at, &luma);
        for (key, placed) in &placed {
            if let Some(f) = feed.followed.get_mut(key) {
                f.path.push_back((at, *placed));
                if f.path.len() > PATH_MAX {
                    f.path.pop_front();
                }
            }
        }
        let mut out: Vec<Output> = feed.report(at, &self.sent, None).into_iter().collect();
        if !self.early.is_empty() {
            let named = |a: &Anchor| a.feed == feed.id.as_str() && CaptureTime(a.capture) <= at;
            let (due, early): (VecDeque<Anchor>, VecDeque<Anchor>) = self.early.drain(..).partition(named);
            self.early = early;
            out.extend(due.iter().flat_map(|anchor| self.handle_anchor(anchor)).collect::<Vec<_>>());
        }
        out
    }

    /// What was last said of the ink on a feed.
    pub fn states(&self, index: usize) -> impl Iterator<Item = TrackState> {
        let feed = self.feeds.get(&index);
        let followed = feed.into_iter().flat_map(|f| f.tracker.placed()).map(|(_, placed)| placed.state);
        followed.chain(feed.into_iter().flat_map(|f| f.refused.values()).map(|_| TrackState::Lost))
    }

    /// The feed is stale or lost: nothing is drawn on it as if it were there. Told once.
    pub fn handle_down(&mut self, index: usize) -> Vec<Output> {
        let Some(feed) = self.feeds.get_mut(&index).filter(|f| !f.down) else { return Vec::new() };
        feed.down = true;
        feed.tracker.lose_all();
        let at = feed.luma.newest().unwrap_or(CaptureTime::UNKNOWN);
        feed.report(at, &self.sent, None).into_iter().collect()
    }

    /// Time passes; what is unsure does not stay so without frames.
    pub fn handle_time(&mut self, now: CaptureTime) -> Vec<Output> {
        let sent = &self.sent;
        self.feeds
            .values_mut()
            .filter_map(|f| if f.tracker.handle_time(now) { f.report(f.luma.newest()?, sent, None) } else { None })
            .collect()
    }

    /// The still is with the server: it may be named.
    pub fn handle_still_sent(&mut self, id: String) {
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(id);
    }

    /// X-ray is off on a feed, and holds this image: the still of its run. Said once a run, however often it is seen.
    pub fn handle_held(&mut self, index: usize, at: CaptureTime, picture: &Arc<Picture>) -> Option<Output> {
        let feed = self.feeds.get_mut(&index)?;
        if feed.runs.iter().any(|(run, _)| *run == at) {
            return None;
        }
        if feed.runs.len() == RUNS_MAX {
            feed.runs.pop_front();
        }
        feed.runs.push_back((at, picture.clone()));
        Some(feed.run_still(at, picture))
    }

    /// A picture of a run that loops, captured at `origin`: it may be asked for while the run plays.
    pub fn handle_looped(&mut self, index: usize, origin: CaptureTime, picture: &Arc<Picture>) {
        let Some(feed) = self.feeds.get_mut(&index) else { return };
        let run = &mut feed.looped;
        if run.back().is_some_and(|(last, _)| origin > *last && origin.since(*last) > RUNS_APART) {
            run.clear();
        }
        let place = run.partition_point(|(at, _)| *at < origin);
        if run.get(place).is_some_and(|(at, _)| *at == origin) {
            return;
        }
        run.insert(place, (origin, picture.clone()));
        if run.len() > LOOPED_MAX {
            run.pop_front();
        }
    }

    /// A server that may know nothing is there: the stills of the runs, the newest first, since not all may find room.
    pub fn handle_link_up(&mut self) -> Vec<Output> {
        let mut all: Vec<_> = self.feeds.values().flat_map(|f| f.runs.iter().map(move |(at, p)| (*at, f, p))).collect();
        all.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        all.into_iter().map(|(at, f, picture)| f.run_still(at, picture)).collect()
    }

    /// Frames of a still that somebody asks for.
    pub fn handle_still_wanted(&mut self, wanted: &StillWanted) -> Option<StillJob> {
        let feed = self.feeds.values().find(|f| f.id.as_str() == wanted.feed)?;
        let t = CaptureTime(wanted.capture);
        let near = || feed.apart(feed.luma.at(t)?.0);
        let found = feed.full.at(t).map(whole).or_else(|| feed.apart(t)).or_else(near).or_else(|| feed.grey(t));
        let (at, picture, shape) = found?;
        let id = still_id(&feed.id, at);
        Some(StillJob { id, feed: wanted.feed.clone(), capture: at, picture, shape, run: false })
    }

    /// Ink to be followed, the same grown or committed, or no longer.
    pub fn handle_anchor(&mut self, anchor: &Anchor) -> Vec<Output> {
        let Some(stroke) = anchor.stroke else { return Vec::new() };
        let key = (stroke.author, stroke.epoch, stroke.number);
        if anchor.gone {
            // A word that only says which.
            self.early.retain(|a| a.stroke != Some(stroke));
            for feed in self.feeds.values_mut() {
                feed.tracker.end(&key);
                feed.followed.remove(&key);
                feed.refused.remove(&key);
            }
            return Vec::new();
        }
        let named = self.feeds.iter().find(|(_, f)| f.id.as_str() == anchor.feed).map(|(index, _)| *index);
        let Some(feed) = named.and_then(|index| self.feeds.get_mut(&index)) else {
            self.unknown += 1;
            return Vec::new();
        };
        let mut ink: Vec<(i32, i32)> = anchor.x.iter().copied().zip(anchor.y.iter().copied()).take(POINTS_MAX).collect();
        let mut out = Vec::new();
        if let Some(followed) = feed.followed.get_mut(&key) {
            if anchor.committed && !anchor.spans.is_empty() && !followed.rebased {
                followed.rebased = true;
                match rebase(&followed.path, &anchor.spans, feed.units_per_px) {
                    Some(spans) => {
                        moved(&mut ink, &spans, anchor.points);
                        out.push(Output::Rebased(Rebased { rebase: Some(Rebase { stroke: Some(stroke), spans }) }));
                    }
                    // Where the stroke's parts belong is not known: it must not be drawn as if it were.
                    None => feed.refuse(key, stroke, None),
                }
            }
            let ink = feed.pixels(&ink);
            if feed.followed.contains_key(&key) && !feed.tracker.redraw(&key, &ink) {
                feed.refuse(key, stroke, None);
            }
            return out;
        }
        if feed.refused.contains_key(&key) {
            return out;
        }
        let t = CaptureTime(anchor.capture);
        // Somebody who saw the frame before it was handled here: its turn comes with the frame.
        if feed.luma.newest().is_some_and(|newest| newest < t && t.since(newest) < EARLY_MAX) {
            self.early.retain(|a| a.stroke != Some(stroke));
            if self.early.len() == EARLY_ANCHORS_MAX {
                self.early.pop_front();
            }
            self.early.push_back(anchor.clone());
            return out;
        }
        let past = feed.luma.since(t);
        let Some(at) = past.first().map(|(at, _)| *at) else {
            self.unknown += 1;
            feed.refuse(key, stroke, None);
            return out;
        };
        let still = still_id(&feed.id, at);
        let full = feed.full.at(at).filter(|(full, _)| *full == at).map(whole);
        let is_pinned = feed.pinned.iter().any(|(pinned, ..)| *pinned == at);
        // Drawn while its author's line was down, it is heard of late: what is left of the frame is better than none.
        if let Some(shot) = full.or_else(|| feed.apart(at)).or_else(|| feed.grey(at)).filter(|_| !is_pinned) {
            if feed.pinned.len() == PINNED_MAX {
                feed.pinned.pop_front();
            }
            feed.pinned.push_back(shot.clone());
            let (capture, picture, shape) = shot;
            let (id, feed) = (still.clone(), anchor.feed.clone());
            out.push(Output::Still(StillJob { id, feed, capture, picture, shape, run: false }));
        }
        let ink = feed.pixels(&ink);
        match feed.tracker.begin(key, &ink, &past) {
            Some(path) => {
                feed.followed.insert(key, Followed { key: stroke, still, path: path.into(), rebased: false });
                // This one alone was looked for in the newest frame, if that was only kept: of the others nothing is known there.
                out.extend(feed.luma.newest().and_then(|newest| feed.report(newest, &self.sent, Some(key))));
                if anchor.committed && !anchor.spans.is_empty() {
                    out.extend(self.handle_anchor(anchor));
                }
            }
            None => feed.refuse(key, stroke, Some(still)),
        }
        out
    }
}

impl Feed {
    /// Into the rings. `None`: too small to be tracked in, or not newer than the newest.
    fn keep(&mut self, at: CaptureTime, picture: &Arc<Picture>) -> Option<Arc<Luma>> {
        let (plane, g) = (picture.plane(0), picture.geometry());
        let luma = Arc::new(Luma::shrink(plane.data, plane.stride, g.width, g.height)?);
        if !self.luma.push(at, luma.clone()) {
            return None;
        }
        self.full.push(at, picture.clone());
        self.shapes.push(at, g);
        self.units_per_px = UNITS / luma.width as f32;
        self.down = false;
        Some(luma)
    }

    fn run_still(&self, at: CaptureTime, picture: &Arc<Picture>) -> Output {
        let feed = self.id.to_string();
        let (capture, picture, shape) = whole((at, picture));
        Output::Still(StillJob { id: still_id(&self.id, at), feed, capture, picture, shape, run: true })
    }

    /// The frame captured at `t` where it was kept apart: held, of the run that plays, or drawn on.
    fn apart(&self, t: CaptureTime) -> Option<Shot> {
        let held = self.runs.iter().chain(&self.looped).find(|(at, _)| *at == t).map(|(at, picture)| whole((*at, picture)));
        held.or_else(|| self.pinned.iter().find(|(at, ..)| *at == t).cloned())
    }

    /// The frame captured at `t` or last before, of which only luma is left.
    fn grey(&self, t: CaptureTime) -> Option<Shot> {
        let (at, luma) = self.luma.at(t)?;
        Some((at, grey::picture(luma)?, self.shapes.at(at)?))
    }

    /// Points of the wire in pixels of the tracker's picture.
    fn pixels(&self, ink: &[(i32, i32)]) -> Vec<Vec2> {
        let per_unit = if self.units_per_px > 0.0 { 1.0 / self.units_per_px } else { 0.0 };
        ink.iter().map(|(x, y)| Vec2::new(*x as f32 * per_unit - 0.5, *y as f32 * per_unit - 0.5)).collect()
    }

    fn refuse(&mut self, key: Key, stroke: StrokeKey, still: Option<String>) {
        self.tracker.end(&key);
        let known = self.followed.remove(&key).map(|f| f.still);
        if self.refused.len() == REFUSED_MAX {
            self.refused.pop_first();
        }
        self.refused.insert(key, (stroke, known.or(still).unwrap_or_default()));
    }

    /// All anchors in the frame captured at `at`, or `only` one; `None` when there are none.
    fn report(&self, at: CaptureTime, sent: &VecDeque<String>, only: Option<Key>) -> Option<Output> {
        let wanted = |key: &Key| only.is_none_or(|only| *key == only);
        let still = |id: &String| if sent.contains(id) { id.clone() } else { String::new() };
        let mut anchors: Vec<AnchorXform> = self
            .tracker
            .placed()
            .into_iter()
            .filter(|(key, _)| wanted(key))
            .filter_map(|(key, placed)| {
                let f = self.followed.get(&key)?;
                let m = placed.motion.in_units(self.units_per_px);
                let state = placed.state.into();
                Some(AnchorXform { strokes: vec![f.key], state, a: m.a, b: m.b, tx: m.tx, ty: m.ty, still: still(&f.still) })
            })
            .collect();
        anchors.extend(self.refused.iter().filter(|(key, _)| wanted(key)).map(|(_, (stroke, id))| AnchorXform {
            strokes: vec![*stroke],
            state: TrackState::Lost.into(),
            a: 1.0,
            still: still(id),
            ..AnchorXform::default()
        }));
        let feed = self.id.as_str().to_owned();
        (!anchors.is_empty()).then_some(Output::Xform(XformFrame { feed, capture: at.0, anchors }))
    }
}

/// For each span the motion from the frame it was drawn on back to the stroke's own. `None` when one of them was not tracked.
fn rebase(path: &VecDeque<(CaptureTime, Placed)>, spans: &[FrameSpan], units_per_px: f32) -> Option<Vec<WireSimilarity>> {
    spans
        .iter()
        .map(|span| {
            let t = CaptureTime(span.capture);
            let distance = |at: CaptureTime| at.minus_ns(t).unsigned_abs();
            let tracked = path.iter().filter(|(_, p)| p.state == TrackState::Tracked);
            let (at, placed) = tracked.min_by_key(|(at, _)| distance(*at))?;
            if u128::from(distance(*at)) > SPAN_OFF_MAX.as_nanos() {
                return None;
            }
            let back: Similarity = placed.motion.inverse()?.in_units(units_per_px);
            Some(WireSimilarity { first: span.first, a: back.a, b: back.b, tx: back.tx, ty: back.ty })
        })
        .collect()
}

/// Points moved as the rebase says. `ink`: some points of a stroke of `points`, evenly, both ends among them.
fn moved(ink: &mut [(i32, i32)], spans: &[WireSimilarity], points: u32) {
    let own = WireSimilarity { first: 0, a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };
    let n = ink.len();
    let last = (points as usize).clamp(n, annotation::points::POINTS_MAX.max(n)).saturating_sub(1);
    for (i, (x, y)) in ink.iter_mut().enumerate() {
        let index = i * last / n.saturating_sub(1).max(1);
        let s = spans.iter().rev().find(|s| s.first as usize <= index).unwrap_or(&own);
        let (px, py) = (*x as f32, *y as f32);
        (*x, *y) = ((s.a * px - s.b * py + s.tx).round() as i32, (s.b * px + s.a * py + s.ty).round() as i32);
    }
}

#[cfg(test)]
mod tests;
