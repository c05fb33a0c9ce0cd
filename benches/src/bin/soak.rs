//! The real engine for a long time, its feeds dying, hanging, growing slow and returning at random; and its figures with four
//! live feeds and with one of them dead. `cargo run --release -p benches --bin soak -- --help`

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annotation::id::FeedId;
use benches::machine::{self, Meter};
use benches::soak::server::{Heard, Listener, now};
use benches::soak::{Life, Mortal, Stalls, Watch, slope};
use benches::stats::Percentiles;
use link::id::CaseId;
use link::wire::Health;
use pipeline::config::Config;
use pipeline::engine::{self, Dial, Prepared};
use pipeline::feed::{Source, SourceConfig, prepare};
use pipeline::output::link::Way;
use pipeline::picture::{Geometry, Picture};
use serde::Serialize;

const HELP: &str = "soak [--minutes N] [--seed S]     feeds die and return at random for N minutes (default 20)
soak --figures [--seconds N]      four live feeds for N seconds (default 60), then the same with one dead
soak --large [--seconds N]        one feed of 1920x1080 at 30 and at 60 a second, sent at level 4.2";

/// The main feed first: id, kind, source, and how long it lives at a time, s.
const FEEDS: [(&str, &str, SourceConfig, std::ops::Range<f64>); 4] = [
    ("field", "operative-field", SourceConfig::SyntheticField, 40.0..120.0),
    ("fluoro", "fluoroscopy", SourceConfig::SyntheticFluoro { rest_s: 0 }, 6.0..40.0),
    ("vitals", "vital-signs", SourceConfig::SyntheticVitals, 6.0..40.0),
    ("overhead", "overhead", SourceConfig::SyntheticField, 6.0..40.0),
];
const LAYERS: [(&str, &str); 3] = [("program", "high"), ("program", "low"), ("field", "high")];
/// Left out of slopes: pools fill, encoders start, the allocator finds its size.
const WARM_UP_S: f64 = 90.0;

#[derive(Debug, Default)]
struct Options {
    minutes: f64,
    seed: u64,
    figures: bool,
    large: bool,
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let mut o = Options { minutes: 20.0, seed: 20_261_121, figures: false, large: false, seconds: 60 };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("minutes") => o.minutes = args.value()?.parse()?,
            Long("seed") => o.seed = args.value()?.parse()?,
            Long("figures") => o.figures = true,
            Long("large") => o.large = true,
            Long("seconds") => o.seconds = args.value()?.parse()?,
            Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    gstreamer::init()?;
    match (o.figures, o.large) {
        (_, true) => large(&o),
        (true, _) => figures(&o),
        _ => soak(&o),
    }
}

fn config() -> anyhow::Result<Config> {
    let mut text = String::from("program = { width = 1280, height = 720, layout = \"quad\" }\n");
    for (id, kind, source, _) in &FEEDS {
        let (kind_of, main) = match source {
            SourceConfig::SyntheticField => ("synthetic-field", *id == "field"),
            SourceConfig::SyntheticFluoro { .. } => ("synthetic-fluoro", false),
            _ => ("synthetic-vitals", false),
        };
        text += &format!(
            "[[feed]]\nid = \"{id}\"\nkind = \"{kind}\"\nname_ja = \"{id}\"\nname_en = \"{id}\"\nmain = {main}\nlook_back = false\nsource = {{ type = \"{kind_of}\" }}\n"
        );
    }
    Config::parse(&text).map_err(|e| anyhow::anyhow!(e.to_string()))
}

/// Id, time between two pictures, when it is away.
type Watched = (String, Duration, Life);

/// What one run of the engine gave.
struct Run {
    watch: Watch,
    /// Each second's; not of a soak, which is to see what the engine keeps.
    health: Vec<Health>,
    /// Each second's p99 of each live inset, ms.
    excess: Vec<f64>,
    /// (s since the beginning, MB)
    rss: Vec<(f64, f64)>,
    cores: Option<f64>,
    sheds: usize,
}

