//! The thread behind a real socket on loopback.
#![cfg(feature = "edge")]
#![allow(clippy::disallowed_methods)] // A real socket runs on real time.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::id::{CaseId, LayerId};
use sfu::{
    Channel, Events, FeedPacket, Grants, Moment, OfferError, PeerId, PeerKind, SfuConfig, SfuEvent, SfuHandle, StartError,
    VideoCodec,
};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Candidate, Event, Input, Output, Rtc};

const PAGE: &str = include_str!("data/chromium-offer.sdp");

fn config() -> SfuConfig {
    SfuConfig { udp: SocketAddr::from(([0, 0, 0, 0], 0)), ..SfuConfig::default() }
}

fn case() -> CaseId {
    CaseId::parse("one").expect("an id")
}

/// Runs a future that needs no runtime.
fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn a_busy_port_is_named_in_one_clear_sentence() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let error = sfu::start(SfuConfig { udp: address, ..config() }).expect_err("busy");
    assert!(matches!(error, StartError::PortBusy(a) if a == address));
    assert!(error.to_string().contains("already in use"), "{error}");
}

#[test]
fn hostile_offers_are_answered_with_errors_and_the_thread_goes_on() {
    let (sfu, _events) = sfu::start(config()).expect("started");
    for sdp in ["", "v=0", &"x".repeat(100_000)] {
        let offer = sfu.offer(PeerId(1), case(), PeerKind::Client, Grants::default(), sdp.to_owned());
        assert!(matches!(wait(offer), Err(OfferError::Sdp(_))));
    }
    let whip = sfu.offer(PeerId(1), case(), PeerKind::Whip { feed: FeedId::program() }, Grants::default(), PAGE.into());
    assert!(matches!(wait(whip), Err(OfferError::Sdp(_))), "a page is no publisher");
    let answer = wait(sfu.offer(PeerId(1), case(), PeerKind::Client, Grants::default(), PAGE.into())).expect("an answer");
    assert!(answer.contains(&format!("127.0.0.1 {} typ host", sfu.port())), "{answer}");
}

#[test]
fn a_stopped_thread_is_said_to_be_stopped() {
    let (sfu, mut events) = sfu::start(config()).expect("started");
    wait(sfu.offer(PeerId(1), case(), PeerKind::Client, Grants::default(), PAGE.into())).expect("an answer");
    sfu.stop().expect("heard");
    let mut closed = false;
    while let Some(event) = events.blocking_recv() {
        closed |= matches!(event, SfuEvent::Closed { peer: PeerId(1), .. });
    }
    assert!(closed, "peers are closed first");
    assert!(matches!(
        wait(sfu.offer(PeerId(2), case(), PeerKind::Client, Grants::default(), PAGE.into())),
        Err(OfferError::Stopped)
    ));
}

#[test]
fn an_announced_address_is_offered_alone() {
    let announce = Some(SocketAddr::from(([198, 51, 100, 7], 9_000)));
    let (sfu, _events) = sfu::start(SfuConfig { announce, ..config() }).expect("started");
    let answer = wait(sfu.offer(PeerId(1), case(), PeerKind::Client, Grants::default(), PAGE.into())).expect("an answer");
    let candidates: Vec<_> = answer.lines().filter(|l| l.starts_with("a=candidate:")).collect();
    // By UDP and by TCP.
    assert!(candidates.len() == 2 && candidates.iter().all(|c| c.contains("198.51.100.7 9000 typ host")), "{candidates:?}");
}

#[test]
fn pictures_pass_through_the_real_socket() {
    let (sfu, events) = sfu::start(config()).expect("started");
    watch(sfu, events);
}

