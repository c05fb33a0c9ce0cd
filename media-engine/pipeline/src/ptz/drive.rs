//! Drives one camera: wishes in, datagrams out. Pure; time is an argument. **After each call, take everything out of
//! [`Drive::poll_transmit`].**
//!
//! Rule PZ1: a camera moves for [`REFRESH_MAX`] after the last wish and no longer. PZ2: what stops it is said again until the camera has
//! confirmed it. PZ3: at the start, and after a line that was down, it is told to stand still: whoever drove it before may not have.

use std::collections::VecDeque;
use std::time::Duration;

use annotation::time::CaptureTime;

use super::visca::{Error, Heard, Motion, Say, decode, encode};

/// Whoever holds a key says so again well within this.
pub const REFRESH_MAX: Duration = Duration::from_millis(300);
/// A command without an answer is said again.
const AGAIN: Duration = Duration::from_millis(100);
/// The camera is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Nothing of it for so long: it is not there.
const SILENT: Duration = Duration::from_secs(5);
/// How long an error is said after it came.
const TOLD: Duration = Duration::from_secs(5);

/// What is wrong with a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No answer: address, cable, power.
    Silent,
    /// Not now: switched off, or at its limit.
    NotExecutable,
    /// It does not know a command: no VISCA camera, or one of another kind.
    Unknown,
}

impl Problem {
    /// Stable code for the wire and the texts.
    pub fn code(self) -> &'static str {
        match self {
            Problem::Silent => "ptz.silent",
            Problem::NotExecutable => "ptz.not-executable",
            Problem::Unknown => "ptz.unknown-command",
        }
    }
}

/// Pan and tilt, or zoom: each is commanded for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    PanTilt,
    Zoom,
}

#[derive(Debug)]
struct Axis {
    part: Part,
    /// What the camera was last told, by which number and when.
    said: Motion,
    number: u32,
    at: CaptureTime,
    confirmed: bool,
}

impl Axis {
    fn of(&self, m: Motion) -> Motion {
        match self.part {
            Part::PanTilt => Motion { zoom: 0, ..m },
            Part::Zoom => Motion { zoom: m.zoom, ..Motion::STILL },
        }
    }

    fn is_due(&self, want: Motion, now: CaptureTime) -> bool {
        self.said != self.of(want) || (!self.confirmed && now.since(self.at) >= AGAIN)
    }
}

#[derive(Debug)]
pub struct Drive {
    want: Motion,
    until: CaptureTime,
    axes: [Axis; 2],
    next_number: u32,
    heard: Option<CaptureTime>,
    asked: Option<CaptureTime>,
    began: CaptureTime,
    /// When numbers began anew last.
    reset: CaptureTime,
    problem: Option<(Problem, CaptureTime)>,
    position: Option<(i16, i16)>,
    out: VecDeque<Vec<u8>>,
}

impl Drive {
    /// Begins with a reset and a stop.
    pub fn new(now: CaptureTime) -> Self {
        let axis = |part| Axis { part, said: Motion::STILL, number: 0, at: now, confirmed: false };
        let mut drive = Drive {
            want: Motion::STILL,
            until: now,
            axes: [axis(Part::PanTilt), axis(Part::Zoom)],
            next_number: 0,
            heard: None,
            asked: None,
            began: now,
            reset: now,
            problem: None,
            position: None,
            out: VecDeque::new(),
        };
        drive.begin(now);
        drive
    }

    /// To be moved so for the next [`REFRESH_MAX`]; nothing: to stand still, at once.
    pub fn handle_wish(&mut self, motion: Motion, now: CaptureTime) {
        self.want = motion;
        self.until = now.saturating_add(REFRESH_MAX);
        self.follow(now);
    }

