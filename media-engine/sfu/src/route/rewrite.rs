//! Sequence numbers of one viewer's slot: one unbroken run, whatever is shown in it.

/// Numbers of one outgoing RTP stream, from a fresh rollover counter (ROC 0).
///
/// Life: `begin` at a keyframe ties the incoming number to the next outgoing one; `rewrite` keeps the distance, so loss and
/// reordering on the way in look the same on the way out and can be repaired; `stop` lets go. What is older than the
/// beginning is dropped: its numbers belong to what was shown before.
#[derive(Debug, Clone)]
pub(crate) struct SeqRewrite {
    /// (incoming, outgoing) of the packet at which the current run began.
    base: Option<(u64, u64)>,
    /// Next number never used.
    next: u64,
}

/// Furthest an incoming number may lead the run. More is a fault at the source, and would use up numbers.
const LEAD_MAX: u64 = 4_096;

impl Default for SeqRewrite {
    fn default() -> Self {
        // Not 0: a packet lost before the first one must not wrap below it.
        SeqRewrite { base: None, next: 1 }
    }
}

impl SeqRewrite {
    pub(crate) fn is_running(&self) -> bool {
        self.base.is_some()
    }

    pub(crate) fn begin(&mut self, incoming: u64) {
        self.base = Some((incoming, self.next));
    }

    pub(crate) fn stop(&mut self) {
        self.base = None;
    }

    /// The outgoing number; `None` when not running, or for what came before the run began.
    pub(crate) fn rewrite(&mut self, incoming: u64) -> Option<u64> {
        let (from, to) = self.base?;
        let out = to + incoming.checked_sub(from)?;
        if out >= self.next + LEAD_MAX {
            return None;
        }
        self.next = self.next.max(out + 1);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_run_on_over_a_change_of_source() {
        let mut seq = SeqRewrite::default();
        assert_eq!(seq.rewrite(70_000), None, "not before a keyframe");
        seq.begin(70_000);
        assert_eq!(seq.rewrite(70_000), Some(1));
        assert_eq!(seq.rewrite(70_001), Some(2));
        seq.stop();
        assert_eq!(seq.rewrite(70_002), None);
        seq.begin(5);
        assert_eq!(seq.rewrite(5), Some(3));
        assert_eq!(seq.rewrite(4), None, "of before the switch");
        assert_eq!(seq.rewrite(7), Some(5), "a gap stays a gap");
        assert_eq!(seq.rewrite(6), Some(4), "and can be filled");
    }

    /// Against a reference: whatever arrives, no number is used twice, order within a run is kept, and the first packet of a
    /// run takes exactly the next number.
    #[test]
    fn whatever_arrives_no_number_is_used_twice() {
        let mut state = 7u64;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..300 {
            let mut seq = SeqRewrite::default();
            let mut used = BTreeSet::new();
            let mut incoming = random(1 << 40);
            for _ in 0..40 {
                incoming += random(1 << 20);
                seq.begin(incoming);
                let expected = used.last().map_or(1, |l: &u64| l + 1);
                assert_eq!(seq.rewrite(incoming), Some(expected));
                used.insert(expected);
                let mut seen = BTreeSet::from([incoming]);
                for _ in 0..random(60) {
                    let packet = incoming + random(80);
                    let (before, fresh) = (packet.saturating_sub(100), seen.insert(packet));
                    assert!(before >= incoming || seq.rewrite(incoming.saturating_sub(1)).is_none());
                    if let (Some(out), true) = (seq.rewrite(packet), fresh) {
                        assert!(used.insert(out), "number {out} twice");
                        assert_eq!(out - expected, packet - incoming);
                    }
                }
            }
        }
    }
}
