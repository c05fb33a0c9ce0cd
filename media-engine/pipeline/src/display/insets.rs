//! Marks whose place is not on the picture any more: each on its own pinned frame, in a corner of its picture, with its age, as the pages show them
//! (`web-client/src/stage/lost_insets.ts`). They are never drawn where they might be, and never without what they were drawn on: where that is not here,
//! [`super::without`] says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use annotation::op::StrokeId;
use annotation::time::CaptureTime;

use super::letters::Letters;
use super::paint::{self, Tile};
use super::view::{Look, Mark, Surfaced};
use super::without::{self, AMBER, PictureState, Plate};
use super::words::Words;
use crate::picture::{Geometry, Picture, rgb_to_yuv};
use crate::program::compositor;
use crate::program::layout::PixelRect;
use crate::scale::Scaler;
use crate::tracker::host::StillJob;

/// Frames shown at once, the newest; more would cover the picture.
pub const INSETS_MAX: usize = 2;
/// Of the picture's width.
const SHARE: f64 = 0.3;
/// Px of a composed picture 1280 wide: to the edges; a strip that may lie on the picture; the line of words below an inset; the frame around it.
const MARGIN: f64 = 10.0;
const STRIP: f64 = 34.0;
const CAPTION: f64 = 24.0;
const FRAME: f64 = 3.0;
const LETTERS_PX: f64 = 13.0;
/// `--bg` of the pages.
const GROUND: [u8; 3] = [0x09, 0x0C, 0x0F];

/// Frames that were drawn on, of all feeds together, each at most this wide: some 8 MB. Policy: drop_oldest; words then stand for the ink.
const PINNED_MAX: usize = 24;
const PINNED_WIDE: usize = 640;

/// So long a picture is said to be coming, as on the pages: the tracker may not have had its turn, or somebody may yet ask for it. This
/// display asks nobody: what is not kept in this process it cannot have.
const COMING: Duration = Duration::from_secs(3);

/// The pinned frames as the engine's own tracker has them, small.
#[derive(Debug, Default)]
pub struct Pinned {
    frames: VecDeque<(String, String, Arc<Picture>)>,
    scaler: Scaler,
}

impl Pinned {
    pub fn handle(&mut self, still: &StillJob) {
        if self.of(&still.id).is_some() {
            return;
        }
        let Geometry { width, height } = still.picture.geometry();
        let high = (height * PINNED_WIDE / width.max(1)) & !1;
        let size = if width > PINNED_WIDE { Geometry::new(PINNED_WIDE, high) } else { Some(still.picture.geometry()) };
        let Some(small) = size.and_then(|size| self.scaler.fit(&still.picture, size)) else { return };
        if self.frames.len() == PINNED_MAX {
            self.frames.pop_front();
        }
        self.frames.push_back((still.id.clone(), still.feed.clone(), small));
    }

    /// Whoever is behind the curtain is let go of, with all that was kept.
    pub fn forget(&mut self, feed: &str) {
        self.frames.retain(|(_, of, _)| of != feed);
    }

    fn of(&self, id: &str) -> Option<&Arc<Picture>> {
        self.frames.iter().find(|(known, ..)| known == id).map(|(.., picture)| picture)
    }
}

/// Marks of one frame that stand on no picture.
#[derive(Debug, Clone)]
pub struct Lost {
    pub feed: String,
    pub capture: CaptureTime,
    pub still: String,
    /// As on a picture of their own, which is still to be placed.
    pub marks: Vec<Mark>,
    /// Family names of who drew them, each once: Japanese and English.
    pub names: Vec<(String, String)>,
}

/// Marks by the frame they were drawn on, the newest frames first.
pub fn by_frame(away: Vec<Lost>) -> Vec<Lost> {
    let mut frames: BTreeMap<String, Lost> = BTreeMap::new();
    for one in away {
        match frames.get_mut(&one.still) {
            Some(frame) => {
                frame.marks.extend(one.marks);
                let new = one.names.into_iter().filter(|name| !frame.names.contains(name)).collect::<Vec<_>>();
                frame.names.extend(new);
            }
            None => drop(frames.insert(one.still.clone(), one)),
        }
    }
    let mut all: Vec<Lost> = frames.into_values().collect();
    all.sort_by_key(|frame| std::cmp::Reverse(frame.capture));
    all.truncate(INSETS_MAX);
    all
}

