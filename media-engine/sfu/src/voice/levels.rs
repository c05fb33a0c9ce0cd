//! From audio levels to *speaking*, without flicker.

use std::time::{Duration, Instant};

/// Louder than this counts towards speaking. dBov; speech into a headset is -20 to -40, a quiet room -60 and below.
const LOUD_DBOV: i8 = -45;
/// Softer than this counts towards silence. Between the two, nothing changes.
const SOFT_DBOV: i8 = -55;
/// Loud for this long: speaking. Three packets of 20 ms; a click is shorter.
const ATTACK: Duration = Duration::from_millis(40);
/// Not loud for this long: no longer speaking. Longer than the gaps between words.
const RELEASE: Duration = Duration::from_millis(600);

/// Whether one peer speaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level {
    speaking: bool,
    /// Since when it has been loud without a soft packet between.
    loud_since: Option<Instant>,
    heard_loud: Option<Instant>,
}

impl Level {
    pub(crate) fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// When it last was loud.
    pub(crate) fn heard_loud(&self) -> Option<Instant> {
        self.heard_loud
    }

    /// A packet of this level came; 0 is loudest, -127 silence. `Some` when speaking begins or ends.
    pub(crate) fn handle_packet(&mut self, now: Instant, dbov: i8) -> Option<bool> {
        if dbov >= LOUD_DBOV {
            let since = *self.loud_since.get_or_insert(now);
            self.heard_loud = Some(now);
            if !self.speaking && now.saturating_duration_since(since) >= ATTACK {
                self.speaking = true;
                return Some(true);
            }
        } else if dbov < SOFT_DBOV {
            self.loud_since = None;
        }
        self.handle_timeout(now)
    }

    /// Packets may simply cease (silence suppression, a muted track, a cut).
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<bool> {
        if self.poll_timeout().is_some_and(|at| now >= at) {
            *self = Level::default();
            return Some(false);
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.speaking { self.heard_loud.map(|at| at + RELEASE) } else { None }
    }

    /// Not let through any more. True when it spoke.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(self).speaking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(level: &mut Level, start: Instant, from_ms: u64, to_ms: u64, dbov: i8) -> Vec<(u64, bool)> {
        let packets = (from_ms..to_ms).step_by(20);
        packets.filter_map(|ms| level.handle_packet(start + Duration::from_millis(ms), dbov).map(|s| (ms, s))).collect()
    }

    #[test]
    fn words_are_speech_clicks_are_not_and_gaps_do_not_flicker() {
        let start = Instant::now();
        let mut level = Level::default();
        assert!(run(&mut level, start, 0, 100, -70).is_empty());
        assert!(run(&mut level, start, 100, 120, -20).is_empty(), "a click");
        assert!(run(&mut level, start, 120, 200, -70).is_empty());
        assert_eq!(run(&mut level, start, 200, 600, -30), [(240, true)]);
        assert!(run(&mut level, start, 600, 900, -70).is_empty(), "a gap between words");
        assert!(run(&mut level, start, 900, 1_200, -30).is_empty());
        assert_eq!(run(&mut level, start, 1_200, 2_200, -70), [(1_780, false)]);
    }

    #[test]
    fn silence_by_absence_ends_speech_too() {
        let start = Instant::now();
        let mut level = Level::default();
        run(&mut level, start, 0, 200, -30);
        let at = level.poll_timeout().expect("speaking has an end");
        assert_eq!(level.handle_timeout(at - Duration::from_millis(1)), None);
        assert_eq!(level.handle_timeout(at), Some(false));
        assert_eq!(level.poll_timeout(), None);
    }
}
