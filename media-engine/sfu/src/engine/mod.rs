//! The top machine: every case, every peer, turned by hand. No socket, no thread, no clock.
//!
//! Getters; `handle_*` (something arrived); commands; `poll_*` (something must leave). **After each `handle_*` or command,
//! `give_tapped`, poll until `poll_transmit` and `poll_event` are empty, then wait until `poll_timeout`.**

mod choosing;
mod commands;
mod mixes;
mod pictures;
pub(crate) mod publish;
mod taps;
mod voices;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::id::CaseId;

use crate::adapter::{Carrier, ConnEvent, Setup, Sink, Spent, Transmit, stun_ufrag};
use crate::api::{CloseReason, CoreConfig, Limits, Moment, PeerId, SfuEvent};
use crate::case::{Case, Run};
use crate::peer::Peer;
use crate::stats::{Figures, Histogram};
use mixes::CaseMix;
use publish::Publication;
pub use taps::Given;
use taps::{Tap, Tapped};

/// Turns in a row for one peer that says it is due again at once.
const TURNS_MAX: usize = 4;
/// A peer that is due again at once after [`TURNS_MAX`] waits this long: others come first.
const BREATHER: Duration = Duration::from_millis(1);

/// Things that should not happen, or should be rare, counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams from nobody we know.
    pub strangers: u64,
    /// Packets of a feed that could not be forwarded.
    pub bad_packets: u64,
    /// Packets of publishers that were too large for a narrow path, and were cut.
    pub cut_packets: u64,
    /// Packets of publishers that came too late to have a capture time of their own.
    pub late_packets: u64,
    /// Packets of publishers that who composes them did not take.
    pub tap_drops: u64,
    /// Keyframes that who composes them asked for, and the publisher was to send.
    pub tap_refreshes: u64,
    /// Packets of layers beyond the limit of a case.
    pub layers_refused: u64,
    /// Data messages not taken because the peer said too much.
    pub floods: u64,
    /// Keyframes that viewers, or who composes them, asked for too often.
    pub keyframes_denied: u64,
    /// Times that a page said of a picture that it stands still though its path is alive, and those where a keyframe was the answer.
    pub pictures_stood: u64,
    pub refreshes: u64,
    /// Estimates of a line that were begun anew because they asked it no more.
    pub estimates_anew: u64,
    /// Candidates that were none.
    pub bad_candidates: u64,
    /// STUN requests for a peer's name from elsewhere that were not looked at: too many had a wrong password.
    pub guesses_denied: u64,
    /// Peers ended by a panic of ours.
    pub faults: u64,
}

/// What must come to an engine: STUN requests for this user fragment, everything from this address. `true`: from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayChange {
    Name(String, bool),
    Address((Carrier, SocketAddr), bool),
}

impl Counters {
    /// Of two engines together.
    pub fn merge(&mut self, other: &Counters) {
        self.strangers += other.strangers;
        self.bad_packets += other.bad_packets;
        self.cut_packets += other.cut_packets;
        self.late_packets += other.late_packets;
        self.tap_drops += other.tap_drops;
        self.tap_refreshes += other.tap_refreshes;
        self.layers_refused += other.layers_refused;
        self.floods += other.floods;
        self.keyframes_denied += other.keyframes_denied;
        self.pictures_stood += other.pictures_stood;
        self.refreshes += other.refreshes;
        self.estimates_anew += other.estimates_anew;
        self.bad_candidates += other.bad_candidates;
        self.guesses_denied += other.guesses_denied;
        self.faults += other.faults;
    }
}

/// Forwarding for many cases. See the module's words for how to turn it.
#[derive(Debug)]
pub struct Engine {
    setup: Setup,
    limits: Limits,
    peers: BTreeMap<PeerId, Peer>,
    cases: BTreeMap<CaseId, Case>,
    by_ufrag: HashMap<String, PeerId>,
    by_address: HashMap<(Carrier, SocketAddr), PeerId>,
    /// Who asks is told of each change of the two above.
    ways: Option<VecDeque<WayChange>>,
    /// Peers of other engines behind the same port, which count towards the limit of the server.
    elsewhere: usize,
    deadlines: BTreeSet<(Instant, PeerId)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<SfuEvent>,
    /// What connections told, not yet acted on.
    told: VecDeque<(PeerId, ConnEvent)>,
    ending: Vec<(PeerId, CloseReason)>,
    counters: Counters,
    /// The newest word on what time it is in the cases.
    timeline: Option<Moment>,
    taps: BTreeMap<(CaseId, FeedId), Tap>,
    /// Packets for taps.
    tapped: VecDeque<Tapped>,
    /// Of cases where somebody takes the mix.
    mixes: BTreeMap<CaseId, CaseMix>,
    /// Empty between calls: its room is used again.
    run: Run,
    /// From an offer to connected.
    joining: Histogram,
    /// From told what to show, or connected, to the first packet of the first picture.
    starting: Histogram,
}

