//! What waits for one TCP connection: voice before ink, ink before pictures. A frame that the system has a part of is finished first, so
//! that each stays whole (RFC 4571 §2); within a lane the order is kept.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};

use crate::adapter::Class;

/// Bytes that may wait in each lane. Voice: 64 kbit/s of each of eight speakers for half a second, and reports. Data: what the channels
/// hold back themselves. Pictures: half a second of 4 Mbit/s. Policy: of voice the oldest dropped whole, after a stall what is said now is
/// heard first; else the newest: pictures are repaired by retransmission, and the estimate falls. Counted.
const BYTES_MAX: [usize; 3] = [32 * 1024, 192 * 1024, 256 * 1024];
/// Frames given to the system in one call: a picture of 4 Mbit/s.
const FRAMES_PER_CALL: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Lanes {
    frames: [VecDeque<Vec<u8>>; 3],
    bytes: [usize; 3],
    /// The system has so many bytes of it.
    begun: Option<(Vec<u8>, usize)>,
}

impl Lanes {
    /// Puts one packet into its lane. False: something found no room.
    #[must_use]
    pub(super) fn push(&mut self, class: Class, packet: &[u8]) -> bool {
        let lane = class as usize;
        let Ok(length) = u16::try_from(packet.len()) else { return false };
        let full = |bytes: usize| bytes + packet.len() + 2 > BYTES_MAX[lane];
        let crowded = full(self.bytes[lane]);
        while class == Class::Voice && full(self.bytes[lane]) {
            let Some(oldest) = self.frames[lane].pop_front() else { break };
            self.bytes[lane] -= oldest.len();
        }
        if full(self.bytes[lane]) {
            return false;
        }
        let mut frame = Vec::with_capacity(packet.len() + 2);
        frame.extend(length.to_be_bytes());
        frame.extend(packet);
        self.bytes[lane] += frame.len();
        self.frames[lane].push_back(frame);
        !crowded
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.frames.iter().all(VecDeque::is_empty)
    }

