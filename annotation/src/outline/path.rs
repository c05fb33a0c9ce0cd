//! Lines through points: smoothing, arc length, dashes.

use super::Xy;
use crate::points::Point;

/// Farthest that a flattened curve may lie beside the curve, px.
const FLATNESS: f64 = 0.1;
/// Chords of one curve at most.
const CHORDS_MAX: f64 = 16.0;
/// Corners of an ellipse.
const ELLIPSE_CORNERS: i32 = 64;
/// Shorter than this a line is a dot, px.
const DOT: f64 = 0.01;

/// A stretch of a pen's path that has one width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// Eighths of the stroke's width, 4..=8, by the pressure.
    pub(super) eighths: u8,
    pub(super) points: Vec<Xy>,
}

/// A smooth path: quadratic curves through the midpoints, each sample being a control point; both ends exact. Cut where the
/// pressure changes its width.
pub(super) fn bend(path: &[Xy], samples: &[Point]) -> Vec<Run> {
    let Some(start) = path.first() else { return Vec::new() };
    let pressure = |i: usize| u32::from(samples.get(i).map_or(255, |s| s.pressure));
    if path.len() == 1 {
        return vec![Run { eighths: eighths(pressure(0)), points: vec![*start] }];
    }
    let mut runs: Vec<Run> = Vec::new();
    let mut at = *start;
    for i in 1..path.len() {
        let control = path[i];
        let end = path.get(i + 1).map_or(control, |next| mid(control, *next));
        let next = pressure((i + 1).min(path.len() - 1));
        let level = eighths((pressure(i - 1) + 2 * pressure(i) + next) / 4);
        if runs.last().is_none_or(|run| run.eighths != level) {
            runs.push(Run { eighths: level, points: vec![at] });
        }
        if let Some(run) = runs.last_mut() {
            flatten(&mut run.points, at, control, end);
        }
        at = end;
    }
    runs
}

/// No pressure: half the width; full pressure, and a device that has none: all of it.
fn eighths(pressure: u32) -> u8 {
    4 + ((pressure * 4 + 127) / 255) as u8
}

fn mid(a: Xy, b: Xy) -> Xy {
    Xy { x: f64::midpoint(a.x, b.x), y: f64::midpoint(a.y, b.y) }
}

/// Chords of equal parameter, as many as [`FLATNESS`] asks for. The error of n chords is |from − 2 control + end| / 4n².
fn flatten(out: &mut Vec<Xy>, from: Xy, control: Xy, end: Xy) {
    let bow = (from.x - 2.0 * control.x + end.x).hypot(from.y - 2.0 * control.y + end.y);
    let n = (bow / (4.0 * FLATNESS)).sqrt().ceil().clamp(1.0, CHORDS_MAX);
    for k in 1..=n as u32 {
        let t = f64::from(k) / n;
        let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        out.push(Xy { x: a * from.x + b * control.x + c * end.x, y: a * from.y + b * control.y + c * end.y });
    }
}

/// Corners of the ellipse that touches the box between two opposite corners, in units of points.
pub(super) fn ellipse(first: Point, last: Point) -> Vec<(f64, f64)> {
    let (x1, y1, x2, y2) = (f64::from(first.x), f64::from(first.y), f64::from(last.x), f64::from(last.y));
    let (cx, cy, rx, ry) = (f64::midpoint(x1, x2), f64::midpoint(y1, y2), (x2 - x1).abs() / 2.0, (y2 - y1).abs() / 2.0);
    let corner = |k: i32| {
        let (sin, cos) = (f64::from(k) * std::f64::consts::TAU / f64::from(ELLIPSE_CORNERS)).sin_cos();
        (cx + rx * cos, cy + ry * sin)
    };
    (0..ELLIPSE_CORNERS).map(corner).collect()
}

pub(super) fn length(path: &[Xy]) -> f64 {
    path.windows(2).map(|p| (p[1].x - p[0].x).hypot(p[1].y - p[0].y)).sum()
}

pub(super) fn is_dot(path: &[Xy]) -> bool {
    length(path) < DOT
}

/// The place `s` px along the path and the direction there (a unit vector).
pub(super) fn along(path: &[Xy], s: f64) -> Option<(Xy, Xy)> {
    let mut left = s;
    let mut last = None;
    for p in path.windows(2) {
        let (dx, dy) = (p[1].x - p[0].x, p[1].y - p[0].y);
        let step = dx.hypot(dy);
        if step <= 0.0 {
            continue;
        }
        let direction = Xy { x: dx / step, y: dy / step };
        if left <= step {
            return Some((Xy { x: p[0].x + direction.x * left, y: p[0].y + direction.y * left }, direction));
        }
        left -= step;
        last = Some((p[1], direction));
    }
    last
}

/// The stretch of the path from `from` to `to` px along it.
pub(super) fn stretch(path: &[Xy], from: f64, to: f64) -> Vec<Xy> {
    let mut out = Vec::new();
    let Some((start, _)) = along(path, from) else { return out };
    out.push(start);
    let mut s = 0.0;
    for p in path.windows(2) {
        s += (p[1].x - p[0].x).hypot(p[1].y - p[0].y);
        if s > from && s < to {
            out.push(p[1]);
        }
    }
    if let Some((end, _)) = along(path, to) {
        out.push(end);
    }
    out
}
