//! The plans of `tests/rehearsal/hours.rs` for hours of virtual time: does any delay grow? One line for each page of each plan,
//! and a verdict; ends with 1 when one is not good.
//!
//! `cargo bench -p sfu --bench hours -- [--minutes 120] [--seeds 3]`
#![allow(dead_code, unused_imports)] // Of the rehearsal only this part is used here.
#![allow(clippy::disallowed_methods)] // Virtual time, too, begins at some instant.

#[path = "../tests/rehearsal/camera.rs"]
mod camera;
#[path = "../tests/rehearsal/clocks.rs"]
mod clocks;
#[path = "../tests/rehearsal/hours.rs"]
mod hours;
#[path = "../tests/rehearsal/line.rs"]
mod line;
#[path = "../tests/rehearsal/lines.rs"]
mod lines;
#[path = "../tests/rehearsal/scenarios.rs"]
mod scenarios;
#[path = "../tests/rehearsal/source.rs"]
mod source;
#[path = "../tests/rehearsal/standing.rs"]
mod standing;
#[path = "../tests/rehearsal/viewer.rs"]
mod viewer;
#[path = "../tests/rehearsal/world.rs"]
mod world;

use std::process::ExitCode;

/// All plans for so long, from so many seeds; the failures, with a line for each seat to `tell`.
fn all(seeds: std::ops::Range<u64>, minutes: u64, mut tell: impl FnMut(String)) -> Vec<String> {
    let mut failed = Vec::new();
    for seed in seeds {
        for plan in hours::plans() {
            for (seat, seen) in hours::run(&plan, seed, minutes) {
                let figures =
                    [hours::over(&seen, |m| m.arrived_ms), hours::over(&seen, |m| m.shown_ms), hours::over(&seen, |m| m.held_ms)];
                let [arrived, shown, held] = figures;
                let verdict = hours::judge(&seat, &seen);
                let who = if seat.smooth { "watches" } else { "guides" };
                let line = format!(
                    "{:30} seed {seed}, {who}, {:+} ppm: arrived {arrived:.1}, shown {shown:.1}, held {held:.0} ms, {}",
                    plan.name,
                    seat.ppm,
                    verdict.as_ref().err().map_or("good", |why| why.as_str()),
                );
                if verdict.is_err() {
                    failed.push(line.clone());
                }
                tell(line);
            }
        }
    }
    failed
}

fn main() -> ExitCode {
    let (mut minutes, mut seeds) = (120, 3);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok());
        match arg.as_str() {
            "--minutes" => minutes = number().unwrap_or(minutes),
            "--seeds" => seeds = number().unwrap_or(seeds),
            // As criterion has it: once, to see that it runs.
            "--test" => (minutes, seeds) = (3, 1),
            // What cargo itself adds.
            "--bench" => {}
            other => {
                eprintln!("{other} is not known: --minutes N, --seeds N");
                return ExitCode::from(2);
            }
        }
    }
    let begun = std::time::Instant::now();
    let failed = all(1..1 + seeds, minutes.max(3), |line| println!("{line}"));
    println!("{} minutes each, {seeds} seeds, {} not good, {:.0} s", minutes.max(3), failed.len(), begun.elapsed().as_secs_f64());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
