//! Shapes of a mask in pixels: which parts of a picture they touch. Whatever is touched at all counts as covered. Pure.

use crate::picture::Geometry;

/// Lines on which a polygon is looked at within one pixel of its source.
const LINES_PER_PX: u32 = 4;

/// In pixels of the source's own picture.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// x, y, width, height.
    Rect([u32; 4]),
    Polygon(&'a [[u32; 2]]),
}

impl Shape<'_> {
    /// Where it lies between these two heights: (from, to) each; a polygon may be there in several parts.
    fn within(&self, top: f64, bottom: f64, mut part: impl FnMut(f64, f64)) {
        match *self {
            Shape::Rect([x, y, w, h]) => {
                if bottom > f64::from(y) && top < f64::from(y) + f64::from(h) {
                    part(f64::from(x), f64::from(x) + f64::from(w));
                }
            }
            Shape::Polygon(corners) => {
                let lines = ((bottom - top) * f64::from(LINES_PER_PX)).ceil().max(1.0) as u32;
                for n in 0..=lines {
                    crossings(corners, top + (bottom - top) * f64::from(n) / f64::from(lines), &mut part);
                }
                // Between two lines an edge may reach further out than on either.
                for (a, b) in edges(corners) {
                    let (upper, lower) = (a[1].min(b[1]), a[1].max(b[1]));
                    if lower >= top && upper <= bottom {
                        let x_at = |y: f64| if a[1] == b[1] { a[0] } else { a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) };
                        let ends = if a[1] == b[1] { [a[0], b[0]] } else { [x_at(upper.max(top)), x_at(lower.min(bottom))] };
                        part(ends[0].min(ends[1]), ends[0].max(ends[1]));
                    }
                }
            }
        }
    }

    /// Comes it nearer than `apart` px to this rectangle?
    pub fn meets(&self, [x, y, w, h]: [u32; 4], apart: i64) -> bool {
        let apart = apart as f64;
        let (left, right) = (f64::from(x) - apart, f64::from(x) + f64::from(w) + apart);
        let (top, bottom) = (f64::from(y) - apart, f64::from(y) + f64::from(h) + apart);
        let mut meets = false;
        self.within(top, bottom, |from, to| meets |= to > left && from < right);
        meets
    }
}

fn edges(corners: &[[u32; 2]]) -> impl Iterator<Item = ([f64; 2], [f64; 2])> + '_ {
    let point = |[x, y]: [u32; 2]| [f64::from(x), f64::from(y)];
    let next = corners.iter().cycle().skip(1);
    corners.iter().zip(next).map(move |(a, b)| (point(*a), point(*b)))
}

/// The parts of the line at height `y` that lie inside: even-odd.
fn crossings(corners: &[[u32; 2]], y: f64, part: &mut impl FnMut(f64, f64)) {
    let crossed = edges(corners).filter(|(a, b)| (a[1] <= y) != (b[1] <= y));
    let mut xs: Vec<f64> = crossed.map(|(a, b)| a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1])).collect();
    xs.sort_by(f64::total_cmp);
    xs.chunks_exact(2).for_each(|pair| part(pair[0], pair[1]));
}

/// The pairs of rows and columns of a picture of `size` that `shape` touches, with a ring of one pixel: scaling spreads what it
/// scales. `native`: of the picture in whose pixels the shape is given. `run`: (row, first, end), all halved.
pub fn spans(shape: Shape<'_>, native: (u32, u32), size: Geometry, mut run: impl FnMut(usize, usize, usize)) {
    let (sx, sy) = (size.width as f64 / f64::from(native.0), size.height as f64 / f64::from(native.1));
    let columns = size.width / 2;
    for row in 0..size.height / 2 {
        let (top, bottom) = (2.0 * row as f64 - 1.0, 2.0 * row as f64 + 3.0);
        let mut covered: Vec<(usize, usize)> = Vec::new();
        shape.within(top / sy, bottom / sy, |from, to| {
            let first = ((from * sx - 1.0) / 2.0).floor().max(0.0) as usize;
            let end = (((to * sx + 1.0) / 2.0).ceil().max(0.0) as usize).min(columns);
            if first < end {
                covered.push((first, end));
            }
        });
        covered.sort_unstable();
        let mut merged: Option<(usize, usize)> = None;
        for (first, end) in covered {
            merged = match merged {
                Some((from, to)) if first <= to => Some((from, to.max(end))),
                Some((from, to)) => {
                    run(row, from, to);
                    Some((first, end))
                }
                None => Some((first, end)),
            };
        }
        if let Some((from, to)) = merged {
            run(row, from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(shape: Shape<'_>, size: usize) -> Vec<String> {
        let g = Geometry::new(size, size).expect("even");
        let mut rows = vec![vec![b'.'; size / 2]; size / 2];
        spans(shape, (size as u32, size as u32), g, |row, from, to| rows[row][from..to].fill(b'#'));
        rows.into_iter().map(|r| String::from_utf8(r).expect("ascii")).collect()
    }

    #[test]
    fn a_rectangle_touches_what_it_says_and_a_ring() {
        let rows = drawn(Shape::Rect([8, 8, 4, 2]), 20);
        let want = [
            "..........",
            "..........",
            "..........",
            "...####...",
            "...####...",
            "...####...",
            "..........",
            "..........",
            "..........",
            "..........",
        ];
        assert_eq!(rows, want);
    }

    #[test]
    fn a_hollow_polygon_keeps_its_notch() {
        // A "U": the middle of its top is free.
        let u = [[0, 0], [8, 0], [8, 28], [32, 28], [32, 0], [40, 0], [40, 40], [0, 40]];
        let rows = drawn(Shape::Polygon(&u), 40);
        assert_eq!(rows[4], "#####..........#####");
        assert_eq!(rows[16], "####################");
        assert!(Shape::Polygon(&u).meets([4, 4, 2, 2], 0) && !Shape::Polygon(&u).meets([12, 4, 16, 16], 3));
    }

    #[test]
    fn flat_and_pointed_polygons_are_not_lost() {
        let flat = [[2, 10], [38, 10], [20, 10]];
        assert!(drawn(Shape::Polygon(&flat), 40)[5].contains("################"));
        let needle = [[20, 2], [21, 38], [20, 38]];
        assert!(drawn(Shape::Polygon(&needle), 40)[1..19].iter().all(|row| row.contains('#')));
    }
}
