//! `shirube-engine mask propose`: a still in, a draft of its mask and a picture of the draft out.
//!
//! The picture shows what is to be masked, so it shows the patient's name: it is written for its owner alone, and only where it was
//! asked for.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use dicom_dictionary_std::tags;
use dicom_object::open_file;
use dicom_pixeldata::{PhotometricInterpretation, PixelDecoder};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::propose::{Grey, Rect, propose, snippet};
use crate::config::Config;
use crate::refusal::Refusal;

pub const USAGE: &str =
    "use: shirube-engine mask propose STILL|DICOM [--feed ID] [--keep X,Y,W,H]... [--config FILE] [--overlay OUT.png]";
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);
const SIDE_MAX: usize = 4096;

/// What is asked of the command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    picture: PathBuf,
    feed: Option<String>,
    /// What is never masked, besides what the configuration keeps.
    keep: Vec<Rect>,
    config: Option<PathBuf>,
    overlay: Option<PathBuf>,
}

impl Ask {
    /// The words after `mask`.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Refusal> {
        if words.next().as_deref() != Some("propose") {
            return Err(wrong("the only one is propose"));
        }
        let mut ask = Ask::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| wrong(&format!("{word} needs a value")));
            match word.as_str() {
                "--feed" => ask.feed = Some(value()?),
                "--keep" => ask.keep.push(rect(&value()?)?),
                "--config" => ask.config = Some(value()?.into()),
                "--overlay" => ask.overlay = Some(value()?.into()),
                _ if word.starts_with("--") => return Err(wrong(&format!("{word} is not known"))),
                _ if ask.picture.as_os_str().is_empty() => ask.picture = word.into(),
                _ => return Err(wrong("give one picture")),
            }
        }
        if ask.picture.as_os_str().is_empty() { Err(wrong("give a picture")) } else { Ok(ask) }
    }

    /// The draft, as a part of a configuration. Writes the overlay where one is asked for.
    pub fn run(&self) -> Result<String, Refusal> {
        gst::init()
            .map_err(|e| Refusal::new("engine.gstreamer", format!("GStreamer does not start ({e}); install its packages.")))?;
        let picture = Still::read(&self.picture)?;
        let feed = self.feed.as_deref().unwrap_or("FEED");
        let mut keep = self.keep.clone();
        if let Some(path) = &self.config {
            let config = Config::load(path)?;
            let of_this =
                |m: &&super::MaskConfig| m.feed.as_str() == feed && m.size == [picture.width as u32, picture.height as u32];
            keep.extend(config.masks.iter().filter(of_this).flat_map(|m| m.keep.iter().copied()));
        }
        let grey: Vec<u8> = picture.rgb.iter().map(|[r, g, b]| *r.max(g).max(b)).collect();
        let rects = propose(Grey { width: picture.width, height: picture.height, data: &grey }, &keep);
        if let Some(path) = &self.overlay {
            picture.with(&rects, &keep).write(path)?;
        }
        Ok(snippet(feed, (picture.width, picture.height), &rects, &keep))
    }
}

fn wrong(what: &str) -> Refusal {
    Refusal::new("engine.arguments", format!("Wrong arguments of mask: {what}; {USAGE}."))
}

fn rect(text: &str) -> Result<Rect, Refusal> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let rect = numbers.and_then(|n| Rect::try_from(n).ok());
    rect.ok_or_else(|| wrong("--keep takes X,Y,WIDTH,HEIGHT in pixels"))
}

/// A still in RGB.
#[derive(Clone)]
pub struct Still {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<[u8; 3]>,
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the picture: it names the patient.
        write!(f, "Still({}x{})", self.width, self.height)
    }
}

