//! Tissue that bends: a gentle field over the patches around the ink, and the similarity that it is for the ink itself.
//!
//! Breathing tissue is stretched by a tenth and more, so that patches 30 px apart are 3 px from where any similarity puts both. A polynomial of the second degree has
//! them all within a pixel, and has no room for two layers that slide past each other: what agrees with it within [`crate::verdict`]'s limits lies on one sheet.

use crate::similarity::{Pair, Similarity, Vec2, fit};

/// Unknowns of each axis: one, x, y, and xx, xy, yy.
const TERMS: usize = 6;
/// Places are counted in so many pixels, so that all terms are of one size.
const UNIT: f32 = 10.0;
/// A term is worth this much weight of patches at one [`UNIT`] before it is believed.
const DOUBT: [f64; TERMS] = [1e-6, 1.0, 1.0, 4.0, 4.0, 4.0];
/// Fewer would agree with a field of so many unknowns whatever they saw.
const PAIRS_MIN: usize = 3 * TERMS;
/// Who is further off than this says nothing: pixels, step by step, so that tissue which bends most is not shut out by the first guess.
const TOLERANCES: [f32; 5] = [5.0, 4.0, 3.0, 2.0, 2.0];

/// A similarity, and what is left over of it, as a polynomial of the second degree in the place in the keyframe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bend {
    base: Similarity,
    centre: Vec2,
    /// Pixels, by term.
    x: [f32; TERMS],
    y: [f32; TERMS],
}

impl Bend {
    pub fn none(base: Similarity) -> Bend {
        Bend { base, centre: Vec2::default(), x: [0.0; TERMS], y: [0.0; TERMS] }
    }

    /// The field that most of the weight of `pairs` agrees with, beginning with `base`. `None`: there are too few of them.
    pub fn fit(pairs: &[Pair], base: &Similarity) -> Option<Bend> {
        let weight: f32 = pairs.iter().map(|p| p.weight).sum();
        if pairs.len() < PAIRS_MIN || !(weight > 0.0) {
            return None;
        }
        let mean = |f: fn(&Pair) -> f32| pairs.iter().map(|p| p.weight * f(p)).sum::<f32>() / weight;
        let mut bend = Bend { centre: Vec2::new(mean(|p| p.from.x), mean(|p| p.from.y)), ..Bend::none(*base) };
        for tolerance in TOLERANCES {
            let mut m = [[0.0f64; TERMS + 2]; TERMS];
            for (i, row) in m.iter_mut().enumerate() {
                row[i] = DOUBT[i];
            }
            for p in pairs {
                let e = bend.apply(p.from).minus(p.to).length() / tolerance;
                if !(e < 1.0) {
                    continue;
                }
                let w = f64::from(p.weight * (1.0 - e * e).powi(2));
                let t = bend.terms(p.from).map(f64::from);
                let off = p.to.minus(base.apply(p.from));
                for i in 0..TERMS {
                    for j in 0..TERMS {
                        m[i][j] += w * t[i] * t[j];
                    }
                    m[i][TERMS] += w * t[i] * f64::from(off.x);
                    m[i][TERMS + 1] += w * t[i] * f64::from(off.y);
                }
            }
            let (x, y) = solve(m)?;
            (bend.x, bend.y) = (x, y);
        }
        Some(bend)
    }

    pub fn apply(&self, p: Vec2) -> Vec2 {
        let at = self.base.apply(p);
        let t = self.terms(p);
        let dot = |c: &[f32; TERMS]| c.iter().zip(t).map(|(c, t)| c * t).sum::<f32>();
        Vec2::new(at.x + dot(&self.x), at.y + dot(&self.y))
    }

    /// What the field is for the ink.
    pub fn of_ink(&self, ink: &[Vec2]) -> Option<Similarity> {
        const AROUND: [(f32, f32); 4] = [(3.0, 0.0), (-3.0, 0.0), (0.0, 3.0), (0.0, -3.0)];
        let places = ink.iter().flat_map(|q| AROUND.map(|(x, y)| Vec2::new(q.x + x, q.y + y)));
        let pairs: Vec<Pair> = places.map(|from| Pair { from, to: self.apply(from), weight: 1.0 }).collect();
        fit(&pairs)
    }

    fn terms(&self, p: Vec2) -> [f32; TERMS] {
        let (x, y) = ((p.x - self.centre.x) / UNIT, (p.y - self.centre.y) / UNIT);
        [1.0, x, y, x * x, x * y, y * y]
    }
}

