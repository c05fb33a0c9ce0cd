//! The only `now()` of the server, and the case timeline.
//!
//! One (monotonic, UTC) pair is taken at start. From then on the timeline runs on the monotonic clock and is *slewed*
//! towards the system's UTC by at most [`SLEW_PPM_MAX`], never stepped: an NTP step of the machine moves no age.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;

/// Fastest steering towards the system clock.
pub const SLEW_PPM_MAX: i64 = 500;
/// How often the steering is looked at. 500 ppm × 10 s = 5 ms at most each time.
pub const STEER_EVERY: Duration = Duration::from_secs(10);

/// From `from` on the timeline runs `ppm` faster than the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Segment {
    from: Instant,
    time: CaptureTime,
    ppm: i64,
}

impl Segment {
    fn at(&self, instant: Instant) -> CaptureTime {
        let ahead = instant.saturating_duration_since(self.from).as_nanos() as i64;
        let behind = self.from.saturating_duration_since(instant).as_nanos() as i64;
        let elapsed = ahead - behind;
        self.time.offset_ns(elapsed + elapsed / 1_000_000 * self.ppm)
    }
}

/// The timeline of this server's cases. Cheap to clone; all clones agree.
#[derive(Debug, Clone)]
pub struct Timeline {
    segment: Arc<RwLock<Segment>>,
}

impl Timeline {
    /// Takes the one pair of clocks.
    pub fn start() -> Self {
        let segment = Segment { from: Instant::now(), time: system_utc(), ppm: 0 };
        Timeline { segment: Arc::new(RwLock::new(segment)) }
    }

    pub fn now(&self) -> CaptureTime {
        self.at(Instant::now())
    }

    /// The timeline's time at a monotonic instant, before or after now.
    pub fn at(&self, instant: Instant) -> CaptureTime {
        self.segment.read().unwrap_or_else(PoisonError::into_inner).at(instant)
    }

    /// This moment on both clocks.
    pub fn moment(&self) -> sfu::Moment {
        let at = Instant::now();
        sfu::Moment { at, timeline: self.at(at) }
    }

    /// The monotonic instant of a time that is near now; for timers.
    pub fn instant_of(&self, time: CaptureTime) -> Instant {
        let now = Instant::now();
        now + time.since(self.at(now))
    }

    /// Steers towards the system clock. Called every [`STEER_EVERY`].
    pub fn steer(&self) {
        self.steer_towards(Instant::now(), system_utc());
    }

    fn steer_towards(&self, instant: Instant, utc: CaptureTime) {
        let mut segment = self.segment.write().unwrap_or_else(PoisonError::into_inner);
        let time = segment.at(instant);
        let error_ns = utc.minus_ns(time);
        // The rate that would close the error until the next look, bounded.
        let wanted = error_ns.saturating_mul(1_000_000) / STEER_EVERY.as_nanos() as i64;
        *segment = Segment { from: instant, time, ppm: wanted.clamp(-SLEW_PPM_MAX, SLEW_PPM_MAX) };
    }
}

/// The system's clock; before 1970 counts as 1970.
fn system_utc() -> CaptureTime {
    CaptureTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_system_clock_is_slewed_and_never_steps_the_timeline() {
        let timeline = Timeline::start();
        let start = Instant::now();
        let t0 = timeline.at(start);
        // The system clock was stepped by 20 ms under our feet.
        let utc = |s: u64| t0.saturating_add(Duration::from_secs(s)).offset_ns(20_000_000);
        let mut last = t0;
        for s in 1..=100u64 {
            let instant = start + Duration::from_secs(s);
            let time = timeline.at(instant);
            let step = time.minus_ns(last);
            assert!((step - 1_000_000_000).abs() <= 500_001, "second {s}: {step}");
            if s % 10 == 0 {
                timeline.steer_towards(instant, utc(s));
            }
            last = time;
        }
        let error = last.minus_ns(utc(100));
        assert!(error.abs() < 1_000_000, "{error} ns");
    }

    #[test]
    fn instants_before_the_start_have_a_time_too() {
        let timeline = Timeline::start();
        let now = Instant::now();
        let Some(earlier) = now.checked_sub(Duration::from_millis(5)) else { return };
        let gap = timeline.at(now).minus_ns(timeline.at(earlier));
        assert!((gap - 5_000_000).abs() < 1_000, "{gap}");
    }
}
