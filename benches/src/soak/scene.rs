//! The engine that is watched, as a process of its own: what the watcher remembers is not counted, and its allocator and locked memory
//! are those of `shirube-engine`.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annotation::id::FeedId;
use anyhow::{Context, Result};
use link::id::CaseId;
use pipeline::config::Config;
use pipeline::engine::{self, Dial, Prepared};
use pipeline::feed::{Source, SourceConfig, prepare};
use pipeline::memory;
use pipeline::output::link::Way;
use pipeline::picture::{Geometry, Picture};

use super::server::Listener;
use super::{Away, Life, Mortal};

/// Id, kind, source, and how long it lives at a time, s.
type Feed = (&'static str, &'static str, SourceConfig, std::ops::Range<f64>);
/// Id, time between two pictures, when it is away.
pub type Watched = (String, Duration, Life);

/// The main feed first.
const FEEDS: [Feed; 4] = [
    ("field", "operative-field", SourceConfig::SyntheticField, 40.0..120.0),
    ("fluoro", "fluoroscopy", SourceConfig::SyntheticFluoro { rest_s: 0 }, 6.0..40.0),
    ("vitals", "vital-signs", SourceConfig::SyntheticVitals, 6.0..40.0),
    ("overhead", "overhead", SourceConfig::SyntheticField, 6.0..40.0),
];
const LAYERS: [(&str, &str); 3] = [("program", "high"), ("program", "low"), ("field", "high")];
/// Pictures made beforehand of a large feed: 124 MB at 3840x2160.
const LARGE_PICTURES: u64 = 10;

/// What the engine shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scene {
    /// Four feeds die and return, from this seed.
    Soak(u64),
    #[default]
    FourLive,
    OneDead,
    /// One of this height and rate in a program of 1920x1080.
    Large {
        height: u32,
        rate: u32,
    },
    /// A field, and vital signs that come by HL7 to this port.
    Device(u16),
}

impl Scene {
    fn words(self) -> String {
        match self {
            Scene::Soak(seed) => format!("soak:{seed}"),
            Scene::FourLive => "four-live".into(),
            Scene::OneDead => "one-dead".into(),
            Scene::Large { height, rate } => format!("large:{height}:{rate}"),
            Scene::Device(port) => format!("device:{port}"),
        }
    }

    pub fn parse(words: &str) -> Result<Self> {
        let mut parts = words.split(':');
        let name = parts.next().unwrap_or_default();
        let mut number = || parts.next().context("a number is missing");
        Ok(match name {
            "soak" => Scene::Soak(number()?.parse()?),
            "four-live" => Scene::FourLive,
            "one-dead" => Scene::OneDead,
            "large" => Scene::Large { height: number()?.parse()?, rate: number()?.parse()? },
            "device" => Scene::Device(number()?.parse()?),
            _ => anyhow::bail!("no scene: {words}"),
        })
    }

    /// When each feed is away.
    pub fn lives(self, length: Duration) -> Vec<Life> {
        let one = |(n, f): (u64, &Feed)| match self {
            Scene::Soak(seed) => Life::new(seed + n, f.3.clone(), length),
            Scene::OneDead if f.0 == "fluoro" => Life { away: vec![(Duration::ZERO, length * 2, Away::Failing)] },
            _ => Life::immortal(),
        };
        (0..).zip(&FEEDS).map(one).collect()
    }

    /// What is watched of it.
    pub fn watched(self, length: Duration) -> Result<Vec<Watched>> {
        if let Scene::Large { rate, .. } = self {
            return Ok(vec![("field".into(), Duration::from_secs_f64(1.0 / f64::from(rate)), Life::immortal())]);
        }
        let one = |(f, life): (&Feed, Life)| {
            let opened = prepare(&f.2, None).map_err(|e| anyhow::anyhow!(e.to_string()))?;
            Ok((f.0.to_owned(), opened.info().period.duration(), life))
        };
        FEEDS.iter().zip(self.lives(length)).map(one).collect()
    }

