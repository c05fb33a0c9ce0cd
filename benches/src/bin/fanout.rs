//! One 1080p30 source of 4 Mbit/s to 1 to 200 viewers over real sockets: CPU, memory, added delay, loss, join time; and Janus
//! under the same load in the same run. See `benches/README.md`.
//!
//! `cargo run --release -p benches --bin fanout -- --help`

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use benches::fanout::crowd::{Crowd, Seen};
use benches::fanout::flood::Flood;
use benches::fanout::janus::Janus;
use benches::fanout::serve::{Said, Served};
use benches::fanout::source::Source;
use benches::fanout::{own_address, rss_bytes, serve};
use benches::machine::{self, Meter};
use benches::stats::Percentiles;
use serde::Serialize;

const HELP: &str = "fanout [--viewers 1,10,50,100,200] [--seconds 15] [--no-janus] [--json]
  --pages      viewers have the lines and channels of a page, not one picture's (Janus' have that)
  --shards 1   our server forwards in so many threads; 1,2: each number after the other. Viewers are spread over as many cases
  --flood N    so many datagrams a second from strangers to our server meanwhile";

/// Between the offers of two viewers.
const STAGGER: Duration = Duration::from_millis(40);
/// Everybody has seen a keyframe by then, or it is said.
const JOIN_WITHIN: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_secs(3);
/// What the budget is for.
const BUDGET_VIEWERS: usize = 50;

#[derive(Debug, Serialize)]
struct Step {
    server: &'static str,
    /// Threads that forward; 0: not ours.
    shards: usize,
    viewers: usize,
    /// Of those, how many saw a whole keyframe.
    joined: usize,
    cpu_s_per_subscriber_minute: Option<f64>,
    rss_kb_per_viewer: Option<f64>,
    rss_mb: Option<f64>,
    /// From sent by the source to taken by a viewer.
    delay_ms: Option<Percentiles>,
    /// From sent by the source to the viewer's socket: what of it is the server's and the kernel's.
    arrival_ms: Option<Percentiles>,
    /// Within our server: from a packet read to each datagram handed to the kernel.
    forwarding_ms: Option<Percentiles>,
    /// Datagrams that the kernel did not take from our server.
    dropped: Option<u64>,
    lost: u64,
    received: u64,
    join_connected_ms: Option<Percentiles>,
    join_complete_ms: Option<Percentiles>,
    /// Share of the machine that was busy, cores.
    machine_cores: Option<f64>,
}

struct Wish {
    viewers: Vec<usize>,
    shards: Vec<usize>,
    seconds: u64,
    flood: u64,
    pages: bool,
    janus: bool,
    json: bool,
}

