//! From stored values to shades of grey: modality LUT, then VOI LUT or window. Source: DICOM PS3.3 C.11.1, C.11.2. Pure.

use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, Tag};

use super::image::{Bits, number};

/// How a window is meant. Source: PS3.3 C.11.2.1.2 and C.11.2.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

/// A LUT of a file: entries from the value `first` on, each of `bits` bits.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    first: f64,
    bits: u32,
    entries: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq)]
enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(Table),
}

#[derive(Debug, Clone, PartialEq)]
enum Voi {
    /// The object names none.
    None,
    Window {
        centre: f64,
        width: f64,
        function: Function,
    },
    Table(Table),
}

/// What an object says of its shades.
#[derive(Debug, Clone, PartialEq)]
pub struct GreyRule {
    modality: Modality,
    voi: Voi,
}

impl GreyRule {
    pub fn of(object: &InMemDicomObject, bits: Bits) -> Self {
        let modality = table(object, tags::MODALITY_LUT_SEQUENCE, bits.signed).map(Modality::Table);
        let modality = modality.unwrap_or_else(|| Modality::Rescale {
            slope: number(object, tags::RESCALE_SLOPE).filter(|s| s.is_finite() && *s != 0.0).unwrap_or(1.0),
            intercept: number(object, tags::RESCALE_INTERCEPT).filter(|i| i.is_finite()).unwrap_or(0.0),
        });
        let first = |tag: Tag| {
            let values = object.element(tag).ok()?.to_multi_float64().ok()?;
            values.first().copied().filter(|v| v.is_finite())
        };
        let function = object.element(tags::VOILUT_FUNCTION).ok().and_then(|e| Some(e.to_str().ok()?.trim().to_owned()));
        let function = match function.as_deref() {
            Some("SIGMOID") => Function::Sigmoid,
            Some("LINEAR_EXACT") => Function::LinearExact,
            _ => Function::Linear,
        };
        // Signed as the values that come out of the modality LUT are.
        let signed = bits.signed || matches!(modality, Modality::Rescale { intercept, .. } if intercept < 0.0);
        let voi = match (first(tags::WINDOW_CENTER), first(tags::WINDOW_WIDTH)) {
            (Some(centre), Some(width)) if width > 0.0 => Voi::Window { centre, width, function },
            _ => table(object, tags::VOILUT_SEQUENCE, signed).map_or(Voi::None, Voi::Table),
        };
        GreyRule { modality, voi }
    }

    /// The shade of every word that can be stored. `levels`: of a run without a window, set by its first frame.
    pub fn table(&self, bits: Bits, words: &[u16], inverse: bool, levels: &mut Option<(f64, f64)>) -> Vec<u8> {
        let value = |word: u16| self.modality(f64::from(bits.value(word)));
        let plain = bits.stored == 8 && !bits.signed && matches!(self.modality, Modality::Rescale { .. });
        let shade: Box<dyn Fn(u16) -> f64> = match &self.voi {
            Voi::Window { centre, width, function } => Box::new(move |w| windowed(value(w), *centre, *width, *function)),
            Voi::Table(table) => Box::new(move |w| table.at(value(w)) * 255.0),
            Voi::None if plain => Box::new(|w| f64::from(bits.value(w))),
            Voi::None => {
                let range = || words.iter().map(|w| value(*w)).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
                let (low, high) = *levels.get_or_insert_with(range);
                Box::new(move |w| (value(w) - low) / (high - low).max(1.0) * 255.0)
            }
        };
        let last = if bits.allocated == 8 { 0xFF } else { 0xFFFF };
        let of = |word: u16| shade(word).round().clamp(0.0, 255.0) as u8;
        (0..=last).map(|word| if inverse { 255 - of(word) } else { of(word) }).collect()
    }

    fn modality(&self, value: f64) -> f64 {
        match &self.modality {
            Modality::Rescale { slope, intercept } => value * slope + intercept,
            Modality::Table(table) => table.raw(value),
        }
    }
}

fn windowed(x: f64, centre: f64, width: f64, function: Function) -> f64 {
    match function {
        Function::Linear if width <= 1.0 => {
            if x <= centre - 0.5 {
                0.0
            } else {
                255.0
            }
        }
        Function::Linear => ((x - (centre - 0.5)) / (width - 1.0) + 0.5) * 255.0,
        Function::LinearExact => ((x - centre) / width + 0.5) * 255.0,
        Function::Sigmoid => 255.0 / (1.0 + (-4.0 * (x - centre) / width).exp()),
    }
}

impl Table {
    fn raw(&self, value: f64) -> f64 {
        let at = (value - self.first).clamp(0.0, self.entries.len().saturating_sub(1) as f64) as usize;
        f64::from(self.entries.get(at).copied().unwrap_or(0))
    }

    /// 0 to 1.
    fn at(&self, value: f64) -> f64 {
        self.raw(value) / f64::from((1u32 << self.bits) - 1)
    }
}

/// The LUT of the first item of a sequence: descriptor (entries, first value, bits) and data.
fn table(object: &InMemDicomObject, sequence: Tag, signed: bool) -> Option<Table> {
    let item = object.element(sequence).ok()?.items()?.first()?;
    let descriptor = item.element(tags::LUT_DESCRIPTOR).ok()?.to_multi_int::<i32>().ok()?;
    let [n, first, bits] = descriptor[..] else { return None };
    let data = item.element(tags::LUT_DATA).ok()?;
    let entries: Vec<u16> = data.to_multi_int::<i32>().ok()?.into_iter().map(|v| v as u16).collect();
    let n = if n & 0xFFFF == 0 { 65_536 } else { (n & 0xFFFF) as usize };
    let first = if signed { f64::from(first as u16 as i16) } else { f64::from(first & 0xFFFF) };
    let sane = (1..=16).contains(&bits) && !entries.is_empty() && entries.len() <= n;
    sane.then_some(Table { first, bits: bits as u32, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_standard() {
        // PS3.3 C.11.2.1.2: centre 2048, width 4096 over 12 bits maps 0 to 0 and 4095 to the last.
        let linear = |x| windowed(x, 2048.0, 4096.0, Function::Linear);
        assert!(linear(0.0).abs() < 1e-9 && (linear(4095.0) - 255.0).abs() < 1e-9);
        assert_eq!((windowed(9.0, 10.0, 1.0, Function::Linear), windowed(10.0, 10.0, 1.0, Function::Linear)), (0.0, 255.0));
        assert!((windowed(100.0, 100.0, 50.0, Function::LinearExact) - 127.5).abs() < 1e-9);
        assert!((windowed(100.0, 100.0, 50.0, Function::Sigmoid) - 127.5).abs() < 1e-9);
        assert!(windowed(1e9, 100.0, 50.0, Function::Sigmoid) > 254.9);
    }
}
