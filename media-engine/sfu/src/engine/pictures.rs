//! From the layers of a case to the video slots of its peers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::adapter::{Transmit, VideoWrite};
use crate::api::{FeedPacket, PeerId, SfuEvent, VideoCodec};
use crate::case::{Incoming, LAYERS_MAX, Layer, Run};
use crate::peer::VideoSlot;
use crate::route::gop::LayerPacket;
use crate::route::keyframe::helps;

/// A receiver goes on asking for what is too old a while after a keyframe made it needless.
const LATE_AFTER: Duration = Duration::from_secs(2);

/// Who takes what came out for one viewer, before the next is served, and tells what time it is then.
pub(super) type Leave<'a> = &'a mut dyn FnMut(&mut VecDeque<Transmit>) -> Instant;

impl Engine {
    /// One packet of a layer of the room's engine, to all who watch it. Of a feed that somebody publishes: dropped, counted.
    pub fn handle_feed(&mut self, now: Instant, feed: &FeedPacket) {
        self.handle_feeds(now, std::slice::from_ref(feed), |_| now);
    }

    /// The same of packets that came together, in order. One viewer after the other is given all that are of one layer;
    /// `leave` may take what came out for each before the next is served, so that the first need not wait for the last, and
    /// tells what time it is then. What it leaves is for `poll_transmit`.
    pub fn handle_feeds(
        &mut self,
        now: Instant,
        feeds: &[FeedPacket],
        mut leave: impl FnMut(&mut VecDeque<Transmit>) -> Instant,
    ) {
        let mut rest = feeds;
        while let Some(first) = rest.first() {
            let alike = |p: &&FeedPacket| p.layer == first.layer && p.feed == first.feed && p.case == first.case;
            let (together, others) = rest.split_at(rest.iter().take_while(alike).count());
            rest = others;
            self.set_timeline(first.received);
            let key = (first.feed.clone(), first.layer);
            self.spread(now, &first.case, &key, together.iter().map(Incoming::read), None, &mut leave);
        }
        self.settle(now);
    }

