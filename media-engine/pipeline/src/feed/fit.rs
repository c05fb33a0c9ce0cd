//! From a source to the two pictures the engine needs of it: at the size of its place in the program, and, while somebody watches
//! the feed alone, at its own.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;

use super::arriving::{Arrived, Arriving};
use super::vitals_data::Said;
use super::{Prepared, Source, TimeCodeBurner, Word};
use crate::clock::LocalClock;
use crate::encode::level::Level;
use crate::mask::Masking;
use crate::picture::{Geometry, Picture, PicturePool};
use crate::program::compositor;
use crate::program::layout::{PixelRect, letterbox};
use crate::refusal::Refusal;
use crate::scale::Scaler;
use crate::timing::pace::Times;

/// Size of a feed that is drawn to measure, when it is watched alone.
const DRAWN_SINGLE: (usize, usize) = (1280, 400);

/// Bars thinner than this are only rounding, px.
const ROUNDED: usize = 8;

/// One picture of a feed.
#[derive(Debug, Clone)]
pub struct Shot {
    /// As the source delivers it; `None` of a drawing that nobody sees.
    pub picture: Option<Arc<Picture>>,
    /// At the size of its place in the program, while it has one.
    pub placed: Option<Arc<Picture>>,
    /// At its own size; only when asked for.
    pub single: Option<Arc<Picture>>,
    /// It has no picture because no mask is confirmed for this size of its source.
    pub unmasked: Option<(u32, u32)>,
}

impl Shot {
    fn unmasked(size: (u32, u32)) -> Self {
        Shot { picture: None, placed: None, single: None, unmasked: Some(size) }
    }
}

/// A source with its scalers, or a drawing with its two sizes.
pub struct Fitted {
    kind: Kind,
    single: Geometry,
    /// Width and height of the source as it was opened; `None`: drawn.
    native: Option<(usize, usize)>,
    masking: Option<Masking>,
    burner: Option<TimeCodeBurner>,
    scaler: Scaler,
    /// For pictures of another shape than the one that the feed was taken for.
    bars: PicturePool,
}

enum Kind {
    /// Comes by itself, at whatever size; opened by the thread that takes it.
    Arriving { prepared: Box<dyn Prepared>, open: Option<Box<dyn Arriving>> },
    /// Delivers at the single size; the place is scaled from that.
    Pictures(Box<dyn Source>),
    /// Drawn anew for each size.
    Drawn {
        prepared: Box<dyn Prepared>,
        placed: Option<(Geometry, Box<dyn Source>)>,
        single: Option<(Geometry, Box<dyn Source>)>,
    },
}

impl std::fmt::Debug for Fitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fitted({:?})", self.single)
    }
}

/// Size of a feed that is watched alone: its own where the level has room for it, else the largest of its shape. `native`: of the
/// source; `None`: drawn to measure.
pub fn single_size(native: Option<(usize, usize)>, level: Level) -> Option<Geometry> {
    let (w, h) = native.unwrap_or(DRAWN_SINGLE);
    let (w_max, h_max) = level.picture_max();
    if w <= w_max && h <= h_max {
        return Geometry::new((w & !1).max(16), (h & !1).max(16));
    }
    let all = PixelRect { x: 0, y: 0, w: w_max, h: h_max };
    let inner = letterbox(all, Some((w, h)));
    Geometry::new(inner.w, inner.h)
}

/// Where a picture of this shape lies in the picture of a feed that is watched alone: all of it, but for rounding, unless the source
/// changed its shape.
pub fn within(single: Geometry, native: (usize, usize)) -> PixelRect {
    let all = PixelRect { x: 0, y: 0, w: single.width, h: single.height };
    let inner = letterbox(all, Some(native));
    if all.w - inner.w <= ROUNDED && all.h - inner.h <= ROUNDED { all } else { inner }
}

impl Fitted {
    /// Makes the source deliver. `placed`: size of its place at first, if it has one. `time_code`: burn TC48.
    pub fn new(prepared: Box<dyn Prepared>, placed: Option<Geometry>, time_code: bool, level: Level) -> Result<Self, Refusal> {
        let native = prepared.info().native;
        let single = single_size(native, level)
            .ok_or_else(|| Refusal::new("config.layout", "A feed is too small to be shown; choose another source."))?;
        let kind = match native {
            _ if prepared.arrives() => Kind::Arriving { prepared, open: None },
            Some(_) => Kind::Pictures(prepared.fit(single)?),
            None => {
                let placed = placed.map(|size| Ok::<_, Refusal>((size, prepared.fit(size)?))).transpose()?;
                Kind::Drawn { prepared, placed, single: None }
            }
        };
        let burner = time_code.then(|| TimeCodeBurner::new(single));
        Ok(Fitted { kind, single, native, masking: None, burner, scaler: Scaler::default(), bars: PicturePool::new(single) })
    }

