//! Two feeds that look at one light: the command's own measurement, through real threads and stamps.

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use pipeline::calibrate::calibrate;
use pipeline::config::Config;
use pipeline::engine;
use pipeline::feed::Source;
use pipeline::picture::{Geometry, Picture};
use server::CONFIG;

/// A feed that shows a light `later` than it is. Its pictures are asked for ahead, each not before the one before it is shown: so the grid
/// on which they are shown begins no later than any of these says. On a machine that is busy the first may say too late a time.
struct Light {
    began: Instant,
    first: Option<Duration>,
    period: Duration,
    later: Duration,
    dark: Arc<Picture>,
    lit: Arc<Picture>,
}

impl Light {
    fn new(began: Instant, hz: f64, later_ms: u64) -> Box<Self> {
        let size = Geometry::new(64, 48).expect("even");
        let mut lit = Picture::black(size);
        let [(luma, stride), ..] = lit.planes_mut().expect("own");
        luma.chunks_mut(stride).skip(20).take(20).for_each(|row| row[30..50].fill(200));
        let (period, later) = (Duration::from_secs_f64(1.0 / hz), Duration::from_millis(later_ms));
        Box::new(Light { began, first: None, period, later, dark: Arc::new(Picture::black(size)), lit: Arc::new(lit) })
    }
}

impl Source for Light {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let due = self.period * u32::try_from(k).expect("short");
        let said = (self.began.elapsed() + self.period).saturating_sub(due);
        let first = self.first.map_or(said, |first| first.min(said));
        self.first = Some(first);
        let shows = (first + due).saturating_sub(self.later);
        // On and off at times that never repeat within the test.
        let s = shows.as_secs_f64();
        let on = (s * 2.3).fract() < 0.5 || ((s * 0.71).fract() < 0.2);
        Ok(if on { self.lit.clone() } else { self.dark.clone() })
    }
}

#[test]
fn a_feed_that_is_later_is_found_to_be_by_as_much_as_it_is() {
    let config = CONFIG.replace("main = true", "main = true\n    offset_ms = 10");
    let id = |text: &str| FeedId::parse(text).expect("an id");
    let measure = |s: u64| {
        let prepared = engine::prepare(Config::parse(&config).expect("good")).expect("good");
        let began = Instant::now();
        // The field is later by what is configured for it: the fluoroscopy is believed to be at 0, and is at 100.
        let prepared = prepared.with_source(&id("field"), Light::new(began, 25.0, 10));
        let prepared = prepared.with_source(&id("fluoro"), Light::new(began, 30.0, 100));
        calibrate(prepared, &id("fluoro"), None, Duration::from_secs(s))
    };
    // Where it missed too many pictures it says that nothing was measured, and is to be asked again, for longer.
    let found = [9, 12, 18, 27].into_iter().find_map(|s| measure(s).ok()).expect("measured");
    let error = (found.offset_ms - 100.0).abs();
    let uncertain = found.measured.uncertainty_ns as f64 / 1e6;
    assert!(error <= uncertain + 2.0 && error < 50.0, "{found:?}");
    assert!(found.text().contains(&format!("offset_ms = {:.1}", found.offset_ms)), "{}", found.text());
}

#[test]
fn what_cannot_be_compared_says_so() {
    let id = |text: &str| FeedId::parse(text).expect("an id");
    let run = |feed: &str, against: Option<&str>| {
        let prepared = engine::prepare(Config::parse(CONFIG).expect("good")).expect("good");
        calibrate(prepared, &id(feed), against.map(id).as_ref(), Duration::from_millis(300)).expect_err("refused")
    };
    assert!(run("field", None).message.contains("itself"));
    assert!(run("nobody", None).message.contains("no feed nobody"));
    assert!(run("vitals", Some("field")).message.contains("shows no flash"));
}
