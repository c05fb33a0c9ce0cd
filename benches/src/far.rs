//! An engine in another building: the real server, the real engine dialling out to it through a bad line, and a WHEP player of
//! GStreamer on a good one. What the player decodes is compared by the time code in it with the time that its packets carry.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::time::CaptureTime;
use anyhow::{Context, Result, anyhow, bail, ensure};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;
use link::id::CaseId;
use pipeline::config::Config;
use pipeline::engine::{self, Dial};
use pipeline::output::link::LinkEnd;
use pipeline::output::remote::{Remote, RemoteConfig};
use pipeline::timing::tc48;
use signaling::edge::cli::Demo;
use signaling::edge::server::{self, Running};

use crate::impair::Phase;
use crate::impair::proxy::{TcpProxy, UdpProxy};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(90);
const MS_NS: f64 = 1e6;

/// One picture that the player decoded.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub at: Instant,
    /// By the time code: decoded now minus captured, ms.
    pub age_ms: f64,
    /// The time that its packets carry minus the time code, ms. `None`: it is not known which packets it came by.
    pub error_ms: Option<f64>,
}

/// Server, line, engine and player; dropping it ends them all.
#[derive(Debug)]
pub struct Far {
    runtime: tokio::runtime::Runtime,
    server: Option<Running>,
    udp: UdpProxy,
    tcp: TcpProxy,
    stop: Option<UnixStream>,
    engine: Option<JoinHandle<Result<(), LinkEnd>>>,
    _remote: Remote,
    http: SocketAddr,
    viewer: String,
}

impl Far {
    /// `line`: what it does to packets from the engine on (`up`) and towards it; the player's come by the same UDP port. `by_whip`: else all by
    /// TCP. `home`: an empty folder.
    pub fn start(home: &Path, line: Vec<Phase>, by_whip: bool) -> Result<Self> {
        gst::init()?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new()?;
        let web = home.join("web");
        std::fs::create_dir_all(&web)?;
        std::fs::write(web.join("index.html"), "<!doctype html><title>Shirube</title>")?;
        let here = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let own = own_address()?;
        let start = Instant::now();
        // Which port will be the server's has to be known before it is started; another may take it meanwhile.
        let mut attempts = 0;
        let (server, udp) = loop {
            let media_port = UdpSocket::bind(here(0))?.local_addr()?.port();
            let udp = UdpProxy::start(SocketAddr::new(own, 0), here(media_port), 7, line.clone(), start)?;
            let config = Demo {
                data: home.join("data"),
                bind: [127, 0, 0, 1].into(),
                https_port: 0,
                media_port,
                announce: Some(udp.address),
                http: Some(0),
                no_engine: true,
                time_code: true,
                web_root: Some(web.clone()),
                ..Demo::default()
            };
            attempts += 1;
            match runtime.block_on(server::start(&config)) {
                Ok(server) => break (server, udp),
                Err(fault) if attempts == 5 => return Err(fault),
                Err(_) => {}
            }
        };
        let ready = &server.ready;
        let port = |url: &str| url.rsplit(':').next().and_then(|p| p.parse::<u16>().ok()).context("no port");
        let tcp = TcpProxy::start(here(0), here(port(&ready.base_url)?), line, start)?;
        let http = here(port(ready.http_url.as_deref().context("no plain door")?)?);
        let viewer = ready.tokens.mentor.clone();

        let case = CaseId::parse(&ready.case)?;
        let address = format!("wss://localhost:{}", tcp.address.port());
        let pinned = home.join("data/tls.crt");
        let remote =
            RemoteConfig::new(&address, &ready.tokens.engine, case.clone(), Some(&pinned)).map_err(|e| anyhow!(e.message))?;
        let remote = if by_whip { remote } else { remote.by_tcp_alone() };
        let remote = Remote::start(&remote)?;
        let dial = Dial { control: remote.path("control"), media: remote.path("media"), case, way: remote.way() };
        let prepared = engine::prepare(Config::demo(None, true)).map_err(|e| anyhow!(e.message))?;
        let (stop, stopped) = UnixStream::pair()?;
        let engine = std::thread::Builder::new().name("engine".into()).spawn(move || prepared.run(dial, stopped))?;
        Ok(Far { runtime, server: Some(server), udp, tcp, stop: Some(stop), engine: Some(engine), _remote: remote, http, viewer })
    }

    /// Nothing passes between engine and server, nor to the player, while held.
    pub fn hold(&self, held: bool) {
        self.udp.hold(held);
        self.tcp.hold(held);
    }