/// The feeds of this program, with these lives; the main feed's first.
fn mortals(lives: &[Life], began: Instant) -> anyhow::Result<(Prepared, Vec<Watched>)> {
    let mut prepared = engine::prepare(config()?).map_err(|e| anyhow::anyhow!(e.to_string()))?;
    let size = Geometry::new(640, 316).ok_or_else(|| anyhow::anyhow!("an odd size"))?;
    let mut feeds = Vec::new();
    for ((id, _, source, _), life) in FEEDS.iter().zip(lives) {
        let opened = prepare(source, None).map_err(|e| anyhow::anyhow!(e.to_string()))?;
        let info = opened.info();
        feeds.push(((*id).to_owned(), info.period.duration(), life.clone()));
        let own = info.native.and_then(|(w, h)| Geometry::new(w, h)).unwrap_or(size);
        let inner = opened.fit(own).map_err(|e| anyhow::anyhow!(e.to_string()))?;
        prepared = prepared.with_source(&FeedId::parse(id)?, Box::new(Mortal { inner, life: life.clone(), began }));
    }
    Ok((prepared, feeds))
}

/// Runs an engine in this process, and watches these feeds of it.
fn run(
    (prepared, feeds): (Prepared, Vec<Watched>),
    layers: &[(&str, &str)],
    began: Instant,
    length: Duration,
    say: bool,
) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let mut listener = Listener::bind(folder.path())?;
    let [control, media] = Listener::paths(folder.path());
    let dial = Dial { control, media, case: CaseId::parse("soak")?, way: Way::Local };
    let (stop, engine_stop) = UnixStream::pair()?;
    let engine = std::thread::spawn(move || prepared.run(dial, engine_stop));
    let mut run =
        Run { watch: Watch::new(now(), feeds), health: Vec::new(), excess: Vec::new(), rss: Vec::new(), cores: None, sheds: 0 };
    let meter = Meter::start(&[std::process::id()]);
    let (mut next_rss, mut next_word) = (Duration::ZERO, Duration::from_secs(60));
    while began.elapsed() < length {
        for heard in listener.turn()? {
            match heard {
                Heard::Up => {}
                Heard::Frame(index) if index.program == "program" => run.watch.handle_frame(&index),
                Heard::Frame(_) => {}
                Heard::Health(health) => {
                    if health.layers.is_empty() {
                        listener.want(layers)?;
                    }
                    run.sheds += usize::from(!health.shed.is_empty());
                    let live = health.feeds.iter().filter(|f| f.state == 1);
                    run.excess.extend(live.map(|f| f64::from(f.excess_us_p99) / 1e3));
                    if !say {
                        run.health.push(health);
                    }
                }
            }
        }
        let t = began.elapsed();
        if t >= next_rss {
            run.rss.push((t.as_secs_f64(), rss_mb()));
            next_rss = t + Duration::from_secs(2);
        }
        if say && t >= next_word {
            next_word += Duration::from_secs(60);
            let recent: Vec<f64> = run.watch.ages.iter().filter(|a| a.0 > t.as_secs_f64() - 60.0).map(|a| a.1).collect();
            let age = Percentiles::of(&recent);
            println!(
                "minute {:>3}: {:.1} MB, capture to composed p50 {:.2} p99 {:.2} ms",
                t.as_secs() / 60,
                rss_mb(),
                age.as_ref().map_or(f64::NAN, |p| p.p50),
                age.as_ref().map_or(f64::NAN, |p| p.p99)
            );
        }
    }
    run.cores = meter.stop().processes.first().copied().flatten();
    drop(stop);
    engine.join().map_err(|_| anyhow::anyhow!("the engine panicked"))?.map_err(|e| anyhow::anyhow!(e.to_string()))?;
    Ok(run)
}