impl Engine {
    /// Makes the certificate. Errors: the crypto provider makes none.
    pub fn new(config: CoreConfig) -> Result<Self, String> {
        Ok(Engine {
            setup: Setup::new(config.candidates, config.tcp)?,
            limits: config.limits,
            peers: BTreeMap::new(),
            cases: BTreeMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            ways: None,
            elsewhere: 0,
            deadlines: BTreeSet::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            told: VecDeque::new(),
            ending: Vec::new(),
            counters: Counters::default(),
            timeline: None,
            taps: BTreeMap::new(),
            tapped: VecDeque::new(),
            mixes: BTreeMap::new(),
            run: Run::default(),
            joining: Histogram::default(),
            starting: Histogram::default(),
        })
    }

    pub fn knows(&self, id: PeerId) -> bool {
        self.peers.contains_key(&id)
    }

    /// From now on [`Engine::poll_way`] tells which datagrams are for this engine: for whoever stands before several of them.
    pub fn tell_ways(&mut self) {
        self.ways.get_or_insert_default();
    }

    /// What changed since the last call of that. To be polled after each `handle_*` or command, as the others.
    pub fn poll_way(&mut self) -> Option<WayChange> {
        self.ways.as_mut()?.pop_front()
    }

    fn tell_way(&mut self, change: WayChange) {
        if let Some(ways) = &mut self.ways {
            ways.push_back(change);
        }
    }

    fn learn_name(&mut self, ufrag: String, id: PeerId) {
        self.tell_way(WayChange::Name(ufrag.clone(), true));
        self.by_ufrag.insert(ufrag, id);
    }

    fn forget_name(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
        self.tell_way(WayChange::Name(ufrag.to_owned(), false));
    }

    /// Peers that other engines of this server have.
    pub fn set_elsewhere(&mut self, peers: usize) {
        self.elsewhere = peers;
    }

