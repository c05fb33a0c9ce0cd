//! Ink on moving tissue through the whole product: a clip whose truth is known, a scripted mentor far away who marks it, and
//! where the room's page draws the mark.

pub mod clip;
pub mod ground;

use serde::{Deserialize, Serialize};
use tracker::similarity::Vec2;

use self::ground::{Aim, Ground};
use crate::stats::Percentiles;
use crate::track::{PX_1080, WIDTH};

/// Confidently wrong: drawn without gaps further than this from where it belongs, px at 1080p.
pub const SILENT_PX: f64 = 15.0;
/// Ink whose tissue went from sight leaves the picture within this.
const GONE_MS: f64 = 150.0;
/// Of the ring's places so many must have ink where the page says it drew it, and hardly any where it says it did not.
const RING_SHARE: f64 = 0.6;
/// The time code holds whole ms, cut: a capture lies up to 1 ms after its own.
const EXACT_MS: f64 = 1.05;
/// Low 32 bits of Unix time in ms.
const TURN_MS: f64 = 4_294_967_296.0;

/// One picture on the room's glass after the mark was drawn.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Seen {
    /// Which picture of the clip; none where its code could not be read.
    pub k: Option<usize>,
    /// Since the pen came down, ms.
    pub at: f64,
    /// The browser showed a picture that it had not told the page of yet.
    pub behind: bool,
    /// The page had painted the picture itself, together with its ink.
    pub painted: bool,
    /// Where the page drew the mark: x' = a·x − b·y + tx, in parts of the picture's width. None: not on the live picture.
    pub moved: Option<Moved>,
    /// Share of the mark's places that have ink on the canvas; where it was last, if it is not on the picture.
    pub inked: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Moved {
    pub a: f64,
    pub b: f64,
    pub tx: f64,
    pub ty: f64,
    /// With gaps.
    pub unsure: bool,
}

/// The codes of one picture: its number, and when it was captured, Unix ms (low 32 bits).
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Codes {
    pub k: Option<usize>,
    pub ms: Option<f64>,
}

/// One mark as the browser's end tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Mark {
    /// Picture of the clip that the mark names as its frame; none: the page never saw that frame's code.
    pub named: Option<usize>,
    /// The capture time that the mark names, Unix ms (low 32 bits).
    pub named_ms: Option<f64>,
    /// The picture that stood still under the pen.
    pub held: Option<Codes>,
    /// The picture on the mentor's glass when the pen came down.
    pub shown: Option<Codes>,
    /// The mapping was told by the page, not found by the server.
    pub told: bool,
    /// Centre of the mark, parts of the picture's width.
    pub centre: [f64; 2],
    pub seen: Vec<Seen>,
}

/// What came of marks. Errors in px at 1080p.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Of every picture with the mark drawn without gaps, and with gaps.
    errors: Vec<f64>,
    unsure: Vec<f64>,
    /// Had the mark stayed where it was drawn.
    naive: Vec<f64>,
    silent: usize,
    /// Of these, pictures that the page had not been told of.
    silent_behind: usize,
    behind: usize,
    painted: usize,
    pictures: usize,
    unreadable: usize,
    /// Pictures whose canvas has no ink where the page said it drew, or has where it said it did not.
    bare: usize,
    left_over: usize,
    marks: usize,
    frozen: [usize; 2],
    live: [usize; 2],
    /// By how much the frames named were not those seen, ms; none of the exact ones.
    off_ms: Vec<f64>,
    /// Pen down to the first picture in the room with the mark, ms.
    first: Vec<f64>,
    never: usize,
    /// From the first picture without the tissue to the first without the mark, ms.
    gone: Vec<f64>,
    /// How long it was drawn with gaps at a time, ms.
    doubted: Vec<f64>,
    unknown: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub scene: String,
    pub lag_ms: u32,
    pub marks: usize,
    pub pictures: usize,
    pub drawn_pct: f64,
    pub unsure_pct: f64,
    pub error_px: Option<Percentiles>,
    pub error_px_max: Option<f64>,
    pub silent: usize,
    pub silent_behind: usize,
    pub behind: usize,
    pub painted_pct: f64,
    pub unsure_px: Option<Percentiles>,
    pub unsure_ms_max: Option<f64>,
    pub naive_px: Option<Percentiles>,
    pub frozen: usize,
    pub frozen_exact: usize,
    pub live: usize,
    pub live_exact: usize,
    pub frame_off_ms: Vec<f64>,
    pub gone_ms: Option<Percentiles>,
    pub gone_ms_max: Option<f64>,
    pub canvas_bare: usize,
    pub canvas_left_over: usize,
    pub unreadable: usize,
    pub truth_unknown: usize,
    pub first_ms: Option<Percentiles>,
    pub never_drawn: usize,
}