    /// Packets of one layer, from the engine or from a publisher. `None`: no packet that can be forwarded.
    pub(super) fn spread<'a>(
        &mut self,
        now: Instant,
        case_id: &CaseId,
        key: &(FeedId, LayerId),
        packets: impl Iterator<Item = Option<Incoming<'a>>>,
        publisher: Option<PeerId>,
        leave: Leave<'_>,
    ) {
        let mut run = std::mem::take(&mut self.run);
        for incoming in packets {
            let case = self.cases.entry(case_id.clone()).or_default();
            if case.layers.len() >= LAYERS_MAX && !case.layers.contains_key(key) {
                self.counters.layers_refused += 1;
                continue;
            }
            let layer = case.layers.entry(key.clone()).or_default();
            let taken = incoming.filter(|_| layer.publisher == publisher);
            let Some((codec, ingested)) = taken.and_then(|i| Some((i.codec, layer.ingest(now, &i)?))) else {
                self.counters.bad_packets += 1;
                continue;
            };
            if ingested.restarted && !run.packets.is_empty() {
                self.serve(now, case_id, key, &run, leave);
                run.packets.clear();
            }
            if run.packets.is_empty() {
                (run.codec, run.restarted) = (codec, ingested.restarted);
            }
            run.packets.push(ingested.packet.clone());
            if publisher.is_some() {
                self.tap_packet(case_id, &key.0, codec, ingested);
            }
        }
        if !run.packets.is_empty() {
            self.serve(now, case_id, key, &run, leave);
            run.packets.clear();
        }
        // Its room is kept for the next.
        self.run = run;
    }

    /// A run of one layer to all who watch it.
    fn serve(&mut self, mut now: Instant, case_id: &CaseId, key: &(FeedId, LayerId), run: &Run, leave: Leave<'_>) {
        let Some(layer) = self.layer(case_id, key) else { return };
        // Taken out while they are served: nothing below changes who watches, ends wait for `settle`.
        let viewers = std::mem::take(&mut layer.viewers);
        let mut waiting = false;
        for (peer, slot) in &viewers {
            waiting |= self.forward(now, *peer, *slot, key.1, run);
            now = now.max(leave(&mut self.transmits));
        }
        let Some(layer) = self.layer(case_id, key) else { return };
        layer.viewers = viewers;
        if if waiting { layer.asking.want(now) } else { layer.asking.due(now) } {
            self.ask_for_keyframe(now, case_id, key);
        }
    }

    fn layer(&mut self, case: &CaseId, key: &(FeedId, LayerId)) -> Option<&mut Layer> {
        self.cases.get_mut(case)?.layers.get_mut(key)
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

    /// A run of one layer into one slot. True: the slot waits for a keyframe of this layer.
    fn forward(&mut self, now: Instant, id: PeerId, slot: u8, layer: LayerId, run: &Run) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if !peer.conn.is_connected() || peer.ending {
            return false;
        }
        let Some(video) = peer.video.get_mut(usize::from(slot)) else { return false };
        let begins = |video: &VideoSlot| run.packets.iter().position(|p| p.begins_keyframe && video.may_begin(p.capture));
        let mut first = 0;
        if video.on != Some(layer) {
            let Some(at) = begins(video).filter(|at| self.arrive(now, id, slot, &run.packets[*at])) else { return true };
            first = at;
        } else {
            if run.restarted {
                video.seq.stop();
            }
            if !video.seq.is_running() {
                let Some(at) = begins(video) else { return !video.refused };
                self.starting.extend_with(video.begin(now, run.packets[at].seq));
                first = at;
            } else if video.next.is_some() {
                for packet in &run.packets {
                    self.hold(now, id, slot, run.codec, packet);
                }
                return false;
            }
        }
        self.write(now, id, slot, run.codec, &run.packets[first..]);
        false
    }

    /// Writes packets into a slot that has begun, in one turn.
    pub(super) fn write(&mut self, now: Instant, id: PeerId, slot: u8, codec: VideoCodec, packets: &[LayerPacket]) {
        let taken = self.turn(now, id, |peer, sink| {
            let index = usize::from(slot);
            let Some(video) = peer.video.get_mut(index) else { return Ok(true) };
            let smooth = video.wish.as_ref().is_some_and(|w| w.smooth);
            let playout_hundredths = peer.playout.hundredths(smooth);
            let writes = packets.iter().filter_map(|packet| {
                let seq = video.seq.rewrite(packet.seq)?;
                video.newest = video.newest.max(Some(packet.capture));
                if packet.begins_keyframe {
                    video.keyed = Some(now);
                }
                Some(VideoWrite {
                    seq,
                    timestamp: packet.timestamp,
                    marker: packet.marker,
                    capture: packet.capture,
                    wallclock: packet.wallclock,
                    playout_hundredths,
                    arrived: packet.arrived,
                    payload: packet.payload.clone(),
                })
            });
            let taken = peer.conn.write_video(now, index, codec, writes, sink)?;
            peer.handle_fed(now);
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

    /// The peer asked for a keyframe by PLI or FIR, or (`late`) for packets that are too old to help it: it asks on for those
    /// though a keyframe came, so that its patience is tried also where it watches alone.
    pub(super) fn handle_keyframe_request(&mut self, now: Instant, id: PeerId, slot: usize, late: bool) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.see) else { return };
        let Some(video) = peer.video.get_mut(slot) else { return };
        let Some(what) = video.what() else { return };
        // What it asks for again is from before that keyframe.
        if late && video.keyed.is_some_and(|at| now.saturating_duration_since(at) < LATE_AFTER) {
            return;
        }
        let layer = self.cases.get(&peer.case).and_then(|c| c.layers.get(&what));
        let alone = layer.is_none_or(|l| l.watchers() < 2);
        // Who waits for his first picture has not had one yet.
        if (late || !alone) && video.seq.is_running() && !video.patience.hears(now) {
            self.counters.keyframes_denied += 1;
            return;
        }
        let case = peer.case.clone();
        self.want_keyframe(now, &case, &what);
    }

    /// A page says that the picture of a slot stands still though its path is alive: what it misses is lost for good, and its browser would
    /// ask only after seconds. Nothing is wanted where a keyframe is on its way or the line is full. Where others watch the layer its
    /// patience is tried. A slot it does not have is ignored.
    pub fn refresh_slot(&mut self, now: Instant, id: PeerId, slot: u8) {
        let Some(peer) = self.peers.get_mut(&id).filter(|p| p.grants.see && !p.ending && p.conn.is_connected()) else { return };
        let index = usize::from(slot);
        let (waiting, round_trip) = (peer.conn.waiting_in(index, now), peer.line.round_trip);
        // One that has not begun waits for a keyframe already.
        let Some(video) = peer.video.get_mut(index).filter(|v| v.seq.is_running()) else { return };
        let Some(what) = video.what() else { return };
        self.counters.pictures_stood += 1;
        if !helps(waiting, video.keyed.map(|at| now.saturating_duration_since(at)), round_trip) {
            return;
        }
        let alone = self.cases.get(&peer.case).and_then(|c| c.layers.get(&what)).is_none_or(|l| l.watchers() < 2);
        if !alone && !video.patience.hears(now) {
            self.counters.keyframes_denied += 1;
            return;
        }
        let case = peer.case.clone();
        self.counters.refreshes += 1;
        self.want_keyframe(now, &case, &what);
        self.settle(now);
    }

    /// Its line was cut: nothing that it is sent can be decoded before the next keyframe, so it is not left to find that out.
    pub(super) fn refresh(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|p| p.grants.see) else { return };
        let (case, shown) = (peer.case.clone(), peer.video.iter().filter_map(VideoSlot::what).collect::<Vec<_>>());
        for what in shown {
            self.want_keyframe(now, &case, &what);
        }
    }

    /// It is about to be connected: of layers that others watch a keyframe is asked for now, and is there by then. One that it watches alone has
    /// only just begun, with a keyframe.
    pub(super) fn expect(&mut self, now: Instant, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|p| p.grants.see) else { return };
        let Some(case) = self.cases.get(&peer.case) else { return };
        let shared = |what: &(FeedId, LayerId)| case.layers.get(what).is_some_and(|l| l.watchers() > 1);
        let shown: Vec<_> = peer.video.iter().filter_map(VideoSlot::what).filter(shared).collect();
        let case = peer.case.clone();
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
                self.starting.extend_with(video.begin(now, first.seq));
                let (packets, codec) = (replay.to_vec(), layer.codec);
                self.write(now, id, slot, codec, &packets);
            }
            _ => self.want_keyframe(now, &case, &what),
        }
    }

    pub(super) fn begin_all(&mut self, now: Instant, id: PeerId) {
        for slot in 0..self.n_slots(id) {
            if let Some(video) = self.slot(id, slot).filter(|v| v.wish.is_some()) {
                video.starting = Some(now);
            }
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
