//! Feeds that fail while the engine runs: the state is told in time, and the program goes on.

mod server;

use std::ops::Range;
use std::sync::Arc;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameIndex};
use pipeline::engine::Prepared;
use pipeline::feed::Source;
use pipeline::picture::{Geometry, Picture};
use server::{CONFIG, Server};

/// A grey picture, except while it fails.
struct Failing {
    picture: Arc<Picture>,
    fails: Range<u64>,
}

impl Source for Failing {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        if self.fails.contains(&k) { Err("The cable is out.".into()) } else { Ok(self.picture.clone()) }
    }
}

fn failing(prepared: Prepared, feed: &str, size: (usize, usize), fails: Range<u64>) -> Prepared {
    let picture = Arc::new(Picture::black(Geometry::new(size.0, size.1).expect("even")));
    prepared.with_source(&FeedId::parse(feed).expect("an id"), Box::new(Failing { picture, fails }))
}

fn state(index: &FrameIndex, feed: &str) -> FeedState {
    index.entries.iter().find(|e| e.feed == feed).map_or(FeedState::Unspecified, |e| e.state())
}

/// Age of the feed's picture in this frame when the frame was composed, ms.
fn age_ms(index: &FrameIndex, feed: &str) -> f64 {
    let capture = index.entries.iter().find(|e| e.feed == feed).map_or(0, |e| e.capture);
    CaptureTime(index.composed).minus_ns(CaptureTime(capture)) as f64 / 1e6
}

fn in_order(server: &Server) -> Vec<&FrameIndex> {
    let mut all: Vec<&FrameIndex> = server.indexes.values().collect();
    all.sort_by_key(|i| i.composed);
    all
}

#[test]
fn a_dead_inset_is_stale_then_lost_and_the_program_does_not_wait_for_it() {
    let mut server = Server::start_with(CONFIG, |p| failing(p, "fluoro", (208, 208), 30..60));
    server.accept();
    server.want(true);
    server.until("the feed's death", |s| {
        s.indexes.values().any(|i| state(i, "fluoro") == FeedState::Lost && age_ms(i, "fluoro") < 10_000.0)
    });
    server.until("the sentence", |s| {
        s.health.as_ref().is_some_and(|h| h.feeds.iter().any(|f| f.feed == "fluoro" && f.problem == "The cable is out."))
    });
    let mut seen = Vec::new();
    for index in in_order(&server).iter().filter(|i| age_ms(i, "fluoro") < 10_000.0) {
        let (state, age) = (state(index, "fluoro"), age_ms(index, "fluoro"));
        let want = if age > 500.0 {
            FeedState::Lost
        } else if age > 250.0 {
            FeedState::Stale
        } else {
            FeedState::Live
        };
        // A frame composed within a few milliseconds of the bound may say either.
        assert!(state == want || (age - 250.0).abs() < 30.0 || (age - 500.0).abs() < 30.0, "{age} ms old and {state:?}");
        seen.push(state);
    }
    seen.dedup();
    assert!(seen.ends_with(&[FeedState::Live, FeedState::Stale, FeedState::Lost]), "{seen:?}");
    let frames = server.frames();
    server.until("pictures in spite of it", |s| s.frames() > frames + 20);
    server.until("its return", |s| in_order(s).last().is_some_and(|i| state(i, "fluoro") == FeedState::Live));
    server.stop();
}

#[test]
fn a_single_feed_that_dies_says_so_five_times_a_second_and_returns() {
    let mut server = Server::start_with(CONFIG, |p| failing(p, "fluoro", (208, 208), 30..60));
    server.accept();
    server.want_these(&[("fluoro", "high")]);
    let states = |s: &Server| {
        let mut all: Vec<&FrameIndex> = s.single_indexes.values().collect();
        all.sort_by_key(|i| i.composed);
        let mut states: Vec<FeedState> = all.iter().map(|i| state(i, "fluoro")).collect();
        states.dedup();
        states
    };
    let life = [FeedState::Live, FeedState::Stale, FeedState::Lost, FeedState::Live];
    server.until("death and return", |s| states(s).ends_with(&life));
    assert!(server.without_index.is_empty());
    let lost = server.single_indexes.values().filter(|i| state(i, "fluoro") == FeedState::Lost).count();
    assert!(lost >= 1, "{lost}");
    server.stop();
}

#[test]
fn a_dead_main_feed_leaves_a_program_that_says_so_and_goes_on() {
    let mut server = Server::start_with(CONFIG, |p| failing(p, "field", (432, 242), 20..70));
    server.accept();
    server.want(true);
    let lost =
        |s: &Server| s.indexes.values().filter(|i| state(i, "field") == FeedState::Lost && age_ms(i, "field") < 10_000.0).count();
    server.until("frames without the main feed", |s| lost(s) >= 10);
    server.until("its return", |s| in_order(s).last().is_some_and(|i| state(i, "field") == FeedState::Live));
    let all = in_order(&server);
    assert!(all.windows(2).all(|w| (w[1].rtp_ts.wrapping_sub(w[0].rtp_ts) as i32) > 0), "time never runs backwards");
    let insets = all.iter().filter(|i| state(i, "field") == FeedState::Lost && state(i, "vitals") == FeedState::Live).count();
    assert!(insets > 0, "the insets live on");
    server.stop();
}
