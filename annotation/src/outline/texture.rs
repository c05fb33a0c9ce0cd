//! The four textures that name authors, and the layers of a mark. Gaps are for *unsure* alone: beads and ticks stand on an
//! unbroken line.

use super::path::{Run, along, is_dot, length, stretch};
use super::{Cap, Ink, LINE_PX_MIN, Shape, Xy};

/// A single cyan (the lead), B hollow yellow, C beaded white, D ticked green.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texture {
    A,
    B,
    C,
    D,
}

/// Black: it stands against bright tissue and bright X-ray, where no hue does.
pub const HALO_RGB: [u8; 3] = [0, 0, 0];
/// Least contrast of every colour to its halo (WCAG 2).
pub const CONTRAST_HALO: f64 = 12.0;

impl Texture {
    pub const ALL: [Texture; 4] = [Texture::A, Texture::B, Texture::C, Texture::D];

    /// Colour of the author's line.
    pub const fn rgb(self) -> [u8; 3] {
        match self {
            Texture::A => [0x3D, 0xE8, 0xFF],
            Texture::B => [0xFF, 0xE2, 0x4A],
            Texture::C => [0xFF, 0xFF, 0xFF],
            Texture::D => [0xA6, 0xF5, 0x8C],
        }
    }

    /// Widths of halo and line, of the nominal width.
    const fn widths(self) -> (f64, f64) {
        match self {
            Texture::A => (2.1, 1.0),
            Texture::B => (3.0, 1.9),
            Texture::C | Texture::D => (2.6, 0.8),
        }
    }

    /// Distance of beads, of ticks, and of gaps while unsure, of the nominal width.
    const fn period(self) -> f64 {
        match self {
            Texture::A | Texture::B => 8.0,
            Texture::C => 6.0,
            Texture::D => 6.7,
        }
    }
}

/// Share of a period that is drawn while unsure; beads and ticks stand in its middle.
const DRAWN: f64 = 0.6;
/// The black line in the middle of a hollow one, of the nominal width.
const CORE: f64 = 0.75;

#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) texture: Texture,
    /// Nominal width, px.
    pub(super) w: f64,
    pub(super) unsure: bool,
}

/// Collects shapes so that all halos lie under all lines, however many parts a mark has.
#[derive(Debug)]
pub(super) struct Layers {
    style: Style,
    boxes: Vec<Shape>,
    halo: Vec<Shape>,
    line: Vec<Shape>,
    core: Vec<Shape>,
    letters: Vec<Shape>,
}

impl Layers {
    pub(super) fn new(style: Style) -> Self {
        Layers { style, boxes: vec![], halo: vec![], line: vec![], core: vec![], letters: vec![] }
    }

    pub(super) fn shapes(self) -> Vec<Shape> {
        [self.boxes, self.halo, self.line, self.core, self.letters].into_iter().flatten().collect()
    }

    pub(super) fn boxed(&mut self, shape: Shape) {
        self.boxes.push(shape);
    }

    pub(super) fn letters(&mut self, shape: Shape) {
        self.letters.push(shape);
    }

    /// A dot in the author's colour with its halo.
    pub(super) fn dot(&mut self, at: Xy, radius: f64) {
        let around = self.style.w * 0.55;
        self.halo.push(Shape::Dot { ink: Ink::Halo, at, radius: radius + around });
        self.line.push(Shape::Dot { ink: Ink::Line, at, radius });
    }

    /// A line without beads or ticks: barbs, ends, stems. `share`: of the nominal width. Never with gaps: it is short.
    pub(super) fn plain(&mut self, path: &[Xy], share: f64) {
        let (halo, line) = self.style.texture.widths();
        let w = self.style.w * share;
        self.halo.push(stroke(Ink::Halo, w * halo, path, false, Cap::Round));
        self.line.push(stroke(Ink::Line, w * line, path, false, Cap::Round));
        if self.style.texture == Texture::B {
            self.core.push(stroke(Ink::Halo, w * CORE, path, false, Cap::Round));
        }
    }

