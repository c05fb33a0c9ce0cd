//! How a far engine fares: age at the player by the time code, whether capture times survive, and how long it takes to be back after cuts,
//! by line. One JSON line last.
//!
//! The line is one for both ways of the engine and for the player, whose pictures go `down` it: loss is on the way up alone.

use std::time::{Duration, Instant};

use anyhow::Result;
use benches::far::{Far, Player, Seen};
use benches::impair::{Conditions, Phase};
use lexopt::ValueExt;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Ages {
    pictures: usize,
    age_ms_p50: f64,
    age_ms_p95: f64,
    age_ms_p99: f64,
    /// Largest difference between the time code and what the packets say.
    error_ms_max: f64,
    /// Longest time between two pictures.
    gap_ms_max: f64,
    /// Share of time in gaps longer than five pictures.
    frozen: f64,
}

#[derive(Debug, Serialize)]
struct Profile {
    name: &'static str,
    by_whip: bool,
    ages: Ages,
    lost_up: f64,
    /// Decoded, and the time code could not be read: broken; and decoded, and it is not known which packets it came by.
    unreadable: u64,
    unknown: u64,
    /// From the end of a cut of 2 s to the first picture captured after it, each.
    back_ms: Vec<f64>,
}

fn main() -> Result<()> {
    let (mut seconds, mut cuts, mut only) = (30u64, 5usize, None::<String>);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("seconds") => seconds = parser.value()?.parse()?,
            lexopt::Arg::Long("cuts") => cuts = parser.value()?.parse()?,
            lexopt::Arg::Long("only") => only = Some(parser.value()?.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    // What server and engine say of it, where it is asked for: RUST_LOG=info.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if cfg!(debug_assertions) {
        eprintln!("not built in release: proves nothing");
    }
    let mut profiles = Vec::new();
    for (name, loss, delay_ms, by_whip) in [
        ("clean", 0.0, 0.0, true),
        ("30 ms each way", 0.0, 30.0, true),
        ("30 ms each way, 3 % lost on the way up", 0.03, 30.0, true),
        ("30 ms each way, 5 % lost on the way up", 0.05, 30.0, true),
        ("30 ms each way, TCP alone (the proxy loses nothing of TCP)", 0.0, 30.0, false),
    ] {
        if only.as_deref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let up = Conditions { loss, burst: 1.5, delay_ms, ..Conditions::default() };
        let line = vec![Phase { at_ms: 0, up, down: Conditions { delay_ms, ..Conditions::default() } }];
        let profile = measure(name, line, by_whip, Duration::from_secs(seconds), cuts)?;
        eprintln!("{}", serde_json::to_string(&profile)?);
        profiles.push(profile);
    }
    println!("{}", serde_json::to_string(&serde_json::json!({ "far": profiles }))?);
    Ok(())
}

fn measure(name: &'static str, line: Vec<Phase>, by_whip: bool, span: Duration, cuts: usize) -> Result<Profile> {
    let home = tempfile::tempdir()?;
    let far = Far::start(home.path(), line, by_whip)?;
    let player = far.player()?;
    // Until its own way is there, and what it began with is over.
    let warm = Instant::now() + Duration::from_secs(5);
    while Instant::now() < warm {
        player.next()?;
    }
    let before = (far.counts_up(), player.counts());
    let until = Instant::now() + span;
    let mut seen = Vec::new();
    while Instant::now() < until {
        seen.push(player.next()?);
    }
    let after = (far.counts_up(), player.counts());
    let lost_up = (after.0.1 - before.0.1) as f64 / (after.0.0 - before.0.0).max(1) as f64;
    let (unreadable, unknown) = (after.1.1 - before.1.1, after.1.2 - before.1.2);
    let mut back_ms = Vec::new();
    for _ in 0..cuts {
        back_ms.push(cut(&far, &player)?);
    }
    Ok(Profile { name, by_whip, ages: ages(&seen), lost_up, unreadable, unknown, back_ms })
}

fn cut(far: &Far, player: &Player) -> Result<f64> {
    far.hold(true);
    std::thread::sleep(Duration::from_secs(2));
    while player.seen.try_recv().is_ok() {}
    far.hold(false);
    let over = Instant::now();
    loop {
        let seen = player.next()?;
        if seen.age_ms < seen.at.duration_since(over).as_secs_f64() * 1e3 {
            let back_ms = seen.at.duration_since(over).as_secs_f64() * 1e3;
            // The next cut finds a line at rest.
            let rest = Instant::now() + Duration::from_secs(5);
            while Instant::now() < rest {
                player.next()?;
            }
            return Ok(back_ms);
        }
    }
}

fn ages(seen: &[Seen]) -> Ages {
    let mut ages: Vec<f64> = seen.iter().map(|s| s.age_ms).collect();
    ages.sort_by(f64::total_cmp);
    let at = |share: f64| ages.get(((ages.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);
    let gaps: Vec<f64> = seen.windows(2).map(|w| w[1].at.duration_since(w[0].at).as_secs_f64() * 1e3).collect();
    let whole: f64 = gaps.iter().sum();
    Ages {
        pictures: seen.len(),
        age_ms_p50: at(0.50),
        age_ms_p95: at(0.95),
        age_ms_p99: at(0.99),
        error_ms_max: seen.iter().filter_map(|s| s.error_ms).map(f64::abs).fold(0.0, f64::max),
        gap_ms_max: gaps.iter().copied().fold(0.0, f64::max),
        frozen: gaps.iter().filter(|g| **g > 5.0 * 33.4).sum::<f64>() / whole.max(1.0),
    }
}
