//! Ink and words as tiles: painted once, laid over the I420 picture as often as it is the same. A tile costs its own pixels, not the picture's.

use annotation::outline::{Cap, Ink, Mark as Outlined, Placement, Shape, Texture, Xy, label, shapes};
use annotation::render::{Letters as RenderLetters, Overlay};

use super::letters::Letters;
use super::view::{Mark, Ring};
use super::words::Words;
use crate::picture::{Geometry, Picture};
use crate::program::layout::PixelRect;

/// Largest side of a tile, px: of a 4K picture.
const SIDE_MAX: f64 = 4_096.0;
/// Size of a family name, px of a 1080p picture.
const NAME_PX: f64 = 24.0;
/// Radius of a pointer's ring, px of a picture 1280 wide.
const RING_PX: f64 = 7.0;

/// A piece of picture to lay over another: I420, premultiplied, its corner and sides even.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tile {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
    luma: Vec<u8>,
    alpha: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    /// Of the chroma planes.
    half: Vec<u8>,
}

impl Tile {
    /// `overlay`: RGBA premultiplied, its first pixel at `x`, `y`; what is outside `rect` or within one of `front` is left out.
    fn of(overlay: &Overlay, (x, y): (usize, usize), rect: PixelRect, front: &[PixelRect]) -> Tile {
        let (w, h) = (overlay.width() as usize, overlay.height() as usize);
        let mut tile = Tile { x, y, w, h, ..Tile::default() };
        tile.luma = vec![0; w * h];
        tile.alpha = vec![0; w * h];
        let (cw, ch) = (w / 2, h / 2);
        let mut sums = vec![[0i32; 3]; cw * ch];
        let rgba = overlay.rgba();
        let inside = |r: &PixelRect, px: usize, py: usize| (r.x..r.x + r.w).contains(&px) && (r.y..r.y + r.h).contains(&py);
        for row in 0..h {
            for col in 0..w {
                let Some(&[r, g, b, a]) = rgba.get((row * w + col) * 4..).and_then(|p| p.first_chunk::<4>()) else { continue };
                let (px, py) = (x + col, y + row);
                if a == 0 || !inside(&rect, px, py) || front.iter().any(|f| inside(f, px, py)) {
                    continue;
                }
                let (r, g, b, a) = (i32::from(r), i32::from(g), i32::from(b), i32::from(a));
                // BT.709, limited range, as `picture::rgb_to_yuv`; what is added to colours is multiplied by alpha as they are.
                let at = row * w + col;
                tile.luma[at] = ((11_966 * r + 40_254 * g + 4_064 * b + 16 * a * 257 + 32_768) >> 16).clamp(0, 255) as u8;
                tile.alpha[at] = a as u8;
                let sum = &mut sums[(row / 2) * cw + col / 2];
                sum[0] += (-6_596 * r - 22_189 * g + 28_784 * b + 128 * a * 257 + 32_768) >> 16;
                sum[1] += (28_784 * r - 26_145 * g - 2_639 * b + 128 * a * 257 + 32_768) >> 16;
                sum[2] += a;
            }
        }
        let quarter = |n: usize| sums.iter().map(|s| ((s[n] + 2) / 4).clamp(0, 255) as u8).collect();
        (tile.u, tile.v, tile.half) = (quarter(0), quarter(1), quarter(2));
        tile
    }

    /// All of a small picture, its first pixel at `x`, `y`, which are even.
    pub fn opaque(picture: &Picture, (x, y): (usize, usize)) -> Option<Tile> {
        let Geometry { width: w, height: h } = picture.geometry();
        let rows = |n: usize, w: usize, h: usize| {
            let plane = picture.plane(n);
            let row = |y: usize| plane.data.get(y * plane.stride..y * plane.stride + w);
            (0..h).map(row).collect::<Option<Vec<&[u8]>>>().map(|rows| rows.concat())
        };
        let (luma, u, v) = (rows(0, w, h)?, rows(1, w / 2, h / 2)?, rows(2, w / 2, h / 2)?);
        Some(Tile { x, y, w, h, luma, alpha: vec![255; w * h], u, v, half: vec![255; w / 2 * (h / 2)] })
    }

    /// Over `canvas`, which is ours to write.
    pub fn lay_over(&self, canvas: &mut Picture) {
        let size = canvas.geometry();
        let Some([(luma, ls), (u, cs), (v, _)]) = canvas.planes_mut() else { return };
        let (w, h) = (self.w.min(size.width.saturating_sub(self.x)), self.h.min(size.height.saturating_sub(self.y)));
        for row in 0..h {
            let from = row * self.w;
            let to = (self.y + row) * ls + self.x;
            blend(&mut luma[to..to + w], &self.luma[from..from + w], &self.alpha[from..from + w]);
        }
        let (cw, half) = (w / 2, self.w / 2);
        for row in 0..h / 2 {
            let from = row * half;
            let to = (self.y / 2 + row) * cs + self.x / 2;
            let alpha = &self.half[from..from + cw];
            blend(&mut u[to..to + cw], &self.u[from..from + cw], alpha);
            blend(&mut v[to..to + cw], &self.v[from..from + cw], alpha);
        }
    }
}

