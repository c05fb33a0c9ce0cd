//! From a configuration to running threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use mio::{Interest, Poll, Waker};
use tokio::sync::mpsc;

use super::clock;
use super::door::{self, DoorCounts};
use super::handle::{Events, Inner, SfuConfig, SfuHandle, StartError};
use super::places::Places;
use super::run_loop::{Door, EVENTS_MAX, Parts, TCP, UDP, WAKE, spawn};
use super::tcp::Tcp;
use super::udp::Udp;
use crate::api::CoreConfig;
use crate::engine::Engine;

/// A forwarding thread serves some 400 viewers of 4 Mbit/s on a core (`benches/README.md`, `fanout`); encoders, recording and
/// signalling want the others.
const CORES_A_SHARD: usize = 4;
const SHARDS_MAX: usize = 32;

pub(super) fn start(config: SfuConfig) -> Result<(SfuHandle, Events), StartError> {
    let mut udp = Udp::bind(config.udp, config.announce)?;
    let candidates = udp.candidates(&config.advertise);
    let mut tcp = listen(&config, udp.local());
    let n = shards(config.shards);
    let local = udp.local();
    let (events_in, events) = mpsc::channel(EVENTS_MAX);
    let places = Arc::new(Places::new(n));
    let peers: Arc<[AtomicUsize]> = (0..n).map(|_| AtomicUsize::new(0)).collect();
    let offered = CoreConfig { candidates, tcp: tcp.is_some(), limits: config.limits };
    let engine = || {
        let mut engine = Engine::new(offered.clone()).map_err(StartError::Certificate)?;
        engine.set_timeline(clock::moment());
        Ok::<_, StartError>(engine)
    };
    let parts = |shard, engine, udp, door| Parts {
        shard,
        engine,
        udp,
        door,
        events: events_in.clone(),
        places: places.clone(),
        peers: peers.clone(),
    };
    let poll = Poll::new().map_err(StartError::Setup)?;
    if let Some(tcp) = &mut tcp {
        tcp.register(poll.registry(), TCP).map_err(StartError::Setup)?;
    }
    if n == 1 {
        poll.registry().register(&mut udp.socket, UDP, Interest::READABLE | Interest::WRITABLE).map_err(StartError::Setup)?;
        let shard = spawn(poll, parts(0, engine()?, udp, Door::Own(tcp)))?;
        let inner = Inner { shards: vec![shard], places, dropped: AtomicU64::new(0), local, door: Arc::<DoorCounts>::default() };
        return Ok((SfuHandle { inner: Arc::new(inner) }, events));
    }
    poll.registry().register(&mut udp.socket, UDP, Interest::READABLE).map_err(StartError::Setup)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(StartError::Setup)?);
    let hands = (0..n).map(|_| udp.share()).collect::<Result<Vec<_>, _>>()?;
    let (mut keeper, inboxes) = door::door(udp, tcp, n, &waker);
    let mut shards = Vec::new();
    for (shard, (mut hand, inbox)) in hands.into_iter().zip(inboxes).enumerate() {
        let poll = Poll::new().map_err(StartError::Setup)?;
        poll.registry().register(&mut hand.socket, UDP, Interest::WRITABLE).map_err(StartError::Setup)?;
        let mut engine = engine()?;
        engine.tell_ways();
        let running = spawn(poll, parts(shard, engine, hand, Door::Before(inbox)))?;
        keeper.shards[shard].waker = Some(running.waker.clone());
        shards.push(running);
    }
    let door = keeper.counts.clone();
    std::thread::Builder::new().name("media door".into()).spawn(move || keeper.run(poll)).map_err(StartError::Setup)?;
    let inner = Inner { shards, places, dropped: AtomicU64::new(0), local, door };
    Ok((SfuHandle { inner: Arc::new(inner) }, events))
}

/// As many as asked for; 0: as fit beside all else that a machine does.
fn shards(asked: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = if asked == 0 { cores / CORES_A_SHARD } else { asked };
    n.clamp(1, SHARDS_MAX)
}

/// By TCP on the number of the UDP port. Without it there is still UDP: said, and no reason not to start.
fn listen(config: &SfuConfig, udp: SocketAddr) -> Option<Tcp> {
    match Tcp::bind(udp, config.announce) {
        Ok(tcp) => Some(tcp),
        Err(e) => {
            tracing::warn!(address = %udp, error = %e, "no pictures and voice by TCP: the port is taken by another program");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use link::id::CaseId;

    use super::*;
    use crate::api::{CloseReason, Grants, PeerId, PeerKind, SfuEvent};
    use crate::edge::handle::Command;

    const PAGE: &str = include_str!("../../tests/data/chromium-offer.sdp");

    fn case(name: &str) -> CaseId {
        CaseId::parse(name).expect("an id")
    }

    fn offer(sfu: &SfuHandle, peer: u64, name: &str) -> String {
        let asked = sfu.offer(PeerId(peer), case(name), PeerKind::Client, Grants::default(), PAGE.into());
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(asked).expect("an answer")
    }

    #[test]
    fn a_fault_in_one_thread_ends_who_is_in_it_and_nobody_else() {
        let udp = SocketAddr::from(([127, 0, 0, 1], 0));
        for n in [1, 2] {
            let (sfu, mut events) = start(SfuConfig { udp, shards: n, ..SfuConfig::default() }).expect("started");
            assert_eq!(sfu.shards(), n);
            offer(&sfu, 1, "one");
            offer(&sfu, 2, "two");
            sfu.send(sfu.inner.places.of_case(&case("one")), Command::Panic).expect("taken");
            let mut closed = Vec::new();
            while closed.len() < 3 - n {
                if let SfuEvent::Closed { peer, reason, .. } = events.blocking_recv().expect("an event") {
                    closed.push((peer, reason));
                }
            }
            closed.sort_by_key(|(peer, _)| *peer);
            let ended: Vec<_> = (1..=3 - n as u64).map(|peer| (PeerId(peer), CloseReason::Fault)).collect();
            assert_eq!(closed, ended, "of two threads one, of one all: they come back");
            offer(&sfu, 1, "one");
            // The other is still there: the same offer again is no new peer.
            offer(&sfu, 2, "two");
            let begun = clock::now();
            let told = |f: crate::stats::Figures| (f.peers, f.counters.faults);
            while told(sfu.figures()) != (2, 1) && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(told(sfu.figures()), (2, 1));
        }
    }

    #[test]
    fn as_many_threads_as_asked_for_and_at_least_one() {
        assert_eq!([shards(1), shards(3), shards(10_000)], [1, 3, SHARDS_MAX]);
        assert!((1..=SHARDS_MAX).contains(&shards(0)));
    }
}
