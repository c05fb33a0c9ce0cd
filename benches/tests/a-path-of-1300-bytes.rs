//! A path that takes no packet of more than 1,300 bytes, as inside an IPsec tunnel: three network namespaces, the server behind a router whose far
//! side is that narrow. Two pages join over it (ICE, certificates, data channels), a camera that makes packets of 1,460 bytes publishes
//! over it, a player decodes its pictures, and the router has never had to cut or refuse a packet of the server's.
//!
//! Namespaces are root's. Where they are not to be had this says so past the test runner, which would keep it to itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use annotation::wire::InkPacket;
use benches::impair::proxy::TcpProxy;
use benches::ported::graph::Graph;
use benches::ported::strokes::{clear, packet, stroke};
use benches::ported::{Http, PATIENCE, start};
use benches::talker::{Talker, Words};
use gstreamer::prelude::*;
use prost::Message as _;
use sfu::Channel;

const MTU: u32 = 1_300;
/// The largest packet of a camera that is taken.
const CAMERA_MTU: u32 = 1_460;
const PICTURES: usize = 60;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const PLAYER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
/// Says to a child of this test what it is.
const ROLE: &str = "SHIRUBE_TEST_NARROW_PATH";
const NAME: &str = "over_a_path_of_1300_bytes_pages_join_a_camera_publishes_and_a_player_decodes";

/// Three namespaces in a row; gone when dropped.
struct Path {
    names: [String; 3],
}

