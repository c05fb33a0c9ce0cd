//! From each speaker of a case to the voice slots of those who may hear.

use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use crate::adapter::{VoicePacket, VoiceWrite};
use crate::api::{PeerId, PeerKind, SfuEvent};
use crate::voice::red;

impl Engine {
    /// A voice packet of a peer.
    pub(super) fn handle_voice(&mut self, now: Instant, id: PeerId, packet: VoicePacket) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.speak) else { return };
        let case_id = peer.case.clone();
        if let Some(speaking) = packet.dbov.and_then(|dbov| peer.level.handle_packet(now, dbov)) {
            self.events.push_back(SfuEvent::Voice { case: case_id.clone(), peer: id, speaking });
        }
        let speaks = peer.level.is_speaking();
        let heard_loud = peer.level.heard_loud();
        self.schedule(now, id);
        let Some(case) = self.cases.get_mut(&case_id) else { return };
        if let Some(at) = heard_loud {
            case.loud.insert(id, at);
        }
        // As in `handle_feed`: nothing below changes who is here.
        let listeners = std::mem::take(&mut case.peers);
        // Without its older blocks, for those who do not take RED; made when first needed.
        let mut plain: Option<Arc<[u8]>> = None;
        for listener in listeners.iter().filter(|l| **l != id) {
            self.speak_to(now, *listener, id, speaks, &packet, &mut plain);
        }
        self.mix_in(now, &case_id, id, &packet);
        if let Some(case) = self.cases.get_mut(&case_id) {
            case.peers = listeners;
        }
    }

    fn speak_to(
        &mut self,
        now: Instant,
        listener: PeerId,
        speaker: PeerId,
        speaks: bool,
        packet: &VoicePacket,
        plain: &mut Option<Arc<[u8]>>,
    ) {
        let Some(peer) = self.peers.get_mut(&listener) else { return };
        // One who takes the mix is served by it.
        let apart = matches!(peer.kind, PeerKind::Client);
        if !apart || !peer.grants.hear || !peer.conn.is_connected() || peer.ending {
            return;
        }
        if peer.voice.slot_of(speaker).is_none() {
            let loud = self.cases.get(&peer.case).map(|c| &c.loud);
            let taken = peer.voice.take(now, speaker, speaks, |p| loud.and_then(|l| l.get(&p)).copied());
            let Some(slot) = taken else { return };
            self.events.push_back(SfuEvent::VoiceSlot { peer: listener, slot, from: Some(speaker) });
        }
        let Some(numbers) = peer.voice.number(now, speaker, packet.seq, packet.timestamp) else { return };
        let red = packet.red && peer.conn.takes_red(usize::from(numbers.slot));
        let payload = if packet.red && !red {
            if plain.is_none() {
                *plain = red::primary(&packet.payload).map(|range| Arc::from(&packet.payload[range]));
            }
            let Some(payload) = plain else { return };
            payload.clone()
        } else {
            packet.payload.clone()
        };
        let write = VoiceWrite {
            slot: usize::from(numbers.slot),
            seq: numbers.seq,
            timestamp: numbers.timestamp,
            marker: numbers.fresh,
            dbov: packet.dbov,
            activity: packet.activity,
            red,
            wallclock: now,
            payload,
        };
        self.turn(now, listener, |peer, sink| {
            peer.conn.write_voice(write, sink)?;
            peer.conn.handle_timeout(now, sink)
        });
    }

    /// A peer is no longer let through: nobody hears it from now on.
    pub(super) fn silence(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let case_id = peer.case.clone();
        if peer.level.reset() {
            self.events.push_back(SfuEvent::Voice { case: case_id.clone(), peer: id, speaking: false });
        }
        let Some(case) = self.cases.get_mut(&case_id) else { return };
        case.loud.remove(&id);
        if let Some(mix) = self.mixes.get_mut(&case_id) {
            mix.silence(id);
        }
        for listener in &case.peers {
            let Some(peer) = self.peers.get_mut(listener) else { continue };
            if let Some(slot) = peer.voice.release(id) {
                self.events.push_back(SfuEvent::VoiceSlot { peer: *listener, slot, from: None });
            }
        }
    }

    /// A peer no longer hears anybody.
    pub(super) fn hush(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for slot in peer.voice.release_all() {
            self.events.push_back(SfuEvent::VoiceSlot { peer: id, slot, from: None });
        }
    }
}
