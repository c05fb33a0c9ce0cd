//! Feeds that are published to the server and come down the media socket as RTP, to be composed.
//!
//! One thread owns their decoders, so that starting or ending one holds up neither the link nor the program. A decoder's pictures
//! go to the board from its own thread, stamped with the capture time that their RTP timestamp names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use link::wire::{FeedInfo, FeedList, Ingest, KeyframeWanted, LayerInfo, to_server};

use super::order::{Came, Order};
use super::thirst::Thirst;
use crate::board::{Board, CapturedFrame, FeedSlot};
use crate::clock::LocalClock;
use crate::encode::rtp::HEADER_BYTES;
use crate::figures::Watcher;
use crate::mask::{MaskConfig, Masking};
use crate::output::link::{LayerSpec, LinkHandle};
use crate::picture::Picture;
use crate::program::align::Timing;
use crate::program::layout::Layout;
use crate::program::stage::{Actor, Stage};
use crate::scale::Scaler;
use crate::timing::case_clock::CaseClock;

/// Packets between the link and the decoders: 2 Mbit/s of 1,100 bytes are 230 a second, so 2 s. Policy: drop_newest; the decoder
/// then asks for a keyframe.
const PACKETS_MAX: usize = 512;
/// Room for everything else beside them: a few words when a feed comes or goes. Policy: drop_newest.
const WORDS_MAX: usize = 64;
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// Captures further from now than this are not believed.
const AGE_MAX: Duration = Duration::from_secs(10);
const AHEAD_MAX: Duration = Duration::from_millis(500);
/// What a feed is taken for until its first picture is decoded.
const NATIVE_GUESS: (u32, u32) = (1280, 720);
const PERIOD_GUESS_US: u32 = 33_333;

/// To the thread of published feeds.
#[derive(Debug)]
pub enum Message {
    Ingest(Ingest),
    Packet(Bytes),
    /// The first picture, or one of another size, came.
    Size {
        feed: FeedId,
        width: u32,
        height: u32,
    },
    /// Another layout for the program.
    Layout(String),
    /// Aligned, or now.
    Timing(Timing),
    /// The link ended: what came with it is over.
    LinkLost,
}

/// Hands messages to the thread of published feeds without ever waiting.
#[derive(Debug, Clone)]
pub struct Published {
    sender: SyncSender<Message>,
    packets: Arc<AtomicUsize>,
}

impl Published {
    /// False when there was no room; a flood of packets leaves room for other messages.
    pub fn send(&self, message: Message) -> bool {
        if !matches!(message, Message::Packet(_)) {
            return self.sender.try_send(message).is_ok();
        }
        if self.packets.fetch_add(1, Ordering::AcqRel) < PACKETS_MAX && self.sender.try_send(message).is_ok() {
            return true;
        }
        self.packets.fetch_sub(1, Ordering::AcqRel);
        false
    }
}

pub fn channel() -> (Published, Receiver<Message>) {
    let (sender, receiver) = sync_channel(PACKETS_MAX + WORDS_MAX);
    (Published { sender, packets: Arc::default() }, receiver)
}

/// The capture time that an RTP timestamp of 90 kHz names, near `now`; it wraps every 13 h.
pub fn capture_of(rtp_ts: u32, now: CaptureTime) -> CaptureTime {
    let ticks = rtp_ts.wrapping_sub(now.rtp_90khz()) as i32;
    now.offset_ns(i64::from(ticks) * 100_000 / 9)
}

/// The thread of published feeds.
pub struct Desk {
    stage: Stage,
    /// That the program can be given.
    layouts: Vec<Layout>,
    layers: Vec<LayerSpec>,
    masks: Vec<MaskConfig>,
    sender: Published,
    clock: LocalClock,
    case_clock: Arc<CaseClock>,
    board: Arc<Board>,
    link: LinkHandle,
    /// By SSRC.
    decoders: BTreeMap<u32, Decoder>,
    /// The SSRC of packets that were here before the word of them: they come by another socket.
    missed: Option<u32>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({} decoders)", self.decoders.len())
    }
}

impl Desk {
    #[allow(clippy::too_many_arguments, reason = "built once, by the engine")]
    pub fn new(
        stage: Stage,
        layouts: Vec<Layout>,
        layers: Vec<LayerSpec>,
        sender: Published,
        clock: LocalClock,
        case_clock: Arc<CaseClock>,
        board: Arc<Board>,
        link: LinkHandle,
    ) -> Self {
        let (masks, decoders, missed) = Default::default();
        Desk { stage, layouts, layers, masks, sender, clock, case_clock, board, link, decoders, missed }
    }

