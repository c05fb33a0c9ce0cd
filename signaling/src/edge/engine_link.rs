//! The server's end of the link to rooms' engines: two Unix sockets in a folder of mode 0700. An engine dials *control*,
//! says Hello, gets a link id, dials *media* and names that id in its first record. Control messages become [`LinkEvent`]s;
//! RTP goes straight to the forwarding core, and waits for no index: over a network either may be here first (SG28a). Many engines, one per case.
//!
//! Queues: events 1,024 (a frame index, transform, piece of a still or health that does not fit is dropped, newest first, and counted; the others wait
//! as long as an engine may be silent, then the link ends and the engine dials anew), commands 256 an engine (newest dropped: the next
//! WantLayers replaces it, a keyframe is asked again, an anchor waits in its case). The privacy curtain waits in no queue: it has
//! a place of its own, before all of them, where the last word stands. An engine that does not read is gone as one that says nothing is.

mod commands;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::wire::{Rebase, XformFrame};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use bytes::{Bytes, BytesMut};
use link::control::{ControlError, take_message, write_message};
use link::frame::FrameIndex;
use link::id::{CaseId, LayerId};
use link::record::{take_record, write_record};
use link::wire::{self, Health, Hello, HelloAck, ToEngine, ToServer, to_engine, to_server};
use sfu::{FeedPacket, Moment, SfuHandle, VideoCodec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

pub use self::commands::LinkCommands;
use super::clock::Timeline;

/// An engine pings the clock every second; three missing mean that it is gone.
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// The same of one behind a network: a cut of two seconds and what TCP waits after it end nothing.
const FAR_SILENT_AFTER: Duration = Duration::from_secs(6);
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const EVENTS: usize = 1_024;
const COMMANDS: usize = 256;
/// Packets of published feeds waiting for an engine: half a second of four cameras at 2 Mbit/s.
const MEDIA_QUEUE: usize = 512;
/// Most engines at once; a room's PC has one.
const LINKS_MAX: usize = 64;
/// Layers of one engine: three of each of 32 feeds.
const LAYERS_MAX: usize = 96;

/// What engines tell the server.
#[derive(Debug)]
pub enum LinkEvent {
    Up {
        case: CaseId,
        hello: Hello,
    },
    Frame {
        case: CaseId,
        index: FrameIndex,
    },
    Health {
        case: CaseId,
        health: Health,
    },
    /// Vital signs as data.
    Vitals {
        case: CaseId,
        vitals: link::vitals::Vitals,
    },
    /// Feeds or layers came or went.
    Feeds {
        case: CaseId,
        list: wire::FeedList,
    },
    /// Where ink lies in one frame of a feed.
    Xform {
        case: CaseId,
        frame: XformFrame,
    },
    /// A piece of a pinned frame.
    Still {
        case: CaseId,
        piece: wire::StillPiece,
    },
    /// A stroke drawn over a moving picture, moved to its own frame.
    Rebased {
        case: CaseId,
        rebase: Rebase,
    },
    /// What the engine's display has of the ink.
    Ink {
        case: CaseId,
        heard: wire::InkHeard,
    },
    /// It cannot decode what comes of a published feed before its next keyframe.
    KeyframeWanted {
        case: CaseId,
        feed: FeedId,
    },
    Refused {
        code: String,
        message: String,
    },
    Down {
        case: CaseId,
        reason: String,
    },
}

/// One of the link's two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Control = 0,
    Media = 1,
}

/// SSRC -> what it carries.
type Layers = BTreeMap<u32, (FeedId, LayerId, VideoCodec)>;

#[derive(Debug)]
struct Link {
    case: CaseId,
    commands: mpsc::Sender<ToEngine>,
    /// Is it drawn? `None`: not told yet.
    curtain: watch::Sender<Option<bool>>,
    /// RTP of published feeds, to the engine on its media socket.
    media_out: mpsc::Sender<Bytes>,
    /// Until the media socket is there.
    media_queue: Option<mpsc::Receiver<Bytes>>,
    /// Replaced whole when a feed comes or goes.
    layers: watch::Sender<Layers>,
}

