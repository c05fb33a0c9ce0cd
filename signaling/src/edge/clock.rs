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
        let (from, time) = both_clocks();
        let segment = Segment { from, time, ppm: 0 };
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
        let (instant, utc) = both_clocks();
        self.steer_towards(instant, utc);
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

/// Nothing of this program existed before; an emptied battery says 1970 or 2000.
const EARLIEST: Duration = Duration::from_secs(1_704_067_200);
/// The NTP format of the wire ends on 7 February 2036; a rehearsal's links live for hours.
const LATEST: Duration = Duration::from_secs(2_082_758_400);

/// The system clock is so far off that nothing dated by it would be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system clock says {0:04}, which cannot be: set it (`timedatectl set-ntp true`, or `date -s`), then start again [clock.wrong]"
)]
pub struct WrongClock(i32);

/// Looked at before anything is made. A start with a wrong clock is refused, not warned of: certificate, links and audit would
/// be dated by it for good, and the timeline, which never steps, would stay wrong when the clock is put right.
pub fn check_system_clock() -> Result<(), WrongClock> {
    check(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn check(unix: Duration) -> Result<(), WrongClock> {
    if (EARLIEST..LATEST).contains(&unix) {
        return Ok(());
    }
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
    Err(WrongClock(time::OffsetDateTime::from_unix_timestamp(seconds).map_or(9999, time::OffsetDateTime::year)))
}

/// Reads of the pair; the one that took least time counts.
const PAIRS: usize = 5;

/// One moment on both clocks. A thread that is held up between two reads would set them apart by as long: so the monotonic clock is read on
/// either side, several times.
fn both_clocks() -> (Instant, CaptureTime) {
    let read = || {
        let (before, utc, after) = (Instant::now(), system_utc(), Instant::now());
        let took = after.saturating_duration_since(before);
        (took, before + took / 2, utc)
    };
    let (_, instant, utc) = (1..PAIRS).map(|_| read()).fold(read(), |best, next| if next.0 < best.0 { next } else { best });
    (instant, utc)
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
    fn a_clock_of_an_emptied_battery_or_of_another_century_is_refused() {
        let year = |unix_s| check(Duration::from_secs(unix_s)).err().map(|WrongClock(year)| year);
        assert_eq!((year(0), year(946_684_800), year(1_704_067_199)), (Some(1970), Some(2000), Some(2023)));
        assert_eq!((year(1_704_067_200), year(1_790_000_000), year(2_082_758_399)), (None, None, None));
        assert_eq!((year(2_082_758_400), year(4_102_444_800), year(u64::MAX)), (Some(2036), Some(2100), Some(9999)));
        let said = WrongClock(1970).to_string();
        assert!(said.contains("1970") && said.contains("timedatectl") && said.ends_with("[clock.wrong]"), "{said}");
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
