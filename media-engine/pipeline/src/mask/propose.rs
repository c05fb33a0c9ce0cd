//! Where a picture carries burnt-in text: proposed masks, for a person to confirm. Pure: grey values in, rectangles out.
//!
//! Text is what is left when everything thicker than a stroke is taken out: pieces of the size of letters, standing in lines. It
//! proposes too much rather than too little; nothing is masked by it. What it says is a draft: it reads no words, so it cannot
//! know a name from a dose, and what is to stay must be told to it.

use super::shape::Shape;

/// Least brightness by which a stroke stands out from what lies beside it, of 255.
const CONTRAST_MIN: u8 = 36;
/// Letters lower than this are not read by anybody either, px.
const LETTER_MIN: usize = 5;
/// A letter is at most this part of the picture's height.
const LETTER_PART: usize = 10;
/// Share of its own box that a letter's strokes fill, percent.
const FILL_PERCENT: std::ops::RangeInclusive<usize> = 10..=92;
/// Pieces that stand in one line at the least.
const PIECES_MIN: usize = 2;
/// How much wider than high letters that run into each other may be.
const WIDE_MAX: usize = 14;

/// A rectangle of the picture: x, y, width, height.
pub type Rect = [u32; 4];

/// A grey picture, row after row.
#[derive(Debug, Clone, Copy)]
pub struct Grey<'a> {
    pub width: usize,
    pub height: usize,
    pub data: &'a [u8],
}

/// The rectangles that hold text, none of them over or near what is in `keep`. Sorted from top to bottom.
pub fn propose(picture: Grey<'_>, keep: &[Rect]) -> Vec<Rect> {
    let (w, h) = (picture.width, picture.height);
    if w < 16 || h < 16 || picture.data.len() < w * h {
        return Vec::new();
    }
    let dark: Vec<u8> = picture.data[..w * h].iter().map(|p| 255 - p).collect();
    let mut lines = text_lines(&picture.data[..w * h], w, h);
    lines.extend(text_lines(&dark, w, h));
    let mut boxes = merged(lines.into_iter().map(|line| grown(line, w, h)).collect());
    for kept in keep {
        boxes = boxes.into_iter().flat_map(|b| without(b, *kept)).collect();
    }
    let mut rects: Vec<Rect> = boxes.into_iter().map(|b| b.rect()).collect();
    rects.sort_unstable_by_key(|r| (r[1], r[0]));
    rects
}

/// Left, top, right, bottom; the last two not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Box4 {
    l: usize,
    t: usize,
    r: usize,
    b: usize,
}

impl Box4 {
    fn height(&self) -> usize {
        self.b - self.t
    }

    fn width(&self) -> usize {
        self.r - self.l
    }

    fn with(self, other: Box4) -> Box4 {
        Box4 { l: self.l.min(other.l), t: self.t.min(other.t), r: self.r.max(other.r), b: self.b.max(other.b) }
    }

    fn rect(&self) -> Rect {
        [self.l, self.t, self.width(), self.height()].map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    }
}

fn text_lines(grey: &[u8], w: usize, h: usize) -> Vec<Box4> {
    // Twice as wide as the strokes of letters of the usual size: what is thicker is anatomy.
    let radius = (h.min(w) / 160).clamp(2, 6);
    let ground = dilated(&eroded(grey, w, h, radius), w, h, radius);
    let strokes: Vec<bool> = grey.iter().zip(&ground).map(|(p, g)| p.saturating_sub(*g) >= CONTRAST_MIN).collect();
    let tallest = (h / LETTER_PART).max(12);
    let letter = |(b, n): &(Box4, usize)| {
        let fill = 100 * n / (b.width() * b.height()).max(1);
        (LETTER_MIN..=tallest).contains(&b.height()) && b.width() <= WIDE_MAX * b.height() && FILL_PERCENT.contains(&fill)
    };
    let pieces: Vec<Box4> = components(&strokes, w, h).into_iter().filter(letter).map(|(b, _)| b).collect();
    in_lines(&pieces)
}

