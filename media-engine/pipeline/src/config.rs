//! What the engine is told: feeds, program, encoder. One grammar; `--demo` is the same values made in code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annotation::id::FeedId;
use serde::Deserialize;

use crate::display::DisplayConfig;
use crate::encode::level::Level;
use crate::encode::{EncoderKind, EncoderSettings};
use crate::feed::{SourceConfig, View, last_run};
use crate::mask::MaskConfig;
use crate::picture::Geometry;
use crate::program::align::Timing;
use crate::program::layout::{self, Layout};
use crate::ptz::{PtzConfig, SIMULATED};
use crate::refusal::Refusal;
use crate::timing::pace::Period;
use crate::xray::XrayRule;

pub mod source;

const FEEDS_MAX: usize = 8;
/// How long X-ray is off between two runs of the demo.
const DEMO_REST_S: u32 = 6;
const FLUOROSCOPY: &str = "fluoroscopy";
const ROOM_CAMERA: &str = "room-camera";

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of this engine, for people.
    #[serde(default = "default_engine")]
    pub engine: String,
    #[serde(default)]
    pub encoder: EncoderKind,
    pub program: ProgramConfig,
    /// Layouts besides the built-in ones.
    #[serde(default, rename = "layout")]
    pub layouts: Vec<Layout>,
    #[serde(rename = "feed")]
    pub feeds: Vec<FeedConfig>,
    /// Over what identifies a patient and is burnt into pictures.
    #[serde(default, rename = "mask")]
    pub masks: Vec<MaskConfig>,
    /// A screen of the room that is driven without a browser.
    #[serde(default)]
    pub display: Option<DisplayConfig>,
    /// Measuring mode: TC48 is burnt into the main feed. Only by the command line.
    #[serde(skip)]
    pub time_code: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramConfig {
    pub width: usize,
    pub height: usize,
    pub layout: String,
    /// bit/s of the highest layer at first; the server steers it.
    #[serde(default = "default_bitrate")]
    pub bitrate_bps: u32,
    /// Highest level of H.264 that is sent, of the program and of feeds watched alone.
    #[serde(default)]
    pub level: Level,
    /// `aligned`, or `now`; the room may change it.
    #[serde(default)]
    pub timing: Timing,
    /// How long an aligned frame may wait for its companions. Without it: 80, and 200 for the wall.
    #[serde(default)]
    pub align_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    pub id: FeedId,
    /// operative-field, fluoroscopy, vital-signs, ...
    pub kind: String,
    pub name_ja: String,
    pub name_en: String,
    /// Exactly one feed is the main one: it clocks the program.
    #[serde(default)]
    pub main: bool,
    /// Fixed delay of the capture path, ms.
    #[serde(default)]
    pub offset_ms: f64,
    /// Of a fluoroscopy: how it shows that X-ray is off. Without it: `content`, and what its source says itself.
    #[serde(default)]
    pub xray: Option<XrayRule>,
    /// Of a fluoroscopy: may its last run loop as a feed of its own?
    #[serde(default = "yes")]
    pub look_back: bool,
    /// Does it go behind the privacy curtain? Without it: exactly a `room-camera` does.
    #[serde(default)]
    pub curtain: Option<bool>,
    /// Its camera can be turned, while the room lets it.
    #[serde(default)]
    pub ptz: Option<PtzConfig>,
    pub source: SourceConfig,
}

impl FeedConfig {
    /// How X-ray off shows; `None`: this is no fluoroscopy.
    pub fn xray_rule(&self) -> Option<XrayRule> {
        self.xray.or((self.kind == FLUOROSCOPY).then_some(XrayRule::Content))
    }

    pub fn behind_curtain(&self) -> bool {
        self.curtain.unwrap_or(self.kind == ROOM_CAMERA)
    }

    /// The feed that plays this one's last run.
    pub fn last_run(&self) -> FeedConfig {
        FeedConfig {
            // An id and two letters more: [`Config::check`] saw to it.
            id: self.last_run_id().unwrap_or_else(FeedId::program),
            kind: last_run::KIND.into(),
            name_ja: format!("{}（くり返し再生）", self.name_ja),
            name_en: format!("{}, last run", self.name_en),
            main: false,
            // Played as it was captured; that is in the past anyway.
            offset_ms: 0.0,
            xray: None,
            look_back: false,
            curtain: Some(self.behind_curtain()),
            ptz: None,
            source: self.source.clone(),
        }
    }

    fn last_run_id(&self) -> Option<FeedId> {
        FeedId::parse(&format!("{}-run", self.id)).ok()
    }
}