/// Gauss, with the largest of each column first; the last two columns are the right sides.
fn solve(mut m: [[f64; TERMS + 2]; TERMS]) -> Option<([f32; TERMS], [f32; TERMS])> {
    for i in 0..TERMS {
        let largest = (i..TERMS).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))?;
        m.swap(i, largest);
        if !(m[i][i].abs() > 1e-9) {
            return None;
        }
        let row = m[i];
        for (j, other) in m.iter_mut().enumerate() {
            if j != i {
                let k = other[i] / row[i];
                other.iter_mut().zip(row).for_each(|(a, b)| *a -= k * b);
            }
        }
    }
    let side = |c: usize| -> [f32; TERMS] { std::array::from_fn(|i| (m[i][c] / m[i][i]) as f32) };
    let (x, y) = (side(TERMS), side(TERMS + 1));
    x.iter().chain(&y).all(|v| v.is_finite()).then_some((x, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Patches within 40 px of (100, 80), found by `field` to a third of a pixel.
    fn pairs(random: &mut Random, field: impl Fn(Vec2) -> Vec2) -> Vec<Pair> {
        (0..40)
            .map(|_| {
                let from = Vec2::new(60.0 + 80.0 * random.unit(), 40.0 + 80.0 * random.unit());
                let to = field(from);
                Pair { from, to: Vec2::new(to.x + 0.6 * (random.unit() - 0.5), to.y + 0.6 * (random.unit() - 0.5)), weight: 1.0 }
            })
            .collect()
    }

    fn agreeing(pairs: &[Pair], place: impl Fn(Vec2) -> Vec2) -> usize {
        pairs.iter().filter(|p| place(p.from).minus(p.to).length() <= 1.5).count()
    }

    /// Stretched by an eighth across, sheared, and bowed.
    fn breath(p: Vec2) -> Vec2 {
        let (x, y) = (p.x - 100.0, p.y - 80.0);
        Vec2::new(107.0 + 1.12 * x + 0.05 * y + 0.001 * y * y, 77.0 + 0.95 * y)
    }

    #[test]
    fn a_breath_is_a_gentle_field_and_no_similarity() {
        let mut random = Random::new(3);
        let pairs = pairs(&mut random, breath);
        let stiff = fit(&pairs).expect("fits");
        assert!(agreeing(&pairs, |p| stiff.apply(p)) < 32, "a similarity has most of them");
        let start = Similarity { tx: 7.0, ty: -3.0, ..Similarity::IDENTITY };
        let field = Bend::fit(&pairs, &start).expect("fits");
        assert!(agreeing(&pairs, |p| field.apply(p)) == 40);
        let ink = [Vec2::new(96.0, 80.0), Vec2::new(104.0, 80.0), Vec2::new(100.0, 84.0)];
        let of_ink = field.of_ink(&ink).expect("fits");
        for q in ink {
            assert!(of_ink.apply(q).minus(breath(q)).length() < 0.6, "{q:?}");
        }
    }

    #[test]
    fn a_layer_that_slides_is_not_a_bend() {
        let mut random = Random::new(5);
        // Right of x = 95 another layer lies, 9 px further up.
        let layers = |p: Vec2| Vec2::new(p.x, if p.x > 95.0 { p.y - 9.0 } else { p.y });
        let pairs = pairs(&mut random, layers);
        let other = pairs.iter().filter(|p| p.from.x > 95.0).count();
        let field = Bend::fit(&pairs, &Similarity::IDENTITY).expect("fits");
        let agree = agreeing(&pairs, |p| field.apply(p));
        assert!(agree <= 40 - other + 2, "{agree} agree, {other} lie on the other layer");
    }

    #[test]
    fn too_few_patches_patches_on_a_line_and_nonsense_bend_nothing() {
        let mut random = Random::new(7);
        let pairs = pairs(&mut random, |p| p);
        assert_eq!(Bend::fit(&pairs[..PAIRS_MIN - 1], &Similarity::IDENTITY), None);
        assert_eq!(Bend::fit(&[], &Similarity::IDENTITY), None);
        let nowhere = Similarity { tx: f32::NAN, ..Similarity::IDENTITY };
        let harmless = |b: Option<Bend>| b.is_none_or(|b| b.of_ink(&[Vec2::new(100.0, 80.0)]).is_none_or(|s| s.is_finite()));
        assert!(harmless(Bend::fit(&pairs, &nowhere)));
        let line: Vec<Pair> =
            pairs.iter().map(|p| Pair { from: Vec2::new(p.from.x, 80.0), to: Vec2::new(p.to.x, 80.0), ..*p }).collect();
        let field = Bend::fit(&line, &Similarity::IDENTITY).expect("what is not known does not bend");
        assert!(field.apply(Vec2::new(100.0, 120.0)).minus(Vec2::new(100.0, 120.0)).length() < 1.0);
    }
}
