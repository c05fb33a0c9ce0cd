//! The bounded queues before the link's sockets. Pure: bytes and time in, bytes out.
//!
//! Media: at most [`QUEUED_MAX`] of time waits here. When more would, the layer's waiting frames go, and its new ones too up
//! to its next keyframe, which is asked for once. A frame whose first byte was handed out is always finished. Sequence
//! numbers are given on the way out, so they count what was written.

use std::collections::VecDeque;
use std::time::Duration;

use annotation::time::CaptureTime;
use bytes::BytesMut;
use link::control::write_message;
use link::record::write_record;
use link::wire::ToServer;

use crate::encode::layer::EncodedFrame;
use crate::encode::rtp;

/// Longest time a frame may wait for the socket.
pub const QUEUED_MAX: Duration = Duration::from_millis(200);
/// Control messages that may wait: 30 frame indexes a second of ~120 bytes; 256 is 8 s of a server that does not read. Policy: drop_newest.
const CONTROL_MAX: usize = 256;

/// Messages to the server, numbered from 1 in the order they are written.
#[derive(Debug, Default)]
pub struct ControlQueue {
    waiting: VecDeque<ToServer>,
    queued: u64,
    taken: u64,
}

impl ControlQueue {
    /// The number of the message, or `None` when it was dropped because too many wait.
    pub fn push(&mut self, message: ToServer) -> Option<u64> {
        if self.waiting.len() >= CONTROL_MAX {
            return None;
        }
        self.waiting.push_back(message);
        self.queued += 1;
        Some(self.queued)
    }

    /// Appends everything that waits to `out` and returns the number of the last; `None` when nothing waits.
    pub fn take_all(&mut self, out: &mut BytesMut) -> Option<u64> {
        if self.waiting.is_empty() {
            return None;
        }
        for message in self.waiting.drain(..) {
            write_message(out, &message);
            self.taken += 1;
        }
        Some(self.taken)
    }

    /// Forgets what waits: the link ended. Numbers go on.
    pub fn clear(&mut self) {
        self.taken += self.waiting.len() as u64;
        self.waiting.clear();
    }
}

#[derive(Debug)]
struct Waiting {
    layer: usize,
    since: CaptureTime,
    frame: EncodedFrame,
}

#[derive(Debug, Default, Clone)]
struct LayerState {
    next_sequence: u16,
    /// Dropping until a keyframe comes.
    dropping: bool,
}

/// A frame on its way into the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub layer: usize,
    pub capture: CaptureTime,
    pub bytes: u64,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Queued,
    /// So many frames were dropped, this one among them or not; ask for a keyframe if told so.
    Dropped {
        frames: u64,
        ask_keyframe: bool,
    },
}

#[derive(Debug)]
pub struct MediaQueue {
    waiting: VecDeque<Waiting>,
    layers: Vec<LayerState>,
}

impl MediaQueue {
    pub fn new(n_layers: usize) -> Self {
        MediaQueue { waiting: VecDeque::new(), layers: vec![LayerState::default(); n_layers] }
    }

    /// `now`: any one monotone clock.
    pub fn push(&mut self, layer: usize, frame: EncodedFrame, now: CaptureTime) -> Pushed {
        let Some(state) = self.layers.get_mut(layer) else { return Pushed::Dropped { frames: 1, ask_keyframe: false } };
        let full = self.waiting.iter().find(|w| w.layer == layer).is_some_and(|w| now.since(w.since) > QUEUED_MAX);
        let mut dropped = 0;
        let mut ask_keyframe = false;
        if full {
            let before = self.waiting.len();
            self.waiting.retain(|w| w.layer != layer);
            dropped = (before - self.waiting.len()) as u64;
            ask_keyframe = !frame.keyframe;
            state.dropping = true;
        }
        if state.dropping && !frame.keyframe {
            return Pushed::Dropped { frames: dropped + 1, ask_keyframe };
        }
        state.dropping = false;
        self.waiting.push_back(Waiting { layer, since: now, frame });
        if dropped > 0 { Pushed::Dropped { frames: dropped, ask_keyframe: false } } else { Pushed::Queued }
    }