/// An IPv6 address of this machine that others on its network reach; sends nothing.
fn own_v6() -> Option<IpAddr> {
    let probe = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    probe.connect((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)).ok()?;
    Some(probe.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

/// Whether this system has IPv6 at all, by what the kernel lists. Where it has none that is said past the test runner, which
/// would keep it to itself; where it has, what cannot be bound is a fault.
fn has_v6() -> bool {
    let listed = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let has = listed.lines().any(|line| line.starts_with("00000000000000000000000000000001"));
    if !has {
        let _ = writeln!(std::io::stderr(), "NOT TESTED: this system has no IPv6 (/proc/net/if_inet6 lists no ::1)");
    }
    has
}

#[test]
fn a_socket_on_both_families_serves_ipv6_and_ipv4() {
    if !has_v6() {
        return;
    }
    let both = SfuConfig { udp: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), ..SfuConfig::default() };
    let ways = [Some(Ipv6Addr::LOCALHOST.into()), own_v6(), Some([127, 0, 0, 1].into())];
    for ip in ways.into_iter().flatten() {
        let (sfu, events) = sfu::start(both.clone()).expect("started");
        let answer = wait(sfu.offer(PeerId(9), case(), PeerKind::Client, Grants::default(), PAGE.into())).expect("an answer");
        let candidate = format!(" {ip} {} typ host", sfu.port());
        assert!(answer.lines().any(|l| l.starts_with("a=candidate:") && l.contains(&candidate)), "{ip}: {answer}");
        watch_from(ip, sfu, events);
    }
}

#[test]
fn pictures_pass_through_a_proxy_that_is_announced() {
    let proxy = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let announce = Some(proxy.local_addr().expect("an address"));
    let (sfu, events) = sfu::start(SfuConfig { announce, ..config() }).expect("started");
    let inside = SocketAddr::from(([127, 0, 0, 1], sfu.port()));
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let carrier = std::thread::spawn(move || {
        proxy.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let (mut buffer, mut outside) = ([0; 2_000], None);
        while !ended.load(Ordering::Relaxed) {
            let Ok((n, from)) = proxy.recv_from(&mut buffer) else { continue };
            let to = if from == inside {
                outside
            } else {
                outside = Some(from);
                Some(inside)
            };
            if let Some(to) = to {
                let _ = proxy.send_to(&buffer[..n], to);
            }
        }
    });
    watch(sfu, events);
    done.store(true, Ordering::Relaxed);
    carrier.join().expect("the proxy ends");
}

/// Two threads, and the case of these tests is not in the first.
fn second_of_two() -> (SfuHandle, Events) {
    let (sfu, events) = sfu::start(SfuConfig { shards: 2, ..config() }).expect("started");
    sfu.set_layers(CaseId::parse("another").expect("an id"), FeedId::program(), Vec::new()).expect("room");
    (sfu, events)
}

#[test]
fn pictures_pass_through_the_thread_at_the_door_to_the_thread_of_their_case() {
    let (sfu, events) = second_of_two();
    watch(sfu, events);
}

#[test]
fn strangers_are_turned_away_at_the_door() {
    let (sfu, events) = second_of_two();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for first in [0x80u8, 20, 0] {
        stranger.send_to(&[first; 60], ("127.0.0.1", sfu.port())).expect("sent");
    }
    let begun = Instant::now();
    while sfu.figures().counters.strangers < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", sfu.figures().counters);
        std::thread::sleep(Duration::from_millis(5));
    }
    watch(sfu, events);
}

#[test]
fn pictures_pass_through_tcp_on_the_same_number() {
    let (sfu, _events) = sfu::start(SfuConfig { shards: 1, ..config() }).expect("started");
    watch_by_tcp(&sfu, [127, 0, 0, 1].into());
    let (sfu, _events) = second_of_two();
    watch_by_tcp(&sfu, [127, 0, 0, 1].into());
}

#[test]
fn pictures_pass_through_tcp_by_ipv6() {
    if !has_v6() {
        return;
    }
    for udp in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST] {
        let (sfu, _events) = sfu::start(SfuConfig { udp: (udp, 0).into(), shards: 1, ..config() }).expect("started");
        watch_by_tcp(&sfu, Ipv6Addr::LOCALHOST.into());
    }
}

