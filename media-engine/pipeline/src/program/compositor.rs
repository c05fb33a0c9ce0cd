//! Composes by copying rows: every picture already has its final size and colours, so a program frame costs its bytes.

use link::frame::{FeedState, Sync};

use super::layout::PixelRect;
use crate::picture::{BLACK_LUMA, NEUTRAL_CHROMA, Picture};

/// Distance of two hatch lines of a dead picture, and their width, px along a row.
const HATCH_PITCH: usize = 28;
const HATCH_WIDTH: usize = 5;
const HATCH_LUMA: u8 = 126;
/// How bright a dead picture stays, of 256: 42 % (state looks of the interface).
const DEAD_BRIGHTNESS: u32 = 107;

/// Steel, for what is held on purpose, and amber, for what is late (colours of the interface), in BT.709 limited range.
const STEEL: [u8; 3] = [182, 135, 121];
const AMBER: [u8; 3] = [186, 70, 160];
/// The privacy curtain: its frame and the colours of its folds, one after the other across [`FOLD_PITCH`] px.
const VIOLET: [u8; 3] = [176, 161, 133];
const FOLD_MID: [u8; 3] = [43, 137, 130];
const FOLD_LIGHT: [u8; 3] = [57, 142, 131];
const FOLD_DARK: [u8; 3] = [37, 135, 129];
const FOLD_PITCH: usize = 48;
const FOLD_LIT: usize = 26;
/// A picture without a mask: its chequers, px, and how bright they are.
const CHECK: usize = 24;
const CHECK_LIGHT: u8 = 58;
const CHECK_DARK: u8 = 34;
/// The double frame of a held picture: two lines and what is free between them, px.
const LINE: usize = 2;
const FREE: usize = 4;
/// The dashed frame of a late picture: its width, and length and distance of its dashes, px.
const DASH_WIDTH: usize = 4;
const DASH: usize = 24;
const DASH_PITCH: usize = 36;
/// The dotted frame of a picture that is not synchronised: width of a dot, and distance of two, px.
const DOT: usize = 4;
const DOT_PITCH: usize = 12;
/// The two arrowheads of a picture that loops: height, and distance from the corner, px.
const HEAD: usize = 24;
const HEAD_AT: usize = 16;

/// Gives what stands in `rect` the look of its feed's state; a live picture stays as it is.
pub fn mark(canvas: &mut Picture, rect: PixelRect, state: FeedState) {
    match state {
        FeedState::Live => {}
        FeedState::XrayOff => mark_held(canvas, rect),
        FeedState::Looping => {
            mark_held(canvas, rect);
            mark_looping(canvas, rect);
        }
        FeedState::Stale => mark_late(canvas, rect),
        FeedState::Curtain => mark_curtain(canvas, rect),
        FeedState::MaskUnknown => mark_unmasked(canvas, rect),
        FeedState::Lost | FeedState::Unspecified => mark_dead(canvas, rect),
    }
}

/// A dotted frame around a live picture that does not, or perhaps does not, show the instant of the main feed.
pub fn mark_sync(canvas: &mut Picture, rect: PixelRect, sync: Sync) {
    if matches!(sync, Sync::Off | Sync::Unknown) {
        frame(canvas, rect, 0, DOT, AMBER, |along| along % DOT_PITCH < DOT);
    }
}

/// Vertical folds and a violet frame, over whatever was there: nothing of a picture is left.
pub fn mark_curtain(canvas: &mut Picture, rect: PixelRect) {
    for along in (0..rect.w).step_by(2) {
        let at = along % FOLD_PITCH;
        let (from, to, part, of) = if at < FOLD_LIT {
            (FOLD_MID, FOLD_LIGHT, at, FOLD_LIT)
        } else {
            (FOLD_LIGHT, FOLD_DARK, at - FOLD_LIT, FOLD_PITCH - FOLD_LIT)
        };
        let mix = |n: usize| ((usize::from(from[n]) * (of - part) + usize::from(to[n]) * part) / of) as u8;
        fill(canvas, PixelRect { x: rect.x + along, y: rect.y, w: 2, h: rect.h }, [mix(0), mix(1), mix(2)]);
    }
    frame(canvas, rect, 0, LINE, VIOLET, |_| true);
}

