//! The picture of a DICOM object: from stored samples to 8-bit grey or RGB, by its own rules of display.
//! Source: DICOM PS3.3 C.7.6.3 (pixels, palettes), C.11.1 and C.11.2 (modality and VOI LUT), PS3.5 annex A (transfer syntaxes).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, InMemDicomObject, Tag, open_file};
use dicom_pixeldata::PixelDecoder;

use super::grey::GreyRule;
use super::palette::Palette;

/// Largest side of a picture.
pub const SIDE_MAX: u32 = 4096;
const FRAMES_MAX: u32 = 100_000;

/// CharLS 2.4 never ends on some broken streams: so long for one frame, and no further one after that.
const DECODE_MAX: Duration = Duration::from_secs(3);
static HANGS: AtomicBool = AtomicBool::new(false);

/// How its samples stand for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Monochrome {
        inverse: bool,
    },
    Palette,
    Rgb,
    /// `half`: two pixels share their colour differences (YBR_FULL_422).
    Ybr {
        half: bool,
    },
}

/// Where the bits of a sample lie. Shape: `stored` ≤ `allocated` ∈ {8, 16}, `high` < `allocated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    pub allocated: u32,
    pub stored: u32,
    pub high: u32,
    pub signed: bool,
}

impl Bits {
    /// The value of one stored word.
    pub fn value(self, word: u16) -> i32 {
        let shifted = u32::from(word) >> (self.high + 1 - self.stored);
        let value = (shifted & ((1 << self.stored) - 1)) as i32;
        if self.signed && value >> (self.stored - 1) & 1 == 1 { value - (1 << self.stored) } else { value }
    }

    /// The 8 most significant bits of an unsigned sample.
    fn byte(self, word: u16) -> u8 {
        let value = self.value(word).max(0) as u32;
        if self.stored > 8 { (value >> (self.stored - 8)) as u8 } else { (value << (8 - self.stored)) as u8 }
    }
}

/// 8-bit pixels, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pixels {
    Grey(Vec<u8>),
    Rgb(Vec<u8>),
}

/// An opened object with a picture. Never printed: it names the patient.
pub struct DicomImage {
    pub object: Arc<DefaultDicomObject>,
    pub width: usize,
    pub height: usize,
    pub frames: u32,
    bits: Bits,
    colours: Colours,
    planar: bool,
    compressed: bool,
    /// Its decoder may hang.
    jpeg_ls: bool,
    palette: Option<Palette>,
    grey: GreyRule,
}

impl std::fmt::Debug for DicomImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DicomImage({} frames of {}x{})", self.frames, self.width, self.height)
    }
}

/// Why a file is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    Unreadable,
    TooLarge,
    /// What of it is not supported.
    Form(&'static str),
}

