//! One piece of ink and where it lies now.
//!
//! Every frame: the patches of the keyframe are looked for from coarse to fine, starting where the ink was; a similarity is fitted
//! to where they were found; then the keyframe is asked anew, patch by patch, whether it agrees. Only a frame that passes is
//! [`TrackState::Tracked`]; nothing is carried from frame to frame but the place to start looking, so nothing can drift.
//!
//! tracked --(a frame does not pass)--> unsure --(150 ms, a cut)--> lost --(two frames in a row pass, strictly; five on X-ray)--> tracked

use std::time::Duration;

use annotation::time::CaptureTime;
use annotation::wire::TrackState;

use crate::bend::Bend;
use crate::keyframe::{Anchorage, Keyframe, Support};
use crate::luma::{Frame, Kind};
use crate::patch::Found;
use crate::random::Random;
use crate::search::Search;
use crate::similarity::{Pair, Similarity, Vec2, fit_robust};
use crate::verdict::{ASIDE, Seen, Verdict};

/// How long ink may be drawn on a place that was not confirmed.
pub const UNSURE_MAX: Duration = Duration::from_millis(150);
/// Looking from where the ink would be by now is worth it when that is further than this from where it was, pixels.
const LEAP: f32 = 4.0;
/// Share of the keyframe under which nothing of it is seen.
const NOTHING: f32 = 0.1;
/// Frames in a row that must pass before lost ink is shown again.
const CONFIRM: u32 = 2;
/// On X-ray: a piece of another vessel may look like the one that is looked for in every patch, but not for a third of a second while both beat.
const CONFIRM_XRAY: u32 = 5;

/// So many patches are looked for first; the others only if a fourth of them is as like as this.
const SAMPLE: usize = 8;
const SAMPLE_LIKE: f32 = 0.6;
const SAMPLE_SHARE: usize = 4;

/// Likeness of a vessel with what lies behind it, at least.
const WHOLE_LIKE: f32 = 0.55;
/// Pixels.
const WHOLE_OFF_MAX: f32 = 1.2;

/// How much the picture differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Small,
    /// A new scene perhaps; or an instrument, smoke, a fast scope.
    Large,
    /// Another scene.
    Cut,
}

/// One anchor after one frame.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    pub state: TrackState,
    /// From the keyframe to this frame, in pixels of the tracker's picture; while lost, the last that was confirmed.
    pub motion: Similarity,
    pub verdict: Verdict,
}

#[derive(Debug)]
pub struct Anchor {
    key: Keyframe,
    kind: Kind,
    state: TrackState,
    /// Where to look first.
    motion: Similarity,
    /// The last that passed, and the frame it passed in.
    confirmed: Similarity,
    confirmed_at: CaptureTime,
    /// Change from the frame before the last to the last.
    velocity: Similarity,
    /// Frames in a row that passed since the ink was lost.
    passed: u32,
    /// Of the keyframe against itself.
    distinct: f32,
    search: Search,
    /// The last look for lost ink was everywhere.
    everywhere: bool,
    random: Random,
}

/// Looks from the coarse levels that are left to all anchors in one frame.
#[derive(Debug)]
pub struct Effort(u32);

impl Effort {
    /// Of one frame of a live feed: what four anchors that all lost hold of their tissue leave of 5 ms. `searching`: lost ink is looked for
    /// in this frame too, which costs as much as one such look.
    pub fn of_frame(searching: bool) -> Effort {
        Effort(if searching { 1 } else { 2 })
    }

    /// There is no hurry.
    pub fn ample() -> Effort {
        Effort(u32::MAX)
    }