    /// Masks over every picture, before anybody has it; `None`: this feed has none.
    pub fn with_masks(self, masking: Option<Masking>) -> Self {
        Fitted { masking, ..self }
    }

    pub fn is_masked(&self) -> bool {
        self.masking.is_some()
    }

    /// Do its pictures come by themselves?
    pub fn arrives(&self) -> bool {
        matches!(self.kind, Kind::Arriving { .. })
    }

    /// The next picture of a source that arrives by itself, if one comes within `wait`. The error: a sentence, and how long to rest.
    pub fn take(&mut self, clock: LocalClock, wait: Duration) -> Result<Option<Arrived>, (String, Duration)> {
        match &mut self.kind {
            Kind::Arriving { prepared, open } => {
                if open.is_none() {
                    *open = prepared.arriving(clock);
                }
                open.as_mut().map_or(Ok(None), |source| source.next(wait))
            }
            _ => Ok(None),
        }
    }

    /// The pictures that are needed of one that arrived.
    pub fn shot_of(&mut self, arrived: &Arrived, placed: Option<Geometry>, single: bool) -> Result<Shot, String> {
        let unscaled = || "The picture cannot be scaled.".to_owned();
        let mut picture = arrived.picture.clone();
        if let Some(masking) = &mut self.masking {
            let (w, h) = (picture.geometry().width, picture.geometry().height);
            let size = (w as u32, h as u32);
            let Some(masked) = masking.apply(picture, size) else { return Ok(Shot::unmasked(size)) };
            picture = masked;
        }
        let placed = placed.map(|size| self.scaler.fit(&picture, size).ok_or_else(unscaled)).transpose()?;
        let single = single.then(|| self.alone(&picture, arrived.native).ok_or_else(unscaled)).transpose()?;
        Ok(Shot { picture: Some(picture), placed, single, unmasked: None })
    }

    /// At the feed's own size, with bars where its shape is another.
    fn alone(&mut self, picture: &Arc<Picture>, native: (usize, usize)) -> Option<Arc<Picture>> {
        let rect = within(self.single, native);
        let inner = Geometry::new(rect.w, rect.h)?;
        let scaled = self.scaler.fit(picture, inner)?;
        if inner == self.single {
            return Some(scaled);
        }
        Some(self.bars.draw(|canvas| {
            compositor::clear(canvas);
            compositor::blit(canvas, &scaled, rect);
        }))
    }

    /// Another source in the same place, whatever its size.
    pub fn with_source(self, source: Box<dyn Source>) -> Self {
        Fitted { kind: Kind::Pictures(source), ..self }
    }

    pub fn single_size(&self) -> Geometry {
        self.single
    }