impl Tally {
    pub fn add(&mut self, ground: &Ground, aim: &Aim, mark: &Mark) {
        self.marks += 1;
        self.refer(mark);
        let Some(named) = mark.named.or(mark.held.and_then(|held| held.k)) else {
            self.unknown += 1;
            return;
        };
        let Some(first) = mark.seen.iter().position(|s| s.moved.is_some()) else {
            self.never += 1;
            return;
        };
        self.first.push(mark.seen[first].at);
        // When the tissue left, while the mark was on the picture.
        let mut left: Option<f64> = None;
        let mut absent: Option<f64> = None;
        let mut doubted: Option<f64> = None;
        let mut drawn = false;
        for seen in &mark.seen[first..] {
            let Some(k) = seen.k else {
                self.unreadable += 1;
                continue;
            };
            let Some(truth) = ground.truth(aim, named, mark.centre, k) else {
                self.unknown += 1;
                return;
            };
            match (doubted, seen.moved.is_some_and(|m| m.unsure)) {
                (None, true) => doubted = Some(seen.at),
                (Some(since), false) => {
                    self.doubted.push(seen.at - since);
                    doubted = None;
                }
                _ => {}
            }
            if seen.moved.is_none() {
                self.left_over += usize::from(seen.inked > 1.0 - RING_SHARE);
                if let Some(since) = left.take() {
                    self.gone.push(seen.at - since);
                }
            }
            let Some(truth) = truth else {
                if absent.is_none() {
                    absent = Some(seen.at);
                    left = seen.moved.is_some().then_some(seen.at);
                    if drawn && left.is_none() {
                        self.gone.push(0.0);
                    }
                }
                drawn = seen.moved.is_some();
                let long = absent.is_some_and(|since| seen.at - since > GONE_MS);
                self.silent += usize::from(long && seen.moved.is_some_and(|m| !m.unsure));
                continue;
            };
            (absent, left) = (None, None);
            drawn = seen.moved.is_some();
            self.pictures += 1;
            self.behind += usize::from(seen.behind);
            self.painted += usize::from(seen.painted);
            self.naive.push(f64::from(own(mark.centre).minus(truth).length()) * PX_1080);
            let Some(m) = seen.moved else { continue };
            let [x, y] = mark.centre;
            let drawn = own([m.a * x - m.b * y + m.tx, m.b * x + m.a * y + m.ty]);
            let error = f64::from(drawn.minus(truth).length()) * PX_1080;
            if m.unsure {
                self.unsure.push(error);
                continue;
            }
            self.silent += usize::from(error > SILENT_PX);
            self.silent_behind += usize::from(error > SILENT_PX && seen.behind);
            self.bare += usize::from(seen.inked < RING_SHARE);
            self.errors.push(error);
        }
    }

    /// Is the frame that the mark names the one that the mentor saw?
    fn refer(&mut self, mark: &Mark) {
        let frozen = mark.held.is_some();
        let saw = mark.held.or(mark.shown);
        let off = match (mark.named_ms, saw.and_then(|codes| codes.ms)) {
            (Some(named), Some(saw)) => (named - saw + 1.5 * TURN_MS).rem_euclid(TURN_MS) - 0.5 * TURN_MS,
            _ => f64::INFINITY,
        };
        // Two witnesses: the time burnt into the picture, and the picture's own number (which a frame that was held before it was painted has not).
        let same = saw.is_some_and(|codes| codes.k.is_some() && mark.named.is_none_or(|named| codes.k == Some(named)));
        let exact = (-0.05..=EXACT_MS).contains(&off) && same;
        let of = if frozen { &mut self.frozen } else { &mut self.live };
        of[0] += 1;
        of[1] += usize::from(exact);
        if !exact && off.is_finite() {
            self.off_ms.push((off * 10.0).round() / 10.0);
        }
    }

