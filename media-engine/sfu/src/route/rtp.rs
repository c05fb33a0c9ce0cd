//! Reading the header of a packet that the room's engine wrote.

use std::ops::Range;

/// Largest payload that is forwarded. With our header and extensions (56 and more rarely), SRTP tag (16), RTX number (2), UDP and IPv6 (48)
/// it stays under 1,300 bytes, the narrowest path that is served. What the room's engine makes is smaller; cameras' are cut.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1_170;

/// Where things are in an RTP packet. Source: RFC 3550 §5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RtpView {
    pub(crate) marker: bool,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Without padding; not empty.
    pub(crate) payload: Range<usize>,
}

/// `None` for what is no RTP packet, has no payload, or too large a one.
pub(crate) fn parse(packet: &[u8]) -> Option<RtpView> {
    let header: &[u8; 12] = packet.first_chunk()?;
    if header[0] >> 6 != 2 {
        return None;
    }
    let mut at = 12 + 4 * usize::from(header[0] & 0x0F);
    if header[0] & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if header[0] & 0x20 != 0 { usize::from(*packet.last()?) } else { 0 };
    let end = packet.len().checked_sub(padding)?;
    if at >= end || end - at > PAYLOAD_BYTES_MAX {
        return None;
    }
    Some(RtpView {
        marker: header[1] & 0x80 != 0,
        seq: u16::from_be_bytes([header[2], header[3]]),
        timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        payload: at..end,
    })
}

/// Extends 16-bit sequence numbers to 64 bits around the newest seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extender {
    newest: Option<u64>,
}

/// A jump further than this is a sender that began anew, not loss. At 450 packets/s: 4.5 s.
const JUMP_MAX: i64 = 2_000;

impl Extender {
    /// `None`: too far from the newest to belong to the same run of numbers.
    pub(crate) fn extend(&mut self, seq: u16) -> Option<u64> {
        let Some(newest) = self.newest else {
            // One turn up, so that what came before the first packet still has a number.
            let first = 0x1_0000 + u64::from(seq);
            self.newest = Some(first);
            return Some(first);
        };
        let step = i64::from(seq.wrapping_sub(newest as u16) as i16);
        if step.abs() > JUMP_MAX {
            return None;
        }
        let extended = newest.saturating_add_signed(step);
        self.newest = Some(newest.max(extended));
        Some(extended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_packet_is_read() {
        let mut packet = vec![0x80, 0xE0, 0, 7, 0, 0, 1, 0, 0, 0, 0, 9];
        packet.extend([1, 2, 3]);
        let view = parse(&packet).expect("plain");
        assert_eq!(view, RtpView { marker: true, seq: 7, timestamp: 256, ssrc: 9, payload: 12..15 });
    }

    #[test]
    fn contributing_sources_extensions_and_padding_are_skipped() {
        let mut packet = vec![0xB1, 0x60, 0, 7, 0, 0, 1, 0, 0, 0, 0, 9];
        packet.extend([0; 4]); // one contributing source
        packet.extend([0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0]); // one word of extensions
        packet.extend([5, 6, 0, 0, 3]); // two bytes, three of padding
        assert_eq!(parse(&packet).expect("full").payload, 24..26);
    }

    #[test]
    fn cut_and_random_packets_never_panic() {
        let mut state = 1u32;
        for length in 0..64 {
            for _ in 0..200 {
                let bytes: Vec<u8> = (0..length)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                    .collect();
                if let Some(view) = parse(&bytes) {
                    assert!(!bytes[view.payload].is_empty());
                }
            }
        }
    }

    #[test]
    fn numbers_run_on_over_the_wrap_and_reordering_stays_in_place() {
        let mut extender = Extender::default();
        let first = extender.extend(65_534).expect("first");
        assert_eq!(extender.extend(65_535), Some(first + 1));
        assert_eq!(extender.extend(1), Some(first + 3));
        assert_eq!(extender.extend(0), Some(first + 2));
        assert_eq!(extender.extend(2), Some(first + 4));
        assert_eq!(extender.extend(30_000), None, "a jump");
    }
}
