//! I420 pictures, BT.709 limited range, as they lie between sources, compositor and encoder.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

/// Black and neutral in limited range.
pub const BLACK_LUMA: u8 = 16;
pub const NEUTRAL_CHROMA: u8 = 128;

/// Where the planes of a picture of this size lie in one buffer: the same strides and offsets that GStreamer gives I420,
/// so that a picture goes to an encoder without a copy. Width and height are even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub width: usize,
    pub height: usize,
}

impl Geometry {
    /// `None` unless both are even and within 16 to 4096.
    pub fn new(width: usize, height: usize) -> Option<Self> {
        let sane = |n: usize| n.is_multiple_of(2) && (16..=4096).contains(&n);
        (sane(width) && sane(height)).then_some(Geometry { width, height })
    }

    pub fn luma_stride(self) -> usize {
        self.width.next_multiple_of(4)
    }

    pub fn chroma_stride(self) -> usize {
        (self.width / 2).next_multiple_of(4)
    }

    /// Names this shape: what is drawn or measured on a picture holds for that shape alone. 1 to 2^20; the same after a restart.
    pub fn id(self) -> u32 {
        // FNV-1a, folded. Source: draft-eastlake-fnv.
        let bytes = [self.width as u32, self.height as u32].into_iter().flat_map(u32::to_le_bytes);
        let hash = bytes.fold(0x811C_9DC5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        ((hash >> 20) ^ (hash & 0xF_FFFF)) + 1
    }

    pub fn bytes(self) -> usize {
        self.luma_stride() * self.height + self.chroma_stride() * self.height
    }
}

enum Data {
    Own(Vec<u8>),
    Mapped(Box<gst_video::VideoFrame<gst_video::video_frame::Readable>>),
}

/// One picture: luma at full size, two chroma planes at half size.
pub struct Picture {
    geometry: Geometry,
    data: Data,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.geometry.width, self.geometry.height)
    }
}

/// One plane to read.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

impl Picture {
    pub fn black(geometry: Geometry) -> Self {
        let mut data = vec![NEUTRAL_CHROMA; geometry.bytes()];
        data[..geometry.luma_stride() * geometry.height].fill(BLACK_LUMA);
        Picture { geometry, data: Data::Own(data) }
    }

    /// A decoded frame, kept mapped. `None` when it is not I420 of an even size with whole planes.
    pub fn from_frame(frame: gst_video::VideoFrame<gst_video::video_frame::Readable>) -> Option<Self> {
        let geometry = Geometry::new(frame.width() as usize, frame.height() as usize)?;
        if frame.format() != gst_video::VideoFormat::I420 {
            return None;
        }
        let picture = Picture { geometry, data: Data::Mapped(Box::new(frame)) };
        let whole = (0..3).all(|n| {
            let plane = picture.plane(n);
            let (w, h) = if n == 0 { (geometry.width, geometry.height) } else { (geometry.width / 2, geometry.height / 2) };
            plane.stride >= w && plane.data.len() >= plane.stride * (h - 1) + w
        });
        whole.then_some(picture)
    }

    /// A copy of a decoded frame of an odd size, without its last row or column.
    pub fn copy_even(frame: &gst_video::VideoFrame<gst_video::video_frame::Readable>) -> Option<Self> {
        let geometry = Geometry::new(frame.width() as usize & !1, frame.height() as usize & !1)?;
        if frame.format() != gst_video::VideoFormat::I420 {
            return None;
        }
        let mut picture = Picture::black(geometry);
        for (n, (to, to_stride)) in picture.planes_mut()?.into_iter().enumerate() {
            let (w, h) = if n == 0 { (geometry.width, geometry.height) } else { (geometry.width / 2, geometry.height / 2) };
            let from = frame.plane_data(n as u32).ok()?;
            let stride = usize::try_from(*frame.plane_stride().get(n)?).ok()?;
            for y in 0..h {
                to[y * to_stride..y * to_stride + w].copy_from_slice(from.get(y * stride..y * stride + w)?);
            }
        }
        Some(picture)
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// 0 luma, 1 U, 2 V.
    pub fn plane(&self, n: usize) -> Plane<'_> {
        match &self.data {
            Data::Own(data) => {
                let g = self.geometry;
                let (luma, chroma) = (g.luma_stride() * g.height, g.chroma_stride() * g.height / 2);
                match n {
                    0 => Plane { data: &data[..luma], stride: g.luma_stride() },
                    1 => Plane { data: &data[luma..luma + chroma], stride: g.chroma_stride() },
                    _ => Plane { data: &data[luma + chroma..], stride: g.chroma_stride() },
                }
            }
            Data::Mapped(frame) => Plane {
                data: frame.plane_data(n as u32).unwrap_or_default(),
                stride: frame.plane_stride().get(n).map_or(0, |&s| s.max(0) as usize),
            },
        }
    }

