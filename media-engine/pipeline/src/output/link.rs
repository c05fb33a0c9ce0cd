//! The link to the server: one thread, two Unix sockets, never blocked by either.
//!
//! Life of a link: dial control, Hello, HelloAck; dial media, whose first record is the link id; ClockPing until the first
//! exchange, then the board is told and media flows. The end of either socket ends the link; dialling is tried
//! again until [`WITHOUT_CONTROL_MAX`] has passed, then the engine ends.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::BytesMut;
use link::LINK_VERSION;
use link::control::{take_message, write_message};
use link::id::CaseId;
use link::record::{take_record, write_record};
use link::wire::{ClockPing, FeedInfo, Hello, LayerInfo, LayerRef, Refused, ToEngine, ToServer, to_engine, to_server};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use super::spec::LayerSpec;

use super::queue::{ControlQueue, MediaQueue, Pushed, Taken};
use super::stats::LayerStats;
use crate::board::{Board, LinkUp};
use crate::clock::LocalClock;
use crate::display::worker::{InkDesk, Word as InkWord};
use crate::encode::layer::EncodedFrame;
use crate::feed::ingest::{Message, Published};
use crate::program::align::Timing;
use crate::ptz::{Cameras, visca::Motion};
use crate::timing::case_clock::CaseClock;
use crate::tracker::run::{Ear, Word};

/// The engine ends when it has had no control for this long.
pub const WITHOUT_CONTROL_MAX: Duration = Duration::from_secs(10);
const REDIAL_EVERY: Duration = Duration::from_millis(200);
/// From dialling to the first exchange of clocks.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_EVERY_AT_FIRST: Duration = Duration::from_millis(250);
const PINGS_AT_FIRST: u32 = 4;

/// Where to dial and what to say of oneself.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    pub control: PathBuf,
    pub media: PathBuf,
    pub case: CaseId,
    pub engine: String,
    pub feeds: Vec<FeedInfo>,
    pub layers: Vec<LayerSpec>,
    /// Names of the layouts that the program can be given.
    pub layouts: Vec<String>,
    /// Published feeds that have a mask.
    pub masked: Vec<FeedId>,
}

/// How the link ended for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkEnd {
    #[error("no server was reachable for {} s; start the server, which starts the engine again", WITHOUT_CONTROL_MAX.as_secs())]
    WithoutControl,
    #[error("the server refused the engine ({code}): {message}")]
    Refused { code: String, message: String },
    #[error("the link cannot be watched: {0}")]
    System(String),
}

#[derive(Debug)]
struct Queues {
    control: ControlQueue,
    media: MediaQueue,
    stats: Vec<LayerStats>,
}

/// Hands messages and frames to the link's thread. Cheap to clone; never blocks on a socket.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    queues: Arc<Mutex<Queues>>,
    bell: Arc<UnixStream>,
    board: Arc<Board>,
    clock: LocalClock,
}

impl LinkHandle {
    /// Queues a control message; its number, or `None` when too many wait.
    pub fn send_control(&self, body: to_server::Body) -> Option<u64> {
        let number = self.lock().control.push(ToServer { body: Some(body) });
        self.ring();
        number
    }

    /// Queues the packets of one frame of a declared layer.
    pub fn send_frame(&self, layer: usize, frame: EncodedFrame) {
        let now = self.clock.now();
        let ask = {
            let mut queues = self.lock();
            let encode_us = frame.encode_us;
            let pushed = queues.media.push(layer, frame, now);
            let stats = queues.stats.get_mut(layer);
            match (pushed, stats) {
                (Pushed::Queued, Some(stats)) => {
                    stats.encode.add(encode_us);
                    false
                }
                (Pushed::Dropped { frames, ask_keyframe }, Some(stats)) => {
                    stats.dropped += frames;
                    ask_keyframe
                }
                _ => false,
            }
        };
        if ask {
            tracing::warn!(layer, "the server does not read fast enough; dropping up to the next keyframe");
            self.board.change(|state| state.wishes.keyframes.insert(layer));
        }
        self.ring();
    }

