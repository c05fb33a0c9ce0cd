//! What an encoder is told. The same description serves the product and the baseline it is measured against.

use super::level;
use crate::picture::Geometry;
use crate::timing::pace::Period;

/// Largest RTP packet: fits one datagram on every path with room for SRTP, TURN and tunnels.
pub const RTP_BYTES_MAX: u32 = 1120;
/// Automatic keyframes come at most this often, s.
const KEYFRAME_EVERY_S: u64 = 10;
/// How much the encoder may send at once, ms of its bitrate: a keyframe leaves within this.
const VBV_MS: u32 = 160;

/// x264 is GPL, openh264 BSD; which one runs is chosen at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    #[default]
    X264,
    OpenH264,
    /// Never configured: beside the others, for viewers without H.264.
    #[serde(skip)]
    Vp8,
}

impl EncoderKind {
    pub fn element(self) -> &'static str {
        match self {
            EncoderKind::X264 => "x264enc",
            EncoderKind::OpenH264 => "openh264enc",
            EncoderKind::Vp8 => "vp8enc",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderSettings {
    pub kind: EncoderKind,
    pub size: Geometry,
    pub period: Period,
    pub bitrate_bps: u32,
}

impl EncoderSettings {
    /// Raw caps of what goes in: I420, BT.709, pinned, so that nothing converts behind our back.
    pub fn raw_caps(&self) -> String {
        let (frames, seconds) = self.period.rate();
        format!(
            "video/x-raw,format=I420,width={},height={},framerate={frames}/{seconds},colorimetry=bt709,interlace-mode=progressive,pixel-aspect-ratio=1/1",
            self.size.width, self.size.height
        )
    }

    /// The encoder as a fragment of a launch line, from raw caps to H.264 byte-stream caps. The element is named `encoder`.
    /// The level equals profile-level-id 42e01f (3.1), or Safari stays black; larger pictures are sent only where that is configured.
    pub fn description(&self) -> String {
        let (frames, seconds) = self.period.rate();
        let key_int_max = (KEYFRAME_EVERY_S * frames).div_ceil(seconds);
        let encoder = match self.kind {
            EncoderKind::X264 => format!(
                "x264enc name=encoder speed-preset=ultrafast tune=zerolatency threads=1 sliced-threads=false bitrate={} \
                 vbv-buf-capacity={VBV_MS} key-int-max={key_int_max} bframes=0 rc-lookahead=0 sync-lookahead=0 aud=false byte-stream=true",
                self.bitrate_bps / 1000
            ),
            EncoderKind::OpenH264 => format!(
                "openh264enc name=encoder complexity=low rate-control=bitrate bitrate={} max-bitrate={} multi-thread=1 \
                 gop-size={key_int_max} slice-mode=n-slices num-slices=1 scene-change-detection=false enable-frame-skip=false",
                self.bitrate_bps,
                self.bitrate_bps + self.bitrate_bps / 4
            ),
            EncoderKind::Vp8 => String::new(),
        };
        if self.kind == EncoderKind::Vp8 {
            // threads=1: more spin on two cores.
            return format!(
                "vp8enc name=encoder deadline=1 cpu-used=16 threads=1 lag-in-frames=0 end-usage=cbr target-bitrate={} \
                 buffer-size={VBV_MS} buffer-initial-size={} buffer-optimal-size={} keyframe-max-dist={key_int_max} ! video/x-vp8",
                self.bitrate_bps,
                VBV_MS / 2,
                VBV_MS * 3 / 4
            );
        }
        let level = match self.kind {
            EncoderKind::X264 => format!(",level=(string){}", level::least(self.size, self.period)),
            EncoderKind::OpenH264 | EncoderKind::Vp8 => String::new(),
        };
        format!("{encoder} ! video/x-h264,profile=constrained-baseline{level},stream-format=byte-stream,alignment=au")
    }

    /// The payloader of this encoder.
    pub fn packets(&self) -> String {
        match self.kind {
            EncoderKind::X264 | EncoderKind::OpenH264 => Self::payloader(),
            EncoderKind::Vp8 => format!("rtpvp8pay name=payloader mtu={RTP_BYTES_MAX} pt=96"),
        }
    }

    /// The payloader: one packet a record, parameter sets with every IDR, nothing held back.
    pub fn payloader() -> String {
        format!("rtph264pay name=payloader mtu={RTP_BYTES_MAX} aggregate-mode=zero-latency config-interval=-1 pt=96")
    }
}
