//! How each kind of source is received: its elements, and what is told to them. Text of the configuration goes into properties, never into a
//! line that is parsed.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::receiver::Patience;
use crate::config::source::{
    CaptureClock, Decklink, DecklinkInput, Expect, Rtp, RtpCodec, Rtsp, SourceConfig, Srt, Transport, V4l2,
};

/// After so long without a picture a server that was called is called again.
const CALLED_PATIENCE: Duration = Duration::from_secs(5);
/// After so long without a picture of one that came, its port is opened anew: it may come back as somebody else.
const WAITED_PATIENCE: Duration = Duration::from_secs(2);

/// What turns any received form into pictures: nothing is held back, and a picture that lacks its reference is not shown.
const DECODE: &str = "decodebin name=decode ! deinterlace ! videoconvert \
    ! video/x-raw,format=I420,colorimetry=bt709 ! appsink name=out sync=false max-buffers=2 drop=true";

/// An element that must be there.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    pub name: &'static str,
    pub purpose: &'static str,
    pub package: &'static str,
}

/// `None`: not a source that arrives by itself.
pub fn elements(config: &SourceConfig) -> Option<&'static [Needed]> {
    const GOOD: &str = "gstreamer1.0-plugins-good";
    const BAD: &str = "gstreamer1.0-plugins-bad";
    Some(match config {
        SourceConfig::Rtsp(_) => &[Needed { name: "rtspsrc", purpose: "RTSP", package: GOOD }],
        SourceConfig::Srt(_) => {
            &[Needed { name: "srtsrc", purpose: "SRT", package: BAD }, Needed { name: "tsdemux", purpose: "SRT", package: BAD }]
        }
        SourceConfig::Rtp(_) => &[Needed { name: "rtpbin", purpose: "RTP", package: GOOD }],
        SourceConfig::V4l2(_) => &[Needed { name: "v4l2src", purpose: "a V4L2 camera", package: GOOD }],
        SourceConfig::Decklink(_) => &[Needed { name: "decklinkvideosrc", purpose: "a DeckLink card", package: BAD }],
        _ => return None,
    })
}

pub fn expect(config: &SourceConfig) -> Expect {
    match config {
        SourceConfig::Rtsp(c) => c.expect,
        SourceConfig::Srt(c) => c.expect,
        SourceConfig::Rtp(c) => c.expect,
        SourceConfig::V4l2(c) => c.expect,
        SourceConfig::Decklink(c) => c.expect,
        _ => Expect::default(),
    }
}

pub fn clock(config: &SourceConfig) -> CaptureClock {
    match config {
        SourceConfig::Rtsp(c) => c.clock,
        SourceConfig::Rtp(c) => c.clock,
        _ => CaptureClock::Arrival,
    }
}

/// A device of this machine says itself when it captured; a network does not say how long the way was.
pub fn is_from_network(config: &SourceConfig) -> bool {
    matches!(config, SourceConfig::Rtsp(_) | SourceConfig::Srt(_) | SourceConfig::Rtp(_))
}

/// Its pictures are numbered evenly, but say nothing of when they were captured: a transport stream's clock leads its pictures by
/// whatever its sender chose.
pub fn numbers_only(config: &SourceConfig) -> bool {
    matches!(config, SourceConfig::Srt(_))
}

pub fn patience(config: &SourceConfig) -> Patience {
    match config {
        SourceConfig::Rtsp(_) | SourceConfig::V4l2(_) | SourceConfig::Srt(Srt { call: Some(_), .. }) => {
            Patience::Calls(CALLED_PATIENCE)
        }
        SourceConfig::Decklink(_) => Patience::Endless,
        _ => Patience::Waits(WAITED_PATIENCE),
    }
}

/// A pipeline whose pictures come out of `out`; stopped.
pub fn pipeline(config: &SourceConfig) -> Result<gst::Pipeline, gst::glib::Error> {
    match config {
        SourceConfig::Rtsp(rtsp) => of_rtsp(rtsp),
        SourceConfig::Srt(srt) => of_srt(srt),
        SourceConfig::Rtp(rtp) => of_rtp(rtp),
        SourceConfig::V4l2(camera) => of_v4l2(camera),
        SourceConfig::Decklink(card) => of_decklink(card),
        _ => Err(gst::glib::Error::new(gst::CoreError::Failed, "not a source that arrives by itself")),
    }
}

/// A source of any element that delivers pictures, for whom has no device: `head` is a fragment of a launch line.
pub fn of_line(head: &str) -> Result<gst::Pipeline, gst::glib::Error> {
    let pipeline = gst::parse::launch(&format!("{head} ! {DECODE}"))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| gst::glib::Error::new(gst::CoreError::Failed, "no pipeline"))?;
    if let Some(decode) = pipeline.by_name("decode").and_then(|d| d.downcast::<gst::Bin>().ok()) {
        decode.connect_deep_element_added(|_, _, element| low_delay(element));
    }
    Ok(pipeline)
}

/// Decoders as they are would show broken pictures and hold some back.
fn low_delay(element: &gst::Element) {
    let name = element.factory().map(|f| f.name().to_string()).unwrap_or_default();
    let set = |property: &str, value: &str| {
        if element.find_property(property).is_some() {
            element.set_property_from_str(property, value);
        }
    };
    if name.starts_with("avdec_") {
        set("max-threads", "1");
        set("output-corrupt", "false");
    }
    if name == "vp8dec" || name == "vp9dec" {
        set("threads", "1");
    }
    if name.starts_with("rtp") && name.ends_with("depay") {
        set("wait-for-keyframe", "true");
        set("request-keyframe", "true");
    }
}

