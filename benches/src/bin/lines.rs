//! A mentor on a bad line: what Chromium shows behind loss, delay, jitter, a line that narrows, cuts, and a firewall that lets
//! no UDP through. The product as a user starts it, real sockets, a proxy with a seed. See `benches/README.md`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use benches::browser::Browser;
use benches::impair::proxy::{TcpProxy, UdpProxy};
use benches::impair::{Conditions, Phase};
use benches::machine;
use benches::product::{Demo, Folder, House, Start};
use benches::stats::Percentiles;
use serde::Deserialize;
use serde_json::{Value, json};

const USAGE: &str = "\
lines — a mentor on a bad line, in Chromium

  cargo run --release -p benches --bin lines -- [options]

  --seconds N     of each profile (default 20)
  --only NAMES    of pictures, voice, tcp, opens
  --opens N       how often the mentor's link is opened (default 100)
  --profile PART  the profiles of the pictures alone whose names have this part
  --viewer ROLE   who is on the bad line (default mentor; desk or observer: one who only watches)
  --seed N        of the line (default 1)
  --shared DIR    sample recordings (default: shared/data beside the project, where it is)
  --generated     generated pictures, even where recordings are
  --no-build      take what is built
";

/// Clean before the first profile, and after each: what the last did is over.
const FIRST: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_secs(8);
/// A profile begins this long before it is looked at: estimates and buffers have settled.
const SETTLE: Duration = Duration::from_secs(4);
/// Pictures are back when so many come at no more than this distance.
const BACK_PICTURES: usize = 10;
const BACK_APART_MS: f64 = 200.0;
/// Where the picture is at its full width again.
const FULL_WIDTH: f64 = 1280.0;

