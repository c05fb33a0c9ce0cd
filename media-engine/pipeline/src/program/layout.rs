//! Layouts as data: a named list of normalised rectangles, back to front, the main feed's first.

use std::time::Duration;

use annotation::id::FeedId;

use crate::feed::last_run;

/// A rectangle in parts of the program's width and height, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(from = "[f64; 4]")]
pub struct NormRect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl From<[f64; 4]> for NormRect {
    fn from([x, y, w, h]: [f64; 4]) -> Self {
        NormRect { x, y, w, h }
    }
}

/// A named arrangement. A rectangle goes to the first feed of the kind that it is for; what is left is taken in turn: the main feed
/// first, the others in the order of the configuration. A last run stands only where a rectangle is for it, and that is kept for it where
/// there is one.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub name: String,
    pub rects: Vec<NormRect>,
    /// For each rectangle the kind of feed that it is for; empty or missing: for whoever is next.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// Pixels of the program's picture, top left origin; every number is even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelRect {
    pub x: usize,
    pub y: usize,
    pub w: usize,
    pub h: usize,
}

/// Which picture goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub feed: FeedId,
    /// The feed's picture itself, without bars.
    pub picture: PixelRect,
}

/// One feed of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFeed {
    /// Index on the board.
    pub feed: usize,
    /// operative-field, fluoroscopy, vital-signs, ...
    pub kind: String,
    pub place: Place,
    pub period: Duration,
    /// Width and height as the source delivers.
    pub native: (u32, u32),
    /// May the main feed's frame wait for it?
    pub awaited: bool,
}

/// Who is where, from one revision to the next; the first is the main feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrangement {
    /// From 1 on; rises with every change.
    pub rev: u32,
    /// Name of the layout.
    pub layout: String,
    pub feeds: Vec<ProgramFeed>,
    /// Feeds without a place, which can be watched alone.
    pub aside: Vec<ProgramFeed>,
}

/// How long a main frame may wait for its companions: who gives guidance acts at once, a wall may be later for the sake of being whole.
const BOUND_GUIDANCE: Duration = Duration::from_millis(80);
const BOUND_WALL: Duration = Duration::from_millis(200);
const WALL: &str = "wall";

impl Arrangement {
    /// Bound of alignment where the configuration gives none.
    pub fn align_bound(&self) -> Duration {
        if self.layout == WALL { BOUND_WALL } else { BOUND_GUIDANCE }
    }

    /// All feeds, placed or not.
    pub fn all(&self) -> impl Iterator<Item = &ProgramFeed> {
        self.feeds.iter().chain(&self.aside)
    }

