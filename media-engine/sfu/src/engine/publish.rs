//! From publishers to the layers they make.

use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::id::{CaseId, LayerId};

use super::Engine;
use crate::adapter::PublishedPacket;
use crate::api::{CloseReason, Moment, OfferError, PeerId, PeerKind, SfuEvent, VideoCodec};
use crate::case::{Incoming, LAYERS_MAX};
use crate::route::codec::begins_keyframe;
use crate::route::cut::{CAMERA_BYTES_MAX, Cutter};
use crate::route::freezes::Freezes;
use crate::route::rtp::PAYLOAD_BYTES_MAX;
use crate::timing::normalise::{Normaliser, Stamp};

/// Without a packet for so long a publisher is silent, though its connection may live. Longer than between two pictures of
/// the slowest camera, a shared screen on which nothing moves (1 s).
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// A publisher keeps its codec for so long.
const CODEC_STAYS: Duration = Duration::from_secs(1);

/// What a publisher sends, and since when.
#[derive(Debug)]
pub(crate) struct Publication {
    feed: FeedId,
    clock: Normaliser,
    cutter: Cutter,
    /// Since it connected.
    pub(crate) freezes: Freezes,
    absolute: Option<bool>,
    /// While pictures come: of which codec, and when the last packet came.
    live: Option<(VideoCodec, Instant)>,
    /// It has this codec since.
    since: Option<Instant>,
}

impl Publication {
    pub(crate) fn new(feed: FeedId) -> Self {
        Publication {
            feed,
            clock: Normaliser::default(),
            cutter: Cutter::default(),
            freezes: Freezes::default(),
            absolute: None,
            live: None,
            since: None,
        }
    }

    /// When it counts as silent.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.live.map(|(_, heard)| heard + SILENT_AFTER)
    }

    fn key(&self) -> (FeedId, LayerId) {
        (self.feed.clone(), LayerId::High)
    }
}

impl Engine {
    /// May this feed be published? Says so before anything is changed.
    pub(super) fn may_publish(&self, case: &CaseId, feed: &FeedId) -> Result<(), OfferError> {
        if *feed == FeedId::program() {
            return Err(OfferError::FeedTaken);
        }
        let Some(case) = self.cases.get(case) else { return Ok(()) };
        if case.layers.iter().any(|((f, _), layer)| f == feed && layer.is_engines()) {
            return Err(OfferError::FeedTaken);
        }
        if case.layers.len() >= LAYERS_MAX && !case.layers.contains_key(&(feed.clone(), LayerId::High)) {
            return Err(OfferError::CaseFull(LAYERS_MAX));
        }
        Ok(())
    }

    /// A publisher was let in: the layer is its own from now on. Who published it before is ended.
    pub(super) fn publish(&mut self, id: PeerId, feed: FeedId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let publication = Publication::new(feed);
        let (case, key) = (peer.case.clone(), publication.key());
        peer.publication = Some(publication);
        let layer = self.cases.entry(case).or_default().layers.entry(key).or_default();
        if let Some(before) = layer.publisher.replace(id).filter(|before| *before != id) {
            self.hush_publisher(before);
            self.end_soon(before, CloseReason::Replaced);
        }
    }

