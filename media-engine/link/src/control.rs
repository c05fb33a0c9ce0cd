//! Length-delimited protobuf on the control socket: a varint length, then the message.

use bytes::{Buf, BytesMut};
use prost::Message;

/// Longest control message. The largest is Hello of a room with many feeds, well under this.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a peer can do wrong on the control socket. Each ends the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    #[error("a control message of {0} bytes is over the limit of {MESSAGE_BYTES_MAX}")]
    TooLong(u64),
    #[error("the bytes are no control message: {0}")]
    Malformed(String),
}

/// Appends one message with its length.
pub fn write_message<M: Message>(out: &mut BytesMut, message: &M) {
    // BytesMut grows as needed, so encoding cannot run out of room.
    out.reserve(message.encoded_len() + 5);
    let _ = message.encode_length_delimited(out);
}

/// Takes the next whole message off the front of `buffer`; `Ok(None)` until one is complete.
pub fn take_message<M: Message + Default>(buffer: &mut BytesMut) -> Result<Option<M>, ControlError> {
    let mut length: u64 = 0;
    let mut head = 0;
    loop {
        let Some(byte) = buffer.get(head) else { return Ok(None) };
        length |= u64::from(byte & 0x7F) << (7 * head);
        head += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if head == 5 {
            return Err(ControlError::Malformed("the length does not end".into()));
        }
    }
    if length > MESSAGE_BYTES_MAX as u64 {
        return Err(ControlError::TooLong(length));
    }
    let length = length as usize;
    if buffer.len() < head + length {
        return Ok(None);
    }
    buffer.advance(head);
    let body = buffer.split_to(length);
    M::decode(body.freeze()).map(Some).map_err(|e| ControlError::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ClockPing, ToServer, to_server::Body};

    #[test]
    fn messages_survive_any_cut_of_the_byte_stream() {
        let mut whole = BytesMut::new();
        for t1 in 0..5u64 {
            write_message(&mut whole, &ToServer { body: Some(Body::Clock(ClockPing { t1: t1 << 40 })) });
        }
        for chunk in [1usize, 2, 3, 7] {
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for piece in whole.chunks(chunk) {
                buffer.extend_from_slice(piece);
                while let Some(ToServer { body: Some(Body::Clock(c)) }) = take_message(&mut buffer).expect("well formed") {
                    got.push(c.t1 >> 40);
                }
            }
            assert_eq!(got, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_length_without_end_and_a_message_too_long_are_refused() {
        let mut endless = BytesMut::from(&[0xFFu8; 8][..]);
        assert!(matches!(take_message::<ToServer>(&mut endless), Err(ControlError::Malformed(_))));
        let mut long = BytesMut::from(&[0xFFu8, 0xFF, 0x7F][..]);
        assert!(matches!(take_message::<ToServer>(&mut long), Err(ControlError::TooLong(_))));
    }
}