#[derive(Debug, Default)]
struct Counters {
    events_dropped: AtomicU64,
    rtp_dropped: AtomicU64,
    rtp_unknown: AtomicU64,
}

#[derive(Debug, Clone)]
struct Shared {
    links: Arc<Mutex<BTreeMap<String, Link>>>,
    counters: Arc<Counters>,
    events: mpsc::Sender<LinkEvent>,
    timeline: Timeline,
    sfu: SfuHandle,
    /// Of control and media.
    paths: Arc<[PathBuf; 2]>,
    /// Cases whose engine came over the network.
    far: Arc<Mutex<BTreeSet<CaseId>>>,
}

/// Listens until dropped.
#[derive(Debug)]
pub struct LinkServer {
    control: PathBuf,
    media: PathBuf,
    shared: Shared,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl LinkServer {
    /// Binds `control.sock` and `media.sock` in `dir`, which is made with mode 0700. Sockets left by a server that died are
    /// replaced.
    pub fn bind(dir: &Path, timeline: Timeline, sfu: SfuHandle) -> io::Result<(LinkServer, mpsc::Receiver<LinkEvent>)> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let (control, media) = (dir.join("control.sock"), dir.join("media.sock"));
        for path in [&control, &media] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        let control_listener = UnixListener::bind(&control)?;
        let media_listener = UnixListener::bind(&media)?;
        let (events, receiver) = mpsc::channel(EVENTS);
        let paths = Arc::new([control.clone(), media.clone()]);
        let shared =
            Shared { links: Arc::default(), counters: Arc::default(), events, timeline, sfu, paths, far: Arc::default() };
        let tasks = vec![
            tokio::spawn(accept(
                control_listener,
                shared.clone(),
                |stream, shared| async move { run_control(stream, shared).await },
            )),
            tokio::spawn(accept(media_listener, shared.clone(), |stream, shared| async move { run_media(stream, shared).await })),
        ];
        Ok((LinkServer { control, media, shared, tasks }, receiver))
    }

    pub fn commands(&self) -> LinkCommands {
        LinkCommands(self.shared.clone())
    }

    pub fn control_path(&self) -> &Path {
        &self.control
    }

    pub fn media_path(&self) -> &Path {
        &self.media
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for path in [&self.control, &self.media] {
            let _ = fs::remove_file(path);
        }
    }
}

