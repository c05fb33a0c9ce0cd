//! Ink on moving tissue: generated scenes and recorded clips with exact truth, the tracker beside naive ink and chained flow.
//! `cargo run --release -p benches --bin tracker -- --help`

use std::path::Path;

use benches::machine;
use benches::track::clip;
use benches::track::layers::Layers;
use benches::track::run::{Row, Tally, run};
use benches::track::tissue::{self, Tissue};
use benches::track::xray::{self, Xray};
use rand::Rng;
use serde::Serialize;

const HELP: &str = "tracker [--seeds N] [--seed S] [--only SCENARIO] [--no-baselines] [--notes [--states]]
Fresh seeds each run, printed; --seed repeats one.";

/// Runs one kind of scene from a seed.
type Make = Box<dyn Fn(u64) -> Tally>;

#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    seeds: u64,
    rows: Vec<Row>,
    total: Row,
    machine: machine::Machine,
}

fn main() -> anyhow::Result<()> {
    let (mut seed, mut seeds, mut only, mut baselines) = (None, 3u64, None::<String>, true);
    let (mut notes, mut states) = (false, false);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("seed") => seed = Some(args.value()?.parse::<u64>()?),
            Long("seeds") => seeds = args.value()?.parse()?,
            Long("only") => only = Some(args.value()?.string()?),
            Long("no-baselines") => baselines = false,
            Long("notes") => notes = true,
            Long("states") => states = true,
            Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let machine = machine::describe();
    let seed = seed.unwrap_or_else(|| rand::rng().random::<u32>().into());
    println!("seed {seed}, {seeds} scenes of each kind; pixels at 1080p");
    println!(
        "{:<16}{:>8}{:>9}{:>9}{:>8}{:>7}{:>7}{:>7}{:>7}{:>7}{:>8}{:>9}{:>8} | {:>9}{:>9}{:>9} | {:>8}{:>9}",
        "scenario",
        "frames",
        "tracked%",
        "(seen)%",
        "unsure%",
        "lost%",
        "p50",
        "p95",
        "p99",
        "max",
        "silent",
        "to lost",
        "ms p95",
        "naive150",
        "naive250",
        "naive400",
        "chained",
        "silent%"
    );
    let mut rows = Vec::new();
    let mut total = Tally::default();
    let mut kinds: Vec<(String, Make)> = Vec::new();
    for what in tissue::What::ALL {
        kinds.push((what.name().into(), Box::new(move |s| run(&mut Tissue::new(what, s), s, baselines))));
    }
    kinds.push(("layers".into(), Box::new(move |s| run(&mut Layers::new(s), s, baselines))));
    for what in xray::What::ALL {
        kinds.push((what.name().into(), Box::new(move |s| run(&mut Xray::new(what, s), s, baselines))));
    }
    let clips = clip::clips(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tracking"))?;
    for c in clips {
        let name = c.name_of().to_owned();
        // The recording is the same each time; where the pen comes down is not.
        let make = move |s: u64| {
            let mut tally = Tally::default();
            for mut part in c.with_ink((s % 5) as usize) {
                tally.add(run(&mut part, s, baselines));
            }
            tally
        };
        kinds.push((name, Box::new(make)));
    }
    for (name, make) in &kinds {
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let mut tally = Tally::default();
        for i in 0..seeds {
            tally.add(make(seed.wrapping_mul(1009).wrapping_add(i)));
        }
        if notes {
            tally.notes.iter().chain(tally.states.iter().filter(|_| states)).for_each(|n| println!("  {n}"));
        }
        rows.push(print(tally.row(name)));
        total.add(tally);
    }
    let total = print(total.row("all"));
    println!("{}", serde_json::to_string(&Report { seed, seeds, rows, total, machine })?);
    Ok(())
}

fn print(row: Row) -> Row {
    let f = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.1}"));
    let e = row.error_px;
    println!(
        "{:<16}{:>8}{:>9.1}{:>9.1}{:>8.1}{:>7.1}{:>7}{:>7}{:>7}{:>7}{:>8}{:>9}{:>8} | {:>9}{:>9}{:>9} | {:>8}{:>9.1}",
        row.scenario,
        row.anchor_frames,
        row.tracked_pct,
        row.in_sight_tracked_pct,
        row.unsure_pct,
        row.lost_pct,
        f(e.map(|e| e.p50)),
        f(e.map(|e| e.p95)),
        f(e.map(|e| e.p99)),
        f(row.error_px_max),
        row.silent,
        f(row.to_lost_ms_max),
        f(row.frame_ms.map(|e| e.p95)),
        f(row.naive_px_p50[0]),
        f(row.naive_px_p50[1]),
        f(row.naive_px_p50[2]),
        f(row.chained_px_p95),
        row.chained_silent_pct,
    );
    row
}
