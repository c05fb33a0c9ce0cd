//! Points of a stroke: first absolute, then differences, as the wire carries them. The same codec runs in the browser
//! (`web-client/src/core/points.ts`); vectors: `vectors/points.json`.

use crate::wire;

/// One sample of the pen. `x`, `y`: 1/16384 of the picture's *width* on both axes, top left origin, of the feed's own
/// picture. `pressure`: 0..=255, 255 when the device has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    pub x: i32,
    pub y: i32,
    pub pressure: u8,
}

/// The width of every picture, in the units of [`Point`].
pub const PICTURE_WIDTH: i32 = 16_384;
/// Largest coordinate either way: a picture eight times as high as wide.
pub const COORDINATE_MAX: i32 = 8 * PICTURE_WIDTH;
/// Most points of one stroke: 17 s at 240 Hz; a pen down for longer begins a new stroke.
pub const POINTS_MAX: usize = 4_096;

/// Why points cannot be read. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointsError {
    #[error("x, y and pressure are of different length")]
    Lengths,
    #[error("more than {POINTS_MAX} points")]
    TooMany,
    #[error("a coordinate lies outside any picture")]
    Range,
}

/// Differences, as the wire carries them. Pressure is left out when every point has 255.
pub fn encode(points: &[Point]) -> wire::Points {
    let mut out = wire::Points::default();
    let (mut px, mut py) = (0, 0);
    for p in points {
        out.x.push(p.x - px);
        out.y.push(p.y - py);
        (px, py) = (p.x, p.y);
    }
    if points.iter().any(|p| p.pressure != 255) {
        out.pressure = points.iter().map(|p| p.pressure).collect();
    }
    out
}

/// Points from the wire, checked: equal lengths, at most [`POINTS_MAX`], every coordinate within [`COORDINATE_MAX`].
pub fn decode(points: &wire::Points) -> Result<Vec<Point>, PointsError> {
    let n = points.x.len();
    if points.y.len() != n || !(points.pressure.is_empty() || points.pressure.len() == n) {
        return Err(PointsError::Lengths);
    }
    if n > POINTS_MAX {
        return Err(PointsError::TooMany);
    }
    let mut out = Vec::with_capacity(n);
    let (mut x, mut y) = (0i32, 0i32);
    for i in 0..n {
        x = x.checked_add(points.x[i]).ok_or(PointsError::Range)?;
        y = y.checked_add(points.y[i]).ok_or(PointsError::Range)?;
        if x.unsigned_abs() > COORDINATE_MAX as u32 || y.unsigned_abs() > COORDINATE_MAX as u32 {
            return Err(PointsError::Range);
        }
        out.push(Point { x, y, pressure: points.pressure.get(i).copied().unwrap_or(255) });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_survive_the_wire() {
        let points: Vec<Point> =
            (0..500).map(|i| Point { x: 100 + i * 7 % 300, y: 9_000 - i * 3, pressure: (i % 256) as u8 }).collect();
        assert_eq!(decode(&encode(&points)), Ok(points));
        assert_eq!(decode(&encode(&[])), Ok(vec![]));
    }

    #[test]
    fn a_pen_without_pressure_sends_none() {
        let wire = encode(&[Point { x: 1, y: 2, pressure: 255 }]);
        assert!(wire.pressure.is_empty());
    }

    #[test]
    fn crooked_points_are_refused() {
        let p = |x: Vec<i32>, y: Vec<i32>, pressure: Vec<u8>| wire::Points { x, y, pressure };
        assert_eq!(decode(&p(vec![1], vec![], vec![])), Err(PointsError::Lengths));
        assert_eq!(decode(&p(vec![1, 2], vec![1, 2], vec![9])), Err(PointsError::Lengths));
        assert_eq!(decode(&p(vec![i32::MAX, 1], vec![0, 0], vec![])), Err(PointsError::Range));
        assert_eq!(decode(&p(vec![COORDINATE_MAX + 1], vec![0], vec![])), Err(PointsError::Range));
        assert_eq!(decode(&p(vec![i32::MIN], vec![0], vec![])), Err(PointsError::Range));
        assert_eq!(decode(&p(vec![0; 4097], vec![0; 4097], vec![])), Err(PointsError::TooMany));
    }
}
