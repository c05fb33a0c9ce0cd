//! A camera that publishes, with a clock of its own.

use std::time::{Duration, Instant, SystemTime};

use annotation::time::CaptureTime;
use sfu::VideoCodec;
use str0m::Rtc;
use str0m::format::Codec;
use str0m::media::Mid;
use str0m::rtp::{AbsCaptureTime, ExtensionValues, RtpWrite};

const FRAME: Duration = Duration::from_micros(33_367);
/// RTP time of the first frame: its clock wraps after a second.
const FIRST: u32 = 0u32.wrapping_sub(90_000);

/// What is particular about a camera.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lens {
    /// Last byte of all it sends.
    pub(crate) number: u8,
    pub(crate) codec: VideoCodec,
    /// How wrong its own clock is; `None`: it does not say when it captured.
    pub(crate) wrong_ns: Option<i64>,
    /// Of each packet's payload.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) next: Instant,
    /// The next frame is to be a keyframe.
    pub(crate) key: bool,
    /// Keyframes asked of it.
    pub(crate) asked: usize,
    /// When it captured: (RTP time, case timeline).
    pub(crate) shot: Vec<(u32, CaptureTime)>,
    pub(crate) off: bool,
    mid: Mid,
    lens: Lens,
    start: Instant,
    seq: u64,
}

impl Camera {
    pub(crate) fn new(now: Instant, mid: Mid, lens: Lens) -> Self {
        Camera { next: now, key: true, asked: 0, shot: Vec::new(), off: false, mid, lens, start: now, seq: 900 }
    }

    /// One frame: 3 packets, 24 for a keyframe. Captured now, at this time of the case.
    pub(crate) fn shoot(&mut self, now: Instant, timeline: CaptureTime, rtc: &mut Rtc) {
        self.next = now + FRAME;
        if self.off {
            return;
        }
        let codec = match self.lens.codec {
            VideoCodec::H264 => Codec::H264,
            VideoCodec::Vp8 => Codec::Vp8,
        };
        let Some(wanted) = rtc.media(self.mid).map(|m| m.remote_pts().to_vec()) else { return };
        let mut params = rtc.codec_config().params().iter();
        let Some(pt) = params.find(|p| p.spec().codec == codec && wanted.contains(&p.pt())).map(|p| p.pt()) else { return };
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return };
        let rtp = FIRST.wrapping_add((now.duration_since(self.start).as_micros() * 9 / 100) as u32);
        self.shot.push((rtp, timeline));
        let key = std::mem::take(&mut self.key);
        let count = if key { 24 } else { 3 };
        for n in 0..count {
            let head: &[u8] = match (self.lens.codec, key, n) {
                (VideoCodec::H264, true, 0) => &[0x78, 0, 4, 0x67, 0x42, 0xE0, 0x1F, 0, 2, 0x68, 0xCE],
                (VideoCodec::H264, true, 1) => &[0x7C, 0x85],
                (VideoCodec::H264, true, _) => &[0x7C, 0x05],
                (VideoCodec::H264, false, 0) => &[0x5C, 0x81],
                (VideoCodec::H264, false, _) => &[0x5C, 0x01],
                (VideoCodec::Vp8, true, 0) => &[0x10, 0x10],
                (VideoCodec::Vp8, false, 0) => &[0x10, 0x11],
                (VideoCodec::Vp8, ..) => &[0x00, 0x11],
            };
            let mut payload = head.to_vec();
            // Parameter sets are small, whatever the camera makes of the rest.
            if payload[0] != 0x78 || self.lens.bytes <= 1_000 {
                payload.resize(self.lens.bytes, 0xAB);
                payload.push(self.lens.number);
            }
            let abs_capture_time = self.lens.wrong_ns.filter(|_| n == 0).map(|wrong| AbsCaptureTime {
                capture_time: SystemTime::UNIX_EPOCH + timeline.offset_ns(wrong).to_unix(),
                clock_offset: None,
            });
            let write = RtpWrite::new(pt, self.seq.into(), rtp, now, payload).marker(n == count - 1).nackable(true);
            stream.write_rtp(write.ext_vals(ExtensionValues { abs_capture_time, ..Default::default() }));
            self.seq += 1;
        }
    }
}
