//! The last group of pictures of a layer, for those who join just after a keyframe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use annotation::time::CaptureTime;

/// Oldest keyframe that is replayed: older pictures must not pass for live ones.
pub(crate) const REPLAY_AGE_MAX: Duration = Duration::from_millis(500);
/// 500 ms at 6 Mbit/s in packets of 1,120 bytes is 335; a keyframe adds up to 300.
const PACKETS_MAX: usize = 700;

/// One packet on its way to viewers. One payload, many headers.
#[derive(Debug, Clone)]
pub(crate) struct LayerPacket {
    /// Extended sequence number at the source.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) begins_keyframe: bool,
    pub(crate) capture: CaptureTime,
    /// Capture instant on this process's clock, not in the future.
    pub(crate) wallclock: Instant,
    /// When it came to this process; `None`: it is replayed, and how long it took says nothing.
    pub(crate) arrived: Option<Instant>,
    pub(crate) payload: Arc<[u8]>,
}

/// Packets since the last keyframe began, as long as they are young. Policy: when full or old, all is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gop {
    began: Option<Instant>,
    packets: Vec<LayerPacket>,
}

impl Gop {
    pub(crate) fn push(&mut self, now: Instant, packet: LayerPacket) {
        // Parameter sets and slices of one picture share a timestamp and begin together.
        let anew = packet.begins_keyframe && self.packets.first().is_none_or(|f| f.timestamp != packet.timestamp);
        if anew {
            self.packets.clear();
            self.began = Some(packet.wallclock);
        } else if self.young(now).is_none() || self.packets.len() >= PACKETS_MAX {
            self.clear();
            return;
        }
        self.packets.push(LayerPacket { arrived: None, ..packet });
    }

    pub(crate) fn clear(&mut self) {
        self.began = None;
        self.packets.clear();
    }

    /// What a joiner may be shown now: empty, or a keyframe and what followed, in order of arrival.
    pub(crate) fn replay(&self, now: Instant) -> &[LayerPacket] {
        if self.young(now).is_some() { &self.packets } else { &[] }
    }

    fn young(&self, now: Instant) -> Option<Instant> {
        self.began.filter(|at| now.saturating_duration_since(*at) < REPLAY_AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(start: Instant, ms: u64, seq: u64, key: bool) -> LayerPacket {
        LayerPacket {
            seq,
            timestamp: ms as u32 * 90,
            marker: true,
            begins_keyframe: key,
            capture: CaptureTime(1),
            wallclock: start + Duration::from_millis(ms),
            arrived: None,
            payload: Arc::from([0u8]),
        }
    }

    #[test]
    fn a_young_group_is_replayed_whole_and_an_old_one_not_at_all() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut gop = Gop::default();
        gop.push(at(0), packet(start, 0, 1, false));
        assert!(gop.replay(at(0)).is_empty(), "nothing before a keyframe");
        gop.push(at(33), packet(start, 33, 2, true));
        gop.push(at(33), packet(start, 33, 3, true));
        gop.push(at(66), packet(start, 66, 4, false));
        assert_eq!(gop.replay(at(100)).iter().map(|p| p.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(gop.replay(at(533)).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut gop = Gop::default();
        gop.push(start, packet(start, 0, 0, true));
        for seq in 1..5_000 {
            gop.push(start, packet(start, 1, seq, false));
            assert!(gop.packets.len() <= PACKETS_MAX);
        }
        assert!(gop.replay(start).is_empty(), "a torn group is worth nothing");
    }
}
