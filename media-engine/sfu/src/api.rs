//! What the server says to the forwarding core and what it hears back. Values only.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::id::{CaseId, LayerId};

pub use crate::sdp_guard::SdpError;

/// Video slots of a page: its first five m-lines.
pub const SLOTS_VIDEO: u8 = 5;
/// Voice slots of a page: the eight m-lines after the video slots. The ninth carries its own voice.
pub const SLOTS_VOICE: u8 = 8;

/// One connection, numbered by the server, never used again after it closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// What a peer is for, and so what its offer has to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerKind {
    /// A page: 5 video slots, 8 voice slots, its own voice, four data channels.
    Client,
    /// A player: one video, and no say in what it shows; with `hear`, all who speak mixed on one track. `layer`: exactly this
    /// one; `None`: what its line carries.
    Whep { feed: FeedId, layer: Option<LayerId> },
    /// A camera that publishes one video, H.264 or VP8, which becomes the layer `high` of this feed; its sound is
    /// declined. The offer is the permission: to take it away, remove the peer. The newest publisher of a feed takes the
    /// place of the one before.
    Whip { feed: FeedId },
    /// A way of the room's engine, which is elsewhere: its packets of this one layer, as it would write them into the link. Their RTP time is the
    /// engine's capture time and stays. What comes this way and what comes by the link are one stream.
    Engine { feed: FeedId, layer: LayerId },
}

/// What a peer may do now. Held by the media thread; a revocation replaces them and takes effect at the next packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants {
    pub see: bool,
    pub hear: bool,
    pub speak: bool,
}

/// The data channels of a page, negotiated out of band: both sides make them with these ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Ordered, reliable: roles, snapshots.
    Ctl,
    /// Unordered, no retransmission: ink and its acknowledgements.
    Ink,
    /// Unordered, no retransmission: pointers, frame index, clock.
    Eph,
    /// Unordered, no retransmission: vital signs and health.
    Vit,
}

impl Channel {
    pub const ALL: [Channel; 4] = [Channel::Ctl, Channel::Ink, Channel::Eph, Channel::Vit];

    /// SCTP stream id.
    pub fn id(self) -> u16 {
        match self {
            Channel::Ctl => 1,
            Channel::Ink => 3,
            Channel::Eph => 5,
            Channel::Vit => 7,
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Channel::Ctl => "ctl",
            Channel::Ink => "ink",
            Channel::Eph => "eph",
            Channel::Vit => "vit",
        }
    }

    pub fn is_reliable(self) -> bool {
        self == Channel::Ctl
    }
}

/// How a layer's pictures are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum VideoCodec {
    #[default]
    H264,
    Vp8,
}

/// What a video slot is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub feed: FeedId,
    /// The best that it may be.
    pub layer: LayerId,
    /// This layer whatever the line carries.
    pub fixed: bool,
    /// How wide the picture is drawn, in pixels of the screen: no layer is sent that is larger than needed. 0: not told.
    pub width: u32,
    /// For one who only watches: steady rather than soonest.
    pub smooth: bool,
}

impl Wish {
    /// The best there is of a feed, as the line allows.
    pub fn of(feed: FeedId) -> Self {
        Wish { feed, layer: LayerId::High, fixed: false, width: 0, smooth: false }
    }
}

/// One layer that a feed comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSpec {
    pub layer: LayerId,
    /// Pixels.
    pub width: u32,
    /// What it costs while nobody watches it and nothing can be measured. 0: not known.
    pub bps: u32,
}

/// Why a slot gets the layer that it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Why {
    /// As wished.
    #[default]
    Wished,
    /// It is drawn small.
    Size,
    /// The line carries no more.
    Line,
}

impl Why {
    /// Stable word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Wished => "wished",
            Why::Size => "size",
            Why::Line => "line",
        }
    }
}

/// The same moment on two clocks: this process's and the case timeline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: Instant,
    pub timeline: CaptureTime,
}

impl Moment {
    /// The timeline's time at an instant near this one.
    pub fn timeline_at(self, at: Instant) -> CaptureTime {
        let ahead = at.saturating_duration_since(self.at);
        self.timeline.saturating_add(ahead).saturating_sub(self.at.saturating_duration_since(at))
    }
}

