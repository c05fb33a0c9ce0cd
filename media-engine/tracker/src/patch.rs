//! Small squares of the keyframe, and finding them again: Lucas-Kanade in the inverse compositional form, whose gradients and
//! Hessian belong to the keyframe and are computed once, on luma whose mean and contrast are made equal first.
//! Source: Baker, Matthews, "Lucas-Kanade 20 years on", IJCV 2004, §3.2.

use crate::luma::Plane;
use crate::similarity::{Similarity, Vec2};

/// Side of a patch, pixels of its level. Four registers of four floats a row.
pub const SIDE: usize = 16;
/// From a patch's first pixel to its centre.
const MIDDLE: f32 = (SIDE as f32 - 1.0) / 2.0;
const PIXELS: f32 = (SIDE * SIDE) as f32;

type Square = [[f32; SIDE]; SIDE];

/// One patch of the keyframe on one level.
#[derive(Debug, Clone)]
pub struct Template {
    /// Of this level's pixels.
    pub centre: Vec2,
    /// Less its mean.
    values: Square,
    gx: Square,
    gy: Square,
    /// Upper triangle of the gradients' second moments: xx, xy, yy.
    pub moments: [f32; 3],
    inverse: [f32; 3],
    /// Root of the sum of squares of `values`.
    norm: f32,
}

/// A patch found again.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Where its centre lies now, in the level's pixels.
    pub at: Vec2,
    /// Zero-mean normalised cross-correlation, -1 to 1.
    pub likeness: f32,
    /// Contrast now against contrast then.
    pub gain: f32,
}

/// Smaller eigenvalue of second moments.
pub fn eigen_min([xx, xy, yy]: [f32; 3]) -> f32 {
    let half = (xx - yy) / 2.0;
    (xx + yy) / 2.0 - (half * half + xy * xy).sqrt()
}

impl Template {
    /// The patch whose first pixel is (x, y). `None` when it does not lie within the plane with a pixel of room, or is flat.
    pub fn new(plane: &Plane, x: usize, y: usize) -> Option<Template> {
        if x < 1 || y < 1 || x + SIDE + 1 > plane.width || y + SIDE + 1 > plane.height {
            return None;
        }
        let mut t = Template {
            centre: Vec2::new(x as f32 + MIDDLE, y as f32 + MIDDLE),
            values: [[0.0; SIDE]; SIDE],
            gx: [[0.0; SIDE]; SIDE],
            gy: [[0.0; SIDE]; SIDE],
            moments: [0.0; 3],
            inverse: [0.0; 3],
            norm: 0.0,
        };
        let mut sum = 0.0;
        for j in 0..SIDE {
            let (above, row, below) = (plane.row(y + j - 1), plane.row(y + j), plane.row(y + j + 1));
            for i in 0..SIDE {
                let at = x + i;
                let (gx, gy) = (0.5 * (row[at + 1] - row[at - 1]), 0.5 * (below[at] - above[at]));
                t.values[j][i] = row[at];
                t.gx[j][i] = gx;
                t.gy[j][i] = gy;
                sum += row[at];
                t.moments[0] += gx * gx;
                t.moments[1] += gx * gy;
                t.moments[2] += gy * gy;
            }
        }
        let mean = sum / PIXELS;
        let mut squares = 0.0;
        for v in t.values.as_flattened_mut() {
            *v -= mean;
            squares += *v * *v;
        }
        t.norm = squares.sqrt();
        let [xx, xy, yy] = t.moments;
        let det = xx * yy - xy * xy;
        if !(t.norm > 1.0 && det > 1e-3 * (xx + yy) * (xx + yy)) {
            return None;
        }
        t.inverse = [yy / det, -xy / det, xx / det];
        Some(t)
    }

