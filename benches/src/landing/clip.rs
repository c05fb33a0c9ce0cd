//! What is marked as a video file that the engine plays as any other: every picture carries its number, and the clip runs
//! there and back, so that it can be looped without a jump.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use tracker::luma::Luma;

use super::ground::Ground;
use crate::track::Scene;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
/// Of the number's blocks, px: as TC48's, in the last row but one of the picture.
const BLOCK: usize = WIDTH / 40;
/// Flesh.
const CHROMA: [u8; 2] = [112, 152];

/// Writes what is to be marked to an MP4 file of H.264. Takes as long as its pictures take to make.
pub fn write(ground: &mut Ground, path: &Path) -> Result<()> {
    gst::init()?;
    match ground {
        Ground::Made(scene) => {
            let small: Vec<Luma> = (0..scene.frames()).map(|k| scene.luma(k)).collect();
            encode(small.len(), |k| Ok(picture(&small[k], k)), path)
        }
        Ground::Recorded(clip) => {
            let mut pictures = decode(clip.source())?;
            ensure!(pictures.len() == clip.frames(), "the recording was decoded otherwise the second time");
            pictures.iter_mut().enumerate().for_each(|(k, picture)| number(picture, k));
            encode(pictures.len(), |k| Ok(pictures[k].clone()), path)
        }
    }
}

/// There and back.
fn encode(n: usize, picture: impl Fn(usize) -> Result<Vec<u8>>, path: &Path) -> Result<()> {
    let launch = "appsrc name=in format=time caps=video/x-raw,format=I420,width=1280,height=720,framerate=30/1,colorimetry=bt709 max-buffers=8 block=true \
         ! x264enc pass=quant quantizer=14 speed-preset=veryfast ! h264parse ! mp4mux ! filesink name=out";
    let graph = gst::parse::launch(launch)?.downcast::<gst::Pipeline>().map_err(|_| anyhow::anyhow!("no pipeline"))?;
    let source = graph.by_name("in").and_then(|e| e.downcast::<AppSrc>().ok()).context("appsrc is missing")?;
    graph.by_name("out").context("filesink is missing")?.set_property("location", path.to_string_lossy().as_ref());
    graph.set_state(gst::State::Playing)?;
    let there_and_back = (0..n).chain((1..n - 1).rev());
    for (i, k) in there_and_back.enumerate() {
        let mut buffer = gst::Buffer::from_slice(picture(k)?);
        let made = buffer.get_mut().context("a new buffer")?;
        let at = |i: usize| gst::ClockTime::from_nseconds(i as u64 * 1_000_000_000 / 30);
        made.set_pts(at(i));
        made.set_duration(at(i + 1) - at(i));
        source.push_buffer(buffer)?;
    }
    source.end_of_stream()?;
    let bus = graph.bus().context("no bus")?;
    let done = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &[gst::MessageType::Eos, gst::MessageType::Error]);
    graph.set_state(gst::State::Null)?;
    let done = done.context("the clip was not written in time")?;
    ensure!(done.type_() == gst::MessageType::Eos, "the clip was not written: {done:?}");
    Ok(())
}

/// Every picture of a recording, I420 at the size of ours.
fn decode(path: &Path) -> Result<Vec<Vec<u8>>> {
    let launch = format!(
        "filesrc location=\"{}\" ! decodebin ! videoconvertscale ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},colorimetry=bt709 \
         ! appsink name=sink sync=false max-buffers=4",
        path.display()
    );
    let graph = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>().map_err(|_| anyhow::anyhow!("no pipeline"))?;
    let sink = graph.by_name("sink").and_then(|e| e.downcast::<AppSink>().ok()).context("appsink is missing")?;
    graph.set_state(gst::State::Playing)?;
    let mut pictures = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().context("empty")?.map_readable()?;
        // 1280 is a multiple of 4 and 720 of 2: rows lie without gaps.
        ensure!(map.len() == WIDTH * HEIGHT * 3 / 2, "a picture of another size");
        pictures.push(map.to_vec());
    }
    graph.set_state(gst::State::Null)?;
    Ok(pictures)
}

/// I420: the scene enlarged, its number burnt in.
fn picture(luma: &Luma, k: usize) -> Vec<u8> {
    let mut out = vec![0u8; WIDTH * HEIGHT * 3 / 2];
    let scale = luma.width as f32 / WIDTH as f32;
    let at = |x: usize, y: usize| f32::from(luma.data[y.min(luma.height - 1) * luma.width + x.min(luma.width - 1)]);
    for y in 0..HEIGHT {
        let v = ((y as f32 + 0.5) * scale - 0.5).max(0.0);
        let (y0, fy) = (v as usize, v.fract());
        for x in 0..WIDTH {
            let u = ((x as f32 + 0.5) * scale - 0.5).max(0.0);
            let (x0, fx) = (u as usize, u.fract());
            let upper = at(x0, y0) * (1.0 - fx) + at(x0 + 1, y0) * fx;
            let lower = at(x0, y0 + 1) * (1.0 - fx) + at(x0 + 1, y0 + 1) * fx;
            out[y * WIDTH + x] = (upper * (1.0 - fy) + lower * fy) as u8;
        }
    }
    for (plane, value) in CHROMA.iter().enumerate() {
        let from = WIDTH * HEIGHT + plane * WIDTH * HEIGHT / 4;
        out[from..from + WIDTH * HEIGHT / 4].fill(*value);
    }
    number(&mut out, k);
    out
}

/// 16 bits of the number, then the same inverted.
fn number(picture: &mut [u8], k: usize) {
    let word = (k as u32) << 16 | (!(k as u32) & 0xFFFF);
    for bit in 0..32 {
        let value = if word >> (31 - bit) & 1 == 1 { 235 } else { 16 };
        let (x, y) = ((bit + 1) * BLOCK, HEIGHT - 2 * BLOCK);
        for row in y..y + BLOCK {
            picture[row * WIDTH + x..row * WIDTH + x + BLOCK].fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_where_the_page_reads_it_and_the_picture_is_enlarged() {
        let luma = Luma { width: 480, height: 270, data: vec![120; 480 * 270] };
        let made = picture(&luma, 0x0A5);
        assert_eq!(made[100 * WIDTH + 640], 120);
        let read = (0..32).fold(0u32, |word, bit| {
            let (x, y) = ((bit + 1) * BLOCK + BLOCK / 2, HEIGHT - 2 * BLOCK + BLOCK / 2);
            word << 1 | u32::from(made[y * WIDTH + x] > 128)
        });
        assert_eq!((read >> 16, !read & 0xFFFF), (0x0A5, 0x0A5));
    }
}
