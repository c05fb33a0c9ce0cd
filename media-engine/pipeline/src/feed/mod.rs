//! Sources of pictures, each behind one small trait and on a thread of its own.
//!
//! Life of a source: [`prepare`] opens it and finds what is wrong with it (a configuration error); [`Prepared::fit`] makes it
//! deliver at its final size; [`run`] paces it: a picture is made ready, awaits its scheduled time, is stamped with that
//! time and handed to the board; pictures of a source that arrives by itself ([`arriving`]) are taken and stamped as they come. A source that fails later says so in a sentence and is tried again; one that is not the main
//! feed's may be broken from the start ([`unusable`]).

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use link::wire::to_server;

use self::arriving::{Arrived, Arriving};
use self::fit::{Fitted, Shot};
use self::ingest::{Message, Published};
use self::last_run::RunKeeper;
use self::vitals_data::Said;
use crate::board::{Board, CapturedFrame, Heard};
use crate::clock::LocalClock;
use crate::figures::Watcher;
use crate::health::Beam;
use crate::output::link::LinkHandle;
use crate::picture::{Geometry, NEUTRAL_CHROMA, Picture, PicturePool};
use crate::refusal::Refusal;
use crate::timing::case_clock::CaseClock;
use crate::timing::pace::{Pace, Period, Times};
use crate::timing::tc48;
use crate::xray::{Verdict, XrayRule, XrayWatch};

pub use crate::config::source::{SourceConfig, View};

pub mod arriving;
pub mod dicom;
pub mod file;
pub mod fit;
pub mod ingest;
pub mod last_run;
pub mod live_vitals;
mod order;
pub mod synthetic_field;
pub mod synthetic_fluoro;
pub mod synthetic_room;
mod thirst;
pub mod unusable;
pub mod vitals;
pub mod vitals_data;

/// How long a failed source rests before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a picture that comes by itself is awaited before the thread looks around.
const ARRIVAL_WAIT: Duration = Duration::from_millis(100);
/// Pictures of a new size that are let go while the program arranges itself for it.
const ARRANGING_MAX: u32 = 15;

/// What a source says of itself once opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceInfo {
    /// Width and height of its own picture; `None`: it is drawn to measure.
    pub native: Option<(usize, usize)>,
    pub period: Period,
}

/// Opened and found good.
pub trait Prepared: Send {
    fn info(&self) -> SourceInfo;
    /// A source of pictures of this size. May be asked for several.
    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal>;

    /// Nobody knows when its pictures were captured: they are stamped when they arrive, by a path of unknown delay.
    fn is_by_arrival(&self) -> bool {
        false
    }

    /// What it shows changes until then, and a picture is soon made: it is begun so long before its time. `None`: a period ahead.
    fn lead(&self) -> Option<Duration> {
        None
    }

    /// Where its simulated camera listens for VISCA.
    fn camera(&self) -> Option<SocketAddr> {
        None
    }

    /// Do its pictures come by themselves, instead of by our schedule?
    fn arrives(&self) -> bool {
        false
    }

    /// Then this is who delivers them; to be opened by the thread that takes them.
    fn arriving(&self, _clock: LocalClock) -> Option<Box<dyn Arriving>> {
        None
    }
}

/// Delivers pictures of one size, one a period.
pub trait Source: Send {
    /// Picture `k` of the schedule, rising; numbers may be skipped. May take up to a period. The error is one sentence for
    /// a person; afterwards it is called again.
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String>;

    /// What it knows of the picture it gave last.
    fn word(&self) -> Word {
        Word::default()
    }

    /// Width and height that its device delivers now, where that is not what it was opened with.
    fn native(&self) -> Option<(usize, usize)> {
        None
    }

    /// Vital signs that came with the last pictures, as data.
    fn vitals(&mut self) -> Vec<Said> {
        Vec::new()
    }

    /// When its pictures are due, if not one a period.
    fn times(&self) -> Option<Arc<Times>> {
        None
    }
}

