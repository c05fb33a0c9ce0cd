//! Puts the parts together: prepares every feed, lays out the program, runs link, sources and program on their threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use annotation::id::FeedId;
use link::id::CaseId;
use link::wire::FeedInfo;

use crate::board::Board;
use crate::clock::LocalClock;
use crate::config::{Config, FeedConfig};
use crate::display::child;
use crate::display::run::{Display, Screen};
use crate::display::worker::{InkDesk, Trial, Worker};
use crate::encode::level::Level;
use crate::encode::{EncoderKind, EncoderSettings};
use crate::feed::fit::{Fitted, single_size};
use crate::feed::ingest::{self, Desk, Published};
use crate::feed::last_run::{self, RunKeeper};
use crate::feed::unusable::Unusable;
use crate::feed::{self, FeedRun, Source, SourceInfo};
use crate::mask::Masking;
use crate::output::link::{Link, LinkConfig, LinkEnd, LinkHandle, Way};
use crate::picture::Geometry;
use crate::program::run::Program;
use crate::program::stage::{Actor, FURTHER_MAX, Stage};
use crate::program::{layers, layout};
use crate::ptz::{self, Cameras};
use crate::refusal::Refusal;
use crate::timing::case_clock::CaseClock;
use crate::timing::pace::Period;
use crate::tracker;
use crate::xray::XrayRule;

/// How long threads have to end once the engine stops.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Every feed opened and fitted to its place: the configuration is good.
pub struct Prepared {
    config: Config,
    stage: Stage,
    feeds: Vec<PreparedFeed>,
    settings: EncoderSettings,
    /// Of feeds beside the main one whose recordings cannot be read.
    faults: Vec<Refusal>,
    ink_trial: Option<Trial>,
    /// For the display's screen: this program's own file.
    program: PathBuf,
}

pub(crate) struct PreparedFeed {
    actor: Actor,
    rate: Period,
    offset_ns: i64,
    by_arrival: bool,
    /// Where the camera listens that its source simulates.
    camera: Option<SocketAddr>,
    is_file: bool,
    source: Fitted,
    xray: Option<XrayRule>,
    keeper: Option<RunKeeper>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({} feeds)", self.feeds.len())
    }
}

