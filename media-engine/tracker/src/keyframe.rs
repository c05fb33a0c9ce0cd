//! The frame a stroke was drawn on, as the tracker remembers it: where the ink lies and the patches of tissue around it.

use crate::luma::{Frame, Kind};
use crate::patch::{SIDE, Template, eigen_min};
use crate::similarity::Vec2;

/// Points of the ink that are asked for one by one.
const INK_POINTS_MAX: usize = 16;

/// How patches are chosen. Pixels of the finest level.
#[derive(Debug, Clone, Copy)]
pub struct Support {
    /// Patches may lie so far from the ink.
    pub margin: f32,
    /// A patch at this distance counts half.
    pub half_weight: f32,
    /// Most patches, by level from the finest.
    pub patches: [usize; 3],
    /// Least distance between two patches of the finest level.
    pub apart: f32,
    /// Smaller eigenvalue of a patch's gradients, at least: below, noise moves it.
    pub eigen_min: f32,
    /// The same against the sum of both, at least: below, the patch can slide along an edge.
    pub corner_min: f32,
}

impl Support {
    pub fn of(kind: Kind) -> Support {
        match kind {
            Kind::Tissue => {
                Support { margin: 40.0, half_weight: 18.0, patches: [40, 20, 12], apart: 9.0, eigen_min: 40.0, corner_min: 0.03 }
            }
            // 60 px at 1080p: anatomy moves against its still background, and the background is the better texture.
            Kind::Fluoroscopy => {
                Support { margin: 15.0, half_weight: 10.0, patches: [36, 12, 0], apart: 4.0, eigen_min: 120.0, corner_min: 0.08 }
            }
        }
    }
}

/// A patch and how much it counts, by its distance from the ink.
#[derive(Debug, Clone)]
pub struct Anchorage {
    pub template: Template,
    /// X-ray: the same square of everything there is to see.
    pub whole: Option<Template>,
    /// Centre among the finest pixels.
    pub at: Vec2,
    pub weight: f32,
}

#[derive(Debug, Clone)]
pub struct Keyframe {
    pub ink: Vec<Vec2>,
    /// By level, finest first.
    pub patches: [Vec<Anchorage>; 3],
    pub centre: Vec2,
}

impl Keyframe {
    /// `ink`: where the stroke runs, in pixels of `frame`. `None` when none of it lies in the picture.
    pub fn new(frame: &Frame, ink: &[Vec2], support: &Support) -> Option<Keyframe> {
        let (w, h) = (frame.width() as f32, frame.height() as f32);
        let ink = spread(ink, w, h);
        if ink.is_empty() {
            return None;
        }
        let n = ink.len() as f32;
        let centre = Vec2::new(ink.iter().map(|p| p.x).sum::<f32>() / n, ink.iter().map(|p| p.y).sum::<f32>() / n);
        let patches = [0, 1, 2].map(|level| choose(frame, &ink, level, support));
        Some(Keyframe { ink, patches, centre })
    }

    /// Distance from the ink to `p`.
    pub fn distance(&self, p: Vec2) -> f32 {
        distance(&self.ink, p)
    }
}

fn distance(ink: &[Vec2], p: Vec2) -> f32 {
    ink.iter().map(|q| p.minus(*q).length()).fold(f32::INFINITY, f32::min)
}

/// At most [`INK_POINTS_MAX`] points along the ink, evenly by length, within the picture.
fn spread(ink: &[Vec2], w: f32, h: f32) -> Vec<Vec2> {
    let good: Vec<Vec2> = ink.iter().copied().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    let Some(&first) = good.first() else { return Vec::new() };
    let length: f32 = good.windows(2).map(|p| p[1].minus(p[0]).length()).sum();
    let n = ((length / 6.0) as usize + 1).min(INK_POINTS_MAX);
    let step = length / n as f32;
    let mut out = vec![first];
    let (mut walked, mut next) = (0.0, step);
    for p in good.windows(2) {
        let d = p[1].minus(p[0]).length();
        while d > 0.0 && walked + d >= next && out.len() < INK_POINTS_MAX {
            let t = (next - walked) / d;
            out.push(Vec2::new(p[0].x + t * (p[1].x - p[0].x), p[0].y + t * (p[1].y - p[0].y)));
            next += step.max(1e-3);
        }
        walked += d;
    }
    out.retain(|p| p.x >= 0.0 && p.y >= 0.0 && p.x <= w - 1.0 && p.y <= h - 1.0);
    out
}

/// The best patches of one level: strong in both directions, near the ink, apart from each other.
fn choose(frame: &Frame, ink: &[Vec2], level: usize, support: &Support) -> Vec<Anchorage> {
    let most = support.patches[level];
    if most == 0 {
        return Vec::new();
    }
    let plane = &frame.levels[level];
    let k = (1usize << level) as f32;
    let margin = support.margin + 4.0 * (k - 1.0);
    let bound = |f: fn(f32, f32) -> f32, of: fn(&Vec2) -> f32, start: f32| ink.iter().map(of).fold(start, f);
    let (x0, x1) = (bound(f32::min, |p| p.x, f32::INFINITY) - margin, bound(f32::max, |p| p.x, 0.0) + margin);
    let (y0, y1) = (bound(f32::min, |p| p.y, f32::INFINITY) - margin, bound(f32::max, |p| p.y, 0.0) + margin);
    let step = if level == 0 { (support.apart / 2.0).max(2.0) as usize } else { 4 };
    let first = |v: f32| ((v / k) as i32 - SIDE as i32 / 2).max(1) as usize;
    let mut candidates = Vec::new();
    for y in (first(y0)..=((y1 / k) as usize).min(plane.height)).step_by(step) {
        for x in (first(x0)..=((x1 / k) as usize).min(plane.width)).step_by(step) {
            let at = Vec2::new(x as f32 + 7.5, y as f32 + 7.5).from_level(k);
            let d = distance(ink, at);
            if d > margin {
                continue;
            }
            let side = (SIDE as f32 * k) as i32;
            let corner = Vec2::new(x as f32, y as f32).from_level(k);
            if frame.glare_share(corner.x as i32, corner.y as i32, side) > 0.15 {
                continue;
            }
            let Some(template) = Template::new(plane, x, y) else { continue };
            let whole = frame.whole.as_ref().filter(|_| level == 0).and_then(|w| Template::new(w, x, y));
            let eigen = eigen_min(template.moments);
            let [xx, _, yy] = template.moments;
            if eigen < support.eigen_min || eigen < support.corner_min * (xx + yy) {
                continue;
            }
            let weight = 1.0 / (1.0 + (d / support.half_weight).powi(2));
            // The eigenvalue says how well the patch can be found, up to where anything is good enough.
            candidates.push((eigen.min(20_000.0).sqrt() * (0.2 + weight), Anchorage { template, whole, at, weight }));
        }
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    let area = (x1 - x0) * (y1 - y0);
    let apart = (0.7 * (area / most as f32).sqrt()).clamp(support.apart, 24.0) * if level == 0 { 1.0 } else { k / 1.5 };
    let mut chosen: Vec<Anchorage> = Vec::with_capacity(most);
    for (_, c) in candidates {
        if chosen.len() == most {
            break;
        }
        if chosen.iter().all(|o| o.at.minus(c.at).length() >= apart) {
            chosen.push(c);
        }
    }
    chosen
}
