//! What all connections share, and how one is made from an offer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::Codec;
use str0m::media::{Mid, Pt};
use str0m::net::TcpType;
use str0m::rtp::{Extension, StreamTx};
use str0m::{Candidate, Rtc};

use super::conn::{Channels, Conn, VideoLine, VoiceLine};
use super::dtls::ForeignDtls;
use super::figures::STATS_EVERY;
use super::proof::CountingSrtp;
use super::repair::Repair;
use super::text;
use super::ways::Ways;
use crate::api::{Channel, TrackStats, VideoCodec};
use crate::sdp_guard::Shape;

/// What a line is taken to carry until it tells: a first keyframe does not queue. Most are far better, and those that are
/// not tell within a second.
const ESTIMATE_FIRST_BPS: u64 = 8_000_000;
/// Packets kept per video slot for retransmission. 2 s at 450 packets/s (4 Mbit/s); payloads are shared, so a slot costs
/// about 100 kB of headers.
const RTX_PACKETS_MAX: usize = 1_000;
/// Who asks for a packet that left longer ago is given a keyframe instead. At a round trip of 200 ms a packet is asked for after
/// 220 ms, and again after 420 and 620: two attempts, so that at 10 % loss one packet in a thousand is late. Pictures that
/// old are behind by more than a keyframe takes.
const RTX_AGE_MAX: Duration = Duration::from_millis(600);
/// Of what is sent in a second at most half may be retransmission. str0m's own 0.15 gives up at 15 % loss, just when
/// repair matters; without a cap one lossy viewer could double the load without end.
const RTX_RATIO_MAX: f32 = 0.5;
/// Largest data channel message taken from a peer. A full ink packet is under 16 kB.
const MESSAGE_BYTES_MAX: u32 = 64 * 1024;
/// Bytes waiting in a peer's data channels together.
const DATA_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// Crypto and the certificate for DTLS, made once and shared by all connections.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    provider: Arc<CryptoProvider>,
    /// The same, with a DTLS that takes RSA certificates: for players and publishers.
    foreign: Arc<CryptoProvider>,
    certificate: DtlsCert,
    candidates: Vec<SocketAddr>,
    /// The same by TCP.
    tcp: bool,
}

impl Setup {
    pub(crate) fn new(candidates: Vec<SocketAddr>, tcp: bool) -> Result<Self, String> {
        let provider = CryptoProvider { srtp_provider: &CountingSrtp, ..str0m::crypto::from_feature_flags() };
        let certificate = provider.dtls_provider.generate_certificate().ok_or("the crypto provider makes none")?;
        let foreign = CryptoProvider { dtls_provider: &ForeignDtls, ..provider.clone() };
        Ok(Setup { provider: Arc::new(provider), foreign: Arc::new(foreign), certificate, candidates, tcp })
    }

