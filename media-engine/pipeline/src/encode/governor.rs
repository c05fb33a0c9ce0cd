//! Sheds load in a stated order when the machine cannot carry it, and comes back. Pure: told once a second how late the media loop
//! was and what its encoders had no room for.
//!
//! The order: pictures of feeds watched alone at half rate, then five a second; the program at no more than 30 a second; its
//! layers smaller. Voice, ink and health are never shed: none of them is here.

use std::time::Duration;

use annotation::time::CaptureTime;

/// Overloaded for so many seconds in a row before the first thing is shed.
const OVER_FOR: u32 = 2;
/// The next thing is not shed before the last had time to help.
const BETWEEN: Duration = Duration::from_secs(3);
/// Calm for this long before something is given back; doubled, up to the longest, each time that it did not last.
const CALM_FOR: Duration = Duration::from_secs(10);
const CALM_FOR_MAX: Duration = Duration::from_secs(120);

/// How much is shed; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Shed {
    #[default]
    Nothing,
    /// Feeds watched alone at half rate.
    SinglesHalf,
    /// Feeds watched alone at five a second: their state still shows in time.
    SinglesFew,
    /// The program at no more than 30 a second.
    Program30,
    /// The program's layers three quarters as wide.
    Smaller,
}

impl Shed {
    const ALL: [Shed; 5] = [Shed::Nothing, Shed::SinglesHalf, Shed::SinglesFew, Shed::Program30, Shed::Smaller];

    /// On the wire and in logs; empty: nothing is shed.
    pub fn as_str(self) -> &'static str {
        match self {
            Shed::Nothing => "",
            Shed::SinglesHalf => "singles-half",
            Shed::SinglesFew => "singles-few",
            Shed::Program30 => "program-30",
            Shed::Smaller => "smaller",
        }
    }

    /// Of a feed watched alone with this period, each n-th picture is taken.
    pub fn single_every(self, period: Duration) -> u64 {
        match self {
            Shed::Nothing => 1,
            Shed::SinglesHalf => 2,
            _ => (200_000 / period.as_micros().max(1)).clamp(2, 60) as u64,
        }
    }

    /// Of a program with this period, each n-th picture is taken.
    pub fn program_every(self, period: Duration) -> u64 {
        if self >= Shed::Program30 && period < Duration::from_millis(25) { 2 } else { 1 }
    }

    pub fn is_smaller(self) -> bool {
        self >= Shed::Smaller
    }

    fn more(self) -> Option<Shed> {
        Self::ALL.get(self as usize + 1).copied()
    }

    fn less(self) -> Option<Shed> {
        (self as usize).checked_sub(1).and_then(|n| Self::ALL.get(n)).copied()
    }
}

/// A second of the media loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Second {
    /// Period of the program.
    pub period: Duration,
    /// From when a picture could be made to when it was handed to the encoders, worst but one in twenty.
    pub late_p95: Duration,
    /// Pictures due at an encoder, and those of them that it had no room for.
    pub due: u64,
    pub without_room: u64,
}

impl Second {
    /// Pictures are dropped (over one in fifty), or go out more than a period late.
    fn is_over(&self) -> bool {
        self.late_p95 > self.period || self.without_room * 50 > self.due
    }

    fn is_calm(&self) -> bool {
        self.late_p95 < self.period / 2 && self.without_room == 0
    }
}

/// What the machine can carry, learned by trying.
#[derive(Debug, Clone)]
pub struct Governor {
    shed: Shed,
    over: u32,
    changed: Option<CaptureTime>,
    calm_since: Option<CaptureTime>,
    /// When something was given back last.
    returned: Option<CaptureTime>,
    calm_for: Duration,
}

impl Default for Governor {
    fn default() -> Self {
        Governor { shed: Shed::Nothing, over: 0, changed: None, calm_since: None, returned: None, calm_for: CALM_FOR }
    }
}

impl Governor {
    pub fn shed(&self) -> Shed {
        self.shed
    }

