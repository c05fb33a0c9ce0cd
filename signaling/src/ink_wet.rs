//! Strokes still under a pen: collected without gaps, relayed to the other pages, replaced by their commit.

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::check;
use annotation::id::Epoch;
use annotation::op::{Fault, StrokeId};
use annotation::points::{self, POINTS_MAX, Point};
use annotation::time::CaptureTime;
use annotation::wire::{self, LiveStroke};

/// A stroke without news for this long is let go: its page is gone, or its commit came.
const ABANDONED: Duration = Duration::from_secs(5);
/// Most strokes at once under one page's pen: one, and its predecessors whose commit is on the way.
const PER_PAGE_MAX: usize = 8;
/// Points repeated to a page that has not said what it has: at 240 Hz and 60 packets/s four packets.
const OVERLAP: usize = 16;

#[derive(Debug)]
struct Wet {
    /// Key, tool, width, frame, began, lifted; its points are below.
    head: LiveStroke,
    points: Vec<Point>,
    /// The pen was taken back when this many points were there: no more come.
    ends: Option<usize>,
    /// Killed by *clear*: still collected, never shown.
    dead: bool,
    /// What each page was sent, what it confirmed, and whether it was told that the pen is up.
    sent: BTreeMap<Epoch, (usize, usize, bool)>,
    touched: CaptureTime,
}

/// All strokes under pens in one case.
#[derive(Debug, Default)]
pub(crate) struct WetStrokes {
    strokes: BTreeMap<StrokeId, Wet>,
}

impl WetStrokes {
    /// Takes points of a live stroke. Returns how many are known without a gap, to be confirmed to the author's page, and how
    /// many of them are new.
    pub(crate) fn handle_points(
        &mut self,
        mut live: LiveStroke,
        cleared: CaptureTime,
        now: CaptureTime,
    ) -> Result<(u32, usize), Fault> {
        let key = live.key.ok_or(Fault::NotYours)?;
        let id = StrokeId::from(&key);
        let first = live.first as usize;
        // Once its beginning is known a stroke need not say again what it is.
        let new = match self.strokes.get(&id) {
            Some(known) if live.frame.is_none() => check::more(&live, known.head.frame.as_ref())?,
            _ => check::live(&live)?,
        };
        live.points = None;
        let of_page = self.strokes.keys().filter(|k| k.epoch == id.epoch).count();
        if !self.strokes.contains_key(&id) && of_page >= PER_PAGE_MAX {
            return Err(Fault::TooLong);
        }
        live.began = live.began.min(now.0); // AN6
        let wet = self.strokes.entry(id).or_insert_with(|| Wet {
            dead: live.began <= cleared.0,
            head: LiveStroke { points: None, first: 0, ..live.clone() },
            points: Vec::new(),
            ends: None,
            sent: BTreeMap::new(),
            touched: now,
        });
        wet.touched = now;
        let before = wet.points.len();
        // Beyond a gap nothing is taken; the page repeats from what was confirmed.
        if first <= wet.points.len() && wet.ends.is_none() {
            let known = wet.points.len() - first;
            let room = POINTS_MAX - wet.points.len();
            wet.points.extend(new.into_iter().skip(known).take(room));
            wet.head.lifted |= live.lifted;
            // The surface stays that of pen-down; the frames drawn over become more.
            if live.spans.len() > wet.head.spans.len() {
                wet.head.spans = live.spans;
            }
        }
        Ok((wet.points.len() as u32, wet.points.len() - before))
    }

    /// Whose pen was taken back, by stroke: what is under it ends there. Those that ended now.
    pub(crate) fn handle_pen_gone(&mut self, has_pen: impl Fn(&StrokeId) -> bool) -> Vec<StrokeId> {
        let ended = self.strokes.iter_mut().filter(|(id, wet)| wet.ends.is_none() && !has_pen(id));
        ended
            .map(|(id, wet)| {
                wet.ends = Some(wet.points.len());
                *id
            })
            .collect()
    }

    /// What is left of a commit whose stroke ended early: its points up to there. False: nothing, or it did not end early.
    pub(crate) fn cut(&self, stroke: &mut wire::StrokeCommit) -> bool {
        let Some(wet) = stroke.key.as_ref().and_then(|key| self.strokes.get(&key.into())) else { return false };
        let Some(end) = wet.ends.and_then(|n| n.checked_sub(1)).and_then(|last| wet.points.get(last)).copied() else {
            return false;
        };
        let Some(points) = stroke.points.as_ref().and_then(|p| points::decode(p).ok()) else { return false };
        let at = |p: &Point| (p.x, p.y);
        // A commit keeps some of the points that were told, in their order.
        let mut told = wet.points.iter();
        let mut kept: Vec<Point> = points.iter().copied().take_while(|p| told.any(|t| at(t) == at(p))).collect();
        if kept.is_empty() {
            return false;
        }
        if kept.len() < points.len() && kept.last().is_some_and(|last| at(last) != at(&end)) {
            kept.push(end);
        }
        stroke.spans.retain(|span| (span.first as usize) < kept.len());
        stroke.points = Some(points::encode(&kept));
        true
    }

