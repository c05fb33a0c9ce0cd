//! All who speak in a case, mixed, to those who take one track.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use link::id::CaseId;

use super::Engine;
use crate::adapter::{VoicePacket, VoiceWrite};
use crate::api::{PeerId, PeerKind};
use crate::peer::Peer;
use crate::voice::mix::Mixer;
use crate::voice::red;

/// In place of a speaker's number, where a listener's slot carries the mix.
const MIX: PeerId = PeerId(u64::MAX);

/// The mix of one case and who takes it.
#[derive(Debug)]
pub(super) struct CaseMix {
    mixer: Mixer,
    seq: u64,
    listeners: BTreeSet<PeerId>,
}

impl CaseMix {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.mixer.poll_timeout()
    }

    pub(super) fn silence(&mut self, id: PeerId) {
        self.mixer.remove(id);
    }
}

impl Engine {
    /// A player that hears has come.
    pub(super) fn join_mix(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|p| matches!(p.kind, PeerKind::Whep { .. }) && p.grants.hear) else { return };
        if let Some(mix) = self.mixes.get_mut(&peer.case) {
            mix.listeners.insert(id);
            return;
        }
        match Mixer::new(now) {
            Ok(mixer) => {
                let mix = CaseMix { mixer, seq: 0, listeners: BTreeSet::from([id]) };
                self.mixes.insert(peer.case.clone(), mix);
            }
            Err(error) => tracing::warn!(%error, "no mix of voices can be made"),
        }
    }

    pub(super) fn leave_mix(&mut self, id: PeerId, peer: &Peer) {
        let Some(mix) = self.mixes.get_mut(&peer.case) else { return };
        mix.listeners.remove(&id);
        if mix.listeners.is_empty() {
            tracing::debug!(case = %peer.case, counters = ?mix.mixer.counters(), "nobody takes the mix any more");
            self.mixes.remove(&peer.case);
        }
    }

    pub(super) fn mix_in(&mut self, now: Instant, case: &CaseId, from: PeerId, packet: &VoicePacket) {
        let Some(mix) = self.mixes.get_mut(case) else { return };
        let range = if packet.red { red::primary(&packet.payload) } else { Some(0..packet.payload.len()) };
        if let Some(payload) = range.and_then(|range| packet.payload.get(range)) {
            mix.mixer.handle_packet(now, from, packet.seq, packet.timestamp, payload);
        }
    }

    /// Sends what the mixes have ready.
    pub(super) fn mix_due(&mut self, now: Instant) {
        let due = self.mixes.iter().filter(|(_, m)| m.poll_timeout().is_some_and(|at| at <= now)).map(|(case, _)| case.clone());
        for case in due.collect::<Vec<_>>() {
            let Some(mix) = self.mixes.get_mut(&case) else { continue };
            mix.mixer.handle_timeout(now);
            let listeners: Vec<_> = mix.listeners.iter().copied().collect();
            while let Some(packet) = self.mixes.get_mut(&case).and_then(|mix| mix.mixer.poll_packet()) {
                let Some(mix) = self.mixes.get_mut(&case) else { break };
                mix.seq += 1;
                let seq = mix.seq;
                let payload: Arc<[u8]> = packet.payload.into();
                for listener in &listeners {
                    self.send_mixed(now, *listener, (seq, packet.timestamp, packet.dbov), &payload);
                }
            }
        }
    }

    fn send_mixed(&mut self, now: Instant, id: PeerId, (seq, timestamp, dbov): (u64, u32, i8), payload: &Arc<[u8]>) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.hear && p.conn.is_connected()) else { return };
        if peer.voice.slot_of(MIX).is_none() {
            peer.voice.take(now, MIX, true, |_| None);
        }
        let Some(numbers) = peer.voice.number(now, MIX, seq, timestamp) else { return };
        let write = VoiceWrite {
            slot: usize::from(numbers.slot),
            seq: numbers.seq,
            timestamp: numbers.timestamp,
            marker: numbers.fresh,
            dbov: Some(dbov),
            activity: None,
            red: false,
            wallclock: now,
            payload: payload.clone(),
        };
        self.turn(now, id, |peer, sink| {
            peer.conn.write_voice(write, sink)?;
            peer.conn.handle_timeout(now, sink)
        });
    }
}
