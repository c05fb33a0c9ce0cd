//! From the layers of a case to the video slots of its peers.

use std::time::Instant;

use annotation::id::FeedId;
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::adapter::VideoWrite;
use crate::api::{FeedPacket, PeerId, SfuEvent, VideoCodec};
use crate::case::{Incoming, Ingested, LAYERS_MAX};
use crate::peer::VideoSlot;
use crate::route::gop::LayerPacket;

impl Engine {
    /// One packet of a layer of the room's engine, to all who watch it. Of a feed that somebody publishes: dropped, counted.
    pub fn handle_feed(&mut self, now: Instant, feed: &FeedPacket) {
        self.set_timeline(feed.received);
        let key = (feed.feed.clone(), feed.layer);
        match Incoming::read(feed) {
            Some(incoming) => self.spread(now, &feed.case, &key, &incoming, None),
            None => self.counters.bad_packets += 1,
        }
        self.settle(now);
    }

    /// One packet of a layer, from the engine or from a publisher.
    pub(super) fn spread(
        &mut self,
        now: Instant,
        case_id: &CaseId,
        key: &(FeedId, LayerId),
        incoming: &Incoming<'_>,
        publisher: Option<PeerId>,
    ) {
        let case = self.cases.entry(case_id.clone()).or_default();
        if case.layers.len() >= LAYERS_MAX && !case.layers.contains_key(key) {
            self.counters.layers_refused += 1;
            return;
        }
        let layer = case.layers.entry(key.clone()).or_default();
        let ingested = if layer.publisher == publisher { layer.ingest(now, incoming) } else { None };
        let Some(ingested) = ingested else {
            self.counters.bad_packets += 1;
            return;
        };
        // Taken out while they are served: nothing below changes who watches, ends wait for `settle`.
        let viewers = std::mem::take(&mut layer.viewers);
        let mut waiting = false;
        for (peer, slot) in &viewers {
            waiting |= self.forward(now, *peer, *slot, key.1, incoming.codec, &ingested);
        }
        if let Some(layer) = self.cases.get_mut(case_id).and_then(|c| c.layers.get_mut(key)) {
            layer.viewers = viewers;
            let ask = if waiting { layer.asking.want(now) } else { layer.asking.due(now) };
            if ask {
                self.ask_for_keyframe(now, case_id, key);
            }
        }
        if publisher.is_some() {
            self.tap_packet(case_id, &key.0, incoming.codec, ingested);
        }
    }

    /// The room's engine no longer makes a feed. Who watches it goes on waiting and sees it again when it returns.
    pub fn forget_feed(&mut self, now: Instant, case: &CaseId, feed: &FeedId) {
        let published =
            self.cases.get(case).is_some_and(|c| c.layers.iter().any(|((f, _), l)| f == feed && l.publisher.is_some()));
        if !published {
            self.lose_source(case, feed);
        }
        self.settle(now);
    }

    /// What the source of a feed sent is worth nothing any more.
    pub(super) fn lose_source(&mut self, case: &CaseId, feed: &FeedId) {
        let Some(known) = self.cases.get_mut(case) else { return };
        for ((id, _), layer) in &mut known.layers {
            if id == feed {
                layer.forget_source();
                for (peer, slot) in &layer.viewers {
                    if let Some(video) = self.peers.get_mut(peer).and_then(|p| p.video.get_mut(usize::from(*slot))) {
                        video.seq.stop();
                    }
                }
            }
        }
        known.layers.retain(|(id, _), layer| id != feed || !layer.is_idle());
        if known.is_empty() {
            self.cases.remove(case);
        }
    }

    /// One packet of a layer into one slot. True: the slot waits for a keyframe of this layer.
    fn forward(&mut self, now: Instant, id: PeerId, slot: u8, layer: LayerId, codec: VideoCodec, ingested: &Ingested) -> bool {
        let packet = &ingested.packet;
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if !peer.conn.is_connected() || peer.ending {
            return false;
        }
        let Some(video) = peer.video.get_mut(usize::from(slot)) else { return false };
        if video.on != Some(layer) {
            if !self.arrive(now, id, slot, packet) {
                return true;
            }
        } else {
            if ingested.restarted {
                video.seq.stop();
            }
            if !video.seq.is_running() {
                if !packet.begins_keyframe || !video.may_begin(packet.capture) {
                    return !video.refused;
                }
                video.seq.begin(packet.seq);
            } else if video.next.is_some() {
                self.hold(now, id, slot, codec, packet);
                return false;
            }
        }
        self.write(now, id, slot, codec, std::slice::from_ref(packet));
        false
    }

    /// Writes packets into a slot that has begun, in one turn.
    pub(super) fn write(&mut self, now: Instant, id: PeerId, slot: u8, codec: VideoCodec, packets: &[LayerPacket]) {
        let taken = self.turn(now, id, |peer, sink| {
            let index = usize::from(slot);
            let mut taken = true;
            for packet in packets {
                let Some(video) = peer.video.get_mut(index) else { continue };
                let Some(seq) = video.seq.rewrite(packet.seq) else { continue };
                let smooth = video.wish.as_ref().is_some_and(|w| w.smooth);
                let write = VideoWrite {
                    slot: index,
                    codec,
                    seq,
                    timestamp: packet.timestamp,
                    marker: packet.marker,
                    capture: packet.capture,
                    wallclock: packet.wallclock,
                    playout_hundredths: peer.playout.hundredths(smooth),
                    payload: packet.payload.clone(),
                };
                taken &= peer.conn.write_video(write, sink)?;
                peer.handle_fed(now);
                if let Some(video) = peer.video.get_mut(index) {
                    video.newest = video.newest.max(Some(packet.capture));
                }
            }
            peer.conn.handle_timeout(now, sink)?;
            Ok(taken)
        });
        if taken == Some(false)
            && let Some(video) = self.peers.get_mut(&id).and_then(|p| p.video.get_mut(usize::from(slot)))
        {
            video.seq.stop();
            if !std::mem::replace(&mut video.refused, true) {
                tracing::warn!(peer = id.0, slot, ?codec, "the peer cannot decode what it is to be shown");
            }
        }
    }

