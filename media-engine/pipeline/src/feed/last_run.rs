//! Look-back: the last run of a fluoroscopy, looping as a feed of its own beside the live one.
//!
//! The thread of the fluoroscopy keeps the pictures of the run as they come; when X-ray goes off they become the run that the other
//! feed plays, at the times at which they were captured. In memory only: a run that is too long loses its beginning, the one
//! before is let go when the next ends, and all of it ends with the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annotation::time::CaptureTime;

use super::{Prepared, Source, SourceInfo, Word};
use crate::health::Beam;
use crate::picture::{Geometry, Picture};
use crate::refusal::Refusal;
use crate::timing::pace::Period;

/// Kind of the feed that plays it.
pub const KIND: &str = "last-run";
/// Most that one run takes: 8 s of 512 x 512 at 30 a second, 20 s at 12. Two are kept while the next is taken. Policy: drop_oldest.
const RUN_BYTES_MAX: usize = 96 << 20;
const RUN_MAX: Duration = Duration::from_secs(20);
/// Fewer pictures are a single shot: the run before stays.
const PICTURES_MIN: usize = 3;
/// How long the last picture stands before the run begins again: so the seam is seen.
const SEAM: Duration = Duration::from_millis(500);

/// One run: pictures and when they were captured, ascending.
#[derive(Debug, Default)]
pub struct Run {
    pictures: VecDeque<(CaptureTime, Arc<Picture>)>,
}

impl Run {
    fn bytes(&self) -> usize {
        self.pictures.iter().map(|(_, p)| p.geometry().bytes()).sum()
    }

    /// The picture to show `elapsed` after the run began to loop.
    fn at(&self, elapsed: Duration) -> Option<&(CaptureTime, Arc<Picture>)> {
        let (first, last) = (self.pictures.front()?.0, self.pictures.back()?.0);
        let length = last.since(first) + SEAM;
        let t = first.saturating_add(Duration::from_nanos((elapsed.as_nanos() % length.as_nanos().max(1)) as u64));
        self.pictures.iter().rev().find(|(at, _)| *at <= t)
    }
}

type Shelf = Arc<Mutex<Option<Arc<Run>>>>;

/// Takes a run down as it happens.
#[derive(Debug)]
pub struct RunKeeper {
    shelf: Shelf,
    taking: Run,
}

impl RunKeeper {
    /// One picture with X-ray on, at the feed's own size. Captures rise, except when another life of the timeline began.
    pub fn handle_picture(&mut self, capture: CaptureTime, picture: &Arc<Picture>) {
        let run = &mut self.taking.pictures;
        if run.back().is_some_and(|(last, p)| *last >= capture || p.geometry() != picture.geometry()) {
            run.clear();
        }
        // A decoder's picture is lent and would be missed: a run keeps copies of its own.
        let kept = if picture.bytes().is_some() {
            picture.clone()
        } else {
            let mut copy = Picture::black(picture.geometry());
            copy.copy_from(picture);
            Arc::new(copy)
        };
        run.push_back((capture, kept));
        while self.taking.pictures.front().is_some_and(|(first, _)| capture.since(*first) > RUN_MAX)
            || self.taking.bytes() > RUN_BYTES_MAX
        {
            self.taking.pictures.pop_front();
        }
    }

    /// X-ray is off since the picture captured at `last`.
    pub fn handle_off(&mut self, last: Option<CaptureTime>) {
        if self.taking.pictures.is_empty() {
            return;
        }
        let mut run = std::mem::take(&mut self.taking);
        // Pictures that only repeated the last one are no part of the run.
        while let Some(last) = last
            && run.pictures.back().is_some_and(|(at, _)| *at > last)
        {
            run.pictures.pop_back();
        }
        if run.pictures.len() >= PICTURES_MIN {
            *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(run));
        }
    }
}

/// The two ends of one feed's look-back: who keeps, and the feed that plays. `of`: the fluoroscopy.
pub fn look_back(of: SourceInfo) -> (RunKeeper, PreparedRun) {
    let shelf = Shelf::default();
    (RunKeeper { shelf: shelf.clone(), taking: Run::default() }, PreparedRun { shelf, of })
}

#[derive(Debug)]
pub struct PreparedRun {
    shelf: Shelf,
    of: SourceInfo,
}

