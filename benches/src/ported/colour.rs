//! One colour: what comes out must look like what went in.

use anyhow::{Result, ensure};

/// Of a picture that is [`RED`] all over.
pub const SIZE: (usize, usize) = (320, 180);
/// A source for a graph.
pub const RED: &str = "videotestsrc is-live=true pattern=solid-color foreground-color=0xffd02020 \
    ! video/x-raw,format=I420,width=320,height=180,framerate=30/1";
/// 0xd02020 in BT.601, limited: Y, Cb, Cr.
const WANTED: [f64; 3] = [87.0, 103.0, 208.0];
/// What coding does to a flat picture is less.
const OFF: f64 = 24.0;
/// Of a picture that is cut in four slices none may be missing.
const PARTS: usize = 8;

/// Each eighth of each plane of this I420 is red.
pub fn check_red(i420: &[u8]) -> Result<()> {
    let (y, c) = (SIZE.0 * SIZE.1, SIZE.0 * SIZE.1 / 4);
    ensure!(i420.len() == y + 2 * c, "{} bytes are no picture of {SIZE:?}", i420.len());
    for (plane, wanted) in [&i420[..y], &i420[y..y + c], &i420[y + c..]].into_iter().zip(WANTED) {
        for part in plane.chunks(plane.len() / PARTS) {
            let got = f64::from(part[part.len() / 2]);
            ensure!((got - wanted).abs() < OFF, "{got} is not {wanted}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_is_red_and_a_picture_with_a_grey_slice_is_not() {
        let planes = [(87u8, 320 * 180), (103, 160 * 90), (208, 160 * 90)];
        let red: Vec<u8> = planes.iter().flat_map(|(value, n)| std::iter::repeat_n(*value, *n)).collect();
        assert!(check_red(&red).is_ok());
        assert!(check_red(&red[1..]).is_err());
        let mut grey = red;
        grey[320 * 135..320 * 180].fill(128);
        assert!(check_red(&grey).is_err());
    }
}