/// Where the `nth` inset on a picture lies, without frame and words: at its right edge, below a strip that may lie on it; beside an inset of the
/// program that lies there, not over it. Below each other down to what lies on the picture there, then in a column beside.
pub fn place(picture: &Surfaced, nth: usize, wide: usize) -> PixelRect {
    let unit = wide as f64 / 1_280.0;
    let of = |r: &PixelRect| (r.x as f64, r.y as f64, r.w as f64, r.h as f64);
    let (x, y, w, h) = of(&picture.rect);
    let own_w = (w * SHARE).max((110.0 * unit).min(w * 0.42)).round();
    let own_h = (own_w * h / w.max(1.0)).round();
    let fronts: Vec<_> = picture.front.iter().map(of).collect();
    let beside = fronts.iter().filter(|f| f.1 < y + h * 0.6 && f.0 > x + w / 2.0).map(|f| f.0);
    let right = beside.fold(x + w, f64::min);
    let top = y + (MARGIN + STRIP) * unit;
    let step = own_h + (CAPTION + 2.0 * MARGIN) * unit;
    let below = fronts.iter().filter(|f| f.1 > top && f.0 < right && f.0 + f.2 > right - own_w).map(|f| f.1);
    let free = below.fold(y + h, f64::min);
    let rows = ((free - top) / step).floor().max(1.0) as usize;
    let left = right - MARGIN * unit - own_w - (nth / rows) as f64 * (own_w + MARGIN * unit);
    let even = |v: f64| (v.max(0.0).round() as usize) & !1;
    PixelRect { x: even(left), y: even(top + (nth % rows) as f64 * step), w: even(own_w), h: even(own_h) }
}

/// What an inset's pixels hang on.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    rect: PixelRect,
    age: String,
    state: PictureState,
    /// Said where the picture is not.
    names: String,
    marks: Vec<(StrokeId, Look)>,
}

/// Paints insets, those that look as before once.
#[derive(Debug, Default)]
pub struct Insets {
    kept: Vec<(String, Kept, Arc<Tile>)>,
    /// Frames without a picture, as many as are shown: since when, case timeline.
    without: BTreeMap<String, CaptureTime>,
    scaler: Scaler,
}

impl Insets {
    pub fn clear(&mut self) {
        self.kept.clear();
        self.without.clear();
    }

    pub fn paint(
        &mut self,
        lost: &[Lost],
        pictures: &[Surfaced],
        pinned: &Pinned,
        (wide, now): (usize, CaptureTime),
        letters: &Letters,
        words: Words,
    ) -> Vec<Arc<Tile>> {
        let mut before = std::mem::take(&mut self.kept);
        let mut nth: BTreeMap<&str, usize> = BTreeMap::new();
        self.without.retain(|still, _| lost.iter().any(|frame| frame.still == *still));
        for frame in lost {
            let Some(picture) = pictures.iter().find(|p| p.feed == frame.feed) else { continue };
            let n = nth.entry(&frame.feed).or_default();
            let rect = place(picture, *n, wide);
            *n += 1;
            let age = now.is_known().then(|| now.since(frame.capture));
            let still = pinned.of(&frame.still);
            let state = self.state(&frame.still, still.is_some(), now);
            let kept = Kept {
                rect,
                age: words.held_age(age),
                state,
                names: without::names_of(&frame.names, letters, words),
                marks: frame.marks.iter().map(|m| (m.id, m.look.clone())).collect(),
            };
            let known = before.iter().position(|(still, look, _)| *still == frame.still && *look == kept);
            let tile = match known {
                Some(known) => Some(before.swap_remove(known).2),
                None => self.one(frame, &kept, still, wide, letters, words).map(Arc::new),
            };
            if let Some(tile) = tile {
                self.kept.push((frame.still.clone(), kept, tile));
            }
        }
        self.kept.iter().map(|(.., tile)| tile.clone()).collect()
    }

