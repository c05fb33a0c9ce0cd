//! Words and figures on the monitor: a subset of Inter, figures of equal width.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

/// Inter SemiBold, reduced to ASCII (SIL Open Font License 1.1, `assets/OFL.txt`).
const INTER: &[u8] = include_bytes!("../../assets/inter-semibold-subset.otf");

/// Where a text is hung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Debug)]
pub struct Face {
    font: FontRef<'static>,
}

impl Face {
    /// `None` only if the embedded font were broken, which a test excludes.
    pub fn new() -> Option<Self> {
        FontRef::try_from_slice(INTER).ok().map(|font| Face { font })
    }

    /// Advance of each character at `size`; figures all have that of the widest.
    fn advances(&self, text: &str, size: f32) -> Vec<f32> {
        let scaled = self.font.as_scaled(PxScale::from(size));
        let figure = ('0'..='9').map(|c| scaled.h_advance(scaled.glyph_id(c))).fold(0.0, f32::max);
        text.chars().map(|c| if c.is_ascii_digit() { figure } else { scaled.h_advance(scaled.glyph_id(c)) }).collect()
    }

    pub fn width(&self, text: &str, size: f32) -> f32 {
        self.advances(text, size).iter().sum()
    }

    /// Calls `pixel(x, y, coverage)` for each pixel of the text; its baseline is at `y`.
    pub fn draw(&self, text: &str, (x, y): (f32, f32), size: f32, align: Align, mut pixel: impl FnMut(i32, i32, f32)) {
        let advances = self.advances(text, size);
        let scaled = self.font.as_scaled(PxScale::from(size));
        let mut pen = match align {
            Align::Left => x,
            Align::Right => x - advances.iter().sum::<f32>(),
        };
        for (c, advance) in text.chars().zip(advances) {
            let id = scaled.glyph_id(c);
            // A narrow figure stands in the middle of its place.
            let inset = (advance - scaled.h_advance(id)) / 2.0;
            let glyph: Glyph = id.with_scale_and_position(PxScale::from(size), point(pen + inset, y));
            if let Some(outline) = self.font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|gx, gy, c| pixel(bounds.min.x as i32 + gx as i32, bounds.min.y as i32 + gy as i32, c));
            }
            pen += advance;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_the_monitor_is_in_the_font() {
        let face = Face::new().expect("the embedded font is good");
        for c in "0123456789-/() ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz%.".chars() {
            assert_ne!(face.font.glyph_id(c).0, 0, "{c:?}");
        }
        assert_eq!(face.width("111", 20.0), face.width("888", 20.0));
    }
}
