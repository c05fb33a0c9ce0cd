//! Lines that lose: how soon a repair is there, and which pictures a viewer sees too late or never.

use std::time::{Duration, Instant};

use crate::lines::glass;
use crate::viewer::Picture;
use crate::world::{ALL, ENCODING, World, ms};

const ONE_WAY: Duration = Duration::from_millis(30);
/// A gap that is seen: the mean distance of pictures and 150 ms. Source: W3C webrtc-stats, freezeCount.
const FREEZE: Duration = Duration::from_millis(33 + 150);

/// What a viewer on a line that loses had of half a minute.
struct Seen {
    /// Of the packets that were sent again, how long after they were due they came: half of them, and 95 of 100, at most.
    repaired: [Duration; 2],
    /// Pictures that were whole only after they should have been shown, of those that were shown.
    late: usize,
    of: usize,
    /// How long the viewer holds them, ms.
    held: u64,
    /// Share of the time that a picture stood still for long.
    frozen: f64,
    keyframes: usize,
    /// Of the layer, and of the estimator.
    changes: usize,
    anew: u64,
}

fn behind(loss: f64, burst: f64, seed: u64) -> Seen {
    let mut world = World::new(seed);
    world.layered("program");
    let page = world.page(ALL, ONE_WAY);
    let room = world.page(ALL, ms(5));
    world.show(page, 0, "program");
    // As in a case: both speak.
    world.talk(page, -25);
    world.talk(room, -25);
    world.run(ms(5_000));
    world.lose_in_bursts(page, loss, burst);
    world.run(ms(6_000));
    let (since, asked) = (world.now, world.keyframes_asked("program"));
    world.run(ms(30_000));
    let until = world.now;
    let keyframes = world.keyframes_asked("program") - asked;
    world.run(ms(1_000));
    let (changes, anew) = (world.shown(page, 0).len(), world.engine.counters().estimates_anew);
    let all = world.viewer(page).pictures(0);
    let (began, timeline) = (world.start, world.timeline(world.start));
    let due = |p: &Picture| p.capture.map(|c| began + c.since(timeline) + ENCODING + ONE_WAY);
    let within = |at: Instant| (since..until).contains(&at);
    let late_by = |p: &Picture| due(p).filter(|due| within(*due)).map(|due| p.at.saturating_duration_since(due));
    let mut repaired: Vec<Duration> = all.iter().filter_map(late_by).filter(|late| *late > ms(30)).collect();
    repaired.sort_unstable();
    let at = |share: usize| repaired.get(repaired.len() * share / 100).copied().unwrap_or_default();
    let held = all.iter().rev().find_map(|p| p.playout_delay).map_or(0, |(least, _)| least * 10);
    let seen = glass(all);
    let mut last = since;
    let (mut late, mut of, mut frozen) = (0, 0, Duration::ZERO);
    for ((whole, _), captured) in seen.shown.iter().zip(&seen.captured) {
        let due = captured.map_or(*whole, |c| began + c.since(timeline) + ENCODING + ONE_WAY) + ms(held);
        if within(due) {
            // Shown when it is whole and was held, and those before it were.
            let at = (*whole).max(due).max(last);
            let gap = at.duration_since(last);
            frozen += if gap > FREEZE { gap } else { Duration::ZERO };
            (late, of, last) = (late + usize::from(*whole > due), of + 1, at);
        }
    }
    let frozen = frozen.as_secs_f64() / 30.0;
    Seen { repaired: [at(50), at(95)], late, of, held, frozen, keyframes, changes, anew }
}

#[test]
fn what_is_lost_is_repaired_soon_and_hardly_anything_stands_still() {
    for (loss, burst, frozen) in [(0.01, 1.0, 0.01), (0.05, 1.0, 0.01), (0.10, 1.0, 0.05)] {
        let seen = behind(loss, burst, 1);
        println!(
            "{loss} in {burst}: repaired after {:?}, {} late of {} held {} ms, frozen {:.1} %, {} keyframes, {} changes, begun anew {}",
            seen.repaired,
            seen.late,
            seen.of,
            seen.held,
            seen.frozen * 100.0,
            seen.keyframes,
            seen.changes,
            seen.anew
        );
        // The way back and forth, and what a receiver waits before it asks.
        assert!(seen.repaired[0] <= ms(100), "{loss}: {:?}", seen.repaired);
        assert!(seen.of > 850 && seen.frozen <= frozen, "{loss}: {:.3} of {}", seen.frozen, seen.of);
        // Loss alone is no sign of a narrow line.
        assert_eq!((seen.changes, seen.anew), (1, 0), "{loss}");
    }
}

/// In all of them the larger layer went and came, up to eight times in 40 s, while the estimator took the bursts for a full line.
const SEEDS: [u64; 2] = [1, 5];

#[test]
fn bursts_of_loss_are_no_sign_of_a_narrow_line() {
    for seed in SEEDS {
        let mut world = World::new(seed);
        world.layered("program");
        let (page, room) = (world.page(ALL, ONE_WAY), world.page(ALL, ms(5)));
        world.show(page, 0, "program");
        world.talk(page, -25);
        world.talk(room, -25);
        world.run(ms(5_000));
        // More than twice what the layer needs.
        world.rate(page, Some(6_000_000));
        world.lose_in_bursts(page, 0.10, 5.0);
        for _ in 0..5 {
            world.run(ms(4_000));
            // A large picture waits for the line for a moment.
            world.request_keyframe(page, 0);
        }
        assert_eq!(world.shown(page, 0).len(), 1, "seed {seed}: {:?}", world.shown(page, 0));
    }
}
