//! Puts the server together in an order in which nothing is half-started, and takes it apart again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use link::id::CaseId;
use sfu::{SfuConfig, SfuHandle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

use super::case_actor::{self, CaseInput, Surroundings};
use super::cli::Demo;
use super::clock::{STEER_EVERY, Timeline, check_system_clock};
use super::data_dir::DataDir;
use super::directory::{Directory, EnginePresence};
use super::engine_keeper::EngineKeeper;
use super::engine_link::LinkServer;
use super::http::{self, Doors, FarEngines, Refusals};
use super::listener;
use super::metrics::Counters;
use super::ready::OneCase;
pub use super::ready::{Links, Pids, Ready, Tokens};
use super::store::{Opened, Store};
use super::supervisor::EngineCommand;
use super::turn::Turn;
use crate::authorize::Phase;
use crate::case::Case;
use crate::demo;
use crate::ink_room::InkRoom;

/// Comings and goings of an engine waiting for its keeper.
const PRESENCES: usize = 16;
/// For pages to hear that the server stops, and for the last rows.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    pub ready: Ready,
    directory: Directory,
    store: Store,
    writer: JoinHandle<()>,
    sfu: SfuHandle,
    link: LinkServer,
    engines: Vec<EngineKeeper>,
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _data: DataDir,
}

/// Starts everything, or nothing. Errors are sentences: what is wrong, and what to do.
pub async fn start(config: &Demo) -> anyhow::Result<Running> {
    check_system_clock()?;
    let timeline = Timeline::start();
    // What can be wrong without touching anything is looked at first.
    let web_root = web_root(config.web_root.as_deref())?;
    let engine = if config.no_engine { None } else { Some(engine_program(config.engine.as_deref())?) };
    if let Some(shared) = config.shared.as_deref().filter(|shared| !shared.is_dir()) {
        bail!("the folder of sample recordings {} is not there: correct --shared, or leave it out", shared.display());
    }
    let turn = Turn::open(&config.turn, config.turn_secret.as_deref(), config.turn_valid)?.map(Arc::new);
    let data = DataDir::open(&config.data)?;
    let keys = data.keys()?;
    let addresses = addresses();
    let tls = listener::tls(&data.certificate(&addresses, timeline.now().to_unix().as_secs())?)?;
    let mut opened = Opened::open(&data.database()).await?;
    let ended = opened.ended_cases().await?;
    let mut cases = Vec::with_capacity(config.cases);
    for case in choose_cases(config.case.as_ref(), config.cases, &ended)? {
        let stored = opened.load_case(&case).await?;
        cases.push((case, stored));
    }

    // Ports next: a busy one ends the start before anything runs.
    let https = listener::bind(SocketAddr::new(config.bind, config.https_port), "--https-port").await?;
    let plain = match config.http {
        Some(port) => Some(listener::bind(SocketAddr::from(([127, 0, 0, 1], port)), "--http").await?),
        None => None,
    };
    let udp = SocketAddr::new(config.bind, config.media_port);
    let media = SfuConfig { udp, announce: config.announce, shards: config.media_threads, ..SfuConfig::default() };
    let (sfu, sfu_events) = sfu::start(media)?;
    let link_dir = data.link();
    // Sockets left behind: the last server died, and its engine may still be there, dialling.
    let outlived = link_dir.join("control.sock").exists();
    let (link, link_events) = LinkServer::bind(&link_dir, timeline.clone(), sfu.clone())
        .with_context(|| format!("the sockets for the engine cannot be made in {}", link_dir.display()))?;

    let (store, writer) = opened.start();
    let around = Surroundings {
        engine_expected: engine.is_some(),
        timeline: timeline.clone(),
        store: store.clone(),
        sfu: sfu.clone(),
        link: link.commands(),
        measuring: config.time_code,
        turn: turn.clone(),
    };
    let (mut handles, mut tasks, mut told, mut presences) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
    for (number, (case, stored)) in cases.into_iter().enumerate() {
        let sheet = demo::sheet(case.clone());
        let voice = stored.voice;
        let ink = InkRoom::new(sheet.id.clone(), stored.ops, sheet.drawers());
        let case_rules = Case::new(sheet, Phase::Live, stored.curtain);
        let (handle, actor) = case_actor::start(number as u32, case_rules, ink, voice, around.clone());
        handles.push(handle);
        tasks.push(actor);
        let (tell, heard) = mpsc::channel(PRESENCES);
        told.insert(case.clone(), tell);
        presences.push((case, heard));
    }
    let directory = Directory::new(handles);
    let counters = Arc::new(Counters::default());
    let (stopping, stop_seen) = watch::channel(false);
    tasks.extend([
        tokio::spawn(directory.clone().route_sfu(sfu_events, counters.clone())),
        tokio::spawn(directory.clone().route_link(link_events, told, counters.clone())),
        tokio::spawn(steer(timeline.clone(), sfu.clone())),
    ]);

    let port = https.local_addr()?.port();
    let base_url = format!("https://localhost:{port}");
    let mut issued = Vec::with_capacity(presences.len());
    for (case, _) in &presences {
        issued.push(OneCase::issue(&keys, &store, case, &base_url, timeline.now()).await?);
    }
    let doors = Arc::new(Doors {
        keys,
        store: store.clone(),
        directory: directory.clone(),
        ended,
        timeline,
        sfu: sfu.clone(),
        link: link.commands(),
        counters: counters.clone(),
        web_root,
        refusals: Refusals::default(),
        turn,
        far_engines: FarEngines::default(),
    });
    tasks.push(tokio::spawn(doors.clone().watch()));
    let router = http::router(doors);
    let http_url = match &plain {
        Some(plain) => Some(format!("http://localhost:{}", plain.local_addr()?.port())),
        None => None,
    };
    tasks.push(tokio::spawn(listener::serve(https, Some(tls), router.clone(), counters.clone(), stop_seen.clone())));
    if let Some(plain) = plain {
        tasks.push(tokio::spawn(listener::serve(plain, None, router, counters, stop_seen)));
    }

    let first = issued.remove(0);
    let ready = Ready {
        base_url,
        http_url,
        case: first.case,
        media_port: sfu.port(),
        pids: first.pids,
        links: first.links,
        tokens: first.tokens,
        more: issued,
        addresses: listened(config.bind, addresses),
    };
    let mut running = Running { ready, directory, store, writer, sfu, link, engines: Vec::new(), stopping, tasks, _data: data };
    if let Some(exe) = engine
        && let Err(fault) = running.start_engines(config, &exe, presences, outlived).await
    {
        running.stop().await;
        return Err(fault);
    }
    Ok(running)
}

