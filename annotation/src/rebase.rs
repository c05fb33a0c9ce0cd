//! Points drawn over a moving picture, moved to the frame that their stroke is anchored to. The log keeps both; what is drawn
//! are the moved ones, rounded alike everywhere (AN20).

use crate::points::{COORDINATE_MAX, Point};
use crate::wire;

/// x' = a·x − b·y + tx, y' = b·x + a·y + ty; tx, ty in units of points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    pub a: f64,
    pub b: f64,
    pub tx: f64,
    pub ty: f64,
}

/// Largest and smallest change of size that a tracker may tell: beyond it nothing is the same picture.
const SCALE_MAX: f64 = 4.0;

impl Similarity {
    pub const IDENTITY: Similarity = Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };

    /// `None` when it is no similarity that a picture can have made: not finite, or a change of size of more than 4.
    pub fn checked(a: f32, b: f32, tx: f32, ty: f32) -> Option<Self> {
        let of = |v: f32| f64::from(v);
        let found = Similarity { a: of(a), b: of(b), tx: of(tx), ty: of(ty) };
        let scale = found.a.hypot(found.b);
        let far = f64::from(COORDINATE_MAX);
        let sound =
            scale.is_finite() && (1.0 / SCALE_MAX..=SCALE_MAX).contains(&scale) && found.tx.abs() <= far && found.ty.abs() <= far;
        sound.then_some(found)
    }

    pub fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x - self.b * y + self.tx, self.b * x + self.a * y + self.ty)
    }
}

/// The points as they are drawn: each moved by the similarity of its span, rounded to the nearest unit, halves towards +∞, and
/// kept within the range of points. Points before the first span stay. `spans`: ascending.
pub fn moved(points: &[Point], spans: &[wire::Similarity]) -> Vec<Point> {
    let mut out = Vec::with_capacity(points.len());
    let mut next = 0;
    let mut now = Similarity::IDENTITY;
    for (i, p) in points.iter().enumerate() {
        while let Some(span) = spans.get(next).filter(|s| s.first as usize <= i) {
            now = Similarity::checked(span.a, span.b, span.tx, span.ty).unwrap_or(Similarity::IDENTITY);
            next += 1;
        }
        let (x, y) = now.apply(f64::from(p.x), f64::from(p.y));
        out.push(Point { x: whole(x), y: whole(y), pressure: p.pressure });
    }
    out
}

fn whole(v: f64) -> i32 {
    let far = f64::from(COORDINATE_MAX);
    (v + 0.5).floor().clamp(-far, far) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an20_halves_are_rounded_up_on_both_sides_of_zero() {
        let spans = [wire::Similarity { first: 1, a: 1.0, b: 0.0, tx: 0.5, ty: -0.5 }];
        let p = |x, y| Point { x, y, pressure: 9 };
        assert_eq!(moved(&[p(1, 1), p(1, 1), p(-2, -2)], &spans), [p(1, 1), p(2, 1), p(-1, -2)]);
    }

    #[test]
    fn an20_what_no_picture_can_do_is_no_similarity() {
        for (a, b, tx) in [(f32::NAN, 0.0, 0.0), (0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (1.0, 0.0, f32::INFINITY), (1.0, 0.0, 2e5)] {
            assert_eq!(Similarity::checked(a, b, tx, 0.0), None, "{a} {b} {tx}");
        }
        assert_eq!(Similarity::checked(1.0, 0.0, 0.0, 0.0), Some(Similarity::IDENTITY));
    }
}