/// What a source knows of a picture beside its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// Of X-ray; `Off`: the picture is the held last image.
    pub beam: Option<Beam>,
    /// It was captured then, and is played again now.
    pub origin: Option<CaptureTime>,
}

/// Opens a source. `period`: the cadence asked of sources that have none of their own.
pub fn prepare(config: &SourceConfig, period: Option<Period>) -> Result<Box<dyn Prepared>, Refusal> {
    if let Some(arriving) = arriving::PreparedArriving::open(config) {
        if period.is_some() {
            return Err(Refusal::new(
                "config.time-code",
                "A main feed that arrives by itself carries no time code of ours; measure with a file or a generated scene.",
            ));
        }
        return Ok(Box::new(arriving?));
    }
    Ok(match config {
        SourceConfig::File { path } => Box::new(file::PreparedFile::open(path, period)?),
        SourceConfig::Dicom { path, rest_s } => Box::new(dicom::PreparedCine::open(path)?.with_rest(*rest_s)),
        SourceConfig::Wfdb { path, view } => Box::new(vitals::PreparedVitals::wfdb(path, *view)?),
        SourceConfig::Mfer { path, view } => Box::new(vitals::PreparedVitals::mfer(path, *view)?),
        SourceConfig::DicomWaveform { path, view } => Box::new(vitals::PreparedVitals::dicom(path, *view)?),
        SourceConfig::SyntheticVitals => Box::new(vitals::PreparedVitals::synthetic()),
        SourceConfig::Hl7 { listen, alarms, synchronised } => {
            Box::new(live_vitals::PreparedLive::hl7(*listen, *alarms, *synchronised)?)
        }
        SourceConfig::Sdc { path, alarms } => Box::new(live_vitals::PreparedLive::sdc(path, *alarms)?),
        SourceConfig::SyntheticField => Box::new(synthetic_field::PreparedField::new(period.unwrap_or(Period::HZ_25))),
        SourceConfig::SyntheticRoom => Box::new(synthetic_room::PreparedRoom::open()?),
        SourceConfig::SyntheticFluoro { rest_s } => Box::new(synthetic_fluoro::PreparedFluoro::new(Period::HZ_30, *rest_s)),
        SourceConfig::Rtsp(_)
        | SourceConfig::Srt(_)
        | SourceConfig::Rtp(_)
        | SourceConfig::V4l2(_)
        | SourceConfig::Decklink(_) => unreachable!("it arrives by itself"),
    })
}

/// Burns TC48 into a source's pictures: at their scheduled capture, before any queue.
#[derive(Debug)]
pub struct TimeCodeBurner {
    pool: PicturePool,
}

impl TimeCodeBurner {
    pub fn new(size: Geometry) -> Self {
        TimeCodeBurner { pool: PicturePool::new(size) }
    }

    /// A copy of `picture` that carries its capture time (case timeline) and the low 16 bits of `k`.
    pub fn burn(&mut self, picture: &Picture, capture: CaptureTime, k: u64) -> Arc<Picture> {
        let code = tc48::TimeCode { unix_ms: capture.unix_ms_low32(), counter: (k & 0xFFFF) as u16 };
        self.pool.draw(|out| {
            out.copy_from(picture);
            let width = out.geometry().width;
            let Some([(luma, stride), chroma @ ..]) = out.planes_mut() else { return };
            if tc48::encode(luma, stride, width, code) {
                // Neutral under the blocks, so that whoever reads by way of RGB sees black and white too.
                let (left, half) = (width / 80, width / 40 / 2);
                for (plane, stride) in chroma {
                    for row in plane.chunks_mut(stride).skip(half).take(2 * half) {
                        row[left..left + 32 * half].fill(NEUTRAL_CHROMA);
                    }
                }
            }
        })
    }
}

/// The main feed of measuring mode: 1280 x 720 at 30000/1001, TC48 burnt in. The engine and the baseline it is measured
/// against take their pictures from the same one.
pub struct MeasuringSource {
    source: Box<dyn Source>,
    burner: TimeCodeBurner,
}

impl std::fmt::Debug for MeasuringSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeasuringSource")
    }
}