#[derive(Debug, Serialize)]
struct Soak {
    minutes: f64,
    seed: u64,
    rss_mb_first: f64,
    rss_mb_last: f64,
    /// Least squares after the warm-up. Budget: 1.
    rss_mb_per_10_min: f64,
    /// Capture of the main feed to composed, ms; and how much it grows.
    age: Option<Percentiles>,
    age_ms_per_10_min: f64,
    gaps: Option<Percentiles>,
    stalls: Vec<Stalls>,
    excess_p99_ms: f64,
    seconds_with_load_shed: usize,
    cores: Option<f64>,
    machine: machine::Machine,
}

fn soak(o: &Options) -> anyhow::Result<()> {
    let length = Duration::from_secs_f64(o.minutes * 60.0);
    println!("seed {}, {} minutes", o.seed, o.minutes);
    let lives: Vec<Life> = FEEDS.iter().zip(0..).map(|(f, n)| Life::new(o.seed + n, f.3.clone(), length)).collect();
    let machine = machine::describe();
    let began = Instant::now();
    let run = run(mortals(&lives, began)?, &LAYERS, began, length, true)?;
    let late = |points: &[(f64, f64)]| points.iter().copied().filter(|p| p.0 >= WARM_UP_S).collect::<Vec<_>>();
    let report = Soak {
        minutes: o.minutes,
        seed: o.seed,
        rss_mb_first: late(&run.rss).first().map_or(f64::NAN, |p| p.1),
        rss_mb_last: run.rss.last().map_or(f64::NAN, |p| p.1),
        rss_mb_per_10_min: slope(&late(&run.rss)) * 600.0,
        age: Percentiles::of(&run.watch.ages.iter().map(|a| a.1).collect::<Vec<_>>()),
        age_ms_per_10_min: slope(&late(&run.watch.ages)) * 600.0,
        gaps: run.watch.gaps(),
        stalls: run.watch.stalls(),
        excess_p99_ms: Percentiles::of(&run.excess).map_or(f64::NAN, |p| p.p50),
        seconds_with_load_shed: run.sheds,
        cores: run.cores,
        machine,
    };
    for s in &report.stalls {
        println!(
            "{:<10} away {:>3} times; stalled over one frame {:>3} times, worst {:.1} ms",
            s.feed, s.times_away, s.over_one_frame, s.worst_ms
        );
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// ms, medians over the seconds of a run, and the worst second's p99.
#[derive(Debug, Serialize)]
struct Layer {
    layer: String,
    encode_p50: f64,
    capture_to_rtp_p50: f64,
    capture_to_rtp_p99: f64,
    capture_to_rtp_p99_worst: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    feeds: String,
    frames_a_second: f64,
    capture_to_composed: Option<Percentiles>,
    excess_p99: f64,
    layers: Vec<Layer>,
    seconds_with_load_shed: usize,
    cores: Option<f64>,
}

fn figures(o: &Options) -> anyhow::Result<()> {
    let length = Duration::from_secs(o.seconds + 5);
    let mut all = Vec::new();
    for dead in [false, true] {
        let away = (Duration::ZERO, length * 2, benches::soak::Away::Failing);
        let lives: Vec<Life> =
            FEEDS.iter().map(|f| if dead && f.0 == "fluoro" { Life { away: vec![away] } } else { Life::immortal() }).collect();
        let began = Instant::now();
        let run = run(mortals(&lives, began)?, &LAYERS, began, length, false)?;
        let figures = of_run(if dead { "three live, one dead" } else { "four live" }, &run);
        println!("{figures:#?}");
        all.push(figures);
    }
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}

/// The medians over its seconds, after the first five.
fn of_run(feeds: &str, run: &Run) -> Figures {
    let mut names: Vec<String> = Vec::new();
    for l in run.health.iter().flat_map(|h| &h.layers).filter_map(|l| l.layer.as_ref()) {
        let name = format!("{} {}", l.feed, l.layer);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let layers = names.iter().map(|name| {
        let of = |value: &dyn Fn(&link::wire::LayerHealth) -> u32| -> Vec<f64> {
            let seconds = run.health.iter().skip(5).flat_map(|h| &h.layers);
            let mine = seconds.filter(|l| l.layer.as_ref().is_some_and(|r| *name == format!("{} {}", r.feed, r.layer)));
            mine.map(|l| f64::from(value(l)) / 1e3).filter(|v| *v > 0.0).collect()
        };
        let median = |v: &[f64]| Percentiles::of(v).map_or(f64::NAN, |p| p.p50);
        let p99 = of(&|l| l.capture_to_rtp_us_p99);
        Layer {
            layer: name.clone(),
            encode_p50: median(&of(&|l| l.encode_us_p50)),
            capture_to_rtp_p50: median(&of(&|l| l.capture_to_rtp_us_p50)),
            capture_to_rtp_p99: median(&p99),
            capture_to_rtp_p99_worst: p99.iter().copied().fold(0.0, f64::max),
        }
    });
    let excess: Vec<f64> = run
        .health
        .iter()
        .skip(5)
        .flat_map(|h| &h.feeds)
        .filter(|f| f.state == 1)
        .map(|f| f64::from(f.excess_us_p99) / 1e3)
        .collect();
    let ages: Vec<f64> = run.watch.ages.iter().filter(|a| a.0 > 5.0).map(|a| a.1).collect();
    Figures {
        feeds: feeds.into(),
        frames_a_second: ages.len() as f64 / run.watch.ages.last().map_or(f64::NAN, |a| a.0 - 5.0),
        capture_to_composed: Percentiles::of(&ages),
        excess_p99: Percentiles::of(&excess).map_or(f64::NAN, |p| p.p99),
        layers: layers.collect(),
        seconds_with_load_shed: run.sheds,
        cores: run.cores,
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

/// One operative field as large as browsers decode, at both rates. Its pictures are another source's: only size and rate count.
fn large(o: &Options) -> anyhow::Result<()> {
    let failed = |e: pipeline::refusal::Refusal| anyhow::anyhow!(e.to_string());
    let size = Geometry::new(1920, 1080).ok_or_else(|| anyhow::anyhow!("an odd size"))?;
    let mut scene = prepare(&SourceConfig::SyntheticField, None).map_err(failed)?.fit(size).map_err(failed)?;
    let pictures: Result<Vec<_>, _> = (0..30).map(|k| scene.picture(k)).collect();
    let pictures = pictures.map_err(anyhow::Error::msg)?;
    let mut all = Vec::new();
    for rate in [30, 60] {
        let text = format!(
            "program = {{ width = 1920, height = 1080, layout = \"full\", level = \"4.2\", bitrate_bps = 8000000 }}\n\
             [[feed]]\nid = \"field\"\nkind = \"operative-field\"\nname_ja = \"field\"\nname_en = \"field\"\nmain = true\n\
             source = {{ type = \"rtp\", listen = \"127.0.0.1:9\", codec = \"h264\", expect = {{ width = 1920, height = 1080, rate = {rate} }} }}\n"
        );
        let prepared = engine::prepare(Config::parse(&text).map_err(failed)?).map_err(failed)?;
        let prepared = prepared.with_source(&FeedId::parse("field")?, Box::new(Ring(pictures.clone())));
        let period = Duration::from_secs_f64(1.0 / f64::from(rate));
        let began = Instant::now();
        let watched = vec![("field".to_owned(), period, Life::immortal())];
        let run = run((prepared, watched), &[("program", "high")], began, Duration::from_secs(o.seconds + 5), false)?;
        let figures = of_run(&format!("1920x1080 at {rate}"), &run);
        println!("{figures:#?}");
        all.push(figures);
    }
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}

/// Of this process, engine and listener together.
fn rss_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(f64::NAN);
    pages * 4096.0 / 1e6
}
