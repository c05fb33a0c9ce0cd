//! The baseline: one source, one encoder, GStreamer's `webrtcbin`, one browser. Nothing of the product's path but the
//! source, the time code and the encoder's settings, so that a difference in age is the product's own.
//!
//! As it comes, `webrtcbin` has no playout-delay extension; `--playout-delay` adds one at 0/0, for a second, harder baseline. Signalling is one JSON object a line: `offer` and
//! `candidate` on stdout, `answer` and `candidate` on stdin; end of input ends it.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use benches::playout_delay;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;
use pipeline::clock::LocalClock;
use pipeline::config::Config;
use pipeline::encode::EncoderSettings;
use pipeline::encode::layer::to_buffer;
use pipeline::feed::{self, Source, TimeCodeBurner};
use pipeline::picture::Geometry;
use pipeline::timing::pace::{Pace, Period};
use serde::{Deserialize, Serialize};

/// Pictures that wait for the encoder, as in the product. Policy: drop_newest.
const IN_FLIGHT_MAX: u64 = 2;

const RTP_CAPS: &str = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96";

/// What the driver of the browser says and hears.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Offer {
        sdp: String,
    },
    Answer {
        sdp: String,
    },
    Candidate {
        candidate: String,
        #[serde(rename = "sdpMLineIndex")]
        line: u32,
    },
}

struct Args {
    /// Sample recordings; without it the picture is generated, as in the product.
    shared: Option<PathBuf>,
    playout_delay: bool,
}

fn main() -> Result<()> {
    let args = arguments()?;
    gst::init().context("GStreamer does not start")?;
    // The product's own measuring mode says what is sent, and how it is encoded.
    let config = Config::demo(args.shared.as_deref(), true);
    let main = config.feeds.iter().find(|f| f.main).context("the demo has no main feed")?;
    let prepared = feed::prepare(&main.source, Some(Period::NTSC_30))?;
    let period = prepared.info().period;
    let settings = config.encoder_settings(period)?;
    let source = prepared.fit(settings.size)?;

    let line = format!(
        "webrtcbin name=peer bundle-policy=max-bundle latency=0 \
         appsrc name=in is-live=true format=time max-buffers=0 max-bytes=0 block=false caps={caps} \
         ! {encoder} ! {payloader} ! {RTP_CAPS},packetization-mode=(string)1,profile-level-id=(string)42e01f ! {delay} peer.",
        delay = if args.playout_delay { playout_delay::description(RTP_CAPS) } else { String::new() },
        caps = settings.raw_caps().replace(' ', ""),
        encoder = settings.description(),
        payloader = EncoderSettings::payloader(),
    );
    let graph = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| anyhow!("not a pipeline"))?;
    let peer = graph.by_name("peer").context("webrtcbin is missing")?;
    let appsrc = graph.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).context("appsrc is missing")?;
    if args.playout_delay {
        playout_delay::write_zero(&graph).context("the playout-delay extension cannot be written")?;
    }
    signal(&peer)?;
    graph.set_state(gst::State::Playing).context("webrtcbin does not start (is gstreamer1.0-nice installed?)")?;

    let size = settings.size;
    let (stop, stopped) = mpsc::channel();
    let camera = std::thread::Builder::new()
        .name("camera".into())
        .spawn(move || camera(source, size, period, &appsrc, &stopped))
        .context("no thread")?;
    let heard = listen(&peer);
    drop(stop);
    let _ = camera.join();
    graph.set_state(gst::State::Null)?;
    heard
}

fn arguments() -> Result<Args> {
    let (mut shared, mut playout_delay) = (None, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("shared") => shared = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("playout-delay") => playout_delay = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Args { shared, playout_delay })
}

/// Paces the source as the engine does: a picture is made ready and burnt ahead, awaits its time, and leaves at it.
fn camera(mut source: Box<dyn Source>, size: Geometry, period: Period, appsrc: &gst_app::AppSrc, stopped: &mpsc::Receiver<()>) {
    let clock = LocalClock::start();
    let mut burner = TimeCodeBurner::new(size);
    let start = clock.now().saturating_add(Duration::from_millis(200));
    let mut pace = Pace::new(start, period);
    let mut first: Option<gst::ClockTime> = None;
    loop {
        let picture = match source.picture(pace.k()) {
            Ok(picture) => burner.burn(&picture, pace.due(), pace.k()),
            Err(problem) => {
                eprintln!("direct: {problem}");
                return;
            }
        };
        let ahead = pace.due().since(clock.now());
        if !matches!(stopped.recv_timeout(ahead), Err(mpsc::RecvTimeoutError::Timeout)) {
            return;
        }
        if push(appsrc, &picture, start, &pace, &mut first).is_none() {
            return;
        }
        pace.advance(clock.now());
    }
}

fn push(
    appsrc: &gst_app::AppSrc,
    picture: &Arc<pipeline::picture::Picture>,
    start: annotation::time::CaptureTime,
    pace: &Pace,
    first: &mut Option<gst::ClockTime>,
) -> Option<()> {
    let mut buffer = to_buffer(picture)?;
    // The exact grid of capture, begun at the graph's running time, as the product's timestamps have it.
    let base = match *first {
        Some(base) => base,
        None => *first.insert(appsrc.current_running_time()?),
    };
    if appsrc.current_level_buffers() >= IN_FLIGHT_MAX {
        return Some(());
    }
    let since_start = u64::try_from(pace.due().since(start).as_nanos()).ok()?;
    buffer.get_mut()?.set_pts(base + gst::ClockTime::from_nseconds(since_start));
    appsrc.push_buffer(buffer).ok().map(|_| ())
}

/// Offers as soon as webrtcbin is ready, and tells of its candidates.
fn signal(peer: &gst::Element) -> Result<()> {
    if let Some(transceiver) = peer.emit_by_name::<Option<gst_webrtc::WebRTCRTPTransceiver>>("get-transceiver", &[&0i32]) {
        transceiver.set_property("direction", gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
    }
    peer.connect("on-negotiation-needed", false, |values| {
        let peer = values.first()?.get::<gst::Element>().ok()?;
        let offering = peer.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply.ok().flatten().and_then(|r| r.get::<gst_webrtc::WebRTCSessionDescription>("offer").ok());
            let Some(offer) = offer else { return eprintln!("direct: webrtcbin made no offer") };
            offering.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
            match offer.sdp().as_text() {
                Ok(sdp) => say(&Line::Offer { sdp }),
                Err(_) => eprintln!("direct: the offer is no text"),
            }
        });
        peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        None
    });
    peer.connect("on-ice-candidate", false, |values| {
        let line = values.get(1)?.get::<u32>().ok()?;
        let candidate = values.get(2)?.get::<String>().ok()?;
        say(&Line::Candidate { candidate, line });
        None
    });
    Ok(())
}

fn say(line: &Line) {
    let Ok(text) = serde_json::to_string(line) else { return };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Hears the browser until end of input.
fn listen(peer: &gst::Element) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?).context("a line that is no signalling")? {
            Line::Answer { sdp } => {
                let sdp = gst_sdp::SDPMessage::parse_buffer(sdp.as_bytes()).context("the answer is no SDP")?;
                let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, sdp);
                peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
            }
            Line::Candidate { candidate, line } => peer.emit_by_name::<()>("add-ice-candidate", &[&line, &candidate]),
            Line::Offer { .. } => bail!("the browser is to answer, not to offer"),
        }
    }
    Ok(())
}
