//! Looking for lost ink everywhere: a square of the keyframe around the ink, on a coarse level, against the whole frame.

use crate::keyframe::Keyframe;
use crate::luma::{Frame, Plane};
use crate::similarity::{Similarity, Vec2};

/// The level searched: pixels four times as large.
const LEVEL: usize = 2;
/// Side of the square, pixels of that level: 80 of the finest.
const SIDE: usize = 20;
/// Places looked at in full per frame.
const CANDIDATES: usize = 2;
/// Likeness below which a place is not looked at.
const LIKENESS_MIN: f32 = 0.45;
/// One turn and scale a frame, against how it was confirmed last.
const POSES: [(f32, f32); 7] = [(1.0, 0.0), (1.0, 0.25), (1.0, -0.25), (0.8, 0.0), (1.25, 0.0), (1.0, 0.5), (1.0, -0.5)];

#[derive(Debug)]
pub struct Search {
    /// The keyframe's level, to cut squares of any pose from.
    plane: Plane,
    centre: Vec2,
    turn: usize,
}

impl Search {
    pub fn new(frame: &Frame, key: &Keyframe) -> Search {
        Search { plane: frame.levels[LEVEL].clone(), centre: key.centre, turn: 0 }
    }

    /// Where the ink may be, best first.
    pub fn candidates(&mut self, frame: &Frame, last: &Similarity) -> Vec<Similarity> {
        let (scale, turn) = POSES[self.turn % POSES.len()];
        self.turn += 1;
        let (scale, turn) = (scale * last.scale().clamp(0.3, 3.0), turn + last.rotation());
        let Some((square, norm)) = self.square(scale, turn) else { return Vec::new() };
        let plane = &frame.levels[LEVEL];
        if plane.width <= SIDE || plane.height <= SIDE {
            return Vec::new();
        }
        let mut places: Vec<(f32, Vec2)> = Vec::new();
        for y in (0..plane.height - SIDE).step_by(2) {
            for x in (0..plane.width - SIDE).step_by(2) {
                let likeness = likeness(plane, x, y, &square, norm);
                if likeness >= LIKENESS_MIN {
                    places.push((likeness, Vec2::new(x as f32 + 9.5, y as f32 + 9.5)));
                }
            }
        }
        places.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut out: Vec<(Vec2, Similarity)> = Vec::new();
        for (_, at) in places {
            if out.len() == CANDIDATES {
                break;
            }
            if out.iter().all(|(o, _)| o.minus(at).length() > 6.0) {
                let to = at.from_level((1 << LEVEL) as f32);
                out.push((at, Similarity::about(scale, turn, self.centre, to)));
            }
        }
        out.into_iter().map(|(_, s)| s).collect()
    }

    /// The keyframe around the ink as it would look in this pose, less its mean, and its norm. `None` without contrast.
    fn square(&self, scale: f32, turn: f32) -> Option<([[f32; SIDE]; SIDE], f32)> {
        let k = (1 << LEVEL) as f32;
        let centre = Vec2::new((self.centre.x + 0.5) / k - 0.5, (self.centre.y + 0.5) / k - 0.5);
        let back = Similarity::about(1.0 / scale, -turn, Vec2::new(9.5, 9.5), centre);
        let mut out = [[0.0f32; SIDE]; SIDE];
        let (mut sum, mut n) = (0.0f32, 0.0f32);
        for (j, row) in out.iter_mut().enumerate() {
            for (i, v) in row.iter_mut().enumerate() {
                let p = back.apply(Vec2::new(i as f32, j as f32));
                let x = (p.x.round().max(0.0) as usize).min(self.plane.width - 1);
                let y = (p.y.round().max(0.0) as usize).min(self.plane.height - 1);
                *v = self.plane.data[y * self.plane.width + x];
                sum += *v;
                n += 1.0;
            }
        }
        let mean = sum / n;
        let mut squares = 0.0;
        for v in out.as_flattened_mut() {
            *v -= mean;
            squares += *v * *v;
        }
        (squares > 100.0).then(|| (out, squares.sqrt()))
    }
}

fn likeness(plane: &Plane, x: usize, y: usize, square: &[[f32; SIDE]; SIDE], norm: f32) -> f32 {
    let (mut dot, mut sum, mut squares) = ([0.0f32; 4], [0.0f32; 4], [0.0f32; 4]);
    for (j, row) in square.iter().enumerate() {
        let now = &plane.data[(y + j) * plane.width + x..(y + j) * plane.width + x + SIDE];
        for (n, s) in now.chunks_exact(4).zip(row.chunks_exact(4)) {
            for k in 0..4 {
                dot[k] += n[k] * s[k];
                sum[k] += n[k];
                squares[k] += n[k] * n[k];
            }
        }
    }
    let total = |v: [f32; 4]| v.iter().sum::<f32>();
    let sum = total(sum);
    let variance = total(squares) - sum * sum / (SIDE * SIDE) as f32;
    if variance > 1.0 { total(dot) / (norm * variance.sqrt()) } else { 0.0 }
}
