//! Capture to visible and pen to room, through the whole product, beside a plain `webrtcbin` of the same source.
//!
//! A round is four runs in a row, in an order that changes from round to round: the product (three feeds composed, a
//! scripted mentor drawing all the time), the same with the room's page beside it, the baseline, and the baseline with
//! playout-delay 0/0. The product is started for its runs only, so that it takes nothing from the baselines. See
//! `benches/README.md`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use benches::driver::{Driver, Ink, Request, Run, Sender};
use benches::impair::proxy::UdpProxy;
use benches::impair::{Conditions, Phase};
use benches::product::{Demo, Folder, House, Start};
use benches::report::{Round, Setting, report};
use benches::{machine, stats};

const USAGE: &str = "\
glass — capture to visible and pen to room, against plain webrtcbin

  cargo run --release -p benches --bin glass -- [options]

  --json             one line of JSON last
  --pairs N          valid rounds wanted (default 5)
  --seconds S        length of each run (default 17: camera and display take 16.7 s to pass through every phase)
  --settle S         what is left out at the start of each run (default 3)
  --line MS,LOSS     only pen to room, the mentor's leg delayed by MS each way and losing LOSS (0 to 1) in bursts: --pairs runs
  --short            one round of 5 s, for development; proves nothing
  --shared DIR       sample recordings (default: shared/data beside the project, where it is)
  --generated        generated pictures, even where recordings are
  --no-build         take what is built
";

/// Packets lost in a row, on average.
const BURST: f64 = 3.0;

struct Args {
    json: bool,
    pairs: usize,
    seconds: f64,
    settle_s: f64,
    shared: Option<PathBuf>,
    generated: bool,
    build: bool,
    line: Option<(f64, f64)>,
}

fn main() -> Result<()> {
    let Some(args) = arguments()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let house = House::of("glass", args.build)?;
    let shared = house.recordings(args.generated, args.shared);
    let machine = machine::describe();
    let mut driver = Driver::start(&house.root)?;
    let mut bench = Bench { house: &house, driver: &mut driver, shared, seconds: args.seconds, settle_s: args.settle_s };
    if let Some((delay_ms, loss)) = args.line {
        return bench.over_a_line(delay_ms, loss, args.pairs, &machine);
    }

    // A noisy machine must not keep us for ever.
    let most = args.pairs * 2;
    let mut rounds: Vec<Round> = Vec::new();
    let mut failed: Vec<String> = Vec::new();
    while rounds.iter().filter(|r| r.is_valid()).count() < args.pairs && rounds.len() + failed.len() < most {
        let round = match bench.round(rounds.len() + failed.len()) {
            Ok(round) => round,
            Err(fault) => {
                eprintln!("glass: a round failed and is told as failed: {fault:#}");
                failed.push(format!("{fault:#}"));
                continue;
            }
        };
        eprintln!(
            "glass: round {}: {} pen {}; load {:.2}{}",
            rounds.len() + 1,
            [
                ("product", &round.product),
                ("beside the room", &round.beside),
                ("baseline", &round.plain),
                ("prompt", &round.prompt)
            ]
            .map(|(n, r)| told(n, r))
            .join(" "),
            told_pen(&round.beside),
            round.load_1min,
            if round.is_valid() { "" } else { " — not quiet, repeated" }
        );
        rounds.push(round);
    }
    let setting = Setting {
        machine,
        seconds: args.seconds,
        source: if bench.shared.is_some() { "recordings" } else { "generated" },
        chromium: bench.driver.chromium.clone(),
        node: bench.driver.node.clone(),
        gstreamer: gstreamer::version_string().to_string(),
        failed,
    };
    let (table, line) = report(&rounds, args.pairs, &setting);
    println!("{table}");
    if args.json {
        println!("{line}");
    }
    Ok(())
}

fn told(name: &str, run: &Run) -> String {
    match stats::Percentiles::of(&run.ages) {
        Some(p) => format!(
            "{name} {:.1}/{:.1}/{:.1} ms ({} pictures, {} missed, {} unreadable);",
            p.p50, p.p95, p.p99, p.n, run.missed, run.unreadable
        ),
        None => format!("{name}: no samples;"),
    }
}

fn told_pen(run: &Run) -> String {
    let Some(ink) = &run.ink else { return "not drawn".into() };
    let seen = stats::Percentiles::of(&ink.pairs)
        .map_or("no samples".into(), |p| format!("{:.1}/{:.1}/{:.1} ms ({})", p.p50, p.p95, p.p99, p.n));
    format!(
        "{seen}, {} not seen, strokes {} drawn, {} at the mentor, {} in the room",
        ink.not_seen, ink.strokes_drawn, ink.strokes_mentor, ink.strokes_room
    )
}

struct Bench<'a> {
    house: &'a House,
    driver: &'a mut Driver,
    shared: Option<PathBuf>,
    seconds: f64,
    settle_s: f64,
}

