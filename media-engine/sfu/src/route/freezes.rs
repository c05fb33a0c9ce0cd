//! Whether a camera's pictures come evenly: W3C's definition of a freeze, of pictures as they arrive.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The average is of so many.
const AVERAGED: usize = 30;
/// Fewer say nothing yet.
const AVERAGED_MIN: usize = 5;
const BEYOND: Duration = Duration::from_millis(150);

/// Of one camera. Source: W3C webrtc-stats, `freezeCount`.
#[derive(Debug, Default)]
pub(crate) struct Freezes {
    last: Option<Instant>,
    steps: VecDeque<Duration>,
    pub(crate) frames: u64,
    pub(crate) count: u64,
    pub(crate) frozen: Duration,
}

impl Freezes {
    /// A picture is whole.
    pub(crate) fn handle_frame(&mut self, now: Instant) {
        self.frames += 1;
        let Some(step) = self.last.replace(now).map(|last| now.saturating_duration_since(last)) else { return };
        if self.steps.len() >= AVERAGED_MIN {
            let average = self.steps.iter().sum::<Duration>() / self.steps.len() as u32;
            if step >= (average * 3).max(average + BEYOND) {
                self.count += 1;
                self.frozen += step;
            }
        }
        if self.steps.len() == AVERAGED {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;

    #[test]
    fn a_gap_is_a_freeze_when_it_is_three_pictures_and_150_ms_longer_than_they_are_apart() {
        let start = some_instant();
        let (mut freezes, mut at) = (Freezes::default(), start);
        let mut wait = |freezes: &mut Freezes, ms: u64| {
            at += Duration::from_millis(ms);
            freezes.handle_frame(at);
        };
        (0..60).for_each(|_| wait(&mut freezes, 33));
        wait(&mut freezes, 170);
        assert_eq!((freezes.frames, freezes.count), (61, 0), "five pictures are not enough at this rate");
        (0..30).for_each(|_| wait(&mut freezes, 33));
        wait(&mut freezes, 190);
        assert_eq!((freezes.count, freezes.frozen), (1, Duration::from_millis(190)));
        // One picture a second: three of them.
        (0..40).for_each(|_| wait(&mut freezes, 1_000));
        let before = freezes.count;
        wait(&mut freezes, 2_500);
        assert_eq!(freezes.count, before);
        (0..40).for_each(|_| wait(&mut freezes, 1_000));
        wait(&mut freezes, 3_000);
        assert_eq!(freezes.count, before + 1);
    }
}
