//! The real engine for a long time, with feeds that die, hang, grow slow and return at random, from a seed: does anything grow, and
//! do the others notice?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameIndex};
use pipeline::feed::Source;
use pipeline::picture::Picture;
use rand::Rng;
use serde::Serialize;

use crate::stats::Percentiles;
use crate::track::noise::{Dice, dice};

pub mod device;
pub mod scene;
pub mod server;

/// How a feed is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// Its source says that it failed, each time it is asked.
    Failing,
    /// It is asked, and does not answer until it is back.
    Hanging,
    /// It answers, each time much too late.
    Slow,
}

/// When one feed is away, from the beginning of the run.
#[derive(Debug, Clone)]
pub struct Life {
    pub away: Vec<(Duration, Duration, Away)>,
}

impl Life {
    /// `lives_s`: how long it lives at a time, at least and at most.
    pub fn new(seed: u64, lives_s: std::ops::Range<f64>, run: Duration) -> Self {
        let mut dice: Dice = dice(seed);
        let mut at = dice.random_range(lives_s.clone());
        let mut away = Vec::new();
        while at < run.as_secs_f64() {
            let until = at + dice.random_range(0.3..6.0);
            let how = [Away::Failing, Away::Hanging, Away::Slow][dice.random_range(0..3)];
            away.push((Duration::from_secs_f64(at), Duration::from_secs_f64(until), how));
            at = until + dice.random_range(lives_s.clone());
        }
        Life { away }
    }

    pub fn immortal() -> Self {
        Life { away: Vec::new() }
    }

    fn at(&self, t: Duration) -> Option<(Duration, Away)> {
        self.away.iter().find(|(from, until, _)| (*from..*until).contains(&t)).map(|&(_, until, how)| (until, how))
    }

    /// Is it there for all of this time, and has it been for `settled` before?
    fn lives(&self, from: Duration, to: Duration, settled: Duration) -> bool {
        self.away.iter().all(|&(gone, back, _)| to < gone || from > back + settled)
    }
}

/// A source that is away at times.
pub struct Mortal {
    pub inner: Box<dyn Source>,
    pub life: Life,
    pub began: Instant,
}

impl std::fmt::Debug for Mortal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mortal({} times away)", self.life.away.len())
    }
}

impl Source for Mortal {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let now = self.began.elapsed();
        match self.life.at(now) {
            Some((_, Away::Failing)) => return Err("The rehearsed feed is away; it comes back by itself.".into()),
            Some((until, Away::Hanging)) => std::thread::sleep(until - now),
            Some((_, Away::Slow)) => std::thread::sleep(Duration::from_millis(350)),
            None => {}
        }
        self.inner.picture(k)
    }
}

/// A feed needs a moment after its return: a failed source is asked again each second.
const SETTLED: Duration = Duration::from_millis(2_500);

/// Stalls told one by one, of each feed.
const STALLS_TOLD: usize = 32;

/// One feed as the program shows it.
#[derive(Debug)]
struct Shown {
    period: Duration,
    life: Life,
    last: Option<(CaptureTime, CaptureTime)>,
    /// Beyond what its cadence and the program's explain, ms; and when it ended, s.
    stalls: Vec<(f64, f64)>,
    /// From its death to the first program frame that does not say *live*, ms; of which death that was.
    marked: Vec<f64>,
    marked_of: Option<Duration>,
    /// When it was said not to live and did, s.
    wronged: Vec<f64>,
}

impl Shown {
    /// It was live in the program frame of `shown`, and is not in that of `t`.
    fn handle_mark(&mut self, shown: Duration, t: Duration) {
        let death = self.life.away.iter().rev().find(|(gone, ..)| *gone <= t);
        match death {
            // A slow one is marked again and again: the first time counts.
            Some(&(gone, back, _)) if shown <= back + SETTLED => {
                if self.marked_of.replace(gone) != Some(gone) {
                    self.marked.push((t - gone).as_secs_f64() * 1e3);
                }
            }
            _ => self.wronged.push(t.as_secs_f64()),
        }
    }
}

/// What is counted of the frame indexes.
#[derive(Debug)]
pub struct Watch {
    /// The timeline at the beginning of the run.
    began: CaptureTime,
    /// Time between two program frames.
    program: Duration,
    feeds: BTreeMap<String, Shown>,
    main: String,
    /// Composed minus captured of the main feed, ms, and when.
    pub ages: Vec<(f64, f64)>,
    last_made: Option<CaptureTime>,
    gaps: Vec<f64>,
}

/// Of one feed.
#[derive(Debug, Clone, Serialize)]
pub struct Stalls {
    pub feed: String,
    pub times_away: usize,
    /// Longer than the program's and its own cadence explain, ms.
    pub stall: Option<Percentiles>,
    pub worst_ms: f64,
    pub over_one_frame: usize,
    /// Each of those: s since the beginning, ms, and whether the main feed was away then.
    pub when: Vec<(f64, f64, bool)>,
    /// From its death to the first program frame that does not say *live*, ms.
    pub marked: Option<Percentiles>,
    pub marked_worst_ms: f64,
    /// When it was said not to live and did, s since the beginning.
    pub wronged: Vec<f64>,
}

impl Watch {
    /// `feeds`: id, period and life, the main one first.
    pub fn new(began: CaptureTime, feeds: Vec<(String, Duration, Life)>) -> Self {
        let main = feeds.first().map(|f| f.0.clone()).unwrap_or_default();
        let program = feeds.first().map_or(Duration::ZERO, |f| f.1);
        let feeds = feeds.into_iter().map(|(id, period, life)| {
            (id, Shown { period, life, last: None, stalls: Vec::new(), marked: Vec::new(), marked_of: None, wronged: Vec::new() })
        });
        Watch { began, program, feeds: feeds.collect(), main, ages: Vec::new(), last_made: None, gaps: Vec::new() }
    }

