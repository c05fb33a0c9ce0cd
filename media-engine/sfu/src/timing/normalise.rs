//! The RTP clock of somebody else's camera, mapped to the case timeline once, at the door.
//!
//! A frame was captured when its *absolute capture time* says, if the sender tells one and its clock is believable; else
//! when it arrived, less what it waited longer than the quickest frame of the last seconds. Whatever the sender's clock
//! does, what comes out never runs backwards, is never later than the arrival, and differs from frame to frame.

use std::collections::VecDeque;

use annotation::time::CaptureTime;

use super::{of_ticks, ticks_of};

/// Ticks of 90 kHz.
const SECOND: i64 = 90_000;
/// Half of the window in which the quickest frame counts. Unknown drift of 200 ppm makes 2 ms of it in a whole one.
const HALF_WINDOW: i64 = 5 * SECOND;
/// A sender's clock is believed when its frames are at least this young at best, and no younger than that: a line with 2 s
/// of delay is no line to guide by, and a frame from the future comes from a wrong clock.
const AGE_MAX: i64 = 2 * SECOND;
const AHEAD_MAX: i64 = SECOND / 50;
/// The last absolute time holds for so long.
const ABSOLUTE_HOLDS: i64 = 10 * SECOND;
/// A change of the mapping beyond this is a step and is taken at once; below, it is jitter and is followed slowly.
const STEP: i64 = SECOND / 10;
const FOLLOW: i64 = 8;
/// Sender reports tell the drift when they are so far apart. Beyond [`DRIFT_MAX_PPB`] they tell nonsense.
const DRIFT_SPAN_MIN: i64 = 10 * SECOND;
const DRIFT_SPAN_MAX: i64 = 600 * SECOND;
const DRIFT_MAX_PPB: i64 = 500_000;
/// Frames remembered for packets that come late.
const FRAMES_MAX: usize = 64;

/// What is known of one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// Extended sequence number at the sender.
    pub(crate) seq: u64,
    pub(crate) rtp: u32,
    /// On the case timeline.
    pub(crate) arrival: CaptureTime,
    /// On the sender's clock.
    pub(crate) absolute: Option<CaptureTime>,
}

#[derive(Debug, Default)]
pub(crate) struct Normaliser {
    /// Newest (sequence number, extended RTP time).
    newest: Option<(u64, i64)>,
    /// Arrival minus RTP time.
    arrivals: Lowest,
    absolute: Absolute,
    drift: Drift,
    /// What is added to RTP time now.
    offset: Option<i64>,
    /// (RTP time, capture) of the last frames, both rising.
    frames: VecDeque<(i64, i64)>,
    last: Option<i64>,
}

impl Normaliser {
    /// When the frame of this packet was captured. `None`: it is too late to have a place among the others.
    pub(crate) fn handle_packet(&mut self, stamp: Stamp) -> Option<CaptureTime> {
        let arrival = ticks_of(stamp.arrival);
        let rtp = self.extend(stamp.rtp);
        if let Some((seq, newest)) = self.newest
            && rtp < newest
        {
            if stamp.seq <= seq {
                return self.place(rtp).map(of_ticks);
            }
            // Sent later, stamped earlier: the sender's clock began anew.
            self.forget();
        }
        self.newest = Some((self.newest.map_or(stamp.seq, |(seq, _)| seq.max(stamp.seq)), rtp));
        if let Some(absolute) = stamp.absolute {
            self.absolute.handle(rtp, arrival, ticks_of(absolute));
        }
        if let Some((_, capture)) = self.frames.back().filter(|(known, _)| *known == rtp) {
            return Some(of_ticks(*capture));
        }
        self.arrivals.handle(rtp, arrival - rtp, self.drift.ppb);
        let target = self.absolute.offset(rtp).or_else(|| self.arrivals.value(rtp, self.drift.ppb)).unwrap_or(arrival - rtp);
        let offset = match self.offset {
            Some(now) if (target - now).abs() <= STEP => now + (target - now) / FOLLOW,
            _ => target,
        };
        self.offset = Some(offset);
        let capture = (rtp + offset).min(arrival);
        let capture = self.last.map_or(capture, |last| capture.max(last + 1));
        self.last = Some(capture);
        self.frames.push_back((rtp, capture));
        if self.frames.len() > FRAMES_MAX {
            self.frames.pop_front();
        }
        Some(of_ticks(capture))
    }

