//! One connection: turned by hand, drained after each turn.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use annotation::time::CaptureTime;
use bytes::Bytes;
use str0m::bwe::{Bitrate, BweKind};
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaTime, Mid, Pt};
use str0m::net::Protocol;
use str0m::rtp::{AbsCaptureTime, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, PacerReason, Reason, Rtc};

use super::figures::StatsBook;
use super::proof;
use super::repair::Repair;
use super::setup::{channel_of, keep_for_repair};
use super::text;
use super::twice::Twice;
use super::ways::Ways;
use super::{Carrier, Class, Transmit, receive, time_of};
use crate::api::{Channel, PeerId, PeerStats, TrackStats, VideoCodec};
use crate::route::layer::Line;

/// Outputs of one drain. More means that something turns in circles.
const DRAIN_MAX: usize = 20_000;

/// Reports that leave between a picture's packets.
const REPORTS_MAX: usize = 4;

/// An estimate is turned this often; WebRTC's own is every 25 ms.
const ESTIMATE_EVERY: Duration = Duration::from_millis(25);
/// Asking a line what it carries is a matter of exact times, and over within this.
const ASKING: Duration = Duration::from_millis(200);

/// The ids str0m gave our four channels, in the order of [`Channel::ALL`].
pub(super) type Channels = [Option<ChannelId>; 4];

#[derive(Debug, Clone)]
pub(super) struct VideoLine {
    pub(super) mid: Mid,
    /// Its stream to the peer; told with the first packet.
    pub(super) ways: Ways,
    pub(super) repair: Repair,
    pub(super) told: TrackStats,
    pub(super) h264: Option<Pt>,
    pub(super) vp8: Option<Pt>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct VoiceLine {
    pub(super) mid: Mid,
    pub(super) opus: Option<Pt>,
    pub(super) red: Option<Pt>,
}

/// One voice packet from a peer.
#[derive(Debug, Clone)]
pub(crate) struct VoicePacket {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    /// 0 loudest, -127 silence; `None` when the peer does not say.
    pub(crate) dbov: Option<i8>,
    pub(crate) activity: Option<bool>,
    /// Redundant audio (RFC 2198).
    pub(crate) red: bool,
    pub(crate) payload: Arc<[u8]>,
}

/// One packet of a published picture.
#[derive(Debug, Clone)]
pub(crate) struct PublishedPacket {
    pub(crate) codec: VideoCodec,
    pub(crate) ssrc: u32,
    pub(crate) seq: u64,
    /// As the publisher wrote it.
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// When it was captured, on the publisher's clock.
    pub(crate) absolute: Option<CaptureTime>,
    /// Its last sender report: (its clock, RTP time).
    pub(crate) report: Option<(CaptureTime, u32)>,
    pub(crate) payload: Arc<[u8]>,
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum ConnEvent {
    Connected,
    /// The other side said goodbye.
    Hangup,
    KeyframeRequest {
        slot: usize,
    },
    /// Packets were asked for again that are too old to be of use.
    Late {
        slot: usize,
    },
    Voice(VoicePacket),
    Published(PublishedPacket),
    ChannelOpen(Channel),
    Data {
        channel: Channel,
        bytes: Bytes,
    },
    /// About the line, five times a second; figures once a second.
    Line {
        /// Something new came that proves who sent it: a report, a request, a packet of media.
        heard: bool,
        line: Line,
        /// Share of packets lost, of all datagrams with their repairs, once a second.
        on_the_way: Option<f32>,
        stats: Option<PeerStats>,
    },
}

#[derive(Debug)]
pub(crate) struct VideoWrite {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) capture: CaptureTime,
    pub(crate) wallclock: Instant,
    /// How long the browser is to hold it, hundredths of a second; 0: it is shown as soon as it is decoded, the setting that
    /// matters most for age.
    pub(crate) playout_hundredths: u64,
    /// When it came to this process, if that is to be told of its datagram.
    pub(crate) arrived: Option<Instant>,
    pub(crate) payload: Arc<[u8]>,
}

#[derive(Debug)]
pub(crate) struct VoiceWrite {
    pub(crate) slot: usize,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) dbov: Option<i8>,
    pub(crate) activity: Option<bool>,
    pub(crate) red: bool,
    pub(crate) wallclock: Instant,
    pub(crate) payload: Arc<[u8]>,
}

