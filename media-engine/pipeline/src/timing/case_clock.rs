//! The case timeline as the engine's threads see it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use annotation::time::CaptureTime;
use link::clock::ClockMap;

/// One timeline per link to the server. Frames of two lives of the timeline must never be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Generation(pub u32);

#[derive(Debug, Default)]
struct Inner {
    map: ClockMap,
    generation: Generation,
    /// A new link was made: its first exchange begins a new map.
    renew: bool,
}

/// Shared by sources (which stamp) and the link (which steers). Locked for a few instructions only.
///
/// Life: unset until the first exchange; after [`begin_link`](Self::begin_link) the old map goes on until the new
/// link's first exchange sets a new one and the generation rises.
#[derive(Debug, Default)]
pub struct CaseClock {
    inner: Mutex<Inner>,
}

impl CaseClock {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn begin_link(&self) {
        self.lock().renew = true;
    }

    /// See [`ClockMap::handle_exchange`]. Returns true when this exchange began a new generation.
    pub fn handle_exchange(&self, t1: CaptureTime, t2: CaptureTime, t3: CaptureTime, t4: CaptureTime) -> bool {
        let mut inner = self.lock();
        if inner.renew || inner.generation == Generation(0) {
            let mut map = ClockMap::new();
            if !map.handle_exchange(t1, t2, t3, t4) {
                return false;
            }
            inner.map = map;
            inner.renew = false;
            inner.generation.0 += 1;
            return true;
        }
        inner.map.handle_exchange(t1, t2, t3, t4);
        false
    }

    /// The case timeline's time at `local`, and in which life of the timeline; `None` before the first exchange.
    pub fn stamp(&self, local: CaptureTime) -> Option<(CaptureTime, Generation)> {
        let inner = self.lock();
        Some((inner.map.to_timeline(local)?, inner.generation))
    }

    pub fn uncertainty_ns(&self) -> Option<i64> {
        self.lock().map.uncertainty_ns()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    #[test]
    fn nothing_is_stamped_before_the_first_exchange() {
        let clock = CaseClock::new();
        assert_eq!(clock.stamp(at(0)), None);
        assert!(!clock.handle_exchange(at(10), at(0), at(0), at(5)), "an impossible exchange begins nothing");
        assert_eq!(clock.stamp(at(0)), None);
        assert!(clock.handle_exchange(at(0), at(500), at(500), at(0)));
        let (t, generation) = clock.stamp(at(100)).expect("set");
        assert!(t.minus_ns(at(600)).abs() < 1000);
        assert_eq!(generation, Generation(1));
    }

    #[test]
    fn a_new_link_sets_the_clock_at_once_and_begins_a_generation() {
        let clock = CaseClock::new();
        clock.handle_exchange(at(0), at(500), at(500), at(0));
        clock.begin_link();
        let (_, generation) = clock.stamp(at(100)).expect("the old map goes on");
        assert_eq!(generation, Generation(1));
        assert!(clock.handle_exchange(at(200), at(9_200), at(9_200), at(200)));
        let (t, generation) = clock.stamp(at(300)).expect("set");
        assert!(t.minus_ns(at(9_300)).abs() < 1000);
        assert_eq!(generation, Generation(2));
    }
}
