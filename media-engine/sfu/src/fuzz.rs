//! Bodies for fuzzing: whatever the bytes, nothing panics and nothing is left behind. Replayed with seeds in the tests.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::id::{CaseId, LayerId};

use crate::adapter::Carrier;
use crate::api::{CoreConfig, FeedPacket, Grants, Limits, Moment, PeerId, PeerKind, VideoCodec};
use crate::engine::{Engine, Given};

/// An engine to be used again and again: making one makes a certificate.
///
/// # Panics
/// When there is no crypto provider, or the ids below are none: both are faults of this crate.
#[allow(clippy::expect_used)]
pub fn engine() -> Engine {
    let candidates = vec![SocketAddr::from(([192, 0, 2, 1], 8444))];
    Engine::new(CoreConfig { candidates, tcp: false, limits: Limits::default() }).expect("a certificate")
}

/// The bytes as an offer of a page, of a player and of a publisher, all the way through str0m when the guard lets them in.
pub fn offers(engine: &mut Engine, now: Instant, bytes: &[u8]) {
    let Ok(sdp) = std::str::from_utf8(bytes) else { return };
    let Ok(case) = CaseId::parse("fuzz") else { return };
    let Ok(scope) = FeedId::parse("scope") else { return };
    let watched = PeerKind::Whep { feed: FeedId::program(), layer: Some(LayerId::High) };
    for kind in
        [PeerKind::Client, watched, PeerKind::Whip { feed: scope.clone() }, PeerKind::Engine { feed: scope, layer: LayerId::Mid }]
    {
        // A refusal is as good as an answer.
        let _ = engine.handle_offer(now, PeerId(1), case.clone(), kind, Grants::default(), sdp);
        engine.remove(now, PeerId(1));
        drain(engine);
    }
    assert_eq!((engine.n_peers(), engine.counters().faults), (0, 0));
}

/// The bytes as inputs of an engine: each record is a kind, a length, and that many bytes.
pub fn inputs(engine: &mut Engine, start: Instant, bytes: &[u8]) {
    let Ok(case) = CaseId::parse("fuzz") else { return };
    let Ok(scope) = FeedId::parse("scope") else { return };
    let (from, to) = (SocketAddr::from(([192, 0, 2, 9], 9)), SocketAddr::from(([192, 0, 2, 1], 8444)));
    let mut now = start;
    let mut rest = bytes;
    while let [kind, length, after @ ..] = rest {
        let (record, later) = after.split_at(usize::from(*length).min(after.len()));
        rest = later;
        now += Duration::from_millis(u64::from(*kind >> 4));
        match kind & 0x03 {
            0 => {
                engine.handle_datagram(now, Carrier::Udp, from, to, record);
            }
            1 => engine.handle_timeout(now),
            // A tap of what nobody publishes, and of what comes and goes.
            2 if *kind & 0x0C == 0x0C => {
                let feed = if *length % 2 == 0 { FeedId::program() } else { scope.clone() };
                match *length % 3 {
                    0 => engine.tap(now, &case, &feed, record.first().map(|b| u32::from(*b))),
                    _ => engine.refresh_tap(now, &case, &feed),
                }
                engine.give_tapped(now, |_, _, _| Given::Taken);
            }
            codec => {
                let codec = if codec == 2 { VideoCodec::H264 } else { VideoCodec::Vp8 };
                let received = Moment { at: now, timeline: CaptureTime(u64::from(*length) << 32) };
                let packet = bytes::Bytes::copy_from_slice(record);
                let (feed, layer) = (FeedId::program(), LayerId::High);
                engine.handle_feed(now, &FeedPacket { case: case.clone(), feed, layer, codec, packet, received });
            }
        }
        drain(engine);
    }
    engine.tap(now, &case, &FeedId::program(), None);
    engine.tap(now, &case, &scope, None);
    engine.forget_feed(now, &case, &FeedId::program());
}

fn drain(engine: &mut Engine) {
    while engine.poll_transmit().is_some() {}
    while engine.poll_event().is_some() {}
}

/// The bytes as packets of a camera, some of them too large.
pub fn cuts(bytes: &[u8]) {
    crate::route::cut::fuzz(bytes);
}
