//! What the tracker says when things go wrong: cuts, instruments, glare, held pictures, nothing to see.

use std::sync::Arc;
use std::time::Duration;

use annotation::time::CaptureTime;
use annotation::wire::TrackState;
use tracker::feed::{ANCHORS_MAX, FeedTracker};
use tracker::luma::{Kind, Luma};
use tracker::random::Random;
use tracker::similarity::Vec2;

const W: usize = 480;
const H: usize = 270;

fn at(k: u64) -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_790_000_000) + Duration::from_nanos(k * 33_333_333))
}

/// Tissue of a seed, moved by (dx, dy), with a little noise of its own each frame.
struct Tissue {
    waves: Vec<[f32; 5]>,
    noise: Random,
}

impl Tissue {
    fn new(seed: u64) -> Tissue {
        let mut r = Random::new(seed);
        let waves = (0..24)
            .map(|_| {
                let (way, pace) = (r.unit() * 6.3, 0.08 + 0.45 * r.unit());
                [pace * way.cos(), pace * way.sin(), r.unit() * 6.3, 5.0 + 5.0 * r.unit(), 0.0]
            })
            .collect();
        Tissue { waves, noise: r }
    }

    fn picture(&mut self, dx: f32, dy: f32) -> Luma {
        self.bent(dx, dy, 0.0)
    }

    /// Bowed about the ink too: 40 px above and below it `bow` px to the right, beside it not.
    fn bent(&mut self, dx: f32, dy: f32, bow: f32) -> Luma {
        let data = (0..W * H)
            .map(|i| {
                let (x, y) = ((i % W) as f32 - dx, (i / W) as f32 - dy);
                let x = x - bow * ((y - 130.0) / 40.0).clamp(-1.5, 1.5).powi(2);
                let v: f32 = self.waves.iter().map(|[kx, ky, p, a, _]| a * (kx * x + ky * y + p).sin()).sum();
                (105.0 + v + 4.0 * (self.noise.unit() - 0.5)).clamp(16.0, 205.0) as u8
            })
            .collect();
        Luma { width: W, height: H, data }
    }
}

fn ring_around(x: f32, y: f32) -> Vec<Vec2> {
    (0..=12).map(|i| i as f32 * 0.52).map(|t| Vec2::new(x + 9.0 * t.cos(), y + 9.0 * t.sin())).collect()
}

/// Ink around (200, 130), drawn on the first picture.
fn followed(first: &Arc<Luma>) -> FeedTracker<u32> {
    let mut tracker = FeedTracker::new(Kind::Tissue, 1);
    tracker.handle_frame(at(0), first);
    let path = tracker.begin(1, &ring_around(200.0, 130.0), &[(at(0), first.clone())]).expect("there is room");
    assert_eq!(path[0].1.state, TrackState::Tracked);
    tracker
}

fn state(tracker: &mut FeedTracker<u32>, k: u64, luma: Luma) -> TrackState {
    tracker.handle_frame(at(k), &Arc::new(luma))[0].1.state
}