    pub fn layers(self) -> &'static [(&'static str, &'static str)] {
        if matches!(self, Scene::Large { .. } | Scene::Device(_)) { &LAYERS[..1] } else { &LAYERS }
    }

    /// The listener's sockets in this folder.
    pub fn dial(folder: &Path) -> Result<Dial> {
        let [control, media] = Listener::paths(folder);
        Ok(Dial { control, media, case: CaseId::parse("soak")?, way: Way::Local })
    }

    fn config(self) -> Result<Config> {
        let feed = |id: &str, kind: &str, source: &str| {
            let main = id == "field";
            format!(
                "[[feed]]\nid = \"{id}\"\nkind = \"{kind}\"\nname_ja = \"{id}\"\nname_en = \"{id}\"\nmain = {main}\n\
                 look_back = false\nsource = {{ {source} }}\n"
            )
        };
        let text = match self {
            Scene::Large { height, rate } => {
                let width = height * 16 / 9;
                let source = format!(
                    "type = \"rtp\", listen = \"127.0.0.1:9\", codec = \"h264\", expect = {{ width = {width}, height = {height}, rate = {rate} }}"
                );
                let program =
                    "program = { width = 1920, height = 1080, layout = \"full\", level = \"4.2\", bitrate_bps = 8000000 }\n";
                program.to_owned() + &feed("field", "operative-field", &source)
            }
            Scene::Device(port) => {
                let program = "program = { width = 1280, height = 720, layout = \"field-large\" }\n".to_owned();
                let device = format!("type = \"hl7\", listen = \"127.0.0.1:{port}\"");
                program
                    + &feed("field", "operative-field", "type = \"synthetic-field\"")
                    + &feed("vitals", "vital-signs", &device)
            }
            Scene::Soak(_) | Scene::FourLive | Scene::OneDead => {
                let mut text = String::from("program = { width = 1280, height = 720, layout = \"quad\" }\n");
                for (id, kind, source, _) in &FEEDS {
                    let source = match source {
                        SourceConfig::SyntheticField => "type = \"synthetic-field\"",
                        SourceConfig::SyntheticFluoro { .. } => "type = \"synthetic-fluoro\"",
                        _ => "type = \"synthetic-vitals\"",
                    };
                    text += &feed(id, kind, source);
                }
                text
            }
        };
        Config::parse(&text).map_err(|e| anyhow::anyhow!(e.to_string()))
    }

    /// `began`: when the run did.
    pub fn prepare(self, began: Instant, length: Duration) -> Result<Prepared> {
        let failed = |e: pipeline::refusal::Refusal| anyhow::anyhow!(e.to_string());
        let prepared = engine::prepare(self.config()?).map_err(failed)?;
        match self {
            Scene::Device(_) => Ok(prepared),
            Scene::Large { height, .. } => {
                let (w, h) = (height as usize * 16 / 9, height as usize);
                let size = Geometry::new(w, h).context("an odd size")?;
                let mut field = prepare(&SourceConfig::SyntheticField, None).map_err(failed)?.fit(size).map_err(failed)?;
                let pictures: Result<Vec<_>, _> = (0..LARGE_PICTURES).map(|k| field.picture(k)).collect();
                let ring = Ring(pictures.map_err(anyhow::Error::msg)?);
                Ok(prepared.with_source(&FeedId::parse("field")?, Box::new(ring)))
            }
            Scene::Soak(_) | Scene::FourLive | Scene::OneDead => {
                let size = Geometry::new(640, 316).context("an odd size")?;
                let mortal = |prepared: Prepared, (f, life): (&Feed, Life)| {
                    let opened = prepare(&f.2, None).map_err(failed)?;
                    let own = opened.info().native.and_then(|(w, h)| Geometry::new(w, h)).unwrap_or(size);
                    let inner = opened.fit(own).map_err(failed)?;
                    Ok(prepared.with_source(&FeedId::parse(f.0)?, Box::new(Mortal { inner, life, began })))
                };
                FEEDS.iter().zip(self.lives(length)).try_fold(prepared, mortal)
            }
        }
    }
}

/// Pictures made beforehand, over and over: what a capture card costs.
#[derive(Debug)]
struct Ring(Vec<Arc<Picture>>);

impl Source for Ring {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        Ok(self.0[k as usize % self.0.len()].clone())
    }
}

/// What the process of the engine is told.
#[derive(Debug, Default)]
pub struct EngineOptions {
    /// Where the sockets are.
    pub folder: PathBuf,
    pub scene: Scene,
    /// Beginning and length of the run: Unix time, s.
    pub began: f64,
    pub length: f64,
}

/// The process of the engine: until its sockets are gone, or it is ended.
pub fn run_engine(o: &EngineOptions) -> Result<()> {
    memory::keep_off_disks();
    let since = Duration::try_from_secs_f64(unix_s() - o.began)?;
    let began = Instant::now().checked_sub(since).context("it began before this machine did")?;
    let prepared = o.scene.prepare(began, Duration::from_secs_f64(o.length))?;
    let dial = Scene::dial(&o.folder)?;
    let (_stop, engine_stop) = UnixStream::pair()?;
    prepared.run(dial, engine_stop).map_err(|e| anyhow::anyhow!(e.to_string()))
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The engine's process; ended when it is dropped.
#[derive(Debug)]
pub struct Engine(Child);

impl Engine {
    /// This very program, told to be the engine.
    pub fn start(folder: &Path, scene: Scene, length: Duration) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--scene", &scene.words(), "--began", &unix_s().to_string(), "--length", &length.as_secs_f64().to_string()])
            .arg("--engine")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Engine(child))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn lives(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => anyhow::bail!("the engine ended by itself ({status})"),
            None => Ok(()),
        }
    }

    /// What of it lies in memory now, MB.
    pub fn rss_mb(&self) -> f64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap_or_default();
        let pages: f64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(f64::NAN);
        pages * 4096.0 / 1e6
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_what_its_words_say_and_its_configuration_is_good() {
        for scene in
            [Scene::Soak(7), Scene::FourLive, Scene::OneDead, Scene::Large { height: 2160, rate: 30 }, Scene::Device(2575)]
        {
            assert_eq!(Scene::parse(&scene.words()).expect("its own words"), scene);
            scene.config().expect("good");
        }
        assert!(Scene::parse("nothing").is_err());
        let long = Duration::from_secs(100);
        assert!(Scene::OneDead.lives(long)[1].away[0].1 > long && Scene::FourLive.lives(long).iter().all(|l| l.away.is_empty()));
    }
}