/// The least of each square of 2 `r` + 1, by rows and then by columns.
fn eroded(grey: &[u8], w: usize, h: usize, r: usize) -> Vec<u8> {
    by_squares(grey, w, h, r, u8::min)
}

fn dilated(grey: &[u8], w: usize, h: usize, r: usize) -> Vec<u8> {
    by_squares(grey, w, h, r, u8::max)
}

fn by_squares(grey: &[u8], w: usize, h: usize, r: usize, pick: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    let mut rows = vec![0; w * h];
    for (from, to) in grey.chunks_exact(w).zip(rows.chunks_exact_mut(w)) {
        for (x, p) in to.iter_mut().enumerate() {
            let around = &from[x.saturating_sub(r)..(x + r + 1).min(w)];
            *p = around.iter().copied().reduce(&pick).unwrap_or(0);
        }
    }
    let mut out = vec![0; w * h];
    for y in 0..h {
        let (first, end) = (y.saturating_sub(r), (y + r + 1).min(h));
        for x in 0..w {
            out[y * w + x] = (first..end).map(|row| rows[row * w + x]).reduce(&pick).unwrap_or(0);
        }
    }
    out
}

/// Pieces that hang together (over corners too): their boxes, and of how many pixels each is.
fn components(on: &[bool], w: usize, h: usize) -> Vec<(Box4, usize)> {
    let mut seen = vec![false; on.len()];
    let mut found = Vec::new();
    let mut todo = Vec::new();
    for start in 0..on.len() {
        if !on[start] || seen[start] {
            continue;
        }
        seen[start] = true;
        todo.push(start);
        let (x, y) = (start % w, start / w);
        let (mut bounds, mut n) = (Box4 { l: x, t: y, r: x + 1, b: y + 1 }, 0);
        while let Some(at) = todo.pop() {
            let (x, y) = (at % w, at / w);
            n += 1;
            bounds = bounds.with(Box4 { l: x, t: y, r: x + 1, b: y + 1 });
            for ny in y.saturating_sub(1)..(y + 2).min(h) {
                for nx in x.saturating_sub(1)..(x + 2).min(w) {
                    let next = ny * w + nx;
                    if on[next] && !seen[next] {
                        seen[next] = true;
                        todo.push(next);
                    }
                }
            }
        }
        found.push((bounds, n));
    }
    found
}

/// Pieces side by side and of one height make a line; a piece that is as wide as a word is one by itself.
fn in_lines(pieces: &[Box4]) -> Vec<Box4> {
    let mut group: Vec<usize> = (0..pieces.len()).collect();
    fn root(group: &mut [usize], mut n: usize) -> usize {
        while group[n] != n {
            group[n] = group[group[n]];
            n = group[n];
        }
        n
    }
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_unstable_by_key(|&n| pieces[n].l);
    let widest = pieces.iter().map(Box4::height).max().unwrap_or(0);
    for (i, &n) in order.iter().enumerate() {
        for &m in order[i + 1..].iter().take_while(|&&m| pieces[m].l <= pieces[n].r + 2 * widest) {
            if beside(&pieces[n], &pieces[m]) {
                let (a, b) = (root(&mut group, n), root(&mut group, m));
                group[a] = b;
            }
        }
    }
    let mut lines: std::collections::BTreeMap<usize, (Box4, usize)> = std::collections::BTreeMap::new();
    for (n, piece) in pieces.iter().enumerate() {
        let line = lines.entry(root(&mut group, n)).or_insert((*piece, 0));
        *line = (line.0.with(*piece), line.1 + 1);
    }
    let is_text = |(b, n): &(Box4, usize)| (*n >= PIECES_MIN && b.width() >= b.height()) || b.width() >= 3 * b.height();
    lines.into_values().filter(is_text).map(|(b, _)| b).collect()
}