impl DicomImage {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // The parser is not ours: whatever it does with a broken file, the engine goes on.
        let object = catch_unwind(|| open_file(path)).ok().and_then(Result::ok).ok_or(OpenError::Unreadable)?;
        Self::of(object)
    }

    pub fn of(object: DefaultDicomObject) -> Result<Self, OpenError> {
        let number = |tag| number(&object, tag);
        let frames = number(tags::NUMBER_OF_FRAMES).unwrap_or(1.0).max(1.0) as u32;
        let (Some(rows), Some(columns)) = (number(tags::ROWS), number(tags::COLUMNS)) else {
            return Err(OpenError::Form("it has no picture"));
        };
        let (rows, columns) = (rows as u32, columns as u32);
        if rows == 0 || columns == 0 || rows > SIDE_MAX || columns > SIDE_MAX || frames > FRAMES_MAX {
            return Err(OpenError::TooLarge);
        }
        let allocated = number(tags::BITS_ALLOCATED).unwrap_or(8.0) as u32;
        let stored = number(tags::BITS_STORED).map_or(allocated, |b| b as u32);
        let high = number(tags::HIGH_BIT).map_or(stored.saturating_sub(1), |b| b as u32);
        if !matches!(allocated, 8 | 16) || stored == 0 || stored > allocated || high >= allocated || high + 1 < stored {
            return Err(OpenError::Form("its samples have neither 8 nor 16 bits"));
        }
        let signed = number(tags::PIXEL_REPRESENTATION).unwrap_or(0.0) as u32 == 1;
        let bits = Bits { allocated, stored, high, signed };
        let syntax = object.meta().transfer_syntax().trim_end_matches('\0').trim().to_owned();
        let compressed = object.element(tags::PIXEL_DATA).is_ok_and(|e| e.value().primitive().is_none());
        let samples = number(tags::SAMPLES_PER_PIXEL).unwrap_or(1.0) as u32;
        let colours =
            colours(&object, &syntax, compressed, samples).ok_or(OpenError::Form("its colours are of an unknown kind"))?;
        if matches!(colours, Colours::Rgb | Colours::Ybr { .. }) && samples != 3 {
            return Err(OpenError::Form("its samples do not fit its colours"));
        }
        let palette = match colours {
            Colours::Palette => Some(Palette::of(&object).ok_or(OpenError::Form("its palette is of an unknown kind"))?),
            _ => None,
        };
        let planar = number(tags::PLANAR_CONFIGURATION).unwrap_or(0.0) as u32 == 1 && !compressed;
        let grey = GreyRule::of(&object, bits);
        let (width, height) = (columns as usize, rows as usize);
        let jpeg_ls = compressed && [uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS].contains(&syntax.as_str());
        let object = Arc::new(object);
        Ok(DicomImage { object, jpeg_ls, width, height, frames, bits, colours, planar, compressed, palette, grey })
    }

    /// Pixels of frame `n`. `levels`: the range of values of a run without a window, kept so that it does not flicker. The error says what
    /// is wrong, without its subject.
    pub fn frame(&self, n: u32, levels: &mut Option<(f64, f64)>) -> Result<Pixels, String> {
        let words = self.words(n)?;
        let pixels = self.width * self.height;
        let short = || "a frame is shorter than the file says".to_owned();
        match self.colours {
            Colours::Monochrome { inverse } => {
                let table = self.grey.table(self.bits, words.get(..pixels).ok_or_else(short)?, inverse, levels);
                Ok(Pixels::Grey(words[..pixels].iter().map(|w| table[usize::from(*w)]).collect()))
            }
            Colours::Palette => {
                let palette = self.palette.as_ref().ok_or("it has no palette")?;
                let words = words.get(..pixels).ok_or_else(short)?;
                Ok(Pixels::Rgb(words.iter().flat_map(|w| palette.colour(self.bits.value(*w))).collect()))
            }
            Colours::Rgb => Ok(Pixels::Rgb(self.triples(&words).ok_or_else(short)?.into_iter().flatten().collect())),
            Colours::Ybr { half: false } => {
                let triples = self.triples(&words).ok_or_else(short)?;
                Ok(Pixels::Rgb(triples.into_iter().flat_map(rgb_of_ybr).collect()))
            }
            Colours::Ybr { half: true } => {
                // Y1 Y2 Cb Cr for every two pixels of a row.
                let words = words.get(..pixels.next_multiple_of(2) * 2).ok_or_else(short)?;
                let byte = |w: u16| self.bits.byte(w);
                let pair = |q: &[u16]| [q[0], q[1]].map(|y| rgb_of_ybr([byte(y), byte(q[2]), byte(q[3])]));
                let rgb: Vec<u8> = words.chunks_exact(4).flat_map(pair).flatten().take(pixels * 3).collect();
                Ok(Pixels::Rgb(rgb))
            }
        }
    }

    /// Three samples a pixel.
    fn triples(&self, words: &[u16]) -> Option<Vec<[u8; 3]>> {
        let pixels = self.width * self.height;
        let words = words.get(..3 * pixels)?;
        let byte = |w: u16| self.bits.byte(w);
        Some(if self.planar {
            (0..pixels).map(|i| [0, 1, 2].map(|c| byte(words[c * pixels + i]))).collect()
        } else {
            words.chunks_exact(3).map(|t| [byte(t[0]), byte(t[1]), byte(t[2])]).collect()
        })
    }

    /// The stored words of a frame as the file orders them; those of a compressed one as its decoder gives them.
    fn words(&self, n: u32) -> Result<Vec<u16>, String> {
        let bytes = if self.compressed {
            if self.jpeg_ls { watched(&self.object, n)? } else { decoded(&self.object, n)? }
        } else {
            let all = self.object.element(tags::PIXEL_DATA).map_err(|_| "it has no pixels")?;
            let all = all.value().primitive().ok_or("it has no pixels")?.to_bytes();
            let samples = match self.colours {
                Colours::Monochrome { .. } | Colours::Palette => self.width * self.height,
                Colours::Ybr { half: true } => (self.width * self.height).next_multiple_of(2) * 2,
                Colours::Rgb | Colours::Ybr { half: false } => self.width * self.height * 3,
            };
            let size = samples * self.bits.allocated as usize / 8;
            let from = size.checked_mul(n as usize).ok_or("a frame lies outside the file")?;
            all.get(from..from + size).ok_or("a frame is shorter than the file says")?.to_vec()
        };
        // The reader has turned big-endian words round already.
        Ok(if self.bits.allocated == 8 {
            bytes.into_iter().map(u16::from).collect()
        } else {
            bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect()
        })
    }
}