/// A chequered field and a dashed amber frame, over whatever was there: dark until somebody confirms a mask.
pub fn mark_unmasked(canvas: &mut Picture, rect: PixelRect) {
    for y in (0..rect.h).step_by(CHECK) {
        for x in (0..rect.w).step_by(CHECK) {
            let luma = if (x / CHECK + y / CHECK).is_multiple_of(2) { CHECK_LIGHT } else { CHECK_DARK };
            let (w, h) = (CHECK.min(rect.w - x), CHECK.min(rect.h - y));
            fill(canvas, PixelRect { x: rect.x + x, y: rect.y + y, w, h }, [luma, NEUTRAL_CHROMA, NEUTRAL_CHROMA]);
        }
    }
    mark_late(canvas, rect);
}

/// A double frame: held on purpose, at full brightness, for it is there to be read.
pub fn mark_held(canvas: &mut Picture, rect: PixelRect) {
    for inset in [0, LINE + FREE] {
        frame(canvas, rect, inset, LINE, STEEL, |_| true);
    }
}

/// A dashed frame around a picture that is late.
pub fn mark_late(canvas: &mut Picture, rect: PixelRect) {
    frame(canvas, rect, 0, DASH_WIDTH, AMBER, |along| along % DASH_PITCH < DASH);
}

/// Two arrowheads to the right in the upper left corner, with a black rim.
fn mark_looping(canvas: &mut Picture, rect: PixelRect) {
    if rect.w < 4 * HEAD || rect.h < 4 * HEAD {
        return;
    }
    for n in 0..2 {
        let (x, y) = (rect.x + HEAD_AT + n * (HEAD / 2 + 4), rect.y + HEAD_AT);
        for row in 0..HEAD / 2 {
            // From two sides towards the tip, two pixels a step.
            let long = 2 + 2 * row.min(HEAD / 2 - 1 - row);
            fill(canvas, PixelRect { x: x - 2, y: y + 2 * row, w: long + 4, h: 2 }, [BLACK_LUMA, NEUTRAL_CHROMA, NEUTRAL_CHROMA]);
            fill(canvas, PixelRect { x, y: y + 2 * row, w: long, h: 2 }, STEEL);
        }
    }
}

/// The border of `rect`, `width` px wide, `inset` px inside it; where `drawn` says so along each side.
fn frame(canvas: &mut Picture, rect: PixelRect, inset: usize, width: usize, ink: [u8; 3], drawn: impl Fn(usize) -> bool) {
    if rect.w < 2 * (inset + width) || rect.h < 2 * (inset + width) {
        return;
    }
    let (x, y, w, h) = (rect.x + inset, rect.y + inset, rect.w - 2 * inset, rect.h - 2 * inset);
    for along in (0..w).step_by(2).filter(|a| drawn(*a)) {
        for y in [y, y + h - width] {
            fill(canvas, PixelRect { x: x + along, y, w: 2, h: width }, ink);
        }
    }
    for along in (0..h).step_by(2).filter(|a| drawn(*a)) {
        for x in [x, x + w - width] {
            fill(canvas, PixelRect { x, y: y + along, w: width, h: 2 }, ink);
        }
    }
}

/// One colour over `rect`, whose numbers are even; what lies outside the canvas is left out.
fn fill(canvas: &mut Picture, rect: PixelRect, ink: [u8; 3]) {
    let size = canvas.geometry();
    let Some(planes) = canvas.planes_mut() else { return };
    for ((n, (out, stride)), value) in planes.into_iter().enumerate().zip(ink) {
        let half = usize::from(n > 0);
        let (right, bottom) = ((rect.x + rect.w).min(size.width) >> half, (rect.y + rect.h).min(size.height) >> half);
        for y in rect.y >> half..bottom {
            if let Some(row) = out.get_mut(y * stride + (rect.x >> half)..y * stride + right) {
                row.fill(value);
            }
        }
    }
}

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