    pub fn merge(&mut self, mut o: Tally) {
        let lists = |t: &mut Tally| {
            [&mut t.errors, &mut t.unsure, &mut t.naive, &mut t.off_ms, &mut t.first, &mut t.gone, &mut t.doubted]
                .map(std::mem::take)
        };
        let [errors, unsure, naive, off_ms, first, gone, doubted] = lists(&mut o);
        self.errors.extend(errors);
        self.unsure.extend(unsure);
        self.naive.extend(naive);
        self.off_ms.extend(off_ms);
        self.first.extend(first);
        self.gone.extend(gone);
        self.doubted.extend(doubted);
        for i in [0, 1] {
            self.frozen[i] += o.frozen[i];
            self.live[i] += o.live[i];
        }
        self.silent += o.silent;
        self.silent_behind += o.silent_behind;
        self.behind += o.behind;
        self.painted += o.painted;
        self.pictures += o.pictures;
        self.unreadable += o.unreadable;
        self.bare += o.bare;
        self.left_over += o.left_over;
        self.marks += o.marks;
        self.never += o.never;
        self.unknown += o.unknown;
    }

    pub fn row(&self, scene: &str, lag_ms: u32) -> Row {
        let worst = |v: &[f64]| v.iter().copied().reduce(f64::max);
        let share = |n: usize| 100.0 * n as f64 / self.pictures.max(1) as f64;
        Row {
            scene: scene.into(),
            lag_ms,
            marks: self.marks,
            pictures: self.pictures,
            drawn_pct: share(self.errors.len()),
            unsure_pct: share(self.unsure.len()),
            error_px: Percentiles::of(&self.errors),
            error_px_max: worst(&self.errors),
            silent: self.silent,
            silent_behind: self.silent_behind,
            behind: self.behind,
            painted_pct: share(self.painted),
            unsure_px: Percentiles::of(&self.unsure),
            unsure_ms_max: worst(&self.doubted),
            naive_px: Percentiles::of(&self.naive),
            frozen: self.frozen[0],
            frozen_exact: self.frozen[1],
            live: self.live[0],
            live_exact: self.live[1],
            frame_off_ms: self.off_ms.clone(),
            gone_ms: Percentiles::of(&self.gone),
            gone_ms_max: worst(&self.gone),
            canvas_bare: self.bare,
            canvas_left_over: self.left_over,
            unreadable: self.unreadable,
            truth_unknown: self.unknown,
            first_ms: Percentiles::of(&self.first),
            never_drawn: self.never,
        }
    }
}

/// From parts of the width to pixels of the scene's own picture, whose centres lie at whole numbers.
fn own([u, v]: [f64; 2]) -> Vec2 {
    Vec2::new((u * WIDTH as f64 - 0.5) as f32, (v * WIDTH as f64 - 0.5) as f32)
}

