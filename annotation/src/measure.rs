//! A length on a picture, from a known length in the same plane. Reference only: never shown without its uncertainty.

use crate::points::{PICTURE_WIDTH, Point};
use crate::wire::Reference;

/// Standard uncertainty of an end set by hand: 0.75 px of a 1080p picture (19 of 20 are within 1.5 px), in units of points.
pub const END_ERROR: f64 = 0.75 * PICTURE_WIDTH as f64 / 1920.0;
/// Shortest reference, 6 px at 1080p: a shorter one is known to a third at best.
pub const REFERENCE_MIN: f64 = 8.0 * END_ERROR;
/// Longest reference, µm: a metre.
pub const REFERENCE_UM_MAX: u32 = 1_000_000;

/// A length and how sure it is, mm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Length {
    pub mm: f64,
    /// 95 % of hands are within this: twice the standard uncertainty of four ends.
    pub uncertainty_mm: f64,
}

/// The length between two points. `None` without a usable reference. Source: GUM (JCGM 100:2008) §5.1.2, uncorrelated inputs.
pub fn length(from: Point, to: Point, reference: &Reference) -> Option<Length> {
    let distance = |dx: i32, dy: i32| f64::from(dx).hypot(f64::from(dy));
    let known = distance(reference.x2.checked_sub(reference.x1)?, reference.y2.checked_sub(reference.y1)?);
    if known < REFERENCE_MIN || reference.length_um == 0 {
        return None;
    }
    let drawn = distance(to.x - from.x, to.y - from.y);
    let per_unit = f64::from(reference.length_um) / 1000.0 / known;
    // Both ends of both lines: u² = 2 e² (1 + (drawn / known)²), in units of points.
    let standard = END_ERROR * 2f64.sqrt() * 1f64.hypot(drawn / known);
    Some(Length { mm: drawn * per_unit, uncertainty_mm: 2.0 * standard * per_unit })
}

impl Length {
    /// `12.3 ±0.6 mm 参考`: tenths of a millimetre, the uncertainty rounded up. `words`: *reference only* in the screen's language.
    pub fn label(&self, words: &str) -> String {
        let tenths = (self.mm * 10.0 + 0.5).floor();
        let sure = (self.uncertainty_mm * 10.0 - 1e-9).ceil().max(1.0);
        let gap = if words.is_empty() { "" } else { " " };
        format!("{}.{} ±{}.{} mm{gap}{words}", (tenths / 10.0).floor(), tenths % 10.0, (sure / 10.0).floor(), sure % 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: i32, y: i32) -> Point {
        Point { x, y, pressure: 255 }
    }

    /// A catheter of 6 French (2 mm) that is 20 px wide at 1080p.
    fn catheter() -> Reference {
        Reference { x1: 1000, y1: 1000, x2: 1171, y2: 1000, length_um: 2_000 }
    }

    #[test]
    fn an27_a_length_is_told_with_its_uncertainty() {
        let length = length(at(2000, 2000), at(2000, 3026), &catheter()).expect("a reference");
        assert!((length.mm - 12.0).abs() < 0.01, "{length:?}");
        assert!((1.2..1.5).contains(&length.uncertainty_mm), "{length:?}");
        assert_eq!(length.label("参考"), "12.0 ±1.3 mm 参考");
        assert_eq!(length.label(""), "12.0 ±1.3 mm");
    }

    #[test]
    fn an27_a_reference_of_no_length_measures_nothing() {
        let short = Reference { x2: 1040, ..catheter() };
        assert_eq!(length(at(0, 0), at(100, 0), &short), None);
        assert_eq!(length(at(0, 0), at(100, 0), &Reference { length_um: 0, ..catheter() }), None);
    }
}