    /// Looks for the patch in `plane`, starting where `guess` (of this level) puts it, turned and scaled as it says. Moves at most `reach` pixels.
    /// `None`: it leaves the picture, moves too far, or has no contrast there.
    pub fn find(&self, plane: &Plane, guess: &Similarity, reach: f32, steps: usize) -> Option<Found> {
        let start = guess.apply(self.centre);
        let mut at = start;
        let mut now = [[0.0; SIDE]; SIDE];
        for _ in 0..steps {
            let (mean, norm) = sample(plane, guess, at, &mut now)?;
            let gain = (self.norm / norm).clamp(0.4, 2.5);
            let (mut bx, mut by) = (0.0f32, 0.0f32);
            for (j, now) in now.iter().enumerate() {
                let (mut sx, mut sy) = ([0.0f32; 4], [0.0f32; 4]);
                for i in (0..SIDE).step_by(4) {
                    for k in 0..4 {
                        let e = (now[i + k] - mean) * gain - self.values[j][i + k];
                        sx[k] += e * self.gx[j][i + k];
                        sy[k] += e * self.gy[j][i + k];
                    }
                }
                bx += sx.iter().sum::<f32>();
                by += sy.iter().sum::<f32>();
            }
            let [xx, xy, yy] = self.inverse;
            let (dx, dy) = (xx * bx + xy * by, xy * bx + yy * by);
            // The step was found in the keyframe's directions.
            at.x -= guess.a * dx - guess.b * dy;
            at.y -= guess.b * dx + guess.a * dy;
            if !(at.minus(start).length() <= reach) {
                return None;
            }
            if dx * dx + dy * dy < 4e-4 {
                break;
            }
        }
        let (likeness, gain) = self.likeness(plane, guess, at)?;
        Some(Found { at, likeness, gain })
    }

    /// How alike the patch and the picture around `at` are, and the contrast now against then.
    pub fn likeness(&self, plane: &Plane, turn: &Similarity, at: Vec2) -> Option<(f32, f32)> {
        let mut now = [[0.0; SIDE]; SIDE];
        let (mean, norm) = sample(plane, turn, at, &mut now)?;
        let mut dot = [0.0f32; 4];
        for (n, v) in now.as_flattened().chunks_exact(4).zip(self.values.as_flattened().chunks_exact(4)) {
            for k in 0..4 {
                dot[k] += (n[k] - mean) * v[k];
            }
        }
        let dot = dot.iter().sum::<f32>();
        Some((dot / (self.norm * norm), dot / (self.norm * self.norm)))
    }
}

