//! One encoder: pictures in, RTP packets of whole frames out, on GStreamer's own thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use annotation::time::CaptureTime;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::keyframe::KeyframeGate;
use super::rtp;
use super::settings::{EncoderKind, EncoderSettings};
use crate::clock::LocalClock;
use crate::picture::{Geometry, Picture};

/// Pictures inside the encoder at once. Policy: drop_newest; a third would only be late.
const IN_FLIGHT_MAX: u32 = 2;

/// One encoded frame, all its packets, in order. Sequence numbers are set when they are written.
#[derive(Debug)]
pub struct EncodedFrame {
    /// When its main feed was captured, case timeline.
    pub capture: CaptureTime,
    pub keyframe: bool,
    pub packets: Vec<Vec<u8>>,
    /// From picture in to last packet out.
    pub encode_us: u32,
    /// The control message that must be written before this frame.
    pub after_control: u64,
}

/// What is remembered of a picture while it is inside.
#[derive(Debug, Clone, Copy)]
struct Tag {
    running: gst::ClockTime,
    rtp_ts: u32,
    capture: CaptureTime,
    pushed: CaptureTime,
    after_control: u64,
}

struct Shared {
    tags: Mutex<VecDeque<Tag>>,
    in_flight: AtomicU32,
    gate: Mutex<KeyframeGate>,
}

/// Wraps a picture for an `appsrc`; `None` for a picture that lies in a decoder's memory.
pub fn to_buffer(picture: &Arc<Picture>) -> Option<gst::Buffer> {
    picture.bytes().map(|_| picture.to_buffer())
}

/// A running encoder. Dropping it ends it.
pub struct LayerEncoder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    encoder: gst::Element,
    kind: EncoderKind,
    input: Geometry,
    shared: Arc<Shared>,
    first: Option<CaptureTime>,
    dropped: u64,
}

impl std::fmt::Debug for LayerEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerEncoder({:?})", self.kind)
    }
}

impl LayerEncoder {
    /// Starts an encoder for pictures of size `input`, whose packets carry `ssrc`; `deliver` is called on GStreamer's thread and must not block.
    pub fn start(
        settings: &EncoderSettings,
        input: Geometry,
        ssrc: u32,
        clock: LocalClock,
        deliver: impl Fn(EncodedFrame) + Send + 'static,
    ) -> Result<Self, gst::glib::Error> {
        // Scaled on the encoder's thread, not on the one that composes.
        let scaled = match input == settings.size {
            true => String::new(),
            false => format!("videoscale method=bilinear ! {} !", settings.raw_caps().replace(' ', "")),
        };
        let line = format!(
            "appsrc name=in is-live=true format=time max-buffers={IN_FLIGHT_MAX} block=false caps={caps} ! {scaled} {encoder} ! {payloader} ! appsink name=out sync=false",
            caps = EncoderSettings { size: input, ..*settings }.raw_caps().replace(' ', ""),
            encoder = settings.description(),
            payloader = settings.packets(),
        );
        let pipeline = gst::parse::launch(&line)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| gst::glib::Error::new(gst::CoreError::Failed, "the encoder is no pipeline"))?;
        let missing = |name: &str| gst::glib::Error::new(gst::CoreError::MissingPlugin, name);
        let source =
            pipeline.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or_else(|| missing("appsrc"))?;
        let sink =
            pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or_else(|| missing("appsink"))?;
        let encoder = pipeline.by_name("encoder").ok_or_else(|| missing("encoder"))?;
        let shared =
            Arc::new(Shared { tags: Mutex::default(), in_flight: AtomicU32::new(0), gate: Mutex::new(KeyframeGate::default()) });