/// Opens and checks everything. The error is for a person; nothing runs yet.
pub fn prepare(config: Config) -> Result<Prepared, Refusal> {
    gstreamer::init().map_err(|e| {
        Refusal::new(
            "engine.gstreamer",
            format!("GStreamer does not start ({e}); install the gstreamer1.0 packages named in the README."),
        )
    })?;
    if gstreamer::ElementFactory::find(config.encoder.element()).is_none() {
        let element = config.encoder.element();
        return Err(Refusal::new(
            "engine.encoder-missing",
            format!("The encoder {element} is not installed; install its GStreamer plug-in or choose another encoder."),
        ));
    }
    let size = (config.program.width, config.program.height);
    let layout = config.layout()?;
    for layout in config.layouts.iter().chain([&layout]) {
        for rect in 0..layout.rects.len() {
            layout.pixels(rect, size).map_err(|e| Refusal::new("config.layout", format!("{e}; correct the layout.")))?;
        }
    }
    // The main feed first, the others as configured, what loops of them at the end.
    let mut ordered: Vec<_> = config.feeds.iter().collect();
    ordered.sort_by_key(|f| !f.main);
    let level = config.program.level;
    let mut opened: Vec<Opened> = Vec::new();
    let mut faults = Vec::new();
    let mut look_backs: Vec<Opened> = Vec::new();
    for feed in ordered {
        let time_code = config.time_code && feed.main;
        let prepared = match feed::prepare(&feed.source, time_code.then_some(Period::NTSC_30)) {
            Err(refusal) if !feed.main => go_on_without(feed, refusal, &mut faults)?,
            prepared => prepared?,
        };
        let keeper = config.keeps_last_run(feed).then(|| {
            let (keeper, run) = last_run::look_back(prepared.info());
            let config = feed.last_run();
            look_backs.push(Opened { config, prepared: Box::new(run), time_code: false, level, keeper: None });
            keeper
        });
        opened.push(Opened { config: feed.clone(), prepared, time_code, level, keeper });
    }
    opened.append(&mut look_backs);
    let actors = opened.iter().enumerate().map(|(n, o)| o.actor(n)).collect::<Result<Vec<_>, _>>()?;
    let stage = Stage::new(layout, size, actors.clone());
    let arrangement = stage.arrangement();
    let mut feeds = Vec::new();
    for (Opened { config: feed, prepared, time_code, keeper, .. }, actor) in opened.into_iter().zip(actors) {
        let picture = arrangement.feeds.iter().find(|f| f.feed == actor.feed).map(|f| f.place.picture);
        let place = picture.and_then(|p| Geometry::new(p.w, p.h));
        if picture.is_some() && place.is_none() {
            return Err(Refusal::new("config.layout", format!("The rectangle of feed {} is too small.", feed.id)));
        }
        let rate = prepared.info().period;
        // Who measured the delay of its path knows when its pictures were captured.
        let measured = prepared.arrives() && feed.offset_ms != 0.0;
        let by_arrival = prepared.is_by_arrival() && !measured;
        let camera = prepared.camera();
        let source = match Fitted::new(prepared, place, time_code, config.program.level) {
            Err(refusal) if !feed.main => {
                Fitted::new(go_on_without(&feed, refusal, &mut faults)?, place, time_code, config.program.level)?
            }
            source => source?,
        };
        let source = source.with_masks(Masking::of(&feed.id, &config.masks));
        let widths = [place.map(|p| p.width), Some(source.single_size().width)];
        if let Some(wide) = widths.into_iter().flatten().find(|w| time_code && !w.is_multiple_of(40)) {
            return Err(Refusal::new(
                "config.time-code",
                format!("The main feed is {wide} px wide; measuring mode needs a multiple of 40 in the layout and alone."),
            ));
        }
        feeds.push(PreparedFeed {
            actor,
            rate,
            offset_ns: (feed.offset_ms * 1e6) as i64,
            by_arrival,
            camera,
            is_file: feed.source.is_file(),
            source,
            xray: feed.xray_rule(),
            keeper,
        });
    }
    let period = feeds.first().map_or(Period::HZ_25, |f| f.rate);
    let settings = config.encoder_settings(period)?;
    let missing = config.display.as_ref().and_then(|d| d.missing());
    if let Some(missing) = &missing {
        tracing::error!(code = missing.code, "no display; the case goes on without");
    }
    faults.extend(missing);
    Ok(Prepared { config, stage, feeds, settings, faults, ink_trial: None, program: child::program() })
}

/// A source that was opened and has no place yet.
struct Opened {
    config: FeedConfig,
    prepared: Box<dyn feed::Prepared>,
    time_code: bool,
    level: Level,
    keeper: Option<RunKeeper>,
}

impl Opened {
    fn actor(&self, feed: usize) -> Result<Actor, Refusal> {
        let SourceInfo { native, period } = self.prepared.info();
        let single = single_size(native, self.level).map(|g| (g.width, g.height));
        let too_small = || Refusal::new("config.layout", format!("Feed {} is too small to be shown.", self.config.id));
        let (width, height) = native.or(single).ok_or_else(too_small)?;
        let info = FeedInfo {
            feed: self.config.id.as_str().to_owned(),
            kind: self.config.kind.clone(),
            name_ja: self.config.name_ja.clone(),
            name_en: self.config.name_en.clone(),
            width: width as u32,
            height: height as u32,
            period_us: period.duration().as_micros() as u32,
            curtain: self.config.behind_curtain(),
            ptz: self.config.ptz.is_some(),
        };
        Ok(Actor { feed, id: self.config.id.clone(), info, native, period: period.duration() })
    }
}

/// The sockets of the server and the case they serve.
#[derive(Debug, Clone)]
pub struct Dial {
    pub control: PathBuf,
    pub media: PathBuf,
    pub case: CaseId,
    pub way: Way,
}

/// Beside a good main picture the case goes on without a recording that cannot be read, and says so.
fn go_on_without(feed: &FeedConfig, refusal: Refusal, faults: &mut Vec<Refusal>) -> Result<Box<dyn feed::Prepared>, Refusal> {
    let unusable = Unusable::instead_of(&feed.source, refusal.clone())?;
    tracing::error!(feed = %feed.id, code = refusal.code, "a feed cannot be read; the others go on");
    faults.push(refusal);
    Ok(Box::new(unusable))
}

impl Prepared {
    /// Feeds that are lost from the start, while the others go on: the first one's refusal.
    pub fn fault(&self) -> Option<&Refusal> {
        self.faults.first()
    }