/// Reads a turned and scaled square around `at`; its mean and the root of its sum of squares about it. `None` outside, or without contrast.
fn sample(plane: &Plane, turn: &Similarity, at: Vec2, out: &mut Square) -> Option<(f32, f32)> {
    let (a, b) = (turn.a, turn.b);
    let reach = MIDDLE * (a.abs() + b.abs());
    let inside = at.x - reach >= 0.0
        && at.y - reach >= 0.0
        && at.x + reach < plane.width as f32 - 1.0
        && at.y + reach < plane.height as f32 - 1.0;
    if !inside {
        return None;
    }
    let w = plane.width;
    let mut sums = [0.0f32; 4];
    if b.abs() < 8e-3 && (a - 1.0).abs() < 8e-3 {
        // Neither turned nor scaled by more than a tenth of a pixel at the corner: one fraction for all.
        let (left, top) = (at.x - MIDDLE, at.y - MIDDLE);
        let (x, y) = (left as usize, top as usize);
        let (fx, fy) = (left - x as f32, top - y as f32);
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        for (j, row) in out.iter_mut().enumerate() {
            let upper = &plane.data[(y + j) * w + x..(y + j) * w + x + SIDE + 1];
            let lower = &plane.data[(y + j + 1) * w + x..(y + j + 1) * w + x + SIDE + 1];
            for i in 0..SIDE {
                row[i] = weights[0] * upper[i] + weights[1] * upper[i + 1] + weights[2] * lower[i] + weights[3] * lower[i + 1];
            }
            for i in (0..SIDE).step_by(4) {
                for k in 0..4 {
                    sums[k] += row[i + k];
                }
            }
        }
    } else {
        for (j, row) in out.iter_mut().enumerate() {
            let v = j as f32 - MIDDLE;
            let (x0, y0) = (at.x - a * MIDDLE - b * v, at.y - b * MIDDLE + a * v);
            for (i, p) in row.iter_mut().enumerate() {
                let (px, py) = (x0 + a * i as f32, y0 + b * i as f32);
                let (x, y) = (px as usize, py as usize);
                let (fx, fy) = (px - x as f32, py - y as f32);
                let o = y * w + x;
                let (upper, lower) = (&plane.data[o..o + 2], &plane.data[o + w..o + w + 2]);
                let top = upper[0] + fx * (upper[1] - upper[0]);
                let bottom = lower[0] + fx * (lower[1] - lower[0]);
                *p = top + fy * (bottom - top);
            }
            for i in (0..SIDE).step_by(4) {
                for k in 0..4 {
                    sums[k] += row[i + k];
                }
            }
        }
    }
    let mean = sums.iter().sum::<f32>() / PIXELS;
    let mut squares = [0.0f32; 4];
    for p in out.as_flattened().chunks_exact(4) {
        for k in 0..4 {
            squares[k] += (p[k] - mean) * (p[k] - mean);
        }
    }
    let norm = squares.iter().sum::<f32>().sqrt();
    (norm > 0.5).then_some((mean, norm))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texture(at: impl Fn(f32, f32) -> Vec2) -> Plane {
        let (width, height) = (200, 150);
        let data = (0..width * height)
            .map(|i| {
                let p = at((i % width) as f32, (i / width) as f32);
                100.0 + 30.0 * (p.x * 0.31).sin() * (p.y * 0.27).cos() + 20.0 * (p.x * 0.11 + p.y * 0.19).sin()
            })
            .collect();
        Plane { width, height, data }
    }

    #[test]
    fn a_patch_is_found_within_a_twentieth_of_a_pixel_moved_turned_and_dimmed() {
        let key = texture(Vec2::new);
        let t = Template::new(&key, 90, 70).expect("textured");
        for (scale, turn, dx, dy) in [(1.0, 0.0, 2.3, -1.6), (1.1, 0.2, -1.5, 1.0), (0.9, -0.3, 0.4, 2.0)] {
            let truth = Similarity::about(scale, turn, t.centre, Vec2::new(t.centre.x + dx, t.centre.y + dy));
            let back = truth.inverse().expect("invertible");
            let mut moved = texture(|x, y| back.apply(Vec2::new(x, y)));
            moved.data.iter_mut().for_each(|v| *v = *v * 0.7 + 12.0);
            let guess = Similarity::about(scale, turn, t.centre, t.centre);
            let found = t.find(&moved, &guess, 6.0, 10).expect("found");
            assert!(found.at.minus(truth.apply(t.centre)).length() < 0.05, "{found:?}");
            assert!(found.likeness > 0.99 && (found.gain - 0.7).abs() < 0.03, "{found:?}");
        }
    }

    #[test]
    fn flat_patches_and_those_outside_are_none() {
        let flat = Plane { width: 64, height: 64, data: vec![7.0; 64 * 64] };
        assert!(Template::new(&flat, 10, 10).is_none());
        let key = texture(Vec2::new);
        assert!(Template::new(&key, 0, 5).is_none() && Template::new(&key, 190, 5).is_none());
        let t = Template::new(&key, 90, 70).expect("textured");
        let far = Similarity { tx: 500.0, ..Similarity::IDENTITY };
        assert!(t.find(&key, &far, 5.0, 5).is_none());
        let nan = Similarity { tx: f32::NAN, ..Similarity::IDENTITY };
        assert!(t.find(&key, &nan, 5.0, 5).is_none());
        assert!(t.find(&flat, &Similarity::IDENTITY, 5.0, 5).is_none());
    }

    #[test]
    fn what_looks_otherwise_is_unlike() {
        let key = texture(Vec2::new);
        let t = Template::new(&key, 90, 70).expect("textured");
        let other = texture(|x, y| Vec2::new(y * 1.7 + 40.0, x * 0.6));
        let likeness = t.find(&other, &Similarity::IDENTITY, 6.0, 10).map_or(0.0, |f| f.likeness);
        assert!(likeness < 0.75, "{likeness}");
    }
}