    /// All three planes to write, luma first, each with its stride; `None` for a decoder's frame, which is shared.
    pub fn planes_mut(&mut self) -> Option<[(&mut [u8], usize); 3]> {
        let g = self.geometry;
        match &mut self.data {
            Data::Own(data) => {
                let (luma, rest) = data.split_at_mut(g.luma_stride() * g.height);
                let (u, v) = rest.split_at_mut(g.chroma_stride() * g.height / 2);
                Some([(luma, g.luma_stride()), (u, g.chroma_stride()), (v, g.chroma_stride())])
            }
            Data::Mapped(_) => None,
        }
    }

    /// The whole buffer in GStreamer's I420 order; `None` for a decoder's frame.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Own(data) => Some(data),
            Data::Mapped(_) => None,
        }
    }

    /// As a buffer for GStreamer, without copying pixels.
    pub fn to_buffer(self: &Arc<Self>) -> gst::Buffer {
        match &self.data {
            Data::Own(_) => gst::Buffer::from_slice(Lent(self.clone())),
            Data::Mapped(frame) => frame.buffer_owned(),
        }
    }

    /// How a decoder laid this picture out; `None` for our own, which lie as [`Geometry`] says.
    pub fn frame_info(&self) -> Option<&gst_video::VideoInfo> {
        match &self.data {
            Data::Own(_) => None,
            Data::Mapped(frame) => Some(frame.info()),
        }
    }

    /// Copies `from`'s pixels; both have the same size.
    pub fn copy_from(&mut self, from: &Picture) {
        let g = self.geometry;
        if from.geometry != g {
            return;
        }
        let Some(planes) = self.planes_mut() else { return };
        for (n, (to, to_stride)) in planes.into_iter().enumerate() {
            let (w, h) = if n == 0 { (g.width, g.height) } else { (g.width / 2, g.height / 2) };
            let plane = from.plane(n);
            for y in 0..h {
                to[y * to_stride..y * to_stride + w].copy_from_slice(&plane.data[y * plane.stride..y * plane.stride + w]);
            }
        }
    }
}

/// Lends a picture's bytes to GStreamer without a copy.
struct Lent(Arc<Picture>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes().unwrap_or_default()
    }
}

/// So many free pictures are none too many; when there were more in each of so many turns, one is let go.
const SPARE: usize = 2;
const SPARE_FOR: u32 = 256;

/// Pictures of one size that are written again once nobody reads them. Grows to what its readers hold at once, which
/// their own bounds limit, and shrinks when they hold less for long.
#[derive(Debug)]
pub struct PicturePool {
    geometry: Geometry,
    pictures: Vec<Arc<Picture>>,
    /// Turns in a row with more than [`SPARE`] free.
    spared: u32,
}

impl PicturePool {
    pub fn new(geometry: Geometry) -> Self {
        PicturePool { geometry, pictures: Vec::new(), spared: 0 }
    }

    /// Lets `draw` write one picture, whose old content is whatever it last was (black at first).
    pub fn draw(&mut self, draw: impl FnOnce(&mut Picture)) -> Arc<Picture> {
        let free = self.pictures.iter().filter(|p| Arc::strong_count(p) == 1).count();
        self.spared = if free > SPARE + 1 { self.spared + 1 } else { 0 };
        let free = self.pictures.iter_mut().position(|p| Arc::get_mut(p).is_some());
        if let Some(free) = free.filter(|_| self.spared == SPARE_FOR) {
            self.spared = 0;
            self.pictures.swap_remove(free);
        }
        let free = self.pictures.iter_mut().position(|p| Arc::get_mut(p).is_some());
        let index = free.unwrap_or_else(|| {
            self.pictures.push(Arc::new(Picture::black(self.geometry)));
            self.pictures.len() - 1
        });
        if let Some(picture) = Arc::get_mut(&mut self.pictures[index]) {
            draw(picture);
        }
        self.pictures[index].clone()
    }
}

/// BT.709, limited range, from 8-bit RGB: (Y, Cb, Cr).
pub fn rgb_to_yuv([r, g, b]: [u8; 3]) -> (u8, u8, u8) {
    // 16.16 fixed point; the sum of each row's weights is 219/255 (luma) or 0 (chroma).
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let y = 16 + ((11_966 * r + 40_254 * g + 4_064 * b + 32_768) >> 16);
    let cb = 128 + ((-6_596 * r - 22_189 * g + 28_784 * b + 32_768) >> 16);
    let cr = 128 + ((28_784 * r - 26_145 * g - 2_639 * b + 32_768) >> 16);
    (y as u8, cb as u8, cr as u8)
}

/// Fills `picture` from interleaved RGB rows of its own size, columns `from..to` only (widened to even).
pub fn rgb_to_picture(rgb: &[[u8; 3]], picture: &mut Picture, from: usize, to: usize) {
    let g = picture.geometry();
    let (from, to) = (from & !1, to.next_multiple_of(2).min(g.width));
    let Some([(luma, ls), (u, cs), (v, _)]) = picture.planes_mut() else { return };
    for y in (0..g.height).step_by(2) {
        for x in (from..to).step_by(2) {
            let mut sum = (0u32, 0u32);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (py, pu, pv) = rgb_to_yuv(rgb[(y + dy) * g.width + x + dx]);
                luma[(y + dy) * ls + x + dx] = py;
                sum = (sum.0 + u32::from(pu), sum.1 + u32::from(pv));
            }
            u[y / 2 * cs + x / 2] = ((sum.0 + 2) / 4) as u8;
            v[y / 2 * cs + x / 2] = ((sum.1 + 2) / 4) as u8;
        }
    }
}