    fn state(&mut self, still: &str, is_there: bool, now: CaptureTime) -> PictureState {
        if is_there {
            self.without.remove(still);
            return PictureState::There;
        }
        let since = *self.without.entry(still.to_owned()).or_insert(now);
        if now.is_known() && now.since(since) < COMING { PictureState::Coming } else { PictureState::Missing }
    }

    fn one(
        &mut self,
        frame: &Lost,
        kept: &Kept,
        still: Option<&Arc<Picture>>,
        wide: usize,
        letters: &Letters,
        words: Words,
    ) -> Option<Tile> {
        let unit = wide as f64 / 1_280.0;
        let even = |px: f64| ((px * unit).round().max(2.0) as usize + 1) & !1;
        let (edge, caption, px) = (even(FRAME), even(CAPTION), (LETTERS_PX * unit).max(8.0));
        let w = kept.rect.w;
        let plate = still.is_none().then(|| Plate::new(kept.state, &kept.names, px, (w, kept.rect.h), letters, words));
        // Words are as small as they are.
        let h = plate.as_ref().map_or(kept.rect.h, Plate::height);
        let mut canvas = Picture::black(Geometry::new(w + 2 * edge, h + caption + 2 * edge)?);
        let all = PixelRect { x: 0, y: 0, w: w + 2 * edge, h: h + caption + 2 * edge };
        let below = PixelRect { x: edge, y: edge + h, w, h: caption };
        let glass = PixelRect { x: edge, y: edge, w, h };
        fill(&mut canvas, all, AMBER);
        fill(&mut canvas, below, GROUND);
        fill(&mut canvas, glass, if plate.is_some() { GROUND } else { [0, 0, 0] });
        if let Some(plate) = &plate {
            plate.paint(&mut canvas, glass, letters);
        }
        if let Some(still) = still {
            let g = still.geometry();
            let scale = (w as f64 / g.width as f64).min(h as f64 / g.height as f64);
            let fit = |n: usize| ((n as f64 * scale).round() as usize) & !1;
            let size = Geometry::new(fit(g.width).min(w), fit(g.height).min(h));
            if let Some(small) = size.and_then(|size| self.scaler.fit(still, size)) {
                let g = small.geometry();
                let at = |own: usize, room: usize| edge + (((room - own) / 2) & !1);
                compositor::blit(
                    &mut canvas,
                    &small,
                    PixelRect { x: at(g.width, w), y: at(g.height, h), w: g.width, h: g.height },
                );
            }
        }
        for mark in frame.marks.iter().filter(|_| still.is_some()) {
            let mut mark = mark.clone();
            mark.look.rect = glass;
            if let Some(tile) = paint::mark(&mark, w, letters, words) {
                tile.lay_over(&mut canvas);
            }
        }
        let top = below.y + (caption.saturating_sub(px as usize)) / 2;
        let icon = (px * 0.9) as usize & !1;
        without::sign(&mut canvas, (below.x + icon / 2 + 2, below.y + caption / 2), icon as f64 / 2.0, without::is_crosshair);
        let right = (below.x + w).saturating_sub((letters.advance(&kept.age) * px).ceil() as usize + 4);
        let left = below.x + icon + 6;
        let said = [(left, words.track_lost()), (right, kept.age.as_str())];
        // The age first, where there is no room for both.
        let both = left + (letters.advance(words.track_lost()) * px).ceil() as usize + 4 <= right;
        for (at, text) in said.into_iter().skip(usize::from(!both)) {
            if let Some(tile) = paint::words(text, (at, top), px, below, letters) {
                tile.lay_over(&mut canvas);
            }
        }
        Tile::opaque(&canvas, (kept.rect.x.saturating_sub(edge), kept.rect.y.saturating_sub(edge)))
    }
}

