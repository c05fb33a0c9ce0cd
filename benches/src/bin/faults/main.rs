//! What a person sees and loses when a part dies: engine killed, server killed or standing still, line cut, address changed, UDP blocked, laptop
//! asleep. The product as a user starts it, two pages in Chromium, real sockets. See `benches/README.md`.

mod ladder;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use benches::browser::Browser;
use benches::faults::report::Scenario;
use benches::faults::{Finished, PageRecord};
use benches::impair::proxy::{TcpProxy, UdpProxy};
use benches::impair::{Conditions, Phase};
use benches::product::{Demo, Folder, House, Start, kill};
use benches::{ink_log, machine};
use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::{Value, json};

const USAGE: &str = "\
faults — a part dies or the line does: what is seen, what is lost, when it is back

  cargo run --release -p benches --bin faults -- [options]

  --rounds N         of each scenario (default 20: the worst of them counts)
  --only NAMES       of engine, server, stood, cut, address, blocked, asleep
  --seed N           of the moments at which is killed (default 1)
  --shared DIR       sample recordings (default: shared/data beside the project, where it is)
  --generated        generated pictures, even where recordings are
  --dump FILE        what the pages saw of each round, a line each
  --no-build         take what is built
";

/// Budgets, ms: DESIGN §9 *dead picture marked* and *back after*.
const MARKED: f64 = 500.0;
const BACK_ENGINE: f64 = 5_000.0;
const BACK_SERVER: f64 = 5_000.0;
const BACK_CUT: f64 = 1_000.0;
const LINE_SAID: f64 = 1_000.0;
/// A voice goes on through an engine's death: nothing longer than this is missing, of 20 ms packets seen at animation frames.
const VOICE_GAP: f64 = 200.0;

const SCENARIOS: [&str; 7] = ["engine", "server", "stood", "cut", "address", "blocked", "asleep"];

/// As a service manager starts a server again: `RestartSec=1`.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// Healthy runs of an engine end its keeper's back-off: rounds are further apart.
const BETWEEN_KILLS: Duration = Duration::from_millis(10_500);
/// Before the first cut, between two, and how long each is.
const FIRST_CUT: Duration = Duration::from_secs(30);
const CUT_EVERY: Duration = Duration::from_secs(12);
const CUT: Duration = Duration::from_secs(2);
/// A round begins this long before its cut: a clear glass and a stroke on both pages take seconds on a slow host.
const CUT_LEAD: Duration = Duration::from_millis(6_500);

struct Args {
    rounds: usize,
    only: Option<String>,
    seed: u64,
    shared: Option<PathBuf>,
    generated: bool,
    build: bool,
    dump: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Some(args) = arguments()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let house = House::of("faults", args.build)?;
    let shared = house.recordings(args.generated, args.shared);
    let machine = machine::describe();
    let browser = Browser::start(&house.root, "faults.mjs")?;
    let dump = args.dump.map(std::fs::File::create).transpose().context("the dump cannot be written")?;
    let mut bench = Bench { house, browser, shared, rounds: args.rounds, rng: ChaCha8Rng::seed_from_u64(args.seed), dump };
    let mut scenarios = Vec::new();
    for name in SCENARIOS {
        if args.only.as_deref().is_some_and(|only| !only.split(',').any(|one| one == name)) {
            continue;
        }
        let scenario = match name {
            "engine" => bench.engine(),
            "server" => bench.server(),
            "stood" => bench.stood(),
            "cut" => bench.cut(),
            "address" => bench.address(),
            "blocked" => bench.blocked(),
            _ => bench.asleep(),
        };
        // Pages and case of a scenario that could not even begin are let go all the same.
        let _: Result<Value> = bench.browser.ask(&json!({ "what": "close" }));
        scenarios.push(scenario.with_context(|| format!("the scenario {name}"))?);
    }
    println!("machine   {} x {}, Linux {}, load {:.2} before", machine.cores, machine.cpu, machine.kernel, machine.load_1min);
    for scenario in &scenarios {
        print!("{}", scenario.table());
    }
    let line = json!({
        "what": "faults",
        "scenarios": scenarios.iter().map(Scenario::json).collect::<Vec<_>>(),
        "good": scenarios.iter().all(Scenario::is_good),
        "source": if bench.shared.is_some() { "recordings" } else { "generated" },
        "seed": args.seed,
        "machine": machine,
        "versions": { "shirube": env!("CARGO_PKG_VERSION"), "chromium": bench.browser.versions.chromium, "node": bench.browser.versions.node },
    });
    println!("\n{line}");
    Ok(())
}

