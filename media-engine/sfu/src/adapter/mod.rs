//! The only place that knows str0m. One [`Conn`] is one WebRTC connection.
//!
//! **After every mutation a `Conn` is drained to its timeout before it returns**; what came out lies in the [`Sink`].
//! Source: str0m README, single-mutation invariant.

mod conn;
mod dtls;
mod figures;
mod proof;
mod repair;
mod setup;
mod text;
mod twice;
mod ways;

pub(crate) use conn::{Conn, ConnEvent, PublishedPacket, Sink, Spent, VideoWrite, VoicePacket, VoiceWrite};
pub(crate) use setup::Setup;

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use annotation::time::CaptureTime;
use str0m::net::{Protocol, Receive};

/// What carries a packet between us and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Carrier {
    #[default]
    Udp,
    /// In the frames of RFC 4571.
    Tcp,
}

impl From<Carrier> for Protocol {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Udp => Protocol::Udp,
            Carrier::Tcp => Protocol::Tcp,
        }
    }
}

/// What a datagram is worth when not all can leave at once; the first is worth most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Voice, and what keeps a connection up and tells of its line: STUN, reports.
    Voice,
    /// Handshake and data channels: ink.
    Data,
    /// Pictures, their repairs, and what only asks a line what it carries.
    Picture,
}

impl Class {
    /// Of a datagram; the header of an encrypted packet is in clear. `voices`: one bit for each payload type of voice. Source: RFC 7983 §7,
    /// RFC 5761 §4.
    pub fn of(datagram: &[u8], voices: u128) -> Self {
        match datagram {
            [128..=191, 192..=223, ..] => Class::Voice,
            [128..=191, second, ..] if voices >> (second & 0x7F) & 1 == 0 => Class::Picture,
            [20..=63, ..] => Class::Data,
            _ => Class::Voice,
        }
    }
}

/// One datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub carrier: Carrier,
    pub class: Class,
    /// Which of our addresses it leaves from.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
    /// When what is in it came to this process: a packet of a picture that is forwarded, neither replayed nor sent again.
    pub since: Option<Instant>,
}

fn time_of(time: SystemTime) -> Option<CaptureTime> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(CaptureTime::from_unix)
}

fn receive(carrier: Carrier, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> Option<Receive<'_>> {
    Some(Receive { proto: carrier.into(), source, destination, contents: bytes.try_into().ok()? })
}

/// The user fragment a STUN binding request is addressed to; `None` for anything else. Claims nothing about who sent it.
/// Source: RFC 8489 §5 (header), §14.3 (USERNAME); RFC 8445 §7.2.2 (ours comes first).
pub(crate) fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
    if datagram.get(..2)? != [0x00, 0x01] || datagram.get(4..8)? != COOKIE {
        return None;
    }
    let mut rest = datagram.get(20..)?;
    // A handful of attributes at most comes before USERNAME.
    for _ in 0..16 {
        let kind = rest.get(..2)?;
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let value = rest.get(4..4 + length)?;
        if kind == [0x00, 0x06] {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_voice_data_or_a_picture_by_its_first_two_bytes() {
        let voices = 1u128 << 111 | 1 << 63;
        for (datagram, class) in [
            (&[0x90, 111, 0, 1][..], Class::Voice),
            (&[0x90, 0x80 | 111], Class::Voice),
            (&[0x80, 63], Class::Voice),
            (&[0x80, 200], Class::Voice),
            (&[0x90, 108], Class::Picture),
            (&[0x90, 0x80 | 96], Class::Picture),
            (&[23, 254, 253], Class::Data),
            (&[0, 1], Class::Voice),
            (&[], Class::Voice),
        ] {
            assert_eq!(Class::of(datagram, voices), class, "{datagram:?}");
        }
    }

    #[test]
    fn the_user_fragment_of_a_binding_request_is_found_and_nothing_else_is_read() {
        let mut request = vec![0, 1, 0, 16, 0x21, 0x12, 0xA4, 0x42];
        request.extend([0; 12]);
        request.extend([0x80, 0x22, 0, 1, 7, 0, 0, 0]); // another attribute first
        request.extend([0, 6, 0, 9]);
        request.extend(b"ours:them\0\0\0");
        assert_eq!(stun_ufrag(&request), Some("ours"));
        for cut in 0..request.len() - 3 {
            assert_eq!(stun_ufrag(&request[..cut]), None, "cut at {cut}");
        }
        assert_eq!(stun_ufrag(&[0x80; 64]), None, "RTP");
    }
}