fn fill(canvas: &mut Picture, rect: PixelRect, rgb: [u8; 3]) {
    let (luma, u, v) = rgb_to_yuv(rgb);
    let Some(planes) = canvas.planes_mut() else { return };
    for (n, ((out, stride), ink)) in planes.into_iter().zip([luma, u, v]).enumerate() {
        let half = usize::from(n > 0);
        for y in rect.y >> half..(rect.y + rect.h) >> half {
            out[y * stride + (rect.x >> half)..y * stride + ((rect.x + rect.w) >> half)].fill(ink);
        }
    }
}

/// How a page says the age of what is held.
pub(super) fn held(age: Duration) -> (u64, u64, u64) {
    let s = age.as_secs();
    (s / 3_600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::frame::FeedState;

    fn picture(rect: PixelRect, front: Vec<PixelRect>) -> Surfaced {
        Surfaced { feed: "field".into(), capture: CaptureTime(1), state: FeedState::Live, geometry: 0, rect, front }
    }

    #[test]
    fn insets_stand_at_the_right_edge_beside_what_lies_in_front_and_in_the_next_column_when_there_is_no_room() {
        let rect = PixelRect { x: 0, y: 44, w: 864, h: 486 };
        let alone = place(&picture(rect, vec![]), 0, 1_280);
        assert_eq!(alone, PixelRect { x: 594, y: 88, w: 258, h: 146 });
        let second = place(&picture(rect, vec![]), 1, 1_280);
        assert_eq!((second.x, second.y), (594, 278), "below");
        let front = PixelRect { x: 700, y: 50, w: 160, h: 90 };
        assert_eq!(place(&picture(rect, vec![front]), 0, 1_280).x, 430, "beside an inset of the program");
        let low = PixelRect { x: 600, y: 340, w: 264, h: 190 };
        let column = place(&picture(rect, vec![low]), 1, 1_280);
        assert!(column.x + column.w < 600 && column.y == 88, "{column:?}");
        let small = place(&picture(PixelRect { x: 0, y: 0, w: 64, h: 48 }, vec![]), 5, 640);
        assert!(small.w >= 18 && small.h >= 12, "{small:?}");
    }

    #[test]
    fn a_picture_is_coming_for_a_while_and_then_it_is_not_here() {
        let at = |after: Duration| CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + after);
        let mut insets = Insets::default();
        assert_eq!(insets.state("f-1", false, at(Duration::ZERO)), PictureState::Coming);
        assert_eq!(insets.state("f-1", false, at(COMING / 2)), PictureState::Coming);
        assert_eq!(insets.state("f-1", false, at(COMING)), PictureState::Missing);
        assert_eq!(insets.state("f-2", false, at(COMING)), PictureState::Coming, "each for itself");
        assert_eq!(insets.state("f-1", true, at(COMING * 9)), PictureState::There, "however late");
        assert_eq!(insets.state("f-3", false, CaptureTime::UNKNOWN), PictureState::Missing, "nobody knows for how long");
    }

    #[test]
    fn pinned_frames_are_few_small_and_gone_with_the_curtain() {
        gstreamer::init().expect("GStreamer is installed");
        let mut pinned = Pinned::default();
        let large = Arc::new(Picture::black(Geometry::new(1280, 720).expect("even")));
        for n in 0..40 {
            let feed = if n % 2 == 0 { "field" } else { "room" };
            let (id, feed, capture) = (format!("f-{n}"), feed.to_owned(), CaptureTime(n));
            pinned.handle(&StillJob { id, feed, capture, picture: large.clone(), shape: large.geometry(), run: false });
        }
        assert_eq!((pinned.frames.len(), pinned.of("f-0").is_some(), pinned.of("f-39").is_some()), (PINNED_MAX, false, true));
        assert_eq!(pinned.of("f-39").map(|p| p.geometry()), Geometry::new(640, 360));
        pinned.forget("room");
        assert!(pinned.frames.len() == PINNED_MAX / 2 && pinned.of("f-39").is_none());
    }
}