/// Where what comes out of a connection goes.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) peer: PeerId,
    pub(crate) transmits: &'a mut VecDeque<Transmit>,
    pub(crate) events: &'a mut VecDeque<(PeerId, ConnEvent)>,
}

/// The connection is of no further use: the other side broke the protocol, or it turns in circles. The text is for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spent(pub(crate) String);

impl From<str0m::RtcError> for Spent {
    fn from(e: str0m::RtcError) -> Self {
        Spent(e.to_string())
    }
}

/// One thing that came out of a connection.
enum Polled {
    /// There is nothing more until its deadline.
    Nothing,
    Sent,
    Told,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) rtc: Rtc,
    pub(super) video: Vec<VideoLine>,
    voice: Vec<VoiceLine>,
    /// One bit for each payload type of voice.
    voices: u128,
    /// The line of a publisher's picture.
    published: Option<Mid>,
    channels: Channels,
    deadline: Instant,
    connected: bool,
    /// The other side tells what arrives: the estimate means something.
    pub(super) tells: bool,
    /// What it says that it can take, where it does not tell what arrives.
    pub(super) remb_bps: Option<u64>,
    desired_bps: (u64, u64),
    twice: Twice,
    /// All that is wished is sent.
    calm: bool,
    asking_until: Instant,
    /// The estimator asked the line whether it carries more, since this was last told.
    pub(super) asked: bool,
    /// When it was last turned.
    now: Instant,
    pub(super) stats: StatsBook,
    #[cfg(test)]
    pub(crate) panics: bool,
}

impl Conn {
    pub(super) fn new(
        now: Instant,
        rtc: Rtc,
        video: Vec<VideoLine>,
        voice: Vec<VoiceLine>,
        published: Option<Mid>,
        channels: Channels,
    ) -> Self {
        let stats = StatsBook::default();
        let spoken = voice.iter().flat_map(|line| [line.opus, line.red]).flatten();
        let voices = spoken.fold(0, |bits, pt| bits | 1u128 << (*pt & 0x7F));
        Conn {
            rtc,
            video,
            voice,
            voices,
            published,
            channels,
            deadline: now,
            connected: false,
            tells: false,
            remb_bps: None,
            desired_bps: (0, 0),
            twice: Twice::default(),
            calm: false,
            asking_until: now,
            asked: false,
            now,
            stats,
            #[cfg(test)]
            panics: false,
        }
    }

    /// Answers a later offer of the same peer: an ICE restart.
    pub(crate) fn answer_again(&mut self, sdp: &str, sink: &mut Sink<'_>) -> Result<String, Spent> {
        let offer = SdpOffer::from_sdp_string(&text::as_meant(sdp)).map_err(|e| Spent(e.to_string()))?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.drain(sink)?;
        Ok(answer.to_sdp_string())
    }

    /// Our ICE user fragment: packets with it are for this connection.
    pub(crate) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    pub(crate) fn add_candidate(&mut self, text: &str, sink: &mut Sink<'_>) -> Result<bool, Spent> {
        // A name that only the peer's own network knows (mDNS) is no loss: its packets show where it is.
        let Ok(candidate) = Candidate::from_sdp_string(text.trim_start_matches("a=")) else { return Ok(false) };
        self.rtc.add_remote_candidate(candidate);
        self.drain(sink)?;
        Ok(true)
    }

    /// True when the datagram is a STUN message that proves knowledge of this connection's password. str0m takes anything from the address in
    /// use without a look, so it is asked as if this came from nowhere.
    pub(crate) fn proves_itself(&self, now: Instant, carrier: Carrier, destination: SocketAddr, bytes: &[u8]) -> bool {
        let nowhere = SocketAddr::from(([0; 4], 0));
        receive(carrier, nowhere, destination, bytes).is_some_and(|r| self.rtc.accepts(&Input::Receive(now, r)))
    }

