//! What the keyframe says to a place: how many of its patches are there, how many are elsewhere, and whether every part of
//! the ink is vouched for by patches around it.

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
}

impl Verdict {
    /// Would the frame pass were it not for [`Verdict::distinct`], which costs more to know?
    pub fn worth_asking(&self) -> bool {
        self.agree >= 0.3
    }

    pub fn of(key: &Keyframe, motion: &Similarity, seen: &[Seen], (w, h): (usize, usize)) -> Verdict {
        let patches = &key.patches[0];
        let (mut total, mut agree, mut disagree, mut found) = (0.0f32, 0.0f32, 0.0f32, 0u32);
        let mut gains = Vec::with_capacity(patches.len());
        let mut pairs = Vec::with_capacity(patches.len());
        for (p, s) in patches.iter().zip(seen) {
            match s {
                Seen::Outside => continue,
                Seen::Hidden => {}
                Seen::Disputed => disagree += p.weight,
                Seen::At { at, likeness, gain } if *likeness >= LIKE => {
                    let off = at.minus(motion.apply(p.at));
                    if off.length() <= OFF_MAX {
                        agree += p.weight;
                        found += 1;
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
                        if off.length() <= OFF_MAX {
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
            vouched: if inside > 0.0 { vouched / inside } else { 0.0 },
            off: worst,
            gain: gains.get(gains.len() / 2).copied().unwrap_or(0.0),
            inside: inside / key.ink.len().max(1) as f32,
            distinct: 0.0,
            doubt: affine_doubt(&pairs, motion, &key.ink).unwrap_or(f32::INFINITY),
        }
    }

    /// May the ink be drawn here as certain? `strict`: it was lost before.
    pub fn passes(&self, kind: Kind, strict: bool) -> bool {
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
        self.found >= found
            && self.agree >= agree
            && self.disagree <= disagree
            && self.vouched >= vouched
            && self.off <= off
            && self.inside >= 0.5
            && gain.contains(&self.gain)
            && self.distinct >= DISTINCT_MIN
            && self.doubt <= doubt
    }

    /// Good enough to be drawn as unsure.
    pub fn shown(&self) -> bool {
        self.agree >= 0.3 && self.agree > 2.0 * self.disagree
    }

    pub fn better_than(&self, other: &Verdict) -> bool {
        self.agree - self.disagree > other.agree - other.disagree
    }
}
