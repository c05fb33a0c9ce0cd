//! The forwarding core with viewers of str0m's client side, on a virtual clock and without sockets: for what one packet costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use link::id::{CaseId, LayerId};
use sfu::{Carrier, CoreConfig, Engine, FeedPacket, Grants, Limits, Moment, Outgoing, PeerId, PeerKind, VideoCodec};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

/// 4 Mbit/s at 30 frames a second.
pub const PACKETS: usize = 15;
pub const FRAME: Duration = Duration::from_micros(33_333);
const PAYLOAD_BYTES: usize = 1_112;

#[derive(Debug)]
struct Viewer {
    rtc: Rtc,
    address: SocketAddr,
    deadline: Instant,
}

/// A case with viewers of its program.
#[derive(Debug)]
pub struct Rehearsed {
    pub engine: Engine,
    now: Instant,
    start: Instant,
    server: SocketAddr,
    viewers: Vec<Viewer>,
    seq: u16,
    case: CaseId,
    /// Datagrams that came out.
    pub sent: u64,
}

impl Rehearsed {
    /// All connected, all watching.
    pub fn new(viewers: usize) -> Result<Self> {
        let server = SocketAddr::from(([192, 0, 2, 1], 8444));
        let limits = Limits { peers_per_case: 1_024, silent_after: Duration::from_secs(1_000_000), ..Limits::default() };
        let engine = Engine::new(CoreConfig { candidates: vec![server], tcp: false, limits }).map_err(anyhow::Error::msg)?;
        let now = Instant::now();
        let case = CaseId::parse("rehearsed")?;
        let mut room = Rehearsed { engine, now, start: now, server, viewers: Vec::new(), seq: 0, case, sent: 0 };
        for n in 0..viewers {
            room.join(n)?;
        }
        for _ in 0..400 {
            room.step(Duration::from_millis(5));
            if room.viewers.iter().all(|v| v.rtc.is_connected()) {
                room.frame(true);
                return Ok(room);
            }
        }
        bail!("not everybody connected")
    }

    fn join(&mut self, n: usize) -> Result<()> {
        let address = SocketAddr::from(([198, 51, 100, 1], 10_000 + u16::try_from(n)?));
        let provider = std::sync::Arc::new(str0m::crypto::from_feature_flags());
        let config = Rtc::builder().set_crypto_provider(provider).set_rtp_mode(true).clear_codecs().enable_h264(true);
        let mut rtc = config.build(self.now);
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().context("an offer has one line")?;
        let kind = PeerKind::Whep { feed: FeedId::program(), layer: Some(LayerId::High) };
        let grants = Grants { see: true, ..Grants::default() };
        let id = PeerId(n as u64 + 1);
        let answer = self.engine.handle_offer(self.now, id, self.case.clone(), kind, grants, &offer.to_sdp_string())?;
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer)?)?;
        self.viewers.push(Viewer { rtc, address, deadline: self.now });
        Ok(())
    }

    /// Lets time pass, and carries what engine and viewers say to each other.
    pub fn step(&mut self, time: Duration) {
        self.now += time;
        if self.engine.poll_timeout().is_some_and(|at| at <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        for _ in 0..8 {
            while self.engine.poll_event().is_some() {}
            let mut quiet = true;
            while let Some(transmit) = self.engine.poll_transmit() {
                quiet = false;
                let Some(viewer) = self.viewers.iter_mut().find(|v| v.address == transmit.destination) else { continue };
                let Ok(contents) = transmit.contents[..].try_into() else { continue };
                let (source, destination) = (self.server, viewer.address);
                let receive = Receive { proto: Protocol::Udp, source, destination, contents };
                let _ = viewer.rtc.handle_input(Input::Receive(self.now, receive));
                viewer.deadline = self.now;
            }
            for viewer in &mut self.viewers {
                if viewer.deadline <= self.now {
                    let _ = viewer.rtc.handle_input(Input::Timeout(self.now));
                    while let Ok(output) = viewer.rtc.poll_output() {
                        match output {
                            Output::Timeout(at) => {
                                viewer.deadline = at;
                                break;
                            }
                            Output::Transmit(t) => {
                                quiet = false;
                                self.engine.handle_datagram(self.now, Carrier::Udp, viewer.address, self.server, &t.contents);
                            }
                            Output::Event(_) => {}
                        }
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// The packets of the next frame, made before anything is measured.
    pub fn next_frame(&mut self, key: bool) -> Vec<FeedPacket> {
        let since = Duration::from_secs(1_790_000_000) + self.now.duration_since(self.start);
        let received = Moment { at: self.now, timeline: CaptureTime::from_unix(since) };
        let timestamp = received.timeline.rtp_90khz();
        (0..PACKETS)
            .map(|n| {
                let marker = if n + 1 == PACKETS { 0x80 } else { 0 };
                let mut packet = vec![0x80, marker | 96];
                packet.extend(self.seq.to_be_bytes());
                packet.extend(timestamp.to_be_bytes());
                packet.extend([0, 0, 0, 1, 0x7C]);
                packet.push(if n == 0 { 0x80 } else { 0 } | if key { 5 } else { 1 });
                packet.resize(12 + PAYLOAD_BYTES, 0xA5);
                self.seq = self.seq.wrapping_add(1);
                FeedPacket {
                    case: self.case.clone(),
                    feed: FeedId::program(),
                    layer: LayerId::High,
                    codec: VideoCodec::H264,
                    packet: Bytes::from(packet),
                    received,
                }
            })
            .collect()
    }

    /// Forwards these packets and takes what comes out, as the thread does.
    pub fn forward(&mut self, packets: &[FeedPacket]) {
        for packet in packets {
            self.engine.handle_feed(self.now, packet);
            while let Some(transmit) = self.engine.poll_transmit() {
                self.sent += 1;
                std::hint::black_box(&transmit);
            }
        }
    }

    /// The same, each viewer's handed to the system before the next is served, as the thread does. `at`: where all of them are sent, each viewer's
    /// to an address of its own.
    pub fn forward_out(&mut self, packets: &[FeedPacket], out: &mut Outgoing, at: u16) {
        let Rehearsed { engine, now, sent, .. } = self;
        for packet in packets {
            engine.handle_feeds(*now, std::slice::from_ref(packet), |transmits| {
                for mut transmit in transmits.drain(..) {
                    *sent += 1;
                    let [high, low] = transmit.destination.port().to_be_bytes();
                    transmit.destination = SocketAddr::from(([127, 1, high, low], at));
                    out.send(&transmit);
                }
                out.send_all();
                *now
            });
        }
    }

    fn frame(&mut self, key: bool) {
        let packets = self.next_frame(key);
        for packet in &packets {
            self.engine.handle_feed(self.now, packet);
        }
        self.step(FRAME);
    }

    /// A while of ordinary life: frames that arrive, feedback that comes back.
    pub fn warm(&mut self, frames: usize) {
        for _ in 0..frames {
            self.frame(false);
        }
    }
}
