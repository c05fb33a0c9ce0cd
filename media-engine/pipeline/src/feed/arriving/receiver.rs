//! One life of a receiving pipeline: pictures come on GStreamer's threads into a place for two, the feed's thread takes them.

use std::collections::VecDeque;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::recipe;
use super::trouble::{self, Trouble};
use crate::clock::LocalClock;
use crate::config::source::SourceConfig;
use crate::picture::Picture;

/// Pictures that wait for the feed's thread. Policy: drop_oldest.
const WAITING_MAX: usize = 2;
/// Packets whose sender's time is remembered until their picture is decoded: some pictures' worth. Policy: drop_oldest.
const SENT_MAX: usize = 64;

const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It is called: silence is a failure.
    Calls(Duration),
    /// It is waited for: silence after its pictures means that it left.
    Waits(Duration),
    /// It tells itself when it has no signal.
    Endless,
}

/// One decoded picture.
#[derive(Debug, Clone)]
pub struct Sample {
    pub picture: Arc<Picture>,
    pub native: (usize, usize),
    /// Local clock.
    pub came: CaptureTime,
    /// How long before that its source says it was captured.
    pub age_ns: Option<i64>,
    pub pts_ns: Option<i64>,
    /// The sender's own NTP time of it.
    pub sent: Option<CaptureTime>,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Mutex<VecDeque<Sample>>,
    bell: Condvar,
}

/// A running pipeline. Dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    pipeline: gst::Pipeline,
    slot: Arc<Slot>,
    config: SourceConfig,
}

impl Receiver {
    pub fn start(config: &SourceConfig, clock: LocalClock) -> Result<Self, Trouble> {
        let pipeline = recipe::pipeline(config).map_err(|e| trouble::of(config, &e, ""))?;
        Self::run(pipeline, config, clock)
    }

    /// Starts any pipeline that a recipe made.
    pub fn run(pipeline: gst::Pipeline, config: &SourceConfig, clock: LocalClock) -> Result<Self, Trouble> {
        let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok());
        let sink = sink.ok_or_else(|| trouble::silent(config))?;
        let slot = Arc::new(Slot::default());
        let times = SentTimes::default();
        if let Some(pad) = pipeline.by_name("decode").and_then(|d| d.static_pad("sink")) {
            let times = times.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                info.buffer().into_iter().for_each(|b| times.note(b));
                gst::PadProbeReturn::Ok
            });
        }
        let (put, weak) = (slot.clone(), pipeline.downgrade());
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let pipeline = weak.upgrade().ok_or(gst::FlowError::Eos)?;
            match read(&sample, &pipeline, &times, clock) {
                Some(sample) => {
                    let mut waiting = put.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    if waiting.len() == WAITING_MAX {
                        waiting.pop_front();
                    }
                    waiting.push_back(sample);
                    drop(waiting);
                    put.bell.notify_one();
                }
                None => tracing::debug!("a decoded picture has an unknown form"),
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        let receiver = Receiver { pipeline, slot, config: config.clone() };
        match receiver.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(receiver),
            Err(_) => Err(receiver.trouble().unwrap_or_else(|| trouble::not_started(config))),
        }
    }

    /// The oldest picture that waits, or the next to come within `wait`.
    pub fn take(&self, wait: Duration) -> Option<Sample> {
        let waiting = self.slot.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.slot.bell.wait_timeout_while(waiting, wait, |w| w.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }

    /// Why no more will come, if so.
    pub fn trouble(&self) -> Option<Trouble> {
        let bus = self.pipeline.bus()?;
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]) {
            match message.view() {
                gst::MessageView::Error(e) => {
                    let debug = e.debug().map(|d| d.to_string()).unwrap_or_default();
                    // GStreamer does not say why a connection was not made: who asks again is told.
                    let unconnected = debug.contains("Failed to connect").then(|| connect(&self.config)).flatten();
                    return Some(match unconnected {
                        Some(error) => trouble::unconnected(&self.config, &error),
                        None => trouble::of(&self.config, &e.error(), &debug),
                    });
                }
                gst::MessageView::Eos(_) => return Some(trouble::ended(&self.config)),
                _ => {}
            }
        }
        None
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Why no connection is made to an RTSP server, if none is.
fn connect(config: &SourceConfig) -> Option<std::io::Error> {
    let SourceConfig::Rtsp(rtsp) = config else { return None };
    let (scheme, rest) = rtsp.url.split_once("://")?;
    let host = rest.split('/').next()?;
    // The brackets of an IPv6 address hold colons too.
    let named = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if scheme == "rtsps" { 322 } else { 554 };
    let address = if named { host.to_owned() } else { format!("{host}:{port}") };
    match address.to_socket_addrs() {
        Err(error) => Some(std::io::Error::other(error.to_string())),
        Ok(mut addresses) => TcpStream::connect_timeout(&addresses.next()?, CONNECT_MAX).err(),
    }
}

