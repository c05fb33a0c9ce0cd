//! Feeds that fail while the engine runs: the state is told in time, and the program goes on. What fails does so until the test has seen
//! what it looks for, however long that takes here.

mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::frame::{FeedState, FrameIndex};
use pipeline::feed::Source;
use pipeline::picture::{Geometry, Picture};
use server::{CONFIG, Server, check_times};

/// A grey that breathes, except while it fails.
struct Failing {
    pictures: [Arc<Picture>; 2],
    fails: Arc<AtomicBool>,
}

impl Source for Failing {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let fails = self.fails.load(Ordering::SeqCst);
        if fails { Err("The cable is out.".into()) } else { Ok(self.pictures[k as usize % 2].clone()) }
    }
}

fn grey(size: (usize, usize), luma: u8) -> Arc<Picture> {
    let mut picture = Picture::black(Geometry::new(size.0, size.1).expect("even"));
    picture.planes_mut().expect("own")[0].0.fill(luma);
    Arc::new(picture)
}

fn breathing(size: (usize, usize)) -> [Arc<Picture>; 2] {
    [grey(size, 100), grey(size, 110)]
}

fn start(feed: &str, source: impl Source + 'static) -> Server {
    let feed = FeedId::parse(feed).expect("an id");
    Server::start_with(CONFIG, |p| p.with_source(&feed, Box::new(source)))
}

fn failing(feed: &str, size: (usize, usize)) -> (Server, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let source = Failing { pictures: breathing(size), fails: fails.clone() };
    (start(feed, source), fails)
}

fn state(index: &FrameIndex, feed: &str) -> FeedState {
    index.entries.iter().find(|e| e.feed == feed).map_or(FeedState::Unspecified, |e| e.state())
}

fn capture(index: &FrameIndex, feed: &str) -> u64 {
    index.entries.iter().find(|e| e.feed == feed).map_or(0, |e| e.capture)
}

fn ms_between(from: u64, to: u64) -> f64 {
    CaptureTime(to).minus_ns(CaptureTime(from)) as f64 / 1e6
}

/// It was there, and is lost in this frame.
fn died(index: &FrameIndex, feed: &str) -> bool {
    state(index, feed) == FeedState::Lost && capture(index, feed) != 0
}

fn is_now(server: &Server, feed: &str, wanted: FeedState) -> bool {
    server.newest().is_some_and(|i| state(i, feed) == wanted)
}

/// Of a feed that died. Bounds as the product has them: 250 and 500 ms, or three of the feed's own periods where that is longer.
fn check_states(in_order: &[&FrameIndex], feed: &str) {
    const A_MOMENT_MS: f64 = 5.0;
    let mut captures: Vec<u64> = in_order.iter().map(|i| capture(i, feed)).filter(|c| *c != 0).collect();
    captures.dedup();
    let slowest = captures.windows(2).map(|w| ms_between(w[0], w[1])).fold(0.0, f64::max);
    let stale_ms = (3.0 * slowest).max(250.0);
    let lost_ms = stale_ms.max(500.0);
    let last = captures.last().copied();
    for pair in in_order.windows(2) {
        let (state, capture) = (state(pair[1], feed), capture(pair[1], feed));
        if capture == 0 {
            continue;
        }
        // The state was looked at after the frame before was composed, and before this one was. While it lived, newer pictures than the one
        // that is shown may have been there.
        let at_least = if Some(capture) == last { ms_between(capture, pair[0].composed) } else { 0.0 };
        let at_most = ms_between(capture, pair[1].composed);
        let fits = match state {
            FeedState::Live => at_least < stale_ms + A_MOMENT_MS,
            FeedState::Stale => at_least < lost_ms + A_MOMENT_MS && at_most > 250.0 - A_MOMENT_MS,
            FeedState::Lost => at_most > 500.0 - A_MOMENT_MS,
            _ => false,
        };
        assert!(fits, "{at_least} to {at_most} ms old and {state:?}, of a period up to {slowest} ms");
    }
}

#[test]
fn a_dead_inset_is_stale_then_lost_and_the_program_does_not_wait_for_it() {
    let (mut server, fails) = failing("fluoro", (208, 208));
    server.accept();
    server.want(true);
    server.until("its life", |s| is_now(s, "fluoro", FeedState::Live) && s.frames() > 20);
    fails.store(true, Ordering::SeqCst);
    server.until("the feed's death", |s| s.newest().is_some_and(|i| died(i, "fluoro")));
    server.until("the sentence", |s| {
        s.health.as_ref().is_some_and(|h| h.feeds.iter().any(|f| f.feed == "fluoro" && f.problem == "The cable is out."))
    });
    let frames = server.frames();
    server.until("pictures in spite of it", |s| s.frames() > frames + 20);
    check_states(&server.in_order(), "fluoro");
    assert!(is_now(&server, "fluoro", FeedState::Lost), "as long as it fails");
    fails.store(false, Ordering::SeqCst);
    server.until("its return", |s| is_now(s, "fluoro", FeedState::Live));
    server.stop();
}

