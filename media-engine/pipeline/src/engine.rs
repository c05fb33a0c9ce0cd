//! Puts the parts together: prepares every feed, lays out the program, runs link, sources and program on their threads.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use annotation::id::FeedId;
use link::id::CaseId;
use link::wire::FeedInfo;

use crate::board::Board;
use crate::clock::LocalClock;
use crate::config::Config;
use crate::encode::EncoderSettings;
use crate::feed::fit::Fitted;
use crate::feed::ingest::{self, Desk};
use crate::feed::{self, FeedRun, Source};
use crate::output::link::{Link, LinkConfig, LinkEnd};
use crate::picture::Geometry;
use crate::program::layers;
use crate::program::layout::{Layout, Place, letterbox};
use crate::program::run::Program;
use crate::program::stage::{Actor, FURTHER_MAX, Stage};
use crate::refusal::Refusal;
use crate::timing::case_clock::CaseClock;
use crate::timing::pace::Period;

/// How long threads have to end once the engine stops.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Every feed opened and fitted to its place: the configuration is good.
pub struct Prepared {
    config: Config,
    layout: Layout,
    feeds: Vec<PreparedFeed>,
    settings: EncoderSettings,
}

struct PreparedFeed {
    info: FeedInfo,
    place: Place,
    period: Period,
    offset_ns: i64,
    native: Option<(usize, usize)>,
    source: Fitted,
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
    let layout = config.layout()?;
    if layout.rects.len() < config.feeds.len() {
        let (name, rects, feeds) = (&layout.name, layout.rects.len(), config.feeds.len());
        return Err(Refusal::new(
            "config.layout",
            format!("Layout {name} has {rects} rectangles for {feeds} feeds; choose another or add a [[layout]]."),
        ));
    }
    // Layout order: the main feed first, the others as configured.
    let mut ordered: Vec<_> = config.feeds.iter().collect();
    ordered.sort_by_key(|f| !f.main);

    let size = (config.program.width, config.program.height);
    let mut feeds = Vec::new();
    for (n, feed) in ordered.into_iter().enumerate() {
        let asked = (config.time_code && feed.main).then_some(Period::NTSC_30);
        let prepared = feed::prepare(&feed.source, asked)?;
        let info = prepared.info();
        let rect = layout.pixels(n, size).map_err(|e| Refusal::new("config.layout", format!("{e}; correct the layout.")))?;
        let picture = letterbox(rect, info.native);
        let geometry = Geometry::new(picture.w, picture.h)
            .ok_or_else(|| Refusal::new("config.layout", format!("The rectangle of feed {} is too small.", feed.id)))?;
        let time_code = config.time_code && feed.main;
        let source = Fitted::new(prepared, geometry, time_code)?;
        let single = source.single_size();
        let (width, height) = info.native.unwrap_or((single.width, single.height));
        if let Some(wide) = [picture.w, single.width].into_iter().find(|w| time_code && !w.is_multiple_of(40)) {
            return Err(Refusal::new(
                "config.time-code",
                format!("The main feed is {wide} px wide; measuring mode needs a multiple of 40 in the layout and alone."),
            ));
        }
        feeds.push(PreparedFeed {
            info: FeedInfo {
                feed: feed.id.as_str().to_owned(),
                kind: feed.kind.clone(),
                name_ja: feed.name_ja.clone(),
                name_en: feed.name_en.clone(),
                width: width as u32,
                height: height as u32,
                period_us: info.period.duration().as_micros() as u32,
            },
            place: Place { feed: feed.id.clone(), picture },
            period: info.period,
            offset_ns: (feed.offset_ms * 1e6) as i64,
            native: info.native,
            source,
        });
    }
    let period = feeds.first().map_or(Period::HZ_25, |f| f.period);
    let settings = config.encoder_settings(period)?;
    Ok(Prepared { config, layout, feeds, settings })
}

/// The sockets of the server and the case they serve.
#[derive(Debug, Clone)]
pub struct Dial {
    pub control: PathBuf,
    pub media: PathBuf,
    pub case: CaseId,
}

impl Prepared {
    /// Puts another source in a feed's place: a rehearsal lets feeds fail so.
    pub fn with_source(mut self, feed: &FeedId, source: Box<dyn Source>) -> Self {
        let put = |f: PreparedFeed, source| PreparedFeed { source: f.source.with_source(source), ..f };
        if let Some(n) = self.feeds.iter().position(|f| f.place.feed == *feed) {
            let f = self.feeds.remove(n);
            self.feeds.insert(n, put(f, source));
        }
        self
    }

    /// Runs until `stop` becomes readable or ends (`Ok`), or until there is no server to be had.
    pub fn run(self, dial: Dial, stop: UnixStream) -> Result<(), LinkEnd> {
        let clock = LocalClock::start();
        let case_clock = Arc::new(CaseClock::new());
        let board = Arc::new(Board::new(self.feeds.len() + FURTHER_MAX));
        let own = self.feeds.iter().enumerate().map(|(feed, f)| Actor {
            feed,
            id: f.place.feed.clone(),
            info: f.info.clone(),
            native: f.native,
            period: f.period.duration(),
        });
        let stage = Stage::new(self.layout, (self.settings.size.width, self.settings.size.height), own.collect());
        let arrangement = Arc::new(stage.arrangement());
        board.change(|state| {
            for f in &arrangement.feeds {
                state.feeds[f.feed].place = Geometry::new(f.place.picture.w, f.place.picture.h);
            }
            state.arrangement = arrangement;
        });
        let singles: Vec<_> = self.feeds.iter().map(|f| (f.place.feed.clone(), f.source.single_size(), f.period)).collect();
        // Proposed only; unlike those of another engine by its start time.
        let plans = layers::plan(self.settings, &singles, (clock.now().0 >> 16) as u32 & !0xFF | 1);
        let link_config = LinkConfig {
            control: dial.control,
            media: dial.media,
            case: dial.case,
            engine: self.config.engine.clone(),
            feeds: self.feeds.iter().map(|f| f.info.clone()).collect(),
            layers: plans.iter().map(|p| p.spec.clone()).collect(),
        };
        let system = |e: std::io::Error| LinkEnd::System(e.to_string());
        let (published, messages) = ingest::channel();
        let layers = link_config.layers.clone();
        let (link, handle) =
            Link::new(link_config, stop, clock, case_clock.clone(), board.clone(), published.clone()).map_err(system)?;
        let desk = Desk::new(stage, layers, published, clock, case_clock.clone(), board.clone(), handle.clone());

        let program =
            Program::new(plans, self.settings.size, self.config.align_bound(), clock, case_clock.clone(), board.clone(), handle);
        let mut threads = Vec::new();
        for (index, f) in self.feeds.into_iter().enumerate() {
            let name = f.place.feed.to_string();
            let run = FeedRun { feed: index, name: name.clone(), source: f.source, period: f.period, offset_ns: f.offset_ns };
            let (case_clock, board) = (case_clock.clone(), board.clone());
            threads.push(spawn(format!("feed-{name}"), move || feed::run(run, clock, &case_clock, &board)).map_err(system)?);
        }
        threads.push(spawn("published".into(), move || desk.run(&messages)).map_err(system)?);
        threads.push(spawn("program".into(), move || program.run()).map_err(system)?);
        let result = link.run();
        board.stop();
        // A source may hang in somebody else's code; the engine does not wait for it.
        let until = clock.now().saturating_add(STOP_MAX);
        while threads.iter().any(|t| !t.is_finished()) && clock.now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        result
    }
}

/// Starts a thread; its name is cut to what the system keeps.
fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.chars().take(15).collect()).spawn(body)
}