    /// The counters of one layer; its samples are handed over.
    pub fn take_stats(&self, layer: usize) -> LayerStats {
        let mut queues = self.lock();
        let Some(stats) = queues.stats.get_mut(layer) else { return LayerStats::default() };
        let taken = stats.clone();
        stats.encode = Default::default();
        stats.capture_to_rtp = Default::default();
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // A full bell is a bell that rings already.
        let _ = (&*self.bell).write(&[1]);
    }
}

/// The link's thread.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    handle: LinkHandle,
    bell: UnixStream,
    stop: UnixStream,
    case_clock: Arc<CaseClock>,
    published: Published,
    tracker: Ear,
    display: Option<Arc<InkDesk>>,
    cameras: Cameras,
    links: u64,
}

/// Why one connection ended.
enum End {
    Stop,
    Lost(String),
    Final(LinkEnd),
}

impl Link {
    /// `stop`: readable (or ended) when the engine is to stop, e.g. by a signal.
    pub fn new(
        config: LinkConfig,
        stop: UnixStream,
        clock: LocalClock,
        case_clock: Arc<CaseClock>,
        board: Arc<Board>,
        published: Published,
        tracker: Ear,
    ) -> std::io::Result<(Self, LinkHandle)> {
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ringer.set_nonblocking(true)?;
        stop.set_nonblocking(true)?;
        let n = config.layers.len();
        let queues =
            Queues { control: ControlQueue::default(), media: MediaQueue::new(n), stats: vec![LayerStats::default(); n] };
        let handle = LinkHandle { queues: Arc::new(Mutex::new(queues)), bell: Arc::new(ringer), board, clock };
        let link = Link {
            config,
            handle: handle.clone(),
            bell,
            stop,
            case_clock,
            published,
            tracker,
            display: None,
            cameras: Cameras::default(),
            links: 0,
        };
        Ok((link, handle))
    }

    /// Ink for the room's display goes there.
    pub fn with_display(self, display: Option<Arc<InkDesk>>) -> Self {
        Link { display, ..self }
    }

    pub fn with_cameras(self, cameras: Cameras) -> Self {
        Link { cameras, ..self }
    }

