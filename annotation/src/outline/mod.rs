//! What a mark looks like, as numbers: the one geometry that every renderer draws (the pages' canvases, burn-in, review).
//! A stroke in, shapes out, back to front: black halo, then the author's colour, then what lies on it. Rules AN24–AN27.
//!
//! The texture names the author; gaps mean *unsure* and nothing else. Pixels are those of the glass the picture lies on.
//! The same code runs in the browser (`web-client/src/core/ink`); vectors: `vectors/outline.json`.

mod path;
mod texture;

pub use texture::{CONTRAST_HALO, HALO_RGB, Texture};

use self::path::{bend, ellipse, is_dot};
use self::texture::{Layers, Style};
use crate::measure;
use crate::points::{PICTURE_WIDTH, Point};
use crate::rebase::Similarity;
use crate::wire::{Reference, Tool};

/// A place on the glass, px.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Xy {
    pub x: f64,
    pub y: f64,
}

/// Where the picture lies on the glass, px.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Placement {
    /// A point of the feed on the glass: both axes in units of the picture's width.
    pub fn to_glass(&self, x: f64, y: f64) -> Xy {
        let unit = self.w / f64::from(PICTURE_WIDTH);
        Xy { x: self.x + x * unit, y: self.y + y * unit }
    }
}

/// Which of two inks: the black around, or the author's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Halo,
    Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    Round,
    Butt,
}

/// One thing to paint. Lines are stroked with round joins, never filled.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line {
        ink: Ink,
        width: f64,
        cap: Cap,
        closed: bool,
        points: Vec<Xy>,
    },
    Dot {
        ink: Ink,
        at: Xy,
        radius: f64,
    },
    /// Filled black, corners rounded by [`BOX_RADIUS`]: what letters stand on.
    Box {
        x: f64,
        y: f64,
        w: f64,
        h: f64,
    },
    /// Bold letters in the author's colour; `at`: left end of the base line.
    Letters {
        at: Xy,
        px: f64,
        text: String,
    },
}

pub const BOX_RADIUS: f64 = 4.0;
/// Thinnest line on any glass, px.
pub const LINE_PX_MIN: f64 = 3.0;
/// Thickest, px of a 1080p picture.
pub const LINE_PX_MAX: f64 = 6.0;
/// Size of a text mark, of its line width: 28 px with the usual 4 px line.
pub const TEXT_PER_WIDTH: f64 = 7.0;

/// A mark as it is to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark<'a> {
    pub tool: Tool,
    pub points: &'a [Point],
    /// Line width, 1/16384 of the picture's width.
    pub width: u32,
    pub texture: Texture,
    /// Where the tracker says that the ink lies in this frame.
    pub moved: Similarity,
    /// Drawn with gaps.
    pub unsure: bool,
    /// Of a text mark its text; of a measurement the words behind the number (*reference only*). Else empty.
    pub text: &'a str,
    pub reference: Option<Reference>,
}

/// How wide a text is in the font at hand, in em.
pub type Advance<'a> = &'a dyn Fn(&str) -> f64;

/// Line width on the glass: as drawn, at most [`LINE_PX_MAX`] of a 1080p picture, at least [`LINE_PX_MIN`]. `scale`: px of the
/// glass per pixel of a 1080p picture.
pub fn line_width(width: u32, placement: &Placement, scale: f64) -> f64 {
    (f64::from(width) / f64::from(PICTURE_WIDTH) * placement.w).min(LINE_PX_MAX * scale).max(LINE_PX_MIN)
}

/// The shapes of a mark, back to front. Nothing where the tool has not the points it needs.
pub fn shapes(mark: &Mark<'_>, placement: &Placement, scale: f64, advance: Advance<'_>) -> Vec<Shape> {
    let w = line_width(mark.width, placement, scale);
    let place = |x: f64, y: f64| {
        let (x, y) = mark.moved.apply(x, y);
        placement.to_glass(x, y)
    };
    let on_glass: Vec<Xy> = mark.points.iter().map(|p| place(f64::from(p.x), f64::from(p.y))).collect();
    let mut layers = Layers::new(Style { texture: mark.texture, w, unsure: mark.unsure });
    match (mark.tool, on_glass.as_slice()) {
        (_, []) => {}
        (Tool::Arrow, [tail, .., head]) => {
            layers.line(&[*tail, *head], false);
            if let Some(barbs) = barbs(*tail, *head, w) {
                layers.plain(&barbs, 1.0);
            }
        }
        (Tool::Ellipse, [_, .., _]) => {
            let (first, last) = (mark.points[0], mark.points[mark.points.len() - 1]);
            let ring: Vec<Xy> = ellipse(first, last).into_iter().map(|(x, y)| place(x, y)).collect();
            layers.line(&ring, true);
        }
        (Tool::Line, [from, .., to]) => layers.line(&[*from, *to], false),
        (Tool::Text, [at, ..]) => {
            let px = w * TEXT_PER_WIDTH;
            let corner = Xy { x: at.x - px * PAD_EM, y: at.y - px * RISE_EM };
            let (left, right, bottom) = letters(&mut layers, corner, px, mark.text, placement, advance);
            layers.line(&[Xy { x: left, y: bottom }, Xy { x: right, y: bottom }], false);
        }
        (Tool::Pin, [tip, ..]) => pin(&mut layers, *tip, w),
        (Tool::Measure, [from, .., to]) => {
            if let Some(r) = &mark.reference {
                let ends = [place(f64::from(r.x1), f64::from(r.y1)), place(f64::from(r.x2), f64::from(r.y2))];
                layers.plain(&ends, 0.6);
            }
            layers.line(&[*from, *to], false);
            for end in ends_across(*from, *to, w) {
                layers.plain(&end, 1.0);
            }
            let (first, last) = (mark.points[0], mark.points[mark.points.len() - 1]);
            if let Some(length) = mark.reference.as_ref().and_then(|r| measure::length(first, last, r)) {
                measured(&mut layers, *from, *to, w, &length.label(mark.text), placement, advance);
            }
        }
        (Tool::Pen | Tool::Unspecified, path) => layers.pen(&bend(path, mark.points)),
        _ => {}
    }
    layers.shapes()
}

