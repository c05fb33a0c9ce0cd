//! Similarities of the plane, and fitting them to pairs of points that may be wrong.

use crate::random::Random;

/// A point or a vector, in pixels of the tracker's picture; a pixel's centre has whole coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vec2 {
    pub x: f32,
    pub y: f32,
}

impl Vec2 {
    pub const fn new(x: f32, y: f32) -> Self {
        Vec2 { x, y }
    }

    pub fn minus(self, o: Vec2) -> Vec2 {
        Vec2::new(self.x - o.x, self.y - o.y)
    }

    /// A point of a level whose pixels are `k` times as large, among the finest.
    pub fn from_level(self, k: f32) -> Vec2 {
        Vec2::new((self.x + 0.5) * k - 0.5, (self.y + 0.5) * k - 0.5)
    }

    pub fn length(self) -> f32 {
        self.x.hypot(self.y)
    }
}

/// `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    pub a: f32,
    pub b: f32,
    pub tx: f32,
    pub ty: f32,
}

impl Similarity {
    pub const IDENTITY: Similarity = Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };

    pub fn apply(&self, p: Vec2) -> Vec2 {
        Vec2::new(self.a * p.x - self.b * p.y + self.tx, self.b * p.x + self.a * p.y + self.ty)
    }

    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Radians, -pi to pi.
    pub fn rotation(&self) -> f32 {
        self.b.atan2(self.a)
    }

    /// Turned by `rotation` and enlarged by `scale` about the origin, then moved so that `from` comes to lie on `to`.
    pub fn about(scale: f32, rotation: f32, from: Vec2, to: Vec2) -> Self {
        let (a, b) = (scale * rotation.cos(), scale * rotation.sin());
        Similarity { a, b, tx: to.x - (a * from.x - b * from.y), ty: to.y - (b * from.x + a * from.y) }
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Similarity) -> Similarity {
        let t = next.apply(Vec2::new(self.tx, self.ty));
        Similarity { a: next.a * self.a - next.b * self.b, b: next.b * self.a + next.a * self.b, tx: t.x, ty: t.y }
    }

    /// `None` when it shrinks everything to a point.
    pub fn inverse(&self) -> Option<Similarity> {
        let d = self.a * self.a + self.b * self.b;
        if !(d > 1e-9) {
            return None;
        }
        let (a, b) = (self.a / d, -self.b / d);
        Some(Similarity { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) })
    }

    /// The same motion in the coordinates of the wire, whose unit is `units_per_px` to our pixel and whose origin is the picture's
    /// corner, half a pixel up and left of the first pixel's centre.
    pub fn in_units(&self, units_per_px: f32) -> Similarity {
        let half = 0.5;
        let origin = self.apply(Vec2::new(-half, -half));
        Similarity { a: self.a, b: self.b, tx: (origin.x + half) * units_per_px, ty: (origin.y + half) * units_per_px }
    }

    /// The same motion among pixels `k` times as large (a level of the pyramid).
    pub fn at_level(&self, k: f32) -> Similarity {
        let q = self.apply(Vec2::new(0.5 * k - 0.5, 0.5 * k - 0.5));
        Similarity { a: self.a, b: self.b, tx: (q.x + 0.5) / k - 0.5, ty: (q.y + 0.5) / k - 0.5 }
    }

    pub fn is_finite(&self) -> bool {
        [self.a, self.b, self.tx, self.ty].iter().all(|v| v.is_finite())
    }
}

/// Where a point of the keyframe was found, and how much it counts.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub from: Vec2,
    pub to: Vec2,
    pub weight: f32,
}

/// The similarity with the least weighted squares. `None` for fewer than two different points.
pub fn fit(pairs: &[Pair]) -> Option<Similarity> {
    let mut sum = [0.0f64; 5];
    for p in pairs {
        let w = f64::from(p.weight);
        for (s, v) in sum.iter_mut().zip([1.0, p.from.x, p.from.y, p.to.x, p.to.y]) {
            *s += w * f64::from(v);
        }
    }
    let [w, fx, fy, tx, ty] = sum;
    if !(w > 0.0) {
        return None;
    }
    let (fx, fy, tx, ty) = (fx / w, fy / w, tx / w, ty / w);
    let (mut dot, mut cross, mut norm) = (0.0f64, 0.0f64, 0.0f64);
    for p in pairs {
        let w = f64::from(p.weight);
        let (ax, ay) = (f64::from(p.from.x) - fx, f64::from(p.from.y) - fy);
        let (bx, by) = (f64::from(p.to.x) - tx, f64::from(p.to.y) - ty);
        dot += w * (ax * bx + ay * by);
        cross += w * (ax * by - ay * bx);
        norm += w * (ax * ax + ay * ay);
    }
    if !(norm > 1e-6) {
        return None;
    }
    let (a, b) = (dot / norm, cross / norm);
    let s = Similarity { a: a as f32, b: b as f32, tx: (tx - (a * fx - b * fy)) as f32, ty: (ty - (b * fx + a * fy)) as f32 };
    s.is_finite().then_some(s)
}

