//! What engines are told.

use std::io;
use std::sync::atomic::Ordering;

use annotation::id::FeedId;
use bytes::Bytes;
use link::id::{CaseId, LayerId};
use link::wire::{self, ToEngine, to_engine};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{Part, Shared, lock};

/// Tells engines what to do; cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkCommands(pub(super) Shared);

impl LinkCommands {
    /// Exactly these layers are to be encoded.
    pub fn want(&self, case: &CaseId, layers: &[(FeedId, LayerId)]) {
        let layers = layers.iter().map(|(feed, layer)| layer_ref(feed, *layer)).collect();
        self.send(case, to_engine::Body::Want(wire::WantLayers { layers }));
    }

    pub fn keyframe(&self, case: &CaseId, feed: &FeedId, layer: LayerId) {
        self.send(case, to_engine::Body::Keyframe(wire::Keyframe { layer: Some(layer_ref(feed, layer)) }));
    }

    pub fn bitrate(&self, case: &CaseId, feed: &FeedId, layer: LayerId, bps: u32) {
        self.send(case, to_engine::Body::Bitrate(wire::Bitrate { layer: Some(layer_ref(feed, layer)), bps }));
    }

    /// A feed that comes down the media socket, or ends to.
    pub fn ingest(&self, case: &CaseId, ingest: wire::Ingest) {
        self.send(case, to_engine::Body::Ingest(ingest));
    }

    /// Ink to be followed, or gone. False: no engine took it.
    pub fn anchor(&self, case: &CaseId, anchor: wire::Anchor) -> bool {
        self.send(case, to_engine::Body::Anchor(anchor))
    }

    /// False: no engine took it.
    pub fn want_still(&self, case: &CaseId, wanted: wire::StillWanted) -> bool {
        self.send(case, to_engine::Body::Still(wanted))
    }

    /// Another layout for the case's program. False: no engine took it.
    pub fn set_layout(&self, case: &CaseId, layout: &str) -> bool {
        self.send(case, to_engine::Body::Layout(wire::SetLayout { layout: layout.to_owned() }))
    }

    /// Aligned, or now. False: no engine took it.
    pub fn set_timing(&self, case: &CaseId, timing: &str) -> bool {
        self.send(case, to_engine::Body::Timing(wire::SetTiming { timing: timing.to_owned() }))
    }

    /// However much waits for the engine, it is told this first. False: there is no engine.
    pub fn move_curtain(&self, case: &CaseId, drawn: bool) -> bool {
        let links = lock(&self.0.links);
        links.values().find(|l| l.case == *case).is_some_and(|link| link.curtain.send(Some(drawn)).is_ok())
    }

    /// The link as an engine on this machine dials it, for one that is elsewhere.
    pub async fn dial(&self, part: Part, case: &CaseId) -> io::Result<UnixStream> {
        lock(&self.0.far).insert(case.clone());
        UnixStream::connect(&self.0.paths[part as usize]).await
    }

    /// What the case's engine said it carries under this SSRC.
    pub fn layer_of(&self, case: &CaseId, ssrc: u32) -> Option<(FeedId, LayerId)> {
        let links = lock(&self.0.links);
        let link = links.values().find(|l| l.case == *case)?;
        link.layers.borrow().get(&ssrc).map(|(feed, layer, _)| (feed.clone(), *layer))
    }

    /// False: no engine took it.
    pub fn move_camera(&self, case: &CaseId, word: wire::MoveCamera) -> bool {
        self.send(case, to_engine::Body::Camera(word))
    }

    /// Ink for the engine's display. False: no engine took it.
    pub fn show_ink(&self, case: &CaseId, ink: wire::InkShown) -> bool {
        self.send(case, to_engine::Body::Ink(ink))
    }

    /// Whole RTP packets put in here go to the case's engine. Policy: whoever puts in drops when it is full.
    pub fn media_out(&self, case: &CaseId) -> Option<mpsc::Sender<Bytes>> {
        lock(&self.0.links).values().find(|l| l.case == *case).map(|l| l.media_out.clone())
    }

    /// (events dropped, RTP dropped at a busy core, RTP of an unknown SSRC), since start.
    pub fn dropped(&self) -> (u64, u64, u64) {
        let c = &self.0.counters;
        (c.events_dropped.load(Ordering::Relaxed), c.rtp_dropped.load(Ordering::Relaxed), c.rtp_unknown.load(Ordering::Relaxed))
    }

    /// A case has one engine, or none.
    fn send(&self, case: &CaseId, body: to_engine::Body) -> bool {
        let links = lock(&self.0.links);
        let link = links.values().find(|l| l.case == *case);
        link.is_some_and(|link| link.commands.try_send(ToEngine { body: Some(body) }).is_ok())
    }
}

fn layer_ref(feed: &FeedId, layer: LayerId) -> wire::LayerRef {
    wire::LayerRef { feed: feed.to_string(), layer: layer.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::{LinkServer, register};
    use super::*;
    use crate::edge::clock::Timeline;

    #[tokio::test]
    async fn sg60_the_curtain_passes_however_much_waits_for_an_engine_that_does_not_listen() {
        let udp = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let (sfu, _events) = sfu::start(sfu::SfuConfig { udp, ..sfu::SfuConfig::default() }).expect("starts");
        let home = tempfile::tempdir().expect("a folder");
        let (server, _link_events) = LinkServer::bind(home.path(), Timeline::start(), sfu.clone()).expect("binds");
        let hello = wire::Hello { version: link::LINK_VERSION, case_id: "demo".into(), ..Default::default() };
        let (_, case, mut orders) = register(&hello, &server.shared).expect("is taken");
        let told = server.commands();
        let other = CaseId::parse("other").expect("an id");
        assert!(!told.move_curtain(&other, true), "a case without an engine");

        let mut taken = 0;
        while told.set_layout(&case, "quad") {
            taken += 1;
        }
        assert!(taken > 0 && !told.set_timing(&case, "now"), "nothing more is taken");
        for drawn in [true, false, true] {
            assert!(told.move_curtain(&case, drawn));
        }
        let mut bodies = Vec::new();
        while bodies.len() <= taken {
            bodies.push(orders.next().await.and_then(|order| order.body).expect("an order"));
        }
        assert!(matches!(bodies[0], to_engine::Body::Curtain(wire::Curtain { drawn: true })), "first, as it is now: {bodies:?}");
        assert!(bodies[1..].iter().all(|body| matches!(body, to_engine::Body::Layout(_))), "once, and then the rest");
        assert!(told.move_curtain(&case, true), "said again where the engine has it otherwise");
        assert!(matches!(orders.next().await.and_then(|o| o.body), Some(to_engine::Body::Curtain(_))));
        let _ = sfu.stop();
    }
}