    /// A sender report: `rtp` was at `ntp` on the sender's clock. Tells how fast its RTP clock runs, nothing else.
    pub(crate) fn handle_report(&mut self, ntp: CaptureTime, rtp: u32) {
        if self.newest.is_some() {
            let rtp = self.extend(rtp);
            self.drift.handle(rtp, ticks_of(ntp));
        }
    }

    /// True while the sender's own capture times are used.
    pub(crate) fn is_absolute(&self) -> bool {
        self.newest.is_some_and(|(_, rtp)| self.absolute.offset(rtp).is_some())
    }

    fn extend(&self, rtp: u32) -> i64 {
        match self.newest {
            Some((_, newest)) => newest + i64::from(rtp.wrapping_sub(newest as u32) as i32),
            None => i64::from(rtp),
        }
    }

    /// A late packet: of a frame that is known, or of one between two known ones.
    fn place(&mut self, rtp: i64) -> Option<i64> {
        let at = self.frames.partition_point(|(known, _)| *known < rtp);
        let (next, after) = *self.frames.get(at)?;
        if next == rtp {
            return Some(after);
        }
        let (before, capture) = *self.frames.get(at.checked_sub(1)?)?;
        let capture = (capture + (rtp - before)).min(after - 1).max(capture + 1);
        if capture >= after {
            return None;
        }
        self.frames.insert(at, (rtp, capture));
        if self.frames.len() > FRAMES_MAX {
            self.frames.pop_front();
        }
        Some(capture)
    }

    fn forget(&mut self) {
        *self = Normaliser { last: self.last, ..Normaliser::default() };
    }
}

/// The lowest value of the last one to two half windows.
#[derive(Debug, Default)]
struct Lowest {
    /// Where the younger half began.
    began: i64,
    /// (RTP time, value) of each half's lowest.
    young: Option<(i64, i64)>,
    old: Option<(i64, i64)>,
}

impl Lowest {
    fn handle(&mut self, rtp: i64, value: i64, ppb: i64) {
        if self.young.is_none() || rtp - self.began >= HALF_WINDOW {
            // After a long pause the old half is too old as well.
            self.old = self.young.take().filter(|_| rtp - self.began < 2 * HALF_WINDOW);
            self.began = rtp;
        }
        if self.young.is_none_or(|young| value <= drifted(young, rtp, ppb)) {
            self.young = Some((rtp, value));
        }
    }

    fn value(&self, rtp: i64, ppb: i64) -> Option<i64> {
        self.young.iter().chain(&self.old).map(|held| drifted(*held, rtp, ppb)).min()
    }
}

fn drifted((at, value): (i64, i64), rtp: i64, ppb: i64) -> i64 {
    value + (rtp - at) * ppb / 1_000_000_000
}

/// The sender's own capture times, and whether they are believed.
#[derive(Debug, Default)]
struct Absolute {
    /// (RTP time, absolute minus RTP time).
    last: Option<(i64, i64)>,
    ages: Lowest,
}

impl Absolute {
    fn handle(&mut self, rtp: i64, arrival: i64, absolute: i64) {
        let offset = absolute - rtp;
        if self.last.is_some_and(|(_, before)| (offset - before).abs() > STEP) {
            // Its clock was set: judged anew.
            self.ages = Lowest::default();
        }
        self.last = Some((rtp, offset));
        self.ages.handle(rtp, arrival - absolute, 0);
    }

    fn offset(&self, rtp: i64) -> Option<i64> {
        let (at, offset) = self.last?;
        let age = self.ages.value(rtp, 0)?;
        (rtp - at <= ABSOLUTE_HOLDS && (-AHEAD_MAX..=AGE_MAX).contains(&age)).then_some(offset)
    }
}

/// How much more time passes on the sender's clock than its RTP clock counts, in parts per thousand million.
#[derive(Debug, Default)]
struct Drift {
    first: Option<(i64, i64)>,
    ppb: i64,
}