fn yes() -> bool {
    true
}

fn default_engine() -> String {
    "engine".into()
}

fn default_bitrate() -> u32 {
    2_500_000
}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self, Refusal> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Refusal::new(
                "config.unreadable",
                format!("The configuration {} cannot be read ({e}); check the path.", path.display()),
            )
        })?;
        let mut config = Self::parse(&text)?;
        // Absolute: what says a place is known by its slash, and is kept from pages and logs.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new("/"));
        for feed in &mut config.feeds {
            feed.source.relative_to(folder);
        }
        Ok(config)
    }

    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let config: Config = toml::from_str(text).map_err(|e| {
            let place = e.span().map_or(String::new(), |s| format!(" in line {}", text[..s.start].matches('\n').count() + 1));
            let what = e.message().lines().collect::<Vec<_>>().join(", ");
            Refusal::new(
                "config.malformed",
                format!("The configuration is wrong{place}: {what}; correct it as the README describes."),
            )
        })?;
        config.check()?;
        Ok(config)
    }

    /// What holds for every configuration, however it was made.
    fn check(&self) -> Result<(), Refusal> {
        let refuse = |code, message: String| Err(Refusal::new(code, message));
        if self.feeds.is_empty() || self.feeds.len() > FEEDS_MAX {
            return refuse("config.feeds", format!("The configuration has {} feeds; give 1 to {FEEDS_MAX}.", self.feeds.len()));
        }
        let mains = self.feeds.iter().filter(|f| f.main).count();
        if mains != 1 {
            return refuse("config.main-feed", format!("{mains} feeds are marked main; mark exactly one with main = true."));
        }
        for (n, feed) in self.feeds.iter().enumerate() {
            if feed.id == FeedId::program() || self.feeds[..n].iter().any(|f| f.id == feed.id) {
                return refuse("config.feed-id", format!("The feed id {} is taken; give each feed another one.", feed.id));
            }
            let run = feed.last_run_id().filter(|_| self.keeps_last_run(feed));
            if self.keeps_last_run(feed) && self.feeds.iter().any(|f| run.as_ref().is_none_or(|run| f.id == *run)) {
                let id = &feed.id;
                return refuse(
                    "config.feed-id",
                    format!(
                        "The last run of feed {id} needs the id {id}-run; give a shorter or another one, or look_back = false."
                    ),
                );
            }
            if let Err(what) = feed.source.check() {
                return refuse("config.source", format!("In the source of feed {}, {what}.", feed.id));
            }
            let simulated = feed.ptz.as_ref().is_some_and(PtzConfig::is_simulated);
            if simulated && feed.source != SourceConfig::SyntheticRoom {
                let id = &feed.id;
                return refuse("config.ptz", format!("Feed {id} simulates no camera; give ptz.visca its camera's address."));
            }
            if let Some(Err(what)) = feed.ptz.as_ref().map(PtzConfig::address) {
                return refuse("config.ptz", format!("Of feed {}, {what}.", feed.id));
            }
            if !(-1000.0..=10_000.0).contains(&feed.offset_ms) {
                return refuse("config.offset", format!("offset_ms of feed {} is out of range; give -1000 to 10000.", feed.id));
            }
        }
        let own: Vec<_> = self.feeds.iter().map(|f| (&f.id, f.source.is_drawn())).collect();
        MaskConfig::check_all(&self.masks, &own)?;
        self.display.as_ref().map_or(Ok(()), DisplayConfig::check)?;
        let (w, h) = (self.program.width, self.program.height);
        let sized = Geometry::new(w, h).filter(|g| w % 8 == 0 && self.program.level.has_room_for(*g));
        if sized.is_none() {
            return refuse(
                "config.program-size",
                format!(
                    "A program of {w}x{h} is more than level {} has room for; use {}x{} or less, width a multiple of 8, height even.",
                    self.program.level.name(),
                    self.program.level.picture_max().0,
                    self.program.level.picture_max().1
                ),
            );
        }
        if self.program.align_ms.is_some_and(|ms| ms > 200) {
            return refuse("config.align", "align_ms is out of range; give 0 to 200.".into());
        }
        if !(100_000..=14_000_000).contains(&self.program.bitrate_bps) {
            return refuse("config.bitrate", "bitrate_bps is out of range; give 100000 to 14000000.".into());
        }
        Ok(())
    }

    /// Does this feed's last run loop as a feed of its own? Never while measuring.
    pub fn keeps_last_run(&self, feed: &FeedConfig) -> bool {
        feed.look_back && feed.xray_rule().is_some() && !self.time_code
    }

    /// The feeds of the demo: a field, fluoroscopy, vital signs, and a camera of the room that can be turned; while measuring without that.
    /// `shared`: a folder with sample data that must be there (`None`: generated scenes).
    pub fn demo(shared: Option<&Path>, time_code: bool) -> Self {
        let sample = |path: &str| shared.map(|folder| sample_path(folder, path));
        let feed = |id: &str, kind: &str, name_ja: &str, name_en: &str, source: SourceConfig| FeedConfig {
            // The ids are literals of this function.
            id: FeedId::parse(id).unwrap_or_else(|_| FeedId::program()),
            kind: kind.into(),
            name_ja: name_ja.into(),
            name_en: name_en.into(),
            main: id == "field",
            offset_ms: 0.0,
            xray: None,
            look_back: true,
            curtain: None,
            ptz: (source == SourceConfig::SyntheticRoom).then(|| PtzConfig { visca: SIMULATED.into() }),
            source,
        };
        // X-ray is on for a run of some seconds, then off: as in a room. While measuring it stays on.
        let rest_s = if time_code { 0 } else { DEMO_REST_S };
        let field = sample("field/lap_cholecystectomy_1280x720_25fps_10s.mp4");
        let fluoro = sample("fluoro/xa_coronary_rca_512x512_96f_jpegbaseline.dcm");
        let vitals = sample("vitals/wfdb/041s.hea");
        let mut feeds = vec![
            feed(
                "field",
                "operative-field",
                "術野映像",
                "Operative field",
                match field {
                    Some(path) => SourceConfig::File { path },
                    None => SourceConfig::SyntheticField,
                },
            ),
            feed(
                "fluoro",
                "fluoroscopy",
                "透視",
                "Fluoroscopy",
                match fluoro {
                    Some(path) => SourceConfig::Dicom { path, rest_s },
                    None => SourceConfig::SyntheticFluoro { rest_s },
                },
            ),
            feed(
                "vitals",
                "vital-signs",
                "生体情報",
                "Vital signs",
                match vitals {
                    Some(path) => SourceConfig::Wfdb { path, view: View::Monitor },
                    None => SourceConfig::SyntheticVitals,
                },
            ),
        ];
        if !time_code {
            feeds.push(feed("room", ROOM_CAMERA, "手術室内映像", "Room camera", SourceConfig::SyntheticRoom));
        }
        Config {
            engine: default_engine(),
            encoder: EncoderKind::default(),
            program: ProgramConfig {
                width: 1280,
                height: 720,
                layout: if time_code { "measuring" } else { "field-large" }.into(),
                bitrate_bps: default_bitrate(),
                level: Level::default(),
                timing: Timing::default(),
                align_ms: None,
            },
            // The built-in one, with a place for the camera at the end of the strip.
            layouts: if time_code { Vec::new() } else { layout::with_camera("field-large", ROOM_CAMERA).into_iter().collect() },
            masks: Vec::new(),
            display: None,
            feeds,
            time_code,
        }
    }

    pub fn layout(&self) -> Result<Layout, Refusal> {
        let name = &self.program.layout;
        let own = self.layouts.iter().find(|l| l.name == *name).cloned();
        own.or_else(|| layout::built_in(name))
            .ok_or_else(|| Refusal::new("config.layout", format!("{}.", layout::LayoutError::Unknown(name.clone()))))
    }

    /// As configured; else the layout's.
    pub fn align_bound(&self) -> Option<Duration> {
        self.program.align_ms.map(Duration::from_millis)
    }

    /// Encoder settings for a program at this cadence, or why a browser could not decode it.
    pub fn encoder_settings(&self, period: Period) -> Result<EncoderSettings, Refusal> {
        let too_large = || {
            Refusal::new(
                "config.program-rate",
                "The main feed is faster than the level has room for at this size; make the program smaller, or allow level = \"4.2\".",
            )
        };
        let size = Geometry::new(self.program.width, self.program.height).ok_or_else(too_large)?;
        if self.program.level.every(size, period) > 1 {
            return Err(too_large());
        }
        Ok(EncoderSettings { kind: self.encoder, size, period, bitrate_bps: self.program.bitrate_bps })
    }
}