    /// A connection that answers an offer which the guard let in, and the answer. `player`: of one that only watches.
    pub(crate) fn answer(&self, now: Instant, shape: &Shape, sdp: &str, player: bool) -> Result<(Conn, String), String> {
        let provider = if player || shape.published.is_some() { &self.foreign } else { &self.provider };
        let mut config = Rtc::builder()
            .set_crypto_provider(provider.clone())
            .set_dtls_cert(self.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            // Neither is in str0m's own map. Ids are only a wish, the offer's count.
            .set_extension(5, Extension::PlayoutDelay)
            .set_extension(6, Extension::AbsoluteCaptureTime)
            .set_stats_interval(Some(STATS_EVERY))
            .set_sctp_max_message_size(MESSAGE_BYTES_MAX)
            .set_sctp_max_buffered_amount(DATA_BUFFER_BYTES_MAX);
        // Constrained baseline first: what our encoder writes. Baseline for those who only say that.
        config.codec_config().add_h264(108.into(), Some(109.into()), true, 0x42e01f);
        config.codec_config().add_h264(127.into(), Some(121.into()), true, 0x42001f);
        if shape.published.is_some() {
            // Above all not the one that turns pictures: who agrees to it gets them lying on their side.
            config = config
                .clear_extension_map()
                .set_extension(2, Extension::AbsoluteSendTime)
                .set_extension(3, Extension::TransportSequenceNumber)
                .set_extension(4, Extension::RtpMid)
                .set_extension(6, Extension::AbsoluteCaptureTime);
        }
        if !shape.video.is_empty() {
            config = config.enable_bwe(Some(Bitrate::bps(ESTIMATE_FIRST_BPS)));
        }
        let mut rtc = config.enable_vp8(true).build(now);
        for address in &self.candidates {
            let candidate = Candidate::host(*address, "udp").map_err(|e| e.to_string())?;
            rtc.add_local_candidate(candidate);
            if self.tcp {
                // Peers connect to us. Source: RFC 6544 §4.1.
                let builder = Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive);
                rtc.add_local_candidate(builder.build().map_err(|e| e.to_string())?);
            }
        }
        let offer = SdpOffer::from_sdp_string(&text::as_meant(sdp)).map_err(|e| e.to_string())?;
        let answer = rtc.sdp_api().accept_offer(offer).map_err(|e| e.to_string())?;

        let mut video = Vec::new();
        for mid in &shape.video {
            let mid = Mid::from(mid.as_str());
            let (h264, vp8) = (pt_of(&rtc, mid, VideoCodec::H264), pt_of(&rtc, mid, VideoCodec::Vp8));
            let (mut ssrc, mut rtx) = (None, None);
            if let Some(stream) = rtc.direct_api().stream_tx_by_mid(mid, None) {
                keep_for_repair(stream);
                (ssrc, rtx) = (Some(*stream.ssrc()), stream.rtx().map(|rtx| *rtx));
            }
            video.push(VideoLine {
                mid,
                ways: Ways::new(ssrc),
                repair: Repair::new(rtx),
                told: TrackStats::default(),
                h264,
                vp8,
            });
        }
        let mut voice = Vec::new();
        for mid in &shape.voice_in {
            let mid = Mid::from(mid.as_str());
            let offered = opus(&rtc, mid);
            voice.push(VoiceLine { mid, opus: offered.map(|o| o.0), red: offered.and_then(|o| o.1) });
        }
        let channels: Channels = if shape.data { open_channels(&mut rtc) } else { [None; 4] };
        let mut answer = answer.to_sdp_string();
        let published = shape.published.as_deref().map(Mid::from);
        if let Some(mid) = published {
            if [VideoCodec::H264, VideoCodec::Vp8].iter().all(|c| pt_of(&rtc, mid, *c).is_none()) {
                return Err("it has neither H.264 constrained baseline in packetization mode 1, nor VP8".into());
            }
            answer = text::only_receive(&text::silence_audio(&answer));
        }
        if player {
            if video.iter().all(|v| v.h264.is_none() && v.vp8.is_none()) && voice.iter().all(|v| v.opus.is_none()) {
                return Err("it has nothing of what it could be sent: H.264 in packetization mode 1, VP8, Opus".into());
            }
            answer = text::only_send(&text::one_msid(&answer));
            if shape.voice_in.is_empty() {
                answer = text::silence_audio(&answer);
            }
        }
        Ok((Conn::new(now, rtc, video, voice, published, channels), answer))
    }
}

/// From now on packets are kept to be sent again; those that were kept are forgotten.
pub(super) fn keep_for_repair(stream: &mut StreamTx) {
    stream.set_rtx_cache(RTX_PACKETS_MAX, RTX_AGE_MAX, Some(RTX_RATIO_MAX));
}

/// Both sides make the channels with the same ids; nothing is negotiated in band.
fn open_channels(rtc: &mut Rtc) -> [Option<ChannelId>; 4] {
    Channel::ALL.map(|channel| {
        let reliability =
            if channel.is_reliable() { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } };
        Some(rtc.direct_api().create_data_channel(ChannelConfig {
            label: channel.label().to_owned(),
            ordered: channel.is_reliable(),
            reliability,
            negotiated: Some(channel.id()),
            protocol: String::new(),
        }))
    })
}

/// Which of ours has this id.
pub(super) fn channel_of(channels: &Channels, id: ChannelId) -> Option<Channel> {
    Channel::ALL.into_iter().find(|c| channels[*c as usize] == Some(id))
}

/// The payload type the peer wants this codec under.
fn pt_of(rtc: &Rtc, mid: Mid, codec: VideoCodec) -> Option<Pt> {
    let codec = match codec {
        VideoCodec::H264 => Codec::H264,
        VideoCodec::Vp8 => Codec::Vp8,
    };
    let wanted = rtc.media(mid)?.remote_pts();
    // Configured order: constrained baseline before baseline.
    rtc.codec_config().params().iter().find(|p| p.spec().codec == codec && wanted.contains(&p.pt())).map(|p| p.pt())
}

fn opus(rtc: &Rtc, mid: Mid) -> Option<(Pt, Option<Pt>)> {
    let wanted = rtc.media(mid)?.remote_pts();
    let params = rtc.codec_config().params();
    params.iter().find(|p| p.spec().codec == Codec::Opus && wanted.contains(&p.pt())).map(|p| (p.pt(), p.red()))
}
