//! A frame of which only the tracker's luma is left, as a picture without colour. Pure.
//!
//! That luma is made of the picture that everybody gets: after its mask, and gone with the feed when the curtain is drawn.

use std::collections::VecDeque;
use std::sync::Arc;

use annotation::time::CaptureTime;
use tracker::luma::Luma;

use crate::picture::{Geometry, Picture, resample};

/// As large as the luma is: at most 480 wide, and an even number of rows. `None`: too small to be a picture.
pub fn picture(luma: &Luma) -> Option<Arc<Picture>> {
    let geometry = Geometry::new(luma.width & !1, luma.height & !1)?;
    if luma.data.len() != luma.width * luma.height {
        return None;
    }
    // A row too many is squeezed, not cut off: what is drawn on the frame is placed by shares of it.
    let data = resample(&luma.data, (luma.width, luma.height), 1, (geometry.width, geometry.height));
    let mut picture = Picture::black(geometry);
    let [(rows, stride), ..] = picture.planes_mut()?;
    for (to, from) in rows.chunks_mut(stride).zip(data.chunks(geometry.width)) {
        to[..geometry.width].copy_from_slice(from);
    }
    Some(Arc::new(picture))
}

/// Changes of size that are remembered, each with the frame it began with. Policy: drop_oldest; of earlier frames there is no grey still.
const SHAPES_MAX: usize = 16;

/// How large a feed's frames are as they are captured: what is drawn on one names that, however small its still.
#[derive(Debug, Default)]
pub struct Shapes(VecDeque<(CaptureTime, Geometry)>);

impl Shapes {
    /// Frames come in the order of their captures.
    pub fn push(&mut self, at: CaptureTime, shape: Geometry) {
        if self.0.back().is_some_and(|(_, last)| *last == shape) {
            return;
        }
        if self.0.len() == SHAPES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((at, shape));
    }

    pub fn at(&self, t: CaptureTime) -> Option<Geometry> {
        self.0.iter().rev().find(|(from, _)| *from <= t).map(|(_, shape)| *shape)
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::NEUTRAL_CHROMA;

    #[test]
    fn luma_becomes_a_picture_without_colour_and_odd_rows_are_squeezed() {
        for (width, height, rows) in [(480, 270, 270), (480, 309, 308), (330, 200, 200)] {
            let data: Vec<u8> = (0..width * height).map(|i| 40 + (i / width * 150 / height) as u8).collect();
            let grey = picture(&Luma { width, height, data: data.clone() }).expect("a picture");
            assert_eq!(Some(grey.geometry()), Geometry::new(width, rows));
            assert!([1, 2].iter().all(|n| grey.plane(*n).data.iter().all(|c| *c == NEUTRAL_CHROMA)));
            let plane = grey.plane(0);
            let last = plane.data[(rows - 1) * plane.stride];
            assert!(plane.data[0] == data[0] && last.abs_diff(data[data.len() - 1]) <= 1, "from the first row to the last");
        }
        assert!(picture(&Luma { width: 480, height: 270, data: vec![0; 9] }).is_none());
        assert!(picture(&Luma { width: 1, height: 1, data: vec![0] }).is_none());
    }

    #[test]
    fn a_frame_has_the_shape_that_was_last_begun_before_it() {
        let [small, large] = [(640, 360), (1280, 720)].map(|(w, h)| Geometry::new(w, h).expect("even"));
        let mut shapes = Shapes::default();
        for (t, shape) in [(10, small), (11, small), (12, large)] {
            shapes.push(CaptureTime(t), shape);
        }
        assert_eq!(
            [9, 10, 11, 12, 99].map(|t| shapes.at(CaptureTime(t))),
            [None, Some(small), Some(small), Some(large), Some(large)]
        );
        for t in 0..100 {
            shapes.push(CaptureTime(100 + t), if t % 2 == 0 { small } else { large });
        }
        assert_eq!((shapes.0.len(), shapes.at(CaptureTime(99))), (SHAPES_MAX, None));
    }
}
