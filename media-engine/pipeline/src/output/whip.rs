//! One layer's way to a server elsewhere: a WHIP session of GStreamer's `webrtcbin` (RFC 9725), which is given our own packets as
//! they are. Their numbers, times and SSRC stay; what gets lost on the way is sent again (RFC 4588).
//!
//! Life of a way: graph, offer, POST over the same TLS as the link, answer, ICE and DTLS; then packets. It is *up* while its peer
//! is connected and reports what it receives. It ends when it fails, when the reports cease, or with this value; then
//! DELETE. It never dials again itself: whoever holds it makes another.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;

use super::remote::RemoteConfig;

/// From the first word to connected.
const CONNECT_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Reports of the receiver come about once a second; so many looks without a new one while packets leave, and the way is taken
/// for dead though nobody said so.
const SILENT_LOOKS_MAX: u32 = 4;
/// Of one layer, waiting for webrtcbin: it sends at once, so that more is a fault. Policy: drop_oldest.
const WAITING_BYTES_MAX: u64 = 1024 * 1024;
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What the far end reported last.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Report {
    /// Of the packets since the report before, 0 to 1.
    pub(super) lost: f64,
    /// Counts reports: another number, another report.
    pub(super) number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Opening = 0,
    Up = 1,
    Over = 2,
}

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    /// Packets were given since the last look.
    busy: AtomicBool,
    report: Mutex<Report>,
}

impl Shared {
    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) == stage as u8
    }
}

/// A way, opening, up or over.
#[derive(Debug)]
pub(super) struct Whip {
    shared: Arc<Shared>,
    input: gst_app::AppSrc,
    /// Ends the thread, which ends the graph.
    _end: mpsc::Sender<()>,
}

impl Whip {
    /// Begins to open a way for the layer with this SSRC. Errors: GStreamer lacks a part; the sentence says which.
    pub(super) fn open(config: &RemoteConfig, ssrc: u32, vp8: bool) -> Result<Self, String> {
        let graph = graph(ssrc, vp8).map_err(|e| e.to_string())?;
        let peer = graph.by_name("peer").ok_or("webrtcbin is missing")?;
        let input = graph.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("appsrc is missing")?;
        let shared = Arc::new(Shared::default());
        let (end, ended) = mpsc::channel();
        let (config, shared_there) = (config.clone(), shared.clone());
        std::thread::Builder::new()
            .name(format!("whip-{ssrc:08x}"))
            .spawn(move || {
                let shared = shared_there;
                match live(&config, ssrc, &graph, &peer, &shared, &ended) {
                    Ok(()) => tracing::debug!(ssrc, "a way by WHIP is no longer needed"),
                    Err(why) => tracing::info!(ssrc, why, "a way by WHIP ended"),
                }
                shared.set(Stage::Over);
                let _ = graph.set_state(gst::State::Null);
            })
            .map_err(|e| e.to_string())?;
        Ok(Whip { shared, input, _end: end })
    }

    pub(super) fn is_up(&self) -> bool {
        self.shared.is(Stage::Up)
    }

    pub(super) fn is_over(&self) -> bool {
        self.shared.is(Stage::Over)
    }

    /// A whole RTP packet; leaves at once.
    pub(super) fn send(&self, packet: &[u8]) {
        self.shared.busy.store(true, Ordering::Relaxed);
        // A graph that is going down takes nothing: what it missed counts as lost on the way.
        let _ = self.input.push_buffer(gst::Buffer::from_slice(packet.to_vec()));
    }

