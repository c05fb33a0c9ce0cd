//! The real engine for a long time, its feeds dying, hanging, growing slow and returning at random; and its figures with four
//! live feeds and with one of them dead. `cargo run --release -p benches --bin soak -- --help`

use std::net::TcpListener;
use std::time::{Duration, Instant};

use annotation::time::CaptureTime;
use benches::machine::{self, Meter};
use benches::soak::device::{Desk, Device};
use benches::soak::scene::{Engine, EngineOptions, Scene, run_engine};
use benches::soak::server::{Heard, Listener, now};
use benches::soak::{Stalls, Watch, slope};
use benches::stats::Percentiles;
use link::frame::{FrameIndex, Rect};
use link::wire::Health;
use pipeline::memory;
use serde::Serialize;

const HELP: &str = "soak [--minutes N] [--seed S]     feeds die and return at random for N minutes (default 20)
soak --figures [--seconds N]      four live feeds for N seconds (default 60), the same with one dead, with layouts that change, and
                                  with a bedside device whose number changes
soak --large [--seconds N]        one feed of 1920x1080 at 30 and at 60 a second and one of 3840x2160 at 30, sent as 1920x1080";

/// Left out of slopes: pools fill, encoders start, the allocator finds its size.
const WARM_UP_S: f64 = 90.0;
/// Between two changes of the layout, or of a device's number.
const ASK_EVERY: Duration = Duration::from_millis(730);
const LAYOUTS: [&str; 2] = ["fluoroscopy-large", "quad"];

#[derive(Debug, Default)]
struct Options {
    minutes: f64,
    seed: u64,
    figures: bool,
    large: bool,
    seconds: u64,
    /// This process is to be the engine.
    engine: Option<EngineOptions>,
}

fn main() -> anyhow::Result<()> {
    // Before anything else: the engine's process begins here, too.
    memory::settle();
    let mut o = Options { minutes: 20.0, seed: 20_261_121, figures: false, large: false, seconds: 60, engine: None };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("minutes") => o.minutes = args.value()?.parse()?,
            Long("seed") => o.seed = args.value()?.parse()?,
            Long("figures") => o.figures = true,
            Long("large") => o.large = true,
            Long("seconds") => o.seconds = args.value()?.parse()?,
            Long("engine") => o.engine.get_or_insert_default().folder = args.value()?.into(),
            Long("scene") => o.engine.get_or_insert_default().scene = Scene::parse(&args.value()?.string()?)?,
            Long("began") => o.engine.get_or_insert_default().began = args.value()?.parse()?,
            Long("length") => o.engine.get_or_insert_default().length = args.value()?.parse()?,
            Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    gstreamer::init()?;
    if let Some(engine) = &o.engine {
        return run_engine(engine);
    }
    match (o.figures, o.large) {
        (_, true) => large(&o),
        (true, _) => figures(&o),
        _ => soak(&o),
    }
}

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
    /// From a wish for another layout to its first program frame composed, and complete at the server; ms.
    switched: [Vec<f64>; 2],
}

/// A layout that was asked for.
struct Asked {
    at: CaptureTime,
    before: u32,
    /// RTP time of its first frame.
    first: Option<u32>,
}

