//! A WHIP camera and a WHEP player restart their ICE by PATCH (RFC 9725 §4.3.2), pictures going on: str0m's client side over real sockets
//! against the real server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling::edge::cli::Demo;
use signaling::edge::server;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const FRAME: Duration = Duration::from_millis(20);
/// Pictures before and after each restart.
const PICTURES: usize = 25;

/// Status, head and body.
fn request(host: &str, token: &str, (method, path): (&str, &str), head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(host).expect("listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).expect("a header")
}

fn line<'a>(sdp: &'a str, begins: &str) -> &'a str {
    sdp.lines().find(|line| line.starts_with(begins)).expect("in the description")
}

struct Peer {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    local: SocketAddr,
    host: String,
    token: String,
    resource: String,
    tag: String,
    /// The description of the other side.
    answer: String,
    seq: u64,
    /// Packets of pictures that came.
    pictures: usize,
}

impl Peer {
    /// `meanwhile`: to be done while there is nothing to watch yet.
    fn open(host: &str, token: &str, path: &str, direction: Direction, mut meanwhile: impl FnMut()) -> Peer {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let mut rtc = Rtc::builder().set_crypto_provider(provider).set_rtp_mode(true).build(Instant::now());
        let (socket, local) = place(&mut rtc);
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let begun = Instant::now();
        let (head, answer) = loop {
            let posted = request(host, token, ("POST", path), "Content-Type: application/sdp\r\n", &offer.to_sdp_string());
            match posted {
                (201, head, answer) => break (head, answer),
                (404 | 429, ..) if begun.elapsed() < PATIENCE => meanwhile(),
                (status, _, body) => panic!("{status}: {body}"),
            }
        };
        let mut peer = Peer {
            rtc,
            mid,
            socket,
            local,
            host: host.to_owned(),
            token: token.to_owned(),
            resource: header(&head, "location"),
            tag: header(&head, "etag"),
            answer: String::new(),
            seq: 0,
            pictures: 0,
        };
        peer.accept(pending, answer);
        peer
    }

    fn accept(&mut self, pending: SdpPendingOffer, answer: String) {
        let read = SdpAnswer::from_sdp_string(&answer).expect("readable");
        self.rtc.sdp_api().accept_answer(pending, read).expect("acceptable");
        self.answer = answer;
    }

    /// Other credentials on the same connection.
    fn restart(&mut self) {
        let mut api = self.rtc.sdp_api();
        api.ice_restart(true);
        let (offer, pending) = api.apply().expect("an offer");
        let offer = offer.to_sdp_string();
        let lines = ["a=ice-ufrag:", "a=ice-pwd:", "m=video", "a=mid:"].map(|begins| line(&offer, begins));
        let fragment = lines.join("\r\n") + "\r\n";
        let head = format!("Content-Type: application/trickle-ice-sdpfrag\r\nIf-Match: {}\r\n", self.tag);
        let (status, head, fragment) = request(&self.host, &self.token, ("PATCH", &self.resource), &head, &fragment);
        assert_eq!(status, 200, "{fragment}");
        let tag = header(&head, "etag");
        assert_ne!(std::mem::replace(&mut self.tag, tag.clone()), tag, "another session has another tag");
        // The session's new credentials in the description that there was.
        let renewed = ["a=ice-ufrag:", "a=ice-pwd:"].map(|begins| (begins, line(&fragment, begins)));
        let newer = |old: &str| renewed.iter().find(|(begins, _)| old.starts_with(begins)).map(|(_, new)| (*new).to_owned());
        let answer: String = self.answer.lines().map(|old| newer(old).unwrap_or_else(|| old.to_owned()) + "\r\n").collect();
        assert_ne!(answer, self.answer);
        self.accept(pending, answer);
    }

    /// Sends what is due and takes all that has come, for a millisecond or so.
    fn turn(&mut self) {
        let mut buffer = [0; 2_000];
        loop {
            let deadline = self.drain();
            let input = match self.socket.recv_from(&mut buffer) {
                Ok((n, source)) => {
                    let contents = buffer[..n].try_into().expect("WebRTC");
                    Input::Receive(Instant::now(), Receive { proto: Protocol::Udp, source, destination: self.local, contents })
                }
                Err(e) => {
                    assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{e}");
                    if Instant::now() >= deadline {
                        self.rtc.handle_input(Input::Timeout(Instant::now())).expect("sound");
                        self.drain();
                    }
                    return;
                }
            };
            self.rtc.handle_input(input).expect("sound");
        }
    }

