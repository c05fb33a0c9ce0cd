//! Masks over what identifies a patient and is burnt into a picture: per feed *and size of its source*. Pure.
//!
//! A feed that has any mask is dark while its source delivers a size that no mask was confirmed for: text that moved is text that
//! shows. A mask never lies over what is to be read, such as gantry angle, dose, run time or values: [`MaskConfig::check`] refuses it.

use std::collections::VecDeque;
use std::sync::Arc;

use annotation::id::FeedId;
use serde::Deserialize;

use crate::picture::{Geometry, NEUTRAL_CHROMA, Picture, PicturePool};
use crate::refusal::Refusal;

pub mod command;
pub mod propose;
pub mod shape;

use self::shape::{Shape, spans};

/// What stands where something was masked: a dark grey that is not the black of a picture's border.
pub const MASK_LUMA: u8 = 40;
/// Shapes of one list, and corners of a polygon.
const SHAPES_MAX: usize = 64;
const CORNERS_MAX: usize = 64;
/// How near a mask may come to what is kept, px of the source: scaling blurs and widens it by so much at most.
const APART_MIN: i64 = 4;
const CODE: &str = "config.mask";

/// One mask, as the configuration has it. All numbers are pixels of the source's own picture, top left origin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskConfig {
    pub feed: FeedId,
    /// The feed is no configured one: somebody publishes it under this name.
    #[serde(default)]
    pub published: bool,
    /// Width and height of the source's picture that it was confirmed on.
    pub size: [u32; 2],
    /// x, y, width, height.
    #[serde(default)]
    pub rects: Vec<[u32; 4]>,
    /// Corners x, y in turn; closed by itself.
    #[serde(default)]
    pub polygons: Vec<Vec<[u32; 2]>>,
    /// What is never masked: gantry angle, dose, run time, values. x, y, width, height.
    #[serde(default)]
    pub keep: Vec<[u32; 4]>,
}

impl MaskConfig {
    fn shapes(&self) -> impl Iterator<Item = Shape<'_>> {
        self.rects.iter().map(|r| Shape::Rect(*r)).chain(self.polygons.iter().map(|p| Shape::Polygon(p)))
    }

    /// What holds of each mask. The error is one sentence.
    pub fn check(&self) -> Result<(), Refusal> {
        let (feed, [w, h]) = (&self.feed, self.size);
        let refuse = |what: String| Err(Refusal::new(CODE, what));
        if !(16..=4096).contains(&w) || !(16..=4096).contains(&h) {
            return refuse(format!("A mask of feed {feed} is for {w}x{h}; give the size of the source's picture, 16 to 4096."));
        }
        if self.rects.len() + self.polygons.len() > SHAPES_MAX || self.keep.len() > SHAPES_MAX {
            return refuse(format!("A mask of feed {feed} has too many parts; give up to {SHAPES_MAX}."));
        }
        let outside = |[x, y, rw, rh]: [u32; 4]| {
            rw == 0 || rh == 0 || u64::from(x) + u64::from(rw) > u64::from(w) || u64::from(y) + u64::from(rh) > u64::from(h)
        };
        if self.rects.iter().chain(&self.keep).any(|r| outside(*r)) {
            return refuse(format!("A rectangle of the mask of feed {feed} is empty or outside its {w}x{h}; correct it."));
        }
        let bad = |p: &Vec<[u32; 2]>| !(3..=CORNERS_MAX).contains(&p.len()) || p.iter().any(|[x, y]| *x > w || *y > h);
        if self.polygons.iter().any(bad) {
            return refuse(format!(
                "A polygon of the mask of feed {feed} has less than 3 corners, more than {CORNERS_MAX}, or one outside its {w}x{h}; correct it."
            ));
        }
        for (n, keep) in self.keep.iter().enumerate() {
            if self.shapes().any(|shape| shape.meets(*keep, APART_MIN)) {
                let [x, y, kw, kh] = keep;
                return refuse(format!(
                    "A mask of feed {feed} at {w}x{h} lies over, or within {APART_MIN} px of, what is never masked (keep number {}: {x}, {y}, {kw}, {kh}); make the mask smaller.",
                    n + 1
                ));
            }
        }
        Ok(())
    }

    /// What holds of all masks of a configuration. `own`: its feeds, and whether each is drawn by the engine itself.
    pub fn check_all(masks: &[MaskConfig], own: &[(&FeedId, bool)]) -> Result<(), Refusal> {
        for (n, mask) in masks.iter().enumerate() {
            mask.check()?;
            let feed = &mask.feed;
            let known = own.iter().find(|(id, _)| *id == feed);
            let wrong = match known {
                None if !mask.published => Some("is not configured; correct its name, or say published = true"),
                Some(_) if mask.published => Some("is a configured one; leave published out"),
                Some((_, true)) => Some("is drawn by the engine, without names; leave the mask out"),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(Refusal::new(CODE, format!("A mask is for the feed {feed}, which {wrong}.")));
            }
            if masks[..n].iter().any(|m| m.feed == *feed && m.size == mask.size) {
                let [w, h] = mask.size;
                return Err(Refusal::new(CODE, format!("The feed {feed} has two masks for {w}x{h}; make one of them.")));
            }
        }
        Ok(())
    }
}