async fn accept<F, Fut>(listener: UnixListener, shared: Shared, run: F)
where
    F: Fn(UnixStream, Shared) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(run(stream, shared.clone()))),
            Err(error) => {
                tracing::warn!(%error, "the link socket does not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn run_control(mut stream: UnixStream, shared: Shared) {
    let mut buffer = BytesMut::with_capacity(4096);
    let hello = match timeout(HELLO_WITHIN, next_message(&mut stream, &mut buffer)).await {
        Ok(Ok(Some(ToServer { body: Some(to_server::Body::Hello(hello)) }))) => hello,
        Ok(Ok(Some(ToServer { body: Some(to_server::Body::Refused(r)) }))) => {
            let _ = shared.events.send_timeout(LinkEvent::Refused { code: r.code, message: r.message }, SILENT_AFTER).await;
            return;
        }
        _ => return,
    };
    let (link_id, case, mut orders) = match register(&hello, &shared) {
        Ok(registered) => registered,
        Err((code, message)) => {
            let refused = wire::Refused { code: code.into(), message };
            let _ = write(&mut stream, &ToEngine { body: Some(to_engine::Body::Refused(refused)) }, SILENT_AFTER).await;
            return;
        }
    };
    let ack = HelloAck { version: link::LINK_VERSION, link_id: link_id.clone(), layers: hello.layers.clone() };
    let reason = match write(&mut stream, &ToEngine { body: Some(to_engine::Body::Hello(ack)) }, SILENT_AFTER).await {
        Ok(()) => {
            let far = lock(&shared.far).remove(&case);
            let patience = if far { FAR_SILENT_AFTER } else { SILENT_AFTER };
            match tell(&shared, LinkEvent::Up { case: case.clone(), hello }, patience).await {
                Ok(()) => converse(stream, buffer, (&case, &link_id), &mut orders, &shared, patience).await,
                Err(reason) => reason,
            }
        }
        Err(error) => error.to_string(),
    };
    // Its end is said before another engine can be taken: who came in between would be said to have gone. Room for the word is waited for first.
    let word = shared.events.reserve().await;
    let mut links = lock(&shared.links);
    let carried = links.remove(&link_id).map(|link| feeds_of(&link.layers.borrow())).unwrap_or_default();
    for feed in carried {
        let _ = shared.sfu.forget_feed(case.clone(), feed);
    }
    if let Ok(word) = word {
        word.send(LinkEvent::Down { case, reason });
    }
}

/// Messages both ways until the link ends; returns why it ended.
async fn converse(
    stream: UnixStream,
    mut buffer: BytesMut,
    (case, link_id): (&CaseId, &str),
    orders: &mut Orders,
    shared: &Shared,
    patience: Duration,
) -> String {
    let (mut reader, mut writer) = stream.into_split();
    let mut heard = Instant::now();
    loop {
        // Cancel-safe: bytes read so far stay in `buffer`.
        let message = loop {
            match take_message::<ToServer>(&mut buffer) {
                Ok(Some(message)) => break message,
                Ok(None) => {}
                Err(error) => return error.to_string(),
            }
            tokio::select! {
                read = timeout_at(heard + patience, reader.read_buf(&mut buffer)) => match read {
                    Err(_) => return format!("the engine has been silent for {} s", patience.as_secs()),
                    Ok(Ok(0)) => return "the engine closed the link".into(),
                    Ok(Err(error)) => return error.to_string(),
                    Ok(Ok(_)) => {}
                },
                command = orders.next() => {
                    let Some(command) = command else { return "the server closed the link".into() };
                    if let Err(error) = write(&mut writer, &command, patience).await {
                        return error.to_string();
                    }
                }
            }
        };
        heard = Instant::now();
        let event = match message.body {
            Some(to_server::Body::Clock(ping)) => {
                let t2 = shared.timeline.now();
                let pong = wire::ClockPong { t1: ping.t1, t2: t2.0, t3: shared.timeline.now().0 };
                if let Err(error) = write(&mut writer, &ToEngine { body: Some(to_engine::Body::Clock(pong)) }, patience).await {
                    return error.to_string();
                }
                continue;
            }
            Some(to_server::Body::Frame(index)) => LinkEvent::Frame { case: case.clone(), index },
            Some(to_server::Body::Health(health)) => LinkEvent::Health { case: case.clone(), health },
            Some(to_server::Body::Vitals(vitals)) => LinkEvent::Vitals { case: case.clone(), vitals },
            Some(to_server::Body::Refused(r)) => {
                if let Err(reason) = tell(shared, LinkEvent::Refused { code: r.code, message: r.message }, patience).await {
                    return reason;
                }
                continue;
            }
            Some(to_server::Body::Feeds(list)) => {
                let layers = match read_layers(&list.layers) {
                    Ok(layers) => layers,
                    Err((code, message)) => {
                        let refused = wire::Refused { code: code.into(), message: message.clone() };
                        let _ = write(&mut writer, &ToEngine { body: Some(to_engine::Body::Refused(refused)) }, patience).await;
                        return message;
                    }
                };
                replace_layers(shared, case, link_id, layers);
                // Not to be lost: it says what pages may choose from now on.
                if let Err(reason) = tell(shared, LinkEvent::Feeds { case: case.clone(), list }, patience).await {
                    return reason;
                }
                continue;
            }
            Some(to_server::Body::Xform(frame)) => LinkEvent::Xform { case: case.clone(), frame },
            Some(to_server::Body::Still(piece)) => LinkEvent::Still { case: case.clone(), piece },
            Some(to_server::Body::Ink(heard)) => LinkEvent::Ink { case: case.clone(), heard },
            Some(to_server::Body::Keyframe(wanted)) => match FeedId::parse(&wanted.feed) {
                Ok(feed) => LinkEvent::KeyframeWanted { case: case.clone(), feed },
                Err(_) => continue,
            },
            Some(to_server::Body::Rebased(rebased)) => {
                // Once a stroke, and said once only: it is not dropped.
                if let Some(rebase) = rebased.rebase
                    && let Err(reason) = tell(shared, LinkEvent::Rebased { case: case.clone(), rebase }, patience).await
                {
                    return reason;
                }
                continue;
            }
            Some(to_server::Body::Hello(_)) | None => continue,
        };
        if shared.events.try_send(event).is_err() {
            shared.counters.events_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What must not be dropped. Errors: there was no room for so long; the link is to end, so that engine and case begin anew.
async fn tell(shared: &Shared, event: LinkEvent, patience: Duration) -> Result<(), String> {
    shared.events.send_timeout(event, patience).await.map_err(|_| {
        shared.counters.events_dropped.fetch_add(1, Ordering::Relaxed);
        format!("the server has not taken the engine's words for {} s", patience.as_secs())
    })
}

async fn run_media(stream: UnixStream, shared: Shared) {
    let (mut stream, down) = stream.into_split();
    let mut buffer = BytesMut::with_capacity(256 * 1024);
    let Ok(Some(first)) = timeout(HELLO_WITHIN, next_record(&mut stream, &mut buffer)).await else { return };
    let link_id = String::from_utf8_lossy(&first).into_owned();
    let taken = {
        let mut links = lock(&shared.links);
        let link = links.get_mut(&link_id);
        link.and_then(|link| Some((link.media_queue.take()?, link.case.clone(), link.layers.subscribe())))
    };
    let Some((queue, case, mut layers)) = taken else {
        tracing::warn!("a media connection named no link");
        return;
    };
    let writing = tokio::spawn(write_records(down, queue));
    loop {
        // Ends with the link: pictures of an engine that was given up, and wakes, are not those of the one that came after it.
        let packet = tokio::select! {
            biased;
            changed = layers.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
            packet = next_record(&mut stream, &mut buffer) => match packet {
                Some(packet) => packet,
                None => break,
            },
        };
        let known = ssrc_of(&packet).and_then(|ssrc| layers.borrow().get(&ssrc).cloned());
        let Some((feed, layer, codec)) = known else {
            shared.counters.rtp_unknown.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let received: Moment = shared.timeline.moment();
        let packet = FeedPacket { case: case.clone(), feed, layer, codec, packet, received };
        if shared.sfu.feed_rtp(packet).is_err() {
            shared.counters.rtp_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    writing.abort();
}

/// What one engine is to be told.
struct Orders {
    commands: mpsc::Receiver<ToEngine>,
    curtain: watch::Receiver<Option<bool>>,
}

impl Orders {
    /// The curtain before all that waits. `None`: the link is no more. Cancel-safe.
    async fn next(&mut self) -> Option<ToEngine> {
        tokio::select! {
            biased;
            changed = self.curtain.changed() => {
                changed.ok()?;
                let drawn = self.curtain.borrow_and_update().unwrap_or(true);
                Some(ToEngine { body: Some(to_engine::Body::Curtain(wire::Curtain { drawn })) })
            }
            command = self.commands.recv() => command,
        }
    }
}

type Registered = (String, CaseId, Orders);

fn register(hello: &Hello, shared: &Shared) -> Result<Registered, (&'static str, String)> {
    if hello.version != link::LINK_VERSION {
        let message = format!(
            "the engine speaks link version {}, this server {}; install the same release",
            hello.version,
            link::LINK_VERSION
        );
        return Err(("link.version", message));
    }
    let case = CaseId::parse(&hello.case_id).map_err(|e| ("link.case", e.to_string()))?;
    let layers = read_layers(&hello.layers)?;
    let mut links = lock(&shared.links);
    if links.values().any(|l| l.case == case) {
        let message = format!(
            "another engine already serves the case {case}: stop that one first, or start this one for a case of its own"
        );
        return Err(("link.case-taken", message));
    }
    if links.len() >= LINKS_MAX {
        return Err(("link.full", format!("this server serves {LINKS_MAX} engines, the limit")));
    }
    let link_id = random_id().ok_or(("link.random", "the server's system gives no random numbers".to_owned()))?;
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let layers = watch::Sender::new(layers);
    let (media_out, media_queue) = mpsc::channel(MEDIA_QUEUE);
    let (curtain, curtain_told) = watch::channel(None);
    let link = Link { case: case.clone(), commands, curtain, media_out, media_queue: Some(media_queue), layers };
    links.insert(link_id.clone(), link);
    Ok((link_id, case, Orders { commands: receiver, curtain: curtain_told }))
}

/// What each SSRC carries, as the engine says; the code and sentence of a refusal where it makes no sense.
fn read_layers(infos: &[wire::LayerInfo]) -> Result<Layers, (&'static str, String)> {
    if infos.len() > LAYERS_MAX {
        return Err(("link.layers", format!("{} layers are over this server's limit of {LAYERS_MAX}", infos.len())));
    }
    let mut layers = BTreeMap::new();
    for info in infos {
        let feed = FeedId::parse(&info.feed).map_err(|e| ("link.feed", e.to_string()))?;
        let layer = LayerId::parse(&info.layer).ok_or(("link.layer", format!("{:?} is not a layer", info.layer)))?;
        let codec = match info.codec.as_str() {
            "H264" => VideoCodec::H264,
            "VP8" => VideoCodec::Vp8,
            other => return Err(("link.codec", format!("{other:?} is not a codec of this server"))),
        };
        if layers.insert(info.ssrc, (feed, layer, codec)).is_some() {
            return Err(("link.ssrc", format!("SSRC {} names two layers", info.ssrc)));
        }
    }
    Ok(layers)
}

fn feeds_of(layers: &Layers) -> BTreeSet<FeedId> {
    layers.values().map(|(feed, _, _)| feed.clone()).collect()
}

/// Feeds that are no longer carried are forgotten; who watches them sees them again when they return.
fn replace_layers(shared: &Shared, case: &CaseId, link_id: &str, layers: Layers) {
    let kept = feeds_of(&layers);
    let former = lock(&shared.links).get(link_id).map(|link| link.layers.send_replace(layers)).unwrap_or_default();
    for feed in feeds_of(&former).difference(&kept) {
        let _ = shared.sfu.forget_feed(case.clone(), feed.clone());
    }
}

/// 128 random bits in hex: who holds it holds the link.
fn random_id() -> Option<String> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// SSRC of an RTP packet; `None` when it is none. Source: RFC 3550 §5.1.
fn ssrc_of(packet: &[u8]) -> Option<u32> {
    if packet.len() < 12 || packet[0] >> 6 != 2 {
        return None;
    }
    packet.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
}

async fn next_message(stream: &mut UnixStream, buffer: &mut BytesMut) -> Result<Option<ToServer>, ControlError> {
    loop {
        if let Some(message) = take_message(buffer)? {
            return Ok(Some(message));
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

async fn next_record(stream: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if let Some(record) = take_record(buffer) {
            return Some(record);
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// What waits goes out in one write.
async fn write_records(mut down: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>) {
    let (mut packets, mut out) = (Vec::with_capacity(MEDIA_QUEUE), BytesMut::new());
    while queue.recv_many(&mut packets, MEDIA_QUEUE).await > 0 {
        for packet in packets.drain(..) {
            // RTP packets fit; one that does not is none.
            let _ = write_record(&mut out, &packet);
        }
        if down.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}

/// `within`: an engine that does not read for so long (one that was halted) is gone; while it is waited for, nothing else is heard or told.
async fn write<W: tokio::io::AsyncWrite + Unpin>(writer: &mut W, message: &ToEngine, within: Duration) -> io::Result<()> {
    let mut out = BytesMut::new();
    write_message(&mut out, message);
    let unread = |_| io::Error::new(io::ErrorKind::TimedOut, format!("the engine has not read for {} s", within.as_secs()));
    timeout(within, writer.write_all(&out)).await.map_err(unread)?
}

/// A panic while holding this lock leaves nothing half-done in it: each change is one insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
