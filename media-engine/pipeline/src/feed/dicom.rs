//! A DICOM cine as an endless feed, at its own frame time. All frames are decoded and scaled once, at start.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, Tag, open_file};
use dicom_pixeldata::{ConvertOptions, ModalityLutOption, PhotometricInterpretation, PixelDecoder, VoiLutOption};

use super::{Prepared, Source, SourceInfo, Word};
use crate::health::Beam;
use crate::picture::{Geometry, Picture, resample, rgb_to_picture};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// Largest file that is opened, and most memory that the prepared pictures may take: 1,000 frames of 512 x 512 are 400 MB.
const FILE_BYTES_MAX: u64 = 2 << 30;
const PREPARED_BYTES_MAX: usize = 512 << 20;
const SIDE_MAX: u32 = 4096;

/// An opened cine.
pub struct PreparedCine {
    object: DefaultDicomObject,
    name: String,
    frames: u32,
    info: SourceInfo,
    rest_s: u32,
}

impl std::fmt::Debug for PreparedCine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the object: it names the patient.
        write!(f, "PreparedCine({} frames)", self.frames)
    }
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
        // The parser is not ours: whatever it does with a broken file, the engine goes on.
        let object = catch_unwind(|| open_file(path)).ok().and_then(Result::ok).ok_or_else(|| {
            Refusal::new(
                "feed.dicom.unreadable",
                format!("{name} is no readable DICOM file; export the run again from the X-ray system."),
            )
        })?;
        let frames = number(&object, tags::NUMBER_OF_FRAMES).unwrap_or(1.0) as u32;
        let (rows, columns) = (number(&object, tags::ROWS), number(&object, tags::COLUMNS));
        let (Some(rows), Some(columns), true) = (rows, columns, frames > 1) else {
            return Err(not_a_cine(&name, "it has no more than one frame"));
        };
        let (rows, columns) = (rows as u32, columns as u32);
        if rows == 0 || columns == 0 || rows > SIDE_MAX || columns > SIDE_MAX {
            return Err(too_large(&name));
        }
        let period = frame_period(&object).ok_or_else(|| not_a_cine(&name, "it names no frame time"))?;
        let info = SourceInfo { native: Some((columns as usize, rows as usize)), period };
        Ok(PreparedCine { object, name, frames, info, rest_s: 0 })
    }

    /// X-ray is off for so long after each run.
    pub fn with_rest(self, rest_s: u32) -> Self {
        PreparedCine { rest_s, ..self }
    }

    /// Frame `n` at `size`, I420.
    fn frame(&self, n: u32, size: Geometry, levels: &mut Option<(f32, f32)>) -> Result<Picture, String> {
        let decoded = self.object.decode_pixel_data_frame(n).map_err(|e| e.to_string())?;
        let native = (decoded.columns() as usize, decoded.rows() as usize);
        let mut picture = Picture::black(size);
        match decoded.photometric_interpretation() {
            PhotometricInterpretation::Monochrome1 | PhotometricInterpretation::Monochrome2 => {
                let mut grey: Vec<u8> = if decoded.window().map_err(|e| e.to_string())?.is_some() {
                    let options = ConvertOptions::new().with_voi_lut(VoiLutOption::First);
                    decoded.to_vec_frame_with_options(0, &options).map_err(|e| e.to_string())?
                } else if decoded.bits_stored() == 8 {
                    let options = ConvertOptions::new().with_modality_lut(ModalityLutOption::None);
                    decoded.to_vec_frame_with_options(0, &options).map_err(|e| e.to_string())?
                } else {
                    // No window in the file: that of the first frame's own values, kept for the run so that it does not flicker.
                    let values: Vec<f32> = decoded.to_vec_frame(0).map_err(|e| e.to_string())?;
                    let (low, high) = *levels
                        .get_or_insert_with(|| values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v))));
                    let scale = 255.0 / (high - low).max(1.0);
                    values.iter().map(|v| ((v - low) * scale).clamp(0.0, 255.0) as u8).collect()
                };
                if *decoded.photometric_interpretation() == PhotometricInterpretation::Monochrome1 {
                    grey.iter_mut().for_each(|p| *p = 255 - *p);
                }
                if grey.len() != native.0 * native.1 {
                    return Err("a frame has another size than the file says".into());
                }
                let grey = resample(&grey, native, 1, (size.width, size.height));
                if let Some([(luma, stride), ..]) = picture.planes_mut() {
                    for (row, line) in grey.chunks_exact(size.width).enumerate() {
                        for (to, &from) in luma[row * stride..].iter_mut().zip(line) {
                            // Full range to limited range.
                            *to = 16 + ((u32::from(from) * 219 + 127) / 255) as u8;
                        }
                    }
                }
            }
            PhotometricInterpretation::Rgb => {
                let rgb: Vec<u8> = decoded.to_vec_frame(0).map_err(|e| e.to_string())?;
                if rgb.len() != native.0 * native.1 * 3 {
                    return Err("a frame has another size than the file says".into());
                }
                let rgb = resample(&rgb, native, 3, (size.width, size.height));
                let pixels: Vec<[u8; 3]> = rgb.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
                rgb_to_picture(&pixels, &mut picture, 0, size.width);
            }
            other => return Err(format!("its colours are kept as {other}, which is not supported")),
        }
        Ok(picture)
    }
}