    pub(super) fn handle_published(&mut self, now: Instant, id: PeerId, packet: &PublishedPacket) {
        // Padding has no payload: it only asks the line how much it carries.
        if packet.payload.is_empty() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id).filter(|p| !p.ending) else { return };
        if let PeerKind::Engine { feed, layer } = &peer.kind {
            let (case, key) = (peer.case.clone(), (feed.clone(), *layer));
            return self.handle_carried(now, &case, &key, packet);
        }
        let Some(publication) = peer.publication.as_mut() else { return };
        let Some(timeline) = self.timeline.filter(|_| packet.payload.len() <= CAMERA_BYTES_MAX) else {
            self.counters.bad_packets += 1;
            return;
        };
        if let Some((codec, _)) = publication.live.filter(|(codec, _)| *codec != packet.codec) {
            // Everybody is told, and the engine starts another decoder: not more often than a camera means it.
            let settled = publication.since.is_none_or(|since| now.duration_since(since) >= CODEC_STAYS);
            if !settled || !begins_keyframe(packet.codec, &packet.payload) {
                tracing::trace!(peer = id.0, ?codec, other = ?packet.codec, "a packet of another codec is left out");
                self.counters.bad_packets += 1;
                return;
            }
        }
        if let Some((ntp, rtp)) = packet.report {
            publication.clock.handle_report(ntp, rtp);
        }
        let received = Moment { at: now, timeline: timeline.timeline_at(now) };
        let stamp = Stamp { seq: packet.seq, rtp: packet.timestamp, arrival: received.timeline, absolute: packet.absolute };
        let Some(capture) = publication.clock.handle_packet(stamp) else {
            self.counters.late_packets += 1;
            return;
        };
        let absolute = publication.clock.is_absolute();
        if publication.absolute.replace(absolute) != Some(absolute) {
            tracing::debug!(peer = id.0, case = %peer.case, feed = %publication.feed, absolute, "capture times of a publisher");
        }
        let Some(cut) = publication.cutter.cut(packet.codec, packet.ssrc, packet.seq, &packet.payload) else {
            self.counters.bad_packets += 1;
            return;
        };
        if packet.marker {
            publication.freezes.handle_frame(now);
        }
        if cut.len() > 1 {
            self.counters.cut_packets += 1;
        }
        let (case, key) = (peer.case.clone(), publication.key());
        let before = publication.live.replace((packet.codec, now));
        if before.is_none_or(|(codec, _)| codec != packet.codec) {
            publication.since = Some(now);
            let feed = key.0.clone();
            self.events.push_back(SfuEvent::Published { case: case.clone(), feed, codec: packet.codec, up: true });
        }
        self.schedule(now, id);
        let incoming = cut.pieces().map(|(seq, payload, last)| {
            Some(Incoming {
                codec: packet.codec,
                ssrc: packet.ssrc,
                seq: seq as u16,
                timestamp: capture.rtp_90khz(),
                marker: packet.marker && last,
                payload,
                received,
            })
        });
        self.spread(now, &case, &key, incoming, Some(id), &mut |_| now);
    }

    /// A packet of the room's engine that came by a way of its own: no clock to be normalised, no publisher.
    fn handle_carried(&mut self, now: Instant, case: &CaseId, key: &(FeedId, LayerId), packet: &PublishedPacket) {
        let Some(timeline) = self.timeline.filter(|_| packet.payload.len() <= PAYLOAD_BYTES_MAX) else {
            self.counters.bad_packets += 1;
            return;
        };
        let incoming = Incoming {
            codec: packet.codec,
            ssrc: packet.ssrc,
            seq: packet.seq as u16,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: &packet.payload,
            received: Moment { at: now, timeline: timeline.timeline_at(now) },
        };
        self.spread(now, case, key, std::iter::once(Some(incoming)), None, &mut |_| now);
    }

    /// Has a publisher fallen silent?
    pub(super) fn check_publisher(&mut self, now: Instant, id: PeerId) {
        let publication = self.peers.get(&id).and_then(|p| p.publication.as_ref());
        if publication.and_then(Publication::poll_timeout).is_some_and(|at| at <= now) {
            self.hush_publisher(id);
        }
    }

    /// A publisher goes: its layer is nobody's.
    pub(super) fn unpublish(&mut self, id: PeerId) {
        self.hush_publisher(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(publication) = peer.publication.take() else { return };
        let Some(case) = self.cases.get_mut(&peer.case) else { return };
        let key = publication.key();
        if let Some(layer) = case.layers.get_mut(&key).filter(|l| l.publisher == Some(id)) {
            layer.publisher = None;
            if layer.is_idle() {
                case.layers.remove(&key);
            }
        }
    }

    /// No pictures come any more, for now or for good.
    fn hush_publisher(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(publication) = peer.publication.as_mut() else { return };
        let Some((codec, _)) = publication.live.take() else { return };
        publication.clock = Normaliser::default();
        let (case, feed) = (peer.case.clone(), publication.feed.clone());
        self.lose_source(&case, &feed);
        self.pause_tap(&case, &feed);
        self.events.push_back(SfuEvent::Published { case, feed, codec, up: false });
    }
}
