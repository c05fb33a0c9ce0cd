//! The engine in another building: pictures by WHIP over a line that loses packets and is cut, the real server, a real player.

use std::time::{Duration, Instant};

use benches::far::{Far, Player, Seen};
use benches::impair::{Conditions, Phase};

/// The time code has whole milliseconds, an RTP time ninths of one.
const EXACT_MS: f64 = 1.1;

/// Most packets carry the capture of their picture. One that is shown once more because the next is late, and the few that it overtook, carry a
/// later time, on a machine that is busy; none an earlier one.
fn is_exact(seen: Seen) -> bool {
    assert!(seen.error_ms.is_none_or(|error| error > -EXACT_MS), "a time before its picture: {seen:?}");
    seen.error_ms.is_some_and(|error| error < EXACT_MS)
}

/// Until so many pictures were seen whose packets say when they were captured.
fn until_exact(player: &Player, wanted: usize, check: impl Fn(Seen)) {
    let began = Instant::now();
    let mut exact = 0;
    while exact < wanted {
        assert!(began.elapsed() < Duration::from_secs(120), "only {exact} pictures say when they were captured");
        let seen = player.next().unwrap_or_else(|e| panic!("{e:#} after {exact}"));
        check(seen);
        exact += usize::from(is_exact(seen));
    }
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
    until_exact(&player, 60, |seen| assert!(seen.age_ms > 15.0, "younger than the line is long: {seen:?}"));
    // By WHIP: the way of the first packets, by TCP, is left as soon as the session is up.
    while far.counts_up().0 < 600 {
        player.next().expect("pictures go on");
    }
    assert!(far.counts_up().1 > 0, "the line loses");
    // Where this machine stood still it may just be on its way back there.
    let began = Instant::now();
    while far.carried().expect("told") != 1 {
        assert!(began.elapsed() < Duration::from_secs(90), "the way by WHIP is not taken");
        player.next().expect("pictures go on");
    }

    far.hold(true);
    while player.seen.recv_timeout(Duration::from_millis(700)).is_ok() {}
    let over = Instant::now();
    far.hold(false);
    player.next_captured_after(over).expect("back without anybody's doing");
    until_exact(&player, 5, |_| {});
}

#[test]
fn where_udp_does_not_pass_pictures_come_by_tcp() {
    let home = tempfile::tempdir().expect("a folder");
    let far = Far::start(home.path(), Vec::new(), false).expect("starts");
    let player = far.player().expect("plays");
    until_exact(&player, 30, |_| {});
    assert_eq!(far.carried().expect("told"), 0);
}