    /// A line in the author's texture; `closed`: back to its first point.
    pub(super) fn line(&mut self, path: &[Xy], closed: bool) {
        let mut whole = path.to_vec();
        if closed {
            whole.extend(path.first());
        }
        if self.style.unsure && !is_dot(&whole) {
            self.with_gaps(&whole);
        } else {
            self.unbroken(path, closed, self.style.w);
        }
        self.marks(&whole);
    }

    /// A pen's path in the author's texture, its width following the pressure.
    pub(super) fn pen(&mut self, runs: &[Run]) {
        let mut whole: Vec<Xy> = Vec::new();
        for run in runs {
            // A run begins where the one before it ended.
            whole.extend(&run.points[usize::from(!whole.is_empty())..]);
        }
        if self.style.unsure && !is_dot(&whole) {
            self.with_gaps(&whole);
        } else {
            for run in runs {
                let w = (self.style.w * f64::from(run.eighths) / 8.0).max(LINE_PX_MIN);
                self.unbroken(&run.points, false, w);
            }
        }
        self.marks(&whole);
    }

    fn unbroken(&mut self, path: &[Xy], closed: bool, w: f64) {
        let (halo, line) = self.style.texture.widths();
        self.halo.push(stroke(Ink::Halo, w * halo, path, closed, Cap::Round));
        self.line.push(stroke(Ink::Line, w * line, path, closed, Cap::Round));
        if self.style.texture == Texture::B {
            self.core.push(stroke(Ink::Halo, w * CORE, path, closed, Cap::Round));
        }
    }

    /// Drawn 0.6 of each period. The halo goes round the ends of each piece.
    fn with_gaps(&mut self, path: &[Xy]) {
        let Style { texture, w, .. } = self.style;
        let (halo, line) = texture.widths();
        let (total, period) = (length(path), texture.period() * w);
        let around = (halo - line) * w / 2.0;
        let mut from = 0.0;
        while from < total {
            let to = (from + DRAWN * period).min(total);
            let piece = stretch(path, (from - around).max(0.0), (to + around).min(total));
            self.halo.push(stroke(Ink::Halo, w * halo, &piece, false, Cap::Butt));
            let piece = stretch(path, from, to);
            self.line.push(stroke(Ink::Line, w * line, &piece, false, Cap::Butt));
            if texture == Texture::B {
                self.core.push(stroke(Ink::Halo, w * CORE, &piece, false, Cap::Butt));
            }
            from += period;
        }
    }

    /// Beads and ticks: the first in the middle of what is drawn while unsure, so that they stay where they are.
    fn marks(&mut self, path: &[Xy]) {
        let Style { texture, w, .. } = self.style;
        if !matches!(texture, Texture::C | Texture::D) {
            return;
        }
        let (total, period) = (length(path), texture.period() * w);
        // On a line too short for one, it stands in the middle.
        let mut s = (DRAWN / 2.0 * period).min(total / 2.0);
        while s <= total {
            let Some((at, direction)) = along(path, s).or(path.first().map(|p| (*p, Xy { x: 1.0, y: 0.0 }))) else { return };
            if texture == Texture::C {
                self.halo.push(Shape::Dot { ink: Ink::Halo, at, radius: 1.6 * w });
                self.line.push(Shape::Dot { ink: Ink::Line, at, radius: 1.1 * w });
            } else {
                let across = |half: f64| {
                    let (nx, ny) = (-direction.y * half * w, direction.x * half * w);
                    [Xy { x: at.x + nx, y: at.y + ny }, Xy { x: at.x - nx, y: at.y - ny }]
                };
                self.halo.push(stroke(Ink::Halo, 1.7 * w, &across(2.0), false, Cap::Butt));
                self.line.push(stroke(Ink::Line, 0.8 * w, &across(1.5), false, Cap::Butt));
            }
            s += period;
        }
    }
}

/// A line, or where it has no length the dot that a round cap would make.
fn stroke(ink: Ink, width: f64, path: &[Xy], closed: bool, cap: Cap) -> Shape {
    match path.first() {
        Some(at) if is_dot(path) => Shape::Dot { ink, at: *at, radius: width / 2.0 },
        _ => Shape::Line { ink, width, cap, closed, points: path.to_vec() },
    }
}
