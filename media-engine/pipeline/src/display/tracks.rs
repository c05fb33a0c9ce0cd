//! Where the engine's own tracker says that ink lies, by feed and by the capture time of its frame; nothing is guessed beyond it. Pure; the
//! same as the pages' (`web-client/src/core/ink/tracks.ts`).

use std::collections::BTreeMap;
use std::time::Duration;

use annotation::op::StrokeId;
use annotation::points::Point;
use annotation::rebase::Similarity;
use annotation::time::CaptureTime;
use annotation::wire::{TrackState, XformFrame};

/// Of one feed: 8 s at 30 frames/s. Policy: drop_oldest.
const FRAMES_MAX: usize = 256;
const FEEDS_MAX: usize = 16;
/// Strokes whose frame's name is known. Policy: drop the lowest author's.
const STILLS_MAX: usize = 512;
/// The transforms of a frame hold so long for those after it where nothing moves far, else they count as unsure, then as lost.
const HOLDS: Duration = Duration::from_millis(50);
/// So far may ink have moved since the frame that stands in, by how it moved lately: 6 px of a 1080p picture.
const STANDS_IN: f64 = 51.0;
/// Moves looked at for that: the fastest of so many frames.
const LATELY: usize = 2;
const DOUBTED: Duration = Duration::from_millis(150);

/// A stroke in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Track {
    Placed { moved: Similarity, unsure: bool },
    Lost,
}

type Frames = BTreeMap<CaptureTime, BTreeMap<StrokeId, Track>>;

#[derive(Debug, Default)]
pub struct Tracks {
    feeds: BTreeMap<String, Frames>,
    /// Names of the frames that strokes were drawn on.
    stills: BTreeMap<StrokeId, String>,
}

impl Tracks {
    pub fn handle(&mut self, frame: &XformFrame) {
        if !self.feeds.contains_key(&frame.feed) && self.feeds.len() >= FEEDS_MAX {
            return;
        }
        let mut tracks = BTreeMap::new();
        for anchor in &frame.anchors {
            let moved = Similarity::checked(anchor.a, anchor.b, anchor.tx, anchor.ty);
            let track = match (TrackState::try_from(anchor.state), moved) {
                (Ok(TrackState::Tracked), Some(moved)) => Track::Placed { moved, unsure: false },
                (Ok(TrackState::Unsure), Some(moved)) => Track::Placed { moved, unsure: true },
                _ => Track::Lost,
            };
            tracks.extend(anchor.strokes.iter().map(|key| (StrokeId::from(key), track)));
            if !anchor.still.is_empty() {
                for stroke in anchor.strokes.iter().map(StrokeId::from) {
                    if self.stills.len() >= STILLS_MAX && !self.stills.contains_key(&stroke) {
                        self.stills.pop_first();
                    }
                    self.stills.entry(stroke).or_insert_with(|| anchor.still.clone());
                }
            }
        }
        let frames = self.feeds.entry(frame.feed.clone()).or_default();
        frames.insert(CaptureTime(frame.capture), tracks);
        while frames.len() > FRAMES_MAX {
            frames.pop_first();
        }
    }

    /// Name of the frame that a stroke was drawn on, once that is pinned.
    pub fn still_of(&self, stroke: &StrokeId) -> Option<&str> {
        self.stills.get(stroke).map(String::as_str)
    }

    /// Somebody follows ink on this feed.
    pub fn heard(&self, feed: &str) -> bool {
        self.feeds.contains_key(feed)
    }

    /// This very frame has been looked at.
    pub fn has(&self, feed: &str, capture: CaptureTime) -> bool {
        self.feeds.get(feed).is_some_and(|frames| frames.contains_key(&capture))
    }

    /// A stroke, of which `places` are some on its own frame, in the frame captured at `capture`. `None`: no frame up to it names the stroke.
    pub fn of(&self, feed: &str, capture: CaptureTime, stroke: &StrokeId, places: &[Point]) -> Option<Track> {
        let frames = self.feeds.get(feed)?;
        let (at, tracks) = frames.range(..=capture).next_back()?;
        let track = *tracks.get(stroke)?;
        let old = capture.since(*at);
        Some(match track {
            _ if old.is_zero() => track,
            Track::Placed { moved, unsure } if old <= DOUBTED => {
                let stands = old <= HOLDS && speed(frames, *at, stroke, places) * old.as_secs_f64() <= STANDS_IN;
                Track::Placed { moved, unsure: unsure || !stands }
            }
            _ => Track::Lost,
        })
    }

    /// Where a stroke was when it was last not lost, in a frame up to the one captured at `capture`. `None`: in none that is kept.
    pub fn last_known(&self, feed: &str, capture: CaptureTime, stroke: &StrokeId) -> Option<Similarity> {
        self.feeds.get(feed)?.range(..=capture).rev().find_map(|(_, tracks)| match tracks.get(stroke) {
            Some(Track::Placed { moved, .. }) => Some(*moved),
            _ => None,
        })
    }
}