fn source(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, gst::glib::Error> {
    pipeline.by_name(name).ok_or_else(|| gst::glib::Error::new(gst::CoreError::MissingPlugin, name))
}

fn of_rtsp(config: &Rtsp) -> Result<gst::Pipeline, gst::glib::Error> {
    let pipeline = of_line("rtspsrc name=source")?;
    let source = source(&pipeline, "source")?;
    source.set_property("location", &config.url);
    source.set_property("latency", config.latency_ms);
    source.set_property("drop-on-latency", true);
    source.set_property("add-reference-timestamp-meta", config.clock == CaptureClock::Sender);
    source.set_property_from_str("protocols", if config.transport == Transport::Tcp { "tcp" } else { "udp" });
    source.set_property("tcp-timeout", CALLED_PATIENCE.as_micros() as u64);
    source.set_property("timeout", CALLED_PATIENCE.as_micros() as u64);
    if let Some(user) = &config.user {
        source.set_property("user-id", user);
    }
    if let Some(password) = &config.password {
        source.set_property("user-pw", password.expose());
    }
    // Sound and what else it offers stays where it is.
    source.connect("select-stream", false, |values| {
        let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        let media = caps.and_then(|c| c.structure(0).and_then(|s| s.get::<String>("media").ok()));
        Some((media.as_deref() == Some("video")).to_value())
    });
    Ok(pipeline)
}

fn of_srt(config: &Srt) -> Result<gst::Pipeline, gst::glib::Error> {
    let pipeline = of_line("srtsrc name=source")?;
    let source = source(&pipeline, "source")?;
    let uri = match (&config.listen, &config.call) {
        (Some(listen), _) => format!("srt://{listen}?mode=listener"),
        (None, call) => format!("srt://{}?mode=caller", call.as_deref().unwrap_or_default()),
    };
    source.set_property("uri", uri);
    source.set_property("latency", i32::try_from(config.latency_ms).unwrap_or(i32::MAX));
    // A caller that fails says why, and we call again.
    source.set_property("auto-reconnect", false);
    if let Some(passphrase) = &config.passphrase {
        source.set_property("passphrase", passphrase.expose());
    }
    if let Some(id) = &config.stream_id {
        source.set_property("streamid", id);
    }
    Ok(pipeline)
}

fn of_rtp(config: &Rtp) -> Result<gst::Pipeline, gst::glib::Error> {
    let by_sender = config.clock == CaptureClock::Sender;
    let rtcp = if by_sender { "udpsrc name=rtcp ! rtp.recv_rtcp_sink_0" } else { "" };
    let pipeline = of_line(&format!("rtpbin name=rtp udpsrc name=source ! rtp.recv_rtp_sink_0 {rtcp} rtp."))?;
    let bin = source(&pipeline, "rtp")?;
    bin.set_property("latency", config.latency_ms);
    bin.set_property("drop-on-latency", true);
    bin.set_property("add-reference-timestamp-meta", by_sender);
    let mut caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("clock-rate", 90_000)
        .field("payload", i32::from(config.payload));
    let Expect { width, height, rate } = config.expect;
    caps = match config.codec {
        RtpCodec::H264 => caps.field("encoding-name", "H264"),
        RtpCodec::H265 => caps.field("encoding-name", "H265"),
        RtpCodec::Vp8 => caps.field("encoding-name", "VP8"),
        RtpCodec::Jpeg => caps.field("encoding-name", "JPEG"),
        RtpCodec::Raw => caps
            .field("encoding-name", "RAW")
            .field("sampling", "YCbCr-4:2:2")
            .field("depth", "8")
            .field("colorimetry", "BT709-2")
            .field("width", width.to_string())
            .field("height", height.to_string())
            .field("a-framerate", rate.to_string()),
    };
    let listen = |element: &gst::Element, port: u16| {
        element.set_property("address", config.listen.ip().to_string());
        element.set_property("port", i32::from(port));
        // A keyframe of 4K comes at once.
        element.set_property("buffer-size", 4 << 20);
    };
    let rtp = source(&pipeline, "source")?;
    listen(&rtp, config.listen.port());
    rtp.set_property("caps", caps.build());
    if by_sender {
        let rtcp = source(&pipeline, "rtcp")?;
        listen(&rtcp, config.listen.port().saturating_add(1));
        rtcp.set_property("caps", gst::Caps::new_empty_simple("application/x-rtcp"));
    }
    Ok(pipeline)
}

fn of_v4l2(config: &V4l2) -> Result<gst::Pipeline, gst::glib::Error> {
    let Expect { width, height, rate } = config.expect;
    // As asked, raw or as JPEG, else whatever it has.
    let asked = format!("width={width},height={height},framerate={rate}/1");
    let pipeline = of_line(&format!(
        "v4l2src name=source ! capsfilter caps=\"video/x-raw,{asked};image/jpeg,{asked};video/x-raw;image/jpeg;video/x-h264\""
    ))?;
    source(&pipeline, "source")?.set_property("device", config.device.display().to_string());
    Ok(pipeline)
}

fn of_decklink(config: &Decklink) -> Result<gst::Pipeline, gst::glib::Error> {
    let pipeline = of_line("decklinkvideosrc name=source mode=auto drop-no-signal-frames=true")?;
    let source = source(&pipeline, "source")?;
    source.set_property("device-number", i32::try_from(config.device).unwrap_or(i32::MAX));
    source.set_property_from_str("connection", if config.input == DecklinkInput::Sdi { "sdi" } else { "hdmi" });
    Ok(pipeline)
}