struct Bench {
    house: House,
    browser: Browser,
    shared: Option<PathBuf>,
    rounds: usize,
    rng: ChaCha8Rng,
    dump: Option<std::fs::File>,
}

/// What the mentor's page was told to be on disk.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Told {
    author: u32,
    epoch: u32,
    seq: u32,
    applied: u64,
}

#[derive(Debug, Deserialize)]
struct BothTold {
    mentor: Told,
    room: Told,
}

/// A page at one moment.
#[derive(Debug, Deserialize)]
struct Now {
    look: String,
    inked: u32,
}

#[derive(Debug, Deserialize)]
struct Both {
    mentor: Now,
    room: Now,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meanwhile {
    before: Both,
    acknowledged_ms: Option<f64>,
}

/// Places looked at on a stroke.
const PLACES: u32 = 4;

impl Bench {
    fn start(&self, folder: &Arc<Folder>, https_port: u16, media_port: u16, announce: Option<SocketAddr>) -> Result<Demo> {
        Demo::start_with(
            &self.house,
            Start {
                shared: self.shared.as_deref(),
                engine_config: None,
                folder: folder.clone(),
                https_port,
                media_port,
                announce,
            },
        )
    }

    fn open(&mut self, links: &Value, media_ports: Value) -> Result<()> {
        let pages = json!({ "mentor": links["mentor"], "room": links["room"] });
        let _: Value = self.browser.ask(&json!({ "what": "open", "links": pages, "mediaPorts": media_ports }))?;
        let _: Value = self.browser.ask(&json!({ "what": "voice" }))?;
        Ok(())
    }

    /// Ends a round: both pages whole, or not in time. `at`: of the fault.
    fn finish(&mut self, at: f64, unix_after: f64) -> Result<Finished> {
        let seen: Value = self.browser.ask(&json!({ "what": "finish", "unixAfter": unix_after, "voice": true }))?;
        if let Some(dump) = &mut self.dump {
            writeln!(dump, "{}", json!({ "at": at, "seen": seen }))?;
        }
        Ok(serde_json::from_value(seen)?)
    }

    /// Runs the rounds; one that fails is told as failed.
    fn rounds(&mut self, scenario: &mut Scenario, mut round: impl FnMut(&mut Self, &mut Scenario, usize) -> Result<String>) {
        for n in 0..self.rounds {
            scenario.rounds += 1;
            match round(self, scenario, n) {
                Ok(told) => eprintln!("faults: {} {}: {told}", scenario.name, n + 1),
                Err(fault) => {
                    eprintln!("faults: {} {} failed: {fault:#}", scenario.name, n + 1);
                    scenario.failed.push(format!("round {}: {fault:#}", n + 1));
                }
            }
        }
    }

    // --- the engine is killed -------------------------------------------------------------------------------------