/// How fast places of a stroke moved at most in the frames up to the one at `last`, units of points a second. Infinite: nothing is known of that.
fn speed(frames: &Frames, last: CaptureTime, stroke: &StrokeId, places: &[Point]) -> f64 {
    let placed = |tracks: &BTreeMap<StrokeId, Track>| match tracks.get(stroke) {
        Some(Track::Placed { moved, .. }) => Some(*moved),
        _ => None,
    };
    let lately: Vec<_> = frames.range(..=last).rev().take(LATELY + 1).map_while(|(at, t)| Some((*at, placed(t)?))).collect();
    let moves = lately.windows(2).flat_map(|pair| {
        let [(to, is), (from, was)] = [pair[0], pair[1]];
        let seconds = to.since(from).as_secs_f64();
        places.iter().map(move |p| {
            let (x, y) = (f64::from(p.x), f64::from(p.y));
            let (a, b) = (was.apply(x, y), is.apply(x, y));
            (b.0 - a.0).hypot(b.1 - a.1) / seconds
        })
    });
    moves.reduce(f64::max).unwrap_or(f64::INFINITY)
}

/// The way back. A similarity that was checked has one.
pub fn inverse(m: Similarity) -> Similarity {
    let d = m.a * m.a + m.b * m.b;
    let (a, b) = (m.a / d, -m.b / d);
    Similarity { a, b, tx: -(a * m.tx - b * m.ty), ty: -(b * m.tx + a * m.ty) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use annotation::wire::{AnchorXform, StrokeKey};

    const KEY: StrokeKey = StrokeKey { author: 2, epoch: 1, number: 1 };

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn frame(ms: u64, state: TrackState, tx: f32) -> XformFrame {
        let anchor = AnchorXform { strokes: vec![KEY], state: state.into(), a: 1.0, tx, ..Default::default() };
        XformFrame { feed: "field".into(), capture: at(ms).0, anchors: vec![anchor] }
    }

    #[test]
    fn a_transform_holds_for_a_while_then_is_doubted_then_lost() {
        let mut tracks = Tracks::default();
        let id = StrokeId::from(&KEY);
        let places = [Point { x: 8_000, y: 4_000, pressure: 0 }];
        assert_eq!((tracks.heard("field"), tracks.of("field", at(0), &id, &places)), (false, None));
        tracks.handle(&frame(67, TrackState::Tracked, 30.0));
        tracks.handle(&frame(100, TrackState::Tracked, 50.0));
        let moved = Similarity { tx: 50.0, ..Similarity::IDENTITY };
        let placed = |unsure| Some(Track::Placed { moved, unsure });
        let seen = |tracks: &Tracks, ms| tracks.of("field", at(ms), &id, &places);
        assert_eq!(seen(&tracks, 66), None, "not of a frame before it");
        assert_eq!(
            [100, 140, 240, 260].map(|ms| seen(&tracks, ms)),
            [placed(false), placed(false), placed(true), Some(Track::Lost)]
        );
        tracks.handle(&frame(133, TrackState::Unsure, 50.0));
        assert_eq!(seen(&tracks, 133), placed(true));
        tracks.handle(&frame(166, TrackState::Tracked, f32::NAN));
        assert_eq!(seen(&tracks, 166), Some(Track::Lost), "no picture does that");
        assert!(tracks.has("field", at(166)) && !tracks.has("field", at(167)));
        for ms in 0..400 {
            tracks.handle(&frame(1_000 + ms, TrackState::Lost, 0.0));
        }
        assert_eq!(tracks.feeds["field"].len(), FRAMES_MAX);
    }

    #[test]
    fn what_moves_fast_is_doubted_with_the_first_frame_without_a_word_and_the_last_known_place_is_kept() {
        let mut tracks = Tracks::default();
        let (id, places) = (StrokeId::from(&KEY), [Point { x: 8_000, y: 4_000, pressure: 0 }]);
        let unsure = |tracks: &Tracks, ms| match tracks.of("field", at(ms), &id, &places) {
            Some(Track::Placed { unsure, .. }) => Some(unsure),
            _ => None,
        };
        tracks.handle(&frame(100, TrackState::Tracked, 0.0));
        assert_eq!([100, 133].map(|ms| unsure(&tracks, ms)), [Some(false), Some(true)], "how it moves is not known");
        tracks.handle(&frame(133, TrackState::Tracked, 170.0));
        assert_eq!([133, 166].map(|ms| unsure(&tracks, ms)), [Some(false), Some(true)]);
        tracks.handle(&frame(166, TrackState::Lost, 0.0));
        let known = |ms| tracks.last_known("field", at(ms), &id).map(|m| m.tx);
        assert_eq!([99, 110, 166].map(known), [None, Some(0.0), Some(170.0)]);
    }

    #[test]
    fn a_similarity_and_its_inverse_come_back() {
        let m = Similarity { a: 0.9, b: 0.2, tx: 300.0, ty: -40.0 };
        let (x, y) = m.apply(1_000.0, 2_000.0);
        let (x, y) = inverse(m).apply(x, y);
        assert!((x - 1_000.0).abs() < 1e-6 && (y - 2_000.0).abs() < 1e-6);
    }
}
