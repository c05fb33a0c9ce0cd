//! A page of a case without a browser: signed in, on its socket, and str0m's client side for what it hears and says. For tests.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use sfu::Channel;
use signaling::wire::{
    ClientHello, ClientMessage, Offer, ServerMessage, Welcome, client_message as client, server_message as said,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::ported::{Http, PATIENCE};

/// One packet of voice.
const VOICE: Duration = Duration::from_millis(20);

/// What a page says: Opus packets of 20 ms each, over and over.
#[derive(Debug, Clone, Default)]
pub struct Words(pub Vec<Vec<u8>>);

/// What came over its data channels.
type Heard = Mutex<Vec<(Channel, Vec<u8>)>>;

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    held: AtomicBool,
    pictures: AtomicUsize,
    connected: AtomicBool,
    open: AtomicUsize,
    heard: Heard,
}

/// A page. Dropping it breaks its lines.
#[derive(Debug)]
pub struct Talker {
    pub welcome: Welcome,
    say: UnboundedSender<client::Body>,
    told: Receiver<said::Body>,
    send: Sender<(Channel, Vec<u8>)>,
    shared: Arc<Shared>,
    media: Option<JoinHandle<Result<()>>>,
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(media) = self.media.take() {
            let _ = media.join();
        }
    }
}

