//! What the core remembers of one case: who is in it, and the layers that feed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use link::id::LayerId;

use crate::api::{FeedPacket, LayerSpec, Moment, PeerId, VideoCodec};
use crate::route::codec::begins_keyframe;
use crate::route::gop::{Gop, LayerPacket};
use crate::route::keyframe::Asking;
use crate::route::meter::Meter;
use crate::route::rtp::{self, Extender};
use crate::timing::capture_of;

/// Feeds and programs of a case, times three layers.
pub(crate) const LAYERS_MAX: usize = 96;

#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) peers: BTreeSet<PeerId>,
    pub(crate) layers: BTreeMap<(FeedId, LayerId), Layer>,
    /// What each feed comes in, as told; best first.
    pub(crate) specs: BTreeMap<FeedId, Vec<LayerSpec>>,
    /// When each speaker was last loud.
    pub(crate) loud: BTreeMap<PeerId, Instant>,
}

impl Case {
    pub(crate) fn is_empty(&self) -> bool {
        self.peers.is_empty() && self.layers.is_empty() && self.specs.is_empty()
    }
}

/// One layer of one feed.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) codec: VideoCodec,
    pub(crate) asking: Asking,
    pub(crate) gop: Gop,
    pub(crate) meter: Meter,
    /// (peer, slot) that show it, whether or not they have begun.
    pub(crate) viewers: BTreeSet<(PeerId, u8)>,
    /// Who publishes it; `None`: the room's engine, or nobody.
    pub(crate) publisher: Option<PeerId>,
    ssrc: Option<u32>,
    extender: Extender,
}

/// A packet on its way into a layer.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) codec: VideoCodec,
    pub(crate) ssrc: u32,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: &'a [u8],
    /// As in [`FeedPacket`].
    pub(crate) received: Moment,
}

impl<'a> Incoming<'a> {
    /// `None`: it is no RTP packet that can be forwarded.
    pub(crate) fn read(feed: &'a FeedPacket) -> Option<Self> {
        let view = rtp::parse(&feed.packet)?;
        Some(Incoming {
            codec: feed.codec,
            ssrc: view.ssrc,
            seq: view.seq,
            timestamp: view.timestamp,
            marker: view.marker,
            payload: &feed.packet[view.payload],
            received: feed.received,
        })
    }
}

/// A packet of a layer, read.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) packet: LayerPacket,
    /// The source began anew: numbers have no relation to those before. Viewers wait for a keyframe.
    pub(crate) restarted: bool,
}

/// Packets of one layer that came together, in order: what a viewer gets of them leaves together.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) codec: VideoCodec,
    /// Before the first of them.
    pub(crate) restarted: bool,
    pub(crate) packets: Vec<LayerPacket>,
}

impl Layer {
    /// Peers that show this layer, each counted once.
    pub(crate) fn watchers(&self) -> usize {
        self.viewers.iter().map(|(peer, _)| peer).collect::<BTreeSet<_>>().len()
    }

    /// Nobody watches it and nothing feeds it: it need not be remembered.
    pub(crate) fn is_idle(&self) -> bool {
        self.viewers.is_empty() && self.ssrc.is_none() && self.publisher.is_none()
    }

    /// True while the room's engine feeds it.
    pub(crate) fn is_engines(&self) -> bool {
        self.publisher.is_none() && self.ssrc.is_some()
    }

    /// Takes one packet in. `None`: its number has no place.
    pub(crate) fn ingest(&mut self, now: Instant, view: &Incoming<'_>) -> Option<Ingested> {
        let mut restarted = self.ssrc.is_some_and(|s| s != view.ssrc) || self.codec != view.codec;
        if restarted {
            self.extender = Extender::default();
        }
        let seq = self.extender.extend(view.seq).or_else(|| {
            restarted = true;
            self.extender = Extender::default();
            self.extender.extend(view.seq)
        })?;
        self.ssrc = Some(view.ssrc);
        self.codec = view.codec;
        if restarted {
            self.gop.clear();
        }
        let capture = capture_of(view.timestamp, view.received.timeline);
        let age = Duration::from_nanos(view.received.timeline.minus_ns(capture).max(0) as u64);
        // Never in the future: a sender report would then claim RTP time 0.
        let wallclock = view.received.at.min(now).checked_sub(age).unwrap_or(now);
        let packet = LayerPacket {
            seq,
            timestamp: view.timestamp,
            marker: view.marker,
            begins_keyframe: begins_keyframe(view.codec, view.payload),
            capture,
            wallclock,
            arrived: Some(view.received.at.min(now)),
            payload: Arc::from(view.payload),
        };
        if packet.begins_keyframe {
            self.asking.satisfied();
        }
        self.meter.handle_packet(now, packet.payload.len());
        self.gop.push(now, packet.clone());
        Some(Ingested { packet, restarted })
    }

    /// The source is gone; what it sent is worth nothing to a joiner.
    pub(crate) fn forget_source(&mut self) {
        self.ssrc = None;
        self.extender = Extender::default();
        self.gop.clear();
        self.asking = Asking::default();
    }
}
