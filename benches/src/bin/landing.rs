//! Where ink lands on moving tissue: a scripted mentor marks it over a line with delay, the room's page draws it. See
//! `benches/README.md`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use benches::browser::Browser;
use benches::impair::proxy::UdpProxy;
use benches::impair::{Conditions, Phase};
use benches::landing::{Mark, Row, Tally, clip, parts};
use benches::machine;
use benches::product::{Demo, Folder, House, Start};
use benches::track::Scene;
use benches::track::tissue::{Tissue, What};
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tracker::similarity::Vec2;

const USAGE: &str = "\
landing — where marks on moving tissue land on the room's screen

  cargo run --release -p benches --bin landing -- [options]

  --marks N          of each scene at each lag (default 12)
  --watch S          how long each is watched in the room (default 4)
  --lags A,B,..      added between room and mentor, there and back together, ms (default 150,250,400)
  --only SCENE       still, breathing, cardiac, deformation, hand-held, tool-sweep, glare, scene-cut, haze (default: breathing and hand-held)
  --seed N           of scenes and places (default: a fresh one, printed)
  --no-build         take what is built
";

struct Args {
    marks: usize,
    watch_s: f64,
    lags: Vec<u32>,
    only: Option<String>,
    seed: Option<u64>,
    build: bool,
}

fn main() -> Result<()> {
    let Some(args) = arguments()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let house = House::find()?;
    if args.build {
        eprintln!("landing: building in release");
        house.build()?;
    }
    let machine = machine::describe();
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    println!("seed {seed}; pixels at 1080p");
    let mut browser = Browser::start(&house.root, "landing.mjs")?;
    let mut rows = Vec::new();
    for what in What::ALL {
        let wanted = args.only.as_deref().map_or(matches!(what, What::Breathing | What::HandHeld), |only| only == what.name());
        if !wanted {
            continue;
        }
        for &lag in &args.lags {
            let row = run(&house, &mut browser, what, seed, lag, &args).with_context(|| format!("{} at {lag} ms", what.name()));
            let _: Result<Value> = browser.ask(&json!({ "what": "close" }));
            let row = row?;
            print(&row);
            rows.push(row);
        }
    }
    let line = json!({
        "what": "landing", "seed": seed, "rows": rows, "machine": machine,
        "versions": { "shirube": env!("CARGO_PKG_VERSION"), "chromium": browser.versions.chromium, "node": browser.versions.node },
    });
    println!("\n{line}");
    Ok(())
}

fn run(house: &House, browser: &mut Browser, what: What, seed: u64, lag: u32, args: &Args) -> Result<Row> {
    let folder = Arc::new(Folder::new("landing"));
    std::fs::create_dir_all(folder.data.with_extension("clip"))?;
    let place = folder.data.with_extension("clip");
    let mut scene = Tissue::new(what, seed);
    clip::write(&mut scene, &place.join("scene.mp4"))?;
    let config = place.join("engine.toml");
    std::fs::write(&config, CONFIG)?;
    let outcome = measured(house, browser, &scene, folder, &config, (seed, lag), args);
    let _ = std::fs::remove_dir_all(&place);
    Ok(outcome?.row(what.name(), lag))
}

fn measured(
    house: &House,
    browser: &mut Browser,
    scene: &Tissue,
    folder: Arc<Folder>,
    config: &Path,
    (seed, lag): (u64, u32),
    args: &Args,
) -> Result<Tally> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let media_port = UdpSocket::bind(here(0))?.local_addr()?.port();
    let way = Conditions { delay_ms: f64::from(lag) / 2.0, ..Default::default() };
    let script = vec![Phase { at_ms: 0, up: way.clone(), down: way }];
    let proxy = UdpProxy::start(here(0), here(media_port), seed, script, Instant::now())?;
    let start =
        Start { shared: None, engine_config: Some(config), folder, https_port: 0, media_port, announce: Some(proxy.address) };
    let demo = Demo::start_with(house, start)?;
    let _: Value = browser.ask(&json!({ "what": "open", "links": demo.ready.links }))?;
    let mut dice = ChaCha8Rng::seed_from_u64(seed ^ u64::from(lag));
    let mut tally = Tally::default();
    for _ in 0..args.marks {
        let path = path(scene, &mut dice);
        let request = json!({ "what": "mark", "path": path, "watchMs": args.watch_s * 1_000.0 });
        let mark: Mark = browser.ask(&request)?;
        tally.add(scene, &mark);
    }
    Ok(tally)
}

/// Where a place of the tissue lies in each picture, parts of the width; one that stays clear of the codes and the edges.
fn path(scene: &Tissue, dice: &mut ChaCha8Rng) -> Vec<[f64; 2]> {
    loop {
        let at = Vec2::new(dice.random_range(90.0..390.0), dice.random_range(70.0..200.0));
        let Some(material) = scene.material(0, at) else { continue };
        let path: Vec<_> = (0..scene.frames()).map(|k| parts(scene.place(k, material).unwrap_or(at))).collect();
        let clear = |[u, v]: &[f64; 2]| (0.06..0.94).contains(u) && (0.11..0.47).contains(v);
        if path.iter().filter(|p| clear(p)).count() * 10 >= path.len() * 9
            && path.iter().all(|[u, v]| (0.0..1.0).contains(u) && *v > 0.0)
        {
            return path;
        }
    }
}

fn print(row: &Row) {
    let ms = |p: Option<benches::stats::Percentiles>| p.map_or("-".into(), |p| format!("{:.1}/{:.1}", p.p50, p.p95));
    println!(
        "{:<12}{:>4} ms  {} marks, {} pictures, {:.1} % with the mark; error p50/p95 {} max {:.1}, {} over 15 px; stayed put {}; frame exact {} of {} frozen; canvas bare {}; first seen {} ms; never {}",
        row.scene,
        row.lag_ms,
        row.marks,
        row.pictures,
        row.drawn_pct,
        ms(row.error_px),
        row.error_px_max.unwrap_or(f64::NAN),
        row.silent,
        ms(row.naive_px),
        row.frame_exact,
        row.frozen,
        row.canvas_bare,
        ms(row.first_ms),
        row.never_drawn,
    );
}

/// One feed that fills the program.
const CONFIG: &str = r#"
engine = "landing"
program = { width = 1280, height = 720, layout = "full", bitrate_bps = 4000000, align_ms = 0 }

[[feed]]
id = "field"
kind = "operative-field"
name_ja = "術野"
name_en = "Operative field"
main = true
source = { type = "file", path = "scene.mp4" }
"#;

/// `None`: help was asked for.
fn arguments() -> Result<Option<Args>> {
    use lexopt::prelude::*;
    let mut args = Args { marks: 12, watch_s: 4.0, lags: vec![150, 250, 400], only: None, seed: None, build: true };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("marks") => args.marks = parser.value()?.parse()?,
            Long("watch") => args.watch_s = parser.value()?.parse()?,
            Long("lags") => {
                args.lags = parser.value()?.string()?.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            }
            Long("only") => args.only = Some(parser.value()?.string()?),
            Long("seed") => args.seed = Some(parser.value()?.parse()?),
            Long("no-build") => args.build = false,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if args.marks == 0 || !(0.5..=60.0).contains(&args.watch_s) || args.lags.iter().any(|l| *l > 5_000) {
        bail!("--marks 1 or more, --watch 0.5 to 60, --lags up to 5000");
    }
    Ok(Some(args))
}
