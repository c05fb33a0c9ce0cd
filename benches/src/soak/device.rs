//! A bedside device that sends a heart rate over HL7, and a desk that sees the number change: from the message handed to the socket to
//! the picture that shows it, decoded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use annotation::time::CaptureTime;
use anyhow::{Context, Result};
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use link::frame::Rect;

use super::server::now;

/// Numbers that look nothing like each other.
pub const RATES: [u32; 2] = [71, 188];
/// A picture shows another number when so many pixels of its rectangle differ by more than the codec's noise.
const CHANGED_PIXELS: usize = 300;
const NOISE: u8 = 60;

/// The device's end of its line.
#[derive(Debug)]
pub struct Device {
    line: TcpStream,
    n: u32,
}

impl Device {
    pub fn dial(port: u16) -> Result<Self> {
        let line = TcpStream::connect(("127.0.0.1", port))?;
        line.set_read_timeout(Some(Duration::from_secs(5)))?;
        line.set_nodelay(true)?;
        Ok(Device { line, n: 0 })
    }

    /// Says another heart rate than last time, and waits for the answer; when it was handed over.
    pub fn say(&mut self) -> Result<CaptureTime> {
        self.n += 1;
        let (n, rate) = (self.n, RATES[self.n as usize % RATES.len()]);
        let head = "MSH|^~\\&|MON^1^EUI-64||SHIRUBE||20260401093000.000+0900||ORU^R01^ORU_R01|";
        let body = format!(
            "{head}{n}|P|2.6|||AL|NE||UNICODE UTF-8\rOBR|1||A1^MON|1^m^SCT\rOBX|1|NM|147842^^MDC|1|{rate}||||||R\r\
             OBX|2|NM|150456^^MDC|1|98||||||R\r"
        );
        let at = now();
        self.line.write_all(&pipeline::vitals::mllp::framed(body.as_bytes()))?;
        // The answer ends with FS CR. Source: MLLP, release 1.
        let mut byte = [0u8];
        while byte != [0x1C] {
            self.line.read_exact(&mut byte)?;
        }
        self.line.read_exact(&mut byte)?;
        Ok(at)
    }
}

/// Decodes the program and looks at one rectangle of it.
#[derive(Debug)]
pub struct Desk {
    pipeline: gst::Pipeline,
    packets: gst_app::AppSrc,
    pictures: gst_app::AppSink,
    before: Option<Vec<u8>>,
}

impl Desk {
    pub fn new() -> Result<Self> {
        let line = "appsrc name=in is-live=true format=time do-timestamp=true caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96 \
                    ! rtph264depay ! h264parse ! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false";
        let pipeline = gst::parse::launch(line)?.downcast::<gst::Pipeline>().ok().context("no pipeline")?;
        let packets = pipeline.by_name("in").and_then(|e| e.downcast().ok()).context("no appsrc")?;
        let pictures = pipeline.by_name("out").and_then(|e| e.downcast().ok()).context("no appsink")?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Desk { pipeline, packets, pictures, before: None })
    }

    /// When a picture showed another number than the one before it, if one has since the last call.
    pub fn look(&mut self, packets: Vec<Bytes>, rect: Rect) -> Result<Option<CaptureTime>> {
        for packet in packets {
            self.packets.push_buffer(gst::Buffer::from_slice(packet))?;
        }
        let mut changed = None;
        while let Some(sample) = self.pictures.try_pull_sample(gst::ClockTime::from_mseconds(1)) {
            let info = gstreamer_video::VideoInfo::from_caps(sample.caps().context("no caps")?)?;
            let map = sample.buffer().context("no picture")?.map_readable()?;
            let stride = usize::try_from(info.stride()[0])?;
            let rows = map.chunks(stride).skip(rect.y as usize).take(rect.h as usize);
            let shown: Vec<u8> = rows.flat_map(|row| row.iter().skip(rect.x as usize).take(rect.w as usize)).copied().collect();
            let differs = |before: &Vec<u8>| before.iter().zip(&shown).filter(|(a, b)| a.abs_diff(**b) > NOISE).count();
            if self.before.as_ref().is_some_and(|before| differs(before) > CHANGED_PIXELS) {
                changed.get_or_insert_with(now);
            }
            self.before = Some(shown);
        }
        Ok(changed)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