fn beside(a: &Box4, b: &Box4) -> bool {
    let (low, high) = (a.height().min(b.height()), a.height().max(b.height()));
    let overlap = a.b.min(b.b).saturating_sub(a.t.max(b.t));
    let gap = b.l.max(a.l).saturating_sub(a.r.min(b.r));
    // A hyphen or a point is low and stands in the line all the same.
    2 * overlap >= low && gap <= high + high / 2 && (high <= 3 * low || low >= LETTER_MIN)
}

/// With a margin of half its height: diacritics, points, and what compression smeared.
fn grown(b: Box4, w: usize, h: usize) -> Box4 {
    let by = (b.height() / 2).max(3);
    Box4 { l: b.l.saturating_sub(by), t: b.t.saturating_sub(by), r: (b.r + by).min(w), b: (b.b + by).min(h) }
}

/// Boxes that touch become one where that covers little more, until none do.
fn merged(mut boxes: Vec<Box4>) -> Vec<Box4> {
    let area = |b: &Box4| b.width() * b.height();
    let touch = |a: &Box4, b: &Box4| a.l <= b.r && b.l <= a.r && a.t <= b.b && b.t <= a.b;
    let mut done = false;
    while !done {
        done = true;
        let mut next: Vec<Box4> = Vec::with_capacity(boxes.len());
        for b in boxes {
            match next.iter_mut().find(|o| touch(o, &b) && 4 * area(&o.with(b)) <= 5 * (area(o) + area(&b))) {
                Some(other) => {
                    *other = other.with(b);
                    done = false;
                }
                None => next.push(b),
            }
        }
        boxes = next;
    }
    boxes
}

/// What is left of a box beside what is kept: up to four.
fn without(b: Box4, kept: Rect) -> Vec<Box4> {
    let apart = super::APART_MIN.unsigned_abs() as usize;
    if !Shape::Rect(b.rect()).meets(kept, super::APART_MIN) {
        return vec![b];
    }
    let [x, y, w, h] = kept.map(|n| n as usize);
    let (l, t, r, e) = (x.saturating_sub(apart), y.saturating_sub(apart), x + w + apart, y + h + apart);
    let parts = [
        Box4 { b: b.b.min(t), ..b },
        Box4 { t: b.t.max(e), ..b },
        Box4 { t: b.t.max(t), b: b.b.min(e), r: b.r.min(l), ..b },
        Box4 { t: b.t.max(t), b: b.b.min(e), l: b.l.max(r), ..b },
    ];
    parts.into_iter().filter(|p| p.l < p.r && p.t < p.b).collect()
}