fn watch_by_tcp(sfu: &SfuHandle, ip: IpAddr) {
    let server = SocketAddr::from((ip, sfu.port()));
    let stream = TcpStream::connect(server).expect("somebody listens");
    stream.set_nodelay(true).expect("nodelay");
    let local = stream.local_addr().expect("an address");
    let mut rtc = Rtc::builder()
        .set_crypto_provider(std::sync::Arc::new(str0m::crypto::from_feature_flags()))
        .set_rtp_mode(true)
        .build(Instant::now());
    let candidate = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build().expect("a candidate");
    rtc.add_local_candidate(candidate);
    let mut api = rtc.sdp_api();
    api.add_media(str0m::media::MediaKind::Video, str0m::media::Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("an offer");
    let kind = PeerKind::Whep { feed: FeedId::program(), layer: None };
    let grants = Grants { see: true, ..Grants::default() };
    let answer = wait(sfu.offer(PeerId(1), case(), kind, grants, offer.to_sdp_string())).expect("an answer");
    assert!(answer.contains("tcptype passive"), "{answer}");
    // As where a firewall lets no UDP through.
    let ours = |l: &&str| !l.starts_with("a=candidate:") || l.contains(" tcp ") && l.contains(&format!(" {ip} "));
    let answer: String = answer.lines().filter(ours).map(|l| format!("{l}\r\n")).collect();
    let answer = str0m::change::SdpAnswer::from_sdp_string(&answer).expect("readable");
    rtc.sdp_api().accept_answer(pending, answer).expect("acceptable");

    // The frames of RFC 4571, read on a thread.
    let (tell, heard) = std::sync::mpsc::channel();
    let mut reader = stream.try_clone().expect("a second hand");
    std::thread::spawn(move || {
        loop {
            let mut length = [0; 2];
            if reader.read_exact(&mut length).is_err() {
                return;
            }
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            if reader.read_exact(&mut bytes).is_err() || tell.send(bytes).is_err() {
                return;
            }
        }
    });
    let mut writer = stream;
    let started = Instant::now();
    let (mut seq, mut pictures, mut next) = (0u16, 0, started);
    while pictures < 20 {
        assert!(started.elapsed() < Duration::from_secs(90), "{pictures} pictures after 90 s");
        let deadline = loop {
            match rtc.poll_output().expect("sound") {
                Output::Timeout(at) => break at,
                Output::Transmit(t) => {
                    assert_eq!(t.destination, server);
                    let frame = [&(t.contents.len() as u16).to_be_bytes()[..], &t.contents].concat();
                    writer.write_all(&frame).expect("it is read");
                }
                Output::Event(Event::RtpPacket(_)) => pictures += 1,
                Output::Event(_) => {}
            }
        };
        if Instant::now() >= next {
            next += Duration::from_millis(5);
            // Where this machine stood still, so many at once may find no room.
            let _ = sfu.feed_rtp(picture(seq, started.elapsed()));
            seq += 1;
        }
        let until = deadline.min(next).saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let input = match heard.recv_timeout(until) {
            Ok(bytes) => {
                let contents = bytes[..].try_into().expect("WebRTC");
                let receive = Receive { proto: Protocol::Tcp, source: server, destination: local, contents };
                rtc.handle_input(Input::Receive(Instant::now(), receive)).expect("sound");
                continue;
            }
            Err(_) => Input::Timeout(Instant::now()),
        };
        rtc.handle_input(input).expect("sound");
    }
}

/// A keyframe of one packet.
fn picture(seq: u16, since: Duration) -> FeedPacket {
    let timeline = CaptureTime::from_unix(Duration::from_secs(1_790_000_000)).saturating_add(since);
    let mut packet = vec![0x80, 0xE0];
    packet.extend(seq.to_be_bytes());
    packet.extend(timeline.rtp_90khz().to_be_bytes());
    packet.extend([0, 0, 0, 1, 0x65, 0x88, 0x84]);
    let (feed, layer, codec) = (FeedId::program(), LayerId::High, VideoCodec::H264);
    let received = Moment { at: Instant::now(), timeline };
    FeedPacket { case: case(), feed, layer, codec, packet: packet.into(), received }
}

/// A player over a real socket: it connects and sees pictures.
fn watch(sfu: SfuHandle, events: Events) {
    watch_from([127, 0, 0, 1].into(), sfu, events);
}

fn watch_from(ip: IpAddr, sfu: SfuHandle, mut events: Events) {
    let socket = UdpSocket::bind((ip, 0)).expect("a port");
    let local = socket.local_addr().expect("an address");
    let mut rtc = Rtc::builder()
        .set_crypto_provider(std::sync::Arc::new(str0m::crypto::from_feature_flags()))
        .set_rtp_mode(true)
        .build(Instant::now());
    rtc.add_local_candidate(Candidate::host(local, "udp").expect("an address"));
    let mut api = rtc.sdp_api();
    api.add_media(str0m::media::MediaKind::Video, str0m::media::Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("an offer");
    let kind = PeerKind::Whep { feed: FeedId::program(), layer: Some(LayerId::High) };
    let grants = Grants { see: true, ..Grants::default() };
    let answer = wait(sfu.offer(PeerId(1), case(), kind, grants, offer.to_sdp_string())).expect("an answer");
    let answer = str0m::change::SdpAnswer::from_sdp_string(&answer).expect("readable");
    rtc.sdp_api().accept_answer(pending, answer).expect("acceptable");
    // Not open for a player: dropped and counted, nothing else.
    sfu.send_data(PeerId(1), Channel::Ink, Bytes::from_static(b"x")).expect("heard");

    let started = Instant::now();
    let (mut seq, mut pictures, mut next) = (0u16, 0, started);
    let mut buffer = vec![0; 2_000];
    while pictures < 20 {
        assert!(started.elapsed() < Duration::from_secs(90), "{pictures} pictures after 90 s");
        let deadline = loop {
            match rtc.poll_output().expect("sound") {
                Output::Timeout(at) => break at,
                Output::Transmit(t) => drop(socket.send_to(&t.contents, t.destination)),
                Output::Event(Event::RtpPacket(_)) => pictures += 1,
                Output::Event(_) => {}
            }
        };
        if Instant::now() >= next {
            next += Duration::from_millis(5);
            // Where this machine stood still, so many at once may find no room.
            let _ = sfu.feed_rtp(picture(seq, started.elapsed()));
            seq += 1;
        }
        let until = deadline.min(next).saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(until)).expect("a timeout");
        let input = match socket.recv_from(&mut buffer) {
            Ok((n, source)) => {
                let contents = buffer[..n].try_into().expect("WebRTC");
                Input::Receive(Instant::now(), Receive { proto: Protocol::Udp, source, destination: local, contents })
            }
            Err(_) => Input::Timeout(Instant::now()),
        };
        rtc.handle_input(input).expect("sound");
    }
    let (mut connected, mut watched) = (false, false);
    // Said and counted by another thread, perhaps a moment after the packets left.
    loop {
        while let Ok(event) = events.try_recv() {
            connected |= matches!(event, SfuEvent::Connected { peer: PeerId(1) });
            watched |= matches!(event, SfuEvent::Watchers { count: 1, .. });
        }
        let figures = sfu.figures();
        let counted = figures.forwarding.count() >= 18 && figures.joining.count() == 1 && figures.starting.count() == 1;
        if connected && watched && counted {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(90), "{connected} {watched} {figures:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