    /// Writes until nothing waits or no more is taken. Errors: those of `write`, with `WouldBlock`; nothing taken is `WriteZero`.
    pub(super) fn flush(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>) -> std::io::Result<()> {
        while !self.is_empty() {
            let begun = self.begun.iter().map(|(frame, at)| &frame[*at..]);
            let waiting = self.frames.iter().flatten().map(Vec::as_slice);
            let mut slices = [IoSlice::new(&[]); FRAMES_PER_CALL];
            let mut n = 0;
            for (slice, bytes) in slices.iter_mut().zip(begun.chain(waiting)) {
                *slice = IoSlice::new(bytes);
                n += 1;
            }
            match write(&slices[..n]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => self.handle_taken(taken),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn handle_taken(&mut self, mut taken: usize) {
        while taken > 0 {
            let Some((frame, at)) = self.begun.take().or_else(|| self.pop().map(|frame| (frame, 0))) else { return };
            let rest = frame.len() - at;
            if taken < rest {
                self.begun = Some((frame, at + taken));
                return;
            }
            taken -= rest;
        }
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let lane = self.frames.iter().position(|lane| !lane.is_empty())?;
        let frame = self.frames[lane].pop_front()?;
        self.bytes[lane] -= frame.len();
        Some(frame)
    }

    /// Bytes that wait in one lane.
    #[cfg(test)]
    pub(super) fn waiting(&self, class: Class) -> usize {
        self.bytes[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tcp::frames;

    /// A line that takes `room` bytes a call.
    fn take(lanes: &mut Lanes, line: &mut Vec<u8>, room: usize) {
        let mut left = room;
        let outcome = lanes.flush(|slices| {
            if left == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let before = line.len();
            for slice in slices {
                let n = slice.len().min(left);
                line.extend(&slice[..n]);
                left -= n;
            }
            Ok(line.len() - before)
        });
        assert!(outcome.is_ok() || outcome.is_err_and(|e| e.kind() == ErrorKind::WouldBlock));
    }

    #[test]
    fn on_a_narrow_line_voice_passes_before_pictures_and_every_frame_is_whole() {
        // 1 Mbit/s: 125 bytes a millisecond. A picture of 30 packets every 33 ms is far too much, voice every 20 ms.
        let (mut lanes, mut line) = (Lanes::default(), Vec::new());
        let (mut said, mut dropped, mut longest) = (Vec::new(), 0, 0);
        for ms in 0..2_000u32 {
            if ms % 33 == 0 {
                for _ in 0..30 {
                    dropped += usize::from(!lanes.push(Class::Picture, &[3; 1_150]));
                }
            }
            if ms % 20 == 0 {
                assert!(lanes.push(Class::Voice, &[&[1; 120][..], &ms.to_be_bytes()].concat()), "voice always finds room");
                said.push(ms);
            }
            if ms % 50 == 0 {
                assert!(lanes.push(Class::Data, &[2; 300]));
            }
            take(&mut lanes, &mut line, 125);
            let mut heard = Vec::new();
            frames(&line, |packet| {
                if packet[0] == 1 {
                    heard.push(u32::from_be_bytes(*packet[120..].first_chunk().expect("four bytes")));
                }
            })
            .expect("whole frames");
            // One picture's packet may be under way: 10 ms of this line.
            longest = longest.max(said.len() - heard.len());
            assert!(heard.iter().zip(&said).all(|(a, b)| a == b), "voice in its order");
        }
        assert!(dropped > 500, "the line carries far less than is to be sent");
        assert!(longest <= 2, "{longest} packets of voice waited at once");
    }

    #[test]
    fn what_is_partly_written_is_finished_before_voice() {
        let (mut lanes, mut line) = (Lanes::default(), Vec::new());
        assert!(lanes.push(Class::Picture, &[3; 1_000]) && lanes.push(Class::Picture, &[4; 1_000]));
        take(&mut lanes, &mut line, 500);
        assert!(lanes.push(Class::Data, &[2; 10]) && lanes.push(Class::Voice, &[1; 10]));
        for _ in 0..400 {
            take(&mut lanes, &mut line, 7);
        }
        let mut order = Vec::new();
        assert_eq!(frames(&line, |packet| order.push((packet[0], packet.len()))), Some(line.len()));
        assert_eq!(order, [(3, 1_000), (1, 10), (2, 10), (4, 1_000)]);
        assert!(lanes.is_empty() && lanes.bytes == [0; 3]);
    }

    #[test]
    fn each_lane_is_bounded_and_pictures_take_no_room_from_voice() {
        let mut lanes = Lanes::default();
        let filled = (0..1_000).filter(|_| lanes.push(Class::Picture, &[3; 1_200])).count();
        assert_eq!(filled, BYTES_MAX[2] / 1_202);
        assert!(lanes.push(Class::Voice, &[1; 100]) && lanes.push(Class::Data, &[2; 100]));
        assert!(!lanes.push(Class::Voice, &vec![1; 70_000]), "longer than a frame can be");
        assert!(lanes.waiting(Class::Picture) <= BYTES_MAX[2]);
    }

    #[test]
    fn after_a_stall_the_newest_words_are_heard_and_the_oldest_are_gone() {
        let (mut lanes, mut line) = (Lanes::default(), Vec::new());
        let kept = (0..1_000u32).filter(|n| lanes.push(Class::Voice, &[&[1; 160][..], &n.to_be_bytes()].concat())).count();
        assert_eq!(kept, BYTES_MAX[0] / 166, "every one beyond is told");
        take(&mut lanes, &mut line, usize::MAX);
        let mut heard = Vec::new();
        frames(&line, |packet| heard.push(u32::from_be_bytes(*packet[160..].first_chunk().expect("four bytes"))))
            .expect("whole frames");
        assert!(heard.is_sorted() && heard.len() == kept && heard.last() == Some(&999), "{heard:?}");
    }
}
