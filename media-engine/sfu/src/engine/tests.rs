//! What only the inside can show; the rest is in `tests/rehearsal`.

use super::*;
use crate::api::{Grants, OfferError, PeerKind};
use crate::some_instant;

const PAGE: &str = include_str!("../../tests/data/chromium-offer.sdp");
const PLAYER: &str = include_str!("../../tests/data/whep-offer.sdp");

fn engine(limits: Limits) -> Engine {
    let candidates = vec![SocketAddr::from(([127, 0, 0, 1], 8444)), SocketAddr::from(([192, 0, 2, 1], 8444))];
    Engine::new(CoreConfig { candidates, tcp: false, limits }).expect("a certificate")
}

fn case(name: &str) -> CaseId {
    CaseId::parse(name).expect("an id")
}

fn join(engine: &mut Engine, now: Instant, id: u64) -> Result<String, OfferError> {
    engine.handle_offer(now, PeerId(id), case("one"), PeerKind::Client, Grants::default(), PAGE)
}

fn closed(engine: &mut Engine) -> Vec<(PeerId, CloseReason)> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|e| if let SfuEvent::Closed { peer, reason, .. } = e { Some((peer, reason)) } else { None })
        .collect()
}

#[test]
fn the_answer_to_chromium_has_what_the_page_needs() {
    let mut engine = engine(Limits::default());
    let answer = join(&mut engine, some_instant(), 1).expect("an answer");
    let lines = |prefix: &str| answer.lines().filter(|l| l.starts_with(prefix)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("m=").len(), 15);
    assert_eq!(lines("a=ice-lite").len(), 1);
    assert_eq!(lines("a=candidate").len(), 2, "both addresses: {answer}");
    assert_eq!(lines("a=sendonly").len(), 13);
    assert_eq!(lines("a=recvonly").len(), 1);
    let streams: BTreeSet<String> = lines("a=msid:").iter().filter_map(|l| l.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(streams.len(), 14, "each slot in a stream of its own");
    assert_eq!(lines("a=extmap").iter().filter(|l| l.contains("playout-delay")).count(), 5);
    let video: Vec<&str> = answer.split("m=video").nth(1).unwrap_or_default().lines().collect();
    let first = video[0].split(' ').nth(3).expect("a payload type");
    let fmtp = video.iter().find(|l| l.starts_with(&format!("a=fmtp:{first} "))).expect("a format");
    assert!(fmtp.contains("42e01f") && fmtp.contains("packetization-mode=1"), "constrained baseline first: {fmtp}");
}

#[test]
fn a_player_gets_one_stream() {
    let mut engine = engine(Limits::default());
    let kind = PeerKind::Whep { feed: annotation::id::FeedId::program(), layer: Some(link::id::LayerId::High) };
    let answer = engine
        .handle_offer(some_instant(), PeerId(1), case("one"), kind, Grants { see: true, ..Grants::default() }, PLAYER)
        .expect("an answer");
    let streams: BTreeSet<_> =
        answer.lines().filter_map(|l| l.strip_prefix("a=msid:")).filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(streams.len(), 1, "{answer}");
    assert!(answer.contains("a=sendonly") && answer.contains("a=inactive"));
    let told: Vec<_> = std::iter::from_fn(|| engine.poll_event()).collect();
    assert!(told.iter().any(|e| matches!(e, SfuEvent::Watchers { count: 1, .. })));
}

#[test]
fn a_panic_ends_one_peer_and_no_other() {
    let start = some_instant();
    let mut engine = engine(Limits::default());
    for id in 1..=3 {
        join(&mut engine, start, id).expect("an answer");
    }
    if let Some(peer) = engine.peers.get_mut(&PeerId(2)) {
        peer.conn.panics = true;
    }
    engine.add_candidate(start, PeerId(2), "candidate:1 1 udp 1 192.0.2.9 9 typ host");
    engine.turn(start, PeerId(2), |peer, sink| peer.conn.handle_timeout(start, sink));
    engine.settle(start);
    assert_eq!(closed(&mut engine), [(PeerId(2), CloseReason::Fault)]);
    assert_eq!(engine.n_peers(), 2);
    assert_eq!(engine.counters().faults, 1);
    assert!(join(&mut engine, start, 4).is_ok(), "the house goes on");
}

#[test]
fn a_peer_that_never_connects_is_given_up_after_thirty_seconds() {
    let start = some_instant();
    let mut engine = engine(Limits::default());
    join(&mut engine, start, 1).expect("an answer");
    let mut now = start;
    for _ in 0..10_000 {
        let Some(at) = engine.poll_timeout() else { break };
        now = at;
        engine.handle_timeout(now);
        while engine.poll_transmit().is_some() {}
    }
    assert_eq!(closed(&mut engine), [(PeerId(1), CloseReason::NeverConnected)]);
    assert_eq!(now.duration_since(start), Duration::from_secs(30));
    assert!(engine.cases.is_empty() && engine.by_ufrag.is_empty() && engine.deadlines.is_empty(), "nothing is left behind");
}

#[test]
fn a_full_case_says_so_and_another_case_is_not_full() {
    let now = some_instant();
    let mut engine = engine(Limits { peers_per_case: 2, ..Limits::default() });
    assert!(join(&mut engine, now, 1).is_ok() && join(&mut engine, now, 2).is_ok());
    assert_eq!(join(&mut engine, now, 3), Err(OfferError::CaseFull(2)));
    let other = engine.handle_offer(now, PeerId(3), case("two"), PeerKind::Client, Grants::default(), PAGE);
    assert!(other.is_ok());
}

#[test]
fn strangers_do_nothing() {
    let now = some_instant();
    let mut engine = engine(Limits::default());
    let answer = join(&mut engine, now, 1).expect("an answer");
    while engine.poll_transmit().is_some() {}
    let ours = answer.lines().find_map(|l| l.strip_prefix("a=ice-ufrag:")).expect("a ufrag").to_owned();
    // Right name, no proof.
    let user = format!("{ours}:xxxx");
    let padded = user.len().next_multiple_of(4);
    let mut request = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xA4, 0x42];
    request.extend([7; 12]);
    request.extend([0, 6, 0, user.len() as u8]);
    request.extend(user.as_bytes());
    request.resize(24 + padded, 0);
    let (from, to) = (SocketAddr::from(([192, 0, 2, 9], 9)), SocketAddr::from(([192, 0, 2, 1], 8444)));
    for bytes in [&request[..], &[0x80; 100], &[22; 100], &[0; 3], &[]] {
        engine.handle_datagram(now, Carrier::Udp, from, to, bytes);
    }
    assert_eq!(engine.counters().strangers, 5);
    assert!(engine.poll_transmit().is_none() && engine.by_address.is_empty());
}