/// Runs an engine, and watches the feeds of its scene. `switch`: another layout each [`ASK_EVERY`].
fn run(scene: Scene, length: Duration, say: bool, switch: bool) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let mut listener = Listener::bind(folder.path())?;
    let feeds = scene.watched(length)?;
    let began = Instant::now();
    let mut run = Run {
        watch: Watch::new(now(), feeds),
        health: Vec::new(),
        excess: Vec::new(),
        rss: Vec::new(),
        cores: None,
        sheds: 0,
        switched: Default::default(),
    };
    let mut engine = Engine::start(folder.path(), scene, length)?;
    let meter = Meter::start(&[engine.pid()]);
    let (mut next_rss, mut next_word, mut next_ask) = (Duration::ZERO, Duration::from_secs(60), Duration::from_secs(5));
    let (mut rev, mut asked): (u32, Option<Asked>) = (0, None);
    while began.elapsed() < length {
        for heard in listener.turn()? {
            match heard {
                Heard::Up => {}
                Heard::Frame(index) if index.program == "program" => {
                    rev = index.layout_rev;
                    if let Some(asked) = asked.as_mut().filter(|a| a.before != rev && a.first.is_none()) {
                        asked.first = Some(index.rtp_ts);
                        run.switched[0].push(ms(CaptureTime(index.composed), asked.at));
                    }
                    run.watch.handle_frame(&index);
                }
                Heard::Frame(_) => {}
                Heard::Health(health) => {
                    if health.layers.is_empty() {
                        listener.want(scene.layers())?;
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
        if let Some(complete) = asked.as_ref().and_then(|a| Some(ms(listener.complete_at(a.first?)?, a.at))) {
            run.switched[1].push(complete);
            asked = None;
        }
        if switch && asked.is_none() && t >= next_ask {
            next_ask = t + ASK_EVERY;
            listener.layout(LAYOUTS[run.switched[1].len() % LAYOUTS.len()])?;
            asked = Some(Asked { at: now(), before: rev, first: None });
        }
        if t >= next_rss {
            engine.lives()?;
            run.rss.push((t.as_secs_f64(), engine.rss_mb()));
            next_rss = t + Duration::from_secs(2);
        }
        if say && t >= next_word {
            next_word += Duration::from_secs(60);
            let recent: Vec<f64> = run.watch.ages.iter().filter(|a| a.0 > t.as_secs_f64() - 60.0).map(|a| a.1).collect();
            let age = Percentiles::of(&recent);
            println!(
                "minute {:>3}: {:.1} MB, capture to composed p50 {:.2} p99 {:.2} ms",
                t.as_secs() / 60,
                engine.rss_mb(),
                age.as_ref().map_or(f64::NAN, |p| p.p50),
                age.as_ref().map_or(f64::NAN, |p| p.p99)
            );
        }
    }
    run.cores = meter.stop().processes.first().copied().flatten();
    engine.lives()?;
    Ok(run)
}

fn ms(later: CaptureTime, earlier: CaptureTime) -> f64 {
    later.minus_ns(earlier) as f64 / 1e6
}

/// From a device's message handed to its socket to the picture that shows its number, decoded; ms.
fn device(length: Duration) -> anyhow::Result<Vec<f64>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let scene = Scene::Device(port);
    let folder = tempfile::tempdir()?;
    let mut listener = Listener::bind(folder.path())?;
    listener.keep_packets();
    let began = Instant::now();
    let mut engine = Engine::start(folder.path(), scene, length)?;
    let (mut desk, mut device): (Desk, Option<Device>) = (Desk::new()?, None);
    let (mut place, mut asked, mut next_ask): (Option<Rect>, Option<CaptureTime>, _) = (None, None, Duration::from_secs(5));
    let mut took = Vec::new();
    while began.elapsed() < length {
        for heard in listener.turn()? {
            match heard {
                Heard::Health(health) if health.layers.is_empty() => listener.want(scene.layers())?,
                Heard::Frame(FrameIndex { entries, .. }) => {
                    place = entries.iter().find(|e| e.feed == "vitals").and_then(|e| e.rect).or(place);
                }
                _ => {}
            }
        }
        let Some(rect) = place else { continue };
        if let Some(seen) = desk.look(listener.take_packets(), rect)?
            && let Some(asked) = asked.take()
        {
            took.push(ms(seen, asked));
        }
        if began.elapsed() >= next_ask {
            next_ask = began.elapsed() + ASK_EVERY;
            let device = match &mut device {
                Some(device) => device,
                none => none.insert(Device::dial(port)?),
            };
            anyhow::ensure!(asked.is_none() || took.is_empty(), "a number was never seen");
            asked = Some(device.say()?);
        }
    }
    engine.lives()?;
    Ok(took)
}

#[derive(Debug, Serialize)]
struct Soak {
    minutes: f64,
    seed: u64,
    rss_mb_first: f64,
    rss_mb_last: f64,
    /// Least squares after the warm-up. Budget: 1.
    rss_mb_per_10_min: f64,
    /// The same of each minute's highest: a feed that comes back empties its five seconds of the tracker's frames, 17 MB, and fills them again.
    rss_peak_mb_per_10_min: f64,
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
    let machine = machine::describe();
    let run = run(Scene::Soak(o.seed), length, true, false)?;
    let late = |points: &[(f64, f64)]| points.iter().copied().filter(|p| p.0 >= WARM_UP_S).collect::<Vec<_>>();
    let report = Soak {
        minutes: o.minutes,
        seed: o.seed,
        rss_mb_first: late(&run.rss).first().map_or(f64::NAN, |p| p.1),
        rss_mb_last: run.rss.last().map_or(f64::NAN, |p| p.1),
        rss_mb_per_10_min: slope(&late(&run.rss)) * 600.0,
        rss_peak_mb_per_10_min: slope(&peaks(&late(&run.rss))) * 600.0,
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
            "{:<10} away {:>3} times, marked after {:.0} ms at most, {} times wrongly; stalled over one frame {:>3} times, worst {:.1} ms",
            s.feed,
            s.times_away,
            s.marked_worst_ms,
            s.wronged.len(),
            s.over_one_frame,
            s.worst_ms
        );
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// The highest of each minute.
fn peaks(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut peaks: Vec<(f64, f64)> = Vec::new();
    for &(t, mb) in points {
        let minute = (t / 60.0).floor() * 60.0;
        match peaks.last_mut() {
            Some(last) if last.0 == minute => last.1 = last.1.max(mb),
            _ => peaks.push((minute, mb)),
        }
    }
    peaks
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

/// ms. Budgets: 200 for a layout, 100 for a number.
#[derive(Debug, Serialize)]
struct Changes {
    layout_to_composed: Option<Percentiles>,
    layout_to_rtp: Option<Percentiles>,
    layout_worst: f64,
    number_to_picture: Option<Percentiles>,
    number_worst: f64,
}

fn figures(o: &Options) -> anyhow::Result<()> {
    let length = Duration::from_secs(o.seconds + 5);
    let mut all = Vec::new();
    for (scene, feeds) in [(Scene::FourLive, "four live"), (Scene::OneDead, "three live, one dead")] {
        let figures = of_run(feeds, &run(scene, length, false, false)?);
        println!("{figures:#?}");
        all.push(figures);
    }
    let [composed, complete] = run(Scene::FourLive, length, false, true)?.switched;
    let numbers = device(length)?;
    let worst = |all: &[f64]| all.iter().copied().fold(0.0, f64::max);
    let changes = Changes {
        layout_to_composed: Percentiles::of(&composed),
        layout_to_rtp: Percentiles::of(&complete),
        layout_worst: worst(&complete),
        number_to_picture: Percentiles::of(&numbers),
        number_worst: worst(&numbers),
    };
    println!("{changes:#?}");
    println!("{}", serde_json::to_string(&(all, changes))?);
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

/// One operative field as large as browsers decode, at both rates, and one larger. Its pictures are another source's: only size and rate count.
fn large(o: &Options) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (height, rate) in [(1080, 30), (1080, 60), (2160, 30)] {
        let run = run(Scene::Large { height, rate }, Duration::from_secs(o.seconds + 5), false, false)?;
        let figures = of_run(&format!("{}x{height} at {rate}", height * 16 / 9), &run);
        println!("{figures:#?}");
        all.push(figures);
    }
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