    pub fn handle_datagram(&mut self, bytes: &[u8], now: CaptureTime) {
        let Some(heard) = decode(bytes) else { return };
        let was_silent = self.problem(now) == Some(Problem::Silent);
        self.heard = Some(now);
        match heard {
            // It comes back from somewhere: what it does is not known.
            _ if was_silent => self.begin(now),
            Heard::BadSequence if now.since(self.reset) >= AGAIN => self.begin(now),
            Heard::Ack { number } | Heard::Done { number } => self.confirm(number),
            Heard::Position { pan, tilt, .. } => self.position = Some((pan, tilt)),
            Heard::Error { number, error } => {
                let told = match error {
                    Error::NotExecutable => Some(Problem::NotExecutable),
                    Error::Syntax => Some(Problem::Unknown),
                    Error::BufferFull | Error::Cancelled | Error::Other => None,
                };
                if let Some(problem) = told {
                    self.problem = Some((problem, now));
                    // Said again it would be refused again; a stop that cannot be carried out has nothing to stop.
                    self.confirm(number);
                }
            }
            Heard::BadSequence | Heard::ResetDone => {}
        }
        self.follow(now);
    }

    pub fn handle_timeout(&mut self, now: CaptureTime) {
        if self.asked.is_none_or(|at| now.since(at) >= ASK_EVERY) {
            self.asked = Some(now);
            self.say(Say::AskPosition);
        }
        self.follow(now);
    }

    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// When to be called again.
    pub fn poll_timeout(&self) -> CaptureTime {
        let ask = self.asked.map_or(self.began, |at| at.saturating_add(ASK_EVERY));
        let stop = (self.want != Motion::STILL).then_some(self.until);
        let again = self.axes.iter().filter(|a| !a.confirmed).map(|a| a.at.saturating_add(AGAIN));
        again.chain(stop).fold(ask, CaptureTime::min)
    }

    /// It is told to move.
    pub fn is_moving(&self) -> bool {
        self.want != Motion::STILL || self.axes.iter().any(|a| a.said != Motion::STILL)
    }

    /// Steps, as the camera last said.
    pub fn position(&self) -> Option<(i16, i16)> {
        self.position
    }

    pub fn problem(&self, now: CaptureTime) -> Option<Problem> {
        if now.since(self.heard.unwrap_or(self.began)) >= SILENT {
            return Some(Problem::Silent);
        }
        self.problem.filter(|(_, at)| now.since(*at) < TOLD).map(|(problem, _)| problem)
    }

    fn begin(&mut self, now: CaptureTime) {
        self.next_number = 0;
        self.reset = now;
        self.out.push_back(encode(Say::Reset, 0));
        (0..self.axes.len()).for_each(|n| self.speak(n, now));
    }

    fn follow(&mut self, now: CaptureTime) {
        if self.want != Motion::STILL && now >= self.until {
            self.want = Motion::STILL;
        }
        for n in 0..self.axes.len() {
            if self.axes[n].is_due(self.want, now) {
                self.speak(n, now);
            }
        }
    }

    fn speak(&mut self, n: usize, now: CaptureTime) {
        let motion = self.axes[n].of(self.want);
        let say = if self.axes[n].part == Part::PanTilt { Say::PanTilt(motion) } else { Say::Zoom(motion) };
        let number = self.say(say);
        let axis = &mut self.axes[n];
        (axis.said, axis.number, axis.at, axis.confirmed) = (motion, number, now, false);
    }