/// How a feed stands with its masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskState {
    /// It has none.
    #[default]
    None,
    /// The mask of its size is on it.
    Certain,
    /// It has masks, and none for this size: nothing of it is shown.
    Unknown,
}

/// The masks of one feed, at work.
#[derive(Debug)]
pub struct Masking {
    masks: Vec<MaskConfig>,
    /// By size of the source and of the picture as delivered; a feed has one or two at a time. Policy: drop_oldest.
    ready: VecDeque<((u32, u32), Geometry, Arc<Mask>)>,
    pool: Option<(Geometry, PicturePool)>,
}

const READY_MAX: usize = 4;

impl Masking {
    /// `None`: the feed has no mask.
    pub fn of(feed: &FeedId, masks: &[MaskConfig]) -> Option<Self> {
        let masks: Vec<_> = masks.iter().filter(|m| m.feed == *feed).cloned().collect();
        (!masks.is_empty()).then_some(Masking { masks, ready: VecDeque::new(), pool: None })
    }

    /// `picture` with its mask on it. `native`: width and height as the source's own device has it now, before anybody scaled
    /// it. `None`: there is no mask for that; nothing of the picture may be shown.
    pub fn apply(&mut self, picture: Arc<Picture>, native: (u32, u32)) -> Option<Arc<Picture>> {
        let size = picture.geometry();
        let mask = self.mask(native, size)?;
        if mask.is_empty() {
            return Some(picture);
        }
        // A decoder's picture is shared, and so may a source's own be: a copy carries the mask.
        if self.pool.as_ref().is_none_or(|(of, _)| *of != size) {
            self.pool = Some((size, PicturePool::new(size)));
        }
        let (_, pool) = self.pool.as_mut()?;
        Some(pool.draw(|out| {
            out.copy_from(&picture);
            mask.apply(out);
        }))
    }

    fn mask(&mut self, native: (u32, u32), size: Geometry) -> Option<Arc<Mask>> {
        if let Some((_, _, mask)) = self.ready.iter().find(|(n, s, _)| (*n, *s) == (native, size)) {
            return Some(mask.clone());
        }
        let config = self.masks.iter().find(|m| (m.size[0], m.size[1]) == native)?;
        let mask = Arc::new(Mask::new(config, size));
        if self.ready.len() == READY_MAX {
            self.ready.pop_front();
        }
        self.ready.push_back((native, size, mask.clone()));
        Some(mask)
    }
}

/// A mask in pixels of a picture as it is delivered, in pairs of columns and rows: (row, first, end), all halved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    size: Geometry,
    runs: Vec<(usize, usize, usize)>,
}

