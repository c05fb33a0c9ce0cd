//! RFC 4571 framing: each record is a 16-bit big-endian length and that many bytes. RTP travels so on the media socket.

use bytes::{Buf, Bytes, BytesMut};

/// Longest record: the length field has 16 bits.
pub const RECORD_BYTES_MAX: usize = u16::MAX as usize;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes does not fit the 16-bit length of RFC 4571")]
pub struct TooLong(pub usize);

/// Appends one record to `out`.
pub fn write_record(out: &mut BytesMut, payload: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(payload.len()).map_err(|_| TooLong(payload.len()))?;
    out.reserve(2 + payload.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Takes the next whole record off the front of `buffer`, without copying; `None` until one is complete.
/// Source: RFC 4571 §2.
pub fn take_record(buffer: &mut BytesMut) -> Option<Bytes> {
    if buffer.len() < 2 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
    if buffer.len() < 2 + length {
        return None;
    }
    buffer.advance(2);
    Some(buffer.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_any_cut_of_the_byte_stream() {
        let payloads: Vec<Vec<u8>> = vec![vec![], vec![7; 1], vec![1; 1120], vec![9; RECORD_BYTES_MAX]];
        let mut whole = BytesMut::new();
        for p in &payloads {
            write_record(&mut whole, p).expect("fits");
        }
        for chunk in [1usize, 2, 3, 777, 100_000] {
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for piece in whole.chunks(chunk) {
                buffer.extend_from_slice(piece);
                while let Some(r) = take_record(&mut buffer) {
                    got.push(r.to_vec());
                }
            }
            assert_eq!(got, payloads, "chunks of {chunk}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_record_too_long_is_refused_whole() {
        let mut out = BytesMut::new();
        assert_eq!(write_record(&mut out, &vec![0; 65_536]), Err(TooLong(65_536)));
        assert!(out.is_empty());
    }
}
