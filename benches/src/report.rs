//! What `glass` says: a table for people, one line of JSON for tools. A budget that is missed says so in both.

use serde::Serialize;
use serde_json::json;

use crate::driver::Run;
use crate::machine::Machine;
use crate::stats::{Percentiles, Spread};

/// A baseline slower than this means a machine that was not quiet (DESIGN §9). Asked of the
/// baseline that shows pictures as soon as they are decoded: the plain one waits for its jitter buffer, quiet or not.
pub const QUIET_P50_MS: f64 = 20.0;

/// One round: its runs, one after the other.
#[derive(Debug)]
pub struct Round {
    /// The mentor's page alone, drawn on.
    pub product: Run,
    /// The same with the room's page on the same cores; from pen to room.
    pub beside: Run,
    pub plain: Run,
    pub prompt: Run,
    pub load_1min: f64,
}

impl Round {
    /// Was the machine quiet?
    pub fn is_valid(&self) -> bool {
        p50(&self.prompt) <= QUIET_P50_MS
    }
}

fn p50(run: &Run) -> f64 {
    Percentiles::of(&run.ages).map_or(f64::INFINITY, |p| p.p50)
}

/// One row of DESIGN §9.
#[derive(Debug, Serialize)]
pub struct Budget {
    pub name: &'static str,
    pub budget: f64,
    pub unit: &'static str,
    /// `None`: not measured.
    pub value: Option<f64>,
    pub met: Option<bool>,
}

#[derive(Debug)]
pub struct Setting {
    pub machine: Machine,
    pub seconds: f64,
    pub source: &'static str,
    pub chromium: String,
    pub node: String,
    pub gstreamer: String,
    /// Rounds that came to no end, each with its reason.
    pub failed: Vec<String>,
}

pub const NOTES: [&str; 4] = [
    "baseline: webrtcbin as it comes, with no playout-delay extension; Chromium then waits for its jitter buffer, so its p50 is over 20 ms on a quiet machine too",
    "prompt baseline: the same with playout-delay 0/0 written into its packets, as the product does; a round counts when its p50 is at most 20 ms",
    "product: the mentor's page alone, drawn on, as the baselines have one page; beside the room: both pages drawn by the same two cores, as pen -> room needs",
    "the time code holds whole milliseconds, cut: 0.5 ms too much on average in every age, on all sides alike",
];

/// Of each packet of ink: UDP and IPv4, DTLS 1.2 with AES-GCM, SCTP with the header of its DATA chunk.
const HEADERS_BYTES: f64 = 28.0 + 37.0 + 12.0 + 16.0;

