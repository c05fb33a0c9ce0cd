//! Colours of a palette. Source: DICOM PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6. Pure.

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

/// One table for each of red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    first: i32,
    colours: Vec<[u8; 3]>,
}

impl Palette {
    /// `None`: it is missing, or segmented.
    pub fn of(object: &InMemDicomObject) -> Option<Self> {
        let red = channel(object, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let green =
            channel(object, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let blue = channel(object, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA)?;
        let n = red.1.len().min(green.1.len()).min(blue.1.len());
        let colours: Vec<[u8; 3]> = (0..n).map(|i| [red.1[i], green.1[i], blue.1[i]]).collect();
        (!colours.is_empty()).then_some(Palette { first: red.0, colours })
    }

    /// Values before the first and after the last entry have its colour.
    pub fn colour(&self, value: i32) -> [u8; 3] {
        let at = value.saturating_sub(self.first).clamp(0, self.colours.len() as i32 - 1);
        self.colours[at as usize]
    }
}

/// First value and entries as 8 bits.
fn channel(object: &InMemDicomObject, descriptor: Tag, data: Tag) -> Option<(i32, Vec<u8>)> {
    let descriptor = object.element(descriptor).ok()?.to_multi_int::<i32>().ok()?;
    let [n, first, bits] = descriptor[..] else { return None };
    let n = if n & 0xFFFF == 0 { 65_536 } else { (n & 0xFFFF) as usize };
    let bytes = object.element(data).ok()?.value().primitive()?.to_bytes().to_vec();
    let entries: Vec<u8> = match bits {
        // 8-bit entries lie one a byte, or each in a word of its own.
        8 if bytes.len() < 2 * n => bytes,
        8 => bytes.chunks_exact(2).map(|b| b[0]).collect(),
        16 => {
            let words: Vec<u16> = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            // Some writers say 16 and mean 8.
            let small = words.iter().all(|w| *w < 256);
            words.into_iter().map(|w| if small { w as u8 } else { (w >> 8) as u8 }).collect()
        }
        _ => return None,
    };
    Some((first, entries.into_iter().take(n).collect()))
}
