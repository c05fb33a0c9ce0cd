//! Composes by copying rows: every picture already has its final size and colours, so a program frame costs its bytes.

use super::layout::PixelRect;
use crate::picture::{BLACK_LUMA, NEUTRAL_CHROMA, Picture};

/// Distance of two hatch lines of a dead picture, and their width, px along a row.
const HATCH_PITCH: usize = 28;
const HATCH_WIDTH: usize = 5;
const HATCH_LUMA: u8 = 126;
/// How bright a dead picture stays, of 256: 42 % (state looks of the interface).
const DEAD_BRIGHTNESS: u32 = 107;

pub fn clear(canvas: &mut Picture) {
    let Some([(luma, _), (u, _), (v, _)]) = canvas.planes_mut() else { return };
    luma.fill(BLACK_LUMA);
    u.fill(NEUTRAL_CHROMA);
    v.fill(NEUTRAL_CHROMA);
}

/// Copies `picture` into `rect` of the canvas. Both are of one size; of another the smaller part is copied.
/// `rect` has even numbers and lies in the canvas.
pub fn blit(canvas: &mut Picture, picture: &Picture, rect: PixelRect) {
    let (from, to) = (picture.geometry(), canvas.geometry());
    let width = rect.w.min(from.width).min(to.width.saturating_sub(rect.x));
    let height = rect.h.min(from.height).min(to.height.saturating_sub(rect.y));
    let Some(planes) = canvas.planes_mut() else { return };
    for (n, (out, out_stride)) in planes.into_iter().enumerate() {
        let half = usize::from(n > 0);
        let (x, y, w, h) = (rect.x >> half, rect.y >> half, width >> half, height >> half);
        let plane = picture.plane(n);
        for row in 0..h {
            let at = (y + row) * out_stride + x;
            out[at..at + w].copy_from_slice(&plane.data[row * plane.stride..row * plane.stride + w]);
        }
    }
}

/// Makes what stands in `rect` look dead: grey, dark, hatched at 45 degrees in the direction in which pages hatch. A dead picture never looks alive.
pub fn mark_dead(canvas: &mut Picture, rect: PixelRect) {
    let Some(planes) = canvas.planes_mut() else { return };
    for (n, (out, stride)) in planes.into_iter().enumerate() {
        if n > 0 {
            for y in rect.y / 2..(rect.y + rect.h) / 2 {
                out[y * stride + rect.x / 2..y * stride + (rect.x + rect.w) / 2].fill(NEUTRAL_CHROMA);
            }
            continue;
        }
        for y in rect.y..rect.y + rect.h {
            let row = &mut out[y * stride + rect.x..y * stride + rect.x + rect.w];
            // x - y, kept positive: lines fall to the right, as CSS draws stripes of a gradient at 45 degrees.
            let falling = HATCH_PITCH - (y - rect.y) % HATCH_PITCH;
            for (x, p) in row.iter_mut().enumerate() {
                *p = if (x + falling) % HATCH_PITCH < HATCH_WIDTH {
                    HATCH_LUMA
                } else {
                    let above_black = u32::from(p.saturating_sub(BLACK_LUMA));
                    BLACK_LUMA + (above_black * DEAD_BRIGHTNESS / 256) as u8
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Geometry;

    fn picture(w: usize, h: usize, luma: u8, u: u8, v: u8) -> Picture {
        let mut p = Picture::black(Geometry::new(w, h).expect("even"));
        let [(a, _), (b, _), (c, _)] = p.planes_mut().expect("own");
        a.fill(luma);
        b.fill(u);
        c.fill(v);
        p
    }

    fn luma_at(p: &Picture, x: usize, y: usize) -> u8 {
        let plane = p.plane(0);
        plane.data[y * plane.stride + x]
    }

    fn chroma_at(p: &Picture, x: usize, y: usize) -> (u8, u8) {
        let (u, v) = (p.plane(1), p.plane(2));
        (u.data[y / 2 * u.stride + x / 2], v.data[y / 2 * v.stride + x / 2])
    }

    #[test]
    fn each_picture_lies_exactly_in_its_rectangle() {
        let mut canvas = picture(64, 48, 200, 10, 20);
        clear(&mut canvas);
        blit(&mut canvas, &picture(32, 16, 100, 90, 91), PixelRect { x: 8, y: 4, w: 32, h: 16 });
        blit(&mut canvas, &picture(16, 16, 50, 60, 61), PixelRect { x: 48, y: 32, w: 16, h: 16 });
        for y in 0..48 {
            for x in 0..64 {
                let first = (8..40).contains(&x) && (4..20).contains(&y);
                let second = x >= 48 && y >= 32;
                let want = if first {
                    (100, (90, 91))
                } else if second {
                    (50, (60, 61))
                } else {
                    (16, (128, 128))
                };
                assert_eq!((luma_at(&canvas, x, y), chroma_at(&canvas, x, y)), want, "at {x},{y}");
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_stays_inside() {
        let mut canvas = picture(32, 32, 16, 128, 128);
        blit(&mut canvas, &picture(64, 64, 99, 99, 99), PixelRect { x: 16, y: 16, w: 16, h: 16 });
        assert_eq!(luma_at(&canvas, 15, 16), 16);
        assert_eq!(luma_at(&canvas, 31, 31), 99);
        blit(&mut canvas, &picture(16, 16, 40, 99, 99), PixelRect { x: 0, y: 0, w: 32, h: 32 });
        assert_eq!(luma_at(&canvas, 15, 15), 40);
        assert_eq!(luma_at(&canvas, 31, 31), 99);
    }

    #[test]
    fn a_dead_picture_is_grey_dark_and_hatched_and_its_neighbour_is_not() {
        let mut canvas = picture(128, 64, 200, 60, 180);
        mark_dead(&mut canvas, PixelRect { x: 0, y: 0, w: 64, h: 64 });
        let dead: Vec<u8> = (0..64).map(|x| luma_at(&canvas, x, 10)).collect();
        assert!(dead.contains(&HATCH_LUMA));
        assert!(dead.iter().all(|&p| p == HATCH_LUMA || p < 100));
        assert_eq!(chroma_at(&canvas, 10, 10), (128, 128));
        assert_eq!((luma_at(&canvas, 64, 10), chroma_at(&canvas, 64, 10)), (200, (60, 180)));
    }

    #[test]
    fn hatch_lines_fall_to_the_right_and_the_rest_keeps_42_percent() {
        let mut canvas = picture(128, 64, 200, 60, 180);
        mark_dead(&mut canvas, PixelRect { x: 8, y: 6, w: 96, h: 48 });
        for y in 6..53 {
            for x in 8..103 {
                assert_eq!(luma_at(&canvas, x, y), luma_at(&canvas, x + 1, y + 1), "at {x},{y}");
                assert!([HATCH_LUMA, 16 + 77].iter().any(|l| l.abs_diff(luma_at(&canvas, x, y)) <= 1));
            }
        }
    }
}
