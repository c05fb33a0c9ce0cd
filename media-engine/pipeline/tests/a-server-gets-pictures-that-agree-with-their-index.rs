//! The engine against a server that only listens: generated feeds, real sockets, no sleeping; each wait ends on a condition or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use bytes::{Bytes, BytesMut};
use link::control::{take_message, write_message};
use link::frame::{FeedState, FrameIndex};
use link::id::CaseId;
use link::record::take_record;
use link::wire::{ClockPong, Health, Hello, HelloAck, Keyframe, LayerRef, ToEngine, ToServer, WantLayers, to_engine, to_server};
use pipeline::config::Config;
use pipeline::encode::rtp;
use pipeline::engine::{self, Dial};
use pipeline::output::link::LinkEnd;

const PATIENCE: Duration = Duration::from_secs(30);
/// The server's timeline is an hour ahead of this machine's clock, so that a stamp of the wrong clock shows.
const AHEAD: Duration = Duration::from_secs(3600);

const CONFIG: &str = r#"
    program = { width = 640, height = 360, layout = "field-large" }

    [[feed]]
    id = "fluoro"
    kind = "fluoroscopy"
    name_ja = "X線透視"
    name_en = "Fluoroscopy"
    source = { type = "synthetic-fluoro" }

    [[feed]]
    id = "field"
    kind = "operative-field"
    name_ja = "術野"
    name_en = "Field"
    main = true
    source = { type = "synthetic-field" }

    [[feed]]
    id = "vitals"
    kind = "vital-signs"
    name_ja = "生体情報"
    name_en = "Vital signs"
    source = { type = "synthetic-vitals" }
"#;

#[test]
fn every_frame_has_its_index_first_and_a_request_brings_a_keyframe() {
    for encoder in ["x264", "openh264"] {
        gstreamer::init().expect("GStreamer is installed");
        if gstreamer::ElementFactory::find(&format!("{encoder}enc")).is_none() {
            eprintln!("{encoder} is not installed: not tested here");
            continue;
        }
        let mut server = Server::start(&format!("encoder = \"{encoder}\"\n{CONFIG}"));
        let hello = server.accept();
        assert_eq!((hello.version, hello.case_id.as_str()), (1, "case-1"));
        assert_eq!(hello.feeds.iter().map(|f| f.feed.as_str()).collect::<Vec<_>>(), ["field", "fluoro", "vitals"]);
        server.until("the first health", |s| s.health.is_some());
        assert!(server.packets.is_empty() && server.indexes.is_empty(), "nothing is encoded that nobody wants");

        server.want(true);
        server.until("forty frames", |s| s.frames() >= 40);
        let first = server.packets.first().expect("a packet").clone();
        assert!(server.keyframes().contains(&timestamp(&first)), "{encoder}: the first frame is a keyframe");
        assert_eq!(server.keyframes().len(), 1, "{encoder}: no keyframe that nobody asked for");
        for (n, packet) in server.packets.iter().enumerate() {
            assert!(packet.len() <= 1120);
            assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), n as u16, "{encoder}: sequence numbers without a gap");
            assert_eq!(packet[8..12], 0xC0FF_EE01u32.to_be_bytes());
        }
        assert_eq!(level(&server.packets), Some(31), "{encoder}: the level of profile-level-id 42e01f");

        let asked_after = server.frames();
        server.send(to_engine::Body::Keyframe(Keyframe { layer: Some(program_high()) }));
        server.send(to_engine::Body::Keyframe(Keyframe { layer: Some(program_high()) }));
        server.until("the keyframe", |s| s.keyframes().len() == 2);
        assert!(server.frames() - asked_after < 20, "{encoder}: within a few frames");
        let frames = server.frames();
        server.until("twenty frames more", |s| s.frames() >= frames + 20);
        assert_eq!(server.keyframes().len(), 2, "{encoder}: two requests at once are one keyframe");

        assert!(server.without_index.is_empty(), "{encoder}: a packet came before its index");
        let now = timeline();
        let mut last: Option<u32> = None;
        for index in server.indexes.values() {
            let main = index.entries.first().expect("the main feed");
            assert_eq!((main.feed.as_str(), index.width, index.height), ("field", 640, 360));
            assert!(now.minus_ns(CaptureTime(main.capture)).abs() < 60_000_000_000, "captures are on the server's timeline");
            assert_eq!(CaptureTime(main.capture).rtp_90khz(), index.rtp_ts);
            for inset in &index.entries[1..] {
                assert!(inset.capture <= main.capture, "an inset is never younger than the frame it stands in");
                assert!((inset.capture == 0) == (inset.state() == FeedState::Lost));
            }
            assert!(last.is_none_or(|last| (index.rtp_ts.wrapping_sub(last) as i32) > 0), "strictly increasing");
            last = Some(index.rtp_ts);
        }
        let rect = server.indexes.values().next_back().and_then(|i| i.entries[1].rect).expect("a rectangle");
        assert_eq!((rect.x, rect.y, rect.w, rect.h), (448, 30, 192, 192), "the picture itself, without bars");

        server.want(false);
        server.until_quiet();
        server.want(true);
        let before = server.keyframes().len();
        server.until("pictures again", |s| s.keyframes().len() > before);
        server.stop();
    }
}

