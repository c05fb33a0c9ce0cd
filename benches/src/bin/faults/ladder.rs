//! The rungs of coming back: a server that stood still, another address, UDP blocked in the middle of a case, a laptop that slept.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use benches::faults::report::Scenario;
use benches::faults::{Finished, PageRecord};
use benches::impair::proxy::{TcpProxy, UdpProxy};
use benches::ink_log;
use benches::product::{Demo, Folder};
use serde_json::{Value, json};

use super::{Bench, LINE_SAID, MARKED, free_udp_port, missing, ms, once, unix_ms};

/// Budgets, ms: DESIGN §9 *back after*; a slept laptop has the most patient one.
const BACK_ADDRESS: f64 = 2_000.0;
const BACK_BLOCKED: f64 = 5_000.0;
const BACK_ASLEEP: f64 = 5_000.0;
const BACK_STOOD: f64 = 5_000.0;

/// How long the server stands, and how long it is watched afterwards: ICE's own patience is 15 s.
const STOOD: Duration = Duration::from_secs(4);
const WATCHED: Duration = Duration::from_secs(16);

const ASLEEP: Duration = Duration::from_secs(30);
/// Of its rounds, which are most of a minute long, this share is run.
const ASLEEP_SHARE: usize = 2;
/// Between rounds: estimates and timers have settled.
const SETTLED: Duration = Duration::from_secs(3);

const STOOD_MENTOR: [&str; 4] = [
    "picture marked, mentor",
    "back for good, mentor",
    "voice back, at the mentor",
    "longest gap of voice after that, at the mentor",
];
const STOOD_ROOM: [&str; 4] =
    ["picture marked, room", "back for good, room", "voice back, in the room", "longest gap of voice after that, in the room"];

/// A case whose mentor comes through proxies of media (UDP, and ICE-TCP on the same number) and of everything else.
struct Through {
    udp: UdpProxy,
    ice_tcp: TcpProxy,
    tcp: TcpProxy,
    links: Value,
    ports: Value,
    folder: Arc<Folder>,
    _demo: Demo,
}

impl Through {
    fn hold(&self, held: bool) {
        self.udp.hold(held);
        self.ice_tcp.hold(held);
        self.tcp.hold(held);
    }
}

impl Bench {
    fn through(&self) -> Result<Through> {
        let folder = Arc::new(Folder::new("faults"));
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let media = free_udp_port()?;
        let start = Instant::now();
        let udp = UdpProxy::start(here(0), here(media), 1, Vec::new(), start)?;
        let ice_tcp = TcpProxy::start(udp.address, here(media), Vec::new(), start)?;
        let demo = self.start(&folder, 0, media, Some(udp.address))?;
        let https: u16 = demo.ready.base_url.rsplit(':').next().and_then(|p| p.parse().ok()).context("no port in base_url")?;
        let tcp = TcpProxy::start(here(0), here(https), Vec::new(), start)?;
        let mentor = demo.ready.links["mentor"].as_str().context("no link")?;
        let links = json!({
            "mentor": mentor.replacen(&format!(":{https}/"), &format!(":{}/", tcp.address.port()), 1),
            "room": demo.ready.links["room"],
        });
        let ports = json!({ "room": { "from": udp.address.port(), "to": media } });
        Ok(Through { udp, ice_tcp, tcp, links, ports, folder, _demo: demo })
    }

    /// The server's process stands still, and then goes on with all that was sent to it meanwhile. Both pages come back once, and stay.
    pub(super) fn stood(&mut self) -> Result<Scenario> {
        let folder = Arc::new(Folder::new("faults"));
        let demo = self.start(&folder, 0, 0, None)?;
        self.open(&demo.ready.links, Value::Null)?;
        let mut scenario = Scenario::new("server stood still for 4 s");
        self.rounds(&mut scenario, |bench, s, _| {
            std::thread::sleep(SETTLED);
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            let at = unix_ms();
            demo.stand(true)?;
            std::thread::sleep(STOOD);
            demo.stand(false)?;
            let woke = unix_ms();
            std::thread::sleep(WATCHED);
            let done = bench.finish(at, woke)?;
            let mut told = Vec::new();
            for (page, name, names) in [(&done.mentor, "mentor", STOOD_MENTOR), (&done.room, "room", STOOD_ROOM)] {
                let heard = page.voice_back_after(woke);
                let gap = heard.and_then(|after| page.voice_gap(woke + after + 100.0));
                s.figure(names[0], "ms", Some(MARKED), page.look_after(at, |look| look != "live"));
                s.figure(names[1], "ms", Some(BACK_STOOD), page.back_after(woke, woke));
                s.figure(names[2], "ms", Some(BACK_STOOD), heard);
                s.figure(names[3], "ms", None, gap);
                told.push(format!(
                    "{name} back {}, voice {}, then a gap of {}",
                    ms(page.back_after(woke, woke)),
                    ms(heard),
                    ms(gap)
                ));
            }
            let kept = ink_log::read(&folder.data)?;
            s.check("both pages came back whole", done.missing.is_empty());
            s.check("nobody signed in again", done.mentor.sign_ins == 1 && done.room.sign_ins == 1);
            s.check("every stroke once on disk and on both pages", once(&done, &kept));
            Ok(format!("{}{}", told.join("; "), missing(&done)))
        });
        Ok(scenario)
    }

