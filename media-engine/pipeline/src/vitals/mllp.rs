//! HL7's Minimal Lower Layer Protocol: `<VT>` message `<FS><CR>`. Pure. Source: HL7 transport specification MLLP, release 1.

/// Longest message: a second of 32 waves at 1,000 samples is under 300 kB. Policy: what is longer is dropped up to the next start.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

const VT: u8 = 0x0B;
const FS: u8 = 0x1C;
const CR: u8 = 0x0D;

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Mllp {
    buffer: Vec<u8>,
    inside: bool,
    /// Messages that were too long, and bytes outside of messages.
    pub dropped: u64,
}

impl Mllp {
    /// More bytes of the stream; whole messages go to `take`, without their frame.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for &byte in bytes {
            match byte {
                // A new start: whatever was begun before it was never ended.
                VT => {
                    self.dropped += u64::from(self.inside);
                    self.buffer.clear();
                    self.inside = true;
                }
                // FS ends a message even where the CR after it is missing, as some devices send it.
                FS if self.inside => {
                    take(&self.buffer);
                    self.buffer.clear();
                    self.inside = false;
                }
                CR if !self.inside => {}
                _ if !self.inside => self.dropped += 1,
                _ if self.buffer.len() == MESSAGE_BYTES_MAX => {
                    self.dropped += 1;
                    self.buffer.clear();
                    self.inside = false;
                }
                _ => self.buffer.push(byte),
            }
        }
    }
}

/// A message in its frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 3);
    out.push(VT);
    out.extend_from_slice(message);
    out.extend_from_slice(&[FS, CR]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut mllp, mut out) = (Mllp::default(), Vec::new());
        pieces.iter().for_each(|p| mllp.push(p, |m| out.push(m.to_vec())));
        (out, mllp.dropped)
    }

    #[test]
    fn messages_come_whole_however_the_stream_is_cut() {
        let stream = [framed(b"MSH|one\rPID|"), framed(b"MSH|two")].concat();
        for n in 1..stream.len() {
            let (messages, dropped) = cut(&[&stream[..n], &stream[n..]]);
            assert_eq!(messages, [b"MSH|one\rPID|".to_vec(), b"MSH|two".to_vec()], "cut at {n}");
            assert_eq!(dropped, 0);
        }
    }

    #[test]
    fn noise_a_lost_end_and_a_message_too_long_cost_only_themselves() {
        let long = vec![b'x'; MESSAGE_BYTES_MAX + 9];
        let (messages, dropped) =
            cut(&[b"??", &[VT], b"begun", &framed(b"good"), &framed(&long), &framed(b"after"), &[VT], b"end"]);
        assert_eq!(messages, [b"good".to_vec(), b"after".to_vec()]);
        assert!(dropped >= 4);
    }
}