fn blend(under: &mut [u8], over: &[u8], alpha: &[u8]) {
    for ((under, over), alpha) in under.iter_mut().zip(over).zip(alpha) {
        if *alpha > 0 {
            let rest = u32::from(*under) * (255 - u32::from(*alpha));
            *under = (u32::from(*over) + (rest + 127) / 255).min(255) as u8;
        }
    }
}

/// A mark as a tile; `None` where nothing of it lies on its picture. `wide`: of the composed picture, px.
pub fn mark(mark: &Mark, wide: usize, letters: &Letters, words: Words) -> Option<Tile> {
    let look = &mark.look;
    let r = look.rect;
    let box_of = Placement { x: r.x as f64, y: r.y as f64, w: r.w as f64, h: r.h as f64 };
    let scale = wide as f64 / 1_920.0;
    let text = if mark.reference.is_some() { words.reference_only() } else { &look.text };
    let outlined = Outlined {
        tool: mark.tool,
        points: &mark.points,
        width: mark.width,
        texture: look.texture,
        moved: mark.moved,
        unsure: look.unsure,
        text,
        reference: mark.reference,
    };
    let advance = |text: &str| letters.advance(text);
    let mut all = shapes(&outlined, &box_of, scale, &advance);
    let name = words.name(&look.name.0, &look.name.1);
    if let Some(first) = mark.points.first().filter(|_| !name.is_empty() && letters.has(name)) {
        let (x, y) = mark.moved.apply(f64::from(first.x), f64::from(first.y));
        all.extend(label(box_of.to_glass(x, y), name, NAME_PX * scale, &box_of, &advance));
    }
    tile(all, look.texture, f64::from(look.opacity) / 64.0, r, &look.front, letters)
}

/// Where somebody points: a ring of 14 px with halo, and the name.
pub fn ring(ring: &Ring, wide: usize, letters: &Letters, words: Words) -> Option<Tile> {
    let r = ring.rect;
    let box_of = Placement { x: r.x as f64, y: r.y as f64, w: r.w as f64, h: r.h as f64 };
    let at = box_of.to_glass(f64::from(ring.at.0), f64::from(ring.at.1));
    let unit = (wide as f64 / 1_280.0).max(0.5);
    let round = |n: u32| {
        let (sin, cos) = (f64::from(n) * std::f64::consts::TAU / 48.0).sin_cos();
        Xy { x: at.x + RING_PX * unit * cos, y: at.y + RING_PX * unit * sin }
    };
    let points: Vec<Xy> = (0..48).map(round).collect();
    let line = |ink, width: f64| Shape::Line { ink, width: width * unit, cap: Cap::Butt, closed: true, points: points.clone() };
    let mut all = vec![line(Ink::Halo, 6.0), line(Ink::Line, 3.0)];
    let name = words.name(&ring.name.0, &ring.name.1);
    if !name.is_empty() && letters.has(name) {
        let start = Xy { x: at.x + RING_PX * unit, y: at.y };
        let advance = |text: &str| letters.advance(text);
        all.extend(label(start, name, NAME_PX * wide as f64 / 1_920.0, &box_of, &advance));
    }
    tile(all, ring.texture, 1.0, r, &ring.front, letters)
}

/// Words on black, their left upper corner at `at`.
pub fn words(text: &str, at: (usize, usize), px: f64, within: PixelRect, letters: &Letters) -> Option<Tile> {
    let base = Xy { x: at.0 as f64, y: at.1 as f64 + px * 0.88 };
    let shape = Shape::Letters { at: base, px, text: text.to_owned() };
    let bounds = Some((base.x - 2.0, base.y - px, base.x + letters.advance(text) * px + 2.0, base.y + px * 0.3));
    painted(vec![shape], bounds?, Texture::C, 1.0, within, &[], letters)
}

fn tile(
    all: Vec<Shape>,
    texture: Texture,
    opacity: f64,
    rect: PixelRect,
    front: &[PixelRect],
    letters: &Letters,
) -> Option<Tile> {
    let bounds = extent(&all)?;
    painted(all, bounds, texture, opacity, rect, front, letters)
}

fn painted(
    mut all: Vec<Shape>,
    (x1, y1, x2, y2): (f64, f64, f64, f64),
    texture: Texture,
    opacity: f64,
    rect: PixelRect,
    front: &[PixelRect],
    letters: &Letters,
) -> Option<Tile> {
    let (left, top) = (x1.max(rect.x as f64), y1.max(rect.y as f64));
    let (right, bottom) = (x2.min((rect.x + rect.w) as f64), y2.min((rect.y + rect.h) as f64));
    // A number that is none, or a mark that lies beside its picture.
    if !(right > left && bottom > top && right - left < SIDE_MAX && bottom - top < SIDE_MAX) {
        return None;
    }
    let (x, y) = (left.floor() as usize & !1, top.floor() as usize & !1);
    let even = |from: usize, to: f64| ((to.ceil() as usize - from) + 1) & !1;
    let (w, h) = (even(x, right), even(y, bottom));
    shift(&mut all, x as f64, y as f64);
    let mut overlay = Overlay::new(w as u32, h as u32)?;
    let curves = |text: &str, px: f64, at: Xy| letters.edges(text, px, at);
    let curves: RenderLetters<'_> = &curves;
    overlay.paint(&all, texture, opacity, curves);
    Some(Tile::of(&overlay, (x, y), rect, front))
}

