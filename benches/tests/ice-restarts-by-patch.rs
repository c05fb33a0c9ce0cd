//! A WHIP camera and a WHEP player restart their ICE by PATCH (RFC 9725 §4.3.2), pictures going on: str0m's client side over real sockets
//! against the real server.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::ported::{Door, FRAGMENT, Http, PATIENCE};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

const FRAME: Duration = Duration::from_millis(20);
/// Pictures before and after each restart.
const PICTURES: usize = 25;

fn line<'a>(sdp: &'a str, begins: &str) -> &'a str {
    sdp.lines().find(|line| line.starts_with(begins)).expect("in the description")
}

struct Peer {
    rtc: Rtc,
    mid: Mid,
    socket: UdpSocket,
    local: SocketAddr,
    http: Http,
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
    fn open(http: Http, path: &str, direction: Direction, meanwhile: impl FnMut()) -> Peer {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let mut rtc = Rtc::builder().set_crypto_provider(provider).set_rtp_mode(true).build(Instant::now());
        let (socket, local) = place(&mut rtc);
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let answer = http.post(path, &offer.to_sdp_string(), meanwhile).expect("a resource");
        let header = |name| answer.header(name).expect("a header").to_owned();
        let mut peer = Peer {
            rtc,
            mid,
            socket,
            local,
            http,
            resource: header("location"),
            tag: header("etag"),
            answer: String::new(),
            seq: 0,
            pictures: 0,
        };
        peer.accept(pending, answer.body);
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
        let head = [("Content-Type", FRAGMENT), ("If-Match", self.tag.as_str())];
        let restarted = self.http.request("PATCH", &self.resource, &head, &fragment).expect("answered");
        assert_eq!(restarted.status, 200, "{}", restarted.body);
        let (tag, fragment) = (restarted.header("etag").expect("a tag").to_owned(), restarted.body);
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
        let strangers = |peer: &Peer| peer.http.figure("shirube_media_strangers_total").expect("a figure");
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
    let door = Door::open().expect("starts");
    let (http, tokens) = (|token: &str| door.http(token), &door.server.ready.tokens);

    let camera = Peer::open(http(&tokens.publisher), "/whip/demo/glasses", Direction::SendOnly, || {});
    let mut scene = Scene { camera, begun: Instant::now(), next: Instant::now() };
    // A camera's feed is there with its first pictures.
    let path = "/whep/demo?feed=glasses&layer=high";
    let mut player = Peer::open(http(&tokens.mentor), path, Direction::RecvOnly, || (0..20).for_each(|_| scene.turn()));
    scene.show("at first", &mut player);
    for round in 0..2 {
        scene.camera.restart();
        scene.show_known(&format!("the camera has restarted, {round}"), &mut player);
        player.restart();
        scene.show_known(&format!("the player has restarted, {round}"), &mut player);
    }
    // Both have figures: what came from the one, what went to the other, how evenly.
    let since = Instant::now();
    let counted = |name: &str, kind: &str| http("").figure_of(&format!("shirube_ported_{name}"), kind).expect("figures");
    for (name, kind) in [("frames_in_total", "camera"), ("bytes_out_total", "player"), ("rtt_seconds", "player")] {
        while counted(name, kind).is_none_or(|n| n <= 0.0) {
            assert!(since.elapsed() < PATIENCE, "{name} of the {kind}");
            (0..20).for_each(|_| scene.turn());
            player.turn();
        }
    }
    for peer in [&scene.camera, &player] {
        let deleted = peer.http.request("DELETE", &peer.resource, &[], "").expect("answered");
        assert_eq!(deleted.status, 200, "the same resource all along");
    }
    door.close();
}
