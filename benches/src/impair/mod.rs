//! A bad line, on purpose: loss with bursts, delay, jitter, reordering, duplicates, a rate, outages, by a script of phases.
//! Sans-IO: packets and time in, packets out. The same seed and the same packets at the same times give the same decisions,
//! because every packet draws the same number of random values whatever becomes of it.
//!
//! Loss is a two-state Gilbert model: in the bad state everything is lost; `burst` is the mean length of a bad state in
//! packets, and the way into it is chosen so that the share lost is `loss`. Source: Gilbert, Bell Syst. Tech. J. 39 (1960).

pub mod proxy;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Bytes kept under way in one direction before the newest are dropped: 4 s at 16 Mbit/s.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// What a line does to packets of one direction. All zero: nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Mean number of packets lost in a row; 1 is independent loss.
    pub burst: f64,
    pub delay_ms: f64,
    /// Added to each packet, evenly from 0 to this; packets keep their order unless `reorder` says otherwise.
    pub jitter_ms: f64,
    /// Share of packets that overtake the queue: they skip delay and jitter.
    pub reorder: f64,
    /// Share of packets sent twice.
    pub duplicate: f64,
    /// 0: no limit.
    pub rate_kbps: f64,
    /// Longest wait at the rate limit; what would wait longer is lost.
    pub queue_ms: f64,
    /// Nothing passes.
    pub outage: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions {
            loss: 0.0,
            burst: 1.0,
            delay_ms: 0.0,
            jitter_ms: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            rate_kbps: 0.0,
            queue_ms: 200.0,
            outage: false,
        }
    }
}

/// From `at_ms` after the start on, until the next phase.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    pub at_ms: u64,
    /// From the client to the server.
    pub up: Conditions,
    /// From the server to the client.
    pub down: Conditions,
}

/// What became of the packets of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub packets: u64,
    pub lost: u64,
    pub in_outage: u64,
    pub over_rate: u64,
    pub duplicated: u64,
    pub reordered: u64,
}

/// One direction of a line. Times are since the start of the script.
#[derive(Debug)]
pub struct Line {
    rng: ChaCha8Rng,
    /// (from, conditions), ascending; before the first: no impairment.
    phases: Vec<(Duration, Conditions)>,
    bad: bool,
    /// When the rate limiter has sent everything it took.
    free_at: Duration,
    /// No packet leaves before its predecessor, unless it overtakes.
    last_out: Duration,
    under_way: BTreeMap<(Duration, u64), Vec<u8>>,
    bytes: usize,
    next: u64,
    counts: Counts,
}

impl Line {
    pub fn new(seed: u64, phases: Vec<(Duration, Conditions)>) -> Self {
        Line {
            rng: ChaCha8Rng::seed_from_u64(seed),
            phases,
            bad: false,
            free_at: Duration::ZERO,
            last_out: Duration::ZERO,
            under_way: BTreeMap::new(),
            bytes: 0,
            next: 0,
            counts: Counts::default(),
        }
    }

    /// A packet entered the line.
    pub fn handle_packet(&mut self, now: Duration, packet: &[u8]) {
        let c = self.conditions(now);
        let draws: [f64; 5] = std::array::from_fn(|_| self.rng.random());
        let [transition, jitter, overtake, twice, _] = draws;
        self.counts.packets += 1;
        let burst = c.burst.max(1.0);
        let into_bad = (c.loss / (burst * (1.0 - c.loss).max(1e-9))).min(1.0);
        self.bad = if self.bad { transition >= 1.0 / burst } else { transition < into_bad };
        if c.outage {
            self.counts.in_outage += 1;
            return;
        }
        if self.bad && c.loss > 0.0 {
            self.counts.lost += 1;
            return;
        }
        let mut at = now;
        if c.rate_kbps > 0.0 {
            let start = self.free_at.max(now);
            if start - now > Duration::from_secs_f64(c.queue_ms / 1000.0) {
                self.counts.over_rate += 1;
                return;
            }
            self.free_at = start + Duration::from_secs_f64(packet.len() as f64 * 8.0 / (c.rate_kbps * 1000.0));
            at = self.free_at;
        }
        if overtake < c.reorder {
            self.counts.reordered += 1;
        } else {
            at += Duration::from_secs_f64((c.delay_ms + jitter * c.jitter_ms) / 1000.0);
            at = at.max(self.last_out);
            self.last_out = at;
        }
        self.push(at, packet);
        if twice < c.duplicate {
            self.counts.duplicated += 1;
            self.push(at, packet);
        }
    }

    /// The next packet that leaves the line by `now`.
    pub fn poll_packet(&mut self, now: Duration) -> Option<Vec<u8>> {
        let entry = self.under_way.first_entry().filter(|e| e.key().0 <= now)?;
        let packet = entry.remove();
        self.bytes -= packet.len();
        Some(packet)
    }

