//! X-ray off is told from a lost signal, and the last run loops beside the live picture.

mod server;

use std::collections::BTreeSet;

use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameIndex};
use server::Server;

/// A run of 6 s, then 2 s without X-ray.
fn config() -> String {
    server::CONFIG.replace("\"synthetic-fluoro\" }", "\"synthetic-fluoro\", rest_s = 2 }")
}

fn entry<'a>(index: &'a FrameIndex, feed: &str) -> Option<&'a link::frame::FrameEntry> {
    index.entries.iter().find(|e| e.feed == feed)
}

fn state(index: &FrameIndex, feed: &str) -> FeedState {
    entry(index, feed).map_or(FeedState::Unspecified, |e| e.state())
}

fn seconds(from: u64, to: u64) -> f64 {
    CaptureTime(to).minus_ns(CaptureTime(from)) as f64 / 1e9
}

#[test]
fn between_two_runs_the_last_image_is_held_with_its_own_time_and_its_own_state() {
    let mut server = Server::start(&config());
    server.accept();
    server.want(true);
    let held = |s: &Server| {
        let off = s.in_order().into_iter().filter(|i| state(i, "fluoro") == FeedState::XrayOff);
        off.filter_map(|i| entry(i, "fluoro")).map(|e| e.capture).collect::<BTreeSet<u64>>()
    };
    let is_now = |s: &Server, wanted| s.newest().is_some_and(|i| state(i, "fluoro") == wanted);
    server.until("X-ray on", |s| is_now(s, FeedState::Live));
    server.until("and off", |s| is_now(s, FeedState::XrayOff));
    server.until("and on again", |s| is_now(s, FeedState::Live));
    // On a machine that stands still between, more than one pause may have been seen.
    let (mut others_live, mut longest) = (0, 0.0);
    for last in held(&server) {
        let pause = server.in_order().into_iter().filter(|i| entry(i, "fluoro").is_some_and(|e| e.capture == last));
        let off: Vec<&FrameIndex> = pause.filter(|i| state(i, "fluoro") == FeedState::XrayOff).collect();
        assert!(off.iter().all(|i| seconds(last, i.composed) > 0.0), "it keeps its own time");
        longest = off.iter().map(|i| seconds(last, i.composed)).fold(longest, f64::max);
        others_live += off.iter().filter(|i| state(i, "field") == FeedState::Live).count();
    }
    assert!(others_live > 0, "the others go on");
    assert!(longest > 0.2, "its age counts: {longest}");
    server.stop();
}

#[test]
fn after_x_ray_off_the_last_run_loops_as_a_feed_of_its_own() {
    let mut server = Server::start(&config());
    let hello = server.accept();
    let run = hello.feeds.iter().find(|f| f.feed == "fluoro-run").expect("declared");
    assert_eq!((run.kind.as_str(), run.width, run.height), ("last-run", 512, 512));
    assert!(run.name_ja.contains("くり返し再生") && run.name_en.contains("last run"));
    server.want_these(&[("program", "high"), ("fluoro-run", "high")]);
    let looping = |s: &Server| {
        s.single_indexes.values().filter(|i| i.program == "fluoro-run" && state(i, "fluoro-run") == FeedState::Looping).count()
    };
    server.until("the loop beside X-ray off", |s| {
        looping(s) > 60 && s.indexes.values().any(|i| state(i, "fluoro") == FeedState::XrayOff)
    });
    let mut loops: Vec<&FrameIndex> = server
        .single_indexes
        .values()
        .filter(|i| i.program == "fluoro-run" && state(i, "fluoro-run") == FeedState::Looping)
        .collect();
    loops.sort_by_key(|i| i.composed);
    // How soon it loops is shown in virtual time. Of each run, which ends with the image that is held, its pictures as they were captured.
    let off = server.in_order().into_iter().filter(|i| state(i, "fluoro") == FeedState::XrayOff);
    let ends: BTreeSet<u64> = off.filter_map(|i| entry(i, "fluoro")).map(|e| e.capture).collect();
    let captures: Vec<u64> = loops.iter().filter_map(|i| entry(i, "fluoro-run")).map(|e| e.capture).collect();
    let backwards = captures.windows(2).filter(|w| w[0] > w[1]).count();
    assert!(backwards * 10 < captures.len(), "as it was captured, begun again at its end: {backwards} steps back");
    let of_a_run = |c: u64| ends.iter().any(|end| c <= *end && seconds(c, *end) < 6.1);
    assert!(captures.iter().any(|c| of_a_run(*c)), "of a run that was seen to end");
    assert!(
        loops.iter().all(|i| entry(i, "fluoro-run").is_some_and(|e| e.capture < i.composed)),
        "captured before it is shown again"
    );
    assert!(loops.windows(2).all(|w| (w[1].rtp_ts.wrapping_sub(w[0].rtp_ts) as i32) > 0), "its stream runs forward");
    assert!(server.indexes.values().all(|i| entry(i, "fluoro-run").is_none()), "the layout has no place for it");
    server.stop();
}