impl Path {
    fn lay() -> Result<Path, String> {
        let names = ["s", "r", "p"].map(|part| format!("shirube-{part}-{}", std::process::id()));
        let path = Path { names };
        let [server, router, player] = &path.names;
        for name in &path.names {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        for (one, other, end) in [(server, "near", "s0"), (player, "far", "p0")] {
            ip(&format!("link add {end} netns {one} type veth peer name {other} netns {router}"))?;
        }
        // What goes in at one end has to fit into the other.
        for (name, device) in [(router, "far"), (player, "p0")] {
            ip(&format!("-n {name} link set {device} mtu {MTU}"))?;
        }
        for (name, device, address) in [
            (server, "s0", format!("{SERVER}/24")),
            (router, "near", "10.77.1.2/24".into()),
            (router, "far", "10.77.2.2/24".into()),
            (player, "p0", format!("{PLAYER}/24")),
        ] {
            ip(&format!("-n {name} addr add {address} dev {device}"))?;
            ip(&format!("-n {name} link set {device} up"))?;
        }
        ip(&format!("-n {server} route add default via 10.77.1.2"))?;
        ip(&format!("-n {player} route add default via 10.77.2.2"))?;
        path.inside(1, "bash").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]).status().map_err(|e| e.to_string())?;
        Ok(path)
    }

    fn inside(&self, namespace: usize, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[namespace], program]);
        command
    }

    /// This test again, as somebody else.
    fn play(&self, namespace: usize, role: &str) -> Child {
        let exe = std::env::current_exe().expect("this program");
        let mut command = self.inside(namespace, exe.to_str().expect("a path"));
        command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).env(ROLE, role);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts")
    }

    /// Packets that the router cut, or would have had to.
    fn too_large(&self) -> u64 {
        let output = self.inside(1, "cat").arg("/proc/net/snmp").output().expect("read");
        let text = String::from_utf8(output.stdout).expect("text");
        let mut lines = text.lines().filter(|line| line.starts_with("Ip: ")).map(|line| line.split(' ').collect::<Vec<_>>());
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let of = |wanted: &str| {
            let at = names.iter().position(|name| *name == wanted).expect("counted");
            values[at].parse::<u64>().expect("a number")
        };
        of("FragOKs") + of("FragFails")
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> Result<(), String> {
    let done = Command::new("ip").args(words.split(' ')).output().map_err(|e| format!("ip: {e}"))?;
    if done.status.success() { Ok(()) } else { Err(format!("ip {words}: {}", String::from_utf8_lossy(&done.stderr).trim())) }
}

/// The server, and its plain door carried to where the others are.
fn serve() {
    let home = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = start(&runtime, home.path(), SERVER.into()).expect("starts");
    let http = Http::of(&server, "").expect("a plain door");
    let port = http.host.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let door =
        TcpProxy::start((SERVER, 0).into(), (Ipv4Addr::LOCALHOST, port).into(), Vec::new(), Instant::now()).expect("a door");
    let tokens = &server.ready.tokens;
    println!("\nREADY {} {} {} {} {}", door.address, tokens.room, tokens.mentor, tokens.publisher, tokens.desk);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("CUT {}", http.figure("shirube_media_cut_packets_total").expect("a figure"));
    runtime.block_on(server.stop());
}

fn take_part(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let &[_, host, room, mentor, publisher, desk] = &words[..] else { panic!("{line}") };
    let http = |token: &str| Http { host: host.to_owned(), token: token.to_owned() };
    gstreamer::init().expect("GStreamer");
    gstrswebrtc::plugin_register_static().expect("the elements");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let join = |token: &str| {
        let socket = UdpSocket::bind(SocketAddr::from((PLAYER, 0))).expect("a port");
        Talker::join(runtime.handle(), &http(token), socket, Words::default()).expect("joins")
    };
    let (room, mentor) = (join(room), join(mentor));
    room.until_up().expect("the room");
    mentor.until_up().expect("the mentor");

    // What the room says by its channel makes that its way; then what the mentor draws comes to it by the same.
    room.send(Channel::Ink, packet(&room, 1, [clear()]).encode_to_vec());
    let acknowledged =
        |seq: u32| move |bytes: &[u8]| InkPacket::decode(bytes).is_ok_and(|p| p.acks.iter().any(|ack| ack.seq >= seq));
    room.until_heard(Channel::Ink, acknowledged(1)).expect("the room's word by its channel");
    // Some kilobytes, all of which is one message of the data channel.
    let drawn = packet(&mentor, 1, (1..=20).map(|n| stroke(&mentor, n))).encode_to_vec();
    assert!(drawn.len() > 6_000 && drawn.len() < 16_000, "{}", drawn.len());
    mentor.send(Channel::Ink, drawn);
    mentor.until_heard(Channel::Ink, acknowledged(20)).expect("the mentor's ink by its channel");
    let (author, last) = (mentor.welcome.author, 20);
    let shown = |bytes: &[u8]| {
        let ordered = InkPacket::decode(bytes).map(|p| p.ordered).unwrap_or_default();
        ordered.iter().any(|o| o.op.as_ref().is_some_and(|op| op.author == author && op.seq == last))
    };
    room.until_heard(Channel::Ink, shown).expect("the mentor's ink at the room");

    let what = "videotestsrc is-live=true pattern=snow ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 \
        ! whipclientsink name=ported video-caps=video/x-h264 congestion-control=disabled start-bitrate=1500000";
    let camera = Graph::open(what).expect("a camera");
    let element = camera.0.by_name("ported").expect("it is in it");
    element.connect("payloader-setup", false, |values| {
        let payloader = values[3].get::<gstreamer::Element>().expect("a payloader");
        payloader.set_property("mtu", CAMERA_MTU);
        Some(false.to_value())
    });
    camera.by_udp_alone().expect("a signaller");
    camera.play("whip-endpoint", &http(publisher), "/whip/demo/glasses").expect("publishes");
    // It stands in for the program, which pages are shown.
    for page in [&room, &mentor] {
        page.until_pictures(PICTURES).unwrap_or_else(|e| panic!("{e}; the camera: {:?}", camera.fault()));
    }
    let what = "whepclientsrc name=ported audio-codecs=<> ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
    let player = Graph::open(what).expect("a player");
    player.by_udp_alone().expect("a signaller");
    player.play("whep-endpoint", &http(desk), "/whep/demo?feed=glasses&layer=high").expect("plays");
    let shown = player.samples().expect("pictures");
    let until = Instant::now() + PATIENCE;
    for n in 0..PICTURES {
        let left = until.saturating_duration_since(Instant::now());
        let i420 = shown.recv_timeout(left).unwrap_or_else(|e| panic!("{e} after {n} pictures; {:?}", player.fault()));
        // Noise still, not one grey for want of pieces.
        let luma = &i420[..320 * 180];
        let (least, most) = (luma.iter().min().expect("a picture"), luma.iter().max().expect("a picture"));
        assert!(most - least > 100, "picture {n}: {least} to {most}");
    }
    player.stop().expect("stops");
    camera.stop().expect("stops");
}

#[test]
fn over_a_path_of_1300_bytes_pages_join_a_camera_publishes_and_a_player_decodes() {
    match std::env::var(ROLE).ok() {
        Some(role) if role == "server" => return serve(),
        Some(line) => return take_part(&line),
        None => {}
    }
    let path = match Path::lay() {
        Ok(path) => path,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "NOT TESTED: {NAME}: this system gives no network namespaces ({why})");
            return;
        }
    };
    let mut server = path.play(0, "server");
    let mut said = BufReader::new(server.stdout.take().expect("piped")).lines();
    let ready = said.find_map(|line| line.ok().filter(|line| line.starts_with("READY "))).expect("it is ready");
    let mut player = path.play(2, &ready);
    drop(player.stdin.take());
    let mut words = String::new();
    let _ = player.stdout.take().expect("piped").read_to_string(&mut words);
    let passed = player.wait().expect("ends");
    let too_large = path.too_large();
    // So is the path narrow: what is sent without regard to it is counted.
    let bash = format!("head -c 1400 /dev/zero > /dev/udp/{PLAYER}/9");
    let sent = path.inside(0, "bash").args(["-c", &bash]).status().expect("sent");
    let counted = path.too_large();
    drop(server.stdin.take());
    let cut = said.find_map(|line| line.ok()?.strip_prefix("CUT ")?.parse::<u64>().ok());
    let ended = server.wait().expect("ends");
    assert!(passed.success(), "{words}");
    assert_eq!(too_large, 0, "packets of the server's that the path does not take");
    assert!(sent.success() && counted > 0, "the path is not narrow");
    assert!(ended.success() && cut.is_some_and(|cut| cut > 50), "{cut:?} packets of the camera's were cut to fit");
}
