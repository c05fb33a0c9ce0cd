//! Refusals at the door, as the audit keeps them: so many a minute as rows of their own, of more the number. So nobody can
//! fill the disk, or bury a row, by trying links that do not open.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;

/// Rows of their own in one window.
const ROWS_MAX: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Refusals(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    since: CaptureTime,
    written: u32,
    left_out: u64,
}

impl Refusals {
    /// One refusal: true when it is to be written as a row.
    pub(super) fn handle(&self, now: CaptureTime) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = window.get_or_insert(Window { since: now, written: 0, left_out: 0 });
        let row = window.written < ROWS_MAX;
        if row {
            window.written += 1;
        } else {
            window.left_out += 1;
        }
        row
    }

    /// One row more could not be written after all.
    pub(super) fn leave_out(&self, now: CaptureTime) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.get_or_insert(Window { since: now, written: 0, left_out: 0 }).left_out += 1;
    }

    /// Once the window is over: how many were left out in it, if any were.
    pub(super) fn poll_left_out(&self, now: CaptureTime) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = window.as_ref().is_some_and(|window| now.since(window.since) >= WINDOW);
        if over { window.take().map(|window| window.left_out).filter(|n| *n > 0) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sg32_refusals_are_rows_up_to_a_bound_and_then_a_number() {
        let at = |s: u64| CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + s));
        let refusals = Refusals::default();
        assert_eq!(refusals.poll_left_out(at(0)), None);
        let rows = (0..1_000).filter(|_| refusals.handle(at(0))).count();
        assert_eq!((rows, refusals.poll_left_out(at(59))), (30, None));
        assert_eq!((refusals.poll_left_out(at(60)), refusals.poll_left_out(at(60))), (Some(970), None));
        // The next minute has rows again, and one that leaves nothing out is not summed up.
        assert!(refusals.handle(at(61)));
        assert_eq!(refusals.poll_left_out(at(121)), None);
    }
}