    /// Another network: media comes from another address, and the browser ends its connections.
    pub(super) fn address(&mut self) -> Result<Scenario> {
        let case = self.through()?;
        self.open(&case.links, case.ports.clone())?;
        let mut scenario = Scenario::new("address changed");
        self.rounds(&mut scenario, |bench, s, _| {
            std::thread::sleep(SETTLED);
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            let at = unix_ms();
            case.udp.move_clients();
            case.ice_tcp.end_connections();
            case.tcp.end_connections();
            let done = bench.finish(at, at + 100.0)?;
            let (m, r) = (&done.mentor, &done.room);
            s.figure("back, mentor", "ms", Some(BACK_ADDRESS), m.back_after(at, at + 100.0));
            s.figure("longest gap of voice, at the mentor", "ms", None, m.voice_gap(at));
            s.figure("longest gap of voice, in the room", "ms", None, r.voice_gap(at));
            s.check("the same media path came back", m.same_path);
            s.check("nobody signed in again", m.sign_ins == 1 && r.sign_ins == 1);
            whole(s, &done, &case, at)?;
            Ok(format!(
                "back {}, voice {} / {}{}{}",
                ms(m.back_after(at, at + 100.0)),
                ms(m.voice_gap(at)),
                ms(r.voice_gap(at)),
                path(m),
                missing(&done)
            ))
        });
        Ok(scenario)
    }

    /// A firewall begins to drop UDP: what goes on goes by TCP.
    pub(super) fn blocked(&mut self) -> Result<Scenario> {
        let case = self.through()?;
        self.open(&case.links, case.ports.clone())?;
        let mut scenario = Scenario::new("UDP blocked");
        self.rounds(&mut scenario, |bench, s, n| {
            case.udp.hold(false);
            if n > 0 {
                // A page that went to TCP stays there; a new one takes UDP again.
                let _: Value = bench.browser.ask(&json!({ "what": "reload" }))?;
            }
            std::thread::sleep(SETTLED);
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            let at = unix_ms();
            case.udp.hold(true);
            let done = bench.finish(at, at + 300.0)?;
            let (m, r) = (&done.mentor, &done.room);
            s.figure("picture marked as stalled, mentor", "ms", Some(MARKED), m.look_after(at, |look| look == "stalled"));
            s.figure("back, mentor", "ms", Some(BACK_BLOCKED), m.back_after(at, at + 300.0));
            s.figure("longest gap of voice, at the mentor", "ms", None, m.voice_gap(at));
            s.figure("longest gap of voice, in the room", "ms", None, r.voice_gap(at));
            s.check("pictures come by TCP", m.carrier == "tcp");
            whole(s, &done, &case, at)?;
            Ok(format!(
                "back {}, voice {} / {}, by {}{}{}",
                ms(m.back_after(at, at + 300.0)),
                ms(m.voice_gap(at)),
                ms(r.voice_gap(at)),
                m.carrier,
                path(m),
                missing(&done)
            ))
        });
        Ok(scenario)
    }

    /// The mentor's page stands still and its line is gone for half a minute: everything of its connections has run out.
    pub(super) fn asleep(&mut self) -> Result<Scenario> {
        let case = self.through()?;
        self.open(&case.links, case.ports.clone())?;
        let mut scenario = Scenario::new("laptop asleep for 30 s");
        let all = self.rounds;
        self.rounds = all.div_ceil(ASLEEP_SHARE);
        self.rounds(&mut scenario, |bench, s, _| {
            std::thread::sleep(SETTLED);
            let _: Value = bench.browser.ask(&json!({ "what": "begin" }))?;
            let at = unix_ms();
            case.hold(true);
            let _: Value = bench.browser.ask(&json!({ "what": "sleep", "asleep": true }))?;
            std::thread::sleep(ASLEEP);
            // As on a laptop: its network is there when its lid is open, and it runs again at the same time.
            case.tcp.end_connections();
            case.ice_tcp.end_connections();
            case.hold(false);
            let woke = unix_ms();
            let _: Value = bench.browser.ask(&json!({ "what": "sleep", "asleep": false }))?;
            let done = bench.finish(at, woke)?;
            let (m, r) = (&done.mentor, &done.room);
            s.figure("the room is told that the mentor is away", "ms", Some(LINE_SAID), r.line_lost_after(at));
            s.figure("back after waking, mentor", "ms", Some(BACK_ASLEEP), m.back_after(woke, woke));
            s.figure("voice back after waking, at the mentor", "ms", None, m.voice_back_after(woke));
            s.figure("voice back after waking, in the room", "ms", None, r.voice_back_after(woke));
            s.figure("longest time without a picture in the room", "ms", Some(MARKED), r.picture_gap());
            s.check("nobody signed in again", m.sign_ins == 1 && r.sign_ins == 1);
            whole(s, &done, &case, at)?;
            Ok(format!(
                "told {}, back {}, voice {} / {}{}{}",
                ms(r.line_lost_after(at)),
                ms(m.back_after(woke, woke)),
                ms(m.voice_back_after(woke)),
                ms(r.voice_back_after(woke)),
                path(m),
                missing(&done)
            ))
        });
        self.rounds = all;
        Ok(scenario)
    }
}

/// What must hold after every rung.
fn whole(s: &mut Scenario, done: &Finished, case: &Through, at: f64) -> Result<()> {
    let kept = ink_log::read(&case.folder.data)?;
    s.check("both pages came back whole", done.missing.is_empty());
    s.check("voice was heard both ways", done.mentor.voice_energy > 0.0 && done.room.voice_energy > 0.0);
    s.check("every stroke once on disk and on both pages", once(done, &kept));
    s.check("the room's own picture went on", done.room.stayed_live(at));
    Ok(())
}

fn path(page: &PageRecord) -> &'static str {
    if page.same_path { "" } else { ", by a new media path" }
}
