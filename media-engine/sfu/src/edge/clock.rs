//! The only `now()` of this crate.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;

use crate::api::Moment;

#[allow(clippy::disallowed_methods)] // Here is where time enters.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Now, on the monotonic clock and in the system's UTC: until the server tells the timeline. Before 1970 counts as 1970.
#[allow(clippy::disallowed_methods)] // As above.
pub(super) fn moment() -> Moment {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { at: now(), timeline: CaptureTime::from_unix(unix) }
}