    /// When it is due next.
    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().expect("a sound connection") {
                Output::Timeout(at) => return at,
                Output::Transmit(t) => drop(self.socket.send_to(&t.contents, t.destination)),
                Output::Event(Event::RtpPacket(packet)) => self.pictures += usize::from(!packet.payload.is_empty()),
                Output::Event(_) => {}
            }
        }
    }

    /// A picture of one packet that needs no other.
    fn shoot(&mut self, since: Duration) {
        let Some(wanted) = self.rtc.media(self.mid).map(|m| m.remote_pts().to_vec()) else { return };
        let mut params = self.rtc.codec_config().params().iter();
        let Some(pt) = params.find(|p| p.spec().codec == Codec::H264 && wanted.contains(&p.pt())).map(|p| p.pt()) else { return };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return };
        self.seq += 1;
        let rtp = (since.as_micros() * 9 / 100) as u32;
        let payload = vec![0x65, 0x88, 0x84, self.seq as u8];
        stream.write_rtp(RtpWrite::new(pt, (1_000 + self.seq).into(), rtp, Instant::now(), payload).marker(true).nackable(true));
    }
}

/// A port of this machine that the connection may use.
fn place(rtc: &mut Rtc) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
    let local = socket.local_addr().expect("an address");
    rtc.add_local_candidate(Candidate::host(local, "udp").expect("an address"));
    (socket, local)
}

/// A camera in front of which time passes.
struct Scene {
    camera: Peer,
    begun: Instant,
    next: Instant,
}

impl Scene {
    fn turn(&mut self) {
        if Instant::now() >= self.next {
            self.next += FRAME;
            self.camera.shoot(self.begun.elapsed());
        }
        self.camera.turn();
    }

    /// Until the player was given so many more pictures.
    fn show(&mut self, what: &str, player: &mut Peer) {
        let (since, before) = (Instant::now(), player.pictures);
        while player.pictures < before + PICTURES {
            assert!(since.elapsed() < PATIENCE, "{what}: {} pictures", player.pictures - before);
            self.turn();
            player.turn();
        }
    }

    /// The same, and the server knows the newest credentials of both: whoever asks with others is a stranger to it.
    fn show_known(&mut self, what: &str, player: &mut Peer) {
        // Requests from before the restart may have been under way.
        self.show(what, player);
        let strangers = |peer: &Peer| {
            let figures = request(&peer.host, &peer.token, ("GET", "/metrics"), "", "").2;
            let told = figures.lines().find_map(|l| l.strip_prefix("shirube_media_strangers_total ")).expect("a figure");
            told.parse::<u64>().expect("a number")
        };
        let before = strangers(player);
        self.show(what, player);
        self.show(what, player);
        // One in passing may have meant somebody who had this port before; unknown credentials would be asked with over and over.
        let asked = strangers(player) - before;
        assert!(asked < 3, "{what}: {asked} asked with other credentials");
    }
}

#[test]
fn pictures_go_on_before_and_after_a_camera_and_a_player_restart_their_ice_by_patch() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let web = home.path().join("web");
    std::fs::create_dir_all(&web).expect("a folder");
    std::fs::write(web.join("index.html"), "<!doctype html><title>Shirube</title>").expect("written");
    let config = Demo {
        data: home.path().join("data"),
        bind: [127, 0, 0, 1].into(),
        https_port: 0,
        media_port: 0,
        http: Some(0),
        no_engine: true,
        web_root: Some(web),
        ..Demo::default()
    };
    let server = runtime.block_on(server::start(&config)).expect("starts");
    let host = server.ready.http_url.as_deref().and_then(|url| url.strip_prefix("http://")).expect("asked for").to_owned();
    let tokens = server.ready.tokens.clone();

    let camera = Peer::open(&host, &tokens.publisher, "/whip/demo/glasses", Direction::SendOnly, || {});
    let mut scene = Scene { camera, begun: Instant::now(), next: Instant::now() };
    // A camera's feed is there with its first pictures.
    let path = "/whep/demo?feed=glasses&layer=high";
    let mut player = Peer::open(&host, &tokens.mentor, path, Direction::RecvOnly, || (0..20).for_each(|_| scene.turn()));
    scene.show("at first", &mut player);
    for round in 0..2 {
        scene.camera.restart();
        scene.show_known(&format!("the camera has restarted, {round}"), &mut player);
        player.restart();
        scene.show_known(&format!("the player has restarted, {round}"), &mut player);
    }
    // Both have figures: what came from the one, what went to the other, how evenly.
    let since = Instant::now();
    let counted = |name: &str, kind: &str| {
        let figures = request(&host, &tokens.publisher, ("GET", "/metrics"), "", "").2;
        let line =
            figures.lines().find(|l| l.starts_with(&format!("shirube_ported_{name}{{")) && l.contains(kind)).map(str::to_owned);
        line.and_then(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
    };
    for (name, kind) in [("frames_in_total", "camera"), ("bytes_out_total", "player"), ("rtt_seconds", "player")] {
        while counted(name, kind).is_none_or(|n| n <= 0.0) {
            assert!(since.elapsed() < PATIENCE, "{name} of the {kind}");
            (0..20).for_each(|_| scene.turn());
            player.turn();
        }
    }
    for peer in [&scene.camera, &player] {
        assert_eq!(request(&host, &peer.token, ("DELETE", &peer.resource), "", "").0, 200, "the same resource all along");
    }
    runtime.block_on(server.stop());
}
