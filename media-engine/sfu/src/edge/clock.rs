//! The only `now()` of this crate.

use std::time::Instant;

pub(super) fn now() -> Instant {
    Instant::now()
}