    /// A datagram for this connection. What is no packet of WebRTC's at all is ignored. True: it proves who sent it.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        carrier: Carrier,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<bool, Spent> {
        let Some(received) = receive(carrier, source, destination, bytes) else { return Ok(false) };
        let (opened, told) = (proof::opened(), sink.events.len());
        self.now = self.now.max(now);
        self.rtc.handle_input(Input::Receive(now, received))?;
        self.drain(sink)?;
        let said = sink.events.iter().skip(told).any(|(_, event)| matches!(event, ConnEvent::Data { .. }));
        Ok(said || proof::opened() != opened)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, sink: &mut Sink<'_>) -> Result<(), Spent> {
        #[cfg(test)]
        assert!(!self.panics, "a test asked for this panic");
        self.now = self.now.max(now);
        sink.transmits.extend(std::iter::from_fn(|| self.twice.poll_transmit(now)));
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(sink)
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.twice.poll_timeout().map_or(self.deadline, |at| at.min(self.deadline))
    }

    /// All that is wished is sent, or not: then the line is asked again and again whether it carries more.
    pub(crate) fn set_calm(&mut self, calm: bool) {
        self.calm = calm;
    }

    /// From now on what is sent again is sent twice, or not: where the line loses and has room.
    pub(crate) fn repair_twice(&mut self, on: bool) {
        self.twice.on = on;
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Did the peer agree to H.264 in this slot? A slot that it does not have counts as such.
    pub(crate) fn takes_h264(&self, slot: usize) -> bool {
        self.video.get(slot).is_none_or(|line| line.h264.is_some() || line.vp8.is_none())
    }

    /// Writes packets of one slot; those that the line takes now leave with this call, the others when they are due. False:
    /// the peer did not take this codec.
    pub(crate) fn write_video(
        &mut self,
        now: Instant,
        slot: usize,
        codec: VideoCodec,
        packets: impl Iterator<Item = VideoWrite>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, Spent> {
        let Some(line) = self.video.get_mut(slot) else { return Ok(false) };
        let pt = match codec {
            VideoCodec::H264 => line.h264,
            VideoCodec::Vp8 => line.vp8,
        };
        let Some(pt) = pt else { return Ok(false) };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(line.mid, None) else { return Ok(false) };
        // One mutation: the queue of this stream grows by them all.
        let mut written = 0;
        for packet in packets {
            let held = MediaTime::from_hundredths(packet.playout_hundredths);
            let ext_vals = ExtensionValues {
                play_delay_min: Some(held),
                play_delay_max: Some(held),
                abs_capture_time: Some(AbsCaptureTime {
                    capture_time: SystemTime::UNIX_EPOCH + packet.capture.to_unix(),
                    clock_offset: None,
                }),
                ..Default::default()
            };
            let write = RtpWrite::new(pt, packet.seq.into(), packet.timestamp, packet.wallclock, packet.payload);
            stream.write_rtp(write.marker(packet.marker).nackable(true).ext_vals(ext_vals));
            if let Some(arrived) = packet.arrived {
                line.ways.push(packet.seq as u16, arrived);
            }
            written += 1;
        }
        self.drain(sink)?;
        self.release(now, written, sink)?;
        Ok(true)
    }

    /// As [`Conn::write_video`]. RED must only be written where [`Conn::takes_red`].
    pub(crate) fn write_voice(&mut self, packet: VoiceWrite, sink: &mut Sink<'_>) -> Result<bool, Spent> {
        let Some(line) = self.voice.get(packet.slot) else { return Ok(false) };
        let Some(pt) = (if packet.red { line.red } else { line.opus }) else { return Ok(false) };
        let ext_vals = ExtensionValues { audio_level: packet.dbov, voice_activity: packet.activity, ..Default::default() };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(line.mid, None) else { return Ok(false) };
        let write = RtpWrite::new(pt, packet.seq.into(), packet.timestamp, packet.wallclock, packet.payload);
        stream.write_rtp(write.marker(packet.marker).ext_vals(ext_vals));
        self.drain(sink)?;
        Ok(true)
    }

    /// What was sent in a slot is of no use any more: it is not sent again, whoever asks.
    pub(crate) fn forget_sent(&mut self, slot: usize, sink: &mut Sink<'_>) -> Result<(), Spent> {
        let Some(line) = self.video.get(slot) else { return Ok(()) };
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(line.mid, None) {
            keep_for_repair(stream);
        }
        self.drain(sink)
    }

    /// What the line should be found to carry, if it does, and what is sent over it at least, with padding.
    pub(crate) fn set_desired(&mut self, least_bps: u64, bps: u64, sink: &mut Sink<'_>) -> Result<(), Spent> {
        if std::mem::replace(&mut self.desired_bps, (least_bps, bps)) == (least_bps, bps) {
            return Ok(());
        }
        self.rtc.bwe().set_bitrate(Bitrate::from(least_bps), Bitrate::from(bps));
        self.drain(sink)
    }

    /// Takes the line to carry so much, and forgets all else of it.
    pub(crate) fn resume(&mut self, bps: u64, sink: &mut Sink<'_>) -> Result<(), Spent> {
        self.rtc.bwe().reset(Bitrate::bps(bps));
        self.drain(sink)
    }

    /// Asks a publisher for a keyframe; the request leaves with the next [`Conn::handle_timeout`].
    pub(crate) fn request_keyframe(&mut self, sink: &mut Sink<'_>) -> Result<(), Spent> {
        let Some(mid) = self.published else { return Ok(()) };
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.drain(sink)
    }

    pub(crate) fn takes_red(&self, slot: usize) -> bool {
        self.voice.get(slot).is_some_and(|l| l.red.is_some())
    }

    /// True when str0m took the message. False: not open, or more than `waiting_max` bytes already wait.
    pub(crate) fn write_data(
        &mut self,
        channel: Channel,
        bytes: &[u8],
        waiting_max: usize,
        sink: &mut Sink<'_>,
    ) -> Result<bool, Spent> {
        let Some(id) = self.channels[channel as usize] else { return Ok(false) };
        let taken = match self.rtc.channel(id) {
            Some(mut open) => open.buffered_amount() + bytes.len() <= waiting_max && open.write(true, bytes)?,
            None => false,
        };
        self.drain(sink)?;
        Ok(taken)
    }

    /// Says goodbye to the other side.
    pub(crate) fn close(&mut self, now: Instant, sink: &mut Sink<'_>) -> Result<(), Spent> {
        self.rtc.close()?;
        self.drain(sink)?;
        self.handle_timeout(now, sink)
    }

    /// Lets out what the line takes now of the packets that were written. str0m lets one out for each word on the time; asking it after
    /// each what else there is to do costs as much as all the rest of forwarding, so it is asked after the last. Its documents want that after
    /// every input: what it might have to say meanwhile waits in its queues for as long as these packets take to be encrypted.
    fn release(&mut self, now: Instant, packets: usize, sink: &mut Sink<'_>) -> Result<(), Spent> {
        self.now = self.now.max(now);
        for _ in 0..packets + REPORTS_MAX {
            self.rtc.handle_input(Input::Timeout(now))?;
            for _ in 0..DRAIN_MAX {
                match self.poll(sink)? {
                    Polled::Nothing => return Ok(()),
                    Polled::Sent => break,
                    Polled::Told => {}
                }
            }
        }
        self.drain(sink)
    }

    fn drain(&mut self, sink: &mut Sink<'_>) -> Result<(), Spent> {
        for _ in 0..DRAIN_MAX {
            if let Polled::Nothing = self.poll(sink)? {
                return Ok(());
            }
        }
        Err(Spent(format!("more than {DRAIN_MAX} outputs of one input")))
    }

    /// Takes one thing that comes out.
    fn poll(&mut self, sink: &mut Sink<'_>) -> Result<Polled, Spent> {
        Ok(match self.rtc.poll_output()? {
            Output::Timeout(at) => {
                self.deadline = self.unhurried(at);
                Polled::Nothing
            }
            Output::Transmit(t) => {
                let (mut since, mut again) = (None, false);
                for line in &mut self.video {
                    since = since.or_else(|| line.ways.take(&t.contents));
                    again |= line.repair.handle_sent(&t.contents);
                }
                let transmit = Transmit {
                    carrier: if t.proto == Protocol::Udp { Carrier::Udp } else { Carrier::Tcp },
                    class: Class::of(&t.contents, self.voices),
                    source: t.source,
                    destination: t.destination,
                    contents: t.contents.into(),
                    since,
                };
                self.twice.handle_sent(self.now, &transmit, again);
                sink.transmits.push_back(transmit);
                Polled::Sent
            }
            Output::Event(event) => {
                if let Some(event) = self.handle_event(event) {
                    sink.events.push_back((sink.peer, event));
                }
                Polled::Told
            }
        })
    }

    /// The estimator asks to be turned once in each round trip, which is a thousand times a second on a good line. While nothing waits
    /// to be sent, and nobody asks the line whether it carries more, it may wait for the next picture.
    fn unhurried(&mut self, at: Instant) -> Instant {
        use PacerReason::{Padding, Probe1, Probe2};
        let reason = self.rtc.last_timeout_reason();
        self.asked |= matches!(reason, Reason::Pacer(Probe1 | Probe2));
        if matches!(reason, Reason::Pacer(Probe1 | Probe2 | Padding)) {
            self.asking_until = self.now + ASKING;
        }
        let later = self.now + ESTIMATE_EVERY;
        let hurried = self.calm && self.now >= self.asking_until && at < later && reason == Reason::BweDelayControl;
        if hurried && self.first_unsent_of_all().is_none() { later } else { at }
    }

    fn handle_event(&mut self, event: Event) -> Option<ConnEvent> {
        match event {
            Event::Connected => {
                self.connected = true;
                Some(ConnEvent::Connected)
            }
            Event::Closed => Some(ConnEvent::Hangup),
            Event::KeyframeRequest(request) => {
                let slot = self.video.iter().position(|l| l.mid == request.mid)?;
                Some(ConnEvent::KeyframeRequest { slot })
            }
            Event::RtpPacket(packet) if self.published.is_some() => self.published(packet).map(ConnEvent::Published),
            Event::RtpPacket(packet) => {
                let pt = packet.header.payload_type;
                let opus = self.rtc.codec_config().params().iter().find(|p| p.spec().codec == Codec::Opus)?;
                let red = opus.red() == Some(pt);
                if !red && opus.pt() != pt {
                    return None;
                }
                Some(ConnEvent::Voice(VoicePacket {
                    seq: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    dbov: packet.header.ext_vals.audio_level,
                    activity: packet.header.ext_vals.voice_activity,
                    red,
                    payload: packet.payload,
                }))
            }
            Event::ChannelOpen(id, _) => channel_of(&self.channels, id).map(ConnEvent::ChannelOpen),
            Event::ChannelData(data) => {
                let channel = channel_of(&self.channels, data.id)?;
                Some(ConnEvent::Data { channel, bytes: data.data.into() })
            }
            Event::EgressBitrateEstimate(BweKind::Twcc { can_probe, .. }) => {
                self.tells = can_probe;
                None
            }
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
                self.remb_bps = Some(estimate.as_u64());
                None
            }
            Event::MediaEgressStats(media) => self.handle_egress(&media),
            Event::MediaIngressStats(media) => {
                self.handle_ingress(&media);
                None
            }
            Event::PeerStats(peer) => Some(self.handle_stats(&peer)),
            _ => None,
        }
    }

    /// `None` for what is no picture of a codec that was agreed on: sound, padding.
    fn published(&self, packet: RtpPacket) -> Option<PublishedPacket> {
        let params = self.rtc.codec_config().params();
        let codec = match params.iter().find(|p| p.pt() == packet.header.payload_type)?.spec().codec {
            Codec::H264 => VideoCodec::H264,
            Codec::Vp8 => VideoCodec::Vp8,
            _ => return None,
        };
        let absolute = packet.header.ext_vals.abs_capture_time.and_then(|c| time_of(c.capture_time));
        let report = packet.last_sender_info.and_then(|s| Some((time_of(s.ntp_time)?, s.rtp_time.numer() as u32)));
        Some(PublishedPacket {
            codec,
            ssrc: *packet.header.ssrc,
            seq: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            absolute,
            report,
            payload: packet.payload,
        })
    }
}
