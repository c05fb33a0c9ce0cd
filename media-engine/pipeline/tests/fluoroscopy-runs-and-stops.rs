//! X-ray off is told from a lost signal, and the last run loops beside the live picture.

mod server;

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
    let states = |s: &Server| {
        let mut all: Vec<&FrameIndex> = s.indexes.values().collect();
        all.sort_by_key(|i| i.composed);
        let mut states: Vec<FeedState> = all.iter().map(|i| state(i, "fluoro")).collect();
        states.dedup();
        states
    };
    server.until("X-ray on, off and on again", |s| states(s).ends_with(&[FeedState::Live, FeedState::XrayOff, FeedState::Live]));
    let off: Vec<&FrameIndex> = server.indexes.values().filter(|i| state(i, "fluoro") == FeedState::XrayOff).collect();
    let held: std::collections::BTreeSet<u64> = off.iter().filter_map(|i| entry(i, "fluoro")).map(|e| e.capture).collect();
    assert_eq!(held.len(), 1, "one image is held");
    let last = held.into_iter().next().expect("one");
    let soonest = off.iter().map(|i| seconds(last, i.composed)).fold(f64::MAX, f64::min);
    let longest = off.iter().map(|i| seconds(last, i.composed)).fold(0.0, f64::max);
    assert!(soonest < 0.5, "X-ray off is said within half a second: {soonest}");
    assert!((1.7..2.5).contains(&longest), "its age counts: {longest}");
    let live = off.iter().filter(|i| state(i, "field") == FeedState::Live).count();
    assert!(live * 10 > off.len() * 8, "the others go on: {live} of {}", off.len());
    server.stop();
}

#[test]
fn within_a_second_of_x_ray_off_the_last_run_loops_as_a_feed_of_its_own() {
    let mut server = Server::start(&config());
    let hello = server.accept();
    let run = hello.feeds.iter().find(|f| f.feed == "fluoro-run").expect("declared");
    assert_eq!((run.kind.as_str(), run.width, run.height), ("last-run", 512, 512));
    assert!(run.name_ja.contains("くり返し再生") && run.name_en.contains("last run"));
    server.want_these(&[("program", "high"), ("fluoro-run", "high")]);
    let looping = |s: &Server| {
        s.single_indexes.values().filter(|i| i.program == "fluoro-run" && state(i, "fluoro-run") == FeedState::Looping).count()
    };
    server.until("the loop, and X-ray on again beside it", |s| {
        looping(s) > 60 && s.indexes.values().any(|i| state(i, "fluoro") == FeedState::XrayOff)
    });
    let off = server.indexes.values().filter(|i| state(i, "fluoro") == FeedState::XrayOff);
    let off = off.min_by_key(|i| i.composed).and_then(|i| entry(i, "fluoro")).expect("off").capture;
    let mut loops: Vec<&FrameIndex> = server
        .single_indexes
        .values()
        .filter(|i| i.program == "fluoro-run" && state(i, "fluoro-run") == FeedState::Looping)
        .collect();
    loops.sort_by_key(|i| i.composed);
    let began = seconds(off, loops[0].composed);
    assert!(began < 1.0, "the run loops {began} s after its last image");
    let captures: Vec<u64> = loops.iter().filter_map(|i| entry(i, "fluoro-run")).map(|e| e.capture).collect();
    assert!(captures.windows(2).all(|w| w[0] <= w[1]), "as it was captured");
    assert!(captures.iter().all(|&c| c <= off && seconds(c, off) < 6.1), "of that run");
    assert!(loops.windows(2).all(|w| (w[1].rtp_ts.wrapping_sub(w[0].rtp_ts) as i32) > 0), "its stream runs forward");
    assert!(server.indexes.values().all(|i| entry(i, "fluoro-run").is_none()), "the layout has no place for it");
    server.stop();
}
