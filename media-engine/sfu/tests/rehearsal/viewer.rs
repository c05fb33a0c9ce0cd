//! A page, or a player: str0m's client side, offering as the web client does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::camera::{Camera, Lens};
use annotation::time::CaptureTime;
use sfu::Channel;
use str0m::bwe::Bitrate;
use str0m::change::SdpPendingOffer;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// One video packet that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) at: Instant,
    pub(crate) slot: usize,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) keyframe: bool,
    /// Number of the source and of the frame that the payload names.
    pub(crate) feed: u8,
    pub(crate) frame: u32,
    pub(crate) marker: bool,
    pub(crate) playout_delay: Option<(u64, u64)>,
    pub(crate) capture: Option<CaptureTime>,
}

impl Picture {
    /// One of which nothing matters but when it came.
    pub(crate) fn default_at(at: Instant) -> Self {
        let (keyframe, marker, playout_delay, capture) = (false, true, None, None);
        Picture { at, slot: 0, seq: 0, timestamp: 0, keyframe, feed: 0, frame: 0, marker, playout_delay, capture }
    }
}

/// One voice packet that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) slot: usize,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    /// Peer that the payload names.
    pub(crate) from: u64,
    /// Of the older block that a redundant packet brings along: its time, and whom it names.
    pub(crate) older: Option<(u32, u64)>,
}

pub(crate) struct Viewer {
    rtc: Rtc,
    pub(crate) address: SocketAddr,
    pub(crate) deadline: Instant,
    pub(crate) out: VecDeque<(SocketAddr, Vec<u8>)>,
    now: Instant,
    pending: Option<SdpPendingOffer>,
    video: Vec<Mid>,
    voice_in: Vec<Mid>,
    voice_out: Option<Mid>,
    channels: BTreeMap<Channel, ChannelId>,
    pictures: Vec<Picture>,
    voices: Vec<Voice>,
    data: Vec<(Channel, Vec<u8>)>,
    spoken: u64,
    /// It says each thing twice, the second time with the next packet (RFC 2198), as browsers do where it comes first in the answer.
    pub(crate) redundant: bool,
    said: Vec<u8>,
    pub(crate) camera: Option<Camera>,
    pub(crate) answer: String,
}

impl Viewer {
    /// `page`: 5 video, 8 + 1 voice, 4 channels; else one video and one audio, and no candidates at all.
    pub(crate) fn new(now: Instant, address: SocketAddr, page: bool) -> (Self, String) {
        Self::make(now, address, page, None, false)
    }

    /// A player of the old kind, that does not tell what arrives, only what it can take.
    pub(crate) fn old(now: Instant, address: SocketAddr) -> (Self, String) {
        Self::make(now, address, false, None, true)
    }

    /// A camera that publishes: one video and one audio to send.
    pub(crate) fn camera(now: Instant, address: SocketAddr, lens: Lens) -> (Self, String) {
        Self::make(now, address, false, Some(lens), false)
    }

