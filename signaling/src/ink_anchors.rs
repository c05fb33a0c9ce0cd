//! Which ink the engine's tracker follows: told at pen-down, again with the commit, and when it is gone.

use std::collections::BTreeMap;

use annotation::check::is_followed;
use annotation::op::StrokeId;
use annotation::points::{self, Point};
use annotation::wire::{FrameRef, FrameSpan, LiveStroke, Points, StrokeCommit, Tool};
use link::wire::Anchor;

/// Marks followed at once in one case; a tracker takes ~1 ms each. More are not followed, and so leave the live picture.
pub(crate) const ANCHORS_MAX: usize = 64;
/// Points told of one mark.
const POINTS_TOLD: usize = 64;
/// Points told of an ellipse, which has two.
const RING: i32 = 16;

/// What the engine was told: committed or not.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    told: BTreeMap<StrokeId, bool>,
}

struct Drawn<'a> {
    id: StrokeId,
    tool: i32,
    width: u32,
    frame: &'a FrameRef,
    points: &'a [Point],
    spans: &'a [FrameSpan],
}

impl Anchors {
    /// The pen came down. `None`: told already, not on a picture that moves, or there are too many.
    pub(crate) fn handle_live(&mut self, live: &LiveStroke) -> Option<Anchor> {
        let id = StrokeId::from(live.key.as_ref()?);
        if self.told.contains_key(&id) {
            return None;
        }
        let points = decoded(live.points.as_ref());
        let drawn =
            Drawn { id, tool: live.tool, width: live.width, frame: live.frame.as_ref()?, points: &points, spans: &live.spans };
        self.tell(&drawn, false)
    }

    pub(crate) fn handle_commit(&mut self, stroke: &StrokeCommit) -> Option<Anchor> {
        let id = StrokeId::from(stroke.key.as_ref()?);
        if self.told.get(&id) == Some(&true) {
            return None;
        }
        let points = decoded(stroke.points.as_ref());
        let drawn = Drawn {
            id,
            tool: stroke.tool,
            width: stroke.width,
            frame: stroke.frame.as_ref()?,
            points: &points,
            spans: &stroke.spans,
        };
        self.tell(&drawn, true)
    }

    fn tell(&mut self, drawn: &Drawn<'_>, committed: bool) -> Option<Anchor> {
        if !is_followed(drawn.frame) || (self.told.len() >= ANCHORS_MAX && !self.told.contains_key(&drawn.id)) {
            return None;
        }
        self.told.insert(drawn.id, committed);
        let path = path(drawn);
        Some(Anchor {
            stroke: Some(drawn.id.into()),
            feed: drawn.frame.feed.clone(),
            capture: drawn.frame.capture,
            x: path.iter().map(|p| p.0).collect(),
            y: path.iter().map(|p| p.1).collect(),
            width: drawn.width,
            spans: drawn.spans.to_vec(),
            committed,
            gone: false,
            surface: drawn.frame.surface,
            points: u32::try_from(drawn.points.len()).unwrap_or(u32::MAX),
        })
    }

    pub(crate) fn has(&self, id: &StrokeId) -> bool {
        self.told.contains_key(id)
    }

    /// Told, and to be asked after when something went.
    pub(crate) fn told(&self) -> impl Iterator<Item = &StrokeId> {
        self.told.keys()
    }

    /// Forgets what `is_there` denies, and says so to the engine.
    pub(crate) fn handle_gone(&mut self, is_there: impl Fn(&StrokeId) -> bool) -> Vec<Anchor> {
        let gone: Vec<StrokeId> = self.told.keys().filter(|id| !is_there(id)).copied().collect();
        gone.into_iter()
            .map(|id| {
                self.told.remove(&id);
                Anchor { stroke: Some(id.into()), gone: true, ..Default::default() }
            })
            .collect()
    }

    /// A new engine knows nothing.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }
}

fn decoded(points: Option<&Points>) -> Vec<Point> {
    points.and_then(|p| points::decode(p).ok()).unwrap_or_default()
}

/// At most 64 points of what is drawn, both ends among them.
fn path(drawn: &Drawn<'_>) -> Vec<(i32, i32)> {
    let points = drawn.points;
    if let (Ok(Tool::Ellipse), [a, .., b]) = (Tool::try_from(drawn.tool), points) {
        let middle = |p: i32, q: i32| f64::midpoint(f64::from(p), f64::from(q));
        let half = |p: i32, q: i32| f64::from(q - p) / 2.0;
        let corner = |k: i32| {
            let (sin, cos) = (f64::from(k) * std::f64::consts::TAU / f64::from(RING)).sin_cos();
            ((middle(a.x, b.x) + half(a.x, b.x) * cos).round() as i32, (middle(a.y, b.y) + half(a.y, b.y) * sin).round() as i32)
        };
        return (0..RING).map(corner).collect();
    }
    let n = points.len().min(POINTS_TOLD);
    let at = |i: usize| points[if n < 2 { 0 } else { i * (points.len() - 1) / (n - 1) }];
    (0..n).map(at).map(|p| (p.x, p.y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use annotation::wire::{StrokeKey, Surface};

    fn stroke(number: u32, n: i32, surface: Surface, tool: Tool) -> StrokeCommit {
        let points: Vec<Point> = (0..n).map(|i| Point { x: i * 10, y: i, pressure: 255 }).collect();
        let frame = FrameRef { feed: "field".into(), capture: 7, surface: surface as i32, ..Default::default() };
        StrokeCommit {
            key: Some(StrokeKey { author: 1, epoch: 1, number }),
            tool: tool as i32,
            width: 9,
            frame: Some(frame),
            points: Some(points::encode(&points)),
            ..Default::default()
        }
    }

    #[test]
    fn the_engine_hears_of_a_mark_when_it_begins_when_it_is_whole_and_when_it_is_gone() {
        let mut anchors = Anchors::default();
        let whole = stroke(1, 500, Surface::Live, Tool::Pen);
        let live = LiveStroke { key: whole.key, tool: whole.tool, frame: whole.frame.clone(), ..Default::default() };
        assert_eq!(anchors.handle_live(&live).map(|a| (a.committed, a.x.len())), Some((false, 0)));
        assert_eq!(anchors.handle_live(&live), None);
        let told = anchors.handle_commit(&whole).expect("told again");
        assert_eq!((told.committed, told.x.len(), told.x[0], told.x[63], told.points), (true, 64, 0, 4_990, 500));
        assert_eq!(anchors.handle_commit(&whole), None);
        assert!(anchors.handle_gone(|_| true).is_empty());
        assert_eq!(anchors.handle_gone(|_| false).iter().map(|a| a.gone).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn what_stands_on_a_still_or_a_run_is_not_followed_and_there_is_an_end_to_what_is() {
        let mut anchors = Anchors::default();
        assert_eq!(anchors.handle_commit(&stroke(1, 3, Surface::Still, Tool::Pen)), None);
        assert_eq!(anchors.handle_commit(&stroke(1, 3, Surface::Run, Tool::Pen)), None);
        assert_eq!(anchors.handle_commit(&stroke(2, 2, Surface::Frozen, Tool::Ellipse)).map(|a| a.x.len()), Some(16));
        let told = (3..200).filter(|n| anchors.handle_commit(&stroke(*n, 3, Surface::Live, Tool::Pen)).is_some()).count();
        assert_eq!(told, ANCHORS_MAX - 1);
    }
}