    /// Each feed and its configured offset, the main one first.
    pub fn offsets_ns(&self) -> Vec<(FeedId, i64)> {
        self.feeds.iter().map(|f| (f.actor.id.clone(), f.offset_ns)).collect()
    }

    /// Only the feeds, each picture as it comes: nothing is held back because X-ray is off.
    pub(crate) fn into_feeds(self) -> Vec<PreparedFeed> {
        self.feeds.into_iter().map(|f| PreparedFeed { xray: None, keeper: None, ..f }).collect()
    }

    /// Puts another source in a feed's place: a rehearsal lets feeds fail so.
    pub fn with_source(mut self, feed: &FeedId, source: Box<dyn Source>) -> Self {
        let put = |f: PreparedFeed, source| PreparedFeed { source: f.source.with_source(source), ..f };
        if let Some(n) = self.feeds.iter().position(|f| f.actor.id == *feed) {
            let f = self.feeds.remove(n);
            self.feeds.insert(n, put(f, source));
        }
        self
    }

    /// Called before the display's ink is painted: a rehearsal lets the ink's path fail or be slow so.
    pub fn with_ink_trial(self, trial: Trial) -> Self {
        Prepared { ink_trial: Some(trial), ..self }
    }

    /// Where the program is, when another one runs the engine: a test.
    pub fn with_program(self, program: &Path) -> Self {
        Prepared { program: program.to_owned(), ..self }
    }

    /// Cameras that can be turned, and where they listen.
    fn turned(&self) -> Vec<(FeedId, String)> {
        let simulated = |id: &FeedId| self.feeds.iter().find(|f| f.actor.id == *id)?.camera.map(|at| at.to_string());
        let one = |f: &FeedConfig| {
            let ptz = f.ptz.as_ref()?;
            let address = if ptz.is_simulated() { simulated(&f.id) } else { ptz.address().ok() };
            Some((f.id.clone(), address?))
        };
        self.config.feeds.iter().filter_map(one).collect()
    }

