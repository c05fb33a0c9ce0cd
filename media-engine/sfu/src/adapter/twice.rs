//! What is sent again is sent twice where the line loses: a repair that is lost too is asked for only a round trip later, and by then the
//! picture stands still. The second is the first datagram once more, byte for byte, so that a receiver that has the first throws it
//! away as a replay (RFC 3711 §3.3.2) and nothing is encrypted twice under one number.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Carrier, Transmit};

/// Between the two: losses come in bursts, and one that took the first is mostly over by then. Less than a round trip, after which it
/// would be asked for again.
const APART: Duration = Duration::from_millis(20);
/// Of what is sent, at most a quarter once more: one of five lost, repaired, and repaired again.
const SHARE: usize = 4;
/// Saved up for a burst: a picture of 4 Mbit/s. Above all not the datagrams that only ask a line what it carries, which look the same.
const CREDIT_BYTES_MAX: usize = 24_000;
/// Waiting for their second time. Policy: drop newest; the first is on its way.
const WAITING_MAX: usize = 64;

/// Of one connection.
#[derive(Debug, Default)]
pub(super) struct Twice {
    /// The line loses, and has room.
    pub(super) on: bool,
    credit: usize,
    waiting: VecDeque<(Instant, Transmit)>,
}

impl Twice {
    /// A datagram left. `again`: it repairs.
    pub(super) fn handle_sent(&mut self, now: Instant, transmit: &Transmit, again: bool) {
        let bytes = transmit.contents.len();
        if !again {
            self.credit = (self.credit + bytes / SHARE).min(CREDIT_BYTES_MAX);
        } else if self.on && transmit.carrier == Carrier::Udp && bytes <= self.credit && self.waiting.len() < WAITING_MAX {
            self.credit -= bytes;
            self.waiting.push_back((now + APART, transmit.clone()));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.waiting.pop_front_if(|(due, _)| *due <= now).map(|(_, transmit)| transmit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;
    use std::net::SocketAddr;

    fn datagram(length: usize) -> Transmit {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let class = super::super::Class::Picture;
        Transmit { carrier: Carrier::Udp, class, source: at, destination: at, contents: vec![7; length], since: None }
    }

    #[test]
    fn a_repair_leaves_once_more_a_moment_later_and_nothing_else_does() {
        let start = some_instant();
        let mut twice = Twice { on: true, ..Twice::default() };
        for _ in 0..10 {
            twice.handle_sent(start, &datagram(1_000), false);
        }
        assert_eq!(twice.poll_timeout(), None);
        twice.handle_sent(start, &datagram(900), true);
        assert_eq!(twice.poll_timeout(), Some(start + APART));
        assert_eq!(twice.poll_transmit(start + APART / 2), None);
        assert_eq!(twice.poll_transmit(start + APART), Some(datagram(900)));
        assert_eq!((twice.poll_transmit(start + APART * 9), twice.poll_timeout()), (None, None));
        twice.on = false;
        twice.handle_sent(start, &datagram(900), true);
        assert_eq!(twice.poll_timeout(), None, "a line that loses nothing, or has no room");
        twice.on = true;
        twice.handle_sent(start, &Transmit { carrier: Carrier::Tcp, ..datagram(900) }, true);
        assert_eq!(twice.poll_timeout(), None, "TCP loses nothing");
    }

    #[test]
    fn at_most_a_quarter_is_added_and_memory_is_bounded() {
        let start = some_instant();
        let mut twice = Twice { on: true, ..Twice::default() };
        for n in 0..1_000 {
            twice.handle_sent(start, &datagram(1_000), false);
            twice.handle_sent(start, &datagram(if n < 500 { 1_000 } else { 10 }), true);
        }
        assert_eq!(twice.waiting.len(), WAITING_MAX);
        let mut sent = 0;
        for n in 0..4_000u32 {
            let now = start + APART * (n + 2);
            twice.handle_sent(now, &datagram(1_000), false);
            twice.handle_sent(now, &datagram(1_000), true);
            sent += std::iter::from_fn(|| twice.poll_transmit(now)).filter(|t| t.contents.len() == 1_000).count();
        }
        assert!((900..=1_100).contains(&sent), "{sent} of 4,000");
    }
}