    /// The peer asked for a keyframe by PLI or FIR.
    pub(super) fn handle_keyframe_request(&mut self, now: Instant, id: PeerId, slot: usize) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.see) else { return };
        let Some(video) = peer.video.get_mut(slot) else { return };
        let Some(what) = video.what() else { return };
        let layer = self.cases.get(&peer.case).and_then(|c| c.layers.get(&what));
        let alone = layer.is_none_or(|l| l.watchers() < 2);
        // Who waits for his first picture has not had one yet.
        if !alone && video.seq.is_running() && !video.patience.hears(now) {
            self.counters.keyframes_denied += 1;
            return;
        }
        let case = peer.case.clone();
        self.want_keyframe(now, &case, &what);
    }

    /// Its line was cut: nothing that it is sent can be decoded before the next keyframe, so it is not left to find that out.
    pub(super) fn refresh(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|p| p.grants.see) else { return };
        let (case, shown) = (peer.case.clone(), peer.video.iter().filter_map(VideoSlot::what).collect::<Vec<_>>());
        for what in shown {
            self.want_keyframe(now, &case, &what);
        }
    }

    pub(super) fn want_keyframe(&mut self, now: Instant, case: &CaseId, what: &(FeedId, LayerId)) {
        let Some(layer) = self.cases.get_mut(case).and_then(|c| c.layers.get_mut(what)) else { return };
        if layer.asking.want(now) {
            self.ask_for_keyframe(now, case, what);
        }
    }

    /// Who makes the layer is asked: its publisher, or the engine through the server.
    fn ask_for_keyframe(&mut self, now: Instant, case: &CaseId, what: &(FeedId, LayerId)) {
        let layer = self.cases.get(case).and_then(|c| c.layers.get(what));
        if let Some(publisher) = layer.and_then(|l| l.publisher) {
            self.turn(now, publisher, |peer, sink| {
                peer.conn.request_keyframe(sink)?;
                peer.conn.handle_timeout(now, sink)
            });
        } else {
            let (case, feed, layer) = (case.clone(), what.0.clone(), what.1);
            self.events.push_back(SfuEvent::KeyframeWanted { case, feed, layer });
        }
    }

    /// Counts a slot among those who watch a layer of what it wishes for, and begins it.
    pub(super) fn enroll(&mut self, now: Instant, id: PeerId, slot: u8, layer: LayerId) {
        let Some(video) = self.slot(id, slot) else { return };
        let Some(wish) = &video.wish else { return };
        let what = (wish.feed.clone(), layer);
        video.on = Some(layer);
        let Some(case) = self.peers.get(&id).map(|p| p.case.clone()) else { return };
        if self.join_layer(&case, &what, (id, slot)) {
            self.begin(now, id, slot);
        }
    }

    /// First picture for a slot: replayed when there is a young keyframe, else asked for.
    fn begin(&mut self, now: Instant, id: PeerId, slot: u8) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.see && p.conn.is_connected()) else { return };
        let case = peer.case.clone();
        let Some(video) = peer.video.get_mut(usize::from(slot)).filter(|v| !v.seq.is_running()) else { return };
        let Some(what) = video.what() else { return };
        let Some(layer) = self.cases.get(&case).and_then(|c| c.layers.get(&what)) else { return };
        let replay = layer.gop.replay(now);
        match replay.first() {
            Some(first) if video.may_begin(first.capture) => {
                video.seq.begin(first.seq);
                let (packets, codec) = (replay.to_vec(), layer.codec);
                self.write(now, id, slot, codec, &packets);
            }
            _ => self.want_keyframe(now, &case, &what),
        }
    }

    pub(super) fn begin_all(&mut self, now: Instant, id: PeerId) {
        for slot in 0..self.n_slots(id) {
            self.begin(now, id, slot);
        }
    }

    pub(super) fn withdraw_all(&mut self, id: PeerId) {
        for slot in 0..self.n_slots(id) {
            self.withdraw(id, slot);
        }
    }

    pub(super) fn n_slots(&self, id: PeerId) -> u8 {
        self.peers.get(&id).map_or(0, |p| p.video.len() as u8)
    }

    pub(super) fn slot(&mut self, id: PeerId, slot: u8) -> Option<&mut VideoSlot> {
        self.peers.get_mut(&id)?.video.get_mut(usize::from(slot))
    }

    /// The slot shows nothing from now on. What it was to show stays noted.
    pub(super) fn withdraw(&mut self, id: PeerId, slot: u8) {
        let Some(video) = self.slot(id, slot) else { return };
        video.seq.stop();
        video.held.clear();
        let layers = [video.on.take(), video.next.take().map(|n| n.0)];
        let Some(feed) = video.wish.as_ref().map(|w| w.feed.clone()) else { return };
        let Some(case) = self.peers.get(&id).map(|p| p.case.clone()) else { return };
        for layer in layers.into_iter().flatten() {
            self.leave_layer(&case, &(feed.clone(), layer), (id, slot));
        }
    }
}