impl Bench<'_> {
    /// Round `n`; each run takes each place in turn.
    fn round(&mut self, n: usize) -> Result<Round> {
        let load_1min = machine::load_1min();
        let (mut product, mut beside, mut plain, mut prompt) = (None, None, None, None);
        for i in 0..4 {
            match (n + i) % 4 {
                0 => product = Some(self.product(n, false).context("the product's run")?),
                1 => plain = Some(self.direct(false).context("the baseline's run")?),
                2 => beside = Some(self.product(n, true).context("the product's run with the room")?),
                _ => prompt = Some(self.direct(true).context("the prompt baseline's run")?),
            }
        }
        match (product, beside, plain, prompt) {
            (Some(product), Some(beside), Some(plain), Some(prompt)) => Ok(Round { product, beside, plain, prompt, load_1min }),
            _ => bail!("a round has four runs"),
        }
    }

    fn product(&mut self, n: usize, room: bool) -> Result<Run> {
        let demo = Demo::start(self.house, self.shared.as_deref())?;
        let pids: Vec<u32> = [Some(demo.ready.pids.server), demo.ready.pids.engine].into_iter().flatten().collect();
        let links = demo.ready.links.clone();
        let (seconds, settle_s) = (self.seconds, self.settle_s);
        let request = Request::Product { links, seconds, settle_s, seed: 1 + n as u32, room, direct: None };
        self.driver.measure(&request, &pids)
    }

    /// Pen to room alone, with the mentor behind a line that delays and loses; the room beside the server.
    fn over_a_line(&mut self, delay_ms: f64, loss: f64, runs: usize, machine: &machine::Machine) -> Result<()> {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let way = Conditions { delay_ms, loss, burst: BURST, ..Default::default() };
        let mut inks: Vec<Ink> = Vec::new();
        let (mut packets, mut lost) = (0, 0);
        for n in 0..runs {
            let media_port = UdpSocket::bind(here(0))?.local_addr()?.port();
            let script = vec![Phase { at_ms: 0, up: way.clone(), down: way.clone() }];
            let proxy = UdpProxy::start(here(0), here(media_port), 1 + n as u64, script, Instant::now())?;
            let folder = Arc::new(Folder::new("glass-line"));
            let shared = self.shared.as_deref();
            let announce = Some(proxy.address);
            let demo =
                Demo::start_with(self.house, Start { shared, engine_config: None, folder, https_port: 0, media_port, announce })?;
            let pids: Vec<u32> = [Some(demo.ready.pids.server), demo.ready.pids.engine].into_iter().flatten().collect();
            let request = Request::Product {
                links: demo.ready.links.clone(),
                seconds: self.seconds,
                settle_s: self.settle_s,
                seed: 1 + n as u32,
                room: true,
                direct: Some((proxy.address.port(), media_port)),
            };
            let run = self.driver.measure(&request, &pids)?;
            let (up, down) = proxy.counts();
            packets += up.packets + down.packets;
            lost += up.lost + down.lost;
            eprintln!("glass: run {} over the line: pen {}", n + 1, told_pen(&run));
            inks.extend(run.ink);
        }
        let pen = stats::Percentiles::of(&inks.iter().flat_map(|i| i.pairs.iter().copied()).collect::<Vec<_>>());
        let sum = |of: fn(&Ink) -> u32| inks.iter().map(of).sum::<u32>();
        let line = serde_json::json!({
            "machine": machine,
            "line": { "one_way_ms": delay_ms, "loss": loss, "burst": BURST, "packets": packets, "lost": lost, "leg": "mentor's" },
            "pen_to_room_ms": { "is": pen, "budget_p99": 180 },
            "not_seen": sum(|i| i.not_seen),
            "strokes_drawn": sum(|i| i.strokes_drawn), "strokes_mentor": sum(|i| i.strokes_mentor), "strokes_room": sum(|i| i.strokes_room),
        });
        println!("{line}");
        Ok(())
    }

    fn direct(&mut self, prompt: bool) -> Result<Run> {
        let mut args: Vec<String> = Vec::new();
        if prompt {
            args.push("--playout-delay".into());
        }
        if let Some(shared) = &self.shared {
            args.extend(["--shared".into(), shared.to_string_lossy().into_owned()]);
        }
        let sender = Sender { exe: self.house.program("direct").to_string_lossy().into_owned(), args };
        self.driver.measure(&Request::Direct { sender, seconds: self.seconds, settle_s: self.settle_s }, &[])
    }
}

/// `None`: help was asked for.
fn arguments() -> Result<Option<Args>> {
    use lexopt::Arg::{Long, Short};
    let mut args =
        Args { json: false, pairs: 5, seconds: 17.0, settle_s: 3.0, shared: None, generated: false, build: true, line: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => args.json = true,
            Long("pairs") => args.pairs = parser.value()?.to_string_lossy().parse()?,
            Long("seconds") => args.seconds = parser.value()?.to_string_lossy().parse()?,
            Long("settle") => args.settle_s = parser.value()?.to_string_lossy().parse()?,
            Long("line") => {
                let text = parser.value()?.to_string_lossy().into_owned();
                let (delay, loss) = text.split_once(',').context("--line MS,LOSS")?;
                args.line = Some((delay.parse()?, loss.parse()?));
            }
            Long("short") => (args.pairs, args.seconds, args.settle_s) = (1, 5.0, 2.0),
            Long("shared") => args.shared = Some(parser.value()?.into()),
            Long("generated") => args.generated = true,
            Long("no-build") => args.build = false,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if args.pairs == 0 || args.pairs > 100 || !(1.0..=3600.0).contains(&args.seconds) || !(0.0..=600.0).contains(&args.settle_s) {
        bail!("--pairs 1 to 100, --seconds 1 to 3600, --settle 0 to 600");
    }
    Ok(Some(args))
}
