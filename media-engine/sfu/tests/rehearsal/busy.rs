//! Machines that have too much to do: what they do late looks to an estimator like a line that is full.

use std::time::Duration;

use sfu::Wish;

use crate::world::{ALL, World, feed, ms};

/// A page on the same machine that shows a single feed large and the program small; machines stand still for at most so long,
/// every other moment. How long the single feed paused at worst, and how often it changed.
fn paused(seed: u64, longest: Duration, all: Duration) -> (Duration, usize) {
    let mut world = World::new(seed);
    world.layered("program");
    world.layered("field");
    let page = world.page(ALL, ms(1));
    world.wish(page, 0, Wish { width: 300, ..Wish::of(feed("program")) });
    world.wish(page, 1, Wish::of(feed("field")));
    world.stall(page, longest);
    world.run(all);
    let told = world.shown(page, 1);
    let until = |n: usize| told.get(n + 1).map_or(all, |next| next.0);
    let pauses = told.iter().enumerate().filter(|(_, t)| t.1.is_none()).map(|(n, t)| until(n).saturating_sub(t.0));
    (pauses.max().unwrap_or_default(), told.len())
}

#[test]
fn a_machine_with_too_much_to_do_does_not_lose_its_pictures() {
    for (longest, seed) in [(150, 1), (400, 2)] {
        let (pause, changes) = paused(seed, ms(longest), ms(30_000));
        assert!(pause.is_zero() && changes <= 3, "stalls of {longest} ms: paused for {pause:?}, {changes} changes");
    }
}