    /// Runs until `stop` becomes readable or ends (`Ok`), or until there is no server to be had.
    pub fn run(self, dial: Dial, stop: UnixStream) -> Result<(), LinkEnd> {
        let clock = LocalClock::start();
        let case_clock = Arc::new(CaseClock::new());
        let board = Arc::new(Board::new(self.feeds.len() + FURTHER_MAX));
        let turned = self.turned();
        let stage = self.stage;
        let arrangement = stage.arrangement();
        board.change(|state| {
            for (slot, f) in state.feeds.iter_mut().zip(&self.feeds) {
                slot.gaps = f.xray == Some(XrayRule::Gaps);
                slot.by_arrival = f.by_arrival;
            }
            state.timing = self.config.program.timing;
            for (feed, f) in self.feeds.iter().enumerate() {
                state.set_masked(feed, f.source.is_masked());
                state.put_behind_curtain(feed, f.actor.info.curtain);
            }
            state.arrange(arrangement);
        });
        let singles: Vec<_> = self.feeds.iter().map(|f| (f.actor.id.clone(), f.source.single_size(), f.rate)).collect();
        // Proposed only; unlike those of another engine by its start time.
        let plans = layers::plan(
            self.settings,
            self.config.program.level,
            &singles,
            (clock.now().0 >> 16) as u32 & !0xFF | 1,
            gstreamer::ElementFactory::find(EncoderKind::Vp8.element()).is_some(),
        );
        // The time code fills the program in one layout only.
        let layouts = if self.config.time_code { Vec::new() } else { layout::offered(&self.config.layouts) };
        let link_config = LinkConfig {
            control: dial.control,
            media: dial.media,
            case: dial.case,
            way: dial.way,
            engine: self.config.engine.clone(),
            feeds: self.feeds.iter().map(|f| f.actor.info.clone()).collect(),
            layers: plans.iter().map(|p| p.spec.clone()).collect(),
            layouts: layouts.iter().map(|l| l.name.clone()).collect(),
            masked: self.config.masks.iter().filter(|m| m.published).map(|m| m.feed.clone()).collect(),
        };
        let system = |e: std::io::Error| LinkEnd::System(e.to_string());
        let (published, messages) = ingest::channel();
        let (ear, words) = tracker::run::channel();
        let layers = link_config.layers.clone();
        let (link, handle) =
            Link::new(link_config, stop, clock, case_clock.clone(), board.clone(), published.clone(), ear).map_err(system)?;
        let display = self.config.display.clone().map(|config| (config, Screen::default(), Arc::new(InkDesk::default())));
        let ink = display.as_ref().map(|(_, _, ink)| ink.clone());
        let screen = display.as_ref().map(|(_, screen, _)| screen.clone());
        let cameras = Cameras::new(turned.iter().map(|(feed, _)| feed.clone()));
        let link = link.with_display(ink.clone()).with_cameras(cameras.clone());
        let desk = Desk::new(stage, layouts, layers, published.clone(), clock, case_clock.clone(), board.clone(), handle.clone())
            .with_masks(self.config.masks.clone());

        let (stills, jobs) = std::sync::mpsc::sync_channel(tracker::run::STILLS_MAX);
        // One word a still that was made: as bounded as they are.
        let (said, sent) = std::sync::mpsc::channel();
        let runner = tracker::run::Runner {
            clock,
            case_clock: case_clock.clone(),
            board: board.clone(),
            link: handle.clone(),
            words,
            stills,
            sent,
            display: ink.clone(),
        };
        let (still_board, still_link) = (board.clone(), handle.clone());

        let program = Program::new(
            plans,
            self.settings.size,
            self.config.align_bound(),
            clock,
            case_clock.clone(),
            board.clone(),
            handle.clone(),
        )
        .with_screen(screen.clone())
        .with_cameras(cameras.clone());
        let names: BTreeMap<_, _> = self
            .feeds
            .iter()
            .map(|f| (f.actor.info.feed.clone(), (f.actor.info.name_ja.clone(), f.actor.info.name_en.clone())))
            .collect();
        let mut threads = start_feeds(self.feeds, clock, &case_clock, &board, &handle, &published).map_err(system)?;
        threads.push(spawn("published".into(), move || desk.run(&messages)).map_err(system)?);
        threads.push(spawn("tracker".into(), move || runner.run()).map_err(system)?);
        threads
            .push(spawn("stills".into(), move || tracker::still::run(&still_board, &still_link, &jobs, &said)).map_err(system)?);
        threads.push(spawn("program".into(), move || program.run()).map_err(system)?);
        for (feed, address) in turned {
            let (cameras, board) = (cameras.clone(), board.clone());
            let body = move || ptz::run(&cameras, &feed, &address, clock, &board);
            threads.push(spawn("camera".into(), body).map_err(system)?);
        }
        if let Some((config, screen, ink)) = display {
            let worker = Worker {
                desk: ink.clone(),
                clock,
                case_clock: case_clock.clone(),
                link: handle.clone(),
                language: config.language,
                font: config.font.clone(),
                trial: self.ink_trial,
            };
            let board = board.clone();
            let display = Display {
                config,
                program: self.program,
                size: self.settings.size,
                screen,
                ink,
                board,
                clock,
                case_clock: case_clock.clone(),
                names,
            };
            threads.push(spawn("display-ink".into(), move || worker.run()).map_err(system)?);
            threads.push(spawn("display".into(), move || display.run()).map_err(system)?);
        }
        let result = link.run();
        board.stop();
        screen.iter().for_each(Screen::stop);
        ink.iter().for_each(|ink| ink.stop());
        // A source may hang in somebody else's code; the engine does not wait for it.
        let until = clock.now().saturating_add(STOP_MAX);
        while threads.iter().any(|t| !t.is_finished()) && clock.now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        result
    }
}

/// Each feed's thread.
pub(crate) fn start_feeds(
    feeds: Vec<PreparedFeed>,
    clock: LocalClock,
    case_clock: &Arc<CaseClock>,
    board: &Arc<Board>,
    link: &LinkHandle,
    published: &Published,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let start = |(index, f): (usize, PreparedFeed)| {
        let name = f.actor.id.to_string();
        let run = FeedRun {
            feed: index,
            id: f.actor.id.clone(),
            source: f.source,
            period: f.rate,
            offset_ns: f.offset_ns,
            is_file: f.is_file,
            xray: f.xray,
            keeper: f.keeper,
            link: link.clone(),
            published: published.clone(),
        };
        let (case_clock, board) = (case_clock.clone(), board.clone());
        spawn(format!("feed-{name}"), move || feed::run(run, clock, &case_clock, &board))
    };
    feeds.into_iter().enumerate().map(start).collect()
}

/// Starts a thread; its name is cut to what the system keeps.
fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.chars().take(15).collect()).spawn(body)
}