impl Mask {
    /// At `size`; a pixel that has any part of a shape, or is next to one that has, is masked.
    pub fn new(config: &MaskConfig, size: Geometry) -> Self {
        let mut runs = Vec::new();
        for shape in config.shapes() {
            spans(shape, (config.size[0], config.size[1]), size, |row, from, to| runs.push((row, from, to)));
        }
        runs.sort_unstable();
        runs.dedup();
        Mask { size, runs }
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Paints over; `picture` has the size the mask was made for.
    pub fn apply(&self, picture: &mut Picture) {
        if picture.geometry() != self.size {
            return;
        }
        let Some([(luma, stride), (u, u_stride), (v, v_stride)]) = picture.planes_mut() else { return };
        for &(row, from, to) in &self.runs {
            for y in [2 * row, 2 * row + 1] {
                luma[y * stride + 2 * from..y * stride + 2 * to].fill(MASK_LUMA);
            }
            u[row * u_stride + from..row * u_stride + to].fill(NEUTRAL_CHROMA);
            v[row * v_stride + from..row * v_stride + to].fill(NEUTRAL_CHROMA);
        }
    }

    /// Is this pixel of the picture painted over?
    pub fn covers(&self, x: usize, y: usize) -> bool {
        self.runs.iter().any(|&(row, from, to)| row == y / 2 && (from..to).contains(&(x / 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> FeedId {
        FeedId::parse(text).expect("an id")
    }

    fn config() -> MaskConfig {
        MaskConfig {
            feed: id("fluoro"),
            published: false,
            size: [512, 512],
            rects: vec![[10, 20, 100, 31]],
            polygons: vec![vec![[300, 0], [512, 0], [512, 60]]],
            keep: vec![[400, 480, 112, 32]],
        }
    }

    fn white(w: usize, h: usize) -> Arc<Picture> {
        let mut p = Picture::black(Geometry::new(w, h).expect("even"));
        let [(luma, _), (u, _), (v, _)] = p.planes_mut().expect("own");
        luma.fill(235);
        u.fill(90);
        v.fill(170);
        Arc::new(p)
    }

    fn at(p: &Picture, x: usize, y: usize) -> (u8, u8, u8) {
        let get = |n: usize, x: usize, y: usize| p.plane(n).data[y * p.plane(n).stride + x];
        (get(0, x, y), get(1, x / 2, y / 2), get(2, x / 2, y / 2))
    }

    #[test]
    fn a_mask_covers_its_shapes_at_every_size_that_the_picture_is_delivered_in() {
        let config = config();
        for (w, h) in [(512, 512), (400, 400), (208, 208), (720, 720), (1024, 1024), (86, 86)] {
            let mut masking = Masking::of(&id("fluoro"), std::slice::from_ref(&config)).expect("has one");
            let masked = masking.apply(white(w, h), (512, 512)).expect("certain");
            let (sx, sy) = (w as f64 / 512.0, h as f64 / 512.0);
            for y in 0..h {
                for x in 0..w {
                    // The part of the source that this pixel shows.
                    let (x0, x1) = (x as f64 / sx, (x + 1) as f64 / sx);
                    let (y0, y1) = (y as f64 / sy, (y + 1) as f64 / sy);
                    let in_rect = x1 > 10.0 && x0 < 110.0 && y1 > 20.0 && y0 < 51.0;
                    // Below the line from (300, 0) to (512, 60).
                    let in_polygon = x1 > 300.0 && y0 < (x1.min(512.0) - 300.0) * 60.0 / 212.0;
                    let masked = at(&masked, x, y) == (MASK_LUMA, 128, 128);
                    assert!(masked || !(in_rect || in_polygon), "{w}x{h} at {x},{y} shows");
                    let far = 4.0 / sx.min(1.0) + 4.0;
                    let near = x1 > 10.0 - far && x0 < 110.0 + far && y1 > 20.0 - far && y0 < 51.0 + far
                        || x1 > 300.0 - far * 4.0 && y0 < (x1 - 300.0) * 60.0 / 212.0 + far * 2.0;
                    assert!(!masked || near, "{w}x{h} at {x},{y} is covered for nothing");
                }
            }
        }
    }

    #[test]
    fn a_size_without_a_mask_gives_nothing_and_one_with_an_empty_mask_gives_all() {
        let empty = MaskConfig { size: [640, 480], rects: vec![], polygons: vec![], keep: vec![], ..config() };
        let mut masking = Masking::of(&id("fluoro"), &[config(), empty]).expect("has two");
        assert!(masking.apply(white(400, 400), (513, 512)).is_none());
        assert!(masking.apply(white(400, 400), (400, 400)).is_none(), "the size it is delivered in is not the source's");
        let whole = white(640, 480);
        assert!(Arc::ptr_eq(&masking.apply(whole.clone(), (640, 480)).expect("nothing to mask"), &whole));
        assert!(Masking::of(&id("field"), &[config()]).is_none());
        // Pictures of a source that keeps its own are not painted on.
        let mine = white(512, 512);
        masking.apply(mine.clone(), (512, 512)).expect("certain");
        assert_eq!(at(&mine, 50, 30), (235, 90, 170));
    }

    #[test]
    fn a_mask_over_what_is_kept_is_refused_with_a_sentence() {
        config().check().expect("good");
        for rect in [[390, 470, 30, 30], [300, 484, 98, 10], [410, 490, 2, 2], [0, 0, 512, 512], [400, 470, 100, 8]] {
            let bad = MaskConfig { rects: vec![rect], ..config() };
            let refusal = bad.check().expect_err("lies over it");
            assert_eq!(refusal.code, "config.mask");
            assert!(refusal.message.contains("never masked") && !refusal.message.contains('\n'), "{}", refusal.message);
        }
        let bad = MaskConfig { polygons: vec![vec![[0, 512], [512, 512], [256, 400]]], rects: vec![], ..config() };
        assert!(bad.check().is_err());
        let beside =
            MaskConfig { polygons: vec![vec![[0, 512], [380, 512], [0, 300]]], rects: vec![[400, 440, 112, 35]], ..config() };
        beside.check().expect("near it, and not over it");
    }

    #[test]
    fn nonsense_is_refused() {
        let bad = [
            MaskConfig { size: [0, 512], ..config() },
            MaskConfig { rects: vec![[500, 0, 20, 20]], ..config() },
            MaskConfig { rects: vec![[0, 0, 0, 20]], ..config() },
            MaskConfig { rects: vec![[u32::MAX, 0, u32::MAX, 20]], ..config() },
            MaskConfig { polygons: vec![vec![[0, 0], [5, 5]]], ..config() },
            MaskConfig { polygons: vec![vec![[0, 0], [5, 5], [9999, 0]]], ..config() },
            MaskConfig { keep: vec![[0, 0, 600, 1]], ..config() },
            MaskConfig { rects: vec![[0, 0, 1, 1]; 65], ..config() },
        ];
        for mask in bad {
            assert!(mask.check().is_err(), "{mask:?}");
        }
        let own = [(&id("fluoro"), false), (&id("vitals"), true)];
        let all = |masks: &[MaskConfig]| MaskConfig::check_all(masks, &own).map_err(|e| e.message);
        assert_eq!(all(&[config()]), Ok(()));
        assert!(all(&[config(), config()]).expect_err("twice").contains("two masks"));
        assert!(all(&[MaskConfig { feed: id("flouro"), ..config() }]).expect_err("a slip").contains("correct its name"));
        assert_eq!(all(&[MaskConfig { feed: id("camera"), published: true, ..config() }]), Ok(()));
        assert!(all(&[MaskConfig { feed: id("vitals"), ..config() }]).expect_err("drawn").contains("drawn by the engine"));
    }
}
