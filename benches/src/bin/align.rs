//! Alignment of the program in virtual time: excess age of insets beside its floor. Deterministic: a seed is a run.
//! `cargo run --release -p benches --bin align -- --help`

use benches::aligning::{Outcome, run, scenarios};
use benches::stats::Percentiles;
use serde::Serialize;

const HELP: &str = "align [--seconds N] [--seed S] [--only WORD]
Virtual seconds of each scenario (default 3600). Ages in ms, by true time; floor: as if every frame were known when it was captured.";

#[derive(Debug, Serialize)]
struct Report {
    seed: u64,
    seconds: f64,
    /// Worst p99 of aligned scenarios in which no feed dies or is later than the bound.
    excess_p99_worst_ms: f64,
    outcomes: Vec<Outcome>,
}

fn main() -> anyhow::Result<()> {
    let (mut seconds, mut seed, mut only) = (3600.0, 1u64, String::new());
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            Long("seed") => seed = args.value()?.parse()?,
            Long("only") => only = args.value()?.string()?,
            Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    println!(
        "{:<32}{:>9}{:>16}{:>16}{:>16}{:>16}{:>9}{:>9}",
        "scenario, ms p50 / p99", "frames", "excess", "floor", "avoidable", "held up", "gap", "stamps"
    );
    let pair = |p: &Option<Percentiles>| p.as_ref().map_or("-".into(), |p| format!("{:.1} / {:.1}", p.p50, p.p99));
    let mut report = Report { seed, seconds, excess_p99_worst_ms: 0.0, outcomes: Vec::new() };
    for scenario in scenarios().iter().filter(|s| s.name.contains(&only)) {
        let out = run(scenario, seed, seconds);
        println!(
            "{:<32}{:>9}{:>16}{:>16}{:>16}{:>16}{:>9.1}{:>9.2}",
            out.scenario,
            out.program_frames,
            pair(&out.excess),
            pair(&out.floor),
            pair(&out.avoidable),
            pair(&out.held_up),
            out.gap_ms,
            out.stamp_error_ms
        );
        if scenario.is_budgeted() {
            report.excess_p99_worst_ms = report.excess_p99_worst_ms.max(out.excess.as_ref().map_or(0.0, |p| p.p99));
        }
        report.outcomes.push(out);
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