/// How far the best affinity of `pairs` would put `points` from where `s` puts them, at most. Large where tissue is sheared, and where the pairs lie to one
/// side of the points, so that nobody knows. `None` when the pairs lie on a line.
pub fn affine_doubt(pairs: &[Pair], s: &Similarity, points: &[Vec2]) -> Option<f32> {
    // What the similarity leaves over, as a linear function of the place: three unknowns for each axis.
    let mut m = [[0.0f64; 3]; 3];
    let mut r = [[0.0f64; 3]; 2];
    let w_sum: f32 = pairs.iter().map(|p| p.weight).sum();
    let mean = |f: fn(&Pair) -> f32| pairs.iter().map(|p| p.weight * f(p)).sum::<f32>() / w_sum;
    let (cx, cy) = (mean(|p| p.from.x), mean(|p| p.from.y));
    for p in pairs {
        let w = f64::from(p.weight);
        let row = [1.0, f64::from(p.from.x - cx) / 10.0, f64::from(p.from.y - cy) / 10.0];
        let off = p.to.minus(s.apply(p.from));
        for i in 0..3 {
            for j in 0..3 {
                m[i][j] += w * row[i] * row[j];
            }
            r[0][i] += w * row[i] * f64::from(off.x);
            r[1][i] += w * row[i] * f64::from(off.y);
        }
    }
    let minor = |i: usize, j: usize| {
        let at = |a: usize, b: usize| m[(i + a) % 3][(j + b) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let det: f64 = (0..3).map(|j| m[0][j] * minor(0, j)).sum();
    // Pairs spread at least 2 px across their line.
    if !(det > m[0][0].powi(3) * 0.04 * 0.04) {
        return None;
    }
    let solve = |r: &[f64; 3]| [0, 1, 2].map(|i| (0..3).map(|j| minor(j, i) * r[j]).sum::<f64>() / det);
    let (u, v) = (solve(&r[0]), solve(&r[1]));
    let worst = points.iter().map(|q| {
        let row = [1.0, f64::from(q.x - cx) / 10.0, f64::from(q.y - cy) / 10.0];
        let dot = |c: &[f64; 3]| c.iter().zip(row).map(|(c, x)| c * x).sum::<f64>();
        dot(&u).hypot(dot(&v))
    });
    let worst = worst.fold(0.0, f64::max) as f32;
    worst.is_finite().then_some(worst)
}

/// Two points seldom agree by chance: so many draws find an all-inlier pair with 99.9 % when half of the weight is wrong (24), with room.
const DRAWS: usize = 48;
/// A draw whose points lie nearer than this turns noise into rotation.
const APART_MIN: f32 = 6.0;

/// The similarity most of the weight agrees with, within `tolerance` pixels; then least squares over those that agree. Deterministic for a
/// given `random`. Scale and rotation stay within what `expected` may change to in one step.
pub fn fit_robust(pairs: &[Pair], tolerance: f32, expected: &Similarity, random: &mut Random) -> Option<Similarity> {
    if pairs.len() < 2 {
        return None;
    }
    let score = |s: &Similarity| -> f32 {
        pairs
            .iter()
            .map(|p| {
                let r = s.apply(p.from).minus(p.to);
                let e = (r.x * r.x + r.y * r.y) / (tolerance * tolerance);
                if e < 1.0 { p.weight * (1.0 - 0.5 * e) } else { 0.0 }
            })
            .sum()
    };
    let mut best: Option<(f32, Similarity)> = None;
    let mut consider = |s: Similarity| {
        let score = score(&s);
        if best.as_ref().is_none_or(|(b, _)| score > *b) {
            best = Some((score, s));
        }
    };
    if let Some(all) = fit(pairs).filter(|s| plausible(s, expected)) {
        consider(all);
    }
    for _ in 0..DRAWS {
        let (i, j) = (random.below(pairs.len()), random.below(pairs.len()));
        let (p, q) = (pairs[i], pairs[j]);
        if p.from.minus(q.from).length() < APART_MIN {
            continue;
        }
        if let Some(s) = fit(&[Pair { weight: 1.0, ..p }, Pair { weight: 1.0, ..q }]).filter(|s| plausible(s, expected)) {
            consider(s);
        }
    }
    let (_, mut s) = best?;
    let mut agreeing = Vec::with_capacity(pairs.len());
    for _ in 0..3 {
        agreeing.clear();
        agreeing.extend(pairs.iter().filter_map(|p| {
            let e = s.apply(p.from).minus(p.to).length() / tolerance;
            // Tukey's weight: those at the edge of agreement hardly count.
            (e < 1.0).then(|| Pair { weight: p.weight * (1.0 - e * e).powi(2), ..*p })
        }));
        match fit(&agreeing).filter(|s| plausible(s, expected)) {
            Some(better) if agreeing.len() >= 3 => s = better,
            _ => break,
        }
    }
    Some(s)
}

/// One step turns by at most 20 degrees and enlarges by at most a quarter: more is a mistake or a cut.
fn plausible(s: &Similarity, expected: &Similarity) -> bool {
    let ratio = s.scale() / expected.scale().max(1e-6);
    let turn =
        (s.rotation() - expected.rotation() + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI;
    s.is_finite() && (0.8..1.25).contains(&ratio) && turn.abs() < 0.35
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(random: &mut Random, truth: &Similarity, wrong: usize) -> Vec<Pair> {
        (0..40)
            .map(|i| {
                let from = Vec2::new(random.unit() * 100.0, random.unit() * 80.0);
                let to = if i < wrong { Vec2::new(random.unit() * 100.0, random.unit() * 80.0) } else { truth.apply(from) };
                Pair { from, to, weight: 1.0 }
            })
            .collect()
    }

    #[test]
    fn forty_percent_of_wrong_pairs_do_not_move_the_fit() {
        let mut random = Random::new(1);
        for turn in [-0.2f32, 0.0, 0.15] {
            let truth = Similarity::about(1.07, turn, Vec2::new(50.0, 40.0), Vec2::new(61.0, 33.0));
            let pairs = scene(&mut random, &truth, 16);
            let s = fit_robust(&pairs, 1.5, &Similarity::IDENTITY, &mut random).expect("fits");
            for p in &pairs[16..] {
                assert!(s.apply(p.from).minus(truth.apply(p.from)).length() < 0.2, "{s:?} {truth:?}");
            }
        }
    }

    #[test]
    fn inverse_and_composition_agree() {
        let s = Similarity::about(1.3, 0.4, Vec2::new(3.0, 4.0), Vec2::new(-10.0, 7.0));
        let back = s.then(&s.inverse().expect("invertible"));
        let p = back.apply(Vec2::new(123.0, -45.0));
        assert!(p.minus(Vec2::new(123.0, -45.0)).length() < 1e-3);
        assert!(Similarity { a: 0.0, b: 0.0, tx: 1.0, ty: 1.0 }.inverse().is_none());
    }

    #[test]
    fn units_of_the_wire_count_from_the_corner() {
        let s = Similarity::about(1.1, 0.3, Vec2::new(20.0, 30.0), Vec2::new(25.0, 28.0));
        let units = 16_384.0 / 480.0;
        let wire = s.in_units(units);
        let p = Vec2::new(100.0, 50.0);
        let there = s.apply(p);
        let got = wire.apply(Vec2::new((p.x + 0.5) * units, (p.y + 0.5) * units));
        assert!((got.x - (there.x + 0.5) * units).abs() < 0.1 && (got.y - (there.y + 0.5) * units).abs() < 0.1);
    }

    #[test]
    fn shear_is_doubted_and_a_line_of_pairs_is_not_known() {
        let shear = |p: Vec2| Vec2::new(p.x + 0.2 * p.y, p.y);
        let pairs: Vec<Pair> = (0..25)
            .map(|i| Vec2::new((i % 5) as f32 * 8.0, (i / 5) as f32 * 8.0))
            .map(|from| Pair { from, to: shear(from), weight: 1.0 })
            .collect();
        let s = fit(&pairs).expect("fits");
        let q = Vec2::new(40.0, 40.0);
        let doubt = affine_doubt(&pairs, &s, &[q]).expect("spread");
        assert!((doubt - shear(q).minus(s.apply(q)).length()).abs() < 1e-2, "{doubt}");
        let line: Vec<Pair> = pairs.iter().copied().filter(|p| p.from.y == 0.0).collect();
        assert_eq!(affine_doubt(&line, &s, &[q]), None);
        assert_eq!(affine_doubt(&[], &s, &[q]), None);
    }

    #[test]
    fn nothing_to_fit_is_nothing() {
        assert!(fit(&[]).is_none());
        let p = Pair { from: Vec2::new(1.0, 1.0), to: Vec2::new(2.0, 2.0), weight: 1.0 };
        assert!(fit(&[p, p]).is_none());
        assert!(fit(&[Pair { weight: f32::NAN, ..p }, Pair { from: Vec2::new(5.0, 5.0), ..p }]).is_none());
    }
}