/// What is done to the line, and for how long; the end is clean again.
struct Profile {
    name: &'static str,
    /// From its beginning: (ms, what is done from the client, to the client).
    steps: Vec<(u64, Conditions, Conditions)>,
    /// Looked at from its beginning, and on after its end: how it heals is the point.
    heals: bool,
    /// Of the whole, ms.
    lasts_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Looked {
    ages: Vec<f64>,
    missed: u64,
    shown: Vec<f64>,
    widths: Vec<(f64, f64)>,
    carrier: String,
    freezes: f64,
    freeze_ms: f64,
    decoded: f64,
    nacks: f64,
    plis: f64,
    concealed: f64,
    samples: f64,
    /// From a burst at the room's microphone to the same at the mentor's ear, ms; only where that was asked for.
    ears: Vec<f64>,
}

fn conditions(rtt_ms: f64) -> Conditions {
    Conditions { delay_ms: rtt_ms / 2.0, ..Default::default() }
}

fn steady(name: &'static str, both: &Conditions, seconds: u64) -> Profile {
    let lasts_ms = seconds * 1_000 + SETTLE.as_millis() as u64;
    Profile { name, steps: vec![(0, both.clone(), both.clone())], heals: false, lasts_ms }
}

fn profiles(seconds: u64) -> Vec<Profile> {
    let loss = |share: f64, burst: f64| Conditions { loss: share, burst, ..conditions(60.0) };
    let mut all = vec![
        steady("clean", &conditions(0.0), seconds),
        steady("20 ms", &conditions(20.0), seconds),
        steady("60 ms", &conditions(60.0), seconds),
        steady("200 ms", &conditions(200.0), seconds),
        steady("60 ms, jitter 50 ms", &Conditions { jitter_ms: 50.0, ..conditions(60.0) }, seconds),
        steady("60 ms, 1 % loss", &loss(0.01, 1.0), seconds),
        steady("60 ms, 3 % loss", &loss(0.03, 1.0), seconds),
        steady("60 ms, 5 % loss", &loss(0.05, 1.0), seconds),
        steady("60 ms, 10 % loss", &loss(0.10, 1.0), seconds),
        steady("60 ms, 1 % loss in bursts of 5", &loss(0.01, 5.0), seconds),
        steady("60 ms, 3 % loss in bursts of 5", &loss(0.03, 5.0), seconds),
        steady("60 ms, 5 % loss in bursts of 5", &loss(0.05, 5.0), seconds),
        steady("60 ms, 10 % loss in bursts of 5", &loss(0.10, 5.0), seconds),
    ];
    let rate = |kbps: f64| Conditions { rate_kbps: kbps, queue_ms: 300.0, ..conditions(60.0) };
    let each = seconds.max(10) * 1_000;
    let narrow = [(0, 4_000.0), (each / 2, 1_000.0), (each * 3 / 2, 300.0), (each * 5 / 2, 4_000.0)];
    all.push(Profile {
        name: "60 ms, 4, 1, 0.3, 4 Mbit/s",
        steps: narrow.iter().map(|(at, kbps)| (*at, conditions(60.0), rate(*kbps))).collect(),
        heals: true,
        lasts_ms: each * 5 / 2,
    });
    let cut = Conditions { outage: true, ..Default::default() };
    for (name, ms) in [("cut of 2 s", 2_000), ("cut of 30 s", 30_000)] {
        all.push(Profile { name, steps: vec![(0, cut.clone(), cut.clone())], heals: true, lasts_ms: ms });
    }
    all
}

struct Args {
    seconds: u64,
    only: Option<String>,
    profile: Option<String>,
    viewer: String,
    seed: u64,
    opens: u32,
    shared: Option<PathBuf>,
    generated: bool,
    build: bool,
}

fn main() -> Result<()> {
    let Some(args) = arguments()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let house = House::of("lines", args.build)?;
    let shared = house.recordings(args.generated, args.shared.clone());
    let machine = machine::describe();
    let mut browser = Browser::start(&house.root, "lines.mjs")?;
    let mut results = Vec::new();
    let wanted = |what: &str| args.only.as_deref().is_none_or(|only| only.split(',').any(|one| one == what));
    if wanted("pictures") {
        results.extend(pictures(&house, &mut browser, shared.as_deref(), &args)?);
    }
    if wanted("voice") {
        results.extend(voice(&house, &mut browser, shared.as_deref(), &args)?);
    }
    if wanted("tcp") {
        results.push(tcp(&house, &mut browser, shared.as_deref(), &args)?);
    }
    if wanted("opens") {
        results.push(opens(&house, &mut browser, shared.as_deref(), &args)?);
    }
    let versions = json!({ "shirube": env!("CARGO_PKG_VERSION"), "chromium": browser.versions.chromium });
    let source = if shared.is_some() { "recordings" } else { "generated" };
    println!("\n{}", json!({ "what": "lines", "profiles": results, "machine": machine, "versions": versions, "source": source }));
    Ok(())
}

/// All profiles one after the other, on one page; the room is there and speaks.
fn pictures(house: &House, browser: &mut Browser, shared: Option<&std::path::Path>, args: &Args) -> Result<Vec<Value>> {
    let all: Vec<Profile> =
        profiles(args.seconds).into_iter().filter(|p| args.profile.as_deref().is_none_or(|part| p.name.contains(part))).collect();
    let mut script = vec![Phase::default()];
    let mut at = FIRST.as_millis() as u64;
    let mut begins = Vec::new();
    for profile in &all {
        begins.push(at);
        for (after, up, down) in &profile.steps {
            script.push(Phase { at_ms: at + after, up: up.clone(), down: down.clone() });
        }
        at += profile.lasts_ms;
        script.push(Phase { at_ms: at, ..Default::default() });
        // One that heals is looked at for as long again as a steady one.
        at += REST.as_millis() as u64 + if profile.heals { args.seconds * 1_000 } else { 0 };
    }
    let case = Case::start(house, browser, shared, args, script, &["mentor", "room"], false)?;
    // As in a case: both speak. It also tells the mentor's browser how long its line is.
    let _: Value = browser.ask(&json!({ "what": "voice", "ears": false }))?;
    let mut results = Vec::new();
    for (profile, begins) in all.iter().zip(begins) {
        let begins = Duration::from_millis(begins);
        let lead = if profile.heals { Duration::ZERO } else { SETTLE };
        case.wait_until(begins + lead)?;
        let seconds = if profile.heals { profile.lasts_ms / 1_000 + args.seconds } else { args.seconds };
        let looked: Looked = browser.ask(&json!({ "what": "look", "seconds": seconds }))?;
        let end = profile.heals.then(|| case.unix_ms(begins + Duration::from_millis(profile.lasts_ms)));
        results.push(tell(profile.name, &looked, seconds, end));
    }
    let _: Value = browser.ask(&json!({ "what": "close" }))?;
    Ok(results)
}

/// The room speaks all the time: how long its voice takes to the mentor's ear, and what a lossy line leaves of it.
fn voice(house: &House, browser: &mut Browser, shared: Option<&std::path::Path>, args: &Args) -> Result<Vec<Value>> {
    let lossy = |share, burst| Conditions { loss: share, burst, ..conditions(60.0) };
    let all = [
        ("voice, clean", conditions(0.0)),
        ("voice, 60 ms", conditions(60.0)),
        ("voice, 60 ms, 10 % loss", lossy(0.10, 1.0)),
        ("voice, 60 ms, 5 % loss in bursts of 5", lossy(0.05, 5.0)),
    ];
    let each = Duration::from_secs(args.seconds) + REST;
    let begins = |n: usize| FIRST + each * n as u32;
    let phase = |(n, (_, line)): (usize, &(&str, Conditions))| Phase {
        at_ms: begins(n).as_millis() as u64,
        up: line.clone(),
        down: line.clone(),
    };
    let script = std::iter::once(Phase::default()).chain(all.iter().enumerate().map(phase)).collect();
    let case = Case::start(house, browser, shared, args, script, &["mentor", "room"], false)?;
    let _: Value = browser.ask(&json!({ "what": "voice", "ears": true }))?;
    let mut results = Vec::new();
    for (n, (name, _)) in all.iter().enumerate() {
        case.wait_until(begins(n) + SETTLE)?;
        let looked: Looked = browser.ask(&json!({ "what": "look", "seconds": args.seconds }))?;
        results.push(tell(name, &looked, args.seconds, None));
    }
    let _: Value = browser.ask(&json!({ "what": "close" }))?;
    Ok(results)
}

/// The mentor's link on a good line, opened in a browser that has never seen the house.
fn opens(house: &House, browser: &mut Browser, shared: Option<&std::path::Path>, args: &Args) -> Result<Value> {
    let case = Case::start(house, browser, shared, args, vec![Phase::default()], &["room"], false)?;
    let link = case.demo.ready.links[args.viewer.as_str()].as_str().context("no link of that viewer")?;
    let all: Vec<f64> = browser.ask(&json!({ "what": "opens", "link": link, "times": args.opens }))?;
    let _: Value = browser.ask(&json!({ "what": "close" }))?;
    let first = Percentiles::of(&all).context("the link was never opened")?;
    let worst = all.iter().copied().fold(0.0, f64::max);
    println!("link opened to first picture: p50 {:.0} p99 {:.0} worst {worst:.0} ms of {}", first.p50, first.p99, all.len());
    Ok(json!({ "name": "link opened to first picture", "first_picture_ms": first, "worst_ms": worst }))
}

/// No UDP at all.
fn tcp(house: &House, browser: &mut Browser, shared: Option<&std::path::Path>, args: &Args) -> Result<Value> {
    let case = Case::start(house, browser, shared, args, vec![Phase::default()], &["mentor", "room"], true)?;
    let _: Value = browser.ask(&json!({ "what": "voice", "ears": false }))?;
    case.wait_until(case.start.elapsed() + SETTLE)?;
    let looked: Looked = browser.ask(&json!({ "what": "look", "seconds": args.seconds }))?;
    let _: Value = browser.ask(&json!({ "what": "close" }))?;
    Ok(tell("UDP blocked, by TCP", &looked, args.seconds, None))
}

struct Case {
    start: Instant,
    start_unix_ms: f64,
    demo: Demo,
    _udp: Option<UdpProxy>,
    _tcp: Option<TcpProxy>,
}

impl Case {
    fn start(
        house: &House,
        browser: &mut Browser,
        shared: Option<&std::path::Path>,
        args: &Args,
        script: Vec<Phase>,
        pages: &[&str],
        only_tcp: bool,
    ) -> Result<Self> {
        let folder = Arc::new(Folder::new("lines"));
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let media = UdpSocket::bind(here(0))?.local_addr()?.port();
        let (start, start_unix_ms) = (Instant::now(), unix_ms());
        let udp = if only_tcp { None } else { Some(UdpProxy::start(here(0), here(media), args.seed, script.clone(), start)?) };
        let announce = udp.as_ref().map(|proxy| proxy.address);
        let demo =
            Demo::start_with(house, Start { shared, engine_config: None, folder, https_port: 0, media_port: media, announce })?;
        let https: u16 = demo.ready.base_url.rsplit(':').next().and_then(|p| p.parse().ok()).context("no port in base_url")?;
        let tcp = if only_tcp { None } else { Some(TcpProxy::start(here(0), here(https), script, start)?) };
        let mut links = serde_json::Map::new();
        for page in pages {
            let role = if *page == "mentor" { args.viewer.as_str() } else { page };
            let link = demo.ready.links[role].as_str().with_context(|| format!("no link of a {role}"))?;
            // Only the mentor's line is bad.
            let through = tcp.as_ref().filter(|_| *page == "mentor").map_or(https, |proxy| proxy.address.port());
            links.insert((*page).to_owned(), json!(link.replacen(&format!(":{https}/"), &format!(":{through}/"), 1)));
        }
        let ports = announce.map(|a| json!({ "room": { "from": a.port(), "to": media } }));
        let request = json!({ "what": "open", "links": links, "mediaPorts": ports, "onlyTcp": only_tcp });
        let _: Value = browser.ask(&request)?;
        Ok(Case { start, start_unix_ms, demo, _udp: udp, _tcp: tcp })
    }

