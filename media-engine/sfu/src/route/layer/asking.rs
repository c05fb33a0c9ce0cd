//! What the estimator of one viewer's line is told: how much to ask the line for, when to begin anew, and where. Pure.

use std::time::{Duration, Instant};

use super::{Ask, Chooser, Line, RESERVE_BPS, WAITING_MAX};

/// How often a line is asked whether it carries more. Found back within 4 s needs two or three.
const ASK_EVERY: Duration = Duration::from_millis(1_000);
/// A line that is given no picture at all may tell nothing any more: it is asked anew, from the first, this often.
const ANEW_EVERY: Duration = Duration::from_millis(1_500);
/// Where an estimate begins then: the first questions are three and six times this.
const ANEW_BPS: u64 = 100_000;
/// A proof that is broken off and begun again within this goes on where it was.
const PROVE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A line is asked for at least this much, so that keyframes need not queue where there is room.
const DESIRED_MIN_BPS: u64 = 5_000_000;

/// For the estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orders {
    /// To be sent at least, filled up with padding.
    pub(crate) least_bps: u64,
    /// What the line should be found to carry, if it does.
    pub(crate) desired_bps: u64,
    /// Forget all, and begin here.
    pub(crate) anew_bps: Option<u64>,
    /// What the line is held to carry.
    pub(crate) estimate_bps: Option<u64>,
}

impl Chooser {
    /// To be called after each [`Chooser::choose`], with what it picked, about five times a second.
    pub(crate) fn orders(&mut self, now: Instant, line: Line, asks: &[Ask], picked: &[Option<usize>]) -> Orders {
        let doubted = self.stands.filter(|(_, anew)| *anew).map(|(bps, _)| bps);
        let line = Line { estimate_bps: self.stands.map(|(bps, _)| bps).or(line.estimate_bps), ..line };
        let stuck = line.estimate_bps.filter(|_| self.is_stuck(now, line, picked));
        // The estimator begins where it is, without its memory of how little was sent.
        let proof = line.estimate_bps.filter(|_| self.begins_to_prove(now));
        let desired = self.desired(now, line, asks, picked);
        let anew = line.estimate_bps.is_some() && self.asks_anew(now, line, picked);
        let desired_bps = match (doubted, stuck) {
            // It asks for twice what is desired at once: no more than it carried a moment ago.
            (Some(bps), _) => bps / 2,
            // One that begins where it stuck asks for twice that, not for six times: most such lines are what they were, and a voice waits.
            (None, Some(bps)) => bps,
            (None, None) => desired,
        };
        let anew_bps = if anew { Some(ANEW_BPS) } else { doubted.or(stuck).or(proof) };
        Orders { least_bps: self.proving_bps.unwrap_or(0), desired_bps, anew_bps, estimate_bps: line.estimate_bps }
    }