    /// Runs until told to stop (`Ok`) or until there is no server to be had.
    pub fn run(mut self) -> Result<(), LinkEnd> {
        let mut last_control = self.handle.clock.now();
        loop {
            match self.connection(&mut last_control) {
                End::Stop => return Ok(()),
                End::Final(end) => return Err(end),
                End::Lost(why) => {
                    let was_up = self.handle.board.change(|state| {
                        let was_up = state.wishes.up.take().is_some();
                        state.wishes = Default::default();
                        // Whoever comes next says whether it may be lifted.
                        state.draw_curtain(true);
                        was_up
                    });
                    if was_up {
                        self.ingest(Message::LinkLost);
                        self.tell(Word::LinkLost);
                        self.show(InkWord::LinkLost);
                        self.cameras.stop_all();
                        tracing::warn!(why, "the link to the server is lost; dialling again");
                    } else {
                        tracing::debug!(why, "no link yet");
                    }
                    let mut queues = self.handle.lock();
                    queues.control.clear();
                    queues.media.begin_link();
                }
            }
            if self.handle.clock.now().since(last_control) >= WITHOUT_CONTROL_MAX {
                return Err(LinkEnd::WithoutControl);
            }
            match wait(&mut [PollFd::new(&self.stop, PollFlags::IN)], REDIAL_EVERY) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(end) => return Err(end),
            }
        }
    }

    fn connection(&mut self, last_control: &mut CaptureTime) -> End {
        let control = match dial(&self.config.control) {
            Ok(socket) => socket,
            Err(e) => return End::Lost(format!("control: {e}")),
        };
        self.links += 1;
        let now = self.handle.clock.now();
        let mut c = Connection {
            control,
            media: None,
            incoming: BytesMut::new(),
            records: BytesMut::new(),
            control_out: Outgoing::default(),
            media_out: Outgoing::default(),
            control_written: 0,
            control_loaded: 0,
            media_taken: None,
            began: now,
            pings: 0,
            next_ping: None,
            ssrcs: Vec::new(),
            up: false,
        };
        write_message(&mut c.control_out.bytes, &ToServer { body: Some(to_server::Body::Hello(self.hello())) });
        loop {
            if let Err(end) = self.turn(&mut c, last_control) {
                return end;
            }
        }
    }

    /// One turn: what is due by the clock, what can be written, then wait, then what can be read.
    fn turn(&mut self, c: &mut Connection, last_control: &mut CaptureTime) -> Result<(), End> {
        let lost = |what: &'static str| move |e: std::io::Error| End::Lost(format!("{what}: {e}"));
        let now = self.handle.clock.now();
        if !c.up && now.since(c.began) > HANDSHAKE_MAX {
            return Err(End::Lost("the server did not answer".into()));
        }
        if now.since(*last_control) >= WITHOUT_CONTROL_MAX {
            return Err(End::Lost("the server is silent".into()));
        }
        if c.next_ping.is_some_and(|at| at <= now) {
            write_message(&mut c.control_out.bytes, &ToServer { body: Some(to_server::Body::Clock(ClockPing { t1: now.0 })) });
            c.pings += 1;
            let apart = if c.pings < PINGS_AT_FIRST { PING_EVERY_AT_FIRST } else { PING_EVERY };
            c.next_ping = Some(now.saturating_add(apart));
        }
        self.write(c)?;

        let mut timeout = HANDSHAKE_MAX;
        if let Some(at) = c.next_ping {
            timeout = timeout.min(at.since(self.handle.clock.now()));
        }
        let control_flags = if c.control_out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let media_flags = if c.media_out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let (stop, belled, control_ready, media_ready) = {
            let mut fds = vec![
                PollFd::new(&self.stop, PollFlags::IN),
                PollFd::new(&self.bell, PollFlags::IN),
                PollFd::new(&c.control, control_flags),
            ];
            if let Some(media) = &c.media {
                fds.push(PollFd::new(media, media_flags));
            }
            wait(&mut fds, timeout).map_err(End::Final)?;
            let readable = |fd: &PollFd<'_>| fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
            (readable(&fds[0]), readable(&fds[1]), readable(&fds[2]), fds.get(3).is_some_and(readable))
        };
        if stop {
            return Err(End::Stop);
        }
        if belled {
            let mut bytes = [0u8; 256];
            while matches!((&self.bell).read(&mut bytes), Ok(n) if n == bytes.len()) {}
        }
        if control_ready {
            read_into(&mut c.control, &mut c.incoming).map_err(lost("control"))?;
            while let Some(message) = take_message::<ToEngine>(&mut c.incoming).map_err(|e| End::Lost(format!("control: {e}")))? {
                *last_control = self.handle.clock.now();
                if let Some(body) = message.body {
                    self.handle_message(c, body)?;
                }
            }
        }
        if media_ready && let Some(media) = &mut c.media {
            read_into(media, &mut c.records).map_err(lost("media"))?;
            while let Some(record) = take_record(&mut c.records) {
                self.ingest(Message::Packet(record));
            }
        }
        Ok(())
    }

    /// Control first, so that a frame's index always leaves before its packets; then media, frame by frame.
    fn write(&mut self, c: &mut Connection) -> Result<(), End> {
        if c.up && c.control_out.is_empty() {
            let mut queues = self.handle.lock();
            if let Some(number) = queues.control.take_all(&mut c.control_out.bytes) {
                c.control_loaded = number;
            }
        }
        if c.control_out.flush(&mut c.control).map_err(|e| End::Lost(format!("control: {e}")))? {
            c.control_written = c.control_loaded;
        }
        let Some(media) = &mut c.media else { return Ok(()) };
        loop {
            if !c.media_out.flush(media).map_err(|e| End::Lost(format!("media: {e}")))? {
                return Ok(());
            }
            if let Some(taken) = c.media_taken.take() {
                self.account(taken);
            }
            if !c.up {
                return Ok(());
            }
            c.media_taken = self.handle.lock().media.take(c.control_written, &mut c.media_out.bytes);
            if c.media_taken.is_none() {
                return Ok(());
            }
        }
    }

    /// A frame is wholly in the socket: how old was it?
    fn account(&self, taken: Taken) {
        let now = self.case_clock.stamp(self.handle.clock.now());
        let mut queues = self.handle.lock();
        let Some(stats) = queues.stats.get_mut(taken.layer) else { return };
        stats.frames += 1;
        stats.bytes += taken.bytes;
        if let Some((now, _)) = now {
            stats.capture_to_rtp.add(u32::try_from(now.since(taken.capture).as_micros()).unwrap_or(u32::MAX));
        }
    }

    #[allow(unreachable_patterns, reason = "the wire may grow by messages that this engine does not know")]
    fn handle_message(&mut self, c: &mut Connection, body: to_engine::Body) -> Result<(), End> {
        use to_engine::Body;
        match body {
            Body::Hello(ack) => {
                if ack.version != LINK_VERSION {
                    return Err(End::Final(LinkEnd::Refused {
                        code: "link.version".into(),
                        message: format!("the server speaks version {} of the link, the engine {LINK_VERSION}", ack.version),
                    }));
                }
                c.ssrcs = self.ssrcs(&ack.layers);
                let media = dial(&self.config.media).map_err(|e| End::Lost(format!("media: {e}")))?;
                write_record(&mut c.media_out.bytes, ack.link_id.as_bytes()).map_err(|e| End::Lost(e.to_string()))?;
                c.media = Some(media);
                self.case_clock.begin_link();
                c.next_ping = Some(self.handle.clock.now());
            }
            Body::Clock(pong) => {
                let t4 = self.handle.clock.now();
                let (t1, t2, t3) = (CaptureTime(pong.t1), CaptureTime(pong.t2), CaptureTime(pong.t3));
                let begins = self.case_clock.handle_exchange(t1, t2, t3, t4);
                if begins && let Some((_, generation)) = self.case_clock.stamp(t4) {
                    self.handle.board.begin_generation(generation);
                }
                if begins && !c.up && c.media.is_some() {
                    c.up = true;
                    {
                        let mut queues = self.handle.lock();
                        queues.control.clear();
                        queues.media.begin_link();
                    }
                    let up = LinkUp { id: self.links, ssrcs: c.ssrcs.clone() };
                    self.handle.board.change(|state| state.wishes.up = Some(up));
                    self.show(InkWord::LinkUp);
                    tracing::info!(link = self.links, "linked to the server");
                }
            }
            Body::Want(want) => {
                let wanted = want.layers.iter().filter_map(|l| self.index(l)).collect();
                self.handle.board.change(|state| state.wishes.layers = wanted);
            }
            Body::Keyframe(keyframe) => {
                if let Some(layer) = keyframe.layer.as_ref().and_then(|l| self.index(l)) {
                    self.handle.board.change(|state| state.wishes.keyframes.insert(layer));
                }
            }
            Body::Bitrate(bitrate) => {
                if let Some(layer) = bitrate.layer.as_ref().and_then(|l| self.index(l)) {
                    self.handle.board.change(|state| state.wishes.bitrates.insert(layer, bitrate.bps));
                }
            }
            Body::Refused(Refused { code, message }) => return Err(End::Final(LinkEnd::Refused { code, message })),
            Body::Ingest(ingest) => self.ingest(Message::Ingest(ingest)),
            Body::Curtain(curtain) => {
                tracing::info!(drawn = curtain.drawn, "privacy curtain");
                self.handle.board.change(|state| state.draw_curtain(curtain.drawn));
            }
            Body::Layout(set) => self.ingest(Message::Layout(set.layout)),
            Body::Timing(set) => match Timing::parse(&set.timing) {
                Some(timing) => self.ingest(Message::Timing(timing)),
                None => tracing::debug!("a timing that this engine does not know"),
            },
            Body::Camera(m) => self.cameras.wish(&m.feed, Motion::clamped(m.pan, m.tilt, m.zoom)),
            Body::Ink(ink) => self.show(InkWord::Shown(Box::new(ink))),
            Body::Anchor(anchor) => self.tell(Word::Anchor(anchor)),
            Body::Still(wanted) => self.tell(Word::StillWanted(wanted)),
            // A newer server may ask for what this engine does not do; saying nothing of it in Hello, it must not count on it.
            _ => tracing::debug!("a message of a kind this engine does not know"),
        }
        Ok(())
    }

    /// To the thread of published feeds, if it has room: what it misses costs a published feed, nothing else.
    fn ingest(&self, message: Message) {
        if !self.published.send(message) {
            tracing::debug!("published feeds come faster than they are decoded");
        }
    }

    fn show(&self, word: InkWord) {
        if let Some(display) = &self.display {
            display.tell(word);
        }
    }

    /// To the tracker, if it has room.
    fn tell(&self, word: Word) {
        if !self.tracker.tell(word) {
            tracing::warn!("ink comes faster than it is followed");
        }
    }

    fn index(&self, layer: &LayerRef) -> Option<usize> {
        self.config.layers.iter().position(|l| l.feed.as_str() == layer.feed && l.layer.as_str() == layer.layer)
    }

    /// What the server confirmed, or what we proposed where it said nothing.
    fn ssrcs(&self, confirmed: &[LayerInfo]) -> Vec<u32> {
        let find =
            |l: &LayerSpec| confirmed.iter().find(|c| c.feed == l.feed.as_str() && c.layer == l.layer.as_str()).map(|c| c.ssrc);
        self.config.layers.iter().map(|l| find(l).filter(|&ssrc| ssrc != 0).unwrap_or(l.ssrc)).collect()
    }

    fn hello(&self) -> Hello {
        Hello {
            version: LINK_VERSION,
            engine: self.config.engine.clone(),
            software: env!("CARGO_PKG_VERSION").into(),
            case_id: self.config.case.as_str().to_owned(),
            feeds: self.config.feeds.clone(),
            layers: self.config.layers.iter().map(LayerSpec::info).collect(),
            layouts: self.config.layouts.clone(),
            layout: self.handle.board.read(|state| state.arrangement.layout.clone()),
            timing: self.handle.board.read(|state| state.timing).as_str().into(),
            masked: self.config.masked.iter().map(|feed| feed.as_str().to_owned()).collect(),
        }
    }
}

