//! A DICOM cine as an endless feed, at its own frame time or at the time of each of its frames. All frames are decoded and scaled
//! once, at start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, from_reader};

use self::image::{DicomImage, OpenError, Pixels, number};
use super::{Prepared, Source, SourceInfo, Word};
use crate::health::Beam;
use crate::picture::{Geometry, Picture, resample, rgb_to_picture};
use crate::refusal::Refusal;
use crate::timing::pace::{Period, Times};

pub mod grey;
pub mod image;
pub mod palette;

/// Largest file that is opened, and most memory that the prepared pictures may take: 1,000 frames of 512 x 512 are 400 MB.
const FILE_BYTES_MAX: u64 = 2 << 30;
const PREPARED_BYTES_MAX: usize = 512 << 20;
/// Frame times outside this are mistakes of the file.
const FRAME_MS: std::ops::RangeInclusive<f64> = 4.0..=60_000.0;

/// An opened cine.
#[derive(Debug)]
pub struct PreparedCine {
    image: DicomImage,
    name: String,
    info: SourceInfo,
    /// How long each frame is shown, where they differ.
    each: Option<Vec<Duration>>,
    rest_s: u32,
}

impl PreparedCine {
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let name = path.display().to_string();
        if !path.is_file() {
            return Err(Refusal::new(
                "feed.file.missing",
                format!("The DICOM file {name} is not there; put the file in place or correct the path."),
            ));
        }
        if std::fs::metadata(path).map_or(0, |m| m.len()) > FILE_BYTES_MAX {
            return Err(too_large(&name));
        }
        let image = DicomImage::open(path).map_err(|error| match error {
            OpenError::Unreadable => Refusal::new(
                "feed.dicom.unreadable",
                format!("{name} is no readable DICOM file; export the run again from the X-ray system."),
            ),
            OpenError::TooLarge => too_large(&name),
            OpenError::Form(what) => undecodable(&name, what),
        })?;
        if image.frames < 2 {
            return Err(not_a_cine(&name, "it has no more than one frame"));
        }
        let (period, each) =
            frame_times(&image.object, image.frames).ok_or_else(|| not_a_cine(&name, "it names no frame time"))?;
        let info = SourceInfo { native: Some((image.width, image.height)), period };
        Ok(PreparedCine { image, name, info, each, rest_s: 0 })
    }

    /// X-ray is off for so long after each run.
    pub fn with_rest(self, rest_s: u32) -> Self {
        PreparedCine { rest_s, ..self }
    }

    /// Frame `n` at `size`, I420.
    fn frame(&self, n: u32, size: Geometry, levels: &mut Option<(f64, f64)>) -> Result<Picture, String> {
        Ok(picture(&self.image.frame(n, levels)?, (self.image.width, self.image.height), size))
    }
}

/// 8-bit pixels of `native` size as a picture of `size`: full range to limited range.
pub fn picture(pixels: &Pixels, native: (usize, usize), size: Geometry) -> Picture {
    let mut picture = Picture::black(size);
    match pixels {
        Pixels::Grey(grey) => {
            let grey = resample(grey, native, 1, (size.width, size.height));
            if let Some([(luma, stride), ..]) = picture.planes_mut() {
                for (row, line) in grey.chunks_exact(size.width).enumerate() {
                    for (to, &from) in luma[row * stride..].iter_mut().zip(line) {
                        *to = 16 + ((u32::from(from) * 219 + 127) / 255) as u8;
                    }
                }
            }
        }
        Pixels::Rgb(rgb) => {
            let rgb = resample(rgb, native, 3, (size.width, size.height));
            let pixels: Vec<[u8; 3]> = rgb.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
            rgb_to_picture(&pixels, &mut picture, 0, size.width);
        }
    }
    picture
}

/// Body of the fuzz target: any bytes as a file, its first and last frame. Never panics; a decoder that does is caught.
pub fn fuzz(bytes: &[u8]) {
    let Some(Ok(object)) = catch_unwind(|| from_reader(bytes)).ok() else { return };
    let Ok(image) = DicomImage::of(object) else { return };
    // A large picture takes long and shows nothing that a small one does not.
    if image.width * image.height > 1 << 18 {
        return;
    }
    let mut levels = None;
    for n in [0, image.frames - 1] {
        if let Ok(pixels) = image.frame(n, &mut levels) {
            let size = Geometry { width: 64, height: 64 };
            picture(&pixels, (image.width, image.height), size);
        }
    }
    let _ = frame_times(&image.object, image.frames);
}

