//! What stands for a mark whose picture is not here, or not yet: a sign, whose mark it is, and words, as on the pages
//! (`web-client/src/stage/without.ts`). Never the mark on black, where it would mean nothing.

use super::letters::Letters;
use super::paint;
use super::words::Words;
use crate::picture::{Picture, rgb_to_yuv};
use crate::program::layout::PixelRect;

/// `--amber` of the pages.
pub const AMBER: [u8; 3] = [0xFF, 0xC2, 0x4D];
/// Lines of names at most; more people are left out.
const NAME_LINES_MAX: usize = 2;
/// Height of a line, and space around and beside words, in sizes of letters.
const LINE: f64 = 1.35;
const PAD: f64 = 0.35;
const SIGN: f64 = 1.5;

/// The picture that a mark was drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureState {
    There,
    Coming,
    Missing,
}

/// Names of who drew, each once, in the room's language, else in letters that there are. Without those that cannot be written.
pub fn names_of(names: &[(String, String)], letters: &Letters, words: Words) -> String {
    let can = |name: &&str| !name.is_empty() && letters.has(name);
    let known: Vec<&str> = names.iter().filter_map(|(ja, en)| [words.name(ja, en), en.as_str()].into_iter().find(can)).collect();
    known.join(", ")
}

/// Lines of words, made for a width.
#[derive(Debug, Clone, PartialEq)]
pub struct Plate {
    lines: Vec<String>,
    state: PictureState,
    px: f64,
}

impl Plate {
    /// `room`: width and most height, px. The words come before the names, where there is no room for both.
    pub fn new(state: PictureState, names: &str, px: f64, room: (usize, usize), letters: &Letters, words: Words) -> Plate {
        let wide = room.0 as f64 / px - SIGN - PAD;
        let said = wrap(words.lost_picture(state == PictureState::Coming), wide, letters);
        let most = ((room.1 as f64 / px - 2.0 * PAD) / LINE).floor().max(1.0) as usize;
        let mut lines = wrap(names, wide, letters);
        lines.truncate(NAME_LINES_MAX.min(most.saturating_sub(said.len())));
        lines.extend(said);
        lines.truncate(most);
        Plate { lines, state, px }
    }

    /// Px, even.
    pub fn height(&self) -> usize {
        (((self.lines.len() as f64 * LINE + 2.0 * PAD) * self.px).ceil() as usize + 1) & !1
    }

    /// Into `rect`, whose ground is there.
    pub fn paint(&self, canvas: &mut Picture, rect: PixelRect, letters: &Letters) {
        let (px, top) = (self.px, rect.y as f64 + PAD * self.px);
        let centre = (rect.x + (SIGN / 2.0 * px) as usize, (top + LINE / 2.0 * px) as usize);
        let is_ink = if self.state == PictureState::Coming { is_hourglass } else { is_broken_picture };
        sign(canvas, centre, px * 0.5, is_ink);
        for (n, line) in self.lines.iter().enumerate() {
            let y = top + (n as f64 * LINE + (LINE - 1.0) / 2.0) * px;
            let at = (rect.x + (SIGN * px) as usize, y.round() as usize);
            if let Some(tile) = paint::words(line, at, px, rect, letters) {
                tile.lay_over(canvas);
            }
        }
    }
}

