//! Levels of H.264: how large and how fast a picture may be. Pure. Source: H.264, table A-1.

use crate::picture::Geometry;
use crate::timing::pace::Period;

/// What a level allows.
struct Limits {
    name: &'static str,
    macroblocks: usize,
    macroblocks_per_s: u64,
}

const LIMITS: [Limits; 3] = [
    Limits { name: "3.1", macroblocks: 3_600, macroblocks_per_s: 108_000 },
    Limits { name: "4", macroblocks: 8_192, macroblocks_per_s: 245_760 },
    Limits { name: "4.2", macroblocks: 8_704, macroblocks_per_s: 522_240 },
];

/// The highest level that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub enum Level {
    /// 1280 x 720 at 30: every browser is promised this (42e01f), and Safari insists on it.
    #[default]
    #[serde(rename = "3.1")]
    L31,
    /// 1920 x 1080 at 60: more than is promised; Chromium and Firefox decode it.
    #[serde(rename = "4.2")]
    L42,
}

impl Level {
    fn limits(self) -> &'static Limits {
        match self {
            Level::L31 => &LIMITS[0],
            Level::L42 => &LIMITS[2],
        }
    }

    pub fn name(self) -> &'static str {
        self.limits().name
    }

    /// Largest picture of 16:9.
    pub fn picture_max(self) -> (usize, usize) {
        match self {
            Level::L31 => (1280, 720),
            Level::L42 => (1920, 1080),
        }
    }

    pub fn has_room_for(self, size: Geometry) -> bool {
        macroblocks(size) <= self.limits().macroblocks
    }

    /// So that it is not too fast for the level, each n-th picture of this size and period may be sent.
    pub fn every(self, size: Geometry, period: Period) -> u64 {
        let (frames, seconds) = period.rate();
        (macroblocks(size) as u64 * frames).div_ceil(self.limits().macroblocks_per_s * seconds).max(1)
    }
}

/// The least level that has room for pictures of this size and period, as its name.
pub fn least(size: Geometry, period: Period) -> &'static str {
    let (frames, seconds) = period.rate();
    let fits =
        |l: &&Limits| macroblocks(size) <= l.macroblocks && macroblocks(size) as u64 * frames <= l.macroblocks_per_s * seconds;
    LIMITS.iter().find(fits).map_or("4.2", |l| l.name)
}

fn macroblocks(size: Geometry) -> usize {
    size.width.div_ceil(16) * size.height.div_ceil(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_gets_the_least_level_that_has_room_for_it() {
        let size = |w, h| Geometry::new(w, h).expect("even");
        let hz = |n| Period::from_rate(n, 1).expect("sane");
        for (w, h, n, name) in
            [(1280, 720, 30, "3.1"), (1280, 720, 60, "4"), (1920, 1080, 30, "4"), (1920, 1080, 60, "4.2"), (512, 512, 60, "3.1")]
        {
            assert_eq!(least(size(w, h), hz(n)), name, "{w}x{h} at {n}");
        }
        assert_eq!((Level::L31.every(size(1280, 720), hz(60)), Level::L42.every(size(1920, 1080), hz(60))), (2, 1));
        assert!(!Level::L31.has_room_for(size(1920, 1080)) && Level::L42.has_room_for(size(1920, 1080)));
        assert!(!Level::L42.has_room_for(size(3840, 2160)));
    }
}