/// And back.
pub fn parts(at: Vec2) -> [f64; 2] {
    [(f64::from(at.x) + 0.5) / WIDTH as f64, (f64::from(at.y) + 0.5) / WIDTH as f64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Scene;
    use crate::track::tissue::{Tissue, What};

    fn mark(scene: &Tissue, frames: std::ops::Range<usize>, moved: impl Fn(usize, Option<[f64; 2]>) -> Option<Moved>) -> Mark {
        let at = Vec2::new(240.0, 130.0);
        let material = scene.material(10, at).expect("there");
        let seen = frames.map(|k| {
            let off = scene.place(k, material).map(|p| [parts(p)[0] - parts(at)[0], parts(p)[1] - parts(at)[1]]);
            let moved = moved(k, off);
            Seen {
                k: Some(k),
                at: k as f64 * 33.0,
                behind: false,
                painted: false,
                moved,
                inked: if moved.is_some() { 1.0 } else { 0.0 },
            }
        });
        let held = Some(Codes { k: Some(10), ms: Some(5.0) });
        Mark { named: Some(10), named_ms: Some(5.4), held, shown: None, told: false, centre: parts(at), seen: seen.collect() }
    }

    fn by([tx, ty]: [f64; 2], unsure: bool) -> Moved {
        Moved { a: 1.0, b: 0.0, tx, ty, unsure }
    }

    fn row(scene: Tissue, mark: &Mark) -> Row {
        let (ground, aim) = (Ground::Made(Box::new(scene)), Aim { path: Vec::new(), point: 0 });
        let mut tally = Tally::default();
        tally.add(&ground, &aim, mark);
        tally.row("a scene", 0)
    }

    #[test]
    fn a_mark_that_goes_with_the_tissue_has_no_error_and_one_that_stays_has() {
        let scene = || Tissue::new(What::Breathing, 3);
        let with = row(scene(), &mark(&scene(), 20..60, |_, off| off.map(|off| by(off, false))));
        assert!(with.error_px_max.expect("drawn") < 0.05 && with.pictures == 40 && with.silent == 0);
        assert_eq!((with.frozen, with.frozen_exact), (1, 1));
        let stays = row(scene(), &mark(&scene(), 20..60, |_, _| Some(by([0.0; 2], false))));
        assert_eq!(stays.error_px.expect("drawn").p95, stays.naive_px.expect("drawn").p95);
        assert!(stays.error_px_max.expect("drawn") > 2.0);
        let far = row(scene(), &mark(&scene(), 20..60, |_, _| Some(by([0.1, 0.0], false))));
        assert_eq!(far.silent, 40);
        let doubtful = row(scene(), &mark(&scene(), 20..60, |_, _| Some(by([0.1, 0.0], true))));
        assert_eq!((doubtful.silent, doubtful.unsure_pct), (0, 100.0), "gaps say that it is not known");
        assert_eq!(row(scene(), &mark(&scene(), 20..60, |_, _| None)).never_drawn, 1);
    }

    #[test]
    fn a_mark_whose_tissue_went_from_sight_is_timed_until_it_is_gone() {
        let scene = || Tissue::new(What::SceneCut, 3);
        let away = scene().away().expect("cut away");
        let stays = |frames: usize| {
            let away = away.clone();
            mark(&scene(), 20..away.end, move |k, off| (k < away.start + frames).then(|| by(off.unwrap_or_default(), false)))
        };
        let soon = row(scene(), &stays(2));
        assert_eq!((soon.gone_ms_max.map(f64::round), soon.silent), (Some(66.0), 0));
        assert_eq!(row(scene(), &stays(0)).gone_ms_max, Some(0.0), "with the first picture of the other scene");
        let late = row(scene(), &stays(8));
        assert!(late.gone_ms_max.is_some_and(|ms| ms > 250.0) && late.silent == 3, "{late:?}");
    }

    #[test]
    fn a_frame_named_wrongly_is_counted_by_its_time_and_by_its_number() {
        let scene = || Tissue::new(What::Breathing, 3);
        let good = mark(&scene(), 20..22, |_, off| off.map(|off| by(off, false)));
        let late = row(scene(), &Mark { named_ms: Some(38.7), ..good.clone() });
        assert_eq!((late.frozen_exact, late.frame_off_ms), (0, vec![33.7]));
        let held = Some(Codes { k: Some(11), ms: Some(5.0) });
        assert_eq!(row(scene(), &Mark { held, ..good.clone() }).frozen_exact, 0);
        let live = row(
            scene(),
            &Mark { held: None, shown: Some(Codes { k: Some(10), ms: Some(4_294_967_295.0) }), named_ms: Some(0.2), ..good },
        );
        assert_eq!((live.live, live.live_exact), (1, 0), "1.2 ms later, over the turn");
    }
}