impl Still {
    /// The first picture of a DICOM object, or of anything that GStreamer reads.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let name = path.display();
        if !path.is_file() {
            return Err(Refusal::new("mask.still", format!("The picture {name} is not there; correct the path.")));
        }
        // The parser is not ours: whatever it does with a broken file, it is a file that cannot be read.
        let dicom = catch_unwind(|| of_dicom(path)).unwrap_or(Some(Err("its parser failed".into())));
        let still = dicom.unwrap_or_else(|| of_picture(path));
        let fits = |s: &Still| (16..=SIDE_MAX).contains(&s.width) && (16..=SIDE_MAX).contains(&s.height);
        match still {
            Ok(still) if fits(&still) && still.rgb.len() == still.width * still.height => Ok(still),
            Ok(_) => Err(Refusal::new(
                "mask.still",
                format!("The picture {name} is too small or too large; give 16 to {SIDE_MAX} px."),
            )),
            Err(why) => Err(Refusal::new(
                "mask.still",
                format!("The picture {name} cannot be read ({why}); give a still or a DICOM file."),
            )),
        }
    }

    /// Proposed masks tinted and framed, what is kept framed.
    fn with(&self, rects: &[Rect], keep: &[Rect]) -> Still {
        let mut out = self.clone();
        let mut paint = |[x, y, w, h]: Rect, colour: [u8; 3], tint: u16| {
            for py in y..(y + h).min(out.height as u32) {
                for px in x..(x + w).min(out.width as u32) {
                    let edge = px < x + 2 || py < y + 2 || px + 2 >= x + w || py + 2 >= y + h;
                    let part = if edge { 256 } else { tint };
                    let at = &mut out.rgb[py as usize * self.width + px as usize];
                    for (to, from) in at.iter_mut().zip(colour) {
                        *to = ((u16::from(*to) * (256 - part) + u16::from(from) * part.min(255)) >> 8) as u8;
                    }
                }
            }
        };
        rects.iter().for_each(|r| paint(*r, [255, 154, 217], 110));
        keep.iter().for_each(|r| paint(*r, [99, 224, 160], 0));
        out
    }

    fn write(&self, path: &Path) -> Result<(), Refusal> {
        let failed = |e: String| Refusal::new("mask.overlay", format!("{} cannot be written ({e}).", path.display()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = std::io::BufWriter::new(file.map_err(|e| failed(e.to_string()))?);
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let bytes: Vec<u8> = self.rgb.iter().flatten().copied().collect();
        encoder.write_header().and_then(|mut w| w.write_image_data(&bytes)).map_err(|e| failed(e.to_string()))
    }
}

/// `None`: it is no DICOM file.
fn of_dicom(path: &Path) -> Option<Result<Still, String>> {
    let object = open_file(path).ok()?;
    Some((|| {
        let decoded = object.decode_pixel_data_frame(0).map_err(|e| e.to_string())?;
        let (width, height) = (decoded.columns() as usize, decoded.rows() as usize);
        let grey = |p: u8| [p, p, p];
        let rgb = if decoded.samples_per_pixel() == 3 {
            let bytes: Vec<u8> = decoded.to_vec_frame(0).map_err(|e| e.to_string())?;
            let is_ybr = !matches!(decoded.photometric_interpretation(), PhotometricInterpretation::Rgb);
            let pixel = |p: &[u8]| if is_ybr { of_ybr([p[0], p[1], p[2]]) } else { [p[0], p[1], p[2]] };
            bytes.chunks_exact(3).map(pixel).collect()
        } else {
            let inverse = *decoded.photometric_interpretation() == PhotometricInterpretation::Monochrome1;
            let words = if decoded.bits_allocated() == 8 {
                decoded.data().iter().map(|p| u16::from(*p)).collect()
            } else {
                decoded.data_ow()
            };
            let representation = object.element(tags::PIXEL_REPRESENTATION).ok().and_then(|e| e.to_int::<u16>().ok());
            let signed = representation == Some(1) && decoded.bits_allocated() == 16;
            let words = words.into_iter().take(width * height);
            let values =
                full_range(&words.map(|w| if signed { i32::from(w.cast_signed()) } else { i32::from(w) }).collect::<Vec<_>>());
            values.into_iter().map(|p| grey(if inverse { 255 - p } else { p })).collect()
        };
        Ok(Still { width, height, rgb })
    })())
}

/// Between the values that one in two hundred lies beyond on either side, whatever the window: what was burnt in is at an end of it.
fn full_range(values: &[i32]) -> Vec<u8> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let cut = sorted.len() / 200;
    let (Some(low), Some(high)) = (sorted.get(cut), sorted.get(sorted.len().saturating_sub(1 + cut))) else { return Vec::new() };
    let span = (high - low).max(1);
    values.iter().map(|v| ((v.clamp(low, high) - low) * 255 / span) as u8).collect()
}

/// BT.601, full range: DICOM PS3.3 C.7.6.3.1.2.
fn of_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn of_picture(path: &Path) -> Result<Still, String> {
    let line =
        "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false max-buffers=1";
    let element = gst::parse::launch(line).map_err(|e| e.to_string())?;
    let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let file = pipeline.by_name("file").ok_or("no source")?;
    file.set_property("location", path.to_str().ok_or("its name is no text")?);
    let sink = pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no sink")?;
    let still = (|| {
        pipeline.set_state(gst::State::Playing).map_err(|e| e.to_string())?;
        let sample = sink.try_pull_sample(PATIENCE).ok_or("it holds no picture")?;
        let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or("it has no format")?).map_err(|e| e.to_string())?;
        let buffer = sample.buffer_owned().ok_or("it holds no picture")?;
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, &info).map_err(|_| "its picture is cut")?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        let data = frame.plane_data(0).map_err(|e| e.to_string())?;
        let stride = info.stride()[0].max(0) as usize;
        let rows = data.chunks(stride.max(1)).take(height);
        let rgb = rows.flat_map(|row| row[..(3 * width).min(row.len())].chunks_exact(3).map(|p| [p[0], p[1], p[2]])).collect();
        Ok(Still { width, height, rgb })
    })();
    let _ = pipeline.set_state(gst::State::Null);
    still
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Ask, Refusal> {
        Ask::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_understood_or_refused_with_the_usage() {
        let ask = parse("propose a.png --feed fluoro --keep 1,2,3,4 --keep 5,6,7,8 --overlay b.png").expect("good");
        assert_eq!((ask.keep.as_slice(), ask.feed.as_deref()), (&[[1, 2, 3, 4], [5, 6, 7, 8]][..], Some("fluoro")));
        for bad in
            ["", "apply a.png", "propose", "propose a b", "propose a --keep 1,2,3", "propose a --keep", "propose a --kept 1"]
        {
            let refusal = parse(bad).expect_err("refused");
            assert!(refusal.message.contains("mask propose"), "{bad}: {}", refusal.message);
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_and_named() {
        gst::init().expect("GStreamer is installed");
        let refusal = Still::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path()).expect_err("no picture");
        assert_eq!(refusal.code, "mask.still");
        assert!(Still::read(Path::new("/nowhere.png")).expect_err("not there").message.contains("not there"));
    }
}