        let vp8 = settings.kind == EncoderKind::Vp8;
        let mut collector = Collector { shared: shared.clone(), ssrc, vp8, clock, packets: Vec::new(), keyframe: false };
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(frame) = collector.handle_sample(&sample) {
                        deliver(frame);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| gst::glib::Error::new(gst::CoreError::StateChange, "the encoder does not start"))?;
        Ok(LayerEncoder { pipeline, source, encoder, kind: settings.kind, input, shared, first: None, dropped: 0 })
    }

    /// Is there room for one more picture?
    pub fn has_room(&self) -> bool {
        self.shared.in_flight.load(Ordering::Acquire) < IN_FLIGHT_MAX
    }

    /// Encodes one picture. `capture`: its time on the case timeline, strictly later than the one before.
    /// False when it was dropped for want of room.
    pub fn push(&mut self, picture: &Arc<Picture>, capture: CaptureTime, after_control: u64, now: CaptureTime) -> bool {
        if !self.has_room() || picture.geometry() != self.input {
            self.dropped += 1;
            return false;
        }
        let mut buffer = picture.to_buffer();
        let first = *self.first.get_or_insert(capture);
        let running = gst::ClockTime::from_nseconds(capture.since(first).as_nanos() as u64);
        if self.gate().take(now) {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            if let Some(pad) = self.encoder.static_pad("src") {
                pad.send_event(event);
            }
        }
        // A decoder's buffer is shared: this copies its description, not its pixels.
        let description = buffer.make_mut();
        description.set_pts(running);
        description.set_dts(gst::ClockTime::NONE);
        description.set_duration(gst::ClockTime::NONE);
        let tag = Tag { running, rtp_ts: capture.rtp_90khz(), capture, pushed: now, after_control };
        self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner).push_back(tag);
        self.shared.in_flight.fetch_add(1, Ordering::AcqRel);
        if self.source.push_buffer(buffer).is_err() {
            self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner).pop_back();
            self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            self.dropped += 1;
            return false;
        }
        true
    }

    pub fn request_keyframe(&mut self) {
        self.gate().request();
    }

    pub fn set_bitrate(&mut self, bps: u32) {
        match self.kind {
            EncoderKind::X264 => self.encoder.set_property("bitrate", (bps / 1000).max(1)),
            EncoderKind::OpenH264 => {
                self.encoder.set_property("max-bitrate", bps + bps / 4);
                self.encoder.set_property("bitrate", bps);
            }
            EncoderKind::Vp8 => self.encoder.set_property("target-bitrate", i32::try_from(bps).unwrap_or(i32::MAX)),
        }
    }

    /// A picture was due that it had no room for.
    pub fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The encoder's own error since the last call, for the log. It is to be started anew then.
    pub fn error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        }
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, KeyframeGate> {
        self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LayerEncoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Gathers the packets of one frame and finds the picture they came from.
struct Collector {
    shared: Arc<Shared>,
    ssrc: u32,
    vp8: bool,
    clock: LocalClock,
    packets: Vec<Vec<u8>>,
    keyframe: bool,
}

impl Collector {
    fn handle_sample(&mut self, sample: &gst::Sample) -> Option<EncodedFrame> {
        let buffer = sample.buffer()?;
        // x264enc moves PTS by 1000 h and moves the segment with them; the running time is what we gave.
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let running = segment.to_running_time(buffer.pts()?)?;
        let tag = self.tag(running)?;
        let map = buffer.map_readable().ok()?;
        let mut packet = map.as_slice().to_vec();
        if !rtp::rewrite(&mut packet, tag.rtp_ts, self.ssrc) {
            return None;
        }
        if self.vp8 {
            self.keyframe |= rtp::begins_vp8_keyframe(&packet);
        } else {
            rtp::pin_profile_level(&mut packet);
            self.keyframe |= rtp::belongs_to_keyframe(&packet);
        }
        let last = rtp::marker(&packet);
        self.packets.push(packet);
        if !last {
            return None;
        }
        self.finish(running);
        let now = self.clock.now();
        let keyframe = std::mem::take(&mut self.keyframe);
        if keyframe {
            self.shared.gate.lock().unwrap_or_else(PoisonError::into_inner).handle_keyframe(now);
        }
        Some(EncodedFrame {
            capture: tag.capture,
            keyframe,
            packets: std::mem::take(&mut self.packets),
            encode_us: u32::try_from(now.since(tag.pushed).as_micros()).unwrap_or(u32::MAX),
            after_control: tag.after_control,
        })
    }

    fn tag(&self, running: gst::ClockTime) -> Option<Tag> {
        let tags = self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.iter().copied().find(|t| t.running.nseconds().abs_diff(running.nseconds()) < 1000)
    }

    /// Forgets this picture and any before it that the encoder swallowed.
    fn finish(&self, running: gst::ClockTime) {
        let mut tags = self.shared.tags.lock().unwrap_or_else(PoisonError::into_inner);
        while tags.front().is_some_and(|t| t.running.nseconds() < running.nseconds() + 1000) {
            tags.pop_front();
            self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
