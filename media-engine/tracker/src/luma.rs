//! Luma as it is kept and as it is compared: bytes at most [`WIDTH_MAX`] wide for the ring, and a pyramid of floats for one frame.

use std::time::Duration;

use annotation::time::CaptureTime;

/// Width of the tracker's picture, at most. At 1080p one of its pixels is four.
pub const WIDTH_MAX: usize = 480;
/// Levels of the pyramid, each half of the one before: 480, 240, 120, 60.
pub const LEVELS: usize = 4;
/// Smallest picture that can be tracked in: two patches wide on the coarsest level.
const SIDE_MIN: usize = 96;
/// From here on wet tissue mirrors the lamp (limited range: white is 235).
const GLARE_FROM: u8 = 212;
/// Steps of luma by which two captures of one held image may differ.
const SAME_WITHIN: u8 = 2;
/// Pixels around a glint that its edge still spoils.
const GLARE_REACH: usize = 2;

/// One frame's luma as the ring keeps it: 130 kB at 480x270.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Luma {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

impl Luma {
    /// Scales a plane down to [`WIDTH_MAX`] (never up) by averaging areas, which keeps fine texture from shimmering. `None` for a picture
    /// too small to be tracked in, or when `data` is not as large as said.
    pub fn shrink(data: &[u8], stride: usize, width: usize, height: usize) -> Option<Luma> {
        if width < SIDE_MIN || height == 0 || stride < width || data.len() < stride * (height - 1) + width {
            return None;
        }
        let to_w = width.min(WIDTH_MAX);
        let to_h = ((height * to_w + width / 2) / width).max(1);
        if !(SIDE_MIN..=4 * WIDTH_MAX).contains(&to_h) {
            return None;
        }
        if to_w == width {
            let rows = data.chunks(stride).take(height).flat_map(|row| &row[..width]).copied().collect();
            return Some(Luma { width, height, data: rows });
        }
        let columns = spans(width, to_w);
        let rows = spans(height, to_h);
        let mut sums = vec![0.0f32; width];
        let mut out = Vec::with_capacity(to_w * to_h);
        for span in &rows {
            sums.fill(0.0);
            for y in span.first..=span.last {
                let w = span.weight(y);
                let row = &data[y * stride..y * stride + width];
                for (s, &p) in sums.iter_mut().zip(row) {
                    *s += w * f32::from(p);
                }
            }
            for c in &columns {
                let mut v = c.head * sums[c.first] + if c.last > c.first { c.tail * sums[c.last] } else { 0.0 };
                for s in sums.get(c.first + 1..c.last).unwrap_or_default() {
                    v += c.inner * s;
                }
                out.push((v + 0.5) as u8);
            }
        }
        Some(Luma { width: to_w, height: to_h, data: out })
    }
}

impl Luma {
    /// The same picture, but for what a capture path rounds. Ends at the first row that differs.
    pub fn same_as(&self, other: &Luma) -> bool {
        (self.width, self.height) == (other.width, other.height)
            && self.data.len() == other.data.len()
            && self
                .data
                .chunks(self.width.max(1))
                .zip(other.data.chunks(other.width.max(1)))
                .all(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0) <= SAME_WITHIN)
    }
}

/// The source samples one target sample averages, with the weights of the first, the inner ones and the last.
struct Span {
    first: usize,
    last: usize,
    head: f32,
    inner: f32,
    tail: f32,
}

impl Span {
    fn weight(&self, i: usize) -> f32 {
        match i {
            _ if i == self.first => self.head,
            _ if i == self.last => self.tail,
            _ => self.inner,
        }
    }
}

fn spans(from: usize, to: usize) -> Vec<Span> {
    let step = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let (start, end) = (i as f64 * step, ((i + 1) as f64 * step).min(from as f64));
            let first = start as usize;
            let last = ((end.ceil() as usize).max(first + 1) - 1).min(from - 1);
            let inner = (1.0 / step) as f32;
            if first == last {
                return Span { first, last, head: 1.0, inner, tail: 0.0 };
            }
            let head = ((first + 1) as f64 - start) / step;
            let tail = (end - last as f64) / step;
            Span { first, last, head: head as f32, inner, tail: tail as f32 }
        })
        .collect()
}