#[test]
fn a_server_that_hangs_up_is_dialled_again() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.want(true);
    server.until("pictures", |s| s.frames() >= 5);
    server.hang_up();
    server.accept();
    server.want(true);
    server.until("pictures on the new link", |s| s.frames() >= 5);
    assert_eq!(u16::from_be_bytes([server.packets[0][2], server.packets[0][3]]), 0);
    assert!(server.keyframes().contains(&timestamp(&server.packets[0])), "a new link begins with a keyframe");
    server.stop();
}

#[test]
fn a_refusal_ends_the_engine_with_its_reason() {
    let mut server = Server::start(CONFIG);
    server.accept();
    server.send(to_engine::Body::Refused(link::wire::Refused { code: "case.unknown".into(), message: "no such case".into() }));
    let end = server.engine.take().expect("running").join().expect("no panic");
    assert_eq!(end, Err(LinkEnd::Refused { code: "case.unknown".into(), message: "no such case".into() }));
}

fn timeline() -> CaptureTime {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    CaptureTime::from_unix(unix + AHEAD)
}

fn program_high() -> LayerRef {
    LayerRef { feed: "program".into(), layer: "high".into() }
}

fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

/// level_idc of the first sequence parameter set.
fn level(packets: &[Bytes]) -> Option<u8> {
    packets.iter().find_map(|p| {
        let at = p.windows(2).skip(12).position(|w| w[0] & 0x1F == 7 && w[1] == 66)? + 12;
        p.get(at + 3).copied()
    })
}

/// The listening side, turned by hand.
struct Server {
    folder: PathBuf,
    listeners: [UnixListener; 2],
    control: Option<UnixStream>,
    media: Option<UnixStream>,
    incoming: BytesMut,
    records: BytesMut,
    named: bool,
    hello: Option<Hello>,
    health: Option<Health>,
    indexes: BTreeMap<u32, FrameIndex>,
    packets: Vec<Bytes>,
    without_index: BTreeSet<u32>,
    stop: Option<UnixStream>,
    engine: Option<JoinHandle<Result<(), LinkEnd>>>,
}

impl Server {
    fn start(config: &str) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("shirube-engine-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let bind = |name: &str| UnixListener::bind(folder.join(name)).expect("a socket");
        let listeners = [bind("control"), bind("media")];
        listeners.iter().for_each(|l| l.set_nonblocking(true).expect("a socket"));
        let prepared = engine::prepare(Config::parse(config).expect("good")).expect("good");
        let (stop, engine_stop) = UnixStream::pair().expect("a pair");
        let dial =
            Dial { control: folder.join("control"), media: folder.join("media"), case: CaseId::parse("case-1").expect("an id") };
        let engine = std::thread::spawn(move || prepared.run(dial, engine_stop));
        Server {
            folder,
            listeners,
            control: None,
            media: None,
            incoming: BytesMut::new(),
            records: BytesMut::new(),
            named: false,
            hello: None,
            health: None,
            indexes: BTreeMap::new(),
            packets: Vec::new(),
            without_index: BTreeSet::new(),
            stop: Some(stop),
            engine: Some(engine),
        }
    }