impl Prepared for PreparedCine {
    fn info(&self) -> SourceInfo {
        self.info
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        if size.bytes().saturating_mul(self.frames as usize) > PREPARED_BYTES_MAX {
            return Err(too_large(&self.name));
        }
        let mut levels = None;
        let mut pictures = Vec::with_capacity(self.frames as usize);
        for n in 0..self.frames {
            let decoded = catch_unwind(AssertUnwindSafe(|| self.frame(n, size, &mut levels)))
                .unwrap_or_else(|_| Err("its decoder failed".into()));
            let picture = decoded.map_err(|e| {
                let what = e.lines().next().unwrap_or_default().to_owned();
                Refusal::new(
                    "feed.dicom.undecodable",
                    format!(
                        "Frame {} of {} cannot be decoded ({what}); export the run uncompressed or as JPEG.",
                        n + 1,
                        self.name
                    ),
                )
            })?;
            pictures.push(Arc::new(picture));
        }
        let rest = u64::from(self.rest_s) * 1_000_000_000 / (self.info.period.duration().as_nanos() as u64).max(1);
        Ok(Box::new(Cine { pictures, rest, beam: None }))
    }
}

#[derive(Debug)]
struct Cine {
    pictures: Vec<Arc<Picture>>,
    /// Periods between two runs.
    rest: u64,
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
}

fn number(object: &DefaultDicomObject, tag: Tag) -> Option<f64> {
    object.element(tag).ok()?.to_float64().ok()
}

/// Frame Time, else the mean of the Frame Time Vector, else Cine Rate or Recommended Display Frame Rate.
/// Source: DICOM PS3.3 C.7.6.5.
fn frame_period(object: &DefaultDicomObject) -> Option<Period> {
    let from_ms = |ms: f64| (ms > 0.0).then(|| Period::from_ns((ms * 1e6).round() as u64)).flatten();
    let from_rate = |rate: f64| (rate > 0.0).then(|| Period::from_rate((rate * 1000.0).round() as u64, 1000)).flatten();
    if let Some(period) = number(object, tags::FRAME_TIME).and_then(from_ms) {
        return Some(period);
    }
    if let Some(vector) = object.element(tags::FRAME_TIME_VECTOR).ok().and_then(|e| e.to_multi_float64().ok())
        && vector.len() > 1
    {
        // The first entry is zero by definition.
        let mean = vector[1..].iter().sum::<f64>() / (vector.len() - 1) as f64;
        if let Some(period) = from_ms(mean) {
            return Some(period);
        }
    }
    [tags::CINE_RATE, tags::RECOMMENDED_DISPLAY_FRAME_RATE].into_iter().find_map(|tag| number(object, tag).and_then(from_rate))
}

fn not_a_cine(name: &str, why: &str) -> Refusal {
    Refusal::new("feed.dicom.not-a-cine", format!("The DICOM file {name} is not a cine ({why}); choose a multi-frame run."))
}

fn too_large(name: &str) -> Refusal {
    Refusal::new("feed.dicom.too-large", format!("The DICOM file {name} is too large to be looped; choose a shorter run."))
}
