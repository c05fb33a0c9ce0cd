//! Packets of a published feed that are here before the word that it is published: they come by another socket, and begin with a keyframe
//! that nobody sends again. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

/// Packets that wait for their word: a replayed keyframe and half a second after it. Policy: drop_oldest.
const PACKETS_MAX: usize = 1_024;

/// Packets by the SSRC that they carry, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: VecDeque<(u32, Bytes)>,
}

impl Early {
    pub(super) fn keep(&mut self, ssrc: u32, packet: Bytes) {
        if self.waiting.len() >= PACKETS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((ssrc, packet));
    }

    /// Those of a feed that is published from now on. What else waits is of feeds that ended, and goes.
    pub(super) fn take(&mut self, ssrc: u32) -> impl Iterator<Item = Bytes> + use<> {
        std::mem::take(&mut self.waiting).into_iter().filter(move |(of, _)| *of == ssrc).map(|(_, packet)| packet)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_its_word_is_given_in_order_and_the_rest_forgotten() {
        let mut early = Early::default();
        for n in 0..6_u8 {
            early.keep(u32::from(n % 2), Bytes::copy_from_slice(&[n]));
        }
        assert_eq!(early.take(1).map(|p| p[0]).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(early.take(0).count(), 0);
    }

    #[test]
    fn it_is_bounded_and_the_newest_stay() {
        let mut early = Early::default();
        for n in 0..2 * PACKETS_MAX as u32 {
            early.keep(7, Bytes::copy_from_slice(&n.to_be_bytes()));
        }
        let kept: Vec<Bytes> = early.take(7).collect();
        assert_eq!((kept.len(), kept[0].as_ref()), (PACKETS_MAX, &(PACKETS_MAX as u32).to_be_bytes()[..]));
    }
}