impl MeasuringSource {
    pub const PERIOD: Period = Period::NTSC_30;

    /// `video`: a clip whose pictures are re-timed; `None`: the generated scene. GStreamer must be initialised.
    pub fn new(video: Option<&std::path::Path>) -> Result<Self, Refusal> {
        let config = match video {
            Some(path) => SourceConfig::File { path: path.to_owned() },
            None => SourceConfig::SyntheticField,
        };
        let size = Geometry { width: 1280, height: 720 };
        let source = prepare(&config, Some(Self::PERIOD))?.fit(size)?;
        Ok(MeasuringSource { source, burner: TimeCodeBurner::new(size) })
    }

    /// Picture `k`, which carries `capture`. Make it ready ahead, show it at `capture`.
    pub fn picture(&mut self, k: u64, capture: CaptureTime) -> Result<Arc<Picture>, String> {
        let picture = self.source.picture(k)?;
        Ok(self.burner.burn(&picture, capture, k))
    }
}

/// What the thread of one feed needs.
pub struct FeedRun {
    /// Index on the board.
    pub feed: usize,
    pub id: FeedId,
    pub source: Fitted,
    pub period: Period,
    /// Fixed delay of the capture path: what is seen now was captured so much earlier.
    pub offset_ns: i64,
    /// The names of its trouble stay in the room.
    pub is_file: bool,
    /// Of a fluoroscopy: how X-ray off shows, and who keeps its last run.
    pub xray: Option<XrayRule>,
    pub keeper: Option<RunKeeper>,
    /// Where its vital signs go as data.
    pub link: LinkHandle,
    /// Who arranges the program when its size changes.
    pub published: Published,
}

impl std::fmt::Debug for FeedRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FeedRun({})", self.id)
    }
}

