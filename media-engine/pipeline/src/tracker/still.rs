//! Frames drawn on, as JPEG, in pieces that leave room for everything else on the control socket.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use link::wire::{StillPiece, to_server};

use super::host::StillJob;
use crate::board::Board;
use crate::output::link::LinkHandle;
use crate::picture::Picture;

/// Longest piece.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// Between two pieces: 16 kB in 5 ms are 26 Mbit/s, and no more than one stands before a clock or a transform.
const PIECE_EVERY: Duration = Duration::from_millis(5);
/// How often a full queue is tried again for one piece.
const TRIES: u32 = 40;
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// Encodes and sends until the engine stops. `sent`: stills that are wholly on their way.
pub fn run(board: &Board, link: &LinkHandle, jobs: &Receiver<StillJob>, sent: &Sender<String>) {
    while !board.is_stopped() {
        let job = match jobs.recv_timeout(LOOK_AROUND) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if board.read(|state| state.covers(&job.feed)) {
            continue;
        }
        match jpeg(&job.picture) {
            Ok(bytes) if send(board, link, &job, &bytes) => {
                let _ = sent.send(job.id);
            }
            Ok(_) => tracing::warn!("a still was not sent: the server does not read"),
            Err(problem) => tracing::error!(problem, "a still cannot be encoded; install GStreamer's jpegenc"),
        }
    }
}

/// The pieces of one still, in order.
pub fn pieces<'a>(job: &'a StillJob, bytes: &'a [u8]) -> impl Iterator<Item = StillPiece> + 'a {
    let g = job.picture.geometry();
    bytes.chunks(PIECE_BYTES_MAX).enumerate().map(move |(n, data)| StillPiece {
        still: job.id.clone(),
        feed: job.feed.clone(),
        capture: job.capture.0,
        width: g.width as u32,
        height: g.height as u32,
        offset: (n * PIECE_BYTES_MAX) as u32,
        total: bytes.len() as u32,
        data: data.to_vec(),
        run: job.run,
        geometry: job.shape.id(),
    })
}

fn send(board: &Board, link: &LinkHandle, job: &StillJob, bytes: &[u8]) -> bool {
    pieces(job, bytes).all(|piece| {
        (0..TRIES).any(|_| {
            if board.read(|state| state.covers(&job.feed)) {
                return false;
            }
            let queued = link.send_control(to_server::Body::Still(piece.clone())).is_some();
            !board.sleep(PIECE_EVERY) && queued
        })
    })
}

/// Full range BT.601, as JFIF says, quality 85: some 200 kB at 1280x720.
pub fn jpeg(picture: &Arc<Picture>) -> Result<Vec<u8>, String> {
    let line = "appsrc name=in format=time num-buffers=1 ! videoconvert ! video/x-raw,format=I420,colorimetry=(string)1:4:0:0 \
                ! jpegenc quality=85 ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(line).map_err(|e| e.to_string())?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let source = pipeline.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no source")?;
    let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no sink")?;
    let g = picture.geometry();
    let own = || {
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, g.width as u32, g.height as u32)
            .colorimetry(&"bt709".parse::<gst_video::VideoColorimetry>().ok()?)
            .build()
            .ok()
    };
    let info = picture.frame_info().cloned().or_else(own).ok_or("no such format")?;
    source.set_caps(Some(&info.to_caps().map_err(|e| e.to_string())?));
    let result = (|| {
        pipeline.set_state(gst::State::Playing).map_err(|e| e.to_string())?;
        source.push_buffer(picture.to_buffer()).map_err(|e| e.to_string())?;
        let sample = sink.try_pull_sample(PATIENCE).ok_or("nothing came out")?;
        let map = sample.buffer().ok_or("nothing came out")?.map_readable().map_err(|e| e.to_string())?;
        Ok(map.as_slice().to_vec())
    })();
    let _ = pipeline.set_state(gst::State::Null);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Geometry;
    use annotation::time::CaptureTime;

    #[test]
    fn a_still_is_a_whole_jpeg_in_pieces_of_its_size() {
        gst::init().expect("GStreamer is installed");
        let mut picture = Picture::black(Geometry::new(1280, 720).expect("even"));
        let [(luma, stride), ..] = picture.planes_mut().expect("own");
        // As much texture as tissue has, so that there are several pieces.
        for (i, p) in luma.iter_mut().enumerate() {
            let (x, y) = (i % stride, i / stride);
            *p = (60 + ((x * 7) ^ (y * 13)) % 90) as u8;
        }
        let picture = Arc::new(picture);
        let bytes = jpeg(&picture).expect("encodes");
        assert!(bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9]), "{} bytes", bytes.len());
        let shape = Geometry::new(1920, 1080).expect("even");
        let job = StillJob { id: "field-1".into(), feed: "field".into(), capture: CaptureTime(1), picture, shape, run: true };
        let pieces: Vec<StillPiece> = pieces(&job, &bytes).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|p| p.data.len() <= PIECE_BYTES_MAX && p.total as usize == bytes.len()));
        let mut whole = Vec::new();
        for p in &pieces {
            assert_eq!((p.offset as usize, p.width, p.height, p.run), (whole.len(), 1280, 720, true));
            assert_eq!(p.geometry, shape.id(), "of the frame as it was captured");
            whole.extend_from_slice(&p.data);
        }
        assert_eq!(whole, bytes);
    }
}
