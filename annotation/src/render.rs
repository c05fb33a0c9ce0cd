//! Paints outlines: ink burnt into a picture, key pictures, review. What it paints is [`crate::outline`]'s, so it agrees with the
//! pages. Knows no font: letters come as curves from whoever has one.

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke, Transform};

use crate::outline::{BOX_RADIUS, Cap, HALO_RGB, Ink, Shape, Texture, Xy};

/// A piece of a letter's edge, px on the glass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edge {
    Move(Xy),
    Line(Xy),
    Quad(Xy, Xy),
    Cubic(Xy, Xy, Xy),
    Close,
}

/// The edges of a text of `px`, its base line beginning at a place. A renderer without a font returns nothing, and only the box
/// stands there.
pub type Letters<'a> = &'a dyn Fn(&str, f64, Xy) -> Vec<Edge>;

/// A transparent picture to lay over another: RGBA, 8 bit, premultiplied, rows from the top.
#[derive(Debug)]
pub struct Overlay {
    pixels: Pixmap,
}

impl Overlay {
    /// `None` for a picture of no size, or beyond 2³¹ bytes.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        Pixmap::new(width, height).map(|pixels| Overlay { pixels })
    }

    pub fn clear(&mut self) {
        self.pixels.fill(Color::TRANSPARENT);
    }

    pub fn rgba(&self) -> &[u8] {
        self.pixels.data()
    }

    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// Paints one mark over what is there. `opacity`: of a fading mark, of all of it as one.
    pub fn paint(&mut self, shapes: &[Shape], texture: Texture, opacity: f64, letters: Letters<'_>) {
        if opacity >= 1.0 {
            paint(&mut self.pixels, shapes, texture, letters);
        } else if opacity > 0.0
            && let Some(mut alone) = Pixmap::new(self.width(), self.height())
        {
            paint(&mut alone, shapes, texture, letters);
            let how = PixmapPaint { opacity: opacity as f32, ..Default::default() };
            self.pixels.draw_pixmap(0, 0, alone.as_ref(), &how, Transform::identity(), None);
        }
    }
}

fn paint(onto: &mut Pixmap, shapes: &[Shape], texture: Texture, letters: Letters<'_>) {
    for shape in shapes {
        match shape {
            Shape::Line { ink, width, cap, closed, points } => {
                let Some(path) = line(points, *closed) else { continue };
                let cap = if *cap == Cap::Round { LineCap::Round } else { LineCap::Butt };
                let stroke = Stroke { width: *width as f32, line_cap: cap, line_join: LineJoin::Round, ..Default::default() };
                onto.stroke_path(&path, &colour(*ink, texture), &stroke, Transform::identity(), None);
            }
            Shape::Dot { ink, at, radius } => {
                if let Some(path) = PathBuilder::from_circle(at.x as f32, at.y as f32, *radius as f32) {
                    fill(onto, &path, &colour(*ink, texture));
                }
            }
            Shape::Box { x, y, w, h } => {
                if let Some(path) = rounded(*x as f32, *y as f32, *w as f32, *h as f32) {
                    fill(onto, &path, &colour(Ink::Halo, texture));
                }
            }
            Shape::Letters { at, px, text } => {
                if let Some(path) = edges(&letters(text, *px, *at)) {
                    fill(onto, &path, &colour(Ink::Line, texture));
                }
            }
        }
    }
}

fn fill(onto: &mut Pixmap, path: &Path, paint: &Paint<'_>) {
    onto.fill_path(path, paint, FillRule::Winding, Transform::identity(), None);
}

fn colour(ink: Ink, texture: Texture) -> Paint<'static> {
    let [r, g, b] = if ink == Ink::Halo { HALO_RGB } else { texture.rgb() };
    let mut paint = Paint { anti_alias: true, ..Default::default() };
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

fn line(points: &[Xy], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, p) in points.iter().enumerate() {
        if i == 0 { path.move_to(p.x as f32, p.y as f32) } else { path.line_to(p.x as f32, p.y as f32) }
    }
    if closed {
        path.close();
    }
    path.finish()
}

fn rounded(x: f32, y: f32, w: f32, h: f32) -> Option<Path> {
    Rect::from_xywh(x, y, w, h)?;
    let r = (BOX_RADIUS as f32).min(w / 2.0).min(h / 2.0);
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(x + w - r, y);
    path.quad_to(x + w, y, x + w, y + r);
    path.line_to(x + w, y + h - r);
    path.quad_to(x + w, y + h, x + w - r, y + h);
    path.line_to(x + r, y + h);
    path.quad_to(x, y + h, x, y + h - r);
    path.line_to(x, y + r);
    path.quad_to(x, y, x + r, y);
    path.close();
    path.finish()
}

fn edges(edges: &[Edge]) -> Option<Path> {
    let mut path = PathBuilder::new();
    let f = |p: &Xy| (p.x as f32, p.y as f32);
    for edge in edges {
        match edge {
            Edge::Move(p) => path.move_to(f(p).0, f(p).1),
            Edge::Line(p) => path.line_to(f(p).0, f(p).1),
            Edge::Quad(c, p) => path.quad_to(f(c).0, f(c).1, f(p).0, f(p).1),
            Edge::Cubic(c, d, p) => path.cubic_to(f(c).0, f(c).1, f(d).0, f(d).1, f(p).0, f(p).1),
            Edge::Close => path.close(),
        }
    }
    path.finish()
}