/// One RTP packet of one layer of one feed, as the room's engine wrote it. Its timestamp is capture time x 90 kHz mod 2^32.
#[derive(Debug, Clone)]
pub struct FeedPacket {
    pub case: CaseId,
    pub feed: FeedId,
    pub layer: LayerId,
    pub codec: VideoCodec,
    /// The whole packet, header first.
    pub packet: Bytes,
    /// When the server read it. Its timeline part extends the RTP timestamp to a capture time, so it must be within
    /// 6 h of the truth.
    pub received: Moment,
}

/// Why a peer's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server said so.
    Removed,
    /// Not connected within [`SfuConfig`](crate::Limits)'s time after the offer.
    NeverConnected,
    /// Connected once, then silent for too long.
    Silent,
    /// The other side closed.
    Hangup,
    /// The other side broke the protocol.
    Protocol,
    /// Our handling of this peer panicked. A fault of ours; only this peer ends.
    Fault,
    /// Another publisher took its place.
    Replaced,
    /// More reliable data than it takes was waiting for it, or it sent more than the server takes.
    Overrun,
}

impl CloseReason {
    /// Stable code for logs, metrics and messages.
    pub fn code(self) -> &'static str {
        match self {
            CloseReason::Removed => "removed",
            CloseReason::NeverConnected => "never-connected",
            CloseReason::Silent => "silent",
            CloseReason::Hangup => "hangup",
            CloseReason::Protocol => "protocol",
            CloseReason::Fault => "fault",
            CloseReason::Replaced => "replaced",
            CloseReason::Overrun => "overrun",
        }
    }
}

/// Why an offer has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    #[error("the offer is not acceptable")]
    Sdp(#[source] SdpError),
    #[error("{0} is not supported yet")]
    Unsupported(&'static str),
    #[error("the case already has {0} connections, the limit")]
    CaseFull(usize),
    #[error("the server already has {0} connections, the limit")]
    ServerFull(usize),
    #[error("the connection belongs to another case or is of another kind")]
    Mismatch,
    #[error("the room's engine already makes a feed of this name")]
    FeedTaken,
    #[error("the offer could not be answered: {0}")]
    Refused(String),
    #[error("the media thread is too busy to take the offer")]
    Busy,
    #[error("the media thread has stopped")]
    Stopped,
}

impl OfferError {
    /// Stable code for error replies.
    pub fn code(&self) -> &'static str {
        match self {
            OfferError::Sdp(_) => "media-bad-offer",
            OfferError::Unsupported(_) => "media-unsupported",
            OfferError::CaseFull(_) => "media-case-full",
            OfferError::ServerFull(_) => "media-server-full",
            OfferError::Mismatch => "media-mismatch",
            OfferError::FeedTaken => "media-feed-taken",
            OfferError::Refused(_) => "media-refused",
            OfferError::Busy => "media-busy",
            OfferError::Stopped => "media-stopped",
        }
    }
}

/// A command did not reach the media thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the queue to the media thread is full")]
    Full,
    #[error("the media thread has stopped")]
    Stopped,
}

/// Figures of one peer, counted since it connected; once a second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeerStats {
    /// Round trip of the media path, by its receiver reports; before the first by transport feedback, which waits for its
    /// turn at the peer. `None` until known.
    pub rtt: Option<Duration>,
    /// Share of our packets lost on the way to it, 0 to 1, last report.
    pub loss: Option<f32>,
    pub packets_out: u64,
    pub bytes_out: u64,
    pub packets_in: u64,
    pub bytes_in: u64,
    /// Retransmissions it asked for.
    pub nacks: u64,
    /// Keyframes it asked for by PLI or FIR.
    pub keyframes: u64,
    /// Data messages not sent because its channel was full.
    pub data_dropped: u64,
    /// What its line is estimated to carry, bit/s. `None`: it does not tell what arrives.
    pub estimate_bps: Option<u64>,
    /// How long the oldest packet of a picture has been waiting for its line.
    pub waiting: Duration,
    /// Share of its own packets, mostly voice, lost on the way to us, 0 to 1, last report.
    pub loss_in: Option<f32>,
    /// Its packets travel by TCP.
    pub by_tcp: bool,
    /// Of a camera: pictures that came, freezes as W3C webrtc-stats defines them of pictures as they come, and how long those were.
    pub frames_in: u64,
    pub freezes_in: u64,
    pub frozen_in: Duration,
    /// Of each slot that is to show something.
    pub tracks: Vec<TrackStats>,
}

