//! Ink on moving tissue through the whole product: a generated clip whose every point can be followed exactly, a scripted
//! mentor far away who marks it, and where the room's page draws the mark.

pub mod clip;

use serde::{Deserialize, Serialize};
use tracker::similarity::Vec2;

use crate::stats::Percentiles;
use crate::track::{PX_1080, Scene, WIDTH};

/// Confidently wrong: drawn further than this from where it belongs, px at 1080p.
const SILENT_PX: f64 = 15.0;
/// Of the ring's places so many must have ink where the page says it drew it.
const RING_SHARE: f64 = 0.6;

/// One picture on the room's glass after the mark was drawn.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    /// Which picture of the clip; none where its code could not be read.
    pub k: Option<usize>,
    /// Since the pen came down, ms.
    pub at: f64,
    /// Where the page drew the mark: x' = a·x − b·y + tx, in parts of the picture's width. None: not on the live picture.
    pub moved: Option<Moved>,
    /// Share of the mark's places that have ink on the canvas.
    pub inked: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Moved {
    pub a: f64,
    pub b: f64,
    pub tx: f64,
    pub ty: f64,
}

/// One mark as the browser's end tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Mark {
    /// Picture of the clip that the mark names as its frame; none: the page never saw that frame's code.
    pub named: Option<usize>,
    /// The picture that stood still under the pen.
    pub held: Option<usize>,
    /// The mapping was told by the page, not found by the server.
    pub told: bool,
    /// Centre of the mark, parts of the picture's width.
    pub centre: [f64; 2],
    pub seen: Vec<Seen>,
}

/// What came of the marks of one scene at one delay.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// px at 1080p, of every picture with the mark on it.
    errors: Vec<f64>,
    /// Had the mark stayed where it was drawn.
    naive: Vec<f64>,
    silent: usize,
    pictures: usize,
    unreadable: usize,
    /// Pictures that the page said it drew on, and whose canvas has no ink there.
    bare: usize,
    marks: usize,
    frozen: usize,
    exact: usize,
    /// Pen down to the first picture in the room with the mark, ms.
    first: Vec<f64>,
    never: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub scene: String,
    pub lag_ms: u32,
    pub marks: usize,
    pub pictures: usize,
    pub drawn_pct: f64,
    pub error_px: Option<Percentiles>,
    pub error_px_max: Option<f64>,
    pub silent: usize,
    pub naive_px: Option<Percentiles>,
    pub frozen: usize,
    pub frame_exact: usize,
    pub canvas_bare: usize,
    pub unreadable: usize,
    pub first_ms: Option<Percentiles>,
    pub never_drawn: usize,
}

impl Tally {
    pub fn add(&mut self, scene: &dyn Scene, mark: &Mark) {
        self.marks += 1;
        if let Some(held) = mark.held {
            self.frozen += 1;
            self.exact += usize::from(mark.named == Some(held));
        }
        let Some(named) = mark.named else { return };
        let Some(material) = scene.material(named, own(mark.centre)) else { return };
        let Some(first) = mark.seen.iter().position(|s| s.moved.is_some()) else {
            self.never += 1;
            return;
        };
        self.first.push(mark.seen[first].at);
        for seen in &mark.seen[first..] {
            let Some(k) = seen.k else {
                self.unreadable += 1;
                continue;
            };
            let Some(truth) = scene.place(k, material) else { continue };
            self.pictures += 1;
            self.naive.push(f64::from(own(mark.centre).minus(truth).length()) * PX_1080);
            let Some(m) = seen.moved else { continue };
            let [x, y] = mark.centre;
            let drawn = own([m.a * x - m.b * y + m.tx, m.b * x + m.a * y + m.ty]);
            let error = f64::from(drawn.minus(truth).length()) * PX_1080;
            self.silent += usize::from(error > SILENT_PX);
            self.bare += usize::from(seen.inked < RING_SHARE);
            self.errors.push(error);
        }
    }

    pub fn row(&self, scene: &str, lag_ms: u32) -> Row {
        Row {
            scene: scene.into(),
            lag_ms,
            marks: self.marks,
            pictures: self.pictures,
            drawn_pct: 100.0 * self.errors.len() as f64 / self.pictures.max(1) as f64,
            error_px: Percentiles::of(&self.errors),
            error_px_max: self.errors.iter().copied().reduce(f64::max),
            silent: self.silent,
            naive_px: Percentiles::of(&self.naive),
            frozen: self.frozen,
            frame_exact: self.exact,
            canvas_bare: self.bare,
            unreadable: self.unreadable,
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
    use crate::track::tissue::{Tissue, What};

    fn mark(scene: &Tissue, moved: impl Fn([f64; 2]) -> Option<Moved>) -> Mark {
        let at = Vec2::new(240.0, 130.0);
        let material = scene.material(10, at).expect("there");
        let seen = (20..60).map(|k| {
            let truth = parts(scene.place(k, material).expect("there"));
            Seen { k: Some(k), at: k as f64, moved: moved([truth[0] - parts(at)[0], truth[1] - parts(at)[1]]), inked: 1.0 }
        });
        Mark { named: Some(10), held: Some(10), told: false, centre: parts(at), seen: seen.collect() }
    }

    #[test]
    fn a_mark_that_goes_with_the_tissue_has_no_error_and_one_that_stays_has() {
        let scene = Tissue::new(What::Breathing, 3);
        let mut tally = Tally::default();
        tally.add(&scene, &mark(&scene, |[tx, ty]| Some(Moved { a: 1.0, b: 0.0, tx, ty })));
        let row = tally.row("breathing", 0);
        assert!(row.error_px_max.expect("drawn") < 0.05 && row.frame_exact == 1 && row.pictures == 40);
        let mut stays = Tally::default();
        stays.add(&scene, &mark(&scene, |_| Some(Moved { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 })));
        let row = stays.row("breathing", 0);
        assert_eq!(row.error_px.expect("drawn").p95, row.naive_px.expect("drawn").p95);
        assert!(row.error_px_max.expect("drawn") > 2.0);
        let mut never = Tally::default();
        never.add(&scene, &mark(&scene, |_| None));
        assert_eq!(never.row("breathing", 0).never_drawn, 1);
    }
}