impl Prepared for PreparedRun {
    fn info(&self) -> SourceInfo {
        self.of
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        let none = Arc::new(Picture::black(size));
        Ok(Box::new(Player { shelf: self.shelf.clone(), period: self.of.period, playing: None, none, word: Word::default() }))
    }
}

struct Player {
    shelf: Shelf,
    period: Period,
    /// The run on the glass, and with which picture of the schedule it began.
    playing: Option<(Arc<Run>, u64)>,
    none: Arc<Picture>,
    word: Word,
}

impl Source for Player {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let newest = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(run) = newest
            && self.playing.as_ref().is_none_or(|(playing, _)| !Arc::ptr_eq(playing, &run))
        {
            self.playing = Some((run, k));
        }
        let shown =
            self.playing.as_ref().and_then(|(run, began)| run.at(self.period.at(k).saturating_sub(self.period.at(*began))));
        let Some((capture, picture)) = shown else {
            // Nothing was X-rayed yet.
            self.word = Word { beam: Some(Beam::Off), origin: None };
            return Ok(self.none.clone());
        };
        self.word = Word { beam: Some(Beam::On), origin: Some(*capture) };
        Ok(picture.clone())
    }

    fn word(&self) -> Word {
        self.word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> CaptureTime {
        CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_millis(ms))
    }

    fn size() -> Geometry {
        Geometry::new(512, 512).expect("even")
    }

    fn pair() -> (RunKeeper, Box<dyn Source>) {
        let (keeper, prepared) = look_back(SourceInfo { native: Some((512, 512)), period: Period::HZ_25 });
        (keeper, prepared.fit(size()).expect("fits"))
    }

    fn origins(player: &mut dyn Source, ks: std::ops::Range<u64>) -> Vec<Option<CaptureTime>> {
        let shown = |k| player.picture(k).map(|_| player.word().origin);
        ks.map(shown).collect::<Result<_, _>>().expect("it never fails")
    }

    #[test]
    fn the_last_run_loops_at_once_with_its_own_capture_times_and_stays_while_the_next_is_taken() {
        let (mut keeper, mut player) = pair();
        assert_eq!(origins(&mut *player, 0..2), [None, None], "nothing was X-rayed yet");
        assert_eq!(player.word().beam, Some(Beam::Off));
        let picture = Arc::new(Picture::black(size()));
        for k in 0..50 {
            keeper.handle_picture(at(k * 40), &picture);
        }
        assert_eq!(origins(&mut *player, 2..3), [None], "the run has not ended");
        keeper.handle_off(Some(at(45 * 40)));
        // 46 pictures are 1.8 s, the seam half a second: 57.5 periods.
        let shown = origins(&mut *player, 10..10 + 116);
        assert_eq!(shown[..46], (0..46).map(|k| Some(at(k * 40))).collect::<Vec<_>>());
        assert!(shown[46..57].iter().all(|o| *o == Some(at(45 * 40))), "the seam");
        assert_eq!(shown[115], Some(at(0)), "and again");
        for k in 0..50 {
            keeper.handle_picture(at(9_000 + k * 40), &picture);
        }
        assert!(origins(&mut *player, 126..127)[0] < Some(at(9_000)), "live runs beside it");
        keeper.handle_off(None);
        assert_eq!(origins(&mut *player, 127..128), [Some(at(9_000))]);
    }

    #[test]
    fn a_long_run_loses_its_beginning_and_memory_is_bounded() {
        let (mut keeper, mut player) = pair();
        let picture = Arc::new(Picture::black(size()));
        for k in 0..10_000 {
            keeper.handle_picture(at(k * 33), &picture);
            assert!(keeper.taking.bytes() <= RUN_BYTES_MAX);
        }
        keeper.handle_off(None);
        let kept = RUN_BYTES_MAX / size().bytes();
        assert_eq!(origins(&mut *player, 0..1), [Some(at((10_000 - kept as u64) * 33))]);
    }

    #[test]
    fn a_single_shot_leaves_the_run_before() {
        let (mut keeper, mut player) = pair();
        let picture = Arc::new(Picture::black(size()));
        (0..9).for_each(|k| keeper.handle_picture(at(k * 40), &picture));
        keeper.handle_off(None);
        keeper.handle_picture(at(5_000), &picture);
        keeper.handle_off(None);
        assert_eq!(origins(&mut *player, 0..1), [Some(at(0))]);
    }
}
