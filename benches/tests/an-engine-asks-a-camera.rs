//! An engine that cannot decode what comes of a published camera asks, and the camera, GStreamer's own WHIP client, sends a keyframe, as by itself it
//! never would. The engine here is one that only listens.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use benches::ported::colour::RED;
use benches::ported::graph::Graph;
use benches::ported::{Door, PATIENCE};
use bytes::{Bytes, BytesMut};
use link::control::{take_message, write_message};
use link::record::{take_record, write_record};
use link::wire::{ClockPing, FeedInfo, Hello, Ingest, KeyframeWanted, ToEngine, ToServer, to_engine, to_server};
use pipeline::encode::rtp::belongs_to_keyframe;

/// The server gives an engine up that says nothing for 3 s.
const PING_EVERY: Duration = Duration::from_millis(500);

struct Engine {
    control: UnixStream,
    media: UnixStream,
    words: BytesMut,
    records: BytesMut,
    ingest: Option<Ingest>,
    /// Of each packet of the camera: does it belong to a keyframe?
    packets: Vec<bool>,
    pinged: Instant,
}

impl Engine {
    fn dial(sockets: &Path) -> Engine {
        let dial = |name: &str| {
            let socket = UnixStream::connect(sockets.join(name)).expect("listens");
            socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
            socket
        };
        let feeds = vec![FeedInfo { feed: "program".into(), ..Default::default() }];
        let hello = Hello { version: link::LINK_VERSION, case_id: "demo".into(), feeds, ..Default::default() };
        let mut control = dial("control.sock");
        say(&mut control, to_server::Body::Hello(hello));
        let (mut words, until) = (BytesMut::new(), Instant::now() + PATIENCE);
        let id = loop {
            match take_message::<ToEngine>(&mut words).expect("well formed").and_then(|m| m.body) {
                Some(to_engine::Body::Hello(ack)) => break ack.link_id,
                Some(to_engine::Body::Refused(refused)) => panic!("{refused:?}"),
                Some(_) => {}
                None => read(&mut control, &mut words),
            }
            assert!(Instant::now() < until, "no answer");
        };
        let mut media = dial("media.sock");
        let mut first = BytesMut::new();
        write_record(&mut first, id.as_bytes()).expect("fits");
        media.write_all(&first).expect("taken");
        Engine { control, media, words, records: BytesMut::new(), ingest: None, packets: Vec::new(), pinged: Instant::now() }
    }

    fn until(&mut self, what: &str, camera: &Graph, done: impl Fn(&Engine) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < until, "{what}, after {} packets; the camera: {:?}", self.packets.len(), camera.fault());
            if self.pinged.elapsed() > PING_EVERY {
                self.pinged = Instant::now();
                say(&mut self.control, to_server::Body::Clock(ClockPing { t1: 1 }));
            }
            read(&mut self.control, &mut self.words);
            while let Some(message) = take_message::<ToEngine>(&mut self.words).expect("well formed") {
                if let Some(to_engine::Body::Ingest(ingest)) = message.body {
                    self.ingest = Some(ingest);
                }
            }
            read(&mut self.media, &mut self.records);
            while let Some(packet) = take_record(&mut self.records) {
                self.handle_packet(&packet);
            }
        }
    }

    fn handle_packet(&mut self, packet: &Bytes) {
        self.packets.push(belongs_to_keyframe(packet));
    }
}

fn say(control: &mut UnixStream, body: to_server::Body) {
    let mut out = BytesMut::new();
    write_message(&mut out, &ToServer { body: Some(body) });
    control.write_all(&out).expect("the server reads");
}

fn read(socket: &mut UnixStream, buffer: &mut BytesMut) {
    let mut bytes = [0u8; 65_536];
    match socket.read(&mut bytes) {
        Ok(0) => panic!("the server hung up"),
        Ok(n) => buffer.extend_from_slice(&bytes[..n]),
        Err(e) => assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted), "{e}"),
    }
}

#[test]
fn a_camera_sends_the_keyframe_that_an_engine_wants() {
    gstreamer::init().expect("GStreamer");
    gstrswebrtc::plugin_register_static().expect("the elements");
    let door = Door::open().expect("starts");
    let http = |token: &str| door.http(token);
    let mut engine = Engine::dial(&door.home.path().join("data/link"));
    // Of feeds that nobody publishes, and of none.
    for feed in ["program", "glasses", "../etc"] {
        say(&mut engine.control, to_server::Body::Keyframe(KeyframeWanted { feed: feed.into() }));
    }
    let camera = Graph::camera(RED, 1_000_000).expect("a camera");
    camera.play("whip-endpoint", &http(&door.server.ready.tokens.publisher), "/whip/demo/glasses").expect("publishes");
    engine.until("its word", &camera, |e| e.ingest.as_ref().is_some_and(|i| i.codec == "H264" && !i.ended));
    // Whatever was asked for when it began has come by then.
    let calm = |e: &Engine| e.packets.contains(&true) && e.packets.iter().rev().take(90).filter(|key| !**key).count() == 90;
    engine.until("its first keyframe, and pictures after it", &camera, calm);
    let refreshes = || http("").figure("shirube_media_tap_refreshes_total").expect("a figure");
    assert_eq!(refreshes(), 0);

    let before = engine.packets.len();
    say(&mut engine.control, to_server::Body::Keyframe(KeyframeWanted { feed: "glasses".into() }));
    engine.until("another keyframe", &camera, |e| e.packets[before..].contains(&true));
    assert_eq!(refreshes(), 1);
    camera.stop().expect("stops");
    door.close();
}
