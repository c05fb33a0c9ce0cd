//! A listener's voice slots: whom each carries, and the numbers on its packets.

use std::time::{Duration, Instant};

use crate::api::{PeerId, SLOTS_VOICE};

/// RTP ticks of Opus per second. Source: RFC 7587 §4.1.
const OPUS_HZ: u128 = 48_000;
/// A speaker who has been quiet this long may lose his slot to another when all are taken.
const QUIET_AFTER: Duration = Duration::from_secs(2);

/// Numbers on the packets of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoiceNumbers {
    pub(crate) slot: u8,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    /// First packet of a speaker in this slot: marked, so that the receiver may begin its buffer anew.
    pub(crate) fresh: bool,
}

/// One voice slot. Sequence numbers and timestamps run on over a change of speaker.
#[derive(Debug, Clone, Default)]
struct Slot {
    from: Option<PeerId>,
    /// (incoming seq, incoming timestamp) -> (outgoing seq, outgoing timestamp) of the speaker's first packet.
    base: Option<((u64, u32), (u64, u32))>,
    /// Newest outgoing (seq, timestamp) and when.
    last: Option<(u64, u32, Instant)>,
}

impl Slot {
    fn number(&mut self, now: Instant, seq: u64, timestamp: u32) -> Option<(u64, u32, bool)> {
        let fresh = self.base.is_none();
        let (from, to) = *self.base.get_or_insert_with(|| {
            let to = match self.last {
                None => (1, 0),
                Some((seq, timestamp, at)) => {
                    let ticks = now.saturating_duration_since(at).as_micros() * OPUS_HZ / 1_000_000;
                    (seq + 1, timestamp.wrapping_add((ticks as u32).max(960)))
                }
            };
            ((seq, timestamp), to)
        });
        let out_seq = to.0 + seq.checked_sub(from.0)?;
        let out_timestamp = to.1.wrapping_add(timestamp.wrapping_sub(from.1));
        if self.last.is_none_or(|(newest, _, _)| out_seq > newest) {
            self.last = Some((out_seq, out_timestamp, now));
        }
        Some((out_seq, out_timestamp, fresh))
    }

    fn free(&mut self) {
        self.from = None;
        self.base = None;
    }
}

/// The voice slots of one listener.
#[derive(Debug, Clone)]
pub(crate) struct VoiceSlots {
    slots: Vec<Slot>,
}

impl VoiceSlots {
    /// `count`: how many voice lines this listener has, at most [`SLOTS_VOICE`].
    pub(crate) fn new(count: usize) -> Self {
        VoiceSlots { slots: vec![Slot::default(); count.min(usize::from(SLOTS_VOICE))] }
    }

    pub(crate) fn slot_of(&self, speaker: PeerId) -> Option<u8> {
        self.slots.iter().position(|s| s.from == Some(speaker)).map(|i| i as u8)
    }

    /// Gives a speaker a slot: a free one, or, when he speaks, that of the one who has been quiet longest.
    /// `quiet_since`: when a peer was last loud. Returns the slot.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        speaker: PeerId,
        speaks: bool,
        quiet_since: impl Fn(PeerId) -> Option<Instant>,
    ) -> Option<u8> {
        if let Some(free) = self.slots.iter().position(|s| s.from.is_none()) {
            return Some(self.seize(free, speaker));
        }
        if !speaks {
            return None;
        }
        let quietest = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.from.map(|p| (quiet_since(p), i)))
            .filter(|(loud, _)| loud.is_none_or(|at| now.saturating_duration_since(at) >= QUIET_AFTER))
            .min()?;
        Some(self.seize(quietest.1, speaker))
    }

    fn seize(&mut self, index: usize, speaker: PeerId) -> u8 {
        self.slots[index].free();
        self.slots[index].from = Some(speaker);
        index as u8
    }

    /// Numbers for a packet of a speaker who has a slot. `None` for what came before his first packet in it.
    pub(crate) fn number(&mut self, now: Instant, speaker: PeerId, seq: u64, timestamp: u32) -> Option<VoiceNumbers> {
        let slot = self.slot_of(speaker)?;
        let (seq, timestamp, fresh) = self.slots[usize::from(slot)].number(now, seq, timestamp)?;
        Some(VoiceNumbers { slot, seq, timestamp, fresh })
    }

    /// The speaker is gone or silenced. Returns the slot he had.
    pub(crate) fn release(&mut self, speaker: PeerId) -> Option<u8> {
        let slot = self.slot_of(speaker)?;
        self.slots[usize::from(slot)].free();
        Some(slot)
    }

    /// All slots that carry somebody, emptied.
    pub(crate) fn release_all(&mut self) -> Vec<u8> {
        let taken = self.slots.iter_mut().enumerate().filter(|(_, s)| s.from.is_some());
        taken
            .map(|(i, s)| {
                s.free();
                i as u8
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_changes_its_speaker_runs_on_in_numbers_and_time() {
        let start = Instant::now();
        let mut slots = VoiceSlots::new(1);
        let (a, b) = (PeerId(1), PeerId(2));
        assert_eq!(slots.take(start, a, false, |_| None), Some(0));
        let first = slots.number(start, a, 9_000, 77).expect("first");
        assert_eq!((first.seq, first.timestamp, first.fresh), (1, 0, true));
        let second = slots.number(start + Duration::from_millis(20), a, 9_001, 77 + 960).expect("second");
        assert_eq!((second.seq, second.timestamp, second.fresh), (2, 960, false));
        assert_eq!(slots.release(a), Some(0));
        let later = start + Duration::from_millis(1_020);
        assert_eq!(slots.take(later, b, false, |_| None), Some(0));
        let third = slots.number(later, b, 5, 4_000_000_000).expect("third");
        assert_eq!((third.seq, third.timestamp, third.fresh), (3, 960 + 48_000, true));
        assert_eq!(slots.number(later, b, 4, 3_999_999_040), None, "of before he had the slot");
        let fourth = slots.number(later, b, 6, 4_000_000_960).expect("fourth");
        assert_eq!((fourth.seq, fourth.timestamp), (4, 960 + 48_000 + 960));
    }

    #[test]
    fn with_all_slots_taken_one_who_speaks_replaces_the_longest_quiet() {
        let start = Instant::now();
        let now = start + Duration::from_secs(60);
        let mut slots = VoiceSlots::new(2);
        slots.take(start, PeerId(1), false, |_| None);
        slots.take(start, PeerId(2), false, |_| None);
        let loud = |p: PeerId| if p == PeerId(1) { Some(now - Duration::from_secs(1)) } else { Some(start) };
        assert_eq!(slots.take(now, PeerId(3), false, loud), None, "silent ones do not push others out");
        assert_eq!(slots.take(now, PeerId(3), true, loud), Some(1));
        assert_eq!(slots.slot_of(PeerId(2)), None);
        let all_loud = |_| Some(now);
        assert_eq!(slots.take(now, PeerId(4), true, all_loud), None, "nobody is cut off in mid-word");
    }
}