    /// Something beyond one peer's turn went wrong: who is here is ended, and may come back.
    pub fn fail_all(&mut self, now: Instant) {
        self.counters.faults += 1;
        (self.told, self.run) = (VecDeque::new(), Run::default());
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            self.end_soon(id, CloseReason::Fault);
        }
        self.settle(now);
    }

    pub fn n_peers(&self) -> usize {
        self.peers.len()
    }

    /// Has this address proved whose it is?
    #[cfg(feature = "edge")]
    pub(crate) fn knows_address(&self, carrier: Carrier, source: SocketAddr) -> bool {
        self.by_address.contains_key(&(carrier, source))
    }

    /// Addresses that have proved whose they are.
    pub fn n_addresses(&self) -> usize {
        self.by_address.len()
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// All that was counted; what only the edge knows is left at nothing.
    pub fn figures(&self) -> Figures {
        Figures {
            counters: self.counters,
            peers: self.peers.len(),
            joining: self.joining,
            starting: self.starting,
            ..Figures::default()
        }
    }

    /// A datagram that came to `destination`, one of the candidates. From a stranger it does nothing: only a STUN request
    /// that proves knowledge of a peer's password ties an address to that peer. True: its sender is no stranger.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        carrier: Carrier,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let ufrag = stun_ufrag(bytes);
        let asked = ufrag.is_some();
        let peer = match ufrag {
            Some(ufrag) => {
                let named = self.by_ufrag.get(ufrag).copied();
                named.filter(|id| self.prove(now, *id, (carrier, source), destination, bytes))
            }
            None => self.by_address.get(&(carrier, source)).copied(),
        };
        let Some(id) = peer else {
            self.counters.strangers += 1;
            return false;
        };
        if asked && self.peers.get_mut(&id).is_some_and(Peer::poll_coming) {
            self.expect(now, id);
        }
        let given = self.turn(now, id, |peer, sink| peer.conn.handle_datagram(now, carrier, source, destination, bytes, sink));
        // Anybody can write its address on a datagram.
        let heard = asked || given == Some(true);
        let returned = heard && self.peers.get_mut(&id).is_some_and(|peer| peer.handle_arrival(now));
        if heard && self.peers.get_mut(&id).is_some_and(Peer::poll_heard) {
            self.events.push_back(SfuEvent::Silent { peer: id, silent: false });
        }
        if returned {
            self.turn(now, id, |peer, sink| peer.carried_bps.map_or(Ok(()), |bps| peer.conn.resume(bps, sink)));
            self.refresh(now, id);
            self.events.push_back(SfuEvent::Returned { peer: id });
        }
        // An acknowledgement may have made room.
        self.flush_ctl(now, id);
        self.settle(now);
        true
    }

    fn prove(&mut self, now: Instant, id: PeerId, way: (Carrier, SocketAddr), destination: SocketAddr, bytes: &[u8]) -> bool {
        let own = self.by_address.get(&way) == Some(&id);
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        // Its own addresses are always listened to; somebody who knows its name and no more is not, all the time.
        if !own && !peer.guesses.left(now) {
            self.counters.guesses_denied += 1;
            return false;
        }
        let proof = catch_unwind(AssertUnwindSafe(|| peer.conn.proves_itself(now, way.0, destination, bytes)));
        if !proof.unwrap_or(false) {
            peer.guesses.spend();
            return false;
        }
        peer.heard = now;
        let before = self.by_address.insert(way, id);
        let known = before == Some(id) && peer.addresses.back() == Some(&way);
        let forgotten = if known { None } else { peer.learn_address(way) };
        if before.is_none() {
            self.tell_way(WayChange::Address(way, true));
        }
        if let Some(forgotten) = forgotten {
            self.by_address.remove(&forgotten);
            self.tell_way(WayChange::Address(forgotten, false));
        }
        true
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each due peer once; who is due again meanwhile is found at the next call.
        let due: Vec<PeerId> = self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if now >= peer.gives_up_at(&self.limits) {
                let reason = if peer.conn.is_connected() { CloseReason::Silent } else { CloseReason::NeverConnected };
                self.end_soon(id, reason);
                continue;
            }
            if let Some(speaking) = peer.level.handle_timeout(now) {
                self.events.push_back(SfuEvent::Voice { case: peer.case.clone(), peer: id, speaking });
            }
            self.check_publisher(now, id);
            self.check_held(now, id);
            self.turn(now, id, |peer, sink| peer.conn.handle_timeout(now, sink));
            self.flush_ctl(now, id);
        }
        self.mix_due(now);
        self.settle(now);
    }

    /// When `handle_timeout` is due. `None`: nobody is here.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mixes = self.mixes.values().filter_map(CaseMix::poll_timeout);
        self.deadlines.first().map(|(at, _)| *at).into_iter().chain(mixes).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<SfuEvent> {
        self.events.pop_front()
    }

    /// Turns one peer's connection and leaves it with nothing due. A panic or a broken protocol ends this peer alone.
    /// `None` when it did, or there is no such peer.
    fn turn<R>(
        &mut self,
        now: Instant,
        id: PeerId,
        what: impl FnOnce(&mut Peer, &mut Sink<'_>) -> Result<R, Spent>,
    ) -> Option<R> {
        let peer = self.peers.get_mut(&id).filter(|p| !p.ending)?;
        let mut sink = Sink { peer: id, transmits: &mut self.transmits, events: &mut self.told };
        // Unwind safety: after a panic the peer is not turned again, and the queues hold whole values only.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let result = what(peer, &mut sink)?;
            for _ in 0..TURNS_MAX {
                if peer.conn.poll_timeout() > now {
                    break;
                }
                peer.conn.handle_timeout(now, &mut sink)?;
            }
            Ok::<R, Spent>(result)
        }));
        match outcome {
            Ok(Ok(result)) => {
                self.schedule(now, id);
                Some(result)
            }
            Ok(Err(spent)) => {
                tracing::debug!(peer = id.0, error = %spent.0, "a peer broke the protocol");
                self.end_soon(id, CloseReason::Protocol);
                None
            }
            Err(_) => {
                tracing::error!(peer = id.0, "handling a peer panicked; it is ended");
                self.counters.faults += 1;
                self.end_soon(id, CloseReason::Fault);
                None
            }
        }
    }

    fn schedule(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let mut at = peer.poll_timeout(&self.limits);
        if at <= now {
            at = now + BREATHER;
        }
        if peer.scheduled != Some(at) {
            if let Some(old) = peer.scheduled.replace(at) {
                self.deadlines.remove(&(old, id));
            }
            self.deadlines.insert((at, id));
        }
    }

    fn end_soon(&mut self, id: PeerId, reason: CloseReason) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|p| !p.ending) {
            peer.ending = true;
            self.ending.push((id, reason));
        }
    }

    /// Acts on what connections told until nothing is left. Ends, because an act on one peer's word only ever writes to
    /// others, and writing makes nobody speak; what little it does make them say is bounded by the loop of `turn`.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some((id, event)) = self.told.pop_front() {
                self.handle_told(now, id, event);
            }
            let Some((id, reason)) = self.ending.pop() else { return };
            self.end(now, id, reason);
        }
    }

    fn handle_told(&mut self, now: Instant, id: PeerId, event: ConnEvent) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match event {
            ConnEvent::Connected => {
                peer.heard = now;
                self.joining.record(now.saturating_duration_since(peer.made));
                self.events.push_back(SfuEvent::Connected { peer: id });
                self.weigh(now, id);
                self.begin_all(now, id);
            }
            ConnEvent::Line { heard, line, on_the_way, stats } => {
                // GStreamer's players check their way once and never again, but they report.
                if heard {
                    peer.heard = now;
                }
                if peer.poll_silent(now) {
                    self.events.push_back(SfuEvent::Silent { peer: id, silent: true });
                }
                peer.line = line;
                if !peer.is_cut(now) {
                    peer.carried_bps = line.estimate_bps;
                    if let Some(stats) = &stats {
                        peer.playout.handle_report(stats.rtt, on_the_way);
                    }
                }
                if let Some(mut stats) = stats {
                    stats.data_dropped = peer.data_dropped;
                    if let Some(Publication { freezes, .. }) = &peer.publication {
                        (stats.frames_in, stats.freezes_in, stats.frozen_in) = (freezes.frames, freezes.count, freezes.frozen);
                    }
                    stats.by_tcp = peer.addresses.back().is_some_and(|(carrier, _)| *carrier == Carrier::Tcp);
                    stats.tracks.retain_mut(|track| peer.describe(track));
                    self.events.push_back(SfuEvent::Stats { peer: id, stats });
                }
                self.weigh(now, id);
                if let Some(peer) = self.peers.get_mut(&id) {
                    // A report counts once.
                    (peer.line.loss, peer.line.asked) = (None, false);
                }
            }
            ConnEvent::Hangup => self.end_soon(id, CloseReason::Hangup),
            ConnEvent::KeyframeRequest { slot } => self.handle_keyframe_request(now, id, slot, false),
            ConnEvent::Late { slot } => self.handle_keyframe_request(now, id, slot, true),
            ConnEvent::Published(packet) => self.handle_published(now, id, &packet),
            ConnEvent::Voice(packet) => self.handle_voice(now, id, packet),
            ConnEvent::ChannelOpen(channel) => {
                self.events.push_back(SfuEvent::ChannelOpen { peer: id, channel });
                self.flush_ctl(now, id);
            }
            ConnEvent::Data { channel, bytes } => {
                if peer.budget.spend(now, bytes.len()) {
                    self.events.push_back(SfuEvent::Data { peer: id, channel, bytes, at: now });
                } else if channel.is_reliable() {
                    // A hole in what must be whole is worse than an end.
                    self.end_soon(id, CloseReason::Overrun);
                } else {
                    self.counters.floods += 1;
                }
            }
        }
    }

    fn end(&mut self, now: Instant, id: PeerId, reason: CloseReason) {
        let Some(peer) = self.take_out(now, id, reason != CloseReason::Fault) else { return };
        tracing::debug!(peer = id.0, case = %peer.case, reason = reason.code(), "closed");
        self.events.push_back(SfuEvent::Closed { peer: id, case: peer.case, reason });
    }

    /// Takes a peer out of everything that knows it. `goodbye`: so that a page notices at once; a connection that is beyond
    /// words just goes.
    fn take_out(&mut self, now: Instant, id: PeerId, goodbye: bool) -> Option<Peer> {
        self.unpublish(id);
        self.withdraw_all(id);
        self.silence(id);
        self.hush(id);
        let mut peer = self.peers.remove(&id)?;
        if goodbye {
            let mut sink = Sink { peer: id, transmits: &mut self.transmits, events: &mut self.told };
            let _ = catch_unwind(AssertUnwindSafe(|| peer.conn.close(now, &mut sink)));
        }
        // What it told last is nobody's business any more, least of all that of one who comes under the same number.
        self.told.retain(|(told, _)| *told != id);
        if let Some(at) = peer.scheduled {
            self.deadlines.remove(&(at, id));
        }
        self.forget_name(&peer.ufrag);
        for address in &peer.addresses {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
                self.tell_way(WayChange::Address(*address, false));
            }
        }
        self.leave_mix(id, &peer);
        if let Some(case) = self.cases.get_mut(&peer.case) {
            case.peers.remove(&id);
            case.loud.remove(&id);
            if case.is_empty() {
                self.cases.remove(&peer.case);
            }
        }
        Some(peer)
    }
}

#[cfg(test)]
mod tests;
