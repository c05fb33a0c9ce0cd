//! Ink on moving pictures whose motion is known: generated scenes, recorded clips, the tracker on them, and what one would do without it.

pub mod baseline;
pub mod clip;
pub mod layers;
pub mod motion;
pub mod noise;
pub mod run;
pub mod tissue;
pub mod xray;

use tracker::luma::{Kind, Luma};
use tracker::similarity::Vec2;

/// Size of generated pictures: the tracker's own.
pub const WIDTH: usize = 480;
pub const HEIGHT: usize = 270;
/// Errors are told in pixels of a 1920 wide picture.
pub const PX_1080: f64 = 1920.0 / WIDTH as f64;

/// Pictures whose every point can be followed exactly.
pub trait Scene {
    fn name(&self) -> String;
    fn kind(&self) -> Kind;
    fn frames(&self) -> usize;
    fn period_s(&self) -> f64;
    fn luma(&mut self, k: usize) -> Luma;
    /// The point of the tissue that lies at `at` in frame `k`, to be asked for with [`Scene::place`].
    fn material(&self, k: usize, at: Vec2) -> Option<[f64; 2]>;
    /// Where that point lies in frame `k`; `None`: it is not in the scene then (cut away), so nothing drawn can be right.
    fn place(&self, k: usize, material: [f64; 2]) -> Option<Vec2>;
    /// Does an instrument lie over this pixel of frame `k`?
    fn covers(&self, _k: usize, _at: Vec2) -> bool {
        false
    }
    /// Frames in which the ink's tissue goes from sight for good or for long: from each, how long until it is lost is measured.
    fn causes(&self) -> Vec<usize> {
        Vec::new()
    }
    /// Ink to be drawn: (frame of pen-down, points in that frame).
    fn strokes(&mut self) -> Vec<(usize, Vec<Vec2>)>;
}
