//! The engine in another building: pictures by WHIP over a line that loses packets and is cut, the real server, a real player.

use std::time::Duration;

use benches::far::Far;
use benches::impair::{Conditions, Phase};

/// A picture this young was captured after the cut.
const FRESH_MS: f64 = 1_500.0;
/// The time code has whole milliseconds, an RTP time ninths of one.
const EXACT_MS: f64 = 1.1;

fn is_exact(error_ms: f64) -> bool {
    error_ms.abs() < EXACT_MS
}

fn lossy() -> Vec<Phase> {
    let up = Conditions { loss: 0.04, burst: 1.5, delay_ms: 20.0, ..Conditions::default() };
    vec![Phase { at_ms: 0, up, down: Conditions { delay_ms: 20.0, ..Conditions::default() } }]
}

#[test]
fn capture_times_survive_loss_and_pictures_come_back_after_a_cut() {
    let home = tempfile::tempdir().expect("a folder");
    let far = Far::start(home.path(), lossy(), true).expect("starts");
    let player = far.player().expect("plays");
    let mut compared = 0;
    while compared < 60 {
        let seen = player.next().unwrap_or_else(|e| panic!("{e:#} after {compared}"));
        assert!(seen.error_ms.is_none_or(is_exact), "picture {compared} says another time than its packets: {seen:?}");
        assert!(seen.age_ms > 15.0, "younger than the line is long: {seen:?}");
        compared += usize::from(seen.error_ms.is_some());
    }
    // By WHIP: the way of the first packets, by TCP, is left as soon as the session is up.
    while far.counts_up().0 < 600 {
        player.next().expect("pictures go on");
    }
    assert!(far.counts_up().1 > 0, "the line loses");
    assert_eq!(far.carried().expect("told"), 1);

    far.hold(true);
    while player.seen.recv_timeout(Duration::from_millis(700)).is_ok() {}
    far.hold(false);
    let back = player.next_younger_than(FRESH_MS).expect("back without anybody's doing");
    assert!(back.error_ms.is_none_or(is_exact), "{back:?}");
}

#[test]
fn where_udp_does_not_pass_pictures_come_by_tcp() {
    let home = tempfile::tempdir().expect("a folder");
    let far = Far::start(home.path(), Vec::new(), false).expect("starts");
    let player = far.player().expect("plays");
    let mut compared = 0;
    while compared < 30 {
        let seen = player.next().expect("a picture");
        assert!(seen.error_ms.is_none_or(is_exact), "{seen:?}");
        compared += usize::from(seen.error_ms.is_some());
    }
    assert_eq!(far.carried().expect("told"), 0);
}