    fn wait_until(&self, at: Duration) -> Result<()> {
        let left =
            at.checked_sub(self.start.elapsed()).context("the machine is too slow: a profile began before it was looked at")?;
        std::thread::sleep(left);
        Ok(())
    }

    fn unix_ms(&self, at: Duration) -> f64 {
        self.start_unix_ms + at.as_secs_f64() * 1_000.0
    }
}

/// One line for people, one value for programs. `end`: Unix ms, when the line was clean again.
fn tell(name: &str, looked: &Looked, seconds: u64, end: Option<f64>) -> Value {
    let ages = Percentiles::of(&looked.ages);
    let ears = Percentiles::of(&looked.ears);
    // Positive: the voice is later than the picture of the same moment.
    let lips = ears.zip(ages).map(|(ears, ages)| ears.p50 - ages.p50);
    let freeze = looked.freeze_ms / (seconds as f64 * 1_000.0);
    let back = end.and_then(|end| back_after(&looked.shown, end));
    let full = end.and_then(|end| full_after(&looked.widths, end));
    let voice = (looked.samples > 0.0).then(|| looked.concealed / looked.samples);
    let of = |p: Option<Percentiles>, f: fn(Percentiles) -> f64| p.map_or("-".into(), |p| format!("{:.0}", f(p)));
    let ms = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.0}"));
    println!(
        "{name:32} age p50 {:>4} p95 {:>5} ms, frozen {:5.2} % ({:.0} times), {:.1} pictures/s, NACKs {:.0}, PLIs {:.0}, back after {} ms, \
         full size after {} ms, voice concealed {}, mouth to ear p50 {} p95 {} ms of {}, behind the lips {} ms, {}",
        of(ages, |p| p.p50),
        of(ages, |p| p.p95),
        freeze * 100.0,
        looked.freezes,
        looked.decoded / seconds as f64,
        looked.nacks,
        looked.plis,
        ms(back),
        ms(full),
        voice.map_or("-".into(), |v| format!("{:.2} %", v * 100.0)),
        of(ears, |p| p.p50),
        of(ears, |p| p.p95),
        looked.ears.len(),
        ms(lips),
        looked.carrier,
    );
    json!({
        "name": name, "seconds": seconds, "age_ms": ages, "freeze_ratio": freeze, "freezes": looked.freezes, "decoded": looked.decoded,
        "missed": looked.missed, "nacks": looked.nacks, "plis": looked.plis, "back_ms": back, "full_size_ms": full,
        "widths": looked.widths, "voice_concealed": voice, "ears_ms": ears, "lips_ms": lips, "carrier": looked.carrier,
    })
}

