//! What writes the packets of one layer, as the room's engine does.

use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_micros(33_367);

/// A layer that writes 30000/1001 frames a second, or every n-th of them.
pub(crate) struct Source {
    pub(crate) number: u8,
    pub(crate) ssrc: u32,
    pub(crate) seq: u16,
    pub(crate) next: Instant,
    pub(crate) key: bool,
    /// Packets of a frame and of a keyframe, and bytes of each.
    pub(crate) packets: (usize, usize),
    pub(crate) bytes: usize,
    pub(crate) every: u32,
    /// Only while somebody watches; begins with a keyframe.
    pub(crate) on_demand: bool,
    pub(crate) watched: bool,
    pub(crate) frame: u32,
}

impl Source {
    pub(crate) fn new(number: u8, now: Instant) -> Self {
        Source {
            number,
            ssrc: u32::from(number),
            seq: 65_500,
            next: now,
            key: true,
            packets: (3, 24),
            bytes: 1_000,
            every: 1,
            on_demand: false,
            watched: false,
            frame: 0,
        }
    }

    /// The packets of the frame that is due, none while nobody watches; the next is due a frame later.
    pub(crate) fn frame(&mut self, timestamp: u32) -> Vec<Vec<u8>> {
        self.next += FRAME * self.every;
        if self.on_demand && !self.watched {
            self.key = true;
            return Vec::new();
        }
        let key = std::mem::take(&mut self.key);
        let count = if key { self.packets.1 } else { self.packets.0 };
        self.frame += 1;
        (0..count).map(|n| self.packet(timestamp, key, n, n == count - 1)).collect()
    }

    fn packet(&mut self, timestamp: u32, key: bool, n: usize, last: bool) -> Vec<u8> {
        let head: &[u8] = match (key, n) {
            // SPS and PPS in one packet, then the IDR slice in pieces.
            (true, 0) => &[0x78, 0, 4, 0x67, 0x42, 0xE0, 0x1F, 0, 2, 0x68, 0xCE],
            (true, 1) => &[0x7C, 0x85],
            (true, _) => &[0x7C, 0x05],
            (false, 0) => &[0x5C, 0x81],
            (false, _) => &[0x5C, 0x01],
        };
        let mut packet = vec![0x80, if last { 0x80 } else { 0 } | 96];
        packet.extend(self.seq.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(head);
        packet.resize(self.bytes + 12, 0xAB);
        packet.extend(self.frame.to_be_bytes());
        packet.push(self.number);
        self.seq = self.seq.wrapping_add(1);
        packet
    }
}