/// The author's family name beside the start of a stroke: a black box and the letters in it. `px`: size of the letters.
pub fn label(start: Xy, text: &str, px: f64, placement: &Placement, advance: Advance<'_>) -> Vec<Shape> {
    let mut layers = Layers::new(Style { texture: Texture::A, w: 0.0, unsure: false });
    let corner = Xy { x: start.x + px * 0.6, y: start.y - px * (HEIGHT_EM + 0.3) };
    letters(&mut layers, corner, px, text, placement, advance);
    layers.shapes()
}

const PAD_EM: f64 = 0.35;
/// From the top of a box to its base line.
const RISE_EM: f64 = 1.05;
const HEIGHT_EM: f64 = 1.4;
/// A box of letters stays this far inside the picture, px.
const MARGIN: f64 = 2.0;

/// A box of letters whose upper left corner is `corner`, moved into the picture. Returns its left, right and bottom.
fn letters(layers: &mut Layers, corner: Xy, px: f64, text: &str, placement: &Placement, advance: Advance<'_>) -> (f64, f64, f64) {
    let (w, h) = (px * (advance(text) + 2.0 * PAD_EM), px * HEIGHT_EM);
    let inside = |v: f64, from: f64, size: f64, own: f64| v.min(from + size - own - MARGIN).max(from + MARGIN);
    let x = inside(corner.x, placement.x, placement.w, w);
    let y = inside(corner.y, placement.y, placement.h, h);
    layers.boxed(Shape::Box { x, y, w, h });
    layers.letters(Shape::Letters { at: Xy { x: x + px * PAD_EM, y: y + px * RISE_EM }, px, text: text.to_owned() });
    (x, x + w, y + h)
}

/// An open head: two barbs of 6 line widths (at most 0.4 of the shaft), 30° to it.
fn barbs(tail: Xy, head: Xy, w: f64) -> Option<[Xy; 3]> {
    if is_dot(&[tail, head]) {
        return None;
    }
    let (dx, dy) = (head.x - tail.x, head.y - tail.y);
    let length = dx.hypot(dy);
    let barb = (6.0 * w).min(0.4 * length) / length;
    let (along, across) = (barb * 0.75f64.sqrt(), barb * 0.5);
    let end = |side: f64| Xy { x: head.x - along * dx - side * across * dy, y: head.y - along * dy + side * across * dx };
    Some([end(1.0), head, end(-1.0)])
}

/// Bars across both ends of a measured line: 3 line widths either way.
fn ends_across(from: Xy, to: Xy, w: f64) -> Vec<[Xy; 2]> {
    if is_dot(&[from, to]) {
        return Vec::new();
    }
    let length = (to.x - from.x).hypot(to.y - from.y);
    let (nx, ny) = (-(to.y - from.y) / length * 3.0 * w, (to.x - from.x) / length * 3.0 * w);
    [from, to].map(|p| [Xy { x: p.x + nx, y: p.y + ny }, Xy { x: p.x - nx, y: p.y - ny }]).to_vec()
}

/// A stem of 6 line widths from the tip up, and on it a ring with a dot.
fn pin(layers: &mut Layers, tip: Xy, w: f64) {
    let (radius, centre) = (4.0 * w, Xy { x: tip.x, y: tip.y - 10.0 * w });
    layers.plain(&[tip, Xy { x: tip.x, y: tip.y - 6.0 * w }], 1.0);
    let ring = |k: i32| {
        let (sin, cos) = (f64::from(k) * std::f64::consts::TAU / 24.0).sin_cos();
        Xy { x: centre.x + radius * cos, y: centre.y + radius * sin }
    };
    layers.line(&(0..24).map(ring).collect::<Vec<_>>(), true);
    layers.dot(centre, 1.2 * w);
}

/// The length beside the middle of the line, on its upper side.
fn measured(layers: &mut Layers, from: Xy, to: Xy, w: f64, text: &str, placement: &Placement, advance: Advance<'_>) {
    let px = w * TEXT_PER_WIDTH;
    let half = px * (advance(text) + 2.0 * PAD_EM) / 2.0;
    let middle = Xy { x: f64::midpoint(from.x, to.x), y: f64::midpoint(from.y, to.y) };
    let corner = Xy { x: middle.x - half, y: middle.y - px * (HEIGHT_EM + 0.6) };
    letters(layers, corner, px, text, placement, advance);
}
