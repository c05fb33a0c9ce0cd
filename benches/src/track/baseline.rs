//! What one would do without a keyframe: leave the ink where it was drawn, or chain optical flow from frame to frame.

use image::GrayImage;
use optical_flow_lk::{Corner, TrackParams, build_pyramid, calc_optical_flow_ex, good_features_to_track_grid};
use tracker::luma::Luma;
use tracker::random::Random;
use tracker::similarity::{Pair, Similarity, Vec2, fit_robust};

/// Corners followed around one piece of ink.
const POINTS: usize = 40;

/// Ink moved by the flow around it, from each frame to the next, and never checked against the frame it was drawn on. It believes itself
/// while most points come back (forward and backward) and agree.
#[derive(Debug)]
pub struct Chained {
    ink: Vec<Vec2>,
    motion: Similarity,
    sure: bool,
    random: Random,
}

/// One frame as the flow wants it.
#[derive(Debug)]
pub struct Flowing {
    picture: GrayImage,
    pyramid: Vec<GrayImage>,
    corners: Vec<(f32, f32)>,
}

impl Flowing {
    pub fn new(luma: &Luma) -> Option<Flowing> {
        let picture = GrayImage::from_raw(luma.width as u32, luma.height as u32, luma.data.clone())?;
        let grid = optical_flow_lk::Grid { cols: 40, rows: 22, max_per_cell: 1 };
        let corners = good_features_to_track_grid(&picture, grid, 0.02, 5, &[]).iter().map(Corner::position).collect();
        let pyramid = build_pyramid(&picture, 4);
        Some(Flowing { picture, pyramid, corners })
    }

    pub fn size(&self) -> (u32, u32) {
        self.picture.dimensions()
    }
}

impl Chained {
    pub fn new(ink: &[Vec2]) -> Chained {
        Chained { ink: ink.to_vec(), motion: Similarity::IDENTITY, sure: true, random: Random::new(7) }
    }

    pub fn motion(&self) -> Similarity {
        self.motion
    }

    pub fn sure(&self) -> bool {
        self.sure
    }

    pub fn handle_frame(&mut self, before: &Flowing, now: &Flowing) {
        if !self.sure {
            return;
        }
        let here: Vec<Vec2> = self.ink.iter().map(|p| self.motion.apply(*p)).collect();
        let near = |c: &(f32, f32)| here.iter().map(|p| p.minus(Vec2::new(c.0, c.1)).length()).fold(f32::INFINITY, f32::min);
        let mut corners: Vec<(f32, (f32, f32))> =
            before.corners.iter().map(|c| (near(c), *c)).filter(|(d, _)| *d < 60.0).collect();
        corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points: Vec<(f32, f32)> = corners.iter().take(POINTS).map(|(_, c)| *c).collect();
        let params = TrackParams { window_size: 15, max_iterations: 12, min_eigen_threshold: 1e-4 };
        let there = calc_optical_flow_ex(&before.pyramid, &now.pyramid, &points, None, params);
        let to: Vec<(f32, f32)> = there.iter().map(|r| r.pos).collect();
        let back = calc_optical_flow_ex(&now.pyramid, &before.pyramid, &to, None, params);
        let pairs: Vec<Pair> = points
            .iter()
            .zip(&to)
            .zip(&back)
            .filter(|((p, _), b)| (p.0 - b.pos.0).hypot(p.1 - b.pos.1) < 1.0)
            .map(|((p, t), _)| Pair { from: Vec2::new(p.0, p.1), to: Vec2::new(t.0, t.1), weight: 1.0 })
            .collect();
        let Some(step) = fit_robust(&pairs, 1.5, &Similarity::IDENTITY, &mut self.random) else {
            self.sure = false;
            return;
        };
        let agree = pairs.iter().filter(|p| step.apply(p.from).minus(p.to).length() < 1.5).count();
        self.sure = agree >= 8 && 2 * agree >= points.len();
        self.motion = self.motion.then(&step);
    }
}