/// All there is to say. `rounds` in the order they were run; `wanted` valid ones were asked for.
pub fn report(rounds: &[Round], wanted: usize, setting: &Setting) -> (String, serde_json::Value) {
    let valid: Vec<&Round> = rounds.iter().filter(|r| r.is_valid()).collect();
    // Without any valid round all are told, and it is said.
    let told: Vec<&Round> = if valid.is_empty() { rounds.iter().collect() } else { valid.clone() };
    let ages =
        |side: fn(&Round) -> &Run| Percentiles::of(&told.iter().flat_map(|r| side(r).ages.iter().copied()).collect::<Vec<_>>());
    let ratio = |side: fn(&Round) -> &Run| Spread::of(&told.iter().map(|r| p50(&r.product) / p50(side(r))).collect::<Vec<_>>());
    let (product, beside, plain, prompt) = (ages(|r| &r.product), ages(|r| &r.beside), ages(|r| &r.plain), ages(|r| &r.prompt));
    let (ratio_plain, ratio_prompt) = (ratio(|r| &r.plain), ratio(|r| &r.prompt));
    let inks: Vec<_> = told.iter().filter_map(|r| r.beside.ink.as_ref()).collect();
    let pen = Percentiles::of(&inks.iter().flat_map(|i| i.pairs.iter().copied()).collect::<Vec<_>>());
    let owns: Vec<_> = told.iter().filter_map(|r| r.product.own.as_ref()).collect();
    let own = Percentiles::of(&owns.iter().flat_map(|o| o.pairs.iter().copied()).collect::<Vec<_>>());
    let own_lost: u32 = owns.iter().map(|o| o.not_seen).sum();
    let wire = |headers: f64| {
        let all: Vec<_> = owns.iter().filter_map(|o| o.wire).collect();
        let ms: f64 = all.iter().map(|w| w.ms).sum();
        (ms > 0.0).then(|| all.iter().map(|w| w.bytes + headers * w.packets).sum::<f64>() / ms)
    };
    let cores = |n: usize| Spread::of(&told.iter().filter_map(|r| *r.beside.used.processes.get(n)?).collect::<Vec<_>>());
    let (server, engine) = (cores(0), cores(1));
    let both = server.as_ref().zip(engine.as_ref()).map(|(s, e)| s.median + e.median);

    let row = |name, budget, unit, value: Option<f64>| Budget { name, budget, unit, value, met: value.map(|v| v <= budget) };
    let budgets = [
        row("capture -> visible p50", 26.0, "ms", product.map(|p| p.p50)),
        row("capture -> visible p95", 45.0, "ms", product.map(|p| p.p95)),
        row("  p50, the room's page beside", 26.0, "ms", beside.map(|p| p.p50)),
        row("  p95, the room's page beside", 45.0, "ms", beside.map(|p| p.p95)),
        row("x direct webrtcbin, p50", 1.3, "", ratio_plain.as_ref().map(|r| r.median)),
        row("x prompt webrtcbin, p50", 1.3, "", ratio_prompt.as_ref().map(|r| r.median)),
        row("pen -> room p50", 20.0, "ms", pen.map(|p| p.p50)),
        row("pen -> room p99", 50.0, "ms", pen.map(|p| p.p99)),
        row("pen -> own screen p50", 20.0, "ms", own.map(|p| p.p50)),
        row("a pen on the wire, with headers", 10.0, "kB/s", wire(HEADERS_BYTES)),
        row("engine, three layers", 0.45, "cores", engine.as_ref().map(|s| s.median)),
        row("engine, everything", 0.65, "cores", engine.as_ref().map(|s| s.median)),
        row("engine + server", 0.8, "cores", both),
    ];

    let sum = |get: fn(&Run) -> u32, side: fn(&Round) -> &Run| told.iter().map(|r| get(side(r))).sum::<u32>();
    let clock = rounds.iter().flat_map(|r| [&r.product, &r.beside, &r.plain, &r.prompt]).map(|r| &r.clock);
    let uncertainty = clock.clone().map(|c| c.uncertainty_ms).fold(0.0, f64::max);
    let outside = clock.map(|c| c.outside_driver_bracket_ms).fold(0.0, f64::max);
    let gaps = Percentiles::of(&told.iter().flat_map(|r| r.product.frame_gaps_ms.iter().copied()).collect::<Vec<_>>());
    let side_json = |p: Option<Percentiles>, side: fn(&Round) -> &Run| {
        json!({"p50": p.map(|p| p.p50), "p95": p.map(|p| p.p95), "p99": p.map(|p| p.p99), "n": p.map(|p| p.n),
               "unreadable": sum(|r| r.unreadable, side), "missed": sum(|r| r.missed, side)})
    };

    let line = json!({
        "capture_to_visible_ms": {
            "product": side_json(product, |r| &r.product),
            "product_beside_room": side_json(beside, |r| &r.beside),
            "baseline": side_json(plain, |r| &r.plain),
            "baseline_prompt": side_json(prompt, |r| &r.prompt),
        },
        "ratio": ratio_plain.as_ref().map(|r| r.median),
        "ratio_spread": ratio_plain,
        "ratio_prompt": ratio_prompt,
        "pen_to_room_ms": pen,
        "pen_to_own_screen_ms": own,
        "pen_to_own_screen_not_seen": own_lost,
        "pen_wire_kb_s": { "ink": wire(0.0), "with_headers": wire(HEADERS_BYTES) },
        "pen": {
            "not_seen": inks.iter().map(|i| i.not_seen).sum::<u32>(),
            "not_clear": inks.iter().map(|i| i.not_clear).sum::<u32>(),
            "strokes_drawn": inks.iter().map(|i| i.strokes_drawn).sum::<u32>(),
            "strokes_mentor": inks.iter().map(|i| i.strokes_mentor).sum::<u32>(),
            "strokes_room": inks.iter().map(|i| i.strokes_room).sum::<u32>(),
            "clock_uncertainty_ms": inks.iter().map(|i| i.clock_uncertainty_ms).fold(0.0, f64::max),
        },
        "rounds": {
            "wanted": wanted, "run": rounds.len(), "valid": valid.len(),
            "repeated_baseline_over_20_ms": rounds.len() - valid.len(),
            "plain_baseline_over_20_ms": rounds.iter().filter(|r| p50(&r.plain) > QUIET_P50_MS).count(),
            "failed": setting.failed, "seconds_each": setting.seconds,
            "each": rounds.iter().map(|r| json!({
                "product_p50": p50(&r.product), "product_beside_room_p50": p50(&r.beside), "baseline_p50": p50(&r.plain), "baseline_prompt_p50": p50(&r.prompt),
                "valid": r.is_valid(), "load_1min": r.load_1min, "cores_busy": r.product.used.machine, "cores_busy_beside_room": r.beside.used.machine,
            })).collect::<Vec<_>>(),
        },
        "cpu_cores": { "engine": engine, "server": server, "engine_and_server": both },
        "animation_frame_gap_ms": gaps,
        "clock": {
            "page_uncertainty_ms": uncertainty, "page_outside_driver_ms": outside,
            "product_uncertainty_ms": told.iter().filter_map(|r| r.product.product_clock_uncertainty_ms).fold(0.0, f64::max),
        },
        "budgets": budgets,
        "budgets_met": !valid.is_empty() && budgets.iter().all(|b| b.met == Some(true)),
        "source": setting.source,
        "machine": setting.machine,
        "versions": { "shirube": env!("CARGO_PKG_VERSION"), "chromium": setting.chromium, "node": setting.node, "gstreamer": setting.gstreamer },
        "notes": NOTES,
    });

    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    say(format!(
        "machine   {} x {}, Linux {}, load {:.2} before",
        setting.machine.cores, setting.machine.cpu, setting.machine.kernel, setting.machine.load_1min
    ));
    say(format!(
        "rounds    {} valid of {} run, {} wanted, {} s each; source: {}",
        valid.len(),
        rounds.len(),
        wanted,
        setting.seconds,
        setting.source
    ));
    for reason in &setting.failed {
        say(format!("FAILED    {reason}"));
    }
    if valid.len() < wanted {
        say(format!(
            "          NOT QUIET: too few valid rounds; {}",
            if valid.is_empty() {
                "what follows is from all of them and proves nothing"
            } else {
                "what follows is from the valid ones"
            }
        ));
    }
    say(String::new());
    say(format!("{:<34}{:>8}{:>8}{:>8}{:>7}", "ms", "p50", "p95", "p99", "n"));
    for (name, p) in [
        ("capture -> visible, product", product),
        ("  the room's page beside", beside),
        ("  baseline (no playout-delay)", plain),
        ("  prompt baseline (delay 0/0)", prompt),
        ("pen -> room", pen),
        ("pen -> own screen", own),
    ] {
        match p {
            Some(p) => say(format!("{name:<34}{:>8.1}{:>8.1}{:>8.1}{:>7}", p.p50, p.p95, p.p99, p.n)),
            None => say(format!("{name:<34}{:>31}", "no samples")),
        }
    }
    say(String::new());
    say(format!("{:<34}{:>8}{:>8}{:>8}", "ratio of p50s", "median", "min", "max"));
    for (name, r) in [("product / baseline", &ratio_plain), ("product / prompt baseline", &ratio_prompt)] {
        if let Some(r) = r {
            say(format!("{name:<34}{:>8.2}{:>8.2}{:>8.2}", r.median, r.min, r.max));
        }
    }
    say(String::new());
    say(format!("{:<34}{:>8}{:>8}  {}", "budget", "at most", "is", "unit"));
    for b in &budgets {
        let (value, verdict) = match (b.value, b.met) {
            (Some(v), Some(true)) => (format!("{v:.2}"), "met"),
            (Some(v), _) => (format!("{v:.2}"), "MISSED"),
            _ => ("-".into(), "NOT MEASURED"),
        };
        say(format!("{:<34}{:>8}{:>8}  {:<6} {verdict}", b.name, b.budget, value, b.unit));
    }
    say(String::new());
    let lost: u32 = inks.iter().map(|i| i.not_seen).sum();
    let drawn: u32 = inks.iter().map(|i| i.strokes_drawn).sum();
    let arrived: u32 = inks.iter().map(|i| i.strokes_room).sum();
    say(format!("ink       {lost} pen samples were never seen in the room; {arrived} strokes of {drawn} drawn are there"));
    say(format!(
        "clocks    page within {uncertainty:.2} ms of Unix time by its own bounds, {outside:.2} ms outside the driver's"
    ));
    for note in NOTES {
        say(format!("note      {note}"));
    }
    (text, line)
}