    pub fn with_masks(self, masks: Vec<MaskConfig>) -> Self {
        Desk { masks, ..self }
    }

    /// Until the engine stops.
    pub fn run(mut self, messages: &Receiver<Message>) {
        while !self.board.is_stopped() {
            match messages.recv_timeout(LOOK_AROUND) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => self.look_around(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Ingest(ingest) if ingest.ended => {
                if let Some(id) = ingest.feed.and_then(|f| FeedId::parse(&f.feed).ok()) {
                    self.end(&id);
                }
            }
            Message::Ingest(ingest) => self.begin(ingest),
            Message::Packet(packet) => {
                self.sender.packets.fetch_sub(1, Ordering::AcqRel);
                self.handle_packet(packet);
            }
            Message::Size { feed, width, height } => self.handle_size(&feed, width, height),
            Message::Layout(name) => self.change_layout(&name),
            Message::Timing(timing) => self.change_timing(timing),
            Message::LinkLost => {
                let over: Vec<FeedId> = self.decoders.values().map(|d| d.actor.id.clone()).collect();
                over.iter().for_each(|id| self.end(id));
                self.missed = None;
            }
        }
    }

    fn begin(&mut self, ingest: Ingest) {
        let Some((id, info)) = ingest.feed.and_then(|f| Some((FeedId::parse(&f.feed).ok()?, f))) else { return };
        let Some(seat) = self.stage.seat(&id) else {
            tracing::warn!(feed = %id, "a published feed has no place: its name is taken, or too many are there");
            return;
        };
        // A publisher that came again has another SSRC.
        self.decoders.retain(|_, d| d.actor.id != id);
        let or = |value: u32, guess: u32| if value == 0 { guess } else { value };
        let (width, height) = (or(info.width, NATIVE_GUESS.0), or(info.height, NATIVE_GUESS.1));
        let info = FeedInfo { width, height, period_us: or(info.period_us, PERIOD_GUESS_US), ..info };
        let actor = Actor {
            feed: seat,
            id: id.clone(),
            native: Some((width as usize, height as usize)),
            period: Duration::from_micros(u64::from(info.period_us)),
            info,
        };
        let curtain = actor.info.curtain;
        let masked = self.masks.iter().any(|m| m.feed == id);
        self.board.change(|state| {
            state.set_masked(seat, masked);
            state.put_behind_curtain(seat, curtain);
        });
        let started = self.start(&actor, &ingest.codec);
        self.stage.enter(actor);
        self.publish();
        match started {
            Ok(mut decoder) => {
                tracing::info!(feed = %id, codec = ingest.codec, "a published feed is composed");
                decoder.broken = self.missed.take() == Some(ingest.ssrc);
                self.decoders.insert(ingest.ssrc, decoder);
            }
            Err(problem) => {
                tracing::error!(feed = %id, problem, "a published feed cannot be decoded");
                self.board.set_problem(seat, format!("The published feed cannot be decoded ({problem}); publish H.264 or VP8."));
            }
        }
    }

    fn end(&mut self, id: &FeedId) {
        self.decoders.retain(|_, d| d.actor.id != *id);
        let Some(actor) = self.stage.leave(id) else { return };
        tracing::info!(feed = %id, "a published feed ended");
        self.board.change(|state| {
            if let Some(slot) = state.feeds.get_mut(actor.feed) {
                *slot = FeedSlot::default();
            }
        });
        self.publish();
    }

    /// Pictures come at their new size from the next one on, and the stream goes on: no keyframe is needed.
    fn change_layout(&mut self, name: &str) {
        let Some(layout) = self.layouts.iter().find(|l| l.name == name) else {
            tracing::warn!(layout = %name.chars().take(32).collect::<String>(), "a layout that this engine does not have");
            return;
        };
        if self.stage.change_layout(layout.clone()) {
            tracing::info!(layout = name, "layout");
            self.publish();
        }
    }

    fn change_timing(&mut self, timing: Timing) {
        if self.board.read(|state| state.timing) != timing {
            tracing::info!(timing = timing.as_str(), "timing of the program");
            self.board.change(|state| state.timing = timing);
            self.publish();
        }
    }

    fn handle_size(&mut self, feed: &FeedId, width: u32, height: u32) {
        if self.stage.resize(feed, width, height) {
            tracing::info!(feed = %feed, width, height, "a feed has another size");
            self.publish();
            return;
        }
        let Some(decoder) = self.decoders.values_mut().find(|d| d.actor.id == *feed) else { return };
        if (decoder.actor.info.width, decoder.actor.info.height) == (width, height) {
            return;
        }
        decoder.actor.info.width = width;
        decoder.actor.info.height = height;
        decoder.actor.native = Some((width as usize, height as usize));
        self.stage.enter(decoder.actor.clone());
        self.publish();
    }

    /// Tells the program who stands where, and the server who is there.
    fn publish(&mut self) {
        let arrangement = self.stage.arrangement();
        let (ssrcs, timing) = self.board.change(|state| {
            state.arrange(arrangement);
            (state.wishes.up.as_ref().map(|up| up.ssrcs.clone()), state.timing)
        });
        let Some(ssrcs) = ssrcs else { return };
        let layers = self.layers.iter().zip(ssrcs).map(|(l, ssrc)| LayerInfo { ssrc, ..l.info() });
        let layout = self.stage.layout().to_owned();
        let list = FeedList { feeds: self.stage.infos(), layers: layers.collect(), layout, timing: timing.as_str().into() };
        if self.link.send_control(to_server::Body::Feeds(list)).is_none() {
            tracing::warn!("the server does not read; it will not know of a change of feeds");
        }
    }

    fn handle_packet(&mut self, packet: Bytes) {
        if packet.len() <= HEADER_BYTES || packet[0] >> 6 != 2 {
            return;
        }
        let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (rtp_ts, ssrc) = (word(4), word(8));
        let Some(decoder) = self.decoders.get_mut(&ssrc) else {
            self.missed = Some(ssrc);
            return;
        };
        let local = self.clock.now();
        let Some((now, _)) = self.case_clock.stamp(local) else { return };
        let capture = capture_of(rtp_ts, now);
        if now.since(capture) > AGE_MAX || capture.since(now) > AHEAD_MAX {
            self.board.set_problem(decoder.actor.feed, "The published feed is not on the time of the case.".into());
            return;
        }
        if !decoder.handle_packet(local, packet, capture) {
            return;
        }
        self.look_around();
        let Some(decoder) = self.decoders.get(&ssrc).filter(|d| !d.failed) else { return };
        let feed = decoder.actor.id.to_string();
        tracing::info!(feed, "a published feed cannot be decoded before its next keyframe, which is asked for");
        if self.link.send_control(to_server::Body::Keyframe(KeyframeWanted { feed })).is_none() {
            tracing::warn!("the server does not read; a keyframe is not asked for");
        }
    }

    /// A decoder that failed says so; its feed is lost until it is published again.
    fn look_around(&mut self) {
        for decoder in self.decoders.values_mut() {
            if let Some(problem) = decoder.error() {
                decoder.failed = true;
                tracing::warn!(feed = %decoder.actor.id, problem, "the decoder of a published feed failed");
                self.board.set_problem(decoder.actor.feed, "The published feed cannot be decoded; publish it again.".into());
            }
        }
    }

    fn start(&self, actor: &Actor, codec: &str) -> Result<Decoder, String> {
        let (name, decode) = match codec {
            "H264" => ("H264", "rtph264depay wait-for-keyframe=true ! avdec_h264 max-threads=1"),
            "VP8" => ("VP8", "rtpvp8depay wait-for-keyframe=true ! vp8dec threads=1"),
            other => return Err(format!("unknown codec {}", other.chars().take(16).collect::<String>())),
        };
        let (now, generation) = self.case_clock.stamp(self.clock.now()).ok_or("no clock yet")?;
        let line = format!(
            "appsrc name=in is-live=true format=time max-buffers={PACKETS_MAX} leaky-type=upstream \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={name},payload=96 ! {decode} \
             ! videoconvert ! video/x-raw,format=I420,colorimetry=bt709 ! appsink name=out sync=false max-buffers=2 drop=true"
        );
        let element = gst::parse::launch(&line).map_err(|e| e.to_string())?;
        let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
        let source = pipeline.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no source")?;
        let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no sink")?;
        // Before anything that may come, so that running times are positive.
        let base = now.saturating_sub(2 * AGE_MAX);
        let (feed, id, board, sender) = (actor.feed, actor.id.clone(), self.board.clone(), self.sender.clone());
        let made = Arc::new(AtomicU64::new(0));
        let count = made.clone();
        let (mut scaler, mut watcher, mut told) = (Scaler::default(), Watcher::default(), None);
        let mut masking = Masking::of(&id, &self.masks);
        let mut show = move |sample: &gst::Sample| -> Option<()> {
            let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
            let pts = sample.buffer()?.pts()?;
            let frame = gst_video::VideoFrame::from_buffer_readable(sample.buffer_owned()?, &info).ok()?;
            let mut picture = Arc::new(Picture::from_frame(frame)?);
            let size = (info.width(), info.height());
            if told != Some(size) && sender.send(Message::Size { feed: id.clone(), width: size.0, height: size.1 }) {
                told = Some(size);
            }
            let place = board.read(|state| state.feeds.get(feed).and_then(|slot| slot.place));
            let capture = base.saturating_add(Duration::from_nanos(pts.nseconds()));
            if let Some(masking) = &mut masking {
                let Some(masked) = masking.apply(picture, size) else {
                    board.hear_unmasked(feed, generation, capture, size);
                    return Some(());
                };
                picture = masked;
            }
            let glance = watcher.look(&picture);
            let placed = place.map(|place| scaler.fit(&picture, place));
            let own = Some(picture);
            let picture = if let Some(placed) = placed { Some(placed?) } else { None };
            let frame = CapturedFrame { capture, came: capture, origin: None, picture, single: None, own, glance };
            board.put(feed, generation, frame);
            Some(())
        };
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            count.fetch_add(1, Ordering::Relaxed);
            if show(&sample).is_none() {
                tracing::debug!("a decoded picture was not shown");
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        pipeline.set_state(gst::State::Playing).map_err(|_| "the decoder does not start")?;
        let (order, thirst, broken, failed) = Default::default();
        Ok(Decoder { pipeline, source, base, actor: actor.clone(), made, order, thirst, broken, failed })
    }
}

/// One decoder. Dropping it ends it.
struct Decoder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    base: CaptureTime,
    actor: Actor,
    /// Pictures that it has decoded.
    made: Arc<AtomicU64>,
    order: Order<(Bytes, CaptureTime)>,
    thirst: Thirst,
    /// Its beginning is missing.
    broken: bool,
    failed: bool,
}

impl Decoder {
    /// A whole RTP packet. True: its camera is to be asked for a keyframe.
    fn handle_packet(&mut self, now: CaptureTime, packet: Bytes, capture: CaptureTime) -> bool {
        let (seq, end) = (u16::from_be_bytes([packet[2], packet[3]]), packet[1] & 0x80 != 0);
        let (source, base) = (&self.source, self.base);
        let came = self.order.handle_packet(now, seq, (packet, capture), |(packet, capture)| push(source, base, packet, capture));
        let broken = std::mem::take(&mut self.broken) || came == Came::Gap;
        self.thirst.handle_packet(now, end, self.made.load(Ordering::Relaxed), broken)
    }

    fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        }
    }
}

fn push(source: &gst_app::AppSrc, base: CaptureTime, packet: Bytes, capture: CaptureTime) {
    let mut buffer = gst::Buffer::from_slice(packet);
    if let Some(b) = buffer.get_mut() {
        b.set_pts(gst::ClockTime::from_nseconds(capture.since(base).as_nanos() as u64));
    }
    // Refused only while it ends.
    let _ = source.push_buffer(buffer);
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_packets_leaves_room_for_the_word_that_ends_it() {
        let (published, messages) = channel();
        let sent = (0..10_000).filter(|_| published.send(Message::Packet(Bytes::from_static(b"x")))).count();
        assert_eq!(sent, PACKETS_MAX);
        assert!(published.send(Message::LinkLost));
        assert_eq!(messages.try_iter().count(), PACKETS_MAX + 1);
    }

    #[test]
    fn a_timestamp_names_the_capture_nearest_to_now_across_the_wrap() {
        let mut now = CaptureTime::from_unix(Duration::from_secs(1_790_000_000));
        for _ in 0..30 {
            for ms in [-9_000i64, -33, 0, 40] {
                let capture = now.offset_ns(ms * 1_000_000);
                let error = capture_of(capture.rtp_90khz(), now).minus_ns(capture);
                assert!(error.abs() < 23_000, "{error} ns: within two ticks");
            }
            now = now.saturating_add(Duration::from_secs(1800));
        }
    }
}