    /// Appends the records of the next frame to `out`, all of them, if its control message is written already.
    pub fn take(&mut self, control_written: u64, out: &mut BytesMut) -> Option<Taken> {
        if self.waiting.front()?.frame.after_control > control_written {
            return None;
        }
        let Waiting { layer, frame, .. } = self.waiting.pop_front()?;
        let state = self.layers.get_mut(layer)?;
        let mut bytes = 0;
        for mut packet in frame.packets {
            rtp::set_sequence(&mut packet, state.next_sequence);
            // A packet is at most RTP_BYTES_MAX long, far below the record's limit; one that is not is left out uncounted.
            if write_record(out, &packet).is_ok() {
                state.next_sequence = state.next_sequence.wrapping_add(1);
                bytes += packet.len() as u64;
            }
        }
        Some(Taken { layer, capture: frame.capture, bytes })
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A new link: nothing waits, every layer begins with a keyframe.
    pub fn begin_link(&mut self) {
        self.waiting.clear();
        self.layers.iter_mut().for_each(|l| *l = LayerState { next_sequence: 0, dropping: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use link::record::take_record;
    use link::wire::{ClockPing, to_server::Body};

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn frame(ms: u64, keyframe: bool) -> EncodedFrame {
        let packet = |n: u8| vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n];
        EncodedFrame { capture: at(ms), keyframe, packets: vec![packet(1), packet(2)], encode_us: 0, after_control: 0 }
    }

    fn queue() -> MediaQueue {
        let mut queue = MediaQueue::new(2);
        queue.begin_link();
        queue
    }

    fn sequences(out: &mut BytesMut) -> Vec<u16> {
        std::iter::from_fn(|| take_record(out)).map(|r| u16::from_be_bytes([r[2], r[3]])).collect()
    }

    #[test]
    fn a_layer_begins_with_a_keyframe() {
        let mut q = queue();
        assert_eq!(q.push(0, frame(0, false), at(0)), Pushed::Dropped { frames: 1, ask_keyframe: false });
        assert_eq!(q.push(0, frame(40, true), at(40)), Pushed::Queued);
        assert_eq!(q.push(0, frame(80, false), at(80)), Pushed::Queued);
    }

    #[test]
    fn a_stuck_socket_drops_up_to_the_next_keyframe_and_asks_once() {
        let mut q = queue();
        let mut asked = 0;
        q.push(0, frame(0, true), at(0));
        for k in 1..20 {
            if let Pushed::Dropped { ask_keyframe: true, .. } = q.push(0, frame(k * 40, false), at(k * 40)) {
                asked += 1;
            }
        }
        assert_eq!(asked, 1);
        assert!(q.is_empty());
        assert_eq!(q.push(0, frame(800, true), at(800)), Pushed::Queued);
        let mut out = BytesMut::new();
        assert_eq!(q.take(0, &mut out).map(|t| t.capture), Some(at(800)));
    }

    #[test]
    fn nothing_waits_longer_than_the_bound_and_layers_do_not_disturb_each_other() {
        let mut q = queue();
        q.push(1, frame(0, true), at(0));
        q.push(0, frame(0, true), at(0));
        for k in 1..6 {
            assert_eq!(q.push(0, frame(k * 40, false), at(k * 40)), Pushed::Queued);
        }
        assert!(matches!(q.push(0, frame(240, false), at(240)), Pushed::Dropped { frames: 7, ask_keyframe: true }));
        let mut out = BytesMut::new();
        assert_eq!(q.take(0, &mut out).map(|t| t.layer), Some(1));
        assert_eq!(q.take(0, &mut out), None);
    }

    #[test]
    fn sequence_numbers_count_what_was_written() {
        let mut q = queue();
        let mut out = BytesMut::new();
        q.push(0, frame(0, true), at(0));
        q.take(0, &mut out);
        for k in 1..10 {
            q.push(0, frame(k * 40, false), at(k * 40));
        }
        q.push(0, frame(400, true), at(400));
        while q.take(0, &mut out).is_some() {}
        let got = sequences(&mut out);
        assert_eq!(got, (0..got.len() as u16).collect::<Vec<_>>(), "no gap where frames were dropped");
    }

    #[test]
    fn a_frame_waits_for_its_index() {
        let mut control = ControlQueue::default();
        let mut q = queue();
        let mark = control.push(ToServer { body: Some(Body::Clock(ClockPing { t1: 1 })) }).expect("room");
        q.push(0, EncodedFrame { after_control: mark, ..frame(0, true) }, at(0));
        let mut out = BytesMut::new();
        assert_eq!(q.take(0, &mut out), None);
        let written = control.take_all(&mut BytesMut::new()).expect("one waits");
        assert!(q.take(written, &mut out).is_some());
    }

    #[test]
    fn the_control_queue_is_bounded() {
        let mut control = ControlQueue::default();
        let accepted =
            (0..1000).filter(|&t1| control.push(ToServer { body: Some(Body::Clock(ClockPing { t1 })) }).is_some()).count();
        assert_eq!(accepted, CONTROL_MAX);
    }
}
