//! Many viewers in one thread: real sockets, DTLS and SRTP, feedback and requests for what was lost; nothing is decoded.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use quinn_udp::{RecvMeta, UdpSocketState};
use sfu::Channel;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::config::CryptoProvider;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use super::source;

/// Datagrams of one viewer in a row.
const IN_A_ROW: usize = 64;

/// What one viewer saw.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// From the offer to connected, and to the last packet of the first keyframe.
    pub connected: Option<Duration>,
    pub complete: Option<Duration>,
    pub packets: u64,
    /// First and last sequence number.
    numbers: Option<(u64, u64)>,
}

impl Seen {
    /// Packets that never came, not even again.
    pub fn lost(&self) -> u64 {
        self.numbers.map_or(0, |(first, last)| (last - first + 1).saturating_sub(self.packets))
    }
}

struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    /// Datagrams of one sender that came together are read in one call, as browsers do.
    state: UdpSocketState,
    local: SocketAddr,
    deadline: Instant,
    pending: Option<SdpPendingOffer>,
    offered: Instant,
    seen: Seen,
    /// When the kernel had what is being taken, since the source's start.
    arrived: Option<Duration>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// The viewers and their sockets.
pub struct Crowd {
    poll: Poll,
    viewers: Vec<Viewer>,
    provider: Arc<CryptoProvider>,
    ip: IpAddr,
    start: Instant,
    /// The same, since 1970.
    start_unix: Duration,
    buffer: Vec<u8>,
    /// From sent by the source to taken by a viewer, ms; kept while `measuring`.
    pub delays_ms: Vec<f64>,
    /// From sent by the source to the viewer's socket, by the kernel's time stamps: without waiting for the viewer's core.
    pub arrivals_ms: Vec<f64>,
    pub measuring: bool,
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crowd").field("viewers", &self.viewers.len()).finish_non_exhaustive()
    }
}

impl Crowd {
    /// `start`: of the source, whose times are since then.
    pub fn new(ip: IpAddr, start: Instant) -> Result<Self> {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock set to before 1970")?;
        Ok(Crowd {
            poll: Poll::new()?,
            viewers: Vec::new(),
            provider,
            ip,
            start,
            start_unix: unix.saturating_sub(start.elapsed()),
            buffer: vec![0; 65_536],
            delays_ms: Vec::new(),
            arrivals_ms: Vec::new(),
            measuring: false,
        })
    }

    fn add(&mut self, voices: bool) -> Result<usize> {
        let mut socket = UdpSocket::bind(SocketAddr::new(self.ip, 0))?;
        let local = socket.local_addr()?;
        self.poll.registry().register(&mut socket, Token(self.viewers.len()), Interest::READABLE)?;
        let state = UdpSocketState::new((&socket).into())?;
        let now = Instant::now();
        let config = Rtc::builder().set_crypto_provider(self.provider.clone()).set_rtp_mode(true).clear_codecs();
        let config = config.enable_h264(true);
        let mut rtc = if voices { config.enable_opus(true, true) } else { config }.build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let seen = Seen::default();
        self.viewers.push(Viewer {
            rtc,
            socket,
            state,
            local,
            deadline: now,
            pending: None,
            offered: now,
            seen,
            arrived: None,
            out: VecDeque::new(),
        });
        Ok(self.viewers.len() - 1)
    }

    /// A viewer that offers; its number and offer. `page`: all the lines of a page, of which one is shown something; else a player.
    pub fn offer(&mut self, page: bool) -> Result<(usize, String)> {
        let n = self.add(page)?;
        let viewer = &mut self.viewers[n];
        let mut api = viewer.rtc.sdp_api();
        let mut lines = |count, kind, direction| {
            for _ in 0..count {
                api.add_media(kind, direction, None, None, None);
            }
        };
        lines(if page { 5 } else { 1 }, MediaKind::Video, Direction::RecvOnly);
        if page {
            lines(8, MediaKind::Audio, Direction::RecvOnly);
            lines(1, MediaKind::Audio, Direction::SendOnly);
            for channel in Channel::ALL {
                let once = Reliability::MaxRetransmits { retransmits: 0 };
                api.add_channel_with_config(ChannelConfig {
                    label: channel.label().into(),
                    ordered: channel.is_reliable(),
                    reliability: if channel.is_reliable() { Reliability::Reliable } else { once },
                    negotiated: Some(channel.id()),
                    protocol: String::new(),
                });
            }
        }
        let (offer, pending) = api.apply().context("an offer has one line")?;
        viewer.pending = Some(pending);
        Ok((n, offer.to_sdp_string()))
    }

