//! The engine's only clock. Everything else is told the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;

/// A monotone local clock in NTP 32.32. It begins at the system's wall time and never hears of it again, so a step of
/// the wall clock does not reach pictures; [`CaseClock`](crate::timing::case_clock::CaseClock) maps it to the case.
#[derive(Debug, Clone, Copy)]
pub struct LocalClock {
    base: Instant,
    base_ntp: CaptureTime,
}

impl LocalClock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        LocalClock { base: Instant::now(), base_ntp: CaptureTime::from_unix(unix) }
    }

    pub fn now(&self) -> CaptureTime {
        self.base_ntp.saturating_add(self.base.elapsed())
    }
}