    /// What to ask of the line, bps.
    fn desired(&mut self, now: Instant, line: Line, asks: &[Ask], picked: &[Option<usize>]) -> u64 {
        let best: u64 = asks.iter().map(|a| a.cost(Some(0))).sum();
        let desired = ((best + RESERVE_BPS) * 130 / 100).max(DESIRED_MIN_BPS);
        // Or what all have now was only just found to fit, as after a false alarm while little was sent.
        let scarce = line.estimate_bps.is_some_and(|e| e < (best + RESERVE_BPS) * 110 / 100);
        let wants_more = scarce || picked.iter().any(|p| *p != Some(0));
        let quiet = line.waiting < WAITING_MAX;
        // Half as much again as all that is wished.
        let good = |estimate: u64| !wants_more && quiet && self.collapse.ceiling_bps.is_none() && estimate * 2 >= best * 3;
        if let Some(room) = line.estimate_bps.and_then(|e| self.room.desired(now, e, best, good(e))) {
            return room.max(desired);
        }
        let due = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASK_EVERY);
        if wants_more && quiet && (due || self.lowered) {
            self.asked = Some(now);
            self.lowered = !self.lowered;
        }
        if self.lowered { desired * 98 / 100 } else { desired }
    }

    /// True: forget what was estimated and ask from the first. What nothing is sent over says nothing, and an estimator that
    /// last saw queues grow and asks no more would wait for ever.
    fn asks_anew(&mut self, now: Instant, line: Line, picked: &[Option<usize>]) -> bool {
        if picked.is_empty() || picked.iter().any(Option::is_some) {
            self.idle = None;
            return false;
        }
        let (since, asked) = self.idle.get_or_insert((now, false));
        *asked |= line.asked;
        if now.saturating_duration_since(*since) < ANEW_EVERY {
            return false;
        }
        let anew = !*asked;
        self.idle = Some((now, false));
        self.collapse.ceiling_bps = None;
        anew
    }

    /// True once for each proof, but not at each flicker of one: the estimator is to forget how little was sent.
    fn begins_to_prove(&mut self, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.proving, self.proving_bps.is_some());
        let begins =
            self.proving && !before && self.proved.is_none_or(|at| now.saturating_duration_since(at) >= PROVE_AGAIN_AFTER);
        if begins {
            self.proved = Some(now);
        }
        begins
    }

    /// True: the estimator has stopped asking, though less is given than is wished and nothing waits.
    fn is_stuck(&mut self, now: Instant, line: Line, picked: &[Option<usize>]) -> bool {
        let wants_more = picked.iter().any(|p| *p != Some(0)) && picked.iter().any(Option::is_some);
        // A line that collapsed tells by losing no more, not by being asked.
        let may = wants_more && line.waiting < WAITING_MAX && self.collapse.ceiling_bps.is_none();
        self.stuck.look(now, line.estimate_bps.filter(|_| may), line.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, program};
    use super::super::{Has, *};

    #[test]
    fn a_line_that_could_carry_more_is_asked_every_second() {
        let start = Instant::now();
        let mut chooser = Chooser::default();
        let asks = [program(Has::Rung(2))];
        let said: Vec<u64> = (0..50u64)
            .map(|n| chooser.desired(start + Duration::from_millis(n * 200), line(300_000, 0), &asks, &[Some(2)]))
            .collect();
        let rises = said.windows(2).filter(|w| w[1] > w[0]).count();
        assert!((7..=10).contains(&rises), "{rises} questions in 10 s");
        let all = [Some(0)];
        let quiet: Vec<u64> = (50..100u64)
            .map(|n| chooser.desired(start + Duration::from_millis(n * 200), line(20_000_000, 0), &asks, &all))
            .collect();
        assert!(quiet.windows(2).skip(1).all(|w| w[0] == w[1]), "nothing to ask for");
    }

    #[test]
    fn a_line_that_collapsed_or_gives_all_has_no_stuck_estimator_and_one_that_asks_in_vain_is_not_begun_anew() {
        let (start, mut chooser) = (Instant::now(), Chooser::default());
        let at = |n: u64| start + Duration::from_millis(n * 100);
        assert_eq!((0..100).filter(|n| chooser.is_stuck(at(*n), line(224_000, 0), &[Some(2)])).count(), 4);
        assert!(!(100..200).any(|n| chooser.is_stuck(at(n), line(3_000_000, 0), &[Some(0)])), "all is as wished");
        let asked = |n: u64| Line { asked: n % 10 == 9, ..line(224_000, 0) };
        assert!(!(200..800).any(|n| chooser.asks_anew(at(n), asked(n), &[None])), "all is paused");
        assert_eq!((800..900).filter(|n| chooser.asks_anew(at(*n), line(60_000, 0), &[None])).count(), 6);
        chooser.collapse.ceiling_bps = Some(100_000);
        assert!(!(900..1_000).any(|n| chooser.is_stuck(at(n), line(224_000, 0), &[Some(2)])), "it collapsed");
    }

    #[test]
    fn a_proof_that_flickers_begins_the_estimator_anew_once_and_a_line_that_is_short_is_not_filled_up() {
        let (start, mut chooser) = (Instant::now(), Chooser::default());
        let mut begun = Vec::new();
        for n in 0..100u64 {
            let now = start + Duration::from_millis(n * 200);
            // Every second of a second it is enough.
            let bps = if n % 10 < 5 { 4_000_000 } else { 2_000_000 };
            let picked = chooser.choose(now, line(bps, 0), &[program(Has::Rung(1))]);
            assert!(picked[0] <= Some(1));
            if chooser.begins_to_prove(now) {
                begun.push(n * 200);
            }
        }
        assert!((2..=4).contains(&begun.len()), "{begun:?}");
        chooser.proving_bps = Some(3_000_000);
        let now = start + Duration::from_secs(60);
        let fixed = [Ask { fixed: true, ..program(Has::Rung(0)) }];
        chooser.choose(now, line(100_000, 0), &fixed);
        assert_eq!(chooser.proving_bps, None);
    }
}