    fn engine(&mut self) -> Result<Scenario> {
        let folder = Arc::new(Folder::new("faults"));
        let demo = self.start(&folder, 0, 0, None)?;
        self.open(&demo.ready.links, Value::Null)?;
        let mut scenario = Scenario::new("engine killed");
        let mut last = Instant::now();
        self.rounds(&mut scenario, |bench, scenario, _| {
            std::thread::sleep(BETWEEN_KILLS.saturating_sub(last.elapsed()));
            let jitter = Duration::from_millis(bench.rng.random_range(0..400));
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            std::thread::sleep(jitter);
            let engine = demo.engine().context("there is no engine to kill")?;
            let at = unix_ms();
            last = Instant::now();
            kill(engine)?;
            let meanwhile: Meanwhile = bench.browser.ask(&json!({ "what": "during", "look": "lost" }))?;
            let done = bench.finish(at, at + 50.0)?;
            let kept = ink_log::read(&folder.data)?;
            Ok(tell_engine(scenario, at, &meanwhile, &done, &kept))
        });
        Ok(scenario)
    }

    // --- the server is killed and started again -------------------------------------------------------------------

    fn server(&mut self) -> Result<Scenario> {
        let folder = Arc::new(Folder::new("faults"));
        let demo = self.start(&folder, 0, 0, None)?;
        let https: u16 = demo.ready.base_url.rsplit(':').next().and_then(|p| p.parse().ok()).context("no port in base_url")?;
        let media = demo.ready.media_port;
        self.open(&demo.ready.links, Value::Null)?;
        let mut demo = Some(demo);
        let mut scenario = Scenario::new("server killed");
        self.rounds(&mut scenario, |bench, scenario, n| {
            if demo.is_none() {
                demo = Some(bench.start(&folder, https, media, None)?);
            }
            // Every other kill falls into the middle of a stroke that is seconds long.
            let long = n % 2 == 1;
            let (rapid, more) = (bench.rng.random_range(300..900), bench.rng.random_range(100..600));
            let _: Value =
                bench.browser.ask(&json!({ "what": "begin", "mode": if long { "long" } else { "rapid" }, "rapidMs": rapid }))?;
            std::thread::sleep(Duration::from_millis(rapid + if long { 300 + more } else { more }));
            let at = unix_ms();
            demo.take().context("there is no server to kill")?.kill()?;
            // Nothing can be acknowledged any more: what the pages were told must be on disk now, before anything is repaired.
            let told: BothTold = bench.browser.ask(&json!({ "what": "kept" }))?;
            let on_disk = ink_log::read(&folder.data)?;
            std::thread::sleep(RESTART_AFTER.saturating_sub(Duration::from_millis((unix_ms() - at).max(0.0) as u64)));
            let up = when_listening(https);
            demo = Some(bench.start(&folder, https, media, None)?);
            let ready = unix_ms();
            let up = up.join().map_err(|_| anyhow::anyhow!("the watcher of the port died"))??;
            // A stroke that was under the pen is lifted a second after the server is there.
            std::thread::sleep(Duration::from_millis(1_000));
            let done = bench.finish(at, up)?;
            let kept = ink_log::read(&folder.data)?;
            let seen = ServerRound { at, up, ready, told, on_disk, kept, long, done };
            Ok(seen.tell(scenario))
        });
        let orphan = demo.as_ref().and_then(Demo::engine);
        drop(demo);
        // An engine that outlived its server ends by itself, only later.
        if let Some(engine) = orphan {
            let _ = kill(engine);
        }
        Ok(scenario)
    }

    // --- the mentor's line is cut ---------------------------------------------------------------------------------