    /// One second of the loop; `now`: any monotone time. Returns what is shed from now on, when it changed.
    pub fn handle_second(&mut self, second: Second, now: CaptureTime) -> Option<Shed> {
        let passed = |since: Option<CaptureTime>, at_least: Duration| since.is_none_or(|since| now.since(since) >= at_least);
        if second.is_over() {
            self.over += 1;
            self.calm_since = None;
            if self.over < OVER_FOR || !passed(self.changed, BETWEEN) {
                return None;
            }
            let more = self.shed.more()?;
            // What was given back is taken again: the machine cannot carry it, and is not asked so soon again.
            if !passed(self.returned, self.calm_for) {
                self.calm_for = (self.calm_for * 2).min(CALM_FOR_MAX);
            }
            return Some(self.change(more, now));
        }
        self.over = 0;
        if !second.is_calm() {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        if passed(self.returned, CALM_FOR_MAX * 2) {
            self.calm_for = CALM_FOR;
        }
        if now.since(since) < self.calm_for {
            return None;
        }
        let less = self.shed.less()?;
        self.returned = Some(now);
        Some(self.change(less, now))
    }

    fn change(&mut self, shed: Shed, now: CaptureTime) -> Shed {
        (self.shed, self.changed, self.calm_since, self.over) = (shed, Some(now), None, 0);
        shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(33);

    fn at(s: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + s))
    }

    fn second(late_ms: u64, without_room: u64) -> Second {
        Second { period: PERIOD, late_p95: Duration::from_millis(late_ms), due: 90, without_room }
    }

    /// A machine that carries `carries` of five steps' load; returns (second, shed) at each change.
    fn rehearse(governor: &mut Governor, seconds: std::ops::Range<u64>, needs: impl Fn(u64) -> Shed) -> Vec<(u64, Shed)> {
        let mut changes = Vec::new();
        for s in seconds {
            let load = if governor.shed() < needs(s) { second(60, 12) } else { second(3, 0) };
            if let Some(shed) = governor.handle_second(load, at(s)) {
                changes.push((s, shed));
            }
        }
        changes
    }

    #[test]
    fn load_is_shed_in_the_stated_order_until_it_is_carried() {
        let mut governor = Governor::default();
        let changes = rehearse(&mut governor, 0..12, |_| Shed::Smaller);
        let order: Vec<Shed> = changes.iter().map(|c| c.1).collect();
        assert_eq!(order, [Shed::SinglesHalf, Shed::SinglesFew, Shed::Program30, Shed::Smaller]);
        assert!(changes.windows(2).all(|w| w[1].0 - w[0].0 >= 3), "{changes:?}");
        assert_eq!(changes[0].0, 1, "two seconds of it");
    }

    #[test]
    fn one_bad_second_sheds_nothing_and_the_worst_is_the_worst() {
        let mut governor = Governor::default();
        for s in 0..100 {
            let load = if s % 2 == 0 { second(60, 0) } else { second(5, 0) };
            assert_eq!(governor.handle_second(load, at(s)), None);
        }
        for s in 100..200 {
            governor.handle_second(second(500, 90), at(s));
        }
        assert_eq!(governor.shed(), Shed::Smaller);
    }

    #[test]
    fn what_was_shed_comes_back_when_the_load_is_gone() {
        let mut governor = Governor::default();
        let needs = |s: u64| if s < 20 { Shed::Program30 } else { Shed::Nothing };
        let changes = rehearse(&mut governor, 0..80, needs);
        assert_eq!(governor.shed(), Shed::Nothing, "{changes:?}");
        assert!(changes.last().is_some_and(|c| c.0 < 60), "{changes:?}");
    }

    #[test]
    fn what_cannot_be_carried_is_tried_ever_more_seldom() {
        let mut governor = Governor::default();
        let changes = rehearse(&mut governor, 0..1800, |_| Shed::SinglesFew);
        let tries: Vec<u64> = changes.iter().filter(|c| c.1 == Shed::SinglesHalf).map(|c| c.0).skip(1).collect();
        assert!(tries.len() <= 20, "{tries:?}: half an hour");
        assert!(tries.windows(2).last().is_some_and(|w| w[1] - w[0] >= 120), "{tries:?}");
    }

    #[test]
    fn rates_follow_the_period() {
        assert_eq!(Shed::Nothing.single_every(PERIOD), 1);
        assert_eq!(Shed::SinglesHalf.single_every(PERIOD), 2);
        assert_eq!((Shed::Program30.single_every(PERIOD), Shed::SinglesFew.single_every(Duration::from_millis(16))), (6, 12));
        assert_eq!((Shed::Smaller.program_every(PERIOD), Shed::Smaller.program_every(Duration::from_millis(16))), (1, 2));
        assert!(!Shed::Program30.is_smaller() && Shed::Smaller.is_smaller());
    }
}