/// When pictures flow again after `end`: the first of some that follow each other closely.
fn back_after(shown: &[f64], end: f64) -> Option<f64> {
    let first = shown.iter().position(|at| *at >= end)?;
    let flows = |w: &&[f64]| w.windows(2).all(|p| p[1] - p[0] <= BACK_APART_MS);
    shown[first..].windows(BACK_PICTURES).find(flows).map(|w| w[0] - end)
}

/// When the picture is at its full width again, and stays so to the end.
fn full_after(widths: &[(f64, f64)], end: f64) -> Option<f64> {
    let (at, wide) = widths.last()?;
    (*wide >= FULL_WIDTH).then(|| (at - end).max(0.0))
}

fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
}

/// `None`: help was asked for.
fn arguments() -> Result<Option<Args>> {
    use lexopt::Arg::{Long, Short};
    let viewer = "mentor".to_owned();
    let mut args =
        Args { seconds: 20, only: None, profile: None, viewer, seed: 1, opens: 100, shared: None, generated: false, build: true };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("seconds") => args.seconds = parser.value()?.to_string_lossy().parse()?,
            Long("only") => args.only = Some(parser.value()?.to_string_lossy().into_owned()),
            Long("profile") => args.profile = Some(parser.value()?.to_string_lossy().into_owned()),
            Long("viewer") => args.viewer = parser.value()?.to_string_lossy().into_owned(),
            Long("opens") => args.opens = parser.value()?.to_string_lossy().parse()?,
            Long("seed") => args.seed = parser.value()?.to_string_lossy().parse()?,
            Long("shared") => args.shared = Some(parser.value()?.into()),
            Long("generated") => args.generated = true,
            Long("no-build") => args.build = false,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_back_when_they_flow() {
        let mut shown = vec![0.0, 30.0, 1_100.0];
        shown.extend((0..20).map(|n| 2_000.0 + 33.0 * f64::from(n)));
        assert_eq!(back_after(&shown, 1_000.0), Some(1_000.0));
        assert_eq!(back_after(&shown[..5], 1_000.0), None);
    }

    #[test]
    fn full_size_counts_when_it_lasts() {
        assert_eq!(full_after(&[(0.0, 320.0), (5.0, 1280.0)], 2.0), Some(3.0));
        assert_eq!(full_after(&[(0.0, 1280.0), (5.0, 640.0)], 2.0), None);
    }
}
