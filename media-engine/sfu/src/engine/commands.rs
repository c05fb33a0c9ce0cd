//! What the server tells the core to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bytes::Bytes;
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::adapter::Sink;
use crate::api::{Channel, CloseReason, Grants, OfferError, PeerId, PeerKind, Why, Wish};
use crate::peer::Peer;
use crate::sdp_guard::{self, SdpError};

/// Bytes that may wait in a channel whose messages are worth nothing when late.
const LOSSY_WAITING_MAX: usize = 32 * 1024;
/// And in the reliable one; the rest waits with us, in order.
const CTL_WAITING_MAX: usize = 128 * 1024;

impl Engine {
    /// Answers a peer's offer; makes the peer if it is new. A later offer of the same peer with the same certificate
    /// restarts its ICE; with another one it is another connection, which takes the place of the first and shows what that
    /// one showed.
    pub fn handle_offer(
        &mut self,
        now: Instant,
        id: PeerId,
        case: CaseId,
        kind: PeerKind,
        grants: Grants,
        sdp: &str,
    ) -> Result<String, OfferError> {
        let mut shape = sdp_guard::check(sdp, &kind).map_err(OfferError::Sdp)?;
        if matches!(kind, PeerKind::Whep { .. }) && !grants.hear {
            // Nothing will come: the player must not wait for it.
            shape.voice_in.clear();
            if shape.video.is_empty() {
                return Err(OfferError::Sdp(SdpError::Shape("it has nothing but sound to receive, and is given none".into())));
            }
        }
        let mut shown = Vec::new();
        if let Some(peer) = self.peers.get(&id) {
            if peer.case != case || peer.kind != kind {
                return Err(OfferError::Mismatch);
            }
            if peer.fingerprint == fingerprint(sdp) {
                // What it may is as it was last said, not as it was when this offer set out.
                return self.answer_again(now, id, sdp);
            }
            let before = self.take_out(now, id, false);
            shown.extend(before.into_iter().flat_map(|p| p.video).map(|v| v.wish));
        }
        if self.peers.len() + self.elsewhere >= self.limits.peers {
            return Err(OfferError::ServerFull(self.limits.peers));
        }
        if self.cases.get(&case).is_some_and(|c| c.peers.len() >= self.limits.peers_per_case) {
            return Err(OfferError::CaseFull(self.limits.peers_per_case));
        }
        if let PeerKind::Whip { feed } = &kind {
            self.may_publish(&case, feed)?;
        }
        let player = matches!(kind, PeerKind::Whep { .. });
        let made = catch_unwind(AssertUnwindSafe(|| {
            let (mut conn, answer) = self.setup.answer(now, &shape, sdp, player)?;
            let ufrag = conn.ufrag();
            Ok::<_, String>((conn, ufrag, answer))
        }));
        let (conn, ufrag, answer) = match made {
            Ok(made) => made.map_err(OfferError::Refused)?,
            Err(_) => {
                tracing::error!(peer = id.0, "answering an offer panicked; it is refused");
                self.counters.faults += 1;
                return Err(OfferError::Refused("it could not be read".into()));
            }
        };
        let (videos, voices) = (shape.video.len(), shape.voice_in.len());
        let mut peer = Peer::new(now, case.clone(), kind.clone(), grants, conn, ufrag.clone(), videos, voices);
        peer.fingerprint = fingerprint(sdp);
        self.learn_name(ufrag, id);
        self.peers.insert(id, peer);
        self.cases.entry(case).or_default().peers.insert(id);
        self.turn(now, id, |peer, sink| peer.conn.handle_timeout(now, sink));
        match kind {
            PeerKind::Client | PeerKind::Engine { .. } => {}
            // It only listens.
            PeerKind::Whep { .. } if videos == 0 => {}
            PeerKind::Whep { feed, layer } => {
                let fixed = layer.is_some();
                let wish = Wish { layer: layer.unwrap_or(LayerId::High), fixed, ..Wish::of(feed) };
                self.assign(now, id, 0, Some(wish));
            }
            PeerKind::Whip { feed } => self.publish(id, feed),
        }
        self.join_mix(now, id);
        for (slot, wish) in shown.into_iter().enumerate() {
            self.assign(now, id, slot as u8, wish);
        }
        self.settle(now);
        if self.peers.contains_key(&id) { Ok(answer) } else { Err(OfferError::Refused("it could not be set up".into())) }
    }

