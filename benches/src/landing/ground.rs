//! What is marked: tissue whose every point can be followed, or a recording some of whose points are known.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tracker::similarity::Vec2;

use crate::track::Scene;
use crate::track::clip::Clip;
use crate::track::tissue::Tissue;

use super::{own, parts};

#[derive(Debug)]
pub enum Ground {
    Made(Box<Tissue>),
    Recorded(Clip),
}

/// One place to be marked.
#[derive(Debug)]
pub struct Aim {
    /// Where it lies in each picture, parts of the width; none where it cannot be marked.
    pub path: Vec<Option<[f64; 2]>>,
    /// Of a recording: its point.
    pub(super) point: u32,
}

/// Clear of the codes (and of what a tracker sees of them) and of the edges.
fn clear([u, v]: [f64; 2]) -> bool {
    (0.08..0.92).contains(&u) && (0.15..0.44).contains(&v)
}

impl Ground {
    pub fn name(&self) -> String {
        match self {
            Ground::Made(scene) => scene.name(),
            Ground::Recorded(clip) => clip.name(),
        }
    }

    /// Frames in which the tissue goes from sight, on the way there and on the way back.
    pub fn away(&self) -> Option<std::ops::Range<usize>> {
        match self {
            Ground::Made(scene) => scene.away(),
            Ground::Recorded(_) => None,
        }
    }

    /// A place that can be marked in most pictures.
    pub fn aim(&self, dice: &mut ChaCha8Rng) -> Option<Aim> {
        (0..400).find_map(|_| match self {
            Ground::Made(scene) => {
                let at = Vec2::new(dice.random_range(60.0..420.0), dice.random_range(80.0..200.0));
                let material = scene.material(0, at)?;
                let place = |k| scene.place(k, material).map(parts).filter(|p| clear(*p));
                let path: Vec<_> = (0..scene.frames()).map(place).collect();
                let there = (0..scene.frames()).filter(|k| scene.place(*k, material).is_some()).count();
                (path.iter().flatten().count() * 10 >= there * 9).then_some(Aim { path, point: 0 })
            }
            Ground::Recorded(clip) => {
                let points = clip.ids();
                let point = *points.get(dice.random_range(0..points.len().max(1)))?;
                let path: Vec<_> = (0..clip.frames())
                    .map(|k| clip.where_is(point, k).filter(|_| clip.is_seen(point, k)).map(parts).filter(|p| clear(*p)))
                    .collect();
                (path.iter().flatten().count() * 2 >= path.len()).then_some(Aim { path, point })
            }
        })
    }

    /// Where what was marked at `centre` in picture `named` lies in picture `k`, pixels of the tracker's picture. The outer `None`: the truth of such a
    /// mark is not known; the inner: its tissue is not in the picture.
    pub fn truth(&self, aim: &Aim, named: usize, centre: [f64; 2], k: usize) -> Option<Option<Vec2>> {
        match self {
            Ground::Made(scene) => Some(scene.place(k, scene.material(named, own(centre))?)),
            Ground::Recorded(clip) => {
                // The hand misses the point by as much as the tissue moved meanwhile: so far, tissue moves as one.
                let (then, now) = (clip.where_is(aim.point, named)?, clip.where_is(aim.point, k)?);
                let miss = own(centre).minus(then);
                (miss.length() <= 4.0).then(|| Some(Vec2::new(now.x + miss.x, now.y + miss.y)))
            }
        }
    }
}