/// Sample data lies in the folder itself or in its `data`.
fn sample_path(folder: &Path, path: &str) -> PathBuf {
    let nested = folder.join("data").join(path);
    if nested.exists() { nested } else { folder.join(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        program = { width = 1280, height = 720, layout = "field-large" }

        [[feed]]
        id = "field"
        kind = "operative-field"
        name_ja = "術野"
        name_en = "Field"
        main = true
        offset_ms = 12.5
        source = { type = "file", path = "a.mp4" }

        [[feed]]
        id = "vitals"
        kind = "vital-signs"
        name_ja = "生体情報"
        name_en = "Vital signs"
        source = { type = "synthetic-vitals" }
    "#;

    fn code(text: &str) -> &'static str {
        Config::parse(text).expect_err("must be refused").code
    }

    #[test]
    fn the_grammar_expresses_feeds_and_program() {
        let config = Config::parse(GOOD).expect("good");
        assert_eq!(config.feeds.len(), 2);
        assert_eq!(config.feeds[0].source, SourceConfig::File { path: "a.mp4".into() });
        assert_eq!((config.program.timing, config.align_bound()), (Timing::Aligned, None));
        assert_eq!(config.encoder, EncoderKind::X264);
        let open = Config::parse(&format!("encoder = \"openh264\"\n{GOOD}")).expect("good");
        assert_eq!(open.encoder, EncoderKind::OpenH264);
    }

    #[test]
    fn mistakes_are_named_in_one_sentence() {
        assert_eq!(code("program = 3"), "config.malformed");
        assert_eq!(code(&GOOD.replace("offset_ms", "ofset_ms")), "config.malformed");
        assert_eq!(code(&GOOD.replace("type = \"file\"", "type = \"film\"")), "config.malformed");
        assert_eq!(code(&GOOD.replace("main = true", "")), "config.main-feed");
        assert_eq!(code(&GOOD.replace("id = \"vitals\"", "id = \"field\"")), "config.feed-id");
        assert_eq!(code(&GOOD.replace("width = 1280", "width = 1921")), "config.program-size");
        assert_eq!(code(&GOOD.replace("12.5", "1e9")), "config.offset");
        let refusal = Config::parse(&GOOD.replace("main = true", "mian = true")).expect_err("refused");
        assert!(refusal.message.contains("line 9") && !refusal.message.contains('\n'), "{}", refusal.message);
    }

    #[test]
    fn the_sample_of_a_room_is_good_and_its_camera_goes_behind_the_curtain() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/room-sample.toml");
        let config = Config::load(&path).expect("good");
        let behind: Vec<_> = config.feeds.iter().filter(|f| f.behind_curtain()).map(|f| f.id.as_str()).collect();
        assert_eq!((behind, config.masks.len()), (vec!["room"], 1));
        assert_eq!(
            config.layout().expect("its own").assign(&["operative-field", "fluoroscopy", "room-camera", "vital-signs"], 4),
            (0..4).map(Some).collect::<Vec<_>>()
        );
        let over = std::fs::read_to_string(&path).expect("there").replace("[[8, 8, 180, 36]]", "[[8, 440, 400, 60]]");
        assert_eq!(code(&over), "config.mask");
        assert_eq!(code(&over.replace("feed = \"fluoro\"", "feed = \"flouro\"")), "config.mask");
    }

    #[test]
    fn the_demo_is_a_good_configuration() {
        for time_code in [false, true] {
            let config = Config::demo(None, time_code);
            config.check().expect("good");
            let kinds: Vec<&str> = config.feeds.iter().map(|f| f.kind.as_str()).collect();
            let places = config.layout().expect("known").assign(&kinds, kinds.len());
            assert_eq!((places.iter().flatten().count(), kinds.len()), if time_code { (3, 3) } else { (4, 4) });
            let turned: Vec<_> = config.feeds.iter().filter(|f| f.ptz.is_some()).map(|f| f.behind_curtain()).collect();
            assert_eq!(turned, if time_code { vec![] } else { vec![true] }, "what can be turned goes behind the curtain");
        }
    }

    #[test]
    fn sixty_a_second_at_720p_is_over_the_level_unless_a_higher_is_allowed() {
        let text = GOOD.replace("width = 1280, height = 720", "width = 1920, height = 1080, level = \"4.2\"");
        let large = Config::parse(&text).expect("good");
        assert!(large.encoder_settings(Period::from_rate(60, 1).expect("sane")).is_ok());
        assert_eq!(code(&GOOD.replace("width = 1280, height = 720", "width = 1920, height = 1080")), "config.program-size");
        let config = Config::demo(None, false);
        assert!(config.encoder_settings(Period::NTSC_30).is_ok());
        assert!(config.encoder_settings(Period::from_rate(60, 1).expect("sane")).is_err());
    }
}