    /// (packets, lost) from the engine and the player on.
    pub fn counts_up(&self) -> (u64, u64) {
        let (up, _) = self.udp.counts();
        (up.packets, up.lost)
    }

    /// How many of the engine's layers come by WHIP.
    pub fn carried(&self) -> Result<u64> {
        let figures = request(self.http, "GET", "/metrics", "", "")?.1;
        let told = figures.lines().find_map(|l| l.strip_prefix("shirube_layers_by_whip{")).and_then(|l| l.rsplit(' ').next());
        Ok(told.context("no figure of layers by WHIP")?.parse()?)
    }

    /// A player of the main feed alone, whose packets' time is its capture, or later where this machine was too busy; waits for the engine's feeds to be
    /// known.
    pub fn player(&self) -> Result<Player> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Player::start(self.http, &self.viewer) {
                Ok(player) => return Ok(player),
                Err(fault) if Instant::now() > until => return Err(fault),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(engine) = self.engine.take() {
            let _ = engine.join();
        }
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

/// A WHEP player: `webrtcbin`, a decoder, and the time code read from each picture.
#[derive(Debug)]
pub struct Player {
    graph: gst::Pipeline,
    pub seen: Receiver<Seen>,
    told: Arc<Mutex<Told>>,
}

/// What the player did: for whoever asks why there is no picture.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    packets: u64,
    frames: u64,
    decoded: u64,
    /// Decoded, and the time code cannot be read.
    unreadable: u64,
    /// Decoded, and it is not known which packets it is of.
    unknown: u64,
}

impl Player {
    fn start(http: SocketAddr, token: &str) -> Result<Self> {
        let graph = gst::Pipeline::new();
        let peer = gst::ElementFactory::make("webrtcbin").name("peer").property("latency", 250u32).build()?;
        peer.set_property_from_str("bundle-policy", "max-bundle");
        graph.add(&peer)?;
        let caps = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=102,packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack=(boolean)true,rtcp-fb-nack-pli=(boolean)true";
        let line: gst_webrtc::WebRTCRTPTransceiver = peer.emit_by_name(
            "add-transceiver",
            &[&gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly, &caps.parse::<gst::Caps>()?],
        );
        line.set_property("do-nack", true);
        let (tell, seen) = mpsc::channel();
        let told: Arc<Mutex<Told>> = Arc::default();
        let counted = told.clone();
        let into = graph.downgrade();
        peer.connect_pad_added(move |_, pad| {
            let Some(graph) = into.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else { return };
            if let Err(fault) = decode(&graph, pad, tell.clone(), counted.clone()) {
                eprintln!("the player cannot decode: {fault:#}");
            }
        });
        let player = Player { graph, seen, told };
        let (tell, offered) = mpsc::channel();
        peer.connect("on-negotiation-needed", false, move |values| {
            let peer = values.first()?.get::<gst::Element>().ok()?;
            let (offering, tell) = (peer.clone(), tell.clone());
            let promise = gst::Promise::with_change_func(move |reply| {
                let offer = reply.ok().flatten().and_then(|r| r.get::<gst_webrtc::WebRTCSessionDescription>("offer").ok());
                let Some(offer) = offer else { return };
                offering.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
                let _ = offer.sdp().as_text().map(|text| tell.send(text));
            });
            peer.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
            None
        });
        player.graph.set_state(gst::State::Playing)?;
        let offer = offered.recv_timeout(PATIENCE).context("webrtcbin made no offer")?;
        let head = format!("Authorization: Bearer {token}\r\nContent-Type: application/sdp\r\n");
        let (status, answer) = request(http, "POST", "/whep/demo?feed=field&layer=high", &head, &offer)?;
        ensure!(status == 201, "the player is answered {status}: {answer}");
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).map_err(|_| anyhow!("no SDP"))?;
        let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, sdp);
        peer.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
        Ok(player)
    }

    /// (decoded, without a time code that can be read, of packets that are not known), since the start.
    pub fn counts(&self) -> (u64, u64, u64) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (told.decoded, told.unreadable, told.unknown)
    }

    /// The next picture, or that none came.
    pub fn next(&self) -> Result<Seen> {
        let told = || *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told();
        self.seen.recv_timeout(PATIENCE).with_context(|| format!("no picture in {PATIENCE:?}: {before:?}, then {:?}", told()))
    }

    /// The next picture that was captured after `instant`.
    pub fn next_captured_after(&self, instant: Instant) -> Result<Seen> {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.next()?;
            let age = Duration::from_secs_f64(seen.age_ms.max(0.0) / 1e3);
            if seen.at.checked_sub(age).is_some_and(|captured| captured > instant) {
                return Ok(seen);
            }
            ensure!(Instant::now() < until, "pictures are {} ms old", seen.age_ms);
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.graph.set_state(gst::State::Null);
    }
}