fn read(sample: &gst::Sample, pipeline: &gst::Pipeline, times: &SentTimes, clock: LocalClock) -> Option<Sample> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let buffer = sample.buffer_owned()?;
    let pts = buffer.pts();
    let running = pts.and_then(|pts| sample.segment()?.downcast_ref::<gst::ClockTime>()?.to_running_time(pts));
    let now = pipeline.clock().and_then(|c| c.time().checked_sub(pipeline.base_time()?));
    let age_ns = match (now, running) {
        (Some(now), Some(running)) => Some(now.nseconds() as i64 - running.nseconds() as i64),
        _ => None,
    };
    let (w, h) = (info.width() as usize, info.height() as usize);
    let par = info.par();
    let wide = w * par.numer().max(1) as usize / par.denom().max(1) as usize;
    let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info).ok()?;
    let picture = Arc::new(even(frame)?);
    Some(Sample {
        picture,
        native: (wide.clamp(16, 4 * w), h),
        came: clock.now(),
        age_ns,
        pts_ns: running.map(|r| r.nseconds() as i64),
        sent: pts.and_then(|pts| times.of(pts)),
    })
}

/// A picture of an odd size loses its last row or column.
fn even(frame: gst_video::VideoFrame<gst_video::video_frame::Readable>) -> Option<Picture> {
    let (w, h) = (frame.info().width(), frame.info().height());
    if w.is_multiple_of(2) && h.is_multiple_of(2) {
        return Picture::from_frame(frame);
    }
    Picture::copy_even(&frame)
}

/// Sender's time of packets on their way through the decoder, by presentation time.
#[derive(Debug, Clone, Default)]
struct SentTimes(Arc<Mutex<VecDeque<(gst::ClockTime, CaptureTime)>>>);

impl SentTimes {
    fn note(&self, buffer: &gst::BufferRef) {
        let Some(pts) = buffer.pts() else { return };
        let Some(sent) = buffer.iter_meta::<gst::ReferenceTimestampMeta>().find_map(|m| ntp(&m)) else { return };
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.back().is_some_and(|(at, _)| *at == pts) {
            return;
        }
        if times.len() == SENT_MAX {
            times.pop_front();
        }
        times.push_back((pts, sent));
    }

    fn of(&self, pts: gst::ClockTime) -> Option<CaptureTime> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.iter().rev().find(|(at, _)| *at == pts).map(|(_, sent)| *sent)
    }
}

/// Nanoseconds since 1900 as NTP 32.32.
fn ntp(meta: &gst::ReferenceTimestampMeta) -> Option<CaptureTime> {
    let is_ntp = meta.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-ntp");
    is_ntp.then(|| {
        let ns = meta.timestamp().nseconds();
        CaptureTime(((ns / 1_000_000_000) << 32) + (((ns % 1_000_000_000) << 32) / 1_000_000_000))
    })
}
