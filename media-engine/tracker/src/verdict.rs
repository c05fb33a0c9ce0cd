//! What the keyframe says to a place: how many of its patches are there, how many are elsewhere, and whether every part of
//! the ink is vouched for by patches around it.

use crate::bend::Bend;
use crate::keyframe::Keyframe;
use crate::luma::Kind;
use crate::similarity::{Pair, Similarity, Vec2, affine_doubt};

/// One patch of the keyframe in a frame.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// Beyond the edge of the picture.
    Outside,
    /// Covered, mirrored away, or not found.
    Hidden,
    /// Found, but what was found contradicts itself.
    Disputed,
    /// Found with its centre at `at`, in the finest pixels.
    At { at: Vec2, likeness: f32, gain: f32 },
}

impl Seen {
    /// Found where it `should` be.
    pub fn agrees(&self, should: Vec2) -> bool {
        matches!(self, Seen::At { at, likeness, .. } if *likeness >= LIKE && at.minus(should).length() <= OFF_MAX)
    }
}

/// Likeness from which a patch is taken for the one of the keyframe.
const LIKE: f32 = 0.78;
/// Further off than this, a patch speaks against the place. Pixels; 6 at 1080p.
const OFF_MAX: f32 = 1.5;

/// An edge, a straight vessel, a flat wall look the same a little further along: ink there could slide unseen.
const DISTINCT_MIN: f32 = 0.12;
/// Pixels; 6 at 1080p.
const DOUBT_MAX: f32 = 1.5;
/// Vessels lie on a few lines, and what shears them goes on beyond the patches: places 15 to 27 px (1080p) off had 0.8 to 1.2, every patch agreeing.
const DOUBT_MAX_XRAY: f32 = 0.7;
/// A patch on a vessel may be found a pixel along it or towards the rim that its background leaves of it, and its neighbours with it: a turn or a scale that is
/// none, of a pixel where the patches are, and of as many as the ink reaches further than they do. Ink 17 px (1080p) off reached 2.5 times as far as its patches.
const REACH_MAX_XRAY: f32 = 2.0;
/// And what shears them goes on as far as the ink reaches beyond them. Pixels; ink 15 to 27 px off had 1.1 to 1.7.
const DOUBT_AT_REACH_MAX_XRAY: f32 = 0.9;
/// How far off is asked: 14 px at 1080p.
pub const ASIDE: f32 = 3.5;

/// All shares are of weight, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Verdict {
    /// Patches found where they should be.
    pub found: u32,
    pub agree: f32,
    /// Found, but elsewhere.
    pub disagree: f32,
    /// Of those that agree: found where tissue that bends has them, and not where the ink's own similarity would.
    pub bent: f32,
    /// Ink within the picture that has agreeing patches around it.
    pub vouched: f32,
    /// Largest error that patches around a part of the ink speak for, pixels.
    pub off: f32,
    /// Median contrast of agreeing patches, now against then.
    pub gain: f32,
    /// Share of the ink within the picture.
    pub inside: f32,
    /// How much less alike the agreeing patches are a little way off, in the direction that matters least to them.
    pub distinct: f32,
    /// How far off the ink may be for the tissue's shear, or for lack of patches around it, pixels.
    pub doubt: f32,
    /// Distance of the furthest point of the ink from the middle of the agreeing patches, of how far those lie from it themselves.
    pub reach: f32,
}

impl Verdict {
    /// Would the frame pass were it not for [`Verdict::distinct`], which costs more to know?
    pub fn worth_asking(&self) -> bool {
        self.agree >= 0.3
    }

    pub fn of(key: &Keyframe, (motion, field): (&Similarity, &Bend), seen: &[Seen], (w, h): (usize, usize)) -> Verdict {
        let patches = &key.patches[0];
        let (mut total, mut agree, mut disagree, mut bent, mut found) = (0.0f32, 0.0f32, 0.0f32, 0.0f32, 0u32);
        let mut gains = Vec::with_capacity(patches.len());
        let mut pairs = Vec::with_capacity(patches.len());
        for (p, s) in patches.iter().zip(seen) {
            match s {
                Seen::Outside => continue,
                Seen::Hidden => {}
                Seen::Disputed => disagree += p.weight,
                Seen::At { at, likeness, gain } if *likeness >= LIKE => {
                    let off = at.minus(field.apply(p.at));
                    if off.length() <= OFF_MAX {
                        agree += p.weight;
                        found += 1;
                        if at.minus(motion.apply(p.at)).length() > OFF_MAX {
                            bent += p.weight;
                        }
                        gains.push(*gain);
                        pairs.push(Pair { from: p.at, to: *at, weight: p.weight });
                    } else {
                        disagree += p.weight;
                    }
                }
                Seen::At { .. } => {}
            }
            total += p.weight;
        }
        let (mut inside, mut vouched, mut worst) = (0.0f32, 0.0f32, 0.0f32);
        for q in &key.ink {
            let at = motion.apply(*q);
            if at.x < 0.0 || at.y < 0.0 || at.x > w as f32 - 1.0 || at.y > h as f32 - 1.0 {
                continue;
            }
            inside += 1.0;
            let (mut near, mut good, mut like) = (0.0f32, 0.0f32, 0.0f32);
            let mut off_sum = Vec2::default();
            for (p, s) in patches.iter().zip(seen) {
                let d = p.at.minus(*q).length();
                let weight = 1.0 / (1.0 + (d / 14.0).powi(4));
                if weight < 0.02 {
                    continue;
                }
                match s {
                    Seen::Outside => continue,
                    Seen::Hidden | Seen::Disputed => {}
                    Seen::At { at, likeness, .. } if *likeness >= LIKE => {
                        let off = at.minus(motion.apply(p.at));
                        like += weight;
                        off_sum.x += weight * off.x;
                        off_sum.y += weight * off.y;
                        if at.minus(field.apply(p.at)).length() <= OFF_MAX {
                            good += weight;
                        }
                    }
                    Seen::At { .. } => {}
                }
                near += weight;
            }
            if near > 0.0 && good / near >= 0.35 && good >= 0.3 {
                vouched += 1.0;
            }
            if like > 0.0 {
                worst = worst.max(Vec2::new(off_sum.x / like, off_sum.y / like).length());
            }
        }
        gains.sort_by(f32::total_cmp);
        let total = total.max(1e-6);
        Verdict {
            found,
            agree: agree / total,
            disagree: disagree / total,
            bent: bent / total,
            vouched: if inside > 0.0 { vouched / inside } else { 0.0 },
            off: worst,
            gain: gains.get(gains.len() / 2).copied().unwrap_or(0.0),
            inside: inside / key.ink.len().max(1) as f32,
            distinct: 0.0,
            doubt: affine_doubt(&pairs, motion, &key.ink).unwrap_or(f32::INFINITY),
            reach: reach(&pairs, &key.ink),
        }
    }

