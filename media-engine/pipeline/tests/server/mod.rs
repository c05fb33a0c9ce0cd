//! A server that only listens, turned by hand: real sockets, no sleeping; each wait ends on a condition or fails.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use annotation::wire::XformFrame;
use bytes::{Bytes, BytesMut};
use link::control::{take_message, write_message};
use link::frame::FrameIndex;
use link::id::CaseId;
use link::record::{take_record, write_record};
use link::wire::{
    ClockPong, FeedList, Health, Hello, HelloAck, LayerRef, Rebased, StillPiece, ToEngine, ToServer, WantLayers, to_engine,
    to_server,
};
use pipeline::config::Config;
use pipeline::encode::rtp;
use pipeline::engine::{self, Dial, Prepared};
use pipeline::output::link::LinkEnd;

/// Confirmed for the first declared layer, the program's highest; the others follow.
pub const FIRST_SSRC: u32 = 0xC0FF_EE01;
const PATIENCE: Duration = Duration::from_secs(90);
/// The server's timeline is an hour ahead of this machine's clock, so that a stamp of the wrong clock shows.
const AHEAD: Duration = Duration::from_secs(3600);

pub const CONFIG: &str = r#"
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

pub fn timeline() -> CaptureTime {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    CaptureTime::from_unix(unix + AHEAD)
}

pub fn program_high() -> LayerRef {
    LayerRef { feed: "program".into(), layer: "high".into() }
}

pub fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

/// The listening side, turned by hand.
pub struct Server {
    folder: PathBuf,
    listeners: [UnixListener; 2],
    control: Option<UnixStream>,
    media: Option<UnixStream>,
    incoming: BytesMut,
    records: BytesMut,
    named: bool,
    pub hello: Option<Hello>,
    pub health: Option<Health>,
    pub feeds: Option<FeedList>,
    pub vitals: Vec<link::vitals::Vitals>,
    pub indexes: BTreeMap<u32, FrameIndex>,
    pub packets: Vec<Bytes>,
    /// Of the other layers, by place in Hello.
    pub others: BTreeMap<usize, Vec<Bytes>>,
    pub single_indexes: BTreeMap<(String, u32), FrameIndex>,
    pub without_index: BTreeSet<u32>,
    pub xforms: Vec<XformFrame>,
    pub pieces: Vec<StillPiece>,
    pub rebased: Vec<Rebased>,
    pub ink_heard: Vec<link::wire::InkHeard>,
    stop: Option<UnixStream>,
    pub engine: Option<JoinHandle<Result<(), LinkEnd>>>,
}

impl Server {
    pub fn start(config: &str) -> Self {
        Self::start_with(config, |prepared| prepared)
    }

    /// `change`: what the test does to the engine before it runs.
    pub fn start_with(config: &str, change: impl FnOnce(Prepared) -> Prepared) -> Self {
        let mut server = Self::listen();
        let prepared = change(engine::prepare(Config::parse(config).expect("good")).expect("good"));
        let (stop, engine_stop) = UnixStream::pair().expect("a pair");
        let path = |name: &str| server.folder.join(name);
        let dial = Dial { control: path("control"), media: path("media"), case: CaseId::parse("case-1").expect("an id") };
        server.engine = Some(std::thread::spawn(move || prepared.run(dial, engine_stop)));
        server.stop = Some(stop);
        server
    }

