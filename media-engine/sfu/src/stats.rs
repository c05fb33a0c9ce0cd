//! Figures that outlive a peer: how long things took, in fixed steps.

use std::time::Duration;

use crate::engine::Counters;

/// Upper bounds of the steps, microseconds; what took longer is counted beyond the last. Fine where the budgets are: 3 and
/// 20 ms for forwarding, 150 and 500 ms for a first picture.
pub const STEPS_US: [u64; 15] =
    [200, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000, 300_000, 500_000, 1_000_000, 5_000_000];

/// How often something took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Not cumulative; the last is of what took longer than all steps.
    counts: [u64; STEPS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = STEPS_US.iter().position(|step| us <= *step).unwrap_or(STEPS_US.len());
        self.counts[step] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// The same where there may be nothing to record.
    pub(crate) fn extend_with(&mut self, took: Option<Duration>) {
        if let Some(took) = took {
            self.record(took);
        }
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// Each step with how many took at most so long, as Prometheus has it; without the last, which is [`Histogram::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut sum = 0;
        STEPS_US.iter().zip(self.counts).map(move |(step, count)| {
            sum += count;
            (Duration::from_micros(*step), sum)
        })
    }

    /// The time below which this share lies, 0 to 1, taken to lie evenly within its step. `None`: nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = self.count() as f64 * share.clamp(0.0, 1.0);
        let (mut below, mut lower) = (0u64, 0u64);
        for (step, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            lower = if step == 0 { 0 } else { STEPS_US[step - 1] };
            let upper = STEPS_US.get(step).copied().unwrap_or(lower);
            if (below + count) as f64 >= wanted {
                let within = (wanted - below as f64) / *count as f64;
                return Some(Duration::from_micros(lower + ((upper - lower) as f64 * within) as u64));
            }
            below += count;
        }
        (below > 0).then_some(Duration::from_micros(lower))
    }

    /// What was counted since an earlier look at the same histogram.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Histogram { counts, sum_us: self.sum_us.saturating_sub(earlier.sum_us) }
    }
}

/// Connections by TCP (ICE-TCP), of all peers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFigures {
    /// Now; those among them that have proved nothing yet.
    pub open: usize,
    pub strangers: usize,
    /// Closed because they were too many, or proved nothing in time.
    pub refused: u64,
    /// Closed because their peer was gone, or nothing came any more.
    pub ended: u64,
    /// Packets that a connection did not take in time.
    pub dropped: u64,
}

/// What was counted since the start, of all peers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    pub counters: Counters,
    /// Now.
    pub peers: usize,
    /// From a picture's packet read off the link, or off the line from its camera, to its datagram handed to the kernel; by UDP,
    /// each viewer's copy by itself. What waits for a viewer's line waits in it; what is sent again is not counted.
    pub forwarding: Histogram,
    /// From the offer to a media path that is up.
    pub joining: Histogram,
    /// From told what to show, or from connected, to the first packet of the first picture.
    pub starting: Histogram,
    /// Datagrams that the kernel did not take in time, and events that the server did not.
    pub datagrams_dropped: u64,
    pub events_dropped: u64,
    /// Calls that the kernel refused for good: no way there, or larger than the first network takes.
    pub sends_failed: u64,
    pub tcp: TcpFigures,
}

impl TcpFigures {
    pub fn merge(&mut self, other: &TcpFigures) {
        self.open += other.open;
        self.strangers += other.strangers;
        self.refused += other.refused;
        self.ended += other.ended;
        self.dropped += other.dropped;
    }
}

impl Figures {
    /// Of two threads together.
    pub fn merge(&mut self, other: &Figures) {
        self.counters.merge(&other.counters);
        self.peers += other.peers;
        self.forwarding.merge(&other.forwarding);
        self.joining.merge(&other.joining);
        self.starting.merge(&other.starting);
        self.datagrams_dropped += other.datagrams_dropped;
        self.events_dropped += other.events_dropped;
        self.sends_failed += other.sends_failed;
        self.tcp.merge(&other.tcp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_count_what_took_at_most_so_long() {
        let mut histogram = Histogram::default();
        for us in [0, 200, 201, 3_000, 6_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let cumulative: Vec<u64> = histogram.cumulative().map(|(_, n)| n).collect();
        assert_eq!(cumulative, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_micros(6_003_401)));
        assert_eq!(histogram.quantile(0.4), Some(Duration::from_micros(200)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(5)), "more is not known");
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn two_are_one_and_one_less_another_is_what_came_since() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.record(Duration::from_millis(1));
        b.record(Duration::from_millis(40));
        let before = a;
        a.merge(&b);
        assert_eq!(a.since(&before), b);
    }
}