/// One plane of floats.
#[derive(Debug, Clone)]
pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Plane {
    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width..(y + 1) * self.width]
    }

    /// Half as large; each pixel is the mean of four, so that pixel (x, y) lies at (2x + 0.5, 2y + 0.5) of this one.
    fn half(&self) -> Plane {
        let (w, h) = (self.width / 2, self.height / 2);
        let mut data = Vec::with_capacity(w * h);
        for y in 0..h {
            let (a, b) = (&self.row(2 * y)[..2 * w], &self.row(2 * y + 1)[..2 * w]);
            data.extend(a.chunks_exact(2).zip(b.chunks_exact(2)).map(|(a, b)| 0.25 * (a[0] + a[1] + b[0] + b[1])));
        }
        Plane { width: w, height: h, data }
    }

    /// Binomial 3x3; the border is kept.
    fn smoothed(&self) -> Plane {
        let (w, h) = (self.width, self.height);
        let mut across = self.data.clone();
        for y in 0..h {
            let (from, to) = (self.row(y), &mut across[y * w..(y + 1) * w]);
            for (t, v) in to[1..w - 1].iter_mut().zip(from.windows(3)) {
                *t = 0.25 * (v[0] + 2.0 * v[1] + v[2]);
            }
        }
        let mut data = across.clone();
        for y in 1..h - 1 {
            let (above, here, below) =
                (&across[(y - 1) * w..y * w], &across[y * w..(y + 1) * w], &across[(y + 1) * w..(y + 2) * w]);
            for (((t, a), c), b) in data[y * w..(y + 1) * w].iter_mut().zip(above).zip(here).zip(below) {
                *t = 0.25 * (a + 2.0 * c + b);
            }
        }
        Plane { width: w, height: h, data }
    }
}

/// What kind of picture is tracked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Light on tissue: texture everywhere, glints, instruments.
    Tissue,
    /// X-ray: vessels that come and go before bones that stay.
    Fluoroscopy,
}

/// One frame made ready to be compared: a pyramid, and where it mirrors the lamp.
#[derive(Debug, Clone)]
pub struct Frame {
    pub levels: [Plane; LEVELS],
    /// X-ray: all that there is to see, bones too, to ask whether it moved alike.
    pub whole: Option<Plane>,
    /// 1 where glare spoils the finest level, else 0.
    glare: Vec<u8>,
}

impl Frame {
    /// Light on tissue: smoothed, glints filled.
    pub fn of_tissue(luma: &Luma) -> Frame {
        let glare = glare(luma);
        let plane = Plane { width: luma.width, height: luma.height, data: luma.data.iter().map(|&p| f32::from(p)).collect() };
        Frame::over(without_glare(plane, &glare).smoothed(), None, glare)
    }

    /// X-ray: only what is darker than the background behind it has been.
    pub fn of_contrast(luma: &Luma, background: &Background) -> Frame {
        let whole = logarithm(luma);
        Frame::over(background.contrast(&whole), Some(whole), vec![0; luma.data.len()])
    }

    fn over(plane: Plane, whole: Option<Plane>, glare: Vec<u8>) -> Frame {
        let one = plane.half();
        let two = one.half();
        let three = two.half();
        Frame { levels: [plane, one, two, three], whole, glare }
    }

    pub fn width(&self) -> usize {
        self.levels[0].width
    }

    pub fn height(&self) -> usize {
        self.levels[0].height
    }

    /// Share of a square's pixels that glare spoils, 0 to 1; what lies outside the picture counts as spoilt.
    pub fn glare_share(&self, x: i32, y: i32, side: i32) -> f32 {
        let (w, h) = (self.width() as i32, self.height() as i32);
        let (x0, x1) = (x.clamp(0, w), (x + side).clamp(0, w));
        let (y0, y1) = (y.clamp(0, h), (y + side).clamp(0, h));
        let inside = ((x1 - x0) * (y1 - y0)).max(0);
        let spoilt: i32 = (y0..y1)
            .map(|y| self.glare[(y * w + x0) as usize..(y * w + x1) as usize].iter().map(|&g| i32::from(g)).sum::<i32>())
            .sum();
        (side * side - inside + spoilt) as f32 / (side * side).max(1) as f32
    }
}