/// Figures of one video slot of a peer, counted since it connected, whatever was shown in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrackStats {
    pub slot: u8,
    /// What it is to show.
    pub feed: Option<FeedId>,
    /// What it gets of it. `None`: it waits for a keyframe, or pauses.
    pub layer: Option<LayerId>,
    /// Round trip, and share lost on the way, 0 to 1, by its last receiver report.
    pub rtt: Option<Duration>,
    pub loss: Option<f32>,
    /// With what was sent again.
    pub packets: u64,
    pub bytes: u64,
    /// Lost for good on the way, as the peer counts.
    pub lost: u64,
    pub nacks: u64,
    pub keyframes: u64,
    /// Packets the peer asked for again too late: a keyframe was asked for instead.
    pub late: u64,
    /// How often it was brought to another layer, or paused.
    pub switches: u64,
}

/// What the server hears. `Data`, `Stats` and `Voice` are dropped (newest first) when the server does not take them;
/// the others wait in order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SfuEvent {
    /// Media path is up, DTLS done.
    Connected {
        peer: PeerId,
    },
    /// Last event of this peer.
    Closed {
        peer: PeerId,
        case: CaseId,
        reason: CloseReason,
    },
    ChannelOpen {
        peer: PeerId,
        channel: Channel,
    },
    Data {
        peer: PeerId,
        channel: Channel,
        bytes: Bytes,
        at: Instant,
    },
    /// A page is heard again after its line was cut while pictures were sent to it. Its data channels may take seconds more to
    /// notice; a keyframe has been asked for.
    Returned {
        peer: PeerId,
    },
    /// A page that is sent pictures has not been heard for half a second, or is heard again.
    Silent {
        peer: PeerId,
        silent: bool,
    },
    /// Ask the encoder for a keyframe. Already coalesced: at most one per layer per 500 ms.
    KeyframeWanted {
        case: CaseId,
        feed: FeedId,
        layer: LayerId,
    },
    /// How many peers now watch a layer. 0: nobody, it need not be encoded.
    Watchers {
        case: CaseId,
        feed: FeedId,
        layer: LayerId,
        count: usize,
    },
    /// A peer whose voice is let through began or ceased to speak.
    Voice {
        case: CaseId,
        peer: PeerId,
        speaking: bool,
    },
    /// Whose voice now comes out of a peer's voice slot.
    VoiceSlot {
        peer: PeerId,
        slot: u8,
        from: Option<PeerId>,
    },
    Stats {
        peer: PeerId,
        stats: PeerStats,
    },
    /// What a slot gets from now on. `None`: nothing, because the line carries not even the least; it comes back by itself.
    Shown {
        peer: PeerId,
        slot: u8,
        layer: Option<LayerId>,
        why: Why,
    },
    /// The feed of a publisher began to send pictures (`up`), or has ceased: its publisher is gone or silent. `codec`: of what it
    /// sends or sent. Before `Closed` of the publisher.
    Published {
        case: CaseId,
        feed: FeedId,
        codec: VideoCodec,
        up: bool,
    },
}

/// Bounds of the core. Every one is enforced with a typed error, a close reason or a counted drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub peers_per_case: usize,
    pub peers: usize,
    /// From offer to connected.
    pub connect_within: Duration,
    /// Without any authenticated packet.
    pub silent_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { peers_per_case: 64, peers: 1024, connect_within: Duration::from_secs(30), silent_after: Duration::from_secs(15) }
    }
}

/// How the core is set up. `candidates`: the addresses offered to every peer; none may be unspecified (0.0.0.0).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoreConfig {
    pub candidates: Vec<SocketAddr>,
    /// The same addresses take TCP connections: they are offered as well, after UDP.
    pub tcp: bool,
    pub limits: Limits,
}
