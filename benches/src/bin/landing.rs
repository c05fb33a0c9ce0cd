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
use benches::landing::ground::{Aim, Ground};
use benches::landing::{Mark, Row, Tally, clip};
use benches::machine;
use benches::product::{Demo, Folder, House, Start};
use benches::track::clip::clips;
use benches::track::tissue::{Tissue, What};
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const USAGE: &str = "\
landing — where marks on moving tissue land on the room's screen

  cargo run --release -p benches --bin landing -- [options]

  --marks N          of each scene at each lag (default 8)
  --watch S          how long each is watched in the room (default 3)
  --lags A,B,..      added between room and mentor, there and back together, ms (default 150,250,400)
  --only A,B,..      still, breathing, cardiac, deformation, hand-held, tool-sweep, glare, scene-cut, haze, clip fundus, clip gi-occluded
                     (default: breathing, hand-held)
  --live             the mentor's page takes the field for still: nothing is held under the pen
  --seed N           of scenes and places (default: a fresh one, printed)
  --notes            every mark and what was seen of it
  --no-build         take what is built
";

struct Args {
    marks: usize,
    watch_s: f64,
    lags: Vec<u32>,
    only: Vec<String>,
    live: bool,
    seed: Option<u64>,
    notes: bool,
    build: bool,
}

fn main() -> Result<()> {
    let Some(args) = arguments()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let house = House::of("landing", args.build)?;
    let machine = machine::describe();
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::rng().random::<u32>()));
    println!("seed {seed}; pixels at 1080p");
    let mut browser = Browser::start(&house.root, "landing.mjs")?;
    let mut rows = Vec::new();
    let mut total = Tally::default();
    for name in &args.only {
        let mut ground = ground(&house, name, seed)?;
        let folder = Arc::new(Folder::new("landing"));
        let place = folder.data.with_extension("clip");
        std::fs::create_dir_all(&place)?;
        let done = clip::write(&mut ground, &place.join("scene.mp4")).and_then(|()| {
            std::fs::write(place.join("engine.toml"), CONFIG)?;
            for &lag in &args.lags {
                let tally = measured(&house, &mut browser, &ground, &place.join("engine.toml"), (seed, lag), &args);
                let _: Result<Value> = browser.ask(&json!({ "what": "close" }));
                let tally = tally.with_context(|| format!("{name} at {lag} ms"))?;
                let row = tally.row(name, lag);
                print(&row);
                rows.push(row);
                total.merge(tally);
            }
            Ok(())
        });
        let _ = std::fs::remove_dir_all(&place);
        done?;
    }
    let total = total.row("all", 0);
    print(&total);
    let line = json!({
        "what": "landing", "seed": seed, "live": args.live, "rows": rows, "total": total, "machine": machine,
        "versions": { "shirube": env!("CARGO_PKG_VERSION"), "chromium": browser.versions.chromium, "node": browser.versions.node },
    });
    println!("\n{line}");
    Ok(())
}

fn ground(house: &House, name: &str, seed: u64) -> Result<Ground> {
    if let Some(what) = What::ALL.into_iter().find(|what| what.name() == name) {
        return Ok(Ground::Made(Box::new(Tissue::new(what, seed))));
    }
    let shared = house.shared().context("no recordings beside the project")?;
    let recorded = clips(&shared.join("tracking"))?.into_iter().find(|clip| clip.name_of() == name);
    Ok(Ground::Recorded(recorded.with_context(|| format!("no scene of the name {name}"))?))
}

fn measured(
    house: &House,
    browser: &mut Browser,
    ground: &Ground,
    config: &Path,
    (seed, lag): (u64, u32),
    args: &Args,
) -> Result<Tally> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let media_port = UdpSocket::bind(here(0))?.local_addr()?.port();
    let way = Conditions { delay_ms: f64::from(lag) / 2.0, ..Default::default() };
    let script = vec![Phase { at_ms: 0, up: way.clone(), down: way }];
    let proxy = UdpProxy::start(here(0), here(media_port), seed, script, Instant::now())?;
    let start = Start {
        shared: None,
        engine_config: Some(config),
        folder: Arc::new(Folder::new("landing-case")),
        https_port: 0,
        media_port,
        announce: Some(proxy.address),
    };
    let demo = Demo::start_with(house, start)?;
    let _: Value = browser.ask(&json!({ "what": "open", "links": demo.ready.links }))?;
    let mut dice = ChaCha8Rng::seed_from_u64(seed ^ u64::from(lag));
    let mut tally = Tally::default();
    for _ in 0..args.marks {
        let aim = ground.aim(&mut dice).context("no place can be marked for long enough")?;
        // Where the tissue goes from sight, marks come shortly before: one to two and a half seconds.
        let during = ground.away().map_or(json!([]), |away| {
            json!([
                { "rising": true, "from": away.start.saturating_sub(75), "to": away.start.saturating_sub(30) },
                { "rising": false, "from": away.end + 30, "to": away.end + 75 },
            ])
        });
        let request =
            json!({ "what": "mark", "path": aim.path, "during": during, "live": args.live, "watchMs": args.watch_s * 1_000.0 });
        let mark: Mark = browser.ask(&request)?;
        if args.notes {
            note(ground, &aim, &mark);
        }
        tally.add(ground, &aim, &mark);
    }
    Ok(tally)
}