    /// How long before its time a picture is begun, if not a period.
    pub fn lead(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Drawn { prepared, .. } => prepared.lead(),
            Kind::Pictures(_) | Kind::Arriving { .. } => None,
        }
    }

    /// When its pictures are due, if not one a period.
    pub fn times(&self) -> Option<Arc<Times>> {
        match &self.kind {
            Kind::Pictures(source) => source.times(),
            Kind::Drawn { .. } | Kind::Arriving { .. } => None,
        }
    }

    /// What the source knows of the picture it gave last.
    pub fn word(&self) -> Word {
        match &self.kind {
            Kind::Pictures(source) => source.word(),
            Kind::Drawn { .. } | Kind::Arriving { .. } => Word::default(),
        }
    }

    /// Vital signs as data: of whichever of its drawings there is.
    pub fn vitals(&mut self) -> Vec<Said> {
        match &mut self.kind {
            Kind::Pictures(source) => source.vitals(),
            Kind::Arriving { .. } => Vec::new(),
            Kind::Drawn { placed, single, .. } => {
                let drawn = placed.as_mut().or(single.as_mut());
                drawn.map(|(_, source)| source.vitals()).unwrap_or_default()
            }
        }
    }

    /// Picture `k`, for its scheduled `capture` (case timeline). `placed`: size of its place now, if it has one. The error is
    /// one sentence.
    pub fn shot(&mut self, k: u64, capture: Option<CaptureTime>, placed: Option<Geometry>, single: bool) -> Result<Shot, String> {
        let unscaled = || "The picture cannot be scaled.".to_owned();
        match &mut self.kind {
            Kind::Arriving { .. } => Err("The source has no schedule.".into()),
            Kind::Pictures(source) => {
                let mut picture = source.picture(k)?;
                if let Some(masking) = &mut self.masking {
                    let (w, h) = source.native().or(self.native).unwrap_or_default();
                    let size = (w as u32, h as u32);
                    let Some(masked) = masking.apply(picture, size) else { return Ok(Shot::unmasked(size)) };
                    picture = masked;
                }
                if let (Some(burner), Some(capture)) = (&mut self.burner, capture) {
                    picture = burner.burn(&picture, capture, k);
                }
                let placed = placed.map(|size| self.scaler.fit(&picture, size).ok_or_else(unscaled)).transpose()?;
                // Only a run that was kept may have another shape than its feed was taken for.
                let shape = (picture.geometry().width, picture.geometry().height);
                let single = single.then(|| self.alone(&picture, shape).ok_or_else(unscaled)).transpose()?;
                Ok(Shot { picture: Some(picture), placed, single, unmasked: None })
            }
            Kind::Drawn { prepared, placed: at, single: alone } => {
                let draw = |kept: &mut Option<(Geometry, Box<dyn Source>)>, size: Option<Geometry>| {
                    let Some(size) = size else {
                        *kept = None;
                        return Ok(None);
                    };
                    if kept.as_ref().is_none_or(|(had, _)| *had != size) {
                        *kept = Some((size, prepared.fit(size).map_err(|e| e.message)?));
                    }
                    kept.as_mut().map(|(_, source)| source.picture(k)).transpose()
                };
                let placed = draw(at, placed)?;
                let single = draw(alone, single.then_some(self.single))?;
                Ok(Shot { picture: placed.clone().or_else(|| single.clone()), placed, single, unmasked: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{SourceConfig, prepare};

    #[test]
    fn a_feed_alone_has_its_own_size_within_what_browsers_decode() {
        for (native, want) in [
            (Some((1280, 720)), (1280, 720)),
            (Some((512, 512)), (512, 512)),
            (Some((1920, 1080)), (1280, 720)),
            (Some((1024, 1024)), (720, 720)),
            (Some((341, 255)), (340, 254)),
            (None, (1280, 400)),
        ] {
            assert_eq!(single_size(native, Level::L31).map(|g| (g.width, g.height)), Some(want), "{native:?}");
        }
        let large = |w, h| single_size(Some((w, h)), Level::L42).map(|g| (g.width, g.height));
        assert_eq!(
            (large(1920, 1080), large(3840, 2160), large(4096, 2160)),
            (Some((1920, 1080)), Some((1920, 1080)), Some((1920, 1012)))
        );
    }

    #[test]
    fn the_own_size_is_made_only_while_it_is_asked_for_and_the_place_may_change() {
        gstreamer::init().expect("GStreamer is installed");
        let size = |w, h| Geometry::new(w, h).expect("even");
        for config in [SourceConfig::SyntheticFluoro { rest_s: 0 }, SourceConfig::SyntheticVitals] {
            let first = Some(size(416, 100));
            let mut fitted = Fitted::new(prepare(&config, None).expect("generated"), first, false, Level::L31).expect("fits");
            let shot = fitted.shot(1, None, first, false).expect("a picture");
            assert_eq!((shot.placed.map(|p| p.geometry()), shot.single.is_none()), (first, true));
            let shot = fitted.shot(2, None, Some(size(208, 98)), true).expect("a picture");
            assert_eq!(shot.placed.map(|p| p.geometry()), Some(size(208, 98)));
            assert_eq!(shot.single.map(|p| p.geometry()), Some(fitted.single_size()));
            assert!(fitted.shot(3, None, Some(size(208, 98)), false).expect("a picture").single.is_none());
            let shot = fitted.shot(4, None, None, false).expect("alive");
            assert!(shot.placed.is_none() && shot.single.is_none(), "nobody sees it");
        }
    }
}
