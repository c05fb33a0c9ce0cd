//! What a feed's pictures look like in numbers: a person who must not see them can tell black from frozen from fine. Pure.

use std::sync::Arc;

use annotation::time::CaptureTime;

use crate::picture::Picture;

/// Every fourth pixel of every fourth row is looked at: 26,000 of 864 x 486.
const STEP: usize = 4;
/// A picture is black when no pixel of the grid is brighter than this: 16 is black, the rest is the noise of a camera with its cap on.
const BLACK_LUMA_MAX: u8 = 40;

/// One picture at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Glance {
    pub luma_mean: u8,
    pub black: bool,
    /// Equal to its predecessor, pixel by pixel.
    pub frozen: bool,
}

/// Looks at each picture of one feed in turn.
#[derive(Debug, Default)]
pub struct Watcher {
    before: Option<Arc<Picture>>,
}

impl Watcher {
    pub fn look(&mut self, picture: &Arc<Picture>) -> Glance {
        let frozen = self.before.as_ref().is_some_and(|before| Arc::ptr_eq(before, picture) || same_luma(before, picture));
        self.before = Some(picture.clone());
        let width = picture.geometry().width;
        let plane = picture.plane(0);
        let (mut sum, mut n, mut brightest) = (0u64, 0u64, 0u8);
        for row in plane.data.chunks(plane.stride.max(1)).take(picture.geometry().height).step_by(STEP) {
            for &p in row.iter().take(width).step_by(STEP) {
                sum += u64::from(p);
                n += 1;
                brightest = brightest.max(p);
            }
        }
        Glance { luma_mean: (sum / n.max(1)) as u8, black: brightest <= BLACK_LUMA_MAX, frozen }
    }
}

/// Ends at the first row that differs, so a living picture costs next to nothing.
fn same_luma(a: &Picture, b: &Picture) -> bool {
    if a.geometry() != b.geometry() {
        return false;
    }
    let (width, height) = (a.geometry().width, a.geometry().height);
    let (a, b) = (a.plane(0), b.plane(0));
    (0..height).all(|y| a.data[y * a.stride..y * a.stride + width] == b.data[y * b.stride..y * b.stride + width])
}

/// A second of glances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    n: u32,
    luma_sum: u32,
    black: u32,
    frozen: u32,
    first: Option<CaptureTime>,
    last: Option<CaptureTime>,
}

/// What is reported of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// 0 to 255.
    pub luma_mean: u32,
    pub black_permille: u32,
    pub frozen_permille: u32,
    /// Mean time between two captures, us; 0 when fewer than two came.
    pub period_us: u32,
}

impl Figures {
    pub fn add(&mut self, glance: Glance, capture: CaptureTime) {
        self.n += 1;
        self.luma_sum += u32::from(glance.luma_mean);
        self.black += u32::from(glance.black);
        self.frozen += u32::from(glance.frozen);
        self.first.get_or_insert(capture);
        self.last = Some(capture);
    }

    /// The figures since the last call.
    pub fn take(&mut self) -> Report {
        let steps = if self.n > 0 && self.first != self.last { self.n.max(2) - 1 } else { 0 };
        let span_us = match (self.first, self.last) {
            (Some(first), Some(last)) => last.since(first).as_micros() as u64,
            _ => 0,
        };
        let n = self.n.max(1);
        let report = Report {
            luma_mean: self.luma_sum / n,
            black_permille: self.black * 1000 / n,
            frozen_permille: self.frozen * 1000 / n,
            period_us: span_us.checked_div(u64::from(steps)).unwrap_or(0) as u32,
        };
        *self = Figures::default();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Geometry;
    use std::time::Duration;

    fn picture(luma: u8, dot: Option<u8>) -> Arc<Picture> {
        let mut p = Picture::black(Geometry::new(64, 48).expect("even"));
        let [(plane, stride), ..] = p.planes_mut().expect("own");
        plane.fill(luma);
        if let Some(dot) = dot {
            plane[8 * stride + 12] = dot;
        }
        Arc::new(p)
    }

    #[test]
    fn black_and_frozen_pictures_are_told_from_good_ones() {
        let mut watcher = Watcher::default();
        assert_eq!(watcher.look(&picture(16, None)), Glance { luma_mean: 16, black: true, frozen: false });
        assert_eq!(watcher.look(&picture(16, None)), Glance { luma_mean: 16, black: true, frozen: true });
        assert_eq!(watcher.look(&picture(16, Some(200))), Glance { luma_mean: 16, black: false, frozen: false });
        assert_eq!(watcher.look(&picture(100, None)), Glance { luma_mean: 100, black: false, frozen: false });
    }

    #[test]
    fn a_second_of_glances_is_reported_and_forgotten() {
        let mut figures = Figures::default();
        assert_eq!(figures.take(), Report::default());
        let t0 = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        for k in 0..25u8 {
            let glance = Glance { luma_mean: 100, black: k % 5 == 0, frozen: k >= 20 };
            figures.add(glance, t0.saturating_add(Duration::from_millis(40) * u32::from(k)));
        }
        let report = figures.take();
        assert_eq!((report.luma_mean, report.black_permille, report.frozen_permille), (100, 200, 200));
        assert!(report.period_us.abs_diff(40_000) <= 1, "{report:?}");
        assert_eq!(figures.take(), Report::default());
    }
}