    fn make(now: Instant, address: SocketAddr, page: bool, lens: Option<Lens>, old: bool) -> (Self, String) {
        let provider = std::sync::Arc::new(str0m::crypto::from_feature_flags());
        let mut config = Rtc::builder()
            .set_crypto_provider(provider)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            .enable_vp8(true)
            .set_extension(7, Extension::PlayoutDelay)
            .set_extension(8, Extension::AbsoluteCaptureTime);
        if old {
            config = config.clear_extension_map().set_extension(4, Extension::RtpMid);
        }
        config.codec_config().add_h264(102.into(), Some(103.into()), true, 0x42e01f);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut api = rtc.sdp_api();
        let (videos, voices) = if lens.is_some() {
            (0, 0)
        } else if page {
            (5, 8)
        } else {
            (1, 1)
        };
        let mut line = |kind, direction| api.add_media(kind, direction, None, None, None);
        let video = (0..videos).map(|_| line(MediaKind::Video, Direction::RecvOnly)).collect();
        let voice_in = (0..voices).map(|_| line(MediaKind::Audio, Direction::RecvOnly)).collect();
        let voice_out = page.then(|| line(MediaKind::Audio, Direction::SendOnly));
        let camera = lens.map(|lens| {
            line(MediaKind::Audio, Direction::SendOnly);
            Camera::new(now, line(MediaKind::Video, Direction::SendOnly), lens)
        });
        let mut channels = BTreeMap::new();
        if page {
            for channel in Channel::ALL {
                let reliability =
                    if channel.is_reliable() { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } };
                let id = api.add_channel_with_config(ChannelConfig {
                    label: channel.label().into(),
                    ordered: channel.is_reliable(),
                    reliability,
                    negotiated: Some(channel.id()),
                    protocol: String::new(),
                });
                channels.insert(channel, id);
            }
        }
        let (offer, pending) = api.apply().expect("an offer");
        let mut text = offer.to_sdp_string();
        if !page {
            text = text.lines().filter(|l| !l.starts_with("a=candidate")).map(|l| format!("{l}\r\n")).collect();
        }
        let viewer = Viewer {
            rtc,
            address,
            deadline: now,
            out: VecDeque::new(),
            now,
            pending: Some(pending),
            video,
            voice_in,
            voice_out,
            channels,
            pictures: Vec::new(),
            voices: Vec::new(),
            data: Vec::new(),
            spoken: 0,
            redundant: false,
            said: Vec::new(),
            camera,
            answer: String::new(),
        };
        (viewer, text)
    }

    /// New ICE credentials on the same connection, from another address.
    pub(crate) fn restart_ice(&mut self, address: SocketAddr) -> String {
        self.address = address;
        self.rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        self.drain();
        let mut api = self.rtc.sdp_api();
        api.ice_restart(true);
        let (offer, pending) = api.apply().expect("an offer");
        self.pending = Some(pending);
        let text = offer.to_sdp_string();
        // As the first time.
        let bare = |l: &&str| self.voice_out.is_some() || !l.starts_with("a=candidate");
        text.lines().filter(bare).flat_map(|l| [l, "\r\n"]).collect()
    }

    pub(crate) fn accept(&mut self, answer: &str) {
        self.answer = answer.to_owned();
        let answer = str0m::change::SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("an offer was made");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("acceptable");
        self.drain();
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        self.now = now;
        let Ok(contents) = bytes.try_into() else { return };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
        self.rtc.handle_input(Input::Receive(now, receive)).expect("the server sends what can be read");
        self.drain();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.drain();
    }

    /// A packet of 20 ms of speech by `name`, this loud.
    pub(crate) fn speak(&mut self, now: Instant, name: u64, dbov: i8) {
        let Some(mid) = self.voice_out else { return };
        let wanted = self.rtc.media(mid).map(|m| m.remote_pts().to_vec()).unwrap_or_default();
        let params = self.rtc.codec_config().params().iter();
        let opus = params.clone().find(|p| p.spec().codec == Codec::Opus && wanted.contains(&p.pt()));
        let Some((mut pt, red)) = opus.map(|p| (p.pt(), p.red())) else { return };
        self.spoken += 1;
        let ext_vals = ExtensionValues { audio_level: Some(dbov), voice_activity: Some(true), ..Default::default() };
        // First a TOC byte of Opus: CELT, 20 ms, one frame (RFC 6716 §3.1). A name's first byte is not looked at.
        let mut payload = name.to_be_bytes().repeat(10);
        payload[0] = 0xF8;
        let newest = payload.clone();
        if self.redundant {
            let (older, block) = (std::mem::replace(&mut self.said, newest), *pt);
            pt = red.expect("the answer has it");
            payload = with_older(block, &older, &payload);
        }
        let write = RtpWrite::new(pt, (1_000 + self.spoken).into(), (self.spoken * 960) as u32, now, payload);
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_tx_by_mid(mid, None) {
            stream.write_rtp(write.ext_vals(ext_vals));
        }
        self.drain();
        self.handle_timeout(now);
    }

    /// The camera's next frame, if it is due.
    pub(crate) fn shoot(&mut self, now: Instant, timeline: CaptureTime) {
        let Some(camera) = self.camera.as_mut().filter(|c| c.next <= now) else { return };
        camera.shoot(now, timeline, &mut self.rtc);
        self.drain();
        self.handle_timeout(now);
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant) {
        self.rtc.close().expect("sound");
        self.drain();
        self.handle_timeout(now);
    }

    pub(crate) fn say(&mut self, channel: Channel, bytes: &[u8]) {
        let id = self.channels[&channel];
        assert!(self.rtc.channel(id).expect("open").write(true, bytes).expect("writes"), "there is room");
        self.drain();
        self.handle_timeout(self.now);
    }

    pub(crate) fn request_keyframe(&mut self, now: Instant, slot: usize) {
        let mid = self.video[slot];
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.drain();
        self.handle_timeout(now);
    }

    /// Says what it can take.
    pub(crate) fn tell_remb(&mut self, now: Instant, bps: u64) {
        let mid = self.video[0];
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid, None) {
            stream.request_remb(Bitrate::bps(bps));
        }
        self.drain();
        self.handle_timeout(now);
    }

    /// In order of sequence numbers.
    pub(crate) fn pictures(&self, slot: usize) -> Vec<Picture> {
        let mut pictures: Vec<_> = self.pictures.iter().filter(|p| p.slot == slot).cloned().collect();
        pictures.sort_by_key(|p| p.seq);
        pictures
    }

    /// What came last, of this slot.
    pub(crate) fn newest(&self, slot: usize) -> Option<&Picture> {
        self.pictures.last().filter(|p| p.slot == slot)
    }

    /// What arrived so far.
    pub(crate) fn forget(&mut self) {
        self.pictures.clear();
        self.voices.clear();
        self.data.clear();
    }

    pub(crate) fn voices(&self) -> Vec<Voice> {
        self.voices.clone()
    }

    pub(crate) fn data(&self) -> Vec<(Channel, Vec<u8>)> {
        self.data.clone()
    }

    /// Every number from the first to the last arrived once, and begins with a keyframe.
    pub(crate) fn assert_unbroken(&self, slot: usize) {
        let pictures = self.pictures(slot);
        assert!(pictures.first().is_some_and(|p| p.keyframe), "begins with a keyframe");
        for pair in pictures.windows(2) {
            assert_eq!(pair[1].seq, pair[0].seq + 1, "a number is missing or doubled");
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("a sound connection") {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Transmit(t) => self.out.push_back((t.destination, t.contents.into())),
                Output::Event(Event::RtpPacket(packet)) => self.handle_rtp(&packet),
                Output::Event(Event::ChannelData(data)) => {
                    let channel = self.channels.iter().find(|(_, id)| **id == data.id).map(|(c, _)| *c);
                    self.data.push((channel.expect("a channel of ours"), data.data));
                }
                Output::Event(Event::KeyframeRequest(_)) => {
                    if let Some(camera) = &mut self.camera {
                        camera.key = true;
                        camera.asked += 1;
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn handle_rtp(&mut self, packet: &RtpPacket) {
        let mid = self.rtc.direct_api().stream_rx(&packet.header.ssrc).map(|s| s.mid()).expect("a stream");
        let exts = &packet.header.ext_vals;
        if let Some(slot) = self.video.iter().position(|m| *m == mid) {
            self.pictures.push(Picture {
                at: self.now,
                slot,
                seq: *packet.seq_no,
                timestamp: packet.header.timestamp,
                keyframe: packet.payload[0] & 0x1F == 24 || packet.payload.starts_with(&[0x10, 0x10]),
                feed: packet.payload[packet.payload.len() - 1],
                frame: packet.payload.last_chunk::<5>().map_or(0, |l| u32::from_be_bytes([l[0], l[1], l[2], l[3]])),
                marker: packet.header.marker,
                playout_delay: exts.play_delay_min.zip(exts.play_delay_max).map(|(a, b)| (a.numer(), b.numer())),
                capture: exts.abs_capture_time.and_then(|c| {
                    let unix: Duration = c.capture_time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
                    Some(CaptureTime::from_unix(unix))
                }),
            });
        } else if let Some(slot) = self.voice_in.iter().position(|m| *m == mid) {
            let opus = self.rtc.codec_config().params().iter().find(|p| p.red() == Some(packet.header.payload_type));
            let (older, newest) = if opus.is_some() { without_older(&packet.payload) } else { (None, &packet.payload[..]) };
            let timestamp = packet.header.timestamp;
            self.voices.push(Voice {
                slot,
                seq: *packet.seq_no,
                timestamp,
                from: name_in(newest),
                older: older.map(|(before, payload)| (timestamp.wrapping_sub(before), name_in(payload))),
            });
        }
    }
}

/// Behind the TOC byte; a mix names nobody.
fn name_in(payload: &[u8]) -> u64 {
    payload.get(1..8).unwrap_or_default().iter().fold(0, |name, byte| name << 8 | u64::from(*byte))
}

/// One older block of 20 ms ago, where there is one, then the newest. Source: RFC 2198 §3.
fn with_older(pt: u8, older: &[u8], newest: &[u8]) -> Vec<u8> {
    if older.is_empty() {
        return [&[pt][..], newest].concat();
    }
    let (before, length) = (960u32, older.len() as u32);
    let header = u32::from(0x80 | pt) << 24 | before << 10 | length;
    [&header.to_be_bytes()[..], &[pt], older, newest].concat()
}

/// (how long before, payload) of the older block, and the newest.
fn without_older(payload: &[u8]) -> (Option<(u32, &[u8])>, &[u8]) {
    if payload[0] & 0x80 == 0 {
        return (None, &payload[1..]);
    }
    let header = u32::from_be_bytes(*payload.first_chunk().expect("a header"));
    let (before, length) = (header >> 10 & 0x3FFF, (header & 0x3FF) as usize);
    (Some((before, &payload[5..5 + length])), &payload[5 + length..])
}