    fn spend(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

impl Anchor {
    /// `at`: capture time of `frame`, on which the ink was drawn. `None`: no ink within the picture.
    pub fn new(frame: &Frame, at: CaptureTime, ink: &[Vec2], kind: Kind, seed: u64) -> Option<Anchor> {
        let key = Keyframe::new(frame, ink, &Support::of(kind))?;
        let search = Search::new(frame, &key);
        Some(Anchor {
            key,
            kind,
            state: TrackState::Tracked,
            motion: Similarity::IDENTITY,
            confirmed: Similarity::IDENTITY,
            confirmed_at: at,
            velocity: Similarity::IDENTITY,
            passed: 0,
            distinct: 0.0,
            search,
            everywhere: false,
            random: Random::new(seed),
        })
    }

    pub fn state(&self) -> TrackState {
        self.state
    }

    /// The keyframe compared with itself: can ink here be followed at all?
    pub fn handle_keyframe(&mut self, frame: &Frame) -> Placed {
        let (_, verdict) = self.judge(frame, Similarity::IDENTITY, false);
        self.distinct = verdict.distinct;
        self.state = if verdict.passes(self.kind, true) { TrackState::Tracked } else { TrackState::Lost };
        Placed { state: self.state, motion: Similarity::IDENTITY, verdict }
    }

    /// The next frame, captured at `now`. `change`: since the one before, of the whole picture. `effort`: what looking far may cost yet, for all anchors
    /// together. `may_search`: it is this one's turn to be looked for if it is lost.
    pub fn handle_frame(
        &mut self,
        frame: &Frame,
        now: CaptureTime,
        change: Change,
        effort: &mut Effort,
        may_search: bool,
    ) -> Placed {
        let strict = self.state == TrackState::Lost;
        if strict && self.passed == 0 && !may_search {
            return self.placed(Verdict::default());
        }
        let (motion, verdict) =
            if strict && self.passed == 0 { self.look_for(frame, effort) } else { self.follow(frame, strict, effort) };
        let passes = verdict.passes(self.kind, strict);
        if passes {
            if let Some(back) = self.motion.inverse() {
                self.velocity = if strict { Similarity::IDENTITY } else { back.then(&motion) };
            }
            self.motion = motion;
            self.passed += 1;
            let confirm = if self.kind == Kind::Fluoroscopy { CONFIRM_XRAY } else { CONFIRM };
            if !strict || self.passed >= confirm {
                self.state = TrackState::Tracked;
                self.confirmed = motion;
                self.confirmed_at = now;
            }
        } else {
            self.passed = 0;
            self.velocity = Similarity::IDENTITY;
            if self.state != TrackState::Lost {
                self.state = TrackState::Unsure;
                let gone = change == Change::Cut || change == Change::Large && verdict.agree < NOTHING;
                if gone || now.since(self.confirmed_at) >= UNSURE_MAX {
                    self.lose();
                } else if verdict.shown() {
                    self.motion = motion;
                }
            }
        }
        self.placed(verdict)
    }

    /// Most frames move little: the finest level finds them, and if it does not, the coarse ones look further.
    fn follow(&mut self, frame: &Frame, strict: bool, effort: &mut Effort) -> (Similarity, Verdict) {
        let near = self.motion.then(&self.velocity);
        let mut best = self.judge(frame, near, false);
        let leaps = !strict && self.ink_moves(&self.motion, &near) >= LEAP;
        for start in [Some(self.motion), leaps.then_some(near)].into_iter().flatten() {
            if best.1.passes(self.kind, strict) || !effort.spend() {
                break;
            }
            let other = self.judge(frame, start, true);
            if other.1.better_than(&best.1) {
                best = other;
            }
        }
        best
    }

    /// Lost ink: in one frame where it was last, in the next everywhere.
    fn look_for(&mut self, frame: &Frame, effort: &mut Effort) -> (Similarity, Verdict) {
        self.everywhere = !self.everywhere;
        if !self.everywhere {
            return self.judge(frame, self.confirmed, true);
        }
        let mut best = (self.confirmed, Verdict::default());
        for (n, guess) in self.search.candidates(frame, &self.confirmed).into_iter().enumerate() {
            // A second place costs as much as the first: it is looked at where the others leave time, and the first was not it.
            if n > 0 && (best.1.passes(self.kind, true) || !effort.spend()) {
                break;
            }
            let other = self.judge(frame, guess, true);
            if other.1.better_than(&best.1) {
                best = other;
            }
        }
        best
    }

    /// The picture is the very one that was drawn on.
    pub fn handle_unchanged(&mut self, now: CaptureTime) -> Placed {
        (self.state, self.confirmed_at, self.passed) = (TrackState::Tracked, now, 0);
        (self.motion, self.confirmed, self.velocity) = (Similarity::IDENTITY, Similarity::IDENTITY, Similarity::IDENTITY);
        self.placed(Verdict::default())
    }

    /// The picture is the one before: tracked stays tracked, lost stays lost, unsure is not made surer by it.
    pub fn handle_held(&mut self, now: CaptureTime) -> Placed {
        self.velocity = Similarity::IDENTITY;
        if self.state == TrackState::Tracked {
            self.confirmed_at = now;
        }
        self.handle_held_until(now)
    }

    /// Time passes without a frame.
    pub fn handle_held_until(&mut self, now: CaptureTime) -> Placed {
        if self.state == TrackState::Unsure && now.since(self.confirmed_at) >= UNSURE_MAX {
            return self.lose();
        }
        self.placed(Verdict::default())
    }

    /// Nothing can be said of where it is: the feed died, the clock jumped, the scene was cut.
    pub fn lose(&mut self) -> Placed {
        self.state = TrackState::Lost;
        self.passed = 0;
        self.velocity = Similarity::IDENTITY;
        self.motion = self.confirmed;
        self.placed(Verdict::default())
    }

    /// Other ink on the same keyframe, which is `frame`. False: none of it lies in the picture.
    pub fn redraw(&mut self, frame: &Frame, ink: &[Vec2]) -> bool {
        let Some(key) = Keyframe::new(frame, ink, &Support::of(self.kind)) else { return false };
        self.search = Search::new(frame, &key);
        self.key = key;
        let (state, random) = (self.state, self.random.clone());
        self.distinct = 0.0;
        let (_, verdict) = self.judge(frame, Similarity::IDENTITY, false);
        (self.distinct, self.random) = (verdict.distinct, random);
        self.state = if verdict.passes(self.kind, true) { state } else { TrackState::Lost };
        true
    }

    /// How far apart two motions put the ink, at most.
    fn ink_moves(&self, a: &Similarity, b: &Similarity) -> f32 {
        self.key.ink.iter().map(|p| a.apply(*p).minus(b.apply(*p)).length()).fold(0.0, f32::max)
    }

    fn placed(&self, verdict: Verdict) -> Placed {
        let motion = if self.state == TrackState::Lost { self.confirmed } else { self.motion };
        Placed { state: self.state, motion, verdict }
    }

    /// Where the keyframe lies in `frame`, looked for from `start`, and what the keyframe says to it. `coarse`: it may be far off.
    fn judge(&mut self, frame: &Frame, start: Similarity, coarse: bool) -> (Similarity, Verdict) {
        let mut motion = start;
        if coarse {
            for level in [2, 1] {
                let k = (1 << level) as f32;
                let found = self.find(frame, level, &motion);
                let pairs = self.pairs(level, &found, 0.5);
                if pairs.len() >= 3
                    && let Some(better) = fit_robust(&pairs, 1.5 * k, &motion, &mut self.random)
                {
                    motion = better;
                }
            }
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen = self.find(frame, 0, &motion);
            // Nothing of it is here.
            if !self.begins(&seen) {
                break;
            }
            let pairs = self.pairs(0, &seen, 0.6);
            let Some(better) = fit_robust(&pairs, 2.0, &motion, &mut self.random) else { break };
            let moved = self.ink_moves(&better, &motion);
            motion = better;
            if moved < 1.5 {
                break;
            }
        }
        let size = (frame.width(), frame.height());
        let mut verdict = Verdict::of(&self.key, (&motion, &Bend::none(motion)), &seen, size);
        // Tissue that is followed may bend: it was there a frame ago. A place that lost ink might be at again has to look as it did.
        if self.kind == Kind::Tissue
            && self.state == TrackState::Tracked
            && !verdict.agrees(self.kind, false)
            && verdict.worth_asking()
            && let Some((of_ink, bent)) = self.bend(&motion, &seen, size)
            && bent.better_than(&verdict)
        {
            (motion, verdict) = (of_ink, bent);
        }
        // Tissue is as distinct as its keyframe was; contrast changes.
        verdict.distinct = if self.kind == Kind::Fluoroscopy || self.state == TrackState::Lost || self.distinct == 0.0 {
            if verdict.worth_asking() { self.distinct(frame, &motion, &seen) } else { 0.0 }
        } else {
            self.distinct
        };
        (motion, verdict)
    }

    /// The same patches, asked whether they lie on one gentle field, and where that puts the ink.
    fn bend(&self, motion: &Similarity, seen: &[Seen], size: (usize, usize)) -> Option<(Similarity, Verdict)> {
        let field = Bend::fit(&self.pairs(0, seen, 0.6), motion)?;
        let of_ink = field.of_ink(&self.key.ink)?;
        Some((of_ink, Verdict::of(&self.key, (&of_ink, &field), seen, size)))
    }

    /// Mean likeness of the agreeing patches here, less the best mean of eight places [`ASIDE`].
    fn distinct(&self, frame: &Frame, motion: &Similarity, seen: &[Seen]) -> f32 {
        let agreeing: Vec<&Anchorage> =
            self.key.patches[0].iter().zip(seen).filter(|(p, s)| s.agrees(motion.apply(p.at))).map(|(p, _)| p).collect();
        let mean = |dx: f32, dy: f32| {
            let (mut sum, mut weight) = (0.0f32, 0.0f32);
            for p in &agreeing {
                let at = motion.apply(p.at);
                if let Some((likeness, _)) = p.template.likeness(&frame.levels[0], motion, Vec2::new(at.x + dx, at.y + dy)) {
                    sum += p.weight * likeness;
                    weight += p.weight;
                }
            }
            if weight > 0.0 { sum / weight } else { 0.0 }
        };
        let here = mean(0.0, 0.0);
        let aside = (0..8).map(|i| (i as f32 * std::f32::consts::FRAC_PI_4).sin_cos()).map(|(s, c)| mean(ASIDE * c, ASIDE * s));
        here - aside.fold(0.0, f32::max)
    }

    /// Is enough of the keyframe seen that looking further here is worth while? Half of it must agree in the end.
    fn begins(&self, seen: &[Seen]) -> bool {
        let inside = seen.iter().filter(|s| !matches!(s, Seen::Outside)).count();
        let like = seen.iter().filter(|s| matches!(s, Seen::At { likeness, .. } if *likeness >= SAMPLE_LIKE)).count();
        like * SAMPLE_SHARE >= inside
    }

    /// Every patch of a level, looked for around where `motion` puts it. On the finest level a sample of them first: if none of those is like, none is
    /// looked for.
    fn find(&self, frame: &Frame, level: usize, motion: &Similarity) -> Vec<Seen> {
        let patches = &self.key.patches[level];
        if level > 0 || patches.len() < 2 * SAMPLE {
            return self.find_each(frame, level, motion, |_| true);
        }
        let stride = patches.len() / SAMPLE;
        let sample = self.find_each(frame, 0, motion, |i| i % stride == 0);
        let looked_at: Vec<Seen> = sample.iter().copied().step_by(stride).collect();
        if !self.begins(&looked_at) {
            return sample;
        }
        let mut all = self.find_each(frame, 0, motion, |i| i % stride != 0);
        all.iter_mut().zip(sample).step_by(stride).for_each(|(to, from)| *to = from);
        all
    }

    /// Those `wanted` by their number; the others as hidden.
    fn find_each(&self, frame: &Frame, level: usize, motion: &Similarity, wanted: impl Fn(usize) -> bool) -> Vec<Seen> {
        let plane = &frame.levels[level];
        let guess = motion.at_level((1 << level) as f32);
        self.key.patches[level]
            .iter()
            .enumerate()
            .map(|(i, p)| {
                if !wanted(i) {
                    return Seen::Hidden;
                }
                let at = guess.apply(p.template.centre);
                let inside = at.x > 9.0 && at.y > 9.0 && at.x < plane.width as f32 - 10.0 && at.y < plane.height as f32 - 10.0;
                if !inside {
                    return Seen::Outside;
                }
                if level == 0 && frame.glare_share(at.x as i32 - 7, at.y as i32 - 7, 16) > 0.25 {
                    return Seen::Hidden;
                }
                let Some(Found { at, likeness, gain }) = p.template.find(plane, &guess, 6.0, 6) else { return Seen::Hidden };
                // Contrast is told from bones by having moved, and is not where it seems if it moved less than it is wide. All that there is to
                // see does not have that fault, but may be bones: both must say the same.
                if let (0, Some(whole), Some(template)) = (level, &frame.whole, &p.whole) {
                    match template.find(whole, &guess, 6.0, 6) {
                        Some(other) if other.likeness < WHOLE_LIKE => return Seen::Hidden,
                        Some(other) if other.at.minus(at).length() > WHOLE_OFF_MAX => return Seen::Disputed,
                        Some(_) => {}
                        None => return Seen::Hidden,
                    }
                }
                Seen::At { at: at.from_level((1 << level) as f32), likeness, gain }
            })
            .collect()
    }

    fn pairs(&self, level: usize, seen: &[Seen], likeness_min: f32) -> Vec<Pair> {
        let patches = self.key.patches[level].iter().zip(seen);
        patches
            .filter_map(|(p, s)| match s {
                Seen::At { at, likeness, .. } if *likeness >= likeness_min => {
                    Some(Pair { from: p.at, to: *at, weight: p.weight * likeness })
                }
                _ => None,
            })
            .collect()
    }
}