/// Samples of one compressed frame. The decoders are not ours: one that panics is caught.
fn decoded(object: &DefaultDicomObject, n: u32) -> Result<Vec<u8>, String> {
    let decode = || object.decode_pixel_data_frame(n).map(|d| d.data().to_vec()).map_err(|e| e.to_string());
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("its decoder failed".into()))
}

/// On a thread of its own, which is left behind if it does not end.
fn watched(object: &Arc<DefaultDicomObject>, n: u32) -> Result<Vec<u8>, String> {
    let hangs = "its decoder does not end";
    if HANGS.load(Ordering::Relaxed) {
        return Err(format!("{hangs}; restart the engine without the broken file"));
    }
    let (done, result) = sync_channel(1);
    let object = object.clone();
    let decode = move || drop(done.send(decoded(&object, n)));
    std::thread::Builder::new().name("jpeg-ls".into()).spawn(decode).map_err(|e| e.to_string())?;
    match result.recv_timeout(DECODE_MAX) {
        Ok(samples) => samples,
        Err(RecvTimeoutError::Timeout) => {
            HANGS.store(true, Ordering::Relaxed);
            Err(hangs.into())
        }
        Err(RecvTimeoutError::Disconnected) => Err("its decoder failed".into()),
    }
}

/// `None`: not known. JPEG's and JPEG 2000's own colour transforms are undone by their decoders; RLE and JPEG-LS have none.
fn colours(object: &InMemDicomObject, syntax: &str, compressed: bool, samples: u32) -> Option<Colours> {
    let said = object.element(tags::PHOTOMETRIC_INTERPRETATION).ok()?.to_str().ok()?.trim_end_matches('\0').trim().to_owned();
    let inverted = || {
        let shape = object.element(tags::PRESENTATION_LUT_SHAPE).ok().and_then(|e| Some(e.to_str().ok()?.trim().to_owned()));
        shape.as_deref() == Some("INVERSE")
    };
    let verbatim = [uids::RLE_LOSSLESS, uids::JPEGLS_LOSSLESS, uids::JPEGLS_NEAR_LOSSLESS].contains(&syntax);
    let is_jpeg2000 = [uids::JPEG2000_LOSSLESS, uids::JPEG2000].contains(&syntax);
    Some(match said.as_str() {
        "MONOCHROME1" if samples == 1 => Colours::Monochrome { inverse: true },
        "MONOCHROME2" if samples == 1 => Colours::Monochrome { inverse: inverted() },
        "PALETTE COLOR" if samples == 1 => Colours::Palette,
        "RGB" | "YBR_ICT" | "YBR_RCT" => Colours::Rgb,
        "YBR_FULL" | "YBR_FULL_422" if compressed => {
            if verbatim || (is_jpeg2000 && said == "YBR_FULL") {
                Colours::Ybr { half: false }
            } else {
                Colours::Rgb
            }
        }
        "YBR_FULL" => Colours::Ybr { half: false },
        "YBR_FULL_422" => Colours::Ybr { half: true },
        _ => return None,
    })
}

/// Full-range YCbCr of BT.601. Source: PS3.3 C.7.6.3.1.2.
fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

pub fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    object.element(tag).ok()?.to_float64().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_where_the_file_says() {
        let bits = |allocated, stored, high, signed| Bits { allocated, stored, high, signed };
        assert_eq!(bits(16, 12, 11, false).value(0xF123), 0x123);
        assert_eq!(bits(16, 12, 15, false).value(0x1234), 0x123);
        assert_eq!(bits(16, 12, 11, true).value(0x0800), -2048);
        assert_eq!(bits(16, 16, 15, true).value(0xFFFF), -1);
        assert_eq!(bits(8, 8, 7, false).value(0xFF), 255);
        assert_eq!((bits(16, 16, 15, false).byte(0xFF00), bits(8, 8, 7, false).byte(7)), (255, 7));
    }

    #[test]
    fn ybr_is_full_range() {
        assert_eq!(rgb_of_ybr([0, 128, 128]), [0, 0, 0]);
        assert_eq!(rgb_of_ybr([255, 128, 128]), [255, 255, 255]);
        assert_eq!(rgb_of_ybr([76, 85, 255]), [254, 0, 0]);
    }
}