    /// What `page` should be sent of a stroke now; `None` when it has all or the stroke is not to be shown.
    pub(crate) fn poll_relay(&mut self, page: Epoch, id: StrokeId) -> Option<LiveStroke> {
        let wet = self.strokes.get_mut(&id).filter(|w| !w.dead)?;
        let total = wet.points.len();
        let (sent, seen, told) = wet.sent.get(&page).copied().unwrap_or_default();
        // Nothing new: the author's repeats are not passed on, or one page could flood the others.
        if sent == total && told == wet.head.lifted {
            return None;
        }
        let from = seen.max(sent.saturating_sub(OVERLAP)).min(total);
        wet.sent.insert(page, (total, seen, wet.head.lifted));
        Some(piece(wet, from))
    }

    /// Everything shown now, for a page that just came.
    pub(crate) fn all(&mut self, page: Epoch) -> Vec<LiveStroke> {
        let mut out = Vec::new();
        for (id, wet) in self.strokes.iter_mut().filter(|(id, w)| !w.dead && id.epoch != page) {
            let _ = id;
            wet.sent.insert(page, (wet.points.len(), 0, wet.head.lifted));
            out.push(piece(wet, 0));
        }
        out
    }

    pub(crate) fn handle_seen(&mut self, page: Epoch, id: StrokeId, have: u32) {
        if let Some(wet) = self.strokes.get_mut(&id) {
            let total = wet.points.len();
            let entry = wet.sent.entry(page).or_default();
            entry.1 = entry.1.max((have as usize).min(total));
        }
    }

    /// When a stroke still under the pen began, as this server knows it (AN6).
    pub(crate) fn began(&self, id: StrokeId) -> Option<CaptureTime> {
        self.strokes.get(&id).map(|w| CaptureTime(w.head.began))
    }

    /// Still under a pen, and shown.
    pub(crate) fn is_shown(&self, id: &StrokeId) -> bool {
        self.strokes.get(id).is_some_and(|w| !w.dead)
    }

    /// All that is shown, whole.
    pub(crate) fn whole(&self) -> impl Iterator<Item = LiveStroke> {
        self.strokes.values().filter(|w| !w.dead).map(|w| piece(w, 0))
    }

    /// One stroke, whole.
    pub(crate) fn stroke(&self, id: &StrokeId) -> Option<LiveStroke> {
        self.strokes.get(id).filter(|w| !w.dead).map(|w| piece(w, 0))
    }

    pub(crate) fn handle_committed(&mut self, id: StrokeId) {
        self.strokes.remove(&id);
    }

    pub(crate) fn handle_clear(&mut self, up_to: CaptureTime) {
        for wet in self.strokes.values_mut().filter(|w| w.head.began <= up_to.0) {
            wet.dead = true;
        }
    }

    pub(crate) fn handle_leave(&mut self, page: Epoch, now: CaptureTime) {
        for wet in self.strokes.values_mut() {
            wet.sent.remove(&page);
        }
        for (_, wet) in self.strokes.iter_mut().filter(|(id, _)| id.epoch == page) {
            wet.touched = now;
        }
    }

    /// Lets abandoned strokes go; returns their last word for the pages: lifted, without points.
    pub(crate) fn handle_timeout(&mut self, now: CaptureTime) -> Vec<LiveStroke> {
        let gone: Vec<StrokeId> = self.strokes.iter().filter(|(_, w)| deadline(w) <= now).map(|(id, _)| *id).collect();
        let mut out = Vec::new();
        for id in gone {
            if let Some(wet) = self.strokes.remove(&id)
                && !wet.dead
            {
                out.push(LiveStroke { lifted: true, first: 0, points: Some(wire::Points::default()), ..wet.head });
            }
        }
        out
    }

    pub(crate) fn poll_timeout(&self) -> Option<CaptureTime> {
        self.strokes.values().map(deadline).min()
    }
}

fn deadline(wet: &Wet) -> CaptureTime {
    wet.touched.saturating_add(ABANDONED)
}

fn piece(wet: &Wet, from: usize) -> LiveStroke {
    LiveStroke { first: from as u32, points: Some(points::encode(&wet.points[from..])), ..wet.head.clone() }
}