    pub fn accept(&mut self, n: usize, answer: &str) -> Result<()> {
        let viewer = &mut self.viewers[n];
        let pending = viewer.pending.take().context("it offered")?;
        viewer.rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(answer)?)?;
        self.turn(n);
        Ok(())
    }

    /// A viewer that answers; its number and answer.
    pub fn answer(&mut self, offer: &str, asked: Instant) -> Result<(usize, String)> {
        let n = self.add(false)?;
        let viewer = &mut self.viewers[n];
        viewer.offered = asked;
        let answer = viewer.rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(offer)?)?;
        self.turn(n);
        Ok((n, answer.to_sdp_string()))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.viewers.iter().map(|v| v.seen.clone()).collect()
    }

    pub fn complete(&self) -> usize {
        self.viewers.iter().filter(|v| v.seen.complete.is_some()).count()
    }

    /// Forgets what was counted, for a window that begins now.
    pub fn begin_window(&mut self) {
        self.measuring = true;
        self.delays_ms.clear();
        self.arrivals_ms.clear();
        for viewer in &mut self.viewers {
            viewer.seen.packets = 0;
            viewer.seen.numbers = None;
        }
    }

    /// Everybody works until then.
    pub fn run(&mut self, until: Instant) -> Result<()> {
        let mut ready = Events::with_capacity(256);
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            for n in 0..self.viewers.len() {
                if self.viewers[n].deadline <= now {
                    let viewer = &mut self.viewers[n];
                    let _ = viewer.rtc.handle_input(Input::Timeout(now));
                    self.turn(n);
                }
            }
            let next = self.viewers.iter().map(|v| v.deadline).min().unwrap_or(until).min(until);
            let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_micros(200));
            match self.poll.poll(&mut ready, Some(wait)) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            let tokens: Vec<usize> = ready.iter().map(|e| e.token().0).collect();
            for n in tokens {
                self.receive(n);
            }
        }
    }

    fn receive(&mut self, n: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let viewer = &mut self.viewers[n];
            let mut meta = [RecvMeta::default()];
            let read = viewer.state.recv((&viewer.socket).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta);
            if !matches!(read, Ok(1)) {
                break;
            }
            let now = Instant::now();
            viewer.arrived = meta[0].timestamp.map(|unix| unix.saturating_sub(self.start_unix));
            for datagram in buffer[..meta[0].len].chunks(meta[0].stride.max(1)) {
                let Ok(contents) = datagram.try_into() else { continue };
                let viewer = &mut self.viewers[n];
                let receive = Receive { proto: Protocol::Udp, source: meta[0].addr, destination: viewer.local, contents };
                let _ = viewer.rtc.handle_input(Input::Receive(now, receive));
                self.turn(n);
            }
        }
        self.buffer = buffer;
    }

    fn turn(&mut self, n: usize) {
        let viewer = &mut self.viewers[n];
        for _ in 0..IN_A_ROW * 100 {
            match viewer.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    viewer.deadline = at;
                    break;
                }
                Ok(Output::Transmit(t)) => viewer.out.push_back((t.destination, t.contents.into())),
                Ok(Output::Event(Event::Connected)) => {
                    viewer.seen.connected.get_or_insert(viewer.offered.elapsed());
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let Some(sent) = source::sent_at(&packet.payload) else { continue };
                    let seq = *packet.seq_no;
                    let (first, last) = viewer.seen.numbers.unwrap_or((seq, seq));
                    viewer.seen.numbers = Some((first.min(seq), last.max(seq)));
                    viewer.seen.packets += 1;
                    if viewer.seen.complete.is_none() && packet.header.marker && source::is_key(&packet.payload) {
                        viewer.seen.complete = Some(viewer.offered.elapsed());
                    }
                    if self.measuring {
                        self.delays_ms.push((self.start.elapsed().saturating_sub(sent)).as_secs_f64() * 1_000.0);
                        self.arrivals_ms.extend(viewer.arrived.map(|at| at.saturating_sub(sent).as_secs_f64() * 1_000.0));
                    }
                }
                Ok(Output::Event(_)) => {}
                Err(_) => {
                    // It has ended; it is counted by what it did not see.
                    viewer.deadline = Instant::now() + Duration::from_secs(3_600);
                    break;
                }
            }
        }
        while let Some((to, bytes)) = viewer.out.pop_front() {
            let _ = viewer.socket.send_to(&bytes, to);
        }
    }
}
