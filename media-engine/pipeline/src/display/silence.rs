//! How long the engine has been silent, as its screen's own process can know: counted in short waits that ended when they should. A wait that ended
//! late says that this process was not given time, so perhaps the engine was not either; it counts for little: after many of them silence is said all
//! the same, for a machine on which every wait ends late is one on which an engine may hang. Pure.

use std::time::Duration;

/// One wait for the engine's next byte.
pub const SLICE: Duration = Duration::from_millis(50);
/// So many in time without a byte: shown is that the picture is lost, within [`super::run::DEAD_AFTER`].
const SLICES: u32 = 9;
/// So many late ones: several times this process was there again, and not one byte.
const LATE_SLICES: u32 = 8;
/// A wait that took so much longer than asked for ended late.
const LATE: Duration = Duration::from_millis(25);

#[derive(Debug, Default)]
pub struct Silence {
    slices: u32,
    late: u32,
}

impl Silence {
    /// A wait of [`SLICE`] ended without a byte. `took`: by this process's own clock. True: it is to be said now, and again from time to time.
    pub fn handle_slice(&mut self, took: Duration) -> bool {
        if took > SLICE + LATE {
            self.late += 1;
            return self.late.is_multiple_of(LATE_SLICES);
        }
        self.slices += 1;
        self.slices.is_multiple_of(SLICES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::run::{BEAT, DEAD_AFTER};

    #[test]
    fn an_engine_that_stands_still_is_told_of_within_half_a_second_and_one_that_is_only_starved_is_not() {
        let mut still = Silence::default();
        let said: Vec<u32> = (1..=30).filter(|_| still.handle_slice(SLICE)).collect();
        assert_eq!(said, [9, 18, 27]);
        assert!(SLICE * SLICES < DEAD_AFTER && SLICE * SLICES > 3 * BEAT, "two beats may be late");
        // The whole machine stood still a few times: each wait ends seconds later.
        let mut starved = Silence::default();
        assert!((0..7).all(|_| !starved.handle_slice(Duration::from_secs(3))));
        // And then has time again: what was late has not counted.
        assert!((0..8).all(|_| !starved.handle_slice(SLICE)) && starved.handle_slice(SLICE));
        // For good: who hangs on a machine without time is told of all the same.
        let mut hung = Silence::default();
        assert_eq!((1..=24).filter(|_| hung.handle_slice(Duration::from_millis(100))).count(), 3);
    }
}