impl Running {
    /// One a case, all at once; those that came up are kept also when one does not.
    async fn start_engines(
        &mut self,
        config: &Demo,
        exe: &Path,
        presences: Vec<(CaseId, mpsc::Receiver<EnginePresence>)>,
        outlived: bool,
    ) -> anyhow::Result<()> {
        let mut starting = JoinSet::new();
        for (number, (case, heard)) in presences.into_iter().enumerate() {
            let args = engine_arguments(config, &case, &self.link);
            let command = EngineCommand { exe: exe.to_owned(), args, wait: Duration::ZERO };
            starting.spawn(async move { (number, EngineKeeper::start(command, case, heard, outlived).await) });
        }
        let mut fault = None;
        while let Some(started) = starting.join_next().await {
            let (number, keeper) = started.context("the start of an engine was given up")?;
            match keeper {
                Ok(keeper) => {
                    let pids = match number.checked_sub(1) {
                        None => Some(&mut self.ready.pids),
                        Some(n) => self.ready.more.get_mut(n).map(|more| &mut more.pids),
                    };
                    if let Some(pids) = pids {
                        pids.engine = keeper.pid();
                    }
                    self.engines.push(keeper);
                }
                Err(wrong) => fault = fault.or(Some(wrong)),
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Lets those who are in a case go on for a while, and nobody new in. Returns when the last of them has gone, or the time
    /// is over; at once where nobody is. Each case says itself who is in it, in its turn: also who came in a moment before.
    pub async fn drain(&self, within: Duration) {
        let empty = async {
            let mut leaving = Vec::new();
            for case in self.directory.all() {
                let (last_gone, gone) = oneshot::channel();
                if case.inputs.send(CaseInput::Drain(last_gone)).await.is_ok() {
                    leaving.push(gone);
                }
            }
            for gone in leaving {
                // A case that has ended has nobody in it.
                let _ = gone.await;
            }
        };
        if !within.is_zero() {
            let _ = tokio::time::timeout(within, empty).await;
        }
    }

    /// Pages are told, the engine ends, everything acknowledged is on disk.
    pub async fn stop(self) {
        let said = async {
            for case in self.directory.all() {
                let (done, heard) = oneshot::channel();
                if case.inputs.send(CaseInput::Stop(done)).await.is_ok() {
                    let _ = heard.await;
                }
            }
            let _ = self.store.flush().await;
        };
        if tokio::time::timeout(STOP_WITHIN, said).await.is_err() {
            warn!("not everything could be said and written before the end");
        }
        let mut ends = JoinSet::new();
        for engine in self.engines {
            ends.spawn(engine.stop());
        }
        while ends.join_next().await.is_some() {}
        let _ = self.stopping.send(true);
        drop(self.link);
        let _ = self.sfu.stop();
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
        // Connections that were dropped with the listeners held the last other hands on the store.
        drop((self.store, self.directory));
        let _ = tokio::time::timeout(STOP_WITHIN, self.writer).await;
    }
}

/// Without a case named: `demo`, `demo-b`, ..., each or the first `-N` of it that has not ended. Links of ended cases go on
/// saying so.
fn choose_cases(wish: Option<&CaseId>, n: usize, ended: &BTreeSet<CaseId>) -> anyhow::Result<Vec<CaseId>> {
    let base = wish.map_or("demo", CaseId::as_str);
    let mut chosen = Vec::with_capacity(n);
    for letter in ('a'..='z').take(n) {
        let name = if letter == 'a' { base.to_owned() } else { format!("{base}-{letter}") };
        let first = CaseId::parse(&name)?;
        if wish.is_some() && ended.contains(&first) {
            bail!("the case {first} has ended and is not opened again: choose another name with --case");
        }
        let mut case = first;
        for n in 2u32.. {
            if !ended.contains(&case) {
                break;
            }
            case = CaseId::parse(&format!("{name}-{n}"))?;
        }
        chosen.push(case);
    }
    Ok(chosen)
}

fn engine_arguments(config: &Demo, case: &CaseId, link: &LinkServer) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments = vec![
        "--control".into(),
        text(link.control_path()),
        "--media".into(),
        text(link.media_path()),
        "--case".into(),
        case.to_string(),
    ];
    match (&config.engine_config, &config.shared) {
        (Some(own), _) => arguments.extend(["--config".into(), text(own)]),
        (None, Some(shared)) => arguments.extend(["--demo".into(), "--shared".into(), text(shared)]),
        (None, None) => arguments.push("--demo".into()),
    }
    if config.time_code {
        arguments.push("--time-code".into());
    }
    arguments
}

fn engine_program(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let exe = match named {
        Some(exe) => exe.to_owned(),
        None => std::env::current_exe().context("this program does not know where it is")?.with_file_name("shirube-engine"),
    };
    if !exe.is_file() {
        bail!("the engine {} is not there: build it, name it with --engine, or start with --no-engine", exe.display());
    }
    Ok(exe)
}

/// The folder named, else `web-client/dist` beside the program, up to three folders above it, or here.
fn web_root(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().ok();
    let beside = exe.iter().flat_map(|exe| exe.ancestors().skip(1).take(4)).map(|folder| folder.join("web-client/dist"));
    let mut places: Vec<PathBuf> = match named {
        Some(named) => vec![named.to_owned()],
        None => beside.chain([PathBuf::from("web-client/dist")]).collect(),
    };
    places.retain(|place| place.join("index.html").is_file());
    match (places.into_iter().next(), named) {
        (Some(place), _) => Ok(place),
        (None, Some(named)) => bail!("the pages are not in {}: build the web client, or correct --web-root", named.display()),
        (None, None) => bail!("the pages are not built: build the web client, or name its folder with --web-root"),
    }
}

/// Addresses of this machine that others can reach.
/// Those of the machine's addresses under which a server that listens on `bind` is reached from elsewhere. IPv4 first: shorter to type.
fn listened(bind: IpAddr, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    // A socket on `::` takes IPv4 as well.
    addresses.retain(|address| if bind.is_unspecified() { bind.is_ipv6() || address.is_ipv4() } else { *address == bind });
    addresses.sort_by_key(|address| !address.is_ipv4());
    addresses
}

fn addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(|interface| interface.ip())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The media thread is told too: it dates what cameras publish.
async fn steer(timeline: Timeline, sfu: SfuHandle) {
    let mut every = tokio::time::interval(STEER_EVERY);
    loop {
        every.tick().await;
        timeline.steer();
        let _ = sfu.set_timeline(timeline.moment());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_on_which_it_listens_are_told_and_the_shorter_kind_first() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let own = || vec![ip("192.0.2.7"), ip("2001:db8::7"), ip("198.51.100.7")];
        let told = |bind: &str| listened(ip(bind), own()).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(told("0.0.0.0"), "192.0.2.7 198.51.100.7");
        assert_eq!(told("::"), "192.0.2.7 198.51.100.7 2001:db8::7");
        assert_eq!(told("198.51.100.7"), "198.51.100.7");
        assert_eq!(told("127.0.0.1"), "");
    }
}
