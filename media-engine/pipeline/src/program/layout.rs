//! Layouts as data: a named list of normalised rectangles, back to front, the main feed's first.

use std::time::Duration;

use annotation::id::FeedId;

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

/// A named arrangement. The main feed takes the first rectangle, the others follow in the order of the configuration.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub name: String,
    pub rects: Vec<NormRect>,
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
    pub feeds: Vec<ProgramFeed>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    #[error("layout {0:?} is not known; known are field-large, full, measuring and those of [[layout]]")]
    Unknown(String),
    #[error("layout {name:?} has {rects} rectangles for {feeds} feeds")]
    TooFew { name: String, rects: usize, feeds: usize },
    #[error("rectangle {index} of layout {name:?} lies outside the program or is too small")]
    Outside { name: String, index: usize },
}

/// The layouts that come with the engine, in parts of 1280 x 720.
pub fn built_in(name: &str) -> Option<Layout> {
    let px = |x: f64, y: f64, w: f64, h: f64| NormRect { x: x / 1280.0, y: y / 720.0, w: w / 1280.0, h: h / 720.0 };
    let rects = match name {
        // 44 px are free above each picture: pages put its name and age there.
        "field-large" => {
            vec![px(0.0, 44.0, 864.0, 486.0), px(864.0, 114.0, 416.0, 416.0), px(0.0, 574.0, 1280.0, 146.0)]
        }
        "full" => vec![px(0.0, 0.0, 1280.0, 720.0)],
        // The main feed fills the program; insets and what is free above them stay clear of the time code at the top.
        "measuring" => {
            vec![px(0.0, 0.0, 1280.0, 720.0), px(1072.0, 512.0, 192.0, 192.0), px(424.0, 632.0, 624.0, 72.0)]
        }
        _ => return None,
    };
    Some(Layout { name: name.to_owned(), rects })
}

impl Layout {
    /// This layout for `own` feeds and `further` ones that came: the last of several rectangles gives up its end to them; over a
    /// picture that stands alone they lie at the bottom right. `size`: of the program, px.
    pub fn with_further(&self, own: usize, further: usize, (width, height): (usize, usize)) -> Layout {
        let mut rects: Vec<NormRect> = self.rects.iter().take(own).copied().collect();
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
        Layout { name: self.name.clone(), rects }
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
    fn a_strip_of_44_px_is_free_above_every_picture_of_field_large() {
        let layout = built_in("field-large").expect("built in");
        let rects: Vec<PixelRect> = (0..3).map(|i| layout.pixels(i, (1280, 720)).expect("inside")).collect();
        for a in &rects {
            assert!(a.y >= 44);
            let strip = a.y - 44..a.y;
            let covers = |b: &PixelRect| b.x < a.x + a.w && a.x < b.x + b.w && b.y < strip.end && strip.start < b.y + b.h;
            assert!(!rects.iter().any(covers), "{a:?}");
        }
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
        let layout = Layout { name: "odd".into(), rects: vec![[0.5, 0.0, 0.6, 1.0].into(), [0.0, 0.0, 0.001, 1.0].into()] };
        assert!(layout.pixels(0, (1280, 720)).is_err());
        assert!(layout.pixels(1, (1280, 720)).is_err());
        assert!(layout.pixels(2, (1280, 720)).is_err());
    }
}