/// Where glare is, grown by [`GLARE_REACH`].
fn glare(luma: &Luma) -> Vec<u8> {
    let (w, h) = (luma.width, luma.height);
    let mut mask = vec![0u8; w * h];
    for y in 0..h {
        let row = &luma.data[y * w..(y + 1) * w];
        if row.iter().all(|&p| p < GLARE_FROM) {
            continue;
        }
        for (x, _) in row.iter().enumerate().filter(|(_, p)| **p >= GLARE_FROM) {
            let (left, right) = (x.saturating_sub(GLARE_REACH), (x + GLARE_REACH + 1).min(w));
            for y in y.saturating_sub(GLARE_REACH)..(y + GLARE_REACH + 1).min(h) {
                mask[y * w + left..y * w + right].fill(1);
            }
        }
    }
    mask
}

/// Side of the squares whose mean fills a glint.
const FILL_CELL: usize = 8;

/// Glints filled with the mean of what surrounds them: they move with the lamp, not with the tissue.
fn without_glare(mut plane: Plane, glare: &[u8]) -> Plane {
    if glare.iter().all(|&g| g == 0) {
        return plane;
    }
    let (w, h) = (plane.width, plane.height);
    let (cw, ch) = (w.div_ceil(FILL_CELL), h.div_ceil(FILL_CELL));
    let (mut sum, mut n) = (vec![0.0f32; cw * ch], vec![0.0f32; cw * ch]);
    for y in 0..h {
        for x in 0..w {
            if glare[y * w + x] == 0 {
                let c = y / FILL_CELL * cw + x / FILL_CELL;
                sum[c] += plane.data[y * w + x];
                n[c] += 1.0;
            }
        }
    }
    let total: f32 = sum.iter().sum();
    let mean = total / n.iter().sum::<f32>().max(1.0);
    // Over a 3x3 of cells, so that a cell full of glare is filled by its neighbours.
    let filled: Vec<f32> = (0..cw * ch)
        .map(|i| {
            let (cx, cy) = (i % cw, i / cw);
            let (mut s, mut k) = (mean * 0.01, 0.01);
            for y in cy.saturating_sub(1)..(cy + 2).min(ch) {
                for x in cx.saturating_sub(1)..(cx + 2).min(cw) {
                    s += sum[y * cw + x];
                    k += n[y * cw + x];
                }
            }
            s / k
        })
        .collect();
    for y in 0..h {
        for x in 0..w {
            if glare[y * w + x] == 1 {
                plane.data[y * w + x] = filled[y / FILL_CELL * cw + x / FILL_CELL];
            }
        }
    }
    plane
}

/// Contrast below this is noise, breath, a shade: in hundredths of the logarithm.
const FAINT: f32 = 6.0;
/// Half of what the background remembers.
const REMEMBERED: Duration = Duration::from_millis(2_000);

/// What lies behind the vessels: of every pixel the brightest of the last 2 to 4 s. Vessels move off it with every beat; bones do not, so they
/// cannot be taken for vessels. When table or gantry move it is wrong for as long, and nothing passes for a vessel then.
#[derive(Debug, Default)]
pub struct Background {
    /// Brightest since `began`, and in the span before.
    now: Option<Plane>,
    before: Option<Plane>,
    began: CaptureTime,
}

impl Background {
    pub fn handle_frame(&mut self, at: CaptureTime, luma: &Luma) {
        let plane = logarithm(luma);
        let same = |p: &Plane| p.data.len() == plane.data.len();
        if !self.now.as_ref().is_some_and(same) {
            *self = Background { now: Some(plane), before: None, began: at };
            return;
        }
        if at.since(self.began) >= REMEMBERED {
            self.before = self.now.replace(plane);
            self.began = at;
        } else if let Some(now) = &mut self.now {
            now.data.iter_mut().zip(&plane.data).for_each(|(n, p)| *n = n.max(*p));
        }
    }

