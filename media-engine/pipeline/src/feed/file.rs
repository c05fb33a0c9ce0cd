//! A video file as an endless feed: decoded ahead of time by GStreamer, paced by our clock and never by GStreamer's.
//!
//! Two players take turns, so that no gap lies at the join: while one plays, the other waits at the first picture, and is wound
//! back when its turn is over. (A segment seek would do with one, but its end is announced by a thread that may itself be
//! waiting for us to take pictures: winding back from here then locks both for ever.)

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::{Prepared, Source, SourceInfo};
use crate::picture::{Geometry, Picture};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// Decoded pictures that wait: 4 of a 25th of a second bridge a slow keyframe. Policy: wait (the decoder pauses).
const DECODED_AHEAD: u32 = 4;
/// How long opening, or one picture, may take before the file counts as broken.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);
const PICTURE_PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// Sound may last a little longer than the pictures.
const CUT_TOLERANCE: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// A file that was opened and shows pictures at a constant rate.
#[derive(Debug)]
pub struct PreparedFile {
    path: PathBuf,
    info: SourceInfo,
}

impl PreparedFile {
    /// `period`: retime the pictures to this cadence instead of the file's own.
    pub fn open(path: &Path, period: Option<Period>) -> Result<Self, Refusal> {
        if !path.is_file() {
            return Err(Refusal::new(
                "feed.file.missing",
                format!("The video {} is not there; put the file in place or correct the path.", path.display()),
            ));
        }
        let unreadable = |what: &str| {
            Refusal::new(
                "feed.video.unreadable",
                format!(
                    "The video {} cannot be played ({what}); convert it to H.264 in MP4 at a constant frame rate.",
                    path.display()
                ),
            )
        };
        let player = Player::start(path, None).map_err(|e| unreadable(&e))?;
        let caps = player.sink.static_pad("sink").and_then(|pad| pad.current_caps());
        let video =
            caps.as_ref().and_then(|c| gst_video::VideoInfo::from_caps(c).ok()).ok_or_else(|| unreadable("no picture"))?;
        let own = (u64::try_from(video.fps().numer()), u64::try_from(video.fps().denom()));
        let own = if let (Ok(frames), Ok(seconds)) = own { Period::from_rate(frames, seconds) } else { None };
        let period = period.or(own).ok_or_else(|| unreadable("it has no constant frame rate"))?;
        // Pixels that are not square are shown as wide as they stand for.
        let par = video.par();
        let width = video.width() as usize * par.numer().max(1) as usize / par.denom().max(1) as usize;
        Ok(PreparedFile { path: path.to_owned(), info: SourceInfo { native: Some((width, video.height() as usize)), period } })
    }
}

impl Prepared for PreparedFile {
    fn info(&self) -> SourceInfo {
        self.info
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        let mut source = FileSource { path: self.path.clone(), size, players: None };
        source.open().map_err(|e| {
            Refusal::new(
                "feed.video.unreadable",
                format!(
                    "The video {} cannot be played ({e}); convert it to H.264 in MP4 at a constant frame rate.",
                    source.path.display()
                ),
            )
        })?;
        Ok(Box::new(source))
    }
}

/// Pulls decoded pictures; opens the file again after a failure.
#[derive(Debug)]
struct FileSource {
    path: PathBuf,
    size: Geometry,
    players: Option<[Player; 2]>,
}

impl FileSource {
    fn open(&mut self) -> Result<(), String> {
        let play = || Player::start(&self.path, Some(self.size)).and_then(|p| p.play().map(|()| p));
        self.players = Some([play()?, play()?]);
        Ok(())
    }
}

impl Source for FileSource {
    fn picture(&mut self, _k: u64) -> Result<Arc<Picture>, String> {
        if self.players.is_none() {
            self.open().map_err(|e| format!("The video file cannot be played: {e}."))?;
        }
        let picture = self.players.as_mut().map_or(Err("it is closed".into()), next);
        if picture.is_err() {
            self.players = None;
        }
        picture.map_err(|e| format!("The video file stopped: {e}."))
    }
}