impl Drift {
    fn handle(&mut self, rtp: i64, ntp: i64) {
        let Some((first_rtp, first_ntp)) = self.first else {
            self.first = Some((rtp, ntp));
            return;
        };
        let span = rtp - first_rtp;
        let excess = (ntp - first_ntp) - span;
        if span < 0 || excess.abs() > STEP + span / 1_000 || span > DRIFT_SPAN_MAX {
            // A step of either clock, or a look back so long that it no longer tells of now.
            self.first = Some((rtp, ntp));
        } else if span >= DRIFT_SPAN_MIN {
            let ppb = excess * 1_000_000_000 / span;
            self.ppb = if ppb.abs() <= DRIFT_MAX_PPB { ppb } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FRAME_US: u64 = 33_367;

    /// A camera whose RTP clock begins anywhere and runs `ppm` fast, on a line of 20 ms and up.
    struct Camera {
        start: CaptureTime,
        first: u32,
        ppm: i64,
        random: u64,
        seq: u64,
        normaliser: Normaliser,
        last: Option<CaptureTime>,
        worst: i64,
    }

    impl Camera {
        fn new(ppm: i64) -> Self {
            let start = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
            Camera {
                start,
                first: 0xFFFF_0000,
                ppm,
                random: 5,
                seq: 70_000,
                normaliser: Normaliser::default(),
                last: None,
                worst: 0,
            }
        }

        fn jitter(&mut self) -> Duration {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Mostly little, now and then much.
            let draw = (self.random >> 40) % 1_000;
            Duration::from_micros(if draw > 980 { 80_000 } else { draw * 10 })
        }

        fn rtp(&self, us: u64) -> u32 {
            let ticks = (us as i128 * 90_000 * (1_000_000 + i128::from(self.ppm))) / 1_000_000_000_000;
            self.first.wrapping_add(ticks as u32)
        }

        /// Frame captured at `us`; `rtp` and `absolute` as the camera says them. Returns the error in ms.
        fn frame(&mut self, us: u64, rtp: u32, absolute: Option<CaptureTime>) -> i64 {
            let captured = self.start.saturating_add(Duration::from_micros(us));
            let arrival = captured.saturating_add(Duration::from_millis(20) + self.jitter());
            self.seq += 1;
            let stamp = Stamp { seq: self.seq, rtp, arrival, absolute };
            let out = self.normaliser.handle_packet(stamp).expect("in order");
            assert!(out.minus_ns(arrival) <= 12_000 || self.last.is_some_and(|l| out.minus_ns(l) < 23_000), "from the future");
            if let Some(last) = self.last {
                assert!(out > last && out.rtp_90khz() != last.rtp_90khz(), "backwards, or twice the same");
            }
            self.last = Some(out);
            // The 20 ms of the line cannot be known without the sender's word.
            let expected = if absolute.is_some() { captured } else { captured.saturating_add(Duration::from_millis(20)) };
            let error = out.minus_ns(expected) / 1_000_000;
            self.worst = self.worst.max(error.abs());
            error
        }

        fn absolute(&self, us: u64) -> CaptureTime {
            self.start.saturating_add(Duration::from_micros(us))
        }
    }

    #[test]
    fn a_jittery_line_and_a_clock_200_ppm_off_are_smoothed_to_a_few_milliseconds() {
        for ppm in [-200, 0, 200] {
            let mut camera = Camera::new(ppm);
            for n in 0..9_000 {
                let us = n * FRAME_US;
                let error = camera.frame(us, camera.rtp(us), None);
                assert!(n < 60 || error.abs() <= 4, "{ppm} ppm, frame {n}: {error} ms");
            }
        }
    }

    #[test]
    fn sender_reports_take_the_drift_out() {
        let mut camera = Camera::new(-200);
        for n in 0..3_000 {
            let us = n * FRAME_US;
            if n % 30 == 1 {
                // The sender's own clock is four hours wrong; only its pace counts.
                let ntp = camera.absolute(us).saturating_add(Duration::from_secs(4 * 3_600));
                camera.normaliser.handle_report(ntp, camera.rtp(us));
            }
            let error = camera.frame(us, camera.rtp(us), None);
            assert!(n < 400 || error.abs() <= 2, "frame {n}: {error} ms");
        }
        assert!((190_000..210_000).contains(&camera.normaliser.drift.ppb), "{}", camera.normaliser.drift.ppb);
    }

    #[test]
    fn a_believable_absolute_time_is_used_and_the_delay_of_the_line_known() {
        let mut camera = Camera::new(50);
        for n in 0..600 {
            let us = n * FRAME_US;
            // Once a second, as browsers do.
            let said = (n % 30 == 0).then(|| camera.absolute(us));
            camera.frame(us, camera.rtp(us), said);
            let out = camera.last.expect("a frame").minus_ns(camera.absolute(us)) / 1_000_000;
            assert!(out.abs() <= 1, "frame {n}: {out} ms");
        }
        assert!(camera.normaliser.is_absolute());
    }

    #[test]
    fn an_unbelievable_absolute_time_is_not_used() {
        for wrong in [3_600_000_000_000i64, 100_000_000, -5_000_000_000] {
            let mut camera = Camera::new(0);
            for n in 0..300 {
                let us = n * FRAME_US;
                let said = camera.absolute(us).offset_ns(wrong);
                camera.frame(us, camera.rtp(us), Some(said));
                let late = camera.last.expect("a frame").minus_ns(camera.absolute(us)) / 1_000_000;
                assert!(n < 60 || (18..=24).contains(&late), "{wrong} ns, frame {n}: {late} ms");
            }
            assert!(!camera.normaliser.is_absolute());
        }
    }

    #[test]
    fn an_absolute_clock_that_is_set_meanwhile_is_judged_anew() {
        for step in [10_000_000_000i64, -10_000_000_000] {
            let mut camera = Camera::new(0);
            for n in 0..600 {
                let us = n * FRAME_US;
                let said = camera.absolute(us).offset_ns(if n < 300 { 0 } else { step });
                camera.frame(us, camera.rtp(us), Some(said));
                let late = camera.last.expect("a frame").minus_ns(camera.absolute(us)) / 1_000_000;
                assert!(n < 30 || (-1..=24).contains(&late), "{step} ns, frame {n}: {late} ms");
            }
            assert!(!camera.normaliser.is_absolute());
        }
    }

    #[test]
    fn a_step_of_the_rtp_clock_moves_no_capture_time() {
        for step in [500_000u32, 9_000, 0u32.wrapping_sub(500_000), 0u32.wrapping_sub(9_000)] {
            let mut camera = Camera::new(0);
            for n in 0..600 {
                let us = n * FRAME_US;
                let rtp = camera.rtp(us).wrapping_add(if n < 300 { 0 } else { step });
                let error = camera.frame(us, rtp, None);
                assert!(n < 60 || (300..360).contains(&n) || error.abs() <= 4, "{step}, frame {n}: {error} ms");
                assert!(error.abs() <= 90, "{step}, frame {n}: {error} ms");
            }
        }
    }

    #[test]
    fn a_stall_of_the_line_makes_frames_old_and_not_new() {
        let mut camera = Camera::new(0);
        for n in 0..90 {
            camera.frame(n * FRAME_US, camera.rtp(n * FRAME_US), None);
        }
        // Three frames held up for two seconds.
        for n in 90..93u64 {
            let us = n * FRAME_US;
            camera.seq += 1;
            let arrival = camera.absolute(us).saturating_add(Duration::from_secs(2));
            let stamp = Stamp { seq: camera.seq, rtp: camera.rtp(us), arrival, absolute: None };
            let out = camera.normaliser.handle_packet(stamp).expect("in order");
            let late = out.minus_ns(camera.absolute(us)) / 1_000_000;
            assert!((18..=24).contains(&late), "{late} ms");
        }
    }

    #[test]
    fn packets_of_one_frame_share_its_time_and_late_ones_find_their_place() {
        let mut normaliser = Normaliser::default();
        let start = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let mut stamp = |seq: u64, rtp: u32, ms: u64| {
            let arrival = start.saturating_add(Duration::from_millis(ms));
            normaliser.handle_packet(Stamp { seq, rtp, arrival, absolute: None })
        };
        let first = stamp(10, 0, 0).expect("first");
        assert_eq!(stamp(11, 0, 1), Some(first));
        // The frame at 3,000 is lost, the next arrives, then the lost one is repaired.
        let third = stamp(14, 6_000, 67).expect("third");
        let second = stamp(12, 3_000, 90).expect("repaired");
        assert!(first < second && second < third);
        assert_eq!(stamp(13, 3_000, 91), Some(second));
        assert_eq!(stamp(14, 6_000, 92), Some(third), "sent twice");
        assert_eq!(stamp(9, 0u32.wrapping_sub(3_000), 93), None, "before everything that is known");
    }
}