/// One life of the two sockets.
struct Connection {
    control: UnixStream,
    media: Option<UnixStream>,
    incoming: BytesMut,
    records: BytesMut,
    control_out: Outgoing,
    media_out: Outgoing,
    /// Number of the last queued control message that is wholly written; and of the last in `control_out`.
    control_written: u64,
    control_loaded: u64,
    media_taken: Option<Taken>,
    began: CaptureTime,
    pings: u32,
    next_ping: Option<CaptureTime>,
    ssrcs: Vec<u32>,
    up: bool,
}

/// Bytes that must all be written before the next are taken.
#[derive(Default)]
struct Outgoing {
    bytes: BytesMut,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes what the socket takes; true when nothing is left.
    fn flush(&mut self, socket: &mut UnixStream) -> std::io::Result<bool> {
        while !self.bytes.is_empty() {
            match socket.write(&self.bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let _ = self.bytes.split_to(n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

fn dial(path: &std::path::Path) -> std::io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Reads what is there, at most 64 kB a turn; the end of the socket is an error.
fn read_into(socket: &mut UnixStream, buffer: &mut BytesMut) -> std::io::Result<()> {
    let mut bytes = [0u8; 16 * 1024];
    for _ in 0..4 {
        match socket.read(&mut bytes) {
            Ok(0) => return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the server closed it")),
            Ok(n) => buffer.extend_from_slice(&bytes[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Waits for any of `fds`; false when the time was up first.
fn wait(fds: &mut [PollFd<'_>], at_most: Duration) -> Result<bool, LinkEnd> {
    let timeout = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
    match poll(fds, Some(&timeout)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(LinkEnd::System(e.to_string())),
    }
}