/// Takes pictures of one source, by its schedule or as they come, until the engine stops. Runs on its own thread.
pub fn run(mut run: FeedRun, clock: LocalClock, case_clock: &CaseClock, board: &Board) {
    let mut pace: Option<Pace> = None;
    let mut watcher = Watcher::default();
    let mut xray = XrayWatch::new(run.xray);
    let mut size = Size::default();
    let broken = || "The program part that reads this feed failed; it is being restarted.".to_owned();
    let mut told = String::new();
    while !board.is_stopped() {
        // Nothing can be stamped before the first exchange of clocks.
        if case_clock.stamp(clock.now()).is_none() {
            board.sleep(Duration::from_millis(5));
            continue;
        }
        let start = || Pace::new(clock.now().saturating_add(run.period.duration()), run.period).with_times(run.source.times());
        let pace = pace.get_or_insert_with(start);
        let mut fail = |problem: String, rest: Duration, pace: &mut Pace| {
            if told != problem {
                tracing::warn!(feed = %run.id, problem, "feed failed");
                told.clone_from(&problem);
            }
            // The console above says which file it is; pages and vendor are told the kind of it.
            let said =
                if run.is_file && problem != broken() { link::problem::kind(&problem) } else { link::problem::outside(&problem) };
            board.set_problem(run.feed, said);
            board.sleep(rest);
            pace.advance(clock.now());
        };
        // Who arrives by himself is awaited; the others are made ready ahead of their time.
        let mut arrived = None;
        if run.source.arrives() {
            let took = catch_unwind(AssertUnwindSafe(|| run.source.take(clock, ARRIVAL_WAIT)));
            match took.unwrap_or_else(|_| Err((broken(), RETRY_AFTER))) {
                Ok(Some(picture)) if size.is_arranged(&run, &picture, board) => arrived = Some(picture),
                Ok(_) => continue,
                Err((problem, rest)) => {
                    fail(problem, rest, pace);
                    continue;
                }
            }
        }
        if let Some(lead) = run.source.lead() {
            let wait = pace.due().since(clock.now()).saturating_sub(lead);
            if !wait.is_zero() && board.sleep(wait) {
                return;
            }
        }
        let came = arrived.as_ref().map_or(pace.due(), |a| a.came);
        let captured = arrived.as_ref().map_or(pace.due(), |a| a.capture).offset_ns(-run.offset_ns);
        let scheduled = case_clock.stamp(captured).map(|(capture, _)| capture);
        let wish = board.read(|state| state.feeds.get(run.feed).map(|f| (f.place, f.single_wanted, f.is_covered())));
        let Some((place, single, covered)) = wish else {
            tracing::error!(feed = %run.id, "the feed is not on the board");
            return;
        };
        // Behind the curtain the source runs on and nothing is made of its pictures.
        let (place, single) = if covered { (None, false) } else { (place, single) };
        let made = catch_unwind(AssertUnwindSafe(|| match &arrived {
            Some(arrived) => run.source.shot_of(arrived, place, single),
            None => run.source.shot(pace.k(), scheduled, place, single),
        }));
        let shot = match made.unwrap_or_else(|_| Err(broken())) {
            Ok(shot) => shot,
            Err(problem) => {
                fail(problem, RETRY_AFTER, pace);
                continue;
            }
        };
        told.clear();
        let word = run.source.word();
        let said = run.source.vitals();
        let glance = shot.picture.as_ref().map(|p| watcher.look(p)).unwrap_or_default();
        let ahead = came.since(clock.now());
        if !ahead.is_zero() && board.sleep(ahead) {
            return;
        }
        let (Some((capture, generation)), Some((came, _))) = (case_clock.stamp(captured), case_clock.stamp(came)) else {
            continue;
        };
        for said in said {
            let vitals = said.on_wire(run.id.as_str(), capture);
            // Nobody misses what was measured before there was a link.
            if board.read(|s| s.wishes.up.is_some()) && run.link.send_control(to_server::Body::Vitals(vitals)).is_none() {
                tracing::debug!(feed = %run.id, "vital signs not sent: the server does not read");
            }
        }
        let heard = |off, single| Heard { at: came, off, single, glance };
        if covered {
            board.hear(run.feed, generation, heard(None, None));
            pace.advance(clock.now());
            continue;
        }
        if let Some(size) = shot.unmasked {
            board.hear_unmasked(run.feed, generation, came, size);
            pace.advance(clock.now());
            continue;
        }
        match xray.look(shot.picture.as_ref(), glance.black, word.beam, capture) {
            Verdict::Show => {
                if let (Some(keeper), Some(picture)) = (&mut run.keeper, &shot.picture) {
                    keeper.handle_picture(capture, picture);
                }
                let Shot { placed: picture, single, picture: own, .. } = shot;
                let frame = CapturedFrame { capture, came, origin: word.origin, picture, single, own, glance };
                board.put(run.feed, generation, frame);
            }
            Verdict::Keep => board.hear(run.feed, generation, heard(None, None)),
            Verdict::Off { last } => {
                run.keeper.iter_mut().for_each(|k| k.handle_off(last));
                board.hear(run.feed, generation, heard(Some(last), shot.single));
            }
        }
        let skipped = pace.advance(clock.now());
        if skipped > 0 && arrived.is_none() {
            tracing::debug!(feed = %run.id, skipped, "behind the schedule");
        }
    }
}

/// The size of a source that may change it.
#[derive(Debug, Default)]
struct Size {
    told: Option<(usize, usize)>,
    waited: u32,
}

impl Size {
    /// Is the program arranged for a picture of this size? Until it is, one would stand in it distorted.
    fn is_arranged(&mut self, run: &FeedRun, arrived: &Arrived, board: &Board) -> bool {
        let native = (arrived.native.0 as u32, arrived.native.1 as u32);
        if self.told != Some(arrived.native) {
            self.waited = 0;
            if run.published.send(Message::Size { feed: run.id.clone(), width: native.0, height: native.1 }) {
                self.told = Some(arrived.native);
            }
        }
        if board.read(|state| state.arrangement.find(run.feed).is_some_and(|f| f.native == native)) {
            return true;
        }
        self.waited += 1;
        self.waited > ARRANGING_MAX
    }
}