#[test]
fn ink_follows_its_tissue_and_the_same_frames_give_the_same_result() {
    let run = || {
        let mut tissue = Tissue::new(1);
        let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
        (1..40u64)
            .map(|k| {
                let (dx, dy) = (9.0 * (k as f32 * 0.2).sin(), 0.4 * k as f32);
                let placed = tracker.handle_frame(at(k), &Arc::new(tissue.picture(dx, dy)))[0].1;
                assert_eq!(placed.state, TrackState::Tracked, "frame {k}");
                let off = placed.motion.apply(Vec2::new(200.0, 130.0)).minus(Vec2::new(200.0 + dx, 130.0 + dy)).length();
                assert!(off < 0.5, "frame {k}: {off}");
                placed.motion
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn tissue_that_bends_does_not_lose_ink_whose_own_stays() {
    let mut tissue = Tissue::new(8);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    let mut bent = 0.0f32;
    for k in 1..=60u64 {
        let bow = 7.0 * (k as f32 / 40.0).min(1.0);
        let placed = tracker.handle_frame(at(k), &Arc::new(tissue.bent(0.2 * k as f32, 0.0, bow)))[0].1;
        assert_eq!(placed.state, TrackState::Tracked, "bowed by {bow}: {:?}", placed.verdict);
        let off = placed.motion.apply(Vec2::new(200.0, 130.0)).minus(Vec2::new(200.0 + 0.2 * k as f32, 130.0)).length();
        assert!(off < 1.2, "bowed by {bow}: {off}");
        bent = placed.verdict.bent.max(bent);
    }
    assert!(bent > 0.05, "what bends is told: {bent}");
}

#[test]
fn a_cut_to_another_scene_is_lost_at_once_and_coming_back_is_found() {
    let mut tissue = Tissue::new(2);
    let mut other = Tissue::new(77);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    assert_eq!(state(&mut tracker, 1, tissue.picture(1.0, 0.0)), TrackState::Tracked);
    for k in 2..60 {
        assert_eq!(state(&mut tracker, k, other.picture(k as f32, 0.0)), TrackState::Lost, "frame {k}");
    }
    let back = (60..80).map(|k| state(&mut tracker, k, tissue.picture(25.0, -14.0))).position(|s| s == TrackState::Tracked);
    assert!(back.is_some_and(|n| n >= 1), "found again, not by the first frame alone: {back:?}");
}

/// Two scenes under the same lamp: light in the middle, dark at the rim.
fn under_one_lamp(mut luma: Luma) -> Luma {
    for (i, v) in luma.data.iter_mut().enumerate() {
        let (x, y) = ((i % W) as f32 / W as f32 - 0.5, (i / W) as f32 / H as f32 - 0.5);
        *v = (f32::from(*v) * (1.15 - 2.6 * (x * x + y * y))).clamp(16.0, 205.0) as u8;
    }
    luma
}

#[test]
fn a_cut_to_a_scene_under_the_same_lamp_is_lost_at_once_too() {
    let (mut one, mut other) = (Tissue::new(5), Tissue::new(99));
    let first = Arc::new(under_one_lamp(one.picture(0.0, 0.0)));
    let mut tracker = followed(&first);
    for k in 1..6 {
        assert_eq!(state(&mut tracker, k, under_one_lamp(one.picture(k as f32, 0.0))), TrackState::Tracked);
    }
    assert_eq!(state(&mut tracker, 6, under_one_lamp(other.picture(0.0, 0.0))), TrackState::Lost);
}

#[test]
fn what_is_covered_is_unsure_for_150_ms_at_most_then_lost_and_found_again() {
    let mut tissue = Tissue::new(3);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    let covered = |mut luma: Luma| {
        for y in 40..230 {
            luma.data[y * W + 110..y * W + 290].fill(70);
        }
        luma
    };
    let states: Vec<TrackState> = (1..12).map(|k| state(&mut tracker, k, covered(tissue.picture(0.0, 0.0)))).collect();
    assert_eq!(states[0], TrackState::Unsure);
    assert!(states.iter().take_while(|s| **s == TrackState::Unsure).count() <= 4, "{states:?}");
    assert_eq!(states.last(), Some(&TrackState::Lost));
    let back = (12..20).map(|k| state(&mut tracker, k, tissue.picture(6.0, 3.0))).position(|s| s == TrackState::Tracked);
    assert!(back.is_some(), "found again");
}

#[test]
fn a_third_covered_does_not_move_the_ink() {
    let mut tissue = Tissue::new(4);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    for k in 1..20u64 {
        let mut luma = tissue.picture(k as f32, 0.0);
        // An instrument with stripes comes in from the left and moves against the tissue.
        for y in 0..H {
            for x in 0..(185 - k as usize / 4) {
                luma.data[y * W + x] = if (x + k as usize * 3) % 9 < 4 { 60 } else { 150 };
            }
        }
        let placed = tracker.handle_frame(at(k), &Arc::new(luma))[0].1;
        assert_ne!(placed.state, TrackState::Lost, "frame {k}");
        let off = placed.motion.apply(Vec2::new(200.0, 130.0)).minus(Vec2::new(200.0 + k as f32, 130.0)).length();
        assert!(placed.state != TrackState::Tracked || off < 1.0, "frame {k}: {off}");
    }
}

#[test]
fn nothing_to_hold_on_to_is_lost_unless_the_picture_is_the_one_drawn_on() {
    let flat = Arc::new(Luma { width: W, height: H, data: vec![90; W * H] });
    let mut tracker = FeedTracker::new(Kind::Tissue, 1);
    tracker.handle_frame(at(0), &flat);
    let path = tracker.begin(1, &ring_around(200.0, 130.0), &[(at(0), flat.clone())]).expect("there is room");
    assert_eq!(path[0].1.state, TrackState::Lost);
    assert_eq!(state(&mut tracker, 1, (*flat).clone()), TrackState::Tracked, "the very picture");
    let states: Vec<TrackState> = (2..10).map(|k| state(&mut tracker, k, Tissue::new(k).picture(0.0, 0.0))).collect();
    assert!(!states.contains(&TrackState::Tracked) && states.last() == Some(&TrackState::Lost), "{states:?}");
}

#[test]
fn a_held_picture_keeps_what_was_known() {
    let mut tissue = Tissue::new(5);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    let held = tissue.picture(7.0, 2.0);
    for k in 1..200 {
        assert_eq!(state(&mut tracker, k, held.clone()), TrackState::Tracked, "frame {k}");
    }
    assert!(!tracker.handle_time(at(10_000)), "what is tracked stays so while no other picture is shown");
}

#[test]
fn a_dead_feed_loses_everything_and_unsure_ends_with_time() {
    let mut tissue = Tissue::new(6);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    let mut dark = tissue.picture(0.0, 0.0);
    dark.data.iter_mut().for_each(|p| *p = 16 + *p % 3);
    assert_ne!(state(&mut tracker, 1, dark), TrackState::Tracked);
    tracker.handle_time(at(1).saturating_add(Duration::from_millis(200)));
    assert_eq!(tracker.placed()[0].1.state, TrackState::Lost);
    let mut tracker = followed(&Arc::new(tissue.picture(0.0, 0.0)));
    tracker.lose_all();
    assert_eq!(tracker.placed()[0].1.state, TrackState::Lost);
}

#[test]
fn ink_outside_the_picture_too_much_ink_and_nonsense_are_refused_without_harm() {
    let mut tissue = Tissue::new(7);
    let first = Arc::new(tissue.picture(0.0, 0.0));
    let mut tracker = FeedTracker::new(Kind::Tissue, 1);
    let past = [(at(0), first.clone())];
    for ink in [vec![], vec![Vec2::new(-50.0, 10.0)], vec![Vec2::new(f32::NAN, 1.0)], vec![Vec2::new(f32::INFINITY, f32::MAX)]] {
        assert!(tracker.begin(0, &ink, &past).is_none());
    }
    assert!(tracker.begin(0, &ring_around(200.0, 130.0), &[]).is_none());
    for n in 0..2 * ANCHORS_MAX as u32 {
        assert_eq!(tracker.begin(n, &ring_around(200.0, 130.0), &past).is_some(), n < ANCHORS_MAX as u32);
    }
    // Ink over everything, and pictures of every shape after it.
    let mut random = Random::new(9);
    let all: Vec<Vec2> = (0..5000).map(|_| Vec2::new(random.unit() * 1e4 - 5e3, random.unit() * 1e4 - 5e3)).collect();
    tracker.end(&0);
    tracker.begin(0, &all, &past);
    for (k, (w, h)) in [(100, 100), (480, 96), (96, 1000), (480, 270), (333, 201)].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..w * h).map(|_| random.draw() as u8).collect();
        let luma = Luma::shrink(&bytes, w, w, h).expect("large enough");
        for (_, placed) in tracker.handle_frame(at(k as u64 + 1), &Arc::new(luma)) {
            assert_ne!(placed.state, TrackState::Tracked, "noise confirms nothing");
        }
    }
}