    pub(super) fn report(&self) -> Report {
        *self.shared.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn graph(ssrc: u32, vp8: bool) -> Result<gst::Pipeline, gst::glib::Error> {
    let codec =
        if vp8 { "encoding-name=VP8" } else { "encoding-name=H264,packetization-mode=(string)1,profile-level-id=(string)42e01f" };
    let line = format!(
        "webrtcbin name=peer bundle-policy=max-bundle latency=0 \
         appsrc name=in is-live=true format=time do-timestamp=true block=false max-buffers=0 max-bytes={WAITING_BYTES_MAX} \
         leaky-type=downstream caps=application/x-rtp,media=video,clock-rate=90000,payload=96,ssrc=(uint){ssrc},{codec} ! peer."
    );
    let graph = gst::parse::launch(&line)?;
    graph.downcast::<gst::Pipeline>().map_err(|_| gst::glib::Error::new(gst::CoreError::Failed, "not a pipeline"))
}

/// A way from beginning to end; returns when nobody needs it any more.
fn live(
    config: &RemoteConfig,
    ssrc: u32,
    graph: &gst::Pipeline,
    peer: &gst::Element,
    shared: &Arc<Shared>,
    ended: &mpsc::Receiver<()>,
) -> Result<(), String> {
    let offer = offer(graph, peer)?;
    let path = format!("/engine/{}/whip/{ssrc}", config.case());
    let answer = request(config, "POST", &path, &offer)?;
    if answer.status != 201 {
        return Err(format!("the server answered {}", answer.status));
    }
    let resource = answer.header("location").ok_or("the server named no resource")?.to_owned();
    let lived = converse(peer, &answer.body, shared, ended);
    let _ = request(config, "DELETE", &resource, "");
    lived
}

fn offer(graph: &gst::Pipeline, peer: &gst::Element) -> Result<String, String> {
    let line: Option<gst_webrtc::WebRTCRTPTransceiver> = peer.emit_by_name("get-transceiver", &[&0i32]);
    let line = line.ok_or("webrtcbin has no line")?;
    line.set_property("direction", gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
    // What is lost is sent again.
    line.set_property("do-nack", true);
    let (tell, told) = mpsc::channel();
    peer.connect("on-negotiation-needed", false, move |values| {
        let peer = values.first()?.get::<gst::Element>().ok()?;
        let (offering, tell) = (peer.clone(), tell.clone());
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply.ok().flatten().and_then(|r| r.get::<gst_webrtc::WebRTCSessionDescription>("offer").ok());
            let Some(offer) = offer else { return };
            offering.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
            if let Ok(text) = offer.sdp().as_text() {
                let _ = tell.send(text);
            }
        });
        peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        None
    });
    graph.set_state(gst::State::Playing).map_err(|_| "webrtcbin does not start (is gstreamer1.0-nice installed?)")?;
    told.recv_timeout(CONNECT_MAX).map_err(|_| "webrtcbin made no offer".to_owned())
}

/// From the answer to the end of the connection.
fn converse(peer: &gst::Element, answer: &str, shared: &Arc<Shared>, ended: &mpsc::Receiver<()>) -> Result<(), String> {
    let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).map_err(|_| "the answer is no SDP")?;
    let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, sdp);
    peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
    let (mut looks, mut silent, mut heard) = (0, 0, None);
    loop {
        // While it opens, often: packets of the layer go another, slower way meanwhile.
        let opening = shared.is(Stage::Opening);
        let every = if opening { LOOK_EVERY / 20 } else { LOOK_EVERY };
        match ended.recv_timeout(every) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        use gst_webrtc::WebRTCPeerConnectionState as State;
        match peer.property::<State>("connection-state") {
            State::Connected if opening => {
                tracing::info!("a way by WHIP is up");
                shared.set(Stage::Up);
                continue;
            }
            State::Connected => {}
            State::Failed | State::Closed => return Err("the connection failed".into()),
            _ if opening => {
                looks += 1;
                if every * looks > CONNECT_MAX {
                    return Err("no connection came about: does the network let UDP out?".into());
                }
                continue;
            }
            _ => {}
        }
        let busy = shared.busy.swap(false, Ordering::Relaxed);
        let report = report_of(peer);
        let news = report.is_some() && report != heard;
        if let Some((lost, _)) = report.filter(|_| news) {
            let mut kept = shared.report.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Report { lost, number: kept.number + 1 };
        }
        heard = report.or(heard);
        silent = if news || !busy { 0 } else { silent + 1 };
        if silent >= SILENT_LOOKS_MAX {
            return Err("nothing is reported to arrive".into());
        }
    }
}

/// (share lost, highest number received) as the receiver told last.
fn report_of(peer: &gst::Element) -> Option<(f64, u64)> {
    let (tell, told) = mpsc::channel();
    let promise = gst::Promise::with_change_func(move |reply| {
        let stats = reply.ok().flatten().map(|s| s.to_owned());
        let _ = tell.send(stats);
    });
    peer.emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, &promise]);
    let stats = told.recv_timeout(LOOK_EVERY).ok().flatten()?;
    stats.iter().find_map(|(_, value)| {
        let one = value.get::<gst::Structure>().ok()?;
        let source = one.get::<gst::Structure>("gst-rtpsource-stats").ok()?;
        if !source.get::<bool>("have-rb").unwrap_or(false) {
            return None;
        }
        let lost = f64::from(source.get::<u32>("rb-fractionlost").ok()?) / 256.0;
        Some((lost, u64::from(source.get::<u32>("rb-exthighestseq").ok()?)))
    })
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// One request on a connection of its own.
fn request(config: &RemoteConfig, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    let mut stream = config.connect().map_err(|e| e.to_string())?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        config.authority(),
        config.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let read = (&mut stream).take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).map_err(|_| "the answer is no text")?;
    // A server that hangs up without a goodbye has said all when the head says so.
    parse(&text).ok_or_else(|| read.err().map_or_else(|| "the answer is not whole".into(), |e| e.to_string()))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    let length = answer.header("content-length").and_then(|l| l.parse::<usize>().ok()).unwrap_or(0);
    (answer.body.len() >= length).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let whole = "HTTP/1.1 201 Created\r\nlocation: /engine/demo/whip/7/AAAA\r\nContent-Length: 3\r\n\r\nv=0";
        let answer = parse(whole).expect("whole");
        assert_eq!((answer.status, answer.header("Location")), (201, Some("/engine/demo/whip/7/AAAA")));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_none(), "cut at {cut}");
        }
        assert!(parse("nonsense\r\n\r\n").is_none());
    }
}
