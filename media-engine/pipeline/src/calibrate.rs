//! `shirube-engine calibrate`: lets two feeds look at one light, and says how much later one of them shows it.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::id::CaseId;

use crate::board::Board;
use crate::clock::LocalClock;
use crate::engine::{Prepared, start_feeds};
use crate::feed::ingest;
use crate::output::link::{Link, LinkConfig};
use crate::picture::Picture;
use crate::refusal::Refusal;
use crate::timing::calibrate::{GRID, Look, Measured, edges, offset};
use crate::timing::case_clock::CaseClock;
use crate::tracker;

/// How often new pictures are looked for: the board keeps 250 ms of them.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Every fourth pixel of every fourth row.
const STEP: usize = 4;

/// What is to be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub feed: FeedId,
    pub against: FeedId,
    pub measured: Measured,
    /// For the feed's configuration.
    pub offset_ms: f64,
}

impl Calibration {
    /// For a person: what was found, and the line of the configuration.
    pub fn text(&self) -> String {
        let Measured { offset_ns, uncertainty_ns, agree, seen } = self.measured;
        let (later, uncertain) = (offset_ns as f64 / 1e6, uncertainty_ns as f64 / 1e6);
        let (feed, against) = (&self.feed, &self.against);
        let (ms, word) = (later.abs(), if later < 0.0 { "earlier" } else { "later" });
        format!(
            "{feed} shows what {against} shows {ms:.1} ms {word} than its configured offset says, ± {uncertain:.1} ms ({agree} of {seen} changes of light agree).\n\
             In the configuration of feed {feed}:\n\
             offset_ms = {:.1}",
            self.offset_ms
        )
    }
}

/// Watches both feeds for so long and compares them. `against`: the feed whose time is believed; `None`: the main one.
pub fn calibrate(prepared: Prepared, feed: &FeedId, against: Option<&FeedId>, watched: Duration) -> Result<Calibration, Refusal> {
    let refuse = |message: String| Refusal::new("engine.calibrate", message);
    let system = |e: std::io::Error| refuse(format!("Threads or sockets cannot be made ({e}); try again."));
    let offsets = prepared.offsets_ns();
    let against = against.or(offsets.first().map(|f| &f.0)).cloned().unwrap_or_else(FeedId::program);
    let find = |id: &FeedId| {
        let at = offsets.iter().position(|f| f.0 == *id);
        at.ok_or_else(|| refuse(format!("There is no feed {id} in the configuration; name one of it.")))
    };
    let (measured, reference) = (find(feed)?, find(&against)?);
    if measured == reference {
        return Err(refuse(format!("A feed cannot be compared with itself; name another one than {feed} with --against.")));
    }
    let clock = LocalClock::start();
    let now = clock.now();
    let case_clock = Arc::new(CaseClock::new());
    case_clock.handle_exchange(now, now, now, now);
    let board = Arc::new(Board::new(offsets.len()));
    if let Some((_, generation)) = case_clock.stamp(now) {
        board.begin_generation(generation);
    }
    // Nobody is dialled: the feeds only need somebody to talk to.
    let (_stop, engine_stop) = UnixStream::pair().map_err(system)?;
    let nobody = LinkConfig {
        control: "/dev/null".into(),
        media: "/dev/null".into(),
        case: CaseId::parse("calibrate").map_err(|e| refuse(e.to_string()))?,
        engine: String::new(),
        feeds: Vec::new(),
        layers: Vec::new(),
        layouts: Vec::new(),
        masked: Vec::new(),
    };
    let (published, _messages) = ingest::channel();
    let (ear, _words) = tracker::run::channel();
    let (_link, handle) =
        Link::new(nobody, engine_stop, clock, case_clock.clone(), board.clone(), published.clone(), ear).map_err(system)?;
    let threads = start_feeds(prepared.into_feeds(), clock, &case_clock, &board, &handle, &published).map_err(system)?;
    let until = now.saturating_add(watched);
    let mut looks: [Vec<Look>; 2] = Default::default();
    while clock.now() < until && !board.sleep(LOOK_EVERY) {
        for (looks, n) in looks.iter_mut().zip([measured, reference]) {
            let last = looks.last().map(|l| l.at);
            let new = board.read(|s| {
                let frames = s.feeds.get(n).map(|slot| slot.frames.iter()).into_iter().flatten();
                let new = frames.filter(|f| last.is_none_or(|last| f.capture > last));
                new.filter_map(|f| Some((f.capture, f.own.clone()?))).collect::<Vec<_>>()
            });
            looks.extend(new.iter().map(|(at, picture)| look(*at, picture)));
        }
    }
    board.stop();
    threads.into_iter().filter(|t| t.is_finished()).for_each(|t| drop(t.join()));
    let found = offset(&edges(&looks[0]), &edges(&looks[1])).map_err(|e| refuse(format!("Nothing was measured: {e}.")))?;
    // Both were stamped as configured: what is left is to be added.
    let offset_ms = (offsets[measured].1 + found.offset_ns) as f64 / 1e6;
    Ok(Calibration { feed: feed.clone(), against, measured: found, offset_ms })
}

fn look(at: CaptureTime, picture: &Picture) -> Look {
    let size = picture.geometry();
    let luma = picture.plane(0);
    let mut sums = [(0u32, 0u32); GRID * GRID];
    for (y, row) in luma.data.chunks(luma.stride.max(1)).take(size.height).enumerate().step_by(STEP) {
        for (x, &p) in row.iter().take(size.width).enumerate().step_by(STEP) {
            let (sum, n) = &mut sums[y * GRID / size.height * GRID + x * GRID / size.width];
            (*sum, *n) = (*sum + u32::from(p), *n + 1);
        }
    }
    Look { at, parts: sums.map(|(sum, n)| sum as f32 / n.max(1) as f32) }
}