/// The part of a configuration that these proposals come to, to be read and changed by a person.
pub fn snippet(feed: &str, (w, h): (usize, usize), rects: &[Rect], keep: &[Rect]) -> String {
    let list = |rects: &[Rect]| {
        let each: Vec<String> = rects.iter().map(|[x, y, w, h]| format!("[{x}, {y}, {w}, {h}]")).collect();
        each.join(", ")
    };
    format!(
        "# A draft: look at the overlay, take out what is no identity, add what was missed.\n[[mask]]\nfeed = \"{feed}\"\nsize = [{w}, {h}]\nrects = [{}]\nkeep = [{}]\n",
        list(rects),
        list(keep)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::MaskConfig;

    const W: usize = 640;
    const H: usize = 480;

    /// Something like tissue: smooth, with edges and noise.
    fn scene() -> Vec<u8> {
        let mut seed = 7u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(seed >> 28)
        };
        let mut out = Vec::with_capacity(W * H);
        for y in 0..H {
            for x in 0..W {
                let (fx, fy) = (x as f64 / W as f64, y as f64 / H as f64);
                let inside = (fx - 0.5).hypot(fy - 0.5) < 0.45;
                let wave = 80.0 + 50.0 * (9.0 * fx).sin() * (7.0 * fy).cos();
                out.push(if inside { wave + noise() } else { noise() / 3.0 } as u8);
            }
        }
        out
    }

    /// Writes in a face of 5 x 7, `scale` times as large; a letter is a pattern of its own number.
    fn write(out: &mut [u8], text: &str, (left, top): (usize, usize), scale: usize, luma: u8) -> Rect {
        let face = |c: char| {
            let mixed = u64::from(u32::from(c)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            (0x4_6D29_51B3_9E77 ^ mixed) | 0x4_2108_4210
        };
        for (n, c) in text.chars().enumerate().filter(|(_, c)| *c != ' ') {
            for row in 0..7 * scale {
                for column in 0..5 * scale {
                    if (face(c) >> (row / scale * 5 + column / scale)) & 1 == 1 {
                        out[(top + row) * W + left + n * 6 * scale + column] = luma;
                    }
                }
            }
        }
        [left as u32, top as u32, (text.len() * 6 * scale) as u32, (7 * scale) as u32]
    }

    fn share(of: Rect, rects: &[Rect]) -> f64 {
        let [x, y, w, h] = of;
        let inside =
            |px: u32, py: u32| rects.iter().any(|[rx, ry, rw, rh]| px >= *rx && px < rx + rw && py >= *ry && py < ry + rh);
        let covered = (y..y + h).flat_map(|py| (x..x + w).map(move |px| (px, py))).filter(|(px, py)| inside(*px, *py)).count();
        covered as f64 / f64::from(w * h)
    }

    fn area(rects: &[Rect]) -> f64 {
        rects.iter().map(|[_, _, w, h]| f64::from(w * h)).sum::<f64>() / (W * H) as f64
    }

    #[test]
    fn text_is_found_in_its_corners_and_over_tissue_and_little_else_is() {
        let mut picture = scene();
        let texts = [
            write(&mut picture, "YAMADA TARO", (12, 10), 2, 250),
            write(&mut picture, "1950-03-14 M", (12, 34), 2, 250),
            write(&mut picture, "KATOH HOSP", (470, 450), 2, 235),
            write(&mut picture, "ID 0042", (280, 230), 3, 255),
        ];
        let found = propose(Grey { width: W, height: H, data: &picture }, &[]);
        for text in texts {
            assert!(share(text, &found) > 0.999, "{text:?} of {found:?}");
        }
        assert!(area(&found) < 0.2, "{found:?}");
        assert!(area(&propose(Grey { width: W, height: H, data: &scene() }, &[])) < 0.02);
    }

    #[test]
    fn dark_letters_on_a_bright_ground_are_text_too() {
        let mut picture = vec![210u8; W * H];
        let text = write(&mut picture, "SUZUKI", (100, 100), 2, 20);
        assert!(share(text, &propose(Grey { width: W, height: H, data: &picture }, &[])) > 0.999);
    }

    #[test]
    fn what_is_kept_stays_free_and_the_proposal_is_a_good_configuration() {
        let mut picture = scene();
        let name = write(&mut picture, "YAMADA TARO", (12, 10), 2, 250);
        let angle = write(&mut picture, "LAO 30 CRA 20", (200, 10), 2, 250);
        let keep = [angle];
        let found = propose(Grey { width: W, height: H, data: &picture }, &keep);
        assert!(share(name, &found) > 0.999 && share(angle, &found) == 0.0, "{found:?}");
        let text = snippet("fluoro", (W, H), &found, &keep);
        #[derive(serde::Deserialize)]
        struct File {
            mask: Vec<MaskConfig>,
        }
        let file: File = toml::from_str(&text).expect("good");
        file.mask[0].check().expect("good");
        assert_eq!(file.mask[0].rects, found);
    }

    #[test]
    fn absurd_pictures_have_no_text() {
        for (w, h, data) in [(0, 0, vec![]), (10, 10, vec![255; 100]), (100, 100, vec![1; 5]), (64, 64, vec![255; 4096])] {
            assert!(propose(Grey { width: w, height: h, data: &data }, &[]).is_empty());
        }
    }
}