    fn answer_again(&mut self, now: Instant, id: PeerId, sdp: &str) -> Result<String, OfferError> {
        let Some(peer) = self.peers.get(&id) else { return Err(OfferError::Mismatch) };
        let old = peer.ufrag.clone();
        let answered = self.turn(now, id, |peer, sink| {
            let answer = peer.conn.answer_again(sdp, sink)?;
            peer.ufrag = peer.conn.ufrag();
            peer.handle_restart(now);
            Ok((answer, peer.ufrag.clone()))
        });
        let outcome = answered.ok_or_else(|| OfferError::Refused("it does not follow from the one before".into()));
        let answer = outcome.map(|(answer, ufrag)| {
            self.forget_name(&old);
            self.learn_name(ufrag, id);
            answer
        });
        self.settle(now);
        answer
    }

    /// A candidate of the peer's. It is not needed: a peer is found where its packets come from.
    pub fn add_candidate(&mut self, now: Instant, id: PeerId, candidate: &str) {
        // End-of-candidates is an empty text.
        if candidate.is_empty() || candidate.len() > 512 {
            return;
        }
        let known = self.turn(now, id, |peer, sink| peer.conn.add_candidate(candidate, sink));
        if known == Some(false) {
            self.counters.bad_candidates += 1;
        }
        self.settle(now);
    }

    pub fn remove(&mut self, now: Instant, id: PeerId) {
        self.end_soon(id, CloseReason::Removed);
        self.settle(now);
    }

    /// The house closes.
    pub fn remove_all(&mut self, now: Instant) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.end_soon(id, CloseReason::Removed);
        }
        self.settle(now);
    }

    /// Replaces what a peer may do. What is taken away ends with this call.
    pub fn set_grants(&mut self, now: Instant, id: PeerId, grants: Grants) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = std::mem::replace(&mut peer.grants, grants);
        if before.see && !grants.see {
            self.withdraw_all(id);
            for slot in 0..self.n_slots(id) {
                self.slot(id, slot).map(|video| video.starting.take());
            }
        } else if !before.see && grants.see {
            self.weigh(now, id);
        }
        if before.hear && !grants.hear {
            self.hush(id);
        }
        if before.speak && !grants.speak {
            self.silence(id);
        }
        self.settle(now);
    }

    /// Chooses what a peer sees in a video slot. A slot it does not have is ignored.
    pub fn assign(&mut self, now: Instant, id: PeerId, slot: u8, wish: Option<Wish>) {
        let connected = self.peers.get(&id).is_some_and(|p| p.conn.is_connected());
        let Some(video) = self.slot(id, slot) else { return };
        if video.wish != wish {
            // Another size or bound of the same feed is no reason to begin anew.
            if video.wish.as_ref().map(|w| &w.feed) != wish.as_ref().map(|w| &w.feed) {
                self.withdraw(id, slot);
            }
            if let Some(video) = self.slot(id, slot) {
                if video.on.is_none() {
                    video.told = (None, Why::Wished);
                    video.refused = false;
                }
                video.wish = wish;
                video.starting = (connected && video.wish.is_some() && !video.seq.is_running()).then_some(now);
            }
            self.weigh(now, id);
        }
        self.settle(now);
    }

    /// Sends one message on a data channel. `ctl`: held back while it cannot leave, up to a bound; the others: dropped
    /// (newest first) and counted.
    pub fn send_data(&mut self, now: Instant, id: PeerId, channel: Channel, bytes: Bytes) {
        if channel.is_reliable() {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if peer.hold_ctl(bytes) {
                self.flush_ctl(now, id);
            } else {
                self.end_soon(id, CloseReason::Overrun);
            }
        } else {
            let taken = self.turn(now, id, |peer, sink| peer.conn.write_data(channel, &bytes, LOSSY_WAITING_MAX, sink));
            if let (Some(false), Some(peer)) = (taken, self.peers.get_mut(&id)) {
                peer.data_dropped += 1;
            }
        }
        self.settle(now);
    }

    /// Sends what waits for `ctl`, as far as there is room.
    pub(super) fn flush_ctl(&mut self, now: Instant, id: PeerId) {
        if self.peers.get(&id).is_none_or(|p| p.next_ctl().is_none()) {
            return;
        }
        self.turn(now, id, |peer: &mut Peer, sink: &mut Sink<'_>| {
            while let Some(bytes) = peer.next_ctl().cloned() {
                if !peer.conn.write_data(Channel::Ctl, &bytes, CTL_WAITING_MAX, sink)? {
                    break;
                }
                peer.drop_ctl();
            }
            Ok(())
        });
    }
}

/// The certificate an offer names, as it is written; a new connection of a browser has a new one.
fn fingerprint(sdp: &str) -> String {
    sdp.lines().find_map(|l| l.strip_prefix("a=fingerprint:")).unwrap_or_default().to_ascii_lowercase()
}