    fn accept(&mut self) -> Hello {
        self.until("the engine's call", |s| s.hello.is_some());
        let hello = self.hello.take().expect("just seen");
        let layers = hello.layers.iter().cloned().map(|l| link::wire::LayerInfo { ssrc: 0xC0FF_EE01, ..l }).collect();
        self.send(to_engine::Body::Hello(HelloAck { version: 1, link_id: "link-1".into(), layers }));
        self.until("the media socket and its name", |s| s.named);
        hello
    }

    fn hang_up(&mut self) {
        (self.control, self.media) = (None, None);
        (self.incoming, self.records) = (BytesMut::new(), BytesMut::new());
        self.named = false;
        self.packets.clear();
        self.indexes.clear();
    }

    fn want(&mut self, on: bool) {
        let layers = if on { vec![program_high()] } else { Vec::new() };
        self.send(to_engine::Body::Want(WantLayers { layers }));
    }

    fn send(&mut self, body: to_engine::Body) {
        let mut out = BytesMut::new();
        write_message(&mut out, &ToEngine { body: Some(body) });
        self.control.as_mut().expect("connected").write_all(&out).expect("the engine reads");
    }

    fn frames(&self) -> usize {
        self.packets.iter().filter(|p| rtp::marker(p)).count()
    }

    /// Timestamps of frames with an IDR or its parameter sets.
    fn keyframes(&self) -> BTreeSet<u32> {
        self.packets.iter().filter(|p| rtp::belongs_to_keyframe(p)).map(|p| timestamp(p)).collect()
    }

    fn until(&mut self, what: &str, done: impl Fn(&Server) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            self.turn();
        }
    }

    /// Until a health says that no layer runs, and nothing more arrives with it.
    fn until_quiet(&mut self) {
        self.health = None;
        self.until("a health without layers", |s| s.health.as_ref().is_some_and(|h| h.layers.is_empty()));
    }

    /// Waits a little for input and takes all of it.
    fn turn(&mut self) {
        if self.control.is_none()
            && let Ok((socket, _)) = self.listeners[0].accept()
        {
            self.control = Some(prepare(socket));
        }
        if self.media.is_none()
            && let Ok((socket, _)) = self.listeners[1].accept()
        {
            self.media = Some(prepare(socket));
        }
        if self.control.is_none() {
            std::thread::yield_now();
        }
        if let Some(control) = &mut self.control {
            read(control, &mut self.incoming);
        }
        self.take_messages();
        // Media is read first into the buffer, then control again, so that an index written before its packets is seen before them.
        if let Some(media) = &mut self.media {
            read(media, &mut self.records);
        }
        if let Some(control) = &mut self.control {
            read(control, &mut self.incoming);
        }
        self.take_messages();
        while let Some(record) = take_record(&mut self.records) {
            if !self.named {
                assert_eq!(&record[..], b"link-1");
                self.named = true;
                continue;
            }
            if !self.indexes.contains_key(&timestamp(&record)) {
                self.without_index.insert(timestamp(&record));
            }
            self.packets.push(record);
        }
    }

    fn take_messages(&mut self) {
        while let Some(message) = take_message::<ToServer>(&mut self.incoming).expect("well formed") {
            match message.body.expect("a known message") {
                to_server::Body::Clock(ping) => {
                    let t = timeline().0;
                    self.send(to_engine::Body::Clock(ClockPong { t1: ping.t1, t2: t, t3: t }));
                }
                to_server::Body::Frame(index) => {
                    self.indexes.insert(index.rtp_ts, index);
                }
                to_server::Body::Health(health) => self.health = Some(health),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn stop(mut self) {
        self.stop = None;
        let end = self.engine.take().expect("running").join().expect("no panic");
        assert_eq!(end, Ok(()), "the engine stops when told");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn prepare(socket: UnixStream) -> UnixStream {
    socket.set_nonblocking(false).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
    socket
}

fn read(socket: &mut UnixStream, buffer: &mut BytesMut) {
    let mut bytes = [0u8; 65536];
    if let Ok(n) = socket.read(&mut bytes) {
        buffer.extend_from_slice(&bytes[..n]);
    }
}