    fn cut(&mut self) -> Result<Scenario> {
        let folder = Arc::new(Folder::new("faults"));
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let media = free_udp_port()?;
        let script = cuts(self.rounds * 2 + 6);
        let (start, start_unix) = (Instant::now(), unix_ms());
        let udp = UdpProxy::start(here(0), here(media), 1, script.clone(), start)?;
        let demo = self.start(&folder, 0, media, Some(udp.address))?;
        let https: u16 = demo.ready.base_url.rsplit(':').next().and_then(|p| p.parse().ok()).context("no port in base_url")?;
        let tcp = TcpProxy::start(here(0), here(https), script, start)?;
        // The room goes past the proxies: one page's line is cut, and the other must not feel it.
        let mentor = demo.ready.links["mentor"].as_str().context("no link")?;
        let links = json!({
            "mentor": mentor.replacen(&format!(":{https}/"), &format!(":{}/", tcp.address.port()), 1),
            "room": demo.ready.links["room"],
        });
        self.open(&links, json!({ "room": { "from": udp.address.port(), "to": media } }))?;
        let mut scenario = Scenario::new("line cut for 2 s");
        let mut next = 0u32;
        self.rounds(&mut scenario, |bench, scenario, _| {
            while FIRST_CUT + CUT_EVERY * next < start.elapsed() + CUT_LEAD {
                next += 1;
            }
            let cut = FIRST_CUT + CUT_EVERY * next;
            next += 1;
            std::thread::sleep((cut - CUT_LEAD).saturating_sub(start.elapsed()));
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            ensure!(start.elapsed() + Duration::from_millis(100) < cut, "the round began too late for its cut");
            std::thread::sleep((cut + Duration::from_millis(600)).saturating_sub(start.elapsed()));
            let meanwhile: Meanwhile = bench.browser.ask(&json!({ "what": "during", "strokes": 2 }))?;
            let at = start_unix + cut.as_secs_f64() * 1000.0;
            let end = at + CUT.as_secs_f64() * 1000.0;
            std::thread::sleep((cut + CUT).saturating_sub(start.elapsed()));
            let done = bench.finish(at, end)?;
            let kept = ink_log::read(&folder.data)?;
            Ok(tell_cut(scenario, at, end, &meanwhile, &done, &kept))
        });
        let (up, down) = udp.counts();
        scenario.check("packets of both directions fell into the cuts", up.in_outage > 0 && down.in_outage > 0);
        Ok(scenario)
    }
}

fn tell_engine(s: &mut Scenario, at: f64, meanwhile: &Meanwhile, done: &Finished, kept: &[ink_log::Kept]) -> String {
    let (m, r) = (&done.mentor, &done.room);
    let lost = |page: &PageRecord| page.look_after(at, |look| look == "lost");
    s.figure("picture marked lost, mentor", "ms", Some(MARKED), lost(m));
    s.figure("picture marked lost, room", "ms", Some(MARKED), lost(r));
    s.figure("picture back, mentor", "ms", Some(BACK_ENGINE), m.back_after(at, at + 50.0));
    s.figure("picture back, room", "ms", Some(BACK_ENGINE), r.back_after(at, at + 50.0));
    s.figure("longest gap of voice, at the mentor", "ms", Some(VOICE_GAP), m.voice_gap(at));
    s.figure("longest gap of voice, in the room", "ms", Some(VOICE_GAP), r.voice_gap(at));
    s.figure("voice concealed, at the mentor", "per mille", None, Some(1000.0 * m.concealed_ms / m.voice_ms.max(1.0)));
    s.figure("voice concealed, in the room", "per mille", None, Some(1000.0 * r.concealed_ms / r.voice_ms.max(1.0)));
    s.figure("stroke drawn meanwhile: pen down to on disk and in the room", "ms", None, meanwhile.acknowledged_ms);
    s.check("both pages came back whole", done.missing.is_empty());
    s.check("voice was heard both ways", m.voice_energy > 0.0 && r.voice_energy > 0.0);
    s.check("the media paths went on", m.same_path && r.same_path);
    let marked = |now: &Now| now.look == "lost" && now.inked == PLACES;
    s.check(
        "ink of before stands on the marked last picture",
        marked(&meanwhile.before.mentor) && marked(&meanwhile.before.room),
    );
    s.check("strokes, the one of meanwhile too, once on disk and on both pages", once(done, kept));
    format!(
        "lost {} / {}, back {} / {}, voice gap {} / {}{}",
        ms(lost(m)),
        ms(lost(r)),
        ms(m.back_after(at, at + 50.0)),
        ms(r.back_after(at, at + 50.0)),
        ms(m.voice_gap(at)),
        ms(r.voice_gap(at)),
        missing(done)
    )
}

struct ServerRound {
    at: f64,
    up: f64,
    ready: f64,
    told: BothTold,
    on_disk: Vec<ink_log::Kept>,
    kept: Vec<ink_log::Kept>,
    long: bool,
    done: Finished,
}

impl ServerRound {
    fn tell(&self, s: &mut Scenario) -> String {
        let (m, r) = (&self.done.mentor, &self.done.room);
        let said = |page: &PageRecord| page.look_after(self.at, |look| look != "live");
        let back = |page: &PageRecord| page.back_after(self.up, self.up);
        s.figure("picture marked, mentor", "ms", Some(MARKED), said(m));
        s.figure("picture marked, room", "ms", Some(MARKED), said(r));
        s.figure("line said to be lost, mentor", "ms", Some(LINE_SAID), m.line_lost_after(self.at));
        s.figure("line said to be lost, room", "ms", Some(LINE_SAID), r.line_lost_after(self.at));
        s.figure("back after it is up, mentor", "ms", Some(BACK_SERVER), back(m));
        s.figure("back after it is up, room", "ms", Some(BACK_SERVER), back(r));
        s.figure("voice back after it is up, at the mentor", "ms", Some(BACK_SERVER), m.voice_back_after(self.up));
        s.figure("voice back after it is up, in the room", "ms", Some(BACK_SERVER), r.voice_back_after(self.up));
        s.figure("all ink in the room after it is up", "ms", None, r.ink_whole_after(self.up));
        s.figure("killed to up", "ms", None, Some(self.up - self.at));
        s.figure("up to ready, with its engine", "ms", None, Some(self.ready - self.up));
        s.check("both pages came back whole", self.done.missing.is_empty());
        s.check("nobody signed in again", m.sign_ins == 1 && r.sign_ins == 1 && !m.tab.is_empty() && m.tab != r.tab);
        let told = self.told.mentor;
        let has = |seq: u32| self.on_disk.iter().any(|k| (k.author, k.epoch, k.seq) == (told.author, told.epoch, seq));
        let held = (1..=told.seq).filter(|seq| has(*seq)).count();
        s.check_n("acts that the mentor's page was told to be on disk were there", held, told.seq as usize);
        let newest = self.on_disk.last().map_or(0, |k| k.order);
        s.check(
            "acts that a page had shown as ordered were there",
            self.told.mentor.applied.max(self.told.room.applied) <= newest,
        );
        s.check("every stroke once on disk and on both pages", once(&self.done, &self.kept));
        s.check("every stroke drawn was taken", m.strokes.len() as u32 == self.done.drawn);
        s.check("ink stands on both pages", m.inked == 1.0 && r.inked == 1.0);
        if self.long {
            let longest = |page: &PageRecord| page.strokes.iter().map(|s| s.points).max().unwrap_or(0);
            s.check("the stroke that was under the pen is whole in the room", longest(m) == longest(r) && longest(r) > 10);
        }
        format!(
            "marked {} / {}, up after {:.0}, back {} / {}, {} strokes{}",
            ms(said(m)),
            ms(said(r)),
            self.up - self.at,
            ms(back(m)),
            ms(back(r)),
            self.done.drawn,
            missing(&self.done)
        )
    }
}

fn tell_cut(s: &mut Scenario, at: f64, end: f64, meanwhile: &Meanwhile, done: &Finished, kept: &[ink_log::Kept]) -> String {
    let (m, r) = (&done.mentor, &done.room);
    let stalled = m.look_after(at, |look| look == "stalled");
    let back = m.back_after(end, at);
    s.figure("link marked as stalled, mentor", "ms", Some(MARKED), stalled);
    s.figure("line said to be lost, mentor", "ms", Some(LINE_SAID), m.line_lost_after(at));
    s.figure("back after the cut, mentor", "ms", Some(BACK_CUT), back);
    s.figure("voice back after the cut, at the mentor", "ms", None, m.voice_back_after(end));
    s.figure("voice back after the cut, in the room", "ms", None, r.voice_back_after(end));
    s.figure("ink of the cut in the room after it", "ms", None, r.ink_whole_after(end));
    s.figure("longest time without a picture in the room", "ms", Some(MARKED), r.picture_gap());
    s.figure("the room is told that the mentor is cut off", "ms", Some(LINE_SAID), r.line_lost_after(at));
    s.check("both pages came back whole", done.missing.is_empty());
    s.check("the mentor's picture was marked while it was drawn on", meanwhile.before.mentor.look == "stalled");
    s.check("every stroke once on disk and on both pages", once(done, kept));
    s.check("every stroke drawn was taken", m.strokes.len() as u32 == done.drawn);
    s.check("the same media path came back", m.same_path);
    s.check("the room saw nothing of it", r.stayed_live(at));
    format!(
        "stalled {}, back {}, voice {} / {}, ink {}{}{}",
        ms(stalled),
        ms(back),
        ms(m.voice_back_after(end)),
        ms(r.voice_back_after(end)),
        ms(r.ink_whole_after(end)),
        if m.same_path { "" } else { ", by a new media path" },
        missing(done)
    )
}

/// The mentor's strokes are the room's, and each is once in the log.
fn once(done: &Finished, kept: &[ink_log::Kept]) -> bool {
    let keys = done.mentor.keys();
    let times = |key: &(u32, u32, u32)| kept.iter().filter(|k| k.stroke.map(|n| (k.author, k.epoch, n)) == Some(*key)).count();
    !keys.is_empty() && keys == done.room.keys() && keys.iter().all(|key| times(key) == 1)
}

fn ms(value: Option<f64>) -> String {
    value.map_or("never".into(), |v| format!("{v:.0}"))
}

fn missing(done: &Finished) -> String {
    if done.missing.is_empty() { String::new() } else { format!(" — NOT WHOLE: {}", done.missing) }
}

/// `n` cuts of both directions.
fn cuts(n: usize) -> Vec<Phase> {
    let outage = Conditions { outage: true, ..Default::default() };
    let mut script = vec![Phase::default()];
    for k in 0..n as u32 {
        let at = FIRST_CUT + CUT_EVERY * k;
        script.push(Phase { at_ms: at.as_millis() as u64, up: outage.clone(), down: outage.clone() });
        script.push(Phase { at_ms: (at + CUT).as_millis() as u64, ..Default::default() });
    }
    script
}

/// When somebody listens on the port again.
fn when_listening(port: u16) -> std::thread::JoinHandle<Result<f64>> {
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(unix_ms());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("nobody listens on {port} again")
    })
}

fn free_udp_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
}

/// `None`: help was asked for.
fn arguments() -> Result<Option<Args>> {
    use lexopt::Arg::{Long, Short};
    let mut args = Args { rounds: 20, only: None, seed: 1, shared: None, generated: false, build: true, dump: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("rounds") => args.rounds = parser.value()?.to_string_lossy().parse()?,
            Long("only") => args.only = Some(parser.value()?.to_string_lossy().into_owned()),
            Long("seed") => args.seed = parser.value()?.to_string_lossy().parse()?,
            Long("shared") => args.shared = Some(parser.value()?.into()),
            Long("generated") => args.generated = true,
            Long("dump") => args.dump = Some(parser.value()?.into()),
            Long("no-build") => args.build = false,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!((1..=1_000).contains(&args.rounds), "--rounds 1 to 1000");
    ensure!(
        args.only.as_deref().is_none_or(|o| o.split(',').all(|one| SCENARIOS.contains(&one))),
        "--only {}",
        SCENARIOS.join(", ")
    );
    Ok(Some(args))
}
