//! How the tracker does, for those who run it: a second at a time. No ink, no picture. Pure.

use std::time::Duration;

use annotation::wire::TrackState;
use link::wire::TrackerHealth;

use crate::output::stats::Samples;

/// Counters since start, samples since the last report.
#[derive(Debug, Default)]
pub struct TrackerFigures {
    frames: u64,
    skipped: u64,
    /// Most anchors of one frame.
    anchors: u32,
    /// Anchors in frames, by state: tracked, unsure, lost.
    states: [u32; 3],
    took: Samples,
}

impl TrackerFigures {
    /// One frame of one feed was looked at, with what was said of the ink on it. Frames without ink are counted, not timed.
    pub fn handle_frame(&mut self, took: Duration, states: impl Iterator<Item = TrackState>) {
        self.frames += 1;
        let mut anchors = 0;
        for state in states {
            anchors += 1;
            self.states[match state {
                TrackState::Tracked => 0,
                TrackState::Unsure => 1,
                TrackState::Lost | TrackState::Unspecified => 2,
            }] += 1;
        }
        self.anchors = self.anchors.max(anchors);
        if anchors > 0 {
            self.took.add(took.as_micros().try_into().unwrap_or(u32::MAX));
        }
    }

    /// Captured, but gone before they were looked at.
    pub fn handle_skipped(&mut self, frames: u64) {
        self.skipped += frames;
    }

    /// Since the last call, and since start.
    pub fn take(&mut self) -> TrackerHealth {
        let all: u32 = self.states.iter().sum();
        let [tracked, unsure, lost] = self.states.map(|n| (n * 1_000).checked_div(all).unwrap_or(0));
        let (p50, p99) = self.took.take_percentiles();
        let health = TrackerHealth {
            frames: self.frames,
            skipped: self.skipped,
            anchors: self.anchors,
            tracked_permille: tracked,
            unsure_permille: unsure,
            lost_permille: lost,
            frame_us_p50: p50,
            frame_us_p99: p99,
        };
        (self.anchors, self.states) = (0, [0; 3]);
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TrackState::{Lost, Tracked, Unsure};

    #[test]
    fn a_second_of_ink_is_reported_in_shares_and_forgotten_but_for_what_counts_from_the_start() {
        let mut figures = TrackerFigures::default();
        assert_eq!(figures.take(), TrackerHealth::default());
        for k in 0..30u64 {
            let states = [Tracked, if k < 15 { Unsure } else { Lost }];
            figures.handle_frame(Duration::from_micros(1_000 + k), states.into_iter().take(if k % 3 == 0 { 0 } else { 2 }));
        }
        figures.handle_skipped(2);
        let health = figures.take();
        assert_eq!((health.frames, health.skipped, health.anchors), (30, 2, 2));
        assert_eq!((health.tracked_permille, health.unsure_permille, health.lost_permille), (500, 250, 250));
        assert!((1_001..1_029).contains(&health.frame_us_p50) && health.frame_us_p99 == 1_029, "{health:?}");
        assert_eq!(figures.take(), TrackerHealth { frames: 30, skipped: 2, ..TrackerHealth::default() });
    }
}