impl Prepared for PreparedCine {
    fn info(&self) -> SourceInfo {
        self.info
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        if size.bytes().saturating_mul(self.image.frames as usize) > PREPARED_BYTES_MAX {
            return Err(too_large(&self.name));
        }
        let mut levels = None;
        let mut pictures = Vec::with_capacity(self.image.frames as usize);
        for n in 0..self.image.frames {
            let decoded = catch_unwind(AssertUnwindSafe(|| self.frame(n, size, &mut levels)))
                .unwrap_or_else(|_| Err("its decoder failed".into()));
            let picture = decoded.map_err(|e| {
                let what = e.lines().next().unwrap_or_default().to_owned();
                undecodable(&self.name, &format!("frame {}: {what}", n + 1))
            })?;
            pictures.push(Arc::new(picture));
        }
        let rest = u64::from(self.rest_s) * 1_000_000_000 / (self.info.period.duration().as_nanos() as u64).max(1);
        let times = self.each.as_ref().map(|each| {
            let rests = std::iter::repeat_n(self.info.period.duration(), rest as usize);
            Arc::new(Times::new(each.iter().copied().chain(rests)))
        });
        Ok(Box::new(Cine { pictures, rest, times, beam: None }))
    }
}

#[derive(Debug)]
struct Cine {
    pictures: Vec<Arc<Picture>>,
    /// Periods between two runs.
    rest: u64,
    times: Option<Arc<Times>>,
    /// Of the last picture; `None` of a run that loops without a rest.
    beam: Option<Beam>,
}

impl Source for Cine {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let n = self.pictures.len() as u64;
        let at = k % (n + self.rest);
        self.beam = (self.rest > 0).then_some(if at < n { Beam::On } else { Beam::Off });
        Ok(self.pictures[at.min(n - 1) as usize].clone())
    }

    fn word(&self) -> Word {
        Word { beam: self.beam, origin: None }
    }

    fn times(&self) -> Option<Arc<Times>> {
        self.times.clone()
    }
}

/// The period, and where the frames' times differ each one's: Frame Time, else the Frame Time Vector, else Cine Rate or Recommended
/// Display Frame Rate. Source: DICOM PS3.3 C.7.6.5.
fn frame_times(object: &DefaultDicomObject, frames: u32) -> Option<(Period, Option<Vec<Duration>>)> {
    let from_ms = |ms: f64| FRAME_MS.contains(&ms).then(|| Period::from_ns((ms * 1e6).round() as u64)).flatten();
    let from_rate = |rate: f64| (rate > 0.0).then(|| Period::from_rate((rate * 1000.0).round() as u64, 1000)).flatten();
    let by_vector = || {
        let vector = object.element(tags::FRAME_TIME_VECTOR).ok()?.to_multi_float64().ok()?;
        // Entry n is the time from frame n-1 to frame n; the first is zero by definition. The last frame is shown as long as the mean.
        let steps = vector.get(1..).filter(|s| !s.is_empty())?;
        let period = from_ms(steps.iter().sum::<f64>() / steps.len() as f64)?;
        let fits = steps.len() + 1 == frames as usize && steps.iter().all(|ms| FRAME_MS.contains(ms));
        let even = steps.iter().all(|ms| (ms - steps[0]).abs() < 0.5);
        let each = steps.iter().map(|ms| Duration::from_secs_f64(ms / 1000.0)).chain([period.duration()]);
        Some((period, (fits && !even).then(|| each.collect())))
    };
    // The file may name which of them its frames go by.
    let by_time = || Some((number(object, tags::FRAME_TIME).and_then(from_ms)?, None));
    let rates = [tags::CINE_RATE, tags::RECOMMENDED_DISPLAY_FRAME_RATE];
    let by_rate = || Some((rates.into_iter().find_map(|tag| number(object, tag).and_then(from_rate))?, None));
    by_time().or_else(by_vector).or_else(by_rate)
}

fn not_a_cine(name: &str, why: &str) -> Refusal {
    Refusal::new("feed.dicom.not-a-cine", format!("The DICOM file {name} is not a cine ({why}); choose a multi-frame run."))
}

fn too_large(name: &str) -> Refusal {
    Refusal::new("feed.dicom.too-large", format!("The DICOM file {name} is too large to be looped; choose a shorter run."))
}

fn undecodable(name: &str, what: &str) -> Refusal {
    Refusal::new("feed.dicom.undecodable", format!("{name} cannot be decoded ({what}); export the run uncompressed or as JPEG."))
}