    /// The feed with this index on the board.
    pub fn find(&self, feed: usize) -> Option<&ProgramFeed> {
        self.all().find(|f| f.feed == feed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    #[error("layout {0:?} is not known; known are {names} and those of [[layout]]", names = BUILT_IN.join(", "))]
    Unknown(String),
    #[error("layout {name:?} has {rects} rectangles for {feeds} feeds")]
    TooFew { name: String, rects: usize, feeds: usize },
    #[error("rectangle {index} of layout {name:?} lies outside the program or is too small")]
    Outside { name: String, index: usize },
}

/// The layouts that come with the engine.
pub const BUILT_IN: [&str; 8] = ["field-large", "fluoroscopy-large", "biplane", "quad", "single", "wall", "full", "measuring"];

/// Not offered while the program runs: they leave no room for names and ages.
const MEASURING: [&str; 2] = ["full", "measuring"];

/// A layout that comes with the engine, in parts of 1280 x 720. But for the last two, 44 px are free above each picture: pages put
/// its name and age there.
pub fn built_in(name: &str) -> Option<Layout> {
    let px = |x: f64, y: f64, w: f64, h: f64| NormRect { x: x / 1280.0, y: y / 720.0, w: w / 1280.0, h: h / 720.0 };
    let strip = px(0.0, 574.0, 1280.0, 146.0);
    let (rects, kinds): (Vec<NormRect>, &[&str]) = match name {
        "field-large" => (vec![px(0.0, 44.0, 864.0, 486.0), px(864.0, 114.0, 416.0, 416.0), strip], &[]),
        "fluoroscopy-large" => (
            vec![px(0.0, 44.0, 530.0, 486.0), px(530.0, 44.0, 376.0, 486.0), px(906.0, 44.0, 374.0, 486.0), strip],
            &["fluoroscopy", "last-run", "operative-field", "vital-signs"],
        ),
        "biplane" => (
            vec![
                px(0.0, 44.0, 486.0, 486.0),
                px(486.0, 44.0, 486.0, 486.0),
                px(972.0, 44.0, 308.0, 174.0),
                px(972.0, 262.0, 308.0, 268.0),
                strip,
            ],
            &["fluoroscopy", "fluoroscopy", "operative-field", "last-run", "vital-signs"],
        ),
        "quad" => (
            vec![
                px(0.0, 44.0, 640.0, 316.0),
                px(640.0, 44.0, 640.0, 316.0),
                px(0.0, 404.0, 640.0, 316.0),
                px(640.0, 404.0, 640.0, 316.0),
            ],
            &["operative-field", "fluoroscopy", "last-run", "vital-signs"],
        ),
        "single" => (vec![px(40.0, 44.0, 1200.0, 676.0)], &[]),
        // One large, two beside it, five below.
        "wall" => {
            let below = |n: u32| px(256.0 * f64::from(n), 570.0, 256.0, 150.0);
            let beside = |y: f64| px(856.0, y, 424.0, 219.0);
            let rects = [px(0.0, 44.0, 856.0, 482.0), beside(44.0), beside(307.0)];
            (
                rects.into_iter().chain((0..5).map(below)).collect(),
                &["operative-field", "fluoroscopy", "vital-signs", "fluoroscopy", "last-run", "", "", ""],
            )
        }
        "full" => (vec![px(0.0, 0.0, 1280.0, 720.0)], &[]),
        // The main feed fills the program; insets and what is free above them stay clear of the time code at the top.
        "measuring" => (vec![px(0.0, 0.0, 1280.0, 720.0), px(1072.0, 512.0, 192.0, 192.0), px(424.0, 632.0, 624.0, 72.0)], &[]),
        _ => return None,
    };
    Some(Layout { name: name.to_owned(), rects, kinds: kinds.iter().map(|&k| k.to_owned()).collect() })
}

/// A built-in layout with a place for feeds of `kind`, 16:9, at the end of its last rectangle, which becomes as much shorter.
pub fn with_camera(name: &str, kind: &str) -> Option<Layout> {
    let mut layout = built_in(name)?;
    let strip = layout.rects.last_mut()?;
    // A rectangle's height is in parts of the program's: of 1280 x 720.
    let w = strip.h.min(strip.w / 2.0);
    strip.w -= w;
    let place = NormRect { x: strip.x + strip.w, w, ..*strip };
    layout.kinds.resize(layout.rects.len(), String::new());
    // Before the strip, which stays the last: it gives its end to feeds that come.
    let at = layout.rects.len() - 1;
    layout.rects.insert(at, place);
    layout.kinds.insert(at, kind.to_owned());
    Some(layout)
}

/// The layouts a program can be given while it runs: the configuration's own, then those that come with the engine.
pub fn offered(own: &[Layout]) -> Vec<Layout> {
    let further = BUILT_IN.iter().filter(|n| !MEASURING.contains(n)).filter_map(|name| built_in(name));
    let mut all = own.to_vec();
    all.extend(further.filter(|l| own.iter().all(|o| o.name != l.name)));
    all
}

impl Layout {
    fn kind(&self, rect: usize) -> &str {
        self.kinds.get(rect).map_or("", String::as_str)
    }

    /// Which rectangle each of `kinds` gets; kinds of feeds, the main one first. `n_own`: so many are configured; those after them
    /// were published and take a rectangle only of a layout that says whom its rectangles are for.
    pub fn assign(&self, kinds: &[&str], n_own: usize) -> Vec<Option<usize>> {
        let mut got: Vec<Option<usize>> = vec![None; kinds.len()];
        let mut taken = vec![false; self.rects.len()];
        for (rect, taken) in taken.iter_mut().enumerate().filter(|(r, _)| !self.kind(*r).is_empty()) {
            if let Some(n) = kinds.iter().enumerate().position(|(n, kind)| got[n].is_none() && *kind == self.kind(rect)) {
                (got[n], *taken) = (Some(rect), true);
            }
        }
        let named = !self.kinds.is_empty();
        let kept = kinds.contains(&last_run::KIND);
        for (rect, _) in taken.iter().enumerate().filter(|(r, t)| !(**t || kept && self.kind(*r) == last_run::KIND)) {
            let next = kinds.iter().enumerate();
            let mut next = next.filter(|(n, kind)| got[*n].is_none() && **kind != last_run::KIND && (named || *n < n_own));
            if let Some((n, _)) = next.next() {
                got[n] = Some(rect);
            }
        }
        got
    }

    /// These rectangles of the layout, and places for `further` feeds that came: the last of several rectangles gives up its end
    /// to them; over a picture that stands alone they lie at the bottom right. `size`: of the program, px.
    pub fn with_further(&self, used: &[usize], further: usize, (width, height): (usize, usize)) -> Layout {
        let mut rects: Vec<NormRect> = used.iter().filter_map(|&n| self.rects.get(n).copied()).collect();
        let aspect = width as f64 / height as f64;
        let (n, last) = (further as f64, rects.len().saturating_sub(1));
        match rects.get_mut(last) {
            Some(strip) if last > 0 && further > 0 => {
                // As wide as 16:9 is at this height, but the strip keeps half of itself.
                let w = (strip.h / aspect * 16.0 / 9.0).min(strip.w / 2.0 / n);
                strip.w -= w * n;
                let (x, y, h) = (strip.x + strip.w, strip.y, strip.h);
                rects.extend((0..further).map(|i| NormRect { x: x + w * i as f64, y, w, h }));
            }
            _ => {
                let (w, gap) = (0.25, 24.0 / width as f64);
                let y = 1.0 - w - 24.0 / height as f64;
                rects.extend((1..=further).map(|i| NormRect { x: 1.0 - (w + gap) * i as f64, y, w, h: w }));
            }
        }
        Layout { name: self.name.clone(), rects, kinds: Vec::new() }
    }

    /// Rectangle `index` in pixels, snapped to even numbers.
    pub fn pixels(&self, index: usize, (width, height): (usize, usize)) -> Result<PixelRect, LayoutError> {
        let outside = || LayoutError::Outside { name: self.name.clone(), index };
        let r = self.rects.get(index).ok_or_else(outside)?;
        let even = |v: f64| (v / 2.0).round() * 2.0;
        let (left, top) = (even(r.x * width as f64), even(r.y * height as f64));
        let (right, bottom) = (even((r.x + r.w) * width as f64), even((r.y + r.h) * height as f64));
        let inside = left >= 0.0 && top >= 0.0 && right <= width as f64 && bottom <= height as f64;
        if !inside || right - left < 16.0 || bottom - top < 16.0 {
            return Err(outside());
        }
        Ok(PixelRect { x: left as usize, y: top as usize, w: (right - left) as usize, h: (bottom - top) as usize })
    }
}

/// The largest picture of `aspect` (width, height) inside `rect`, centred, with bars beside or above it; the whole rectangle
/// for a picture that is drawn to measure (`None`).
pub fn letterbox(rect: PixelRect, aspect: Option<(usize, usize)>) -> PixelRect {
    let Some((aw, ah)) = aspect.filter(|&(w, h)| w > 0 && h > 0) else { return rect };
    let even = |v: usize| (v & !1).max(16);
    let (w, h) = if rect.w * ah <= rect.h * aw {
        (rect.w, even((rect.w * ah + aw / 2) / aw).min(rect.h))
    } else {
        (even((rect.h * aw + ah / 2) / ah).min(rect.w), rect.h)
    };
    PixelRect { x: rect.x + (((rect.w - w) / 2) & !1), y: rect.y + (((rect.h - h) / 2) & !1), w, h }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_large_lies_as_drawn_at_1280x720() {
        let layout = built_in("field-large").expect("built in");
        let rect = |i| layout.pixels(i, (1280, 720)).expect("inside");
        assert_eq!(letterbox(rect(0), Some((1280, 720))), PixelRect { x: 0, y: 44, w: 864, h: 486 });
        assert_eq!(letterbox(rect(1), Some((512, 512))), PixelRect { x: 864, y: 114, w: 416, h: 416 });
        assert_eq!(letterbox(rect(2), None), PixelRect { x: 0, y: 574, w: 1280, h: 146 });
    }

    #[test]
    fn a_strip_of_44_px_is_free_above_every_picture_and_none_covers_another() {
        for name in BUILT_IN.into_iter().filter(|n| !["full", "measuring"].contains(n)) {
            let layout = built_in(name).expect("built in");
            assert!(layout.kinds.is_empty() || layout.kinds.len() == layout.rects.len(), "{name}");
            let rects = (0..layout.rects.len()).map(|i| layout.pixels(i, (1280, 720)));
            let rects: Vec<PixelRect> = rects.collect::<Result<_, _>>().expect("inside");
            for (n, a) in rects.iter().enumerate() {
                assert!(a.y >= 44, "{name}");
                let with_strip = a.y - 44..a.y + a.h;
                let covers =
                    |b: &PixelRect| b.x < a.x + a.w && a.x < b.x + b.w && b.y < with_strip.end && with_strip.start < b.y + b.h;
                assert!(!rects.iter().enumerate().any(|(m, b)| m != n && covers(b)), "{name} {a:?}");
            }
        }
        assert_eq!(built_in("wall").map(|l| l.rects.len()), Some(8));
    }

    #[test]
    fn rectangles_go_to_the_kinds_they_are_for_and_the_rest_in_turn() {
        let assign = |name: &str, kinds: &[&str]| built_in(name).expect("built in").assign(kinds, kinds.len());
        let (field, xray, vitals, run) = ("operative-field", "fluoroscopy", "vital-signs", "last-run");
        assert_eq!(assign("field-large", &[field, xray, vitals, run]), [Some(0), Some(1), Some(2), None]);
        assert_eq!(assign("fluoroscopy-large", &[field, xray, vitals, run]), [Some(2), Some(0), Some(3), Some(1)]);
        assert_eq!(
            assign("biplane", &[field, xray, vitals, xray, run, run]),
            [Some(2), Some(0), Some(4), Some(1), Some(3), None]
        );
        assert_eq!(assign("quad", &[field, vitals, "ivus"]), [Some(0), Some(3), Some(1)], "whoever is next");
        assert_eq!(assign("single", &[field, xray]), [Some(0), None]);
        assert_eq!(assign("wall", &[field; 9]).iter().flatten().count(), 8);
        let mut with_run = [field; 9];
        with_run[8] = run;
        let got = assign("wall", &with_run);
        assert_eq!((got.iter().flatten().count(), got[8]), (8, Some(4)), "its place is kept for the last run");
        let strip = built_in("field-large").expect("built in");
        assert_eq!(strip.assign(&[field, xray, "camera"], 2), [Some(0), Some(1), None], "who came shares the strip");
    }

    #[test]
    fn insets_of_the_measuring_layout_stay_off_the_time_code() {
        let layout = built_in("measuring").expect("built in");
        for index in 1..3 {
            assert!(layout.pixels(index, (1280, 720)).expect("inside").y >= 96 + 24);
        }
    }

    #[test]
    fn a_picture_is_contained_never_cropped_or_stretched() {
        let rect = PixelRect { x: 100, y: 50, w: 400, h: 300 };
        for aspect in [(16, 9), (4, 3), (1, 1), (9, 16), (1920, 1080), (720, 576)] {
            let inner = letterbox(rect, Some(aspect));
            assert!(inner.x >= rect.x && inner.y >= rect.y);
            assert!(inner.x + inner.w <= rect.x + rect.w && inner.y + inner.h <= rect.y + rect.h);
            assert!([inner.x, inner.y, inner.w, inner.h].iter().all(|n| n % 2 == 0));
            let off = (inner.w as f64 / inner.h as f64) / (aspect.0 as f64 / aspect.1 as f64);
            assert!((off - 1.0).abs() < 0.02, "{aspect:?} became {inner:?}");
        }
    }

    #[test]
    fn a_rectangle_outside_the_program_is_an_error() {
        let rects = vec![[0.5, 0.0, 0.6, 1.0].into(), [0.0, 0.0, 0.001, 1.0].into()];
        let layout = Layout { name: "odd".into(), rects, kinds: Vec::new() };
        assert!(layout.pixels(0, (1280, 720)).is_err());
        assert!(layout.pixels(1, (1280, 720)).is_err());
        assert!(layout.pixels(2, (1280, 720)).is_err());
    }
}
