//! VISCA over IP as a camera speaks it: datagrams of a header (type, length, sequence number) and one VISCA message. Pure.
//! Source: Sony, *VISCA over IP* (SRG, BRC series), chapters "VISCA over IP communication specification" and "Command list".

/// Where cameras listen.
pub const PORT: u16 = 52_381;
/// Header, and the longest VISCA message.
const HEADER: usize = 8;
const PAYLOAD_MAX: usize = 16;

const COMMAND: u16 = 0x0100;
const INQUIRY: u16 = 0x0110;
const REPLY: u16 = 0x0111;
const CONTROL: u16 = 0x0200;
const CONTROL_REPLY: u16 = 0x0201;

/// Fastest pan, tilt and zoom that a camera has.
pub const PAN_MAX: u8 = 0x18;
pub const TILT_MAX: u8 = 0x14;
pub const ZOOM_MAX: u8 = 7;

/// How a camera is to move. Positive: right, up, closer. At most 100 either way: percent of the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Motion {
    pub pan: i8,
    pub tilt: i8,
    pub zoom: i8,
}

impl Motion {
    pub const STILL: Motion = Motion { pan: 0, tilt: 0, zoom: 0 };

    /// Of numbers from a wire: what is beyond is cut.
    pub fn clamped(pan: i32, tilt: i32, zoom: i32) -> Self {
        let cut = |n: i32| n.clamp(-100, 100) as i8;
        Motion { pan: cut(pan), tilt: cut(tilt), zoom: cut(zoom) }
    }
}

/// What is said to a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Sequence numbers begin anew.
    Reset,
    /// Pan and tilt from now on, until another one; of `zoom` nothing.
    PanTilt(Motion),
    /// Zoom from now on.
    Zoom(Motion),
    AskPosition,
}

/// What a camera says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The command of this number is taken.
    Ack {
        number: u32,
    },
    /// It is done.
    Done {
        number: u32,
    },
    /// Pan and tilt, steps of the camera.
    Position {
        number: u32,
        pan: i16,
        tilt: i16,
    },
    Error {
        number: u32,
        error: Error,
    },
    /// Answer to [`Say::Reset`].
    ResetDone,
    /// The header's number is not the one that it awaits.
    BadSequence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The camera does not know the command.
    Syntax,
    /// Two commands are being carried out.
    BufferFull,
    Cancelled,
    /// Not now: it is switched off, or at its limit.
    NotExecutable,
    Other,
}

fn speed(percent: i8, max: u8) -> u8 {
    let part = u32::from(percent.unsigned_abs()) * u32::from(max);
    part.div_ceil(100).clamp(1, u32::from(max)) as u8
}

fn direction(n: i8, forth: u8, back: u8) -> u8 {
    match n.signum() {
        1 => forth,
        -1 => back,
        _ => 0x03,
    }
}

/// One datagram. `number`: rises with each, from 0 after a reset.
pub fn encode(say: Say, number: u32) -> Vec<u8> {
    let (kind, payload): (u16, Vec<u8>) = match say {
        Say::Reset => (CONTROL, vec![0x01]),
        Say::PanTilt(m) => {
            let (pan, tilt) = (direction(m.pan, 0x02, 0x01), direction(m.tilt, 0x01, 0x02));
            (COMMAND, vec![0x81, 0x01, 0x06, 0x01, speed(m.pan, PAN_MAX), speed(m.tilt, TILT_MAX), pan, tilt, 0xFF])
        }
        Say::Zoom(m) => {
            let fast = speed(m.zoom, ZOOM_MAX);
            let word = match m.zoom.signum() {
                1 => 0x20 | fast,
                -1 => 0x30 | fast,
                _ => 0x00,
            };
            (COMMAND, vec![0x81, 0x01, 0x04, 0x07, word, 0xFF])
        }
        Say::AskPosition => (INQUIRY, vec![0x81, 0x09, 0x06, 0x12, 0xFF]),
    };
    let mut out = Vec::with_capacity(HEADER + payload.len());
    out.extend(kind.to_be_bytes());
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend(number.to_be_bytes());
    out.extend(payload);
    out
}

