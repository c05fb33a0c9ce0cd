//! The only `now()` of this crate.

use std::time::Instant;

#[allow(clippy::disallowed_methods)] // Here is where time enters.
pub(super) fn now() -> Instant {
    Instant::now()
}
