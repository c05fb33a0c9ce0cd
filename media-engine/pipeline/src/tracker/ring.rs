//! The last seconds of one feed, bounded by time and by number. Policy: drop_oldest. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;
use tracker::luma::Luma;

use crate::picture::Picture;

/// Luma of the tracker: a stroke names a frame up to 400 ms old, a page that was away some seconds; then it is the still, too. 150 frames x 130 kB = 20 MB at 30 a second.
pub const LUMA_KEPT: Duration = Duration::from_millis(5_200);
const LUMA_FRAMES_MAX: usize = 320;
/// Full frames, for stills: 40 frames x 1.4 MB = 56 MB at 1280x720, 30 a second; at 1920x1080 124 MB, all of it locked. So no longer than lines take.
pub const FULL_KEPT: Duration = Duration::from_millis(1_300);
const FULL_FRAMES_MAX: usize = 80;

/// Frames by capture time, oldest first.
#[derive(Debug)]
pub struct Ring<T> {
    frames: VecDeque<(CaptureTime, Arc<T>)>,
    kept: Duration,
    most: usize,
}

impl Ring<Luma> {
    pub fn of_luma() -> Self {
        Ring { frames: VecDeque::new(), kept: LUMA_KEPT, most: LUMA_FRAMES_MAX }
    }
}

impl Ring<Picture> {
    pub fn of_pictures() -> Self {
        Ring { frames: VecDeque::new(), kept: FULL_KEPT, most: FULL_FRAMES_MAX }
    }
}

impl<T> Ring<T> {
    /// Frames come in the order of their captures; one that does not is refused.
    pub fn push(&mut self, at: CaptureTime, frame: Arc<T>) -> bool {
        if self.frames.back().is_some_and(|(last, _)| *last >= at) {
            return false;
        }
        self.frames.push_back((at, frame));
        while self.frames.len() > self.most || self.frames.front().is_some_and(|(first, _)| at.since(*first) > self.kept) {
            self.frames.pop_front();
        }
        true
    }

    /// The frame captured at `t`, or last before it; the newest for `t` unknown. `None`: it has left the ring.
    pub fn at(&self, t: CaptureTime) -> Option<(CaptureTime, &Arc<T>)> {
        let found = if t.is_known() { self.frames.iter().rev().find(|(at, _)| *at <= t) } else { self.frames.back() };
        found.map(|(at, frame)| (*at, frame))
    }

    /// That frame and all later ones.
    pub fn since(&self, t: CaptureTime) -> Vec<(CaptureTime, Arc<T>)> {
        let Some((first, _)) = self.at(t) else { return Vec::new() };
        self.frames.iter().filter(|(at, _)| *at >= first).cloned().collect()
    }

    pub fn newest(&self) -> Option<CaptureTime> {
        self.frames.back().map(|(at, _)| *at)
    }

    pub fn clear(&mut self) {
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_its_seconds_and_names_the_frame_at_or_before() {
        let at = |ms: u64| CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms));
        let mut ring = Ring::of_luma();
        let luma = Arc::new(Luma { width: 1, height: 1, data: vec![0] });
        for k in 0..1000 {
            assert!(ring.push(at(k * 40), luma.clone()));
        }
        assert!(!ring.push(at(10), luma.clone()), "time goes forward");
        let kept = ring.since(at(999 * 40 - 5_000));
        assert_eq!((kept.len(), ring.newest()), (126, Some(at(999 * 40))));
        assert_eq!(ring.at(at(999 * 40 - 1)).map(|(t, _)| t), Some(at(998 * 40)));
        assert_eq!(ring.at(CaptureTime::UNKNOWN).map(|(t, _)| t), Some(at(999 * 40)));
        assert!(ring.at(at(0)).is_none() && ring.since(at(0)).is_empty());
        for k in 0..10_000 {
            ring.push(at(100_000 + k), luma.clone());
        }
        assert!(ring.since(at(100_000)).is_empty() && ring.since(at(109_900)).len() <= LUMA_FRAMES_MAX);
    }
}