/// One datagram of a camera; `None`: it is none, or says what nobody asked for.
pub fn decode(bytes: &[u8]) -> Option<Heard> {
    let kind = u16::from_be_bytes(*bytes.first_chunk::<2>()?);
    let length = usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk::<2>()?));
    let number = u32::from_be_bytes(*bytes.get(4..)?.first_chunk::<4>()?);
    let payload = bytes.get(HEADER..)?;
    if payload.len() != length || length > PAYLOAD_MAX {
        return None;
    }
    match (kind, payload) {
        (CONTROL_REPLY, [0x01]) => Some(Heard::ResetDone),
        (CONTROL_REPLY, [0x0F, 0x01]) => Some(Heard::BadSequence),
        (REPLY, [0x90, word, 0xFF]) if word >> 4 == 4 => Some(Heard::Ack { number }),
        (REPLY, [0x90, word, 0xFF]) if word >> 4 == 5 => Some(Heard::Done { number }),
        (REPLY, [0x90, word, code, 0xFF]) if word >> 4 == 6 => {
            let error = match code {
                0x02 => Error::Syntax,
                0x03 => Error::BufferFull,
                0x04 => Error::Cancelled,
                0x41 => Error::NotExecutable,
                _ => Error::Other,
            };
            Some(Heard::Error { number, error })
        }
        (REPLY, [0x90, 0x50, digits @ .., 0xFF]) if digits.len() == 8 => {
            let nibbles = |d: &[u8]| d.iter().fold(0u16, |n, d| (n << 4) | u16::from(d & 0x0F));
            Some(Heard::Position { number, pan: nibbles(&digits[..4]) as i16, tilt: nibbles(&digits[4..]) as i16 })
        }
        _ => None,
    }
}

/// Fuzz body: whatever comes on the socket is read or left.
pub fn fuzz(data: &[u8]) {
    let _ = decode(data);
    let mut framed = vec![0x01, 0x11, 0, data.len().min(255) as u8, 0, 0, 0, 7];
    framed.extend(data);
    let _ = decode(&framed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_bytes_of_the_makers_list() {
        let right_down = Motion { pan: 100, tilt: -1, zoom: 0 };
        assert_eq!(
            encode(Say::PanTilt(right_down), 0x0102_0304),
            [1, 0, 0, 9, 1, 2, 3, 4, 0x81, 1, 6, 1, 0x18, 1, 2, 2, 0xFF],
            "as fast as it goes to the right, as slowly as it goes down"
        );
        assert_eq!(encode(Say::PanTilt(Motion::STILL), 0)[8..], [0x81, 1, 6, 1, 1, 1, 3, 3, 0xFF]);
        let zoom = |zoom| encode(Say::Zoom(Motion { zoom, ..Motion::STILL }), 0)[8..].to_vec();
        assert_eq!(zoom(100), [0x81, 1, 4, 7, 0x27, 0xFF]);
        assert_eq!(zoom(-50), [0x81, 1, 4, 7, 0x34, 0xFF]);
        assert_eq!(zoom(0), [0x81, 1, 4, 7, 0, 0xFF]);
        assert_eq!(encode(Say::Reset, 9), [2, 0, 0, 1, 0, 0, 0, 9, 1]);
    }

    #[test]
    fn answers_are_read_and_what_is_none_is_left() {
        let reply = |payload: &[u8]| {
            let mut bytes = vec![1, 0x11, 0, payload.len() as u8, 0, 0, 0, 5];
            bytes.extend(payload);
            decode(&bytes)
        };
        assert_eq!(reply(&[0x90, 0x41, 0xFF]), Some(Heard::Ack { number: 5 }));
        assert_eq!(reply(&[0x90, 0x52, 0xFF]), Some(Heard::Done { number: 5 }));
        assert_eq!(reply(&[0x90, 0x61, 0x41, 0xFF]), Some(Heard::Error { number: 5, error: Error::NotExecutable }));
        assert_eq!(reply(&[0x90, 0x60, 0x02, 0xFF]), Some(Heard::Error { number: 5, error: Error::Syntax }));
        let position = reply(&[0x90, 0x50, 0xF, 0xF, 0xF, 0xE, 0, 0, 1, 0, 0xFF]);
        assert_eq!(position, Some(Heard::Position { number: 5, pan: -2, tilt: 16 }));
        assert_eq!(reply(&[0x90, 0x41]), None);
        assert_eq!(decode(&[2, 1, 0, 2, 0, 0, 0, 0, 0x0F, 1]), Some(Heard::BadSequence));
        assert_eq!(decode(&[2, 1, 0, 1, 0, 0, 0, 0, 1]), Some(Heard::ResetDone));
        assert_eq!(decode(&[1, 0x11, 0, 9, 0, 0, 0, 5, 0x90, 0x41, 0xFF]), None, "shorter than it says");
    }

    #[test]
    fn whatever_a_camera_sends_is_read_or_left() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(8);
        fuzz(&[]);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..random.random_range(0..24)).map(|_| random.random()).collect();
            fuzz(&bytes);
        }
    }
}
