//! Clocks that run wrong and machines that stand still: what two crystals, and a computer with too much to do, make of a line.

use std::time::{Duration, Instant};

use annotation::time::CaptureTime;
use sfu::PeerId;

use crate::world::{World, ms};

const GIGA: i128 = 1_000_000_000;

/// A clock that runs some parts in a million fast, or slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: Instant,
    local: Instant,
    ppb: i64,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Clock { base: now, local: now, ppb: 0 }
    }

    /// From now on it runs so fast; it never leaps.
    pub(crate) fn run(&mut self, now: Instant, ppm: i64) {
        (self.local, self.base) = (self.local(now), now);
        self.ppb = ppm * 1_000;
    }

    /// What it says.
    pub(crate) fn local(&self, at: Instant) -> Instant {
        let ns = at.saturating_duration_since(self.base).as_nanos() as i128 * (GIGA + i128::from(self.ppb)) / GIGA;
        self.local + Duration::from_nanos(ns as u64)
    }

    /// When it says so.
    pub(crate) fn real(&self, local: Instant) -> Instant {
        let rate = GIGA + i128::from(self.ppb);
        let ns = (local.saturating_duration_since(self.local).as_nanos() as i128 * GIGA + rate - 1) / rate;
        self.base + Duration::from_nanos(ns as u64)
    }
}

/// Times at which a machine does nothing: one in each `every`, mostly short, at most `longest`. Drawn from a seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stalls {
    pub(crate) seed: u64,
    pub(crate) start: Instant,
    pub(crate) every: Duration,
    pub(crate) longest: Duration,
}

impl Stalls {
    /// When it does what was due at `at`.
    pub(crate) fn until(&self, at: Instant) -> Instant {
        let every = self.every.as_nanos() as u64;
        let since = at.saturating_duration_since(self.start).as_nanos() as u64;
        let turn = since / every;
        let (a, b) = (share(self.seed ^ turn.wrapping_mul(2)), share(self.seed ^ (turn.wrapping_mul(2) + 1)));
        // Of three stalls one is longer than a tenth of the longest.
        let length = (self.longest.as_nanos() as f64 * a * a * a * a * a) as u64;
        let begins = turn * every + (every.saturating_sub(length) as f64 * b) as u64;
        if (begins..begins + length).contains(&since) { self.start + Duration::from_nanos(begins + length) } else { at }
    }
}

/// 0 to 1, drawn from a seed (splitmix64).
fn share(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

impl World {
    /// What the page's own clock says.
    pub(crate) fn local(&self, id: PeerId) -> Instant {
        self.members[&id].clock.local(self.now)
    }

    /// When the page's clock said so.
    pub(crate) fn real(&self, id: PeerId, local: Instant) -> Instant {
        self.members[&id].clock.real(local)
    }

    /// The page's clock runs so many parts in a million fast from now on.
    pub(crate) fn drift(&mut self, id: PeerId, ppm: i64) {
        let now = self.now;
        self.members.get_mut(&id).expect("a member").clock.run(now, ppm);
    }

    /// From now on the machines of the server and of this page stand still again and again, for at most so long.
    pub(crate) fn stall(&mut self, id: PeerId, longest: Duration) {
        let stalls = |seed| Stalls { seed, start: self.start, every: longest.max(ms(100)) * 2, longest };
        let (server, page) = (stalls(self.random), stalls(self.random ^ id.0));
        self.stalls = Some(server);
        self.members.get_mut(&id).expect("a member").stalls = Some(page);
    }

    /// The machine that makes the pictures has a clock that runs so many parts in a million fast.
    pub(crate) fn source_runs(&mut self, ppm: i64) {
        self.source_clock.run(self.now, ppm);
    }

    /// What it takes the time of the case to be: its clock, set right every two seconds.
    pub(crate) fn source_time(&self, at: Instant) -> CaptureTime {
        let set = self.start + Duration::from_secs(at.duration_since(self.start).as_secs() / 2 * 2);
        let since = self.source_clock.local(at).duration_since(self.source_clock.local(set));
        self.timeline(set).saturating_add(since)
    }
}