/// Scales one interleaved 8-bit image of `channels` by a triangle as wide as the scale asks: an average when it gets smaller,
/// bilinear when larger. For pictures that are prepared once, not for the media loop.
pub fn resample(src: &[u8], (sw, sh): (usize, usize), channels: usize, (dw, dh): (usize, usize)) -> Vec<u8> {
    if (sw, sh) == (dw, dh) {
        return src.to_vec();
    }
    let columns = weights(sw, dw);
    let rows = weights(sh, dh);
    let mut wide = vec![0f32; dw * sh * channels];
    for y in 0..sh {
        for (x, (first, taps)) in columns.iter().enumerate() {
            for c in 0..channels {
                let sum: f32 =
                    taps.iter().enumerate().map(|(i, w)| w * f32::from(src[(y * sw + first + i) * channels + c])).sum();
                wide[(y * dw + x) * channels + c] = sum;
            }
        }
    }
    let mut out = vec![0u8; dw * dh * channels];
    let line = dw * channels;
    for (y, (first, taps)) in rows.iter().enumerate() {
        for x in 0..line {
            let sum: f32 = taps.iter().enumerate().map(|(i, w)| w * wide[(first + i) * line + x]).sum();
            out[y * line + x] = sum.round().clamp(0.0, 255.0) as u8;
        }
    }
    out
}

/// For each of `to` places: the first of `from` samples and the weights, which sum to one.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f32 / to as f32;
    let radius = scale.max(1.0);
    (0..to)
        .map(|i| {
            let centre = (i as f32 + 0.5) * scale - 0.5;
            let first = (centre - radius).ceil().max(0.0) as usize;
            let last = ((centre + radius).floor().max(0.0) as usize).min(from - 1);
            let mut taps: Vec<f32> = (first..=last).map(|s| (1.0 - (s as f32 - centre).abs() / radius).max(0.0)).collect();
            let sum: f32 = taps.iter().sum();
            if sum > 0.0 {
                taps.iter_mut().for_each(|w| *w /= sum);
            } else {
                taps = vec![1.0];
            }
            (first.min(from - taps.len()), taps)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_red_are_bt709_limited() {
        assert_eq!(rgb_to_yuv([0, 0, 0]), (16, 128, 128));
        assert_eq!(rgb_to_yuv([255, 255, 255]), (235, 128, 128));
        let (y, cb, cr) = rgb_to_yuv([255, 0, 0]);
        assert!(y.abs_diff(63) <= 1 && cb.abs_diff(102) <= 1 && cr.abs_diff(240) <= 1, "{y} {cb} {cr}");
    }

    #[test]
    fn a_flat_image_stays_flat_at_any_scale() {
        let src = vec![77u8; 50 * 30];
        for size in [(10, 10), (50, 30), (101, 33), (17, 90)] {
            let out = resample(&src, (50, 30), 1, size);
            assert_eq!(out.len(), size.0 * size.1);
            assert!(out.iter().all(|&p| p == 77), "{size:?}");
        }
    }

    #[test]
    fn halving_averages_pairs() {
        let out = resample(&[0, 0, 200, 200, 0, 0, 200, 200], (4, 2), 1, (2, 2));
        assert!(out[0] < 60 && out[1] > 140, "{out:?}");
    }

    #[test]
    fn the_pool_reuses_what_nobody_reads() {
        let geometry = Geometry::new(16, 16).expect("even");
        let mut pool = PicturePool::new(geometry);
        let first = pool.draw(|_| ());
        let second = pool.draw(|_| ());
        assert!(!Arc::ptr_eq(&first, &second));
        let address = Arc::as_ptr(&first);
        drop(first);
        assert_eq!(Arc::as_ptr(&pool.draw(|_| ())), address);
    }

    #[test]
    fn what_was_held_once_is_let_go_of_in_time() {
        let mut pool = PicturePool::new(Geometry::new(16, 16).expect("even"));
        let burst: Vec<_> = (0..20).map(|_| pool.draw(|_| ())).collect();
        assert_eq!(pool.pictures.len(), 20);
        drop(burst);
        for _ in 0..SPARE_FOR * 30 {
            drop(pool.draw(|_| ()));
        }
        assert_eq!(pool.pictures.len(), SPARE + 1);
    }

    #[test]
    fn odd_or_absurd_sizes_are_no_geometry() {
        assert!(Geometry::new(1281, 720).is_none());
        assert!(Geometry::new(0, 720).is_none());
        assert!(Geometry::new(100_000, 720).is_none());
    }
}