#[test]
fn a_single_feed_that_dies_says_so_and_returns() {
    let (mut server, fails) = failing("fluoro", (208, 208));
    server.accept();
    server.want_these(&[("fluoro", "high")]);
    let newest = |s: &Server| s.single_indexes.values().max_by_key(|i| i.composed).map(|i| state(i, "fluoro"));
    server.until("its life", |s| newest(s) == Some(FeedState::Live));
    fails.store(true, Ordering::SeqCst);
    server.until("its death", |s| newest(s) == Some(FeedState::Lost));
    let said = server.single_indexes.len();
    server.until("its death, said again and again", |s| s.single_indexes.len() > said + 5);
    assert_eq!(newest(&server), Some(FeedState::Lost));
    fails.store(false, Ordering::SeqCst);
    server.until("its return", |s| newest(s) == Some(FeedState::Live));
    assert!(server.without_index.is_empty());
    server.stop();
}

#[test]
fn a_dead_main_feed_leaves_a_program_that_says_so_and_goes_on() {
    let (mut server, fails) = failing("field", (432, 242));
    server.accept();
    server.want(true);
    server.until("its life", |s| is_now(s, "field", FeedState::Live));
    fails.store(true, Ordering::SeqCst);
    let without = |s: &Server| s.indexes.values().filter(|i| died(i, "field")).count();
    server.until("frames without the main feed", |s| without(s) >= 10);
    server
        .until("insets that live on", |s| s.indexes.values().any(|i| died(i, "field") && state(i, "vitals") == FeedState::Live));
    fails.store(false, Ordering::SeqCst);
    server.until("its return", |s| is_now(s, "field", FeedState::Live));
    server.until("a picture of the main feed in time", |s| check_times(&s.in_order()) > 0);
    server.stop();
}

/// Waits for its device for as long as the test says, as a driver does, and has a bug.
struct Trouble {
    pictures: [Arc<Picture>; 2],
    hangs: Arc<(Mutex<bool>, Condvar)>,
    panics: Arc<AtomicBool>,
}

impl Source for Trouble {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        assert!(!self.panics.load(Ordering::SeqCst), "a driver's bug");
        let hangs = self.hangs.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.hangs.1.wait_while(hangs, |hangs| *hangs).unwrap_or_else(PoisonError::into_inner));
        Ok(self.pictures[k as usize % 2].clone())
    }
}

#[test]
fn a_slow_and_failing_feed_does_not_hold_up_the_others_and_comes_back() {
    let (hangs, panics) = (Arc::new((Mutex::new(false), Condvar::new())), Arc::new(AtomicBool::new(false)));
    let trouble = Trouble { pictures: breathing((512, 512)), hangs: hangs.clone(), panics: panics.clone() };
    let hang = |on: bool| {
        *hangs.0.lock().unwrap_or_else(PoisonError::into_inner) = on;
        hangs.1.notify_all();
    };
    let mut server = start("fluoro", trouble);
    server.accept();
    server.want(true);
    server.until("its life", |s| is_now(s, "fluoro", FeedState::Live));
    hang(true);
    server.until("the slow feed lost", |s| s.newest().is_some_and(|i| died(i, "fluoro")));
    // It hangs all the while: whoever waited for it would wait for ever.
    let so_far = server.newest().map_or(0, |i| i.composed);
    server.until("the others without it", |s| {
        let beside = |i: &&FrameIndex| ["field", "vitals"].iter().all(|f| state(i, f) == FeedState::Live);
        s.indexes.values().filter(|i| i.composed > so_far).filter(beside).count() > 25
    });
    assert!(is_now(&server, "fluoro", FeedState::Lost), "it hangs");
    hang(false);
    server.until("its return", |s| is_now(s, "fluoro", FeedState::Live));
    panics.store(true, Ordering::SeqCst);
    server.until("the bug", |s| {
        s.health.as_ref().is_some_and(|h| h.feeds.iter().any(|f| f.feed == "fluoro" && f.problem.contains("being restarted")))
    });
    panics.store(false, Ordering::SeqCst);
    server.until("its return", |s| is_now(s, "fluoro", FeedState::Live));
    server.stop();
}