    fn say(&mut self, say: Say) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        self.out.push_back(encode(say, number));
        number
    }

    fn confirm(&mut self, number: u32) {
        for axis in self.axes.iter_mut().filter(|a| a.number == number) {
            axis.confirmed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptz::simulated::Camera;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    const RIGHT: Motion = Motion { pan: 50, tilt: 0, zoom: 0 };

    /// Drive and camera, a line between them that loses what `lost` says, turned by hand.
    struct World {
        drive: Drive,
        camera: Camera,
        ms: u64,
        lost: fn(u64) -> bool,
        sent: u64,
    }

    impl World {
        fn new(lost: fn(u64) -> bool) -> Self {
            World { drive: Drive::new(at(0)), camera: Camera::default(), ms: 0, lost, sent: 0 }
        }

        fn run(&mut self, ms: u64, wish: Option<Motion>) {
            for _ in 0..ms {
                self.ms += 1;
                self.camera.handle_time(1);
                if let Some(motion) = wish.filter(|_| self.ms.is_multiple_of(100)) {
                    self.drive.handle_wish(motion, at(self.ms));
                }
                if self.drive.poll_timeout() <= at(self.ms) {
                    self.drive.handle_timeout(at(self.ms));
                }
                while let Some(bytes) = self.drive.poll_transmit() {
                    self.sent += 1;
                    if !(self.lost)(self.sent) {
                        for answer in self.camera.handle_datagram(&bytes) {
                            self.drive.handle_datagram(&answer, at(self.ms));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn pz1_it_moves_while_a_key_is_held_and_stops_by_itself() {
        let mut w = World::new(|_| false);
        w.run(200, None);
        w.run(1_000, Some(RIGHT));
        let after = w.camera.pan;
        assert!(after > 0 && w.drive.is_moving());
        w.run(REFRESH_MAX.as_millis() as u64 + 10, None);
        let stopped = w.camera.pan;
        w.run(2_000, None);
        assert!(stopped > after && w.camera.pan == stopped && !w.drive.is_moving(), "300 ms after the last word it stands");
        w.run(200, Some(RIGHT));
        w.drive.handle_wish(Motion::STILL, at(w.ms));
        w.run(1, None);
        let stopped = w.camera.pan;
        w.run(500, None);
        assert_eq!(w.camera.pan, stopped, "at once when the key is let go");
        assert_eq!(w.drive.problem(at(w.ms)), None);
        assert!(w.drive.position().is_some_and(|(pan, _)| i32::from(pan) == stopped / 1_000));
    }

    #[test]
    fn pz2_a_stop_that_is_lost_is_said_again() {
        // Two of three datagrams are lost.
        let mut w = World::new(|n| !n.is_multiple_of(3));
        w.run(3_000, Some(RIGHT));
        assert!(w.camera.pan > 0);
        w.run(3_000, None);
        let stopped = w.camera.pan;
        w.run(3_000, None);
        assert_eq!(w.camera.pan, stopped);
    }

    #[test]
    fn pz3_a_camera_that_moved_before_is_stopped_first() {
        let mut w = World::new(|_| false);
        w.camera.moving = Motion { pan: -80, tilt: 30, zoom: 100 };
        w.run(5, None);
        assert_eq!(w.camera.moving, Motion::STILL);
    }

    #[test]
    fn a_camera_that_does_not_answer_or_cannot_is_said() {
        let mut gone = World::new(|_| true);
        gone.run(SILENT.as_millis() as u64 - 10, None);
        assert_eq!(gone.drive.problem(at(gone.ms)), None, "it has its time");
        gone.run(20, None);
        assert_eq!(gone.drive.problem(at(gone.ms)), Some(Problem::Silent));
        gone.lost = |_| false;
        gone.run(ASK_EVERY.as_millis() as u64 + 10, None);
        assert_eq!(gone.drive.problem(at(gone.ms)), None, "it is back");

        let mut off = World::new(|_| false);
        off.run(100, None);
        off.camera.powered = false;
        off.run(300, Some(RIGHT));
        assert_eq!(off.drive.problem(at(off.ms)), Some(Problem::NotExecutable));
        assert!(off.sent < 20, "what is refused is not said again and again: {}", off.sent);
    }

    #[test]
    fn a_camera_that_was_started_anew_takes_numbers_from_the_beginning() {
        let mut w = World::new(|_| false);
        w.run(500, Some(RIGHT));
        w.camera = Camera { awaits: Some(4_000), ..Camera::default() };
        w.run(400, None);
        w.run(500, Some(RIGHT));
        assert!(w.camera.pan > 0 && w.camera.resets > 0);
    }
}