    pub fn handle_frame(&mut self, index: &FrameIndex) {
        let composed = CaptureTime(index.composed);
        let t = composed.since(self.began);
        if let Some(last) = self.last_made.replace(composed) {
            self.gaps.push(composed.since(last).as_secs_f64() * 1e3);
        }
        for entry in &index.entries {
            let Some(feed) = self.feeds.get_mut(&entry.feed) else { continue };
            if entry.state() != FeedState::Live {
                if let Some((_, shown)) = feed.last.take() {
                    feed.handle_mark(shown.since(self.began), t);
                }
                continue;
            }
            let capture = CaptureTime(entry.capture);
            if entry.feed == self.main && feed.last.is_none_or(|(last, _)| capture > last) {
                self.ages.push((t.as_secs_f64(), composed.since(capture).as_secs_f64() * 1e3));
            }
            match feed.last {
                Some((last, _)) if capture <= last => {}
                last => {
                    if let Some((_, shown)) = last
                        && feed.life.lives(shown.since(self.began), t, SETTLED)
                    {
                        // A picture of a slower feed waits for the next program frame; that is its cadence, no stall.
                        let explained = feed.period.max(self.program)
                            + if feed.period > self.program { self.program } else { Duration::ZERO };
                        let stall = (composed.since(shown).as_secs_f64() - explained.as_secs_f64()).max(0.0) * 1e3;
                        feed.stalls.push((stall, t.as_secs_f64()));
                    }
                    feed.last = Some((capture, composed));
                }
            }
        }
    }

    pub fn gaps(&self) -> Option<Percentiles> {
        Percentiles::of(&self.gaps)
    }

    pub fn stalls(&self) -> Vec<Stalls> {
        let frame_ms = self.program.as_secs_f64() * 1e3;
        let main_away = |t: f64| {
            let main = self.feeds.get(&self.main);
            main.is_some_and(|m| m.life.away.iter().any(|a| (a.0.as_secs_f64()..a.1.as_secs_f64() + 1.0).contains(&t)))
        };
        let of = |(id, feed): (&String, &Shown)| {
            let ms: Vec<f64> = feed.stalls.iter().map(|s| s.0).collect();
            let over: Vec<_> = feed.stalls.iter().filter(|s| s.0 > frame_ms).collect();
            Stalls {
                feed: id.clone(),
                times_away: feed.life.away.len(),
                stall: Percentiles::of(&ms),
                worst_ms: ms.iter().copied().fold(0.0, f64::max),
                over_one_frame: over.len(),
                when: over.iter().take(STALLS_TOLD).map(|s| (s.1, s.0, main_away(s.1))).collect(),
                marked: Percentiles::of(&feed.marked),
                marked_worst_ms: feed.marked.iter().copied().fold(0.0, f64::max),
                wronged: feed.wronged.iter().copied().take(STALLS_TOLD).collect(),
            }
        };
        self.feeds.iter().map(of).collect()
    }
}

/// Least squares: units of y a unit of x.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let under: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::frame::FrameEntry;

    #[test]
    fn a_life_is_the_same_from_the_same_seed_and_leaves_time_to_live() {
        let run = Duration::from_secs(600);
        let life = Life::new(5, 5.0..30.0, run);
        assert_eq!(life.away, Life::new(5, 5.0..30.0, run).away);
        assert!(life.away.len() > 15 && life.away.windows(2).all(|w| w[1].0 - w[0].1 >= Duration::from_secs(5)));
        assert!(life.at(life.away[0].0).is_some() && life.at(Duration::ZERO).is_none());
    }

    #[test]
    fn a_stall_is_what_the_cadence_does_not_explain_and_death_is_none() {
        let began = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        let at = |ms: u64| began.saturating_add(Duration::from_millis(ms)).0;
        let period = Duration::from_millis(40);
        let dead = Life { away: vec![(Duration::from_secs(20), Duration::from_secs(21), Away::Failing)] };
        let mut watch = Watch::new(began, vec![("a".into(), period, Life::immortal()), ("b".into(), period, dead)]);
        let mut show = |ms: u64, b: u64| {
            let entry = |feed: &str, capture: u64| FrameEntry {
                feed: feed.into(),
                capture: at(capture),
                state: FeedState::Live.into(),
                ..Default::default()
            };
            watch.handle_frame(&FrameIndex {
                composed: at(ms + 5),
                entries: vec![entry("a", ms), entry("b", b)],
                ..Default::default()
            });
        };
        for k in 1..400 {
            show(10_000 + 40 * k, 10_000 + if (100..103).contains(&k) { 40 * 99 } else { 40 * k });
        }
        let stalls = watch.stalls();
        assert_eq!((stalls[1].over_one_frame, stalls[1].worst_ms.round()), (1, 120.0));
        assert_eq!((stalls[0].over_one_frame, stalls[0].stall.as_ref().map(|p| p.n)), (0, Some(398)));
        assert!(stalls[1].stall.as_ref().is_some_and(|p| p.n < 350), "what it does while it is away, and just after, is none");
        assert!(watch.ages.iter().all(|a| (a.1 - 5.0).abs() < 0.01));
    }

    #[test]
    fn a_line_has_its_slope() {
        let points: Vec<(f64, f64)> = (0..50).map(|x| (f64::from(x), 3.0 + 0.5 * f64::from(x))).collect();
        assert!((slope(&points) - 0.5).abs() < 1e-9);
        assert_eq!(slope(&[]), 0.0);
    }
}
