//! A server that only listens, turned by hand: real sockets, no sleeping; each wait ends on a condition or fails.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use annotation::wire::XformFrame;
use bytes::{Bytes, BytesMut};
use link::control::{take_message, write_message};
use link::frame::{FeedState, FrameIndex};
use link::id::CaseId;
use link::record::{take_record, write_record};
use link::wire::{
    ClockPong, FeedList, Health, Hello, HelloAck, LayerRef, Rebased, StillPiece, ToEngine, ToServer, WantLayers, to_engine,
    to_server,
};
use pipeline::config::Config;
use pipeline::encode::rtp;
use pipeline::engine::{self, Dial, Prepared};
use pipeline::output::link::{LinkEnd, Way};

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
    /// Read once: a clock that is set while a test runs is no jump here.
    static BEGAN: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (began, unix) = BEGAN.get_or_init(|| (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")));
    CaptureTime::from_unix(*unix + began.elapsed() + AHEAD)
}

pub fn program_high() -> LayerRef {
    LayerRef { feed: "program".into(), layer: "high".into() }
}

pub fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

/// Every frame carries the capture of its main picture, or a later time: one that a timer made because that picture was late, those that such a
/// frame overtook, and the first of a link whose clock lies behind that of the link before. Returns how many carry their own.
pub fn check_times(in_order: &[&FrameIndex]) -> usize {
    let ahead = |a: u32, b: u32| a.wrapping_sub(b) as i32;
    assert!(in_order.windows(2).all(|w| ahead(w[1].rtp_ts, w[0].rtp_ts) > 0), "strictly increasing");
    let mut own = 0;
    for index in in_order {
        let main = index.entries.first().expect("the main feed");
        if main.capture == 0 {
            assert_eq!(main.state(), FeedState::Lost, "only a lost picture has no time");
            continue;
        }
        let capture = CaptureTime(main.capture);
        // Of another clock it would be an hour off.
        assert!(timeline().minus_ns(capture).abs() < 600_000_000_000, "captures are on the server's timeline");
        assert!(CaptureTime(index.composed).minus_ns(capture) >= 0, "composed before it was captured");
        let later = ahead(index.rtp_ts, capture.rtp_90khz());
        assert!(later >= 0, "a time before its picture");
        own += usize::from(later == 0);
    }
    own
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
    /// The engine closed one of the two.
    ended: bool,
    pub hello: Option<Hello>,
    pub health: Option<Health>,
    pub feeds: Option<FeedList>,
    pub vitals: Vec<link::vitals::Vitals>,
    pub indexes: BTreeMap<u32, FrameIndex>,
    pub packets: Vec<Bytes>,
    /// Of the other layers, by place in Hello.
    pub others: BTreeMap<usize, Vec<Bytes>>,
    pub single_indexes: BTreeMap<(String, u32), FrameIndex>,
    /// Packets that were here before their index: none on this machine, where an index is in its socket before its packets are in
    /// theirs. Over a network nobody promises that.
    pub without_index: BTreeSet<u32>,
    pub xforms: Vec<XformFrame>,
    pub pieces: Vec<StillPiece>,
    pub rebased: Vec<Rebased>,
    pub ink_heard: Vec<link::wire::InkHeard>,
    /// Published feeds of which a keyframe was asked for, oldest first.
    pub keyframes_wanted: Vec<String>,
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
        let dial = Dial {
            control: path("control"),
            media: path("media"),
            case: CaseId::parse("case-1").expect("an id"),
            way: Way::Local,
        };
        server.engine = Some(std::thread::spawn(move || prepared.run(dial, engine_stop)));
        server.stop = Some(stop);
        server
    }

    /// The arguments that let the real program dial this server.
    pub fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        ["--control", &path("control"), "--media", &path("media"), "--case", "case-1"].map(str::to_owned).to_vec()
    }

    /// As [`Self::start`], but the engine reaches this server by `dial`.
    pub fn run_by(&mut self, config: &str, dial: Dial) {
        let prepared = engine::prepare(Config::parse(config).expect("good")).expect("good");
        let (stop, engine_stop) = UnixStream::pair().expect("a pair");
        self.engine = Some(std::thread::spawn(move || prepared.run(dial, engine_stop)));
        self.stop = Some(stop);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
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
            ended: false,
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
            keyframes_wanted: Vec::new(),
            stop: None,
            engine: None,
        }
    }

    /// Until the engine has both connections. A call that it gave up, on a machine that was too busy to answer in time, is none: the
    /// next one comes.
    pub fn accept(&mut self) -> Hello {
        loop {
            self.until("the engine's call", |s| s.hello.is_some() || s.ended);
            if let Some(hello) = self.hello.take().filter(|_| !self.ended) {
                let numbered = (FIRST_SSRC..).zip(hello.layers.iter().cloned());
                let layers = numbered.map(|(ssrc, l)| link::wire::LayerInfo { ssrc, ..l }).collect();
                self.say(to_engine::Body::Hello(HelloAck { version: 1, link_id: "link-1".into(), layers }));
                self.until("the media socket and its name", |s| s.named || s.ended);
                if !self.ended {
                    return hello;
                }
            }
            self.hang_up();
        }
    }

    pub fn hang_up(&mut self) {
        (self.control, self.media) = (None, None);
        (self.incoming, self.records) = (BytesMut::new(), BytesMut::new());
        (self.named, self.ended, self.hello) = (false, false, None);
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
        assert!(self.say(body), "the engine reads");
    }

    /// False: the engine has closed it.
    fn say(&mut self, body: to_engine::Body) -> bool {
        let mut out = BytesMut::new();
        write_message(&mut out, &ToEngine { body: Some(body) });
        self.control.as_mut().is_some_and(|control| control.write_all(&out).is_ok())
    }

    pub fn frames(&self) -> usize {
        self.packets.iter().filter(|p| rtp::marker(p)).count()
    }

    /// What is known of the program's frames, in the order in which they were composed.
    pub fn in_order(&self) -> Vec<&FrameIndex> {
        let mut all: Vec<&FrameIndex> = self.indexes.values().collect();
        all.sort_by_key(|i| i.composed);
        all
    }

    pub fn newest(&self) -> Option<&FrameIndex> {
        self.indexes.values().max_by_key(|i| i.composed)
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
        self.read_control();
        self.take_messages();
        // Media is read first into the buffer, then control again until nothing is left, so that an index written before its packets
        // is seen before them.
        if let Some(media) = &mut self.media {
            self.ended |= !read(media, &mut self.records);
        }
        self.read_control();
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

    fn read_control(&mut self) {
        if let Some(control) = &mut self.control {
            self.ended |= !read(control, &mut self.incoming);
        }
    }

    fn take_messages(&mut self) {
        while let Some(message) = take_message::<ToServer>(&mut self.incoming).expect("well formed") {
            match message.body.expect("a known message") {
                to_server::Body::Hello(hello) => self.hello = Some(hello),
                to_server::Body::Clock(ping) => {
                    let t = timeline().0;
                    // Who asked may be gone by now.
                    self.say(to_engine::Body::Clock(ClockPong { t1: ping.t1, t2: t, t3: t }));
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
                to_server::Body::Keyframe(wanted) => self.keyframes_wanted.push(wanted.feed),
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

/// Waits a little for input and takes all that is there; false: the other side closed it.
fn read(socket: &mut UnixStream, buffer: &mut BytesMut) -> bool {
    let mut bytes = [0u8; 65536];
    let mut waits = true;
    let open = loop {
        match socket.read(&mut bytes) {
            Ok(0) => break false,
            Ok(n) => buffer.extend_from_slice(&bytes[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break true,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(_) => break false,
        }
        if std::mem::take(&mut waits) {
            socket.set_nonblocking(true).expect("a socket");
        }
    };
    socket.set_nonblocking(false).expect("a socket");
    open
}