/// One mark: what it names, and what was seen, a character a picture: the error in px (x: 10 or more), `?` after it with gaps, `.` not drawn.
fn note(ground: &Ground, aim: &Aim, mark: &Mark) {
    let seen: String = mark
        .seen
        .iter()
        .map(|s| {
            let mut one = Tally::default();
            one.add(ground, aim, &Mark { seen: vec![*s], ..mark.clone() });
            let row = one.row("", 0);
            let px = row.error_px_max.or(row.unsure_px.map(|p| p.p50));
            let digit = px.map_or(if s.moved.is_some() { "!".into() } else { ".".into() }, |px| {
                if px < 9.5 { format!("{px:.0}") } else { "x".to_owned() }
            });
            digit + if s.moved.is_some_and(|m| m.unsure) { "?" } else { "" }
        })
        .collect();
    let first = mark.seen.iter().find(|s| s.moved.is_some()).map_or(f64::NAN, |s| s.at);
    for s in mark.seen.iter().filter(|s| s.moved.is_some_and(|m| !m.unsure)) {
        let mut one = Tally::default();
        one.add(ground, aim, &Mark { seen: vec![*s], ..mark.clone() });
        let px = one.row("", 0).error_px_max.unwrap_or(0.0);
        if px > benches::landing::SILENT_PX {
            let truth = s.k.and_then(|k| ground.truth(aim, mark.named?, mark.centre, k)).flatten().map(benches::landing::parts);
            println!(
                "  silent {px:.0} px at {:.0} ms, behind {}, drawn by {:?}, centre {:?}, true {truth:?}",
                s.at, s.behind, s.moved, mark.centre
            );
        }
    }
    println!(
        "  named {:?} {:?} held {:?} shown {:?} first {first:.0} ms {seen}",
        mark.named, mark.named_ms, mark.held, mark.shown
    );
}

fn print(row: &Row) {
    let ms = |p: Option<benches::stats::Percentiles>| p.map_or("-".into(), |p| format!("{:.1}/{:.1}", p.p50, p.p95));
    let most = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.1}"));
    println!(
        "{:<16}{:>4} ms  {} marks, {} pictures, {:.1} % with the mark, {:.1} % with gaps (at most {} ms, px {}); error p50/p95 {} max {}, {} silent, {} of these (of {} all in all) on pictures that the page was not told of yet, {:.1} % painted with their ink; stayed put {}; \
         frame exact {} of {} frozen, {} of {} live {:?}; gone after {} max {} ms; canvas bare {} left over {}; first seen {} ms; never {}; unreadable {} unknown {}",
        row.scene,
        row.lag_ms,
        row.marks,
        row.pictures,
        row.drawn_pct,
        row.unsure_pct,
        most(row.unsure_ms_max),
        ms(row.unsure_px),
        ms(row.error_px),
        most(row.error_px_max),
        row.silent,
        row.silent_behind,
        row.behind,
        row.painted_pct,
        ms(row.naive_px),
        row.frozen_exact,
        row.frozen,
        row.live_exact,
        row.live,
        row.frame_off_ms,
        ms(row.gone_ms),
        most(row.gone_ms_max),
        row.canvas_bare,
        row.canvas_left_over,
        ms(row.first_ms),
        row.never_drawn,
        row.unreadable,
        row.truth_unknown,
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
    let only = vec!["breathing".into(), "hand-held".into()];
    let mut args =
        Args { marks: 8, watch_s: 3.0, lags: vec![150, 250, 400], only, live: false, seed: None, notes: false, build: true };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("marks") => args.marks = parser.value()?.parse()?,
            Long("watch") => args.watch_s = parser.value()?.parse()?,
            Long("lags") => {
                args.lags = parser.value()?.string()?.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
            }
            Long("only") => args.only = parser.value()?.string()?.split(',').map(str::to_owned).collect(),
            Long("live") => args.live = true,
            Long("seed") => args.seed = Some(parser.value()?.parse()?),
            Long("notes") => args.notes = true,
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