    /// May the ink be drawn here as certain? `strict`: it was lost before.
    pub fn passes(&self, kind: Kind, strict: bool) -> bool {
        self.agrees(kind, strict) && self.distinct >= DISTINCT_MIN
    }

    /// The same, but for [`Verdict::distinct`].
    pub fn agrees(&self, kind: Kind, strict: bool) -> bool {
        let (found, agree, disagree, vouched, off) = match (kind, strict) {
            (Kind::Tissue, false) => (7, 0.5, 0.2, 0.75, 1.2),
            (Kind::Tissue, true) => (9, 0.6, 0.12, 0.85, 0.9),
            (Kind::Fluoroscopy, false) => (8, 0.6, 0.15, 0.9, 0.9),
            (Kind::Fluoroscopy, true) => (9, 0.75, 0.1, 0.95, 0.7),
        };
        let gain = match kind {
            Kind::Tissue => 0.3..3.0,
            // Contrast that washes out is gone before it is invisible; much more of it than there was is bones that moved.
            Kind::Fluoroscopy => 0.8..1.4,
        };
        let doubt = match kind {
            Kind::Tissue => DOUBT_MAX,
            Kind::Fluoroscopy => DOUBT_MAX_XRAY,
        };
        let reaches_too_far =
            kind == Kind::Fluoroscopy && (self.reach > REACH_MAX_XRAY || self.doubt * self.reach > DOUBT_AT_REACH_MAX_XRAY);
        self.found >= found
            && self.agree >= agree
            && self.disagree <= disagree
            && self.vouched >= vouched
            && self.off <= off
            && self.inside >= 0.5
            && gain.contains(&self.gain)
            && self.doubt <= doubt
            && !reaches_too_far
    }

    /// Good enough to be drawn as unsure.
    pub fn shown(&self) -> bool {
        self.agree >= 0.3 && self.agree > 2.0 * self.disagree
    }

    pub fn better_than(&self, other: &Verdict) -> bool {
        self.agree - self.disagree > other.agree - other.disagree
    }
}

/// See [`Verdict::reach`]; infinite without patches that lie apart.
fn reach(agreeing: &[Pair], ink: &[Vec2]) -> f32 {
    let total: f32 = agreeing.iter().map(|p| p.weight).sum();
    let mean = |of: &dyn Fn(&Pair) -> f32| agreeing.iter().map(|p| p.weight * of(p)).sum::<f32>() / total.max(1e-6);
    let middle = Vec2::new(mean(&|p| p.from.x), mean(&|p| p.from.y));
    let spread = mean(&|p| p.from.minus(middle).length().powi(2)).sqrt();
    let furthest = ink.iter().map(|q| q.minus(middle).length()).fold(0.0, f32::max);
    if spread > 0.5 { furthest / spread } else { f32::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_reaches_as_far_as_it_lies_beyond_its_patches() {
        let square = |side: f32| -> Vec<Pair> {
            let corners =
                [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)].map(|(x, y)| Vec2::new(100.0 + side * x, 60.0 + side * y));
            corners.iter().map(|p| Pair { from: *p, to: *p, weight: 0.5 }).collect()
        };
        let ink = [Vec2::new(100.0, 60.0), Vec2::new(100.0, 60.0 + 10.0 * std::f32::consts::SQRT_2)];
        assert!((reach(&square(10.0), &ink) - 1.0).abs() < 1e-4);
        assert!((reach(&square(5.0), &ink) - 2.0).abs() < 1e-4);
        assert_eq!(reach(&square(0.1), &ink), f32::INFINITY);
        assert_eq!(reach(&[], &ink), f32::INFINITY);
    }

    #[test]
    fn on_x_ray_what_reaches_too_far_is_not_certain_and_on_tissue_it_may_be() {
        let good = Verdict {
            found: 20,
            agree: 0.95,
            vouched: 1.0,
            gain: 1.0,
            inside: 1.0,
            distinct: 0.4,
            doubt: 0.4,
            reach: 1.2,
            ..Verdict::default()
        };
        assert!(good.passes(Kind::Fluoroscopy, true));
        assert!(
            !Verdict { reach: 2.5, ..good }.passes(Kind::Fluoroscopy, false),
            "patches on a short piece of a vessel, ink far along it"
        );
        assert!(
            !Verdict { doubt: 0.65, reach: 1.5, ..good }.passes(Kind::Fluoroscopy, false),
            "shear goes on beyond the patches"
        );
        assert!(Verdict { doubt: 0.65, ..good }.passes(Kind::Fluoroscopy, false));
        assert!(Verdict { reach: 2.5, ..good }.passes(Kind::Tissue, true));
    }
}