    /// When the next packet leaves.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn conditions(&self, now: Duration) -> Conditions {
        self.phases.iter().rev().find(|(from, _)| *from <= now).map(|(_, c)| c.clone()).unwrap_or_default()
    }

    fn push(&mut self, at: Duration, packet: &[u8]) {
        if self.bytes + packet.len() > QUEUE_BYTES_MAX {
            self.counts.over_rate += 1;
            return;
        }
        self.bytes += packet.len();
        self.under_way.insert((at, self.next), packet.to_vec());
        self.next += 1;
    }
}

/// Both directions of a script, each with a random stream of its own.
pub fn lines(seed: u64, script: &[Phase]) -> (Line, Line) {
    let direction = |pick: fn(&Phase) -> &Conditions| -> Vec<(Duration, Conditions)> {
        script.iter().map(|p| (Duration::from_millis(p.at_ms), pick(p).clone())).collect()
    };
    (Line::new(seed, direction(|p| &p.up)), Line::new(seed ^ 0x5EED, direction(|p| &p.down)))
}

/// When a TCP sender whose segment met a cut line at `sent` gets it through: at its first retransmission after the cut. `rto`
/// doubles with each. Sources: RFC 6298 §5; Linux has 200 ms at least, and 1 s before the first round trip is known.
pub fn first_resend(sent: Duration, rto: Duration, is_cut: impl Fn(Duration) -> bool) -> Duration {
    let (mut at, mut wait) = (sent, rto);
    // 64 s is the longest wait; a line that is cut for longer is tried on at that pace.
    while is_cut(at) {
        at += wait;
        wait = (wait * 2).min(Duration::from_secs(64));
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sends `n` packets a millisecond apart; returns (arrival ms, number) in order of arrival.
    fn send(seed: u64, conditions: Conditions, n: u32) -> (Vec<(u64, u32)>, Counts) {
        let mut line = Line::new(seed, vec![(Duration::ZERO, conditions)]);
        let mut out = Vec::new();
        for t in 0..u64::from(n) + 5_000 {
            if t < u64::from(n) {
                line.handle_packet(ms(t), &(t as u32).to_be_bytes());
            }
            while let Some(p) = line.poll_packet(ms(t)) {
                out.push((t, u32::from_be_bytes(p.try_into().expect("four bytes"))));
            }
        }
        (out, line.counts())
    }

    #[test]
    fn a_good_line_changes_nothing() {
        let (out, counts) = send(1, Conditions::default(), 100);
        assert_eq!(out, (0..100).map(|i| (u64::from(i), i)).collect::<Vec<_>>());
        assert_eq!(counts, Counts { packets: 100, ..Default::default() });
    }

    #[test]
    fn the_same_seed_makes_the_same_decisions_and_another_does_not() {
        let c = Conditions { loss: 0.1, burst: 3.0, jitter_ms: 20.0, duplicate: 0.05, reorder: 0.02, ..Default::default() };
        assert_eq!(send(7, c.clone(), 2_000), send(7, c.clone(), 2_000));
        assert_ne!(send(7, c.clone(), 2_000).0, send(8, c, 2_000).0);
    }

    #[test]
    fn the_share_lost_and_the_length_of_bursts_are_as_asked() {
        for (loss, burst) in [(0.01, 1.0), (0.05, 1.0), (0.05, 4.0), (0.10, 8.0)] {
            let n = 200_000;
            let (out, counts) = send(3, Conditions { loss, burst, ..Default::default() }, n);
            let share = counts.lost as f64 / f64::from(n);
            assert!((share - loss).abs() < 0.15 * loss + 0.002, "asked {loss}, lost {share}");
            let mut bursts = 0u64;
            let mut expected = 0;
            for (_, i) in out {
                bursts += u64::from(i != expected);
                expected = i + 1;
            }
            let mean = counts.lost as f64 / bursts as f64;
            assert!((mean - burst).abs() < 0.15 * burst + 0.1, "asked bursts of {burst}, mean {mean}");
        }
    }

    #[test]
    fn delay_and_jitter_keep_the_order_and_their_bounds() {
        let (out, _) = send(4, Conditions { delay_ms: 30.0, jitter_ms: 50.0, ..Default::default() }, 3_000);
        assert!(out.windows(2).all(|w| w[0].1 < w[1].1));
        assert!(out.iter().all(|(t, i)| (30..=81).contains(&(t - u64::from(*i)))));
    }

    #[test]
    fn a_rate_spreads_packets_and_drops_what_would_wait_too_long() {
        // 4 bytes every ms = 32 kbit/s into a line of 16 kbit/s
        let (out, counts) = send(5, Conditions { rate_kbps: 16.0, queue_ms: 100.0, ..Default::default() }, 2_000);
        assert!((counts.over_rate as f64 - 950.0).abs() < 30.0, "{counts:?}");
        assert!(out.iter().all(|(t, i)| t - u64::from(*i) <= 104));
    }

    #[test]
    fn an_outage_lets_nothing_pass_and_ends_with_its_phase() {
        let outage = Conditions { outage: true, ..Default::default() };
        let phases = vec![(ms(0), Conditions::default()), (ms(100), outage), (ms(200), Conditions::default())];
        let mut line = Line::new(6, phases);
        let mut passed = Vec::new();
        for t in 0..300 {
            line.handle_packet(ms(t), &[0]);
            while line.poll_packet(ms(t)).is_some() {
                passed.push(t);
            }
        }
        assert_eq!(passed, (0..100).chain(200..300).collect::<Vec<_>>());
    }

    #[test]
    fn duplicates_come_twice_and_as_often_as_asked() {
        let n = 20_000;
        let (out, counts) = send(9, Conditions { duplicate: 0.1, ..Default::default() }, n);
        assert_eq!(out.len() as u64, u64::from(n) + counts.duplicated);
        assert!((counts.duplicated as f64 / f64::from(n) - 0.1).abs() < 0.01, "{counts:?}");
        let again = out.windows(2).filter(|w| w[0].1 == w[1].1).count() as u64;
        assert_eq!(again, counts.duplicated);
    }

    #[test]
    fn what_overtakes_comes_before_what_was_sent_earlier() {
        let n = 20_000;
        let (out, counts) = send(10, Conditions { delay_ms: 30.0, reorder: 0.05, ..Default::default() }, n);
        assert_eq!(out.len(), n as usize, "nothing is lost by it");
        assert!((counts.reordered as f64 / f64::from(n) - 0.05).abs() < 0.01, "{counts:?}");
        let early = out.iter().filter(|(t, i)| *t == u64::from(*i)).count() as u64;
        assert_eq!(early, counts.reordered, "who overtakes skips the delay");
        assert!(out.windows(2).any(|w| w[0].1 > w[1].1));
    }

    #[test]
    fn a_script_changes_the_line_at_its_times_and_each_direction_has_its_own() {
        let script: Vec<Phase> = serde_json::from_str(
            r#"[{"at_ms":100,"up":{"delay_ms":50},"down":{"rate_kbps":8}},{"at_ms":200,"up":{"loss":1.0,"burst":1e9}},{"at_ms":300}]"#,
        )
        .expect("a script");
        let (mut up, mut down) = lines(1, &script);
        let pass = |line: &mut Line, at: u64| {
            line.handle_packet(ms(at), &[0; 10]);
            let out = line.poll_timeout();
            while line.poll_packet(ms(1_000_000)).is_some() {}
            out
        };
        assert_eq!(pass(&mut up, 99), Some(ms(99)), "before the first phase nothing is done to it");
        assert_eq!(pass(&mut up, 100), Some(ms(150)));
        assert_eq!(pass(&mut down, 100), Some(ms(110)), "10 bytes at 8 kbit/s");
        assert_eq!(pass(&mut up, 250), None);
        assert_eq!(pass(&mut down, 250), Some(ms(250)));
        assert_eq!(pass(&mut up, 300), Some(ms(300)));
        assert!(serde_json::from_str::<Phase>(r#"{"at_ms":1,"upp":{}}"#).is_err(), "a slip of the pen is not a good line");
    }

    #[test]
    fn directions_and_clients_draw_from_streams_of_their_own() {
        let lossy = Conditions { loss: 0.3, ..Default::default() };
        let script = [Phase { at_ms: 0, up: lossy.clone(), down: lossy }];
        let fate = |line: &mut Line| -> Vec<bool> {
            (0..500)
                .map(|t| {
                    line.handle_packet(ms(t), &[0]);
                    line.poll_packet(ms(t)).is_some()
                })
                .collect()
        };
        let (mut up, mut down) = lines(4, &script);
        let (mut other, _) = lines(5, &script);
        let (mut again, _) = lines(4, &script);
        let first = fate(&mut up);
        assert_ne!(first, fate(&mut down));
        assert_ne!(first, fate(&mut other));
        assert_eq!(first, fate(&mut again));
    }

    #[test]
    fn an_outage_does_not_change_the_decisions_after_it() {
        let lossy = Conditions { loss: 0.2, burst: 2.0, ..Default::default() };
        let fate = |outage: bool| -> Vec<bool> {
            let middle = Conditions { outage, ..lossy.clone() };
            let mut line = Line::new(8, vec![(ms(0), lossy.clone()), (ms(500), middle), (ms(1_000), lossy.clone())]);
            (0..2_000)
                .map(|t| {
                    line.handle_packet(ms(t), &[0]);
                    line.poll_packet(ms(t)).is_some()
                })
                .collect()
        };
        let (cut, whole) = (fate(true), fate(false));
        assert!(cut[500..1_000].iter().all(|passed| !passed));
        assert_eq!(cut[1_000..], whole[1_000..]);
    }

    #[test]
    fn a_tcp_sender_gets_through_at_its_first_retransmission_after_the_cut() {
        let cut = |at: Duration| at >= ms(1_000) && at < ms(3_000);
        let rto = ms(200);
        assert_eq!(first_resend(ms(900), rto, cut), ms(900));
        assert_eq!(first_resend(ms(1_050), rto, cut), ms(1_050 + 200 + 400 + 800 + 1_600));
        assert_eq!(first_resend(ms(2_700), rto, cut), ms(2_700 + 200 + 400));
        assert_eq!(first_resend(ms(2_500), ms(1_000), cut), ms(3_500), "a new connection waits a second");
    }
}