fn main() -> Result<()> {
    let mut wish = Wish {
        viewers: vec![1, 10, 50, 100, 200],
        shards: vec![1],
        seconds: 15,
        flood: 0,
        pages: false,
        janus: true,
        json: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            lexopt::Arg::Long("serve") => return serve::run(args.value()?.to_string_lossy().parse()?, wish.pages),
            lexopt::Arg::Long("viewers") => {
                let text = args.value()?.into_string().map_err(|_| anyhow::anyhow!("--viewers is a list of numbers"))?;
                wish.viewers = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            lexopt::Arg::Long("shards") => {
                let text = args.value()?.into_string().map_err(|_| anyhow::anyhow!("--shards is a list of numbers"))?;
                wish.shards = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
                anyhow::ensure!(!wish.shards.contains(&0), "--shards: at least one thread forwards");
            }
            lexopt::Arg::Long("seconds") => {
                wish.seconds = args.value()?.to_string_lossy().parse()?;
            }
            lexopt::Arg::Long("flood") => wish.flood = args.value()?.to_string_lossy().parse()?,
            lexopt::Arg::Long("pages") => wish.pages = true,
            lexopt::Arg::Long("no-janus") => wish.janus = false,
            lexopt::Arg::Long("json") => wish.json = true,
            lexopt::Arg::Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let machine = machine::describe();
    let mut steps = Vec::new();
    for viewers in &wish.viewers {
        for shards in &wish.shards {
            steps.push(ours(*viewers, *shards, &wish)?);
            print(steps.last());
        }
        if wish.janus {
            match theirs(*viewers, wish.seconds) {
                Ok(Some(step)) => {
                    steps.push(step);
                    print(steps.last());
                }
                Ok(None) => wish.janus = false,
                Err(e) => eprintln!("janus with {viewers} viewers: {e:#}"),
            }
        }
    }
    judge(&steps);
    if wish.json {
        println!("{}", serde_json::to_string(&serde_json::json!({ "machine": machine, "steps": steps }))?);
    }
    Ok(())
}

fn print(step: Option<&Step>) {
    let Some(s) = step else { return };
    let number = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.3}"));
    let ms = |p: Option<Percentiles>| p.map_or("-".into(), |p| format!("{:.2} / {:.1}", p.p50, p.p99));
    eprintln!(
        "{:8} {:2} {:4} viewers ({} joined): {} CPU-s per subscriber-minute, {} kB each, delay {} ms, at the socket {} ms, \
         within {} ms, lost {} of {}, \
         connected {} ms, complete {} ms, machine {} cores",
        s.server,
        if s.shards > 0 { s.shards.to_string() } else { String::new() },
        s.viewers,
        s.joined,
        number(s.cpu_s_per_subscriber_minute),
        number(s.rss_kb_per_viewer),
        ms(s.delay_ms),
        ms(s.arrival_ms),
        ms(s.forwarding_ms),
        s.lost,
        s.received + s.lost,
        ms(s.join_connected_ms),
        ms(s.join_complete_ms),
        number(s.machine_cores),
    );
}

/// The budget of 50 viewers (DESIGN §9) against what was seen. Added delay ends where the kernel gives a viewer the packet: what comes after
/// is one thread of this program that decrypts for all fifty, and costs a real viewer, alone on its machine, what it costs one here.
fn judge(steps: &[Step]) {
    let janus = steps.iter().find(|s| s.server == "janus" && s.viewers == BUDGET_VIEWERS);
    for s in steps.iter().filter(|s| s.server != "janus" && s.viewers == BUDGET_VIEWERS) {
        let met = |v: f64, at_most: f64| if v <= at_most { "met" } else { "missed" };
        if let Some(cpu) = s.cpu_s_per_subscriber_minute {
            eprintln!("budget: {cpu:.3} CPU-s per subscriber-minute of 0.20: {}", met(cpu, 0.20));
            if let Some(theirs) = janus.and_then(|j| j.cpu_s_per_subscriber_minute) {
                eprintln!("budget: {:.2} of Janus' {theirs:.3}, of 0.4: {}", cpu / theirs, met(cpu / theirs, 0.4));
            }
        }
        if let (Some(at), Some(taken)) = (s.arrival_ms, s.delay_ms) {
            eprintln!("budget: added delay at the viewer's socket p50 {:.2} of 3 ms: {}", at.p50, met(at.p50, 3.0));
            eprintln!("budget: added delay at the viewer's socket p99 {:.1} of 20 ms: {}", at.p99, met(at.p99, 20.0));
            eprintln!("beyond it: until this program's one thread has taken it p50 {:.2} ms more", taken.p50 - at.p50);
        }
    }
}

fn ours(viewers: usize, shards: usize, wish: &Wish) -> Result<Step> {
    let &Wish { seconds, flood, pages, .. } = wish;
    let mut served = Served::start(shards, pages)?;
    let source = Source::start(served.rtp, None)?;
    let mut crowd = Crowd::new(own_address()?, source.start)?;
    std::thread::sleep(Duration::from_millis(500));
    let before = rss_bytes(served.pid());
    let (pid, media) = (served.pid(), served.media);
    let deadline = Instant::now() + JOIN_WITHIN + STAGGER * viewers as u32;
    let mut offered = 0;
    let mut numbers = std::collections::BTreeMap::new();
    while crowd.complete() < viewers && Instant::now() < deadline {
        if offered < viewers {
            let (n, sdp) = crowd.offer(pages)?;
            offered += 1;
            numbers.insert(offered as u64, n);
            served.offer(offered as u64, sdp)?;
        }
        // Answers are waited for in small steps: a viewer's time to join is its own.
        let next = Instant::now() + STAGGER;
        while Instant::now() < next {
            crowd.run((Instant::now() + Duration::from_millis(2)).min(next))?;
            while let Ok(said) = served.said.try_recv() {
                handle(&said, &mut crowd, &source, &numbers)?;
            }
        }
    }
    let served = RefCell::new(served);
    let mut pump = |crowd: &mut Crowd| {
        while let Ok(said) = served.borrow().said.try_recv() {
            handle(&said, crowd, &source, &numbers)?;
        }
        Ok(())
    };
    let mut ask = |crowd: &mut Crowd| {
        let mut served = served.borrow_mut();
        served.ask_figures()?;
        loop {
            match served.said.recv_timeout(Duration::from_secs(5)).context("the server tells no figures")? {
                Said::Figures { forwarding_ms, datagrams_dropped } => return Ok(Some((forwarding_ms, datagrams_dropped))),
                other => handle(&other, crowd, &source, &numbers)?,
            }
        }
    };
    let _flood = (flood > 0).then(|| Flood::start(media, flood)).transpose()?;
    let step =
        measure(if pages { "pages" } else { "shirube" }, viewers, seconds, (pid, before), &mut crowd, &mut pump, &mut ask)?;
    Ok(Step { shards, ..step })
}

/// Since the question before: within the server, and datagrams dropped.
type Within = Option<(Option<Percentiles>, u64)>;

fn handle(said: &Said, crowd: &mut Crowd, source: &Source, numbers: &std::collections::BTreeMap<u64, usize>) -> Result<()> {
    match said {
        Said::Answer { peer, sdp } => {
            crowd.accept(*numbers.get(peer).context("an answer to nobody")?, sdp)?;
        }
        Said::Refused { peer, why } => bail!("viewer {peer} is refused: {why}"),
        Said::Keyframe => source.wanted.store(true, Ordering::Relaxed),
        Said::Ready { .. } | Said::Figures { .. } => {}
    }
    Ok(())
}

fn theirs(viewers: usize, seconds: u64) -> Result<Option<Step>> {
    let ip = own_address()?;
    let Some(mut janus) = Janus::start(ip)? else {
        eprintln!("janus is not installed: only our own figures");
        return Ok(None);
    };
    let source = Source::start(janus.rtp, Some(janus.rtcp))?;
    let mut crowd = Crowd::new(ip, source.start)?;
    std::thread::sleep(Duration::from_millis(500));
    let before = rss_bytes(janus.pid());
    for _ in 0..viewers {
        let watching = janus.watch()?;
        let (_, answer) = crowd.answer(&watching.offer, watching.asked)?;
        janus.answer(&watching, &answer)?;
        crowd.run(Instant::now() + STAGGER)?;
    }
    let deadline = Instant::now() + JOIN_WITHIN;
    while crowd.complete() < viewers && Instant::now() < deadline {
        crowd.run(Instant::now() + STAGGER)?;
    }
    let pid = janus.pid();
    let mut told = Instant::now();
    let mut pump = |_: &mut Crowd| {
        if told.elapsed() > Duration::from_secs(20) {
            told = Instant::now();
            janus.keep_alive()?;
        }
        Ok(())
    };
    measure("janus", viewers, seconds, (pid, before), &mut crowd, &mut pump, &mut |_| Ok(None)).map(Some)
}

fn measure(
    server: &'static str,
    viewers: usize,
    seconds: u64,
    (pid, rss_before): (u32, Option<u64>),
    crowd: &mut Crowd,
    pump: &mut impl FnMut(&mut Crowd) -> Result<()>,
    ask: &mut impl FnMut(&mut Crowd) -> Result<Within>,
) -> Result<Step> {
    let mut run = |crowd: &mut Crowd, time: Duration| -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            crowd.run((Instant::now() + Duration::from_millis(20)).min(end))?;
            pump(crowd)?;
        }
        Ok(())
    };
    run(crowd, SETTLE)?;
    let joins = crowd.seen();
    ask(crowd)?;
    crowd.begin_window();
    let meter = Meter::start(&[pid]);
    run(crowd, Duration::from_secs(seconds))?;
    let used = meter.stop();
    crowd.measuring = false;
    let within = ask(crowd)?;
    // What was asked for again may still come.
    run(crowd, Duration::from_millis(500))?;
    let seen = crowd.seen();
    let rss = rss_bytes(pid);
    let ms = |of: fn(&Seen) -> Option<Duration>| {
        Percentiles::of(&joins.iter().filter_map(of).map(|d| d.as_secs_f64() * 1_000.0).collect::<Vec<_>>())
    };
    let cores = used.processes.first().copied().flatten();
    Ok(Step {
        server,
        shards: 0,
        viewers,
        joined: crowd.complete(),
        cpu_s_per_subscriber_minute: cores.map(|c| c * 60.0 / viewers as f64),
        rss_kb_per_viewer: rss
            .zip(rss_before)
            .map(|(after, before)| after.saturating_sub(before) as f64 / 1_024.0 / viewers as f64),
        rss_mb: rss.map(|r| r as f64 / 1_048_576.0),
        delay_ms: Percentiles::of(&crowd.delays_ms),
        arrival_ms: Percentiles::of(&crowd.arrivals_ms),
        forwarding_ms: within.and_then(|w| w.0),
        dropped: within.map(|w| w.1),
        lost: seen.iter().map(Seen::lost).sum(),
        received: seen.iter().map(|s| s.packets).sum(),
        join_connected_ms: ms(|s| s.connected),
        join_complete_ms: ms(|s| s.complete),
        machine_cores: used.machine,
    })
}