/// Of what is painted; letters stand in their box.
fn extent(all: &[Shape]) -> Option<(f64, f64, f64, f64)> {
    let mut reach: Option<(f64, f64, f64, f64)> = None;
    let mut add = |x: f64, y: f64, r: f64| {
        let (x1, y1, x2, y2) = reach.unwrap_or((f64::MAX, f64::MAX, f64::MIN, f64::MIN));
        reach = Some((x1.min(x - r), y1.min(y - r), x2.max(x + r), y2.max(y + r)));
    };
    for shape in all {
        match shape {
            Shape::Line { width, points, .. } => points.iter().for_each(|p| add(p.x, p.y, width / 2.0 + 1.0)),
            Shape::Dot { at, radius, .. } => add(at.x, at.y, radius + 1.0),
            Shape::Box { x, y, w, h } => {
                add(*x, *y, 1.0);
                add(x + w, y + h, 1.0);
            }
            Shape::Letters { .. } => {}
        }
    }
    reach
}

fn shift(all: &mut [Shape], x: f64, y: f64) {
    let by = |p: &mut Xy| {
        p.x -= x;
        p.y -= y;
    };
    for shape in all {
        match shape {
            Shape::Line { points, .. } => points.iter_mut().for_each(by),
            Shape::Dot { at, .. } | Shape::Letters { at, .. } => by(at),
            Shape::Box { x: left, y: top, .. } => {
                *left -= x;
                *top -= y;
            }
        }
    }
}

/// Darkens `rect` to a fifth: what words stand on.
pub fn shade(canvas: &mut Picture, rect: PixelRect) {
    let size = canvas.geometry();
    let Some(planes) = canvas.planes_mut() else { return };
    for (n, (out, stride)) in planes.into_iter().enumerate() {
        let half = usize::from(n > 0);
        let black: i32 = if n == 0 { 16 } else { 128 };
        let (right, bottom) = ((rect.x + rect.w).min(size.width) >> half, (rect.y + rect.h).min(size.height) >> half);
        for y in rect.y >> half..bottom {
            for p in out.get_mut(y * stride + (rect.x >> half)..y * stride + right).unwrap_or_default() {
                *p = (black + (i32::from(*p) - black) / 5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_lies_in_its_rectangle_alone_and_has_the_colours_of_its_ink() {
        let rect = PixelRect { x: 20, y: 20, w: 80, h: 60 };
        let front = [PixelRect { x: 60, y: 20, w: 40, h: 60 }];
        let line = Shape::Line {
            ink: annotation::outline::Ink::Line,
            width: 12.0,
            cap: annotation::outline::Cap::Butt,
            closed: false,
            points: vec![Xy { x: 0.0, y: 50.0 }, Xy { x: 120.0, y: 50.0 }],
        };
        let letters = Letters::new(None);
        let tile = tile(vec![line], Texture::C, 1.0, rect, &front, &letters).expect("it lies there");
        let mut canvas = Picture::black(Geometry::new(120, 100).expect("even"));
        tile.lay_over(&mut canvas);
        let (luma, u) = (canvas.plane(0), canvas.plane(1));
        for y in 0..100 {
            for x in 0..120 {
                let on = (20..60).contains(&x) && (44..56).contains(&y);
                let want = if on { 235 } else { 16 };
                assert!(luma.data[y * luma.stride + x].abs_diff(want) <= 1, "{x} {y}: {}", luma.data[y * luma.stride + x]);
            }
        }
        assert!(u.data[25 * u.stride + 20].abs_diff(128) <= 1, "white has no colour");
        assert!(self::tile(vec![], Texture::A, 1.0, rect, &[], &letters).is_none());
    }

    #[test]
    fn half_seen_ink_is_half_there() {
        let rect = PixelRect { x: 0, y: 0, w: 64, h: 64 };
        let dot = |opacity| {
            let shape = Shape::Dot { ink: annotation::outline::Ink::Line, at: Xy { x: 32.0, y: 32.0 }, radius: 20.0 };
            let tile = tile(vec![shape], Texture::C, opacity, rect, &[], &Letters::new(None)).expect("there");
            let mut canvas = Picture::black(Geometry::new(64, 64).expect("even"));
            tile.lay_over(&mut canvas);
            canvas.plane(0).data[32 * 64 + 32]
        };
        assert!(dot(1.0) >= 234 && dot(0.5).abs_diff(126) <= 2, "{} {}", dot(1.0), dot(0.5));
    }
}
