//! Scales pictures on the thread that asks, with GStreamer's converter: 1280x720 to 864x486 takes about a millisecond.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use crate::picture::{Geometry, Picture};

/// Converters by sizes (from, to). A feed has at most two sizes at a time; more are let go.
const CONVERTERS_MAX: usize = 4;

#[derive(Default)]
pub struct Scaler {
    converters: Vec<Converter>,
}

struct Converter {
    from: Geometry,
    to: Geometry,
    converter: gst_video::VideoConverter,
    /// Pictures that nobody holds any more are written again. Grows to what its readers hold at once, which their own bounds limit.
    pool: gst::BufferPool,
}

impl Converter {
    fn new(from: Geometry, to: Geometry) -> Option<Self> {
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        let (input, output) = (info(from)?, info(to)?);
        let converter = gst_video::VideoConverter::new(&input, &output, Some(config)).ok()?;
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(None, u32::try_from(output.size()).ok()?, 0, 0);
        pool.set_config(config).ok()?;
        pool.set_active(true).ok()?;
        Some(Converter { from, to, converter, pool })
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // What is still held is freed when it comes back.
        let _ = self.pool.set_active(false);
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scaler({} sizes)", self.converters.len())
    }
}

impl Scaler {
    /// `picture` at `size`: itself when it has that size already. `None` when GStreamer refuses.
    pub fn fit(&mut self, picture: &Arc<Picture>, size: Geometry) -> Option<Arc<Picture>> {
        let from = picture.geometry();
        if from == size {
            return Some(picture.clone());
        }
        let index = match self.converters.iter().position(|c| (c.from, c.to) == (from, size)) {
            Some(index) => index,
            None => {
                if self.converters.len() == CONVERTERS_MAX {
                    self.converters.remove(0);
                }
                self.converters.push(Converter::new(from, size)?);
                self.converters.len() - 1
            }
        };
        let Converter { converter, pool, .. } = self.converters.get(index)?;
        let (input, output) = (info(from)?, info(size)?);
        let source =
            gst_video::VideoFrame::from_buffer_readable(picture.to_buffer(), picture.frame_info().unwrap_or(&input)).ok()?;
        let buffer = pool.acquire_buffer(None).ok()?;
        let mut target = gst_video::VideoFrame::from_buffer_writable(buffer, &output).ok()?;
        converter.frame(&source, &mut target);
        let done = gst_video::VideoFrame::from_buffer_readable(target.into_buffer(), &output).ok()?;
        Picture::from_frame(done).map(Arc::new)
    }
}

/// I420 of this size, BT.709 pinned: GStreamer takes small pictures for bt601 and would convert colours.
fn info(size: Geometry) -> Option<gst_video::VideoInfo> {
    let colours = "bt709".parse::<gst_video::VideoColorimetry>().ok()?;
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.width as u32, size.height as u32)
        .colorimetry(&colours)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_colours_and_large_and_small_pictures_alike() {
        gst::init().expect("GStreamer is installed");
        let size = |w, h| Geometry::new(w, h).expect("even");
        let mut picture = Picture::black(size(1280, 720));
        let [(luma, _), (u, _), (v, _)] = picture.planes_mut().expect("own");
        luma.fill(90);
        u.fill(100);
        v.fill(170);
        let picture = Arc::new(picture);
        let mut scaler = Scaler::default();
        for to in [size(864, 486), size(86, 48), size(1280, 720)] {
            let scaled = scaler.fit(&picture, to).expect("scales");
            let again = scaler.fit(&scaled, size(320, 180)).expect("scales what was scaled");
            for p in [scaled, again] {
                let mid = |n: usize| p.plane(n).data[p.plane(n).stride * 10 + 20];
                assert_eq!((mid(0), mid(1), mid(2)), (90, 100, 170), "{to:?}");
            }
        }
    }
}