/// The next picture of the player whose turn it is (the first); at the end the other's first picture, without a pause.
fn next(players: &mut [Player; 2]) -> Result<Arc<Picture>, String> {
    for _ in 0..2 {
        if let Some(picture) = players[0].next()? {
            return Ok(picture);
        }
        players.swap(0, 1);
        players[1].wind_back()?;
    }
    Err("it has no pictures".into())
}

/// One decoding pipeline.
#[derive(Debug)]
struct Player {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    bus: gst::Bus,
    /// As the file says, and the position of the newest picture.
    duration: Option<gst::ClockTime>,
    last: gst::ClockTime,
}

impl Player {
    /// Opens and prerolls. `size`: scale to this; `None`: as it is.
    fn start(path: &Path, size: Option<Geometry>) -> Result<Self, String> {
        // Colours pinned everywhere: small pictures would become bt601 and be converted at every frame.
        let scaled = size.map_or(String::new(), |g| {
            format!(
                "videoconvertscale ! video/x-raw,format=I420,width={},height={},colorimetry=bt709,pixel-aspect-ratio=1/1 !",
                g.width, g.height
            )
        });
        let line = format!(
            "filesrc name=file ! decodebin ! {scaled} appsink name=out sync=false max-buffers={DECODED_AHEAD} caps=video/x-raw"
        );
        let element = gst::parse::launch(&line).map_err(|e| e.to_string())?;
        let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "no pipeline".to_owned())?;
        let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no sink")?;
        pipeline.by_name("file").ok_or("no file source")?.set_property("location", path.display().to_string());
        let bus = pipeline.bus().ok_or("no bus")?;
        let mut player = Player { pipeline, sink, bus, duration: None, last: gst::ClockTime::ZERO };
        player.pipeline.set_state(gst::State::Paused).map_err(|_| player.error())?;
        let preroll = player
            .bus
            .timed_pop_filtered(PATIENCE, &[gst::MessageType::AsyncDone, gst::MessageType::Error, gst::MessageType::Eos]);
        match preroll.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::AsyncDone(_)) => {
                player.duration = player.pipeline.query_duration::<gst::ClockTime>();
                Ok(player)
            }
            Some(gst::MessageView::Error(e)) => Err(e.error().to_string()),
            Some(_) => Err("it has no pictures".into()),
            None => Err("it does not open in time".into()),
        }
    }

    /// Decodes up to its bound and waits there for somebody to take pictures.
    fn play(&self) -> Result<(), String> {
        self.pipeline.set_state(gst::State::Playing).map(|_| ()).map_err(|_| self.error())
    }

    fn wind_back(&self) -> Result<(), String> {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.pipeline.seek_simple(flags, gst::ClockTime::ZERO).map_err(|_| "it cannot be wound back".to_owned())
    }

    /// The next picture, `None` after the last. A file that ends long before it says is cut: a demuxer takes that for its end.
    fn next(&mut self) -> Result<Option<Arc<Picture>>, String> {
        let Some(sample) = self.sink.try_pull_sample(PICTURE_PATIENCE) else {
            return match self.sink.is_eos() {
                true if self.duration.is_some_and(|d| d.saturating_sub(self.last) > CUT_TOLERANCE) => {
                    Err("the file is cut, copy it again".into())
                }
                true => Ok(None),
                false => Err(self.error()),
            };
        };
        self.last = sample.buffer().and_then(|b| b.pts()).unwrap_or(self.last);
        picture(&sample).map(Some).ok_or_else(|| "a picture has an unknown form".to_owned())
    }

    fn error(&self) -> String {
        match self.bus.pop_filtered(&[gst::MessageType::Error]).as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(e)) => e.error().to_string(),
            _ => "no picture comes".into(),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn picture(sample: &gst::Sample) -> Option<Arc<Picture>> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrame::from_buffer_readable(sample.buffer_owned()?, &info).ok()?;
    Picture::from_frame(frame).map(Arc::new)
}