impl Talker {
    /// Signs in at the plain door with the token of `http` and brings its media up on `socket`; its microphone is off.
    pub fn join(runtime: &tokio::runtime::Handle, http: &Http, socket: UdpSocket, words: Words) -> Result<Self> {
        let body = serde_json::json!({ "token": http.token }).to_string();
        let session = http.request("POST", "/api/session", &[("Content-Type", "application/json")], &body)?;
        let answer: serde_json::Value = serde_json::from_str(&session.body).with_context(|| session.body.clone())?;
        let id = answer["id"].as_str().with_context(|| session.body.clone())?.to_owned();
        let cookie = session.header("set-cookie").and_then(|c| c.split(';').next()).context("no cookie")?.to_owned();

        let mut request = format!("ws://{}/ws?id={id}", http.host).into_client_request()?;
        request.headers_mut().insert("cookie", cookie.parse()?);
        // Connected here: where this thread is, not where the runtime's are.
        let stream = std::net::TcpStream::connect(&http.host)?;
        stream.set_nonblocking(true)?;
        let (say, mut saying) = unbounded_channel::<client::Body>();
        let (tell, told) = mpsc::channel();
        let socket_of_page = runtime.block_on(async {
            let stream = tokio::net::TcpStream::from_std(stream)?;
            anyhow::Ok(client_async(request, stream).await?.0)
        })?;
        runtime.spawn(async move {
            let (mut sink, mut source) = socket_of_page.split();
            let saying = async {
                while let Some(body) = saying.recv().await {
                    let bytes = ClientMessage { body: Some(body) }.encode_to_vec();
                    if sink.send(Message::Binary(bytes.into())).await.is_err() {
                        return;
                    }
                }
            };
            let hearing = async {
                while let Some(Ok(message)) = source.next().await {
                    let Message::Binary(bytes) = message else { continue };
                    if let Some(body) = ServerMessage::decode(bytes).ok().and_then(|m| m.body) {
                        let _ = tell.send(body);
                    }
                }
            };
            tokio::select! { () = saying => {}, () = hearing => {} }
        });

        let hello = ClientHello { version: 1, software: "talker".into(), resume: String::new(), language: "en".into() };
        let _ = say.send(client::Body::Hello(hello));
        let until = |what: &str, told: &Receiver<said::Body>| told.recv_timeout(PATIENCE).with_context(|| format!("no {what}"));
        let welcome = match until("welcome", &told)? {
            said::Body::Welcome(welcome) => welcome,
            other => bail!("no welcome: {other:?}"),
        };
        let local = socket.local_addr()?;
        let (mut media, offer, pending) = Media::new(socket, local, words)?;
        let _ = say.send(client::Body::Offer(Offer { id: 1, sdp: offer }));
        let answer = loop {
            match until("answer", &told)? {
                said::Body::Answer(answer) => break answer.sdp,
                said::Body::Refused(refused) => bail!("refused: {refused:?}"),
                _ => {}
            }
        };
        media.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer)?)?;
        let shared = Arc::new(Shared::default());
        let (send, sending) = mpsc::channel();
        let into = shared.clone();
        let media = std::thread::Builder::new().name("talker".into()).spawn(move || media.run(&into, &sending))?;
        Ok(Talker { welcome, say, told, send, shared, media: Some(media) })
    }

    pub fn say(&self, body: client::Body) {
        let _ = self.say.send(body);
    }

    /// Reads what it is told on its socket until `wanted` finds what it looks for.
    pub fn until<T>(&self, what: &str, mut wanted: impl FnMut(said::Body) -> Option<T>) -> Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let body = self.told.recv_timeout(left).with_context(|| format!("not told: {what}"))?;
            if let Some(found) = wanted(body) {
                return Ok(found);
            }
        }
    }

    /// Until media and all data channels are up.
    pub fn until_up(&self) -> Result<()> {
        self.wait("its media", |s| s.connected.load(Ordering::Relaxed) && s.open.load(Ordering::Relaxed) == Channel::ALL.len())
    }

    /// Until so many packets of pictures came.
    pub fn until_pictures(&self, wanted: usize) -> Result<()> {
        self.wait("pictures", |s| s.pictures.load(Ordering::Relaxed) >= wanted)
    }

    /// Nothing of its media comes or goes while it is held; its socket goes on.
    pub fn hold_media(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// On a data channel.
    pub fn send(&self, channel: Channel, bytes: Vec<u8>) {
        let _ = self.send.send((channel, bytes));
    }

    /// Until something came by this data channel that `wanted` takes.
    pub fn until_heard(&self, channel: Channel, wanted: impl Fn(&[u8]) -> bool) -> Result<()> {
        self.wait("data", |s| {
            let heard = s.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.iter().any(|(by, bytes)| *by == channel && wanted(bytes))
        })
    }

    fn wait(&self, what: &str, good: impl Fn(&Shared) -> bool) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !good(&self.shared) {
            if Instant::now() > until {
                bail!("{what} did not come: {:?}", self.shared);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

struct Media {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    video: Vec<Mid>,
    voice_out: Mid,
    channels: BTreeMap<Channel, ChannelId>,
    words: Words,
    spoken: u64,
}

impl Media {
    /// As a page offers: 5 video, 8 + 1 voice, the data channels.
    fn new(socket: UdpSocket, local: SocketAddr, words: Words) -> Result<(Self, String, SdpPendingOffer)> {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let mut config = Rtc::builder()
            .set_crypto_provider(provider)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            .enable_vp8(true);
        config.codec_config().add_h264(102.into(), Some(103.into()), true, 0x42e01f);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let mut api = rtc.sdp_api();
        let mut line = |kind, direction| api.add_media(kind, direction, None, None, None);
        let video = (0..sfu::SLOTS_VIDEO).map(|_| line(MediaKind::Video, Direction::RecvOnly)).collect();
        for _ in 0..sfu::SLOTS_VOICE {
            line(MediaKind::Audio, Direction::RecvOnly);
        }
        let voice_out = line(MediaKind::Audio, Direction::SendOnly);
        let channels = Channel::ALL.map(|channel| {
            let lossy = Reliability::MaxRetransmits { retransmits: 0 };
            let reliability = if channel.is_reliable() { Reliability::Reliable } else { lossy };
            let id = api.add_channel_with_config(ChannelConfig {
                label: channel.label().into(),
                ordered: channel.is_reliable(),
                reliability,
                negotiated: Some(channel.id()),
                protocol: String::new(),
            });
            (channel, id)
        });
        let (offer, pending) = api.apply().context("no offer")?;
        let media = Media { rtc, socket, local, video, voice_out, channels: channels.into(), words, spoken: 0 };
        Ok((media, offer.to_sdp_string(), pending))
    }

    fn run(&mut self, shared: &Shared, sending: &Receiver<(Channel, Vec<u8>)>) -> Result<()> {
        let mut next = Instant::now();
        let mut buffer = [0; 2_000];
        while !shared.over.load(Ordering::Relaxed) {
            if shared.held.load(Ordering::Relaxed) {
                std::thread::sleep(VOICE);
                continue;
            }
            if Instant::now() >= next {
                // Where this machine stood still, what was not said is left out.
                next = if next.elapsed() > VOICE * 5 { Instant::now() } else { next } + VOICE;
                self.speak();
            }
            for (channel, bytes) in sending.try_iter() {
                if let Some(mut channel) = self.channels.get(&channel).and_then(|id| self.rtc.channel(*id)) {
                    channel.write(true, &bytes)?;
                }
            }
            let deadline = self.drain(shared)?.min(next);
            let left = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), VOICE);
            self.socket.set_read_timeout(Some(left))?;
            let input = match self.socket.recv_from(&mut buffer) {
                Ok((n, source)) => {
                    let Ok(contents) = buffer[..n].try_into() else { continue };
                    Input::Receive(Instant::now(), Receive { proto: Protocol::Udp, source, destination: self.local, contents })
                }
                Err(_) => Input::Timeout(Instant::now()),
            };
            self.rtc.handle_input(input)?;
        }
        Ok(())
    }

    fn drain(&mut self, shared: &Shared) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(t) => drop(self.socket.send_to(&t.contents, t.destination)),
                Output::Event(Event::Connected) => shared.connected.store(true, Ordering::Relaxed),
                Output::Event(Event::ChannelOpen(..)) => drop(shared.open.fetch_add(1, Ordering::Relaxed)),
                Output::Event(Event::ChannelData(data)) => {
                    let by = self.channels.iter().find(|(_, id)| **id == data.id).map(|(channel, _)| *channel);
                    if let Some(by) = by {
                        shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push((by, data.data));
                    }
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    let ssrc = packet.header.ssrc;
                    let mid = self.rtc.direct_api().stream_rx(&ssrc).map(|stream| stream.mid());
                    if mid.is_some_and(|mid| self.video.contains(&mid)) && !packet.payload.is_empty() {
                        shared.pictures.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn speak(&mut self) {
        let words = &self.words.0;
        let Some(payload) = words.get(self.spoken as usize % words.len().max(1)).cloned() else { return };
        let Some(wanted) = self.rtc.media(self.voice_out).map(|m| m.remote_pts().to_vec()) else { return };
        let mut params = self.rtc.codec_config().params().iter();
        let opus = params.find(|p| p.spec().codec == Codec::Opus && wanted.contains(&p.pt())).map(|p| p.pt());
        let mut api = self.rtc.direct_api();
        let (Some(pt), Some(stream)) = (opus, api.stream_tx_by_mid(self.voice_out, None)) else { return };
        self.spoken += 1;
        let loud = ExtensionValues { audio_level: Some(-20), voice_activity: Some(true), ..Default::default() };
        let (seq, timestamp) = ((1_000 + self.spoken).into(), (self.spoken * 960) as u32);
        stream.write_rtp(RtpWrite::new(pt, seq, timestamp, Instant::now(), payload).ext_vals(loud));
    }
}
