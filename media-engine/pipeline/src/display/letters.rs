//! Letters of ink and of the display's own words, as curves. Figures and English are Inter's, the display's Japanese words and kinds of feeds a
//! subset of BIZ UDPGothic's; names and texts of people need a whole font of the machine's.

use std::path::{Path, PathBuf};

use ab_glyph::{Font, FontArc, FontVec, OutlineCurve};
use annotation::outline::Xy;
use annotation::render::Edge;

/// Inter SemiBold, reduced to ASCII, and BIZ UDPGothic Bold, reduced to [`super::words`] and common kinds of feeds (SIL Open Font License 1.1,
/// `assets/OFL.txt`, `assets/OFL-BIZ.txt`).
const INTER: &[u8] = include_bytes!("../../assets/inter-semibold-subset.otf");
const BIZ: &[u8] = include_bytes!("../../assets/biz-udpgothic-bold-subset.ttf");
/// Where Debian's fonts-noto-cjk lies.
const NOTO: &str = "/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc";

#[derive(Debug)]
pub struct Letters {
    fonts: Vec<FontArc>,
}

impl Letters {
    /// With the machine's own font, if there is one. `font`: as configured.
    pub fn new(font: Option<&Path>) -> Self {
        let built_in = [INTER, BIZ].into_iter().filter_map(|bytes| FontArc::try_from_slice(bytes).ok());
        let path = font.map_or_else(|| PathBuf::from(NOTO), Path::to_owned);
        let own = std::fs::read(&path).ok().and_then(|bytes| FontVec::try_from_vec(bytes).ok()).map(FontArc::new);
        if own.is_none() && font.is_some() {
            tracing::warn!(path = %path.display(), "the display's font cannot be read; names are left out");
        }
        Letters { fonts: built_in.chain(own).collect() }
    }

    /// Every character can be drawn.
    pub fn has(&self, text: &str) -> bool {
        text.chars().all(|c| c == ' ' || self.font_of(c).is_some())
    }

    fn font_of(&self, c: char) -> Option<&FontArc> {
        self.fonts.iter().find(|font| font.glyph_id(c).0 != 0)
    }

    /// Width, em. A character that no font has is a blank of half an em.
    pub fn advance(&self, text: &str) -> f64 {
        text.chars().map(|c| self.advance_of(c)).sum()
    }

    fn advance_of(&self, c: char) -> f64 {
        let Some(font) = self.font_of(c) else { return if c == ' ' { 0.28 } else { 0.5 } };
        let em = font.units_per_em().unwrap_or(1000.0);
        // Figures of equal width, so that an age does not dance.
        let c = if c.is_ascii_digit() { '0' } else { c };
        f64::from(font.h_advance_unscaled(font.glyph_id(c)) / em)
    }

    /// The edges of a text of `px`, its base line beginning at `at`.
    pub fn edges(&self, text: &str, px: f64, at: Xy) -> Vec<Edge> {
        let mut out = Vec::new();
        let mut x = at.x;
        for c in text.chars() {
            if let Some(font) = self.font_of(c) {
                let scale = px / f64::from(font.units_per_em().unwrap_or(1000.0));
                let id = font.glyph_id(c);
                let inset = (self.advance_of(c) * px - f64::from(font.h_advance_unscaled(id)) * scale) / 2.0;
                let place = |p: ab_glyph::Point| Xy { x: x + inset + f64::from(p.x) * scale, y: at.y - f64::from(p.y) * scale };
                let mut end = None;
                for curve in font.outline(id).map(|o| o.curves).unwrap_or_default() {
                    let (from, to) = match &curve {
                        OutlineCurve::Line(a, b) => (*a, *b),
                        OutlineCurve::Quad(a, _, b) => (*a, *b),
                        OutlineCurve::Cubic(a, _, _, b) => (*a, *b),
                    };
                    if end != Some(from) {
                        if end.is_some() {
                            out.push(Edge::Close);
                        }
                        out.push(Edge::Move(place(from)));
                    }
                    out.push(match curve {
                        OutlineCurve::Line(_, b) => Edge::Line(place(b)),
                        OutlineCurve::Quad(_, c, b) => Edge::Quad(place(c), place(b)),
                        OutlineCurve::Cubic(_, c, d, b) => Edge::Cubic(place(c), place(d), place(b)),
                    });
                    end = Some(to);
                }
                if end.is_some() {
                    out.push(Edge::Close);
                }
            }
            x += self.advance_of(c) * px;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::words::{Language, Words};

    #[test]
    fn every_word_of_the_display_can_be_drawn_without_a_font_of_the_machine() {
        let letters = Letters::new(Some(Path::new("/nowhere")));
        assert_eq!(letters.fonts.len(), 2);
        for language in [Language::Ja, Language::En] {
            let missing: Vec<_> = Words::new(language).all().into_iter().filter(|text| !letters.has(text)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
        assert!(
            letters.has("術野映像 透視 生体情報 手術室内映像 くり返し再生") && !letters.has("鷲"),
            "kinds of feeds, but not every name"
        );
    }

    #[test]
    fn letters_stand_on_their_base_line_and_figures_are_equally_wide() {
        let letters = Letters::new(Some(Path::new("/nowhere")));
        assert!((letters.advance("111") - letters.advance("888")).abs() < 1e-6);
        assert!(letters.edges(" ", 20.0, Xy { x: 0.0, y: 0.0 }).is_empty());
        let edges = letters.edges("H", 100.0, Xy { x: 10.0, y: 200.0 });
        let ys: Vec<f64> =
            edges.iter().filter_map(|e| if let Edge::Move(p) | Edge::Line(p) = e { Some(p.y) } else { None }).collect();
        let (top, bottom) = (ys.iter().copied().fold(f64::MAX, f64::min), ys.iter().copied().fold(f64::MIN, f64::max));
        assert!((bottom - 200.0).abs() < 2.0 && (120.0..135.0).contains(&top), "{top} {bottom}");
    }
}