    /// How much darker each pixel is than the background: thickness of contrast, 0 where there is none.
    fn contrast(&self, whole: &Plane) -> Plane {
        let mut plane = whole.clone();
        let n = plane.data.len();
        let behind = |p: &Option<Plane>, i: usize| p.as_ref().filter(|p| p.data.len() == n).map_or(f32::MIN, |p| p.data[i]);
        for (i, v) in plane.data.iter_mut().enumerate() {
            *v = (behind(&self.now, i).max(behind(&self.before, i)) - *v - FAINT).max(0.0);
        }
        plane
    }
}

/// Hundreds of the logarithm of intensity, so that the thickness of contrast counts and not the brightness behind it; smoothed, for quanta are few.
fn logarithm(luma: &Luma) -> Plane {
    let log: Vec<f32> = (0..256).map(|p| ((p as f32 - 16.0).max(4.0) / 219.0).ln() * 100.0).collect();
    let data = luma.data.iter().map(|&p| log[usize::from(p)]).collect();
    Plane { width: luma.width, height: luma.height, data }.smoothed().smoothed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_means_and_refuses_what_is_too_small() {
        for (w, h) in [(1280, 720), (864, 486), (500, 500), (480, 270), (330, 200)] {
            let flat = vec![77u8; w * h];
            let l = Luma::shrink(&flat, w, w, h).expect("large enough");
            assert!(l.data.iter().all(|&p| p == 77), "{w}x{h}");
            assert_eq!((l.width, l.data.len()), (w.min(480), l.width * l.height));
            let ramp: Vec<u8> = (0..w * h).map(|i| (i % w * 200 / w) as u8).collect();
            let l = Luma::shrink(&ramp, w, w, h).expect("large enough");
            let mean = |d: &[u8]| d.iter().map(|&p| f64::from(p)).sum::<f64>() / d.len() as f64;
            assert!((mean(&l.data) - mean(&ramp)).abs() < 0.6);
        }
        assert!(Luma::shrink(&[0; 64], 8, 8, 8).is_none());
        assert!(Luma::shrink(&[0; 100], 480, 480, 270).is_none());
    }

    #[test]
    fn a_glint_is_filled_with_what_surrounds_it() {
        let mut luma = Luma { width: 480, height: 270, data: vec![100; 480 * 270] };
        for y in 100..112 {
            luma.data[y * 480 + 200..y * 480 + 215].fill(235);
        }
        let frame = Frame::of_tissue(&luma);
        assert!(frame.levels.iter().all(|p| p.data.iter().all(|v| (v - 100.0).abs() < 0.1)));
        assert!(frame.glare_share(202, 102, 8) > 0.99 && frame.glare_share(300, 100, 16) == 0.0);
        assert_eq!(frame.glare_share(-16, 0, 16), 1.0);
    }

    #[test]
    fn what_moved_stands_out_and_what_stayed_does_not() {
        let at = |ms: u64| CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms));
        let picture = |vessel: usize| {
            let mut luma = Luma { width: 480, height: 270, data: (0..480 * 270).map(|i| 90 + (i % 480 / 6) as u8).collect() };
            for y in 0..270 {
                luma.data[y * 480 + 60..y * 480 + 66].fill(50);
                luma.data[y * 480 + vessel..y * 480 + vessel + 5].fill(70);
            }
            luma
        };
        let mut background = Background::default();
        for k in 0..90u64 {
            background.handle_frame(at(k * 66), &picture(200 + (k as usize % 15) * 6));
        }
        let frame = Frame::of_contrast(&picture(230), &background);
        let row = frame.levels[0].row(135);
        assert!(row[232] > 25.0 && row[62] == 0.0 && row[100] == 0.0, "{} {} {}", row[232], row[62], row[100]);
    }
}
