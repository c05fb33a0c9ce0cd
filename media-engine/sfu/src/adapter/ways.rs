//! Which arrival a datagram that leaves belongs to: what came in waits for the pacer inside str0m, in order.

use std::collections::VecDeque;
use std::time::Instant;

/// Packets on their way through one stream. 2 s of 4 Mbit/s. Policy: oldest forgotten.
const WAITING_MAX: usize = 1_024;

/// Packets of one stream that were written and have not left, with when they came to this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    ssrc: Option<u32>,
    waiting: VecDeque<(u16, Instant)>,
}

impl Ways {
    pub(super) fn new(ssrc: Option<u32>) -> Self {
        Ways { ssrc, waiting: VecDeque::new() }
    }

    pub(super) fn push(&mut self, seq: u16, arrived: Instant) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((seq, arrived));
    }

    /// When the packet in this datagram came; `None`: it is of another stream, or sent again. Source: RFC 3550 §5.1.
    pub(super) fn take(&mut self, datagram: &[u8]) -> Option<Instant> {
        let header: &[u8; 12] = datagram.first_chunk()?;
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        if self.waiting.is_empty() || self.ssrc != Some(ssrc) || is_rtcp(header[1]) {
            return None;
        }
        let seq = u16::from_be_bytes([header[2], header[3]]);
        while let Some((waits, arrived)) = self.waiting.front().copied() {
            // Behind the oldest: one that left before.
            if seq.wrapping_sub(waits) > u16::MAX / 2 {
                return None;
            }
            self.waiting.pop_front();
            if waits == seq {
                return Some(arrived);
            }
        }
        None
    }
}

/// Source: RFC 5761 §4.
fn is_rtcp(second: u8) -> bool {
    (192..=223).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::some_instant;
    use std::time::Duration;

    fn datagram(ssrc: u32, seq: u16) -> Vec<u8> {
        let mut bytes = vec![0x90, 0x60];
        bytes.extend(seq.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(ssrc.to_be_bytes());
        bytes
    }

    #[test]
    fn each_packet_is_told_once_and_only_of_its_own_stream() {
        let start = some_instant();
        let at = |n: u64| start + Duration::from_millis(n);
        let mut ways = Ways::new(Some(7));
        for (n, seq) in [65_534u16, 65_535, 0, 1].into_iter().enumerate() {
            ways.push(seq, at(n as u64));
        }
        assert_eq!(ways.take(&datagram(8, 65_534)), None, "another stream");
        assert_eq!(ways.take(&datagram(7, 65_534)), Some(at(0)));
        assert_eq!(ways.take(&datagram(7, 65_534)), None, "sent again");
        assert_eq!(ways.take(&datagram(7, 0)), Some(at(2)), "one before it was dropped");
        assert_eq!(ways.take(&datagram(7, 1)), Some(at(3)));
        assert_eq!(ways.take(&[0x80]), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut ways = Ways::new(Some(7));
        for seq in 0..5_000u16 {
            ways.push(seq, some_instant());
        }
        assert_eq!(ways.waiting.len(), WAITING_MAX);
    }
}