fn decode(graph: &gst::Pipeline, pad: &gst::Pad, tell: mpsc::Sender<Seen>, told: Arc<Mutex<Told>>) -> Result<()> {
    let count = move |one: fn(&mut Told)| one(&mut told.lock().unwrap_or_else(PoisonError::into_inner));
    let counting = count.clone();
    let line = "rtph264depay name=depay request-keyframe=true ! avdec_h264 ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
    let bin = gst::parse::bin_from_description(line, true)?;
    // As any player does, it asks for a keyframe when a packet is lost for good; GStreamer's does not by itself.
    // Decoded pictures keep the time of their buffers; the packets' own is noted beside it.
    let times: Arc<Mutex<Vec<(gst::ClockTime, u32)>>> = Arc::default();
    let noted = times.clone();
    let depay = bin.by_name("depay").and_then(|d| d.static_pad("sink")).context("no depayloader")?;
    depay.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && let (Some(pts), Ok(map)) = (buffer.pts(), buffer.map_readable())
            && let Some(rtp) = map.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
        {
            counting(|told| told.packets += 1);
            let mut times = noted.lock().unwrap_or_else(PoisonError::into_inner);
            if times.last().is_none_or(|last| *last != (pts, rtp)) {
                counting(|told| told.frames += 1);
                times.push((pts, rtp));
            }
            let too_many = times.len().saturating_sub(256);
            times.drain(..too_many);
        }
        gst::PadProbeReturn::Ok
    });
    let sink = bin.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).context("no appsink")?;
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        count(|told| told.decoded += 1);
        match read(&sample, &times.lock().unwrap_or_else(PoisonError::into_inner)) {
            Some(seen) => {
                if seen.error_ms.is_none() {
                    count(|told| told.unknown += 1);
                }
                let _ = tell.send(seen);
            }
            None => count(|told| told.unreadable += 1),
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    graph.add(&bin)?;
    bin.sync_state_with_parent()?;
    pad.link(&bin.static_pad("sink").context("no pad")?)?;
    Ok(())
}

/// `None`: the time code cannot be read.
fn read(sample: &gst::Sample, times: &[(gst::ClockTime, u32)]) -> Option<Seen> {
    let at = Instant::now();
    let (now, age_ms, pts) = code(sample)?;
    // Pictures that came in one go may have been given one time: then it is not known whose packets were whose.
    let mut of_it = times.iter().filter(|(of, _)| Some(*of) == pts);
    let (Some((_, rtp)), None) = (of_it.next(), of_it.next()) else { return Some(Seen { at, age_ms, error_ms: None }) };
    let captured = now.offset_ns(-(age_ms * MS_NS) as i64);
    // The milliseconds of the code are whole ones of Unix time; those of `captured` are not.
    let whole = CaptureTime::from_unix(Duration::from_millis(captured.to_unix().as_millis() as u64));
    let ticks = rtp.wrapping_sub(whole.rtp_90khz()) as i32;
    Some(Seen { at, age_ms, error_ms: Some(f64::from(ticks) / 90.0) })
}

/// (now, by the time code: milliseconds since the capture, the time of its buffer).
fn code(sample: &gst::Sample) -> Option<(CaptureTime, f64, Option<gst::ClockTime>)> {
    let now = CaptureTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).ok()?);
    let info = gstreamer_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let buffer = sample.buffer()?;
    let map = buffer.map_readable().ok()?;
    let code = tc48::decode(&map, usize::try_from(info.stride()[0]).ok()?, info.width() as usize)?;
    let age_ms = now.unix_ms_low32().wrapping_sub(code.unix_ms) as i32;
    Some((now, f64::from(age_ms), buffer.pts()))
}

/// Of this machine, other than loopback, of which GStreamer's ICE makes no candidate. Nothing is sent.
fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9").context("this machine has no address of its own")?;
    Ok(socket.local_addr()?.ip())
}

/// (status, body).
fn request(host: SocketAddr, method: &str, path: &str, head: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n{body}"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("no answer") };
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status")?;
    Ok((status, body.to_owned()))
}