/// In lines of at most `wide` em: between words, before any sign that is not of the Latin alphabet, and anywhere in a word that is too long.
fn wrap(text: &str, wide: f64, letters: &Letters) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for c in text.chars() {
        match pieces.last_mut().filter(|last| c.is_ascii() && c != ' ' && !last.ends_with(' ') && last.is_ascii()) {
            Some(last) => last.push(c),
            None if c == ' ' => pieces.last_mut().map_or((), |last| last.push(c)),
            None => pieces.push(c.into()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let fits = |line: &str, more: &str| letters.advance(format!("{line}{more}").trim_end()) <= wide;
        match lines.last_mut().filter(|line| fits(line, &piece)) {
            Some(line) => line.push_str(&piece),
            None if fits("", &piece) => lines.push(piece),
            None => {
                lines.push(String::new());
                for c in piece.chars() {
                    match lines.last_mut().filter(|line| line.is_empty() || fits(line, c.encode_utf8(&mut [0; 4]))) {
                        Some(line) => line.push(c),
                        None => lines.push(c.into()),
                    }
                }
            }
        }
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

/// A small sign in amber; `is_ink`: of places from -1 to 1.
pub fn sign(canvas: &mut Picture, (cx, cy): (usize, usize), r: f64, is_ink: impl Fn(f64, f64) -> bool) {
    let (luma, u, v) = rgb_to_yuv(AMBER);
    let size = canvas.geometry();
    let Some([(ys, stride), (us, chroma), (vs, _)]) = canvas.planes_mut() else { return };
    let reach = r.ceil() as usize;
    for y in cy.saturating_sub(reach)..(cy + reach).min(size.height) {
        for x in cx.saturating_sub(reach)..(cx + reach).min(size.width) {
            if is_ink((x as f64 + 0.5 - cx as f64) / r, (y as f64 + 0.5 - cy as f64) / r) {
                ys[y * stride + x] = luma;
                (us[y / 2 * chroma + x / 2], vs[y / 2 * chroma + x / 2]) = (u, v);
            }
        }
    }
}

/// *Place lost*: a ring, four ticks, a point.
pub fn is_crosshair(dx: f64, dy: f64) -> bool {
    let (dx, dy) = (dx.abs(), dy.abs());
    let far = dx.hypot(dy);
    let tick = |along: f64, across: f64| across < 0.12 && (0.55..1.0).contains(&along);
    far < 0.28 || (0.66..0.86).contains(&far) || tick(dx, dy) || tick(dy, dx)
}

fn is_hourglass(dx: f64, dy: f64) -> bool {
    let (dx, dy) = (dx.abs(), dy.abs());
    dx < 0.75 && ((0.8..1.0).contains(&dy) || (dy < 0.8 && dx < dy * 0.75 + 0.08))
}

/// A frame, crossed out.
fn is_broken_picture(dx: f64, dy: f64) -> bool {
    let edge = (dx.abs() / 0.95).max(dy.abs() / 0.8);
    (0.78..1.0).contains(&edge) || (edge < 0.78 && (dx + dy).abs() < 0.22)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::words::Language;
    use std::path::Path;

    fn letters() -> Letters {
        Letters::new(Some(Path::new("/nowhere")))
    }

    #[test]
    fn words_stay_whole_where_they_can_and_every_line_within_its_width() {
        let letters = letters();
        assert_eq!(wrap("Its picture is not here", 7.0, &letters), ["Its picture is", "not here"]);
        assert_eq!(wrap("描いた画像がありません", 6.5, &letters).concat(), "描いた画像がありません");
        for text in ["Its picture is not here", "描いた画像がありません", "Yamada, 山田 A", "", " "] {
            for wide in [0.1, 1.2, 3.0, 40.0] {
                let lines = wrap(text, wide, &letters);
                let letters_of = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
                assert_eq!(letters_of(&lines.concat()), letters_of(text), "nothing is left out");
                let is_within = |line: &String| line.chars().count() <= 1 || letters.advance(line) <= wide + 1e-9;
                assert!(lines.iter().all(is_within), "{wide} em: {lines:?}");
            }
        }
    }

    #[test]
    fn names_are_in_the_rooms_language_or_in_letters_that_there_are_and_leave_before_the_words_do() {
        let letters = letters();
        let names =
            [("手術".to_owned(), "Shu".to_owned()), ("鷲".to_owned(), "Washi".to_owned()), (String::new(), String::new())];
        let ja = Words::new(Language::Ja);
        assert_eq!(names_of(&names, &letters, ja), "手術, Washi");
        assert_eq!(names_of(&names, &letters, Words::new(Language::En)), "Shu, Washi");
        let plate = |high| Plate::new(PictureState::Missing, "手術, Washi", 16.0, (300, high), &letters, ja);
        assert_eq!(plate(200).lines, ["手術, Washi", ja.lost_picture(false)]);
        assert_eq!(plate(16).lines, [ja.lost_picture(false)]);
        assert!(plate(200).height() <= 200 && plate(200).height() > plate(16).height());
    }
}