    /// The arguments that let the real program dial this server.
    pub fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        ["--control", &path("control"), "--media", &path("media"), "--case", "case-1"].map(str::to_owned).to_vec()
    }

    /// Listens; who dials is the test's affair.
    pub fn listen() -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("shirube-engine-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let bind = |name: &str| UnixListener::bind(folder.join(name)).expect("a socket");
        let listeners = [bind("control"), bind("media")];
        listeners.iter().for_each(|l| l.set_nonblocking(true).expect("a socket"));
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
            feeds: None,
            vitals: Vec::new(),
            indexes: BTreeMap::new(),
            packets: Vec::new(),
            others: BTreeMap::new(),
            single_indexes: BTreeMap::new(),
            without_index: BTreeSet::new(),
            xforms: Vec::new(),
            pieces: Vec::new(),
            rebased: Vec::new(),
            ink_heard: Vec::new(),
            stop: None,
            engine: None,
        }
    }

    pub fn accept(&mut self) -> Hello {
        self.until("the engine's call", |s| s.hello.is_some());
        let hello = self.hello.take().expect("just seen");
        let numbered = (FIRST_SSRC..).zip(hello.layers.iter().cloned());
        let layers = numbered.map(|(ssrc, l)| link::wire::LayerInfo { ssrc, ..l }).collect();
        self.send(to_engine::Body::Hello(HelloAck { version: 1, link_id: "link-1".into(), layers }));
        self.until("the media socket and its name", |s| s.named);
        hello
    }

    pub fn hang_up(&mut self) {
        (self.control, self.media) = (None, None);
        (self.incoming, self.records) = (BytesMut::new(), BytesMut::new());
        self.named = false;
        self.packets.clear();
        self.others.clear();
        self.indexes.clear();
        self.single_indexes.clear();
    }

    pub fn want(&mut self, on: bool) {
        let layers = if on { vec![program_high()] } else { Vec::new() };
        self.send(to_engine::Body::Want(WantLayers { layers }));
    }

    pub fn want_these(&mut self, layers: &[(&str, &str)]) {
        let layers = layers.iter().map(|(feed, layer)| LayerRef { feed: (*feed).into(), layer: (*layer).into() }).collect();
        self.send(to_engine::Body::Want(WantLayers { layers }));
    }

    /// Whole frames of a layer, by its place in Hello.
    pub fn frames_of(&self, layer: usize) -> usize {
        self.others.get(&layer).map_or(0, |packets| packets.iter().filter(|p| rtp::marker(p)).count())
    }

    pub fn send(&mut self, body: to_engine::Body) {
        let mut out = BytesMut::new();
        write_message(&mut out, &ToEngine { body: Some(body) });
        self.control.as_mut().expect("connected").write_all(&out).expect("the engine reads");
    }

    pub fn frames(&self) -> usize {
        self.packets.iter().filter(|p| rtp::marker(p)).count()
    }

    /// Timestamps of frames with an IDR or its parameter sets.
    pub fn keyframes(&self) -> BTreeSet<u32> {
        self.packets.iter().filter(|p| rtp::belongs_to_keyframe(p)).map(|p| timestamp(p)).collect()
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&Server) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            self.turn();
        }
    }

    /// Until a health says that no layer runs, and nothing more arrives with it.
    pub fn until_quiet(&mut self) {
        self.health = None;
        self.until("a health without layers", |s| s.health.as_ref().is_some_and(|h| h.layers.is_empty()));
    }

    /// Writes a record down the media socket.
    pub fn send_record(&mut self, record: &[u8]) {
        let mut out = BytesMut::new();
        write_record(&mut out, record).expect("short enough");
        self.media.as_mut().expect("connected").write_all(&out).expect("the engine reads");
    }

    /// Waits a little for input and takes all of it.
    pub fn turn(&mut self) {
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
            let ts = timestamp(&record);
            if !self.indexes.contains_key(&ts) && !self.single_indexes.keys().any(|(_, t)| *t == ts) {
                self.without_index.insert(ts);
            }
            match u32::from_be_bytes([record[8], record[9], record[10], record[11]]) {
                FIRST_SSRC => self.packets.push(record),
                ssrc => self.others.entry((ssrc - FIRST_SSRC) as usize).or_default().push(record),
            }
        }
    }

    fn take_messages(&mut self) {
        while let Some(message) = take_message::<ToServer>(&mut self.incoming).expect("well formed") {
            match message.body.expect("a known message") {
                to_server::Body::Hello(hello) => self.hello = Some(hello),
                to_server::Body::Clock(ping) => {
                    let t = timeline().0;
                    self.send(to_engine::Body::Clock(ClockPong { t1: ping.t1, t2: t, t3: t }));
                }
                to_server::Body::Frame(index) => {
                    if index.program == "program" {
                        self.indexes.insert(index.rtp_ts, index);
                    } else {
                        self.single_indexes.insert((index.program.clone(), index.rtp_ts), index);
                    }
                }
                to_server::Body::Feeds(list) => self.feeds = Some(list),
                to_server::Body::Health(health) => self.health = Some(health),
                to_server::Body::Vitals(vitals) => self.vitals.push(vitals),
                to_server::Body::Xform(frame) => self.xforms.push(frame),
                to_server::Body::Still(piece) => self.pieces.push(piece),
                to_server::Body::Rebased(rebased) => self.rebased.push(rebased),
                to_server::Body::Ink(heard) => self.ink_heard.push(heard),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    pub fn stop(mut self) {
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
