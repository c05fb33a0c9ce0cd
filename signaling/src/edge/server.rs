//! Puts the server together in an order in which nothing is half-started, and takes it apart again.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annotation::id::FeedId;
use annotation::time::CaptureTime;
use anyhow::{Context, bail};
use link::id::CaseId;
use serde::Serialize;
use sfu::{SfuConfig, SfuHandle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::case_actor::{self, CaseInput, Surroundings};
use super::cli::Demo;
use super::clock::{STEER_EVERY, Timeline};
use super::data_dir::DataDir;
use super::directory::Directory;
use super::engine_keeper::EngineKeeper;
use super::engine_link::LinkServer;
use super::http::{self, Doors};
use super::keys::Keys;
use super::listener;
use super::metrics::Counters;
use super::store::{Command, Opened, Store};
use super::supervisor::EngineCommand;
use crate::authorize::Phase;
use crate::claims::{Claims, FeedScope, PersonKey, Role};
use crate::demo;
use crate::ink_room::InkRoom;

/// Life of the links of a demo.
const LINKS_FOR: Duration = Duration::from_secs(12 * 3600);
/// For pages to hear that the server stops, and for the last rows.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Said in one line of JSON when the server is ready (DESIGN §10).
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    pub base_url: String,
    pub http_url: Option<String>,
    pub case: String,
    pub media_port: u16,
    pub pids: Pids,
    pub links: Links,
    pub tokens: Tokens,
    /// For people: the same server under the machine's other addresses.
    #[serde(skip)]
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Pids {
    pub server: u32,
    pub engine: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Links {
    pub mentor: String,
    pub room: String,
    pub desk: String,
    pub vendor: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Tokens {
    pub mentor: String,
    pub room: String,
    pub desk: String,
    pub vendor: String,
    pub publisher: String,
    pub viewer: String,
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    pub ready: Ready,
    directory: Directory,
    store: Store,
    writer: JoinHandle<()>,
    sfu: SfuHandle,
    link: LinkServer,
    engine: Option<EngineKeeper>,
    stopping: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _data: DataDir,
}

/// Starts everything, or nothing. Errors are sentences: what is wrong, and what to do.
pub async fn start(config: &Demo) -> anyhow::Result<Running> {
    let timeline = Timeline::start();
    // What can be wrong without touching anything is looked at first.
    let web_root = web_root(config.web_root.as_deref())?;
    let engine = if config.no_engine { None } else { Some(engine_program(config.engine.as_deref())?) };
    if let Some(shared) = config.shared.as_deref().filter(|shared| !shared.is_dir()) {
        bail!("the folder of sample recordings {} is not there: correct --shared, or leave it out", shared.display());
    }
    let data = DataDir::open(&config.data)?;
    let keys = data.keys()?;
    let addresses = addresses();
    let tls = listener::tls(&data.certificate(&addresses, timeline.now().to_unix().as_secs())?)?;
    let mut opened = Opened::open(&data.database()).await?;
    let (case, ended) = choose_case(&mut opened, config.case.as_ref()).await?;
    let stored = opened.load_case(&case).await?;

    // Ports next: a busy one ends the start before anything runs.
    let https = listener::bind(SocketAddr::new(config.bind, config.https_port), "--https-port").await?;
    let plain = match config.http {
        Some(port) => Some(listener::bind(SocketAddr::from(([127, 0, 0, 1], port)), "--http").await?),
        None => None,
    };
    let media = SfuConfig { udp: SocketAddr::new(config.bind, config.media_port), ..SfuConfig::default() };
    let (sfu, sfu_events) = sfu::start(media)?;
    let link_dir = data.link();
    // Sockets left behind: the last server died, and its engine may still be there, dialling.
    let outlived = link_dir.join("control.sock").exists();
    let (link, link_events) = LinkServer::bind(&link_dir, timeline.clone(), sfu.clone())
        .with_context(|| format!("the sockets for the engine cannot be made in {}", link_dir.display()))?;

    let (store, writer) = opened.start();
    let around = Surroundings {
        timeline: timeline.clone(),
        store: store.clone(),
        sfu: sfu.clone(),
        link: link.commands(),
        measuring: config.time_code,
    };
    let sheet = demo::sheet(case.clone());
    let (handle, actor) = case_actor::start(0, sheet, Phase::Live, InkRoom::new(stored.ops), around);
    let directory = Directory::new(vec![handle]);
    let counters = Arc::new(Counters::default());
    let (stopping, stop_seen) = watch::channel(false);
    let (told, engine_told) = mpsc::channel(16);
    let mut tasks = vec![
        actor,
        tokio::spawn(directory.clone().route_sfu(sfu_events, counters.clone())),
        tokio::spawn(directory.clone().route_link(link_events, told, counters.clone())),
        tokio::spawn(steer(timeline.clone())),
    ];

    let tokens = issue(&keys, &store, &case, timeline.now()).await?;
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
    });
    let router = http::router(doors);
    let port = https.local_addr()?.port();
    let base_url = format!("https://localhost:{port}");
    let http_url = match &plain {
        Some(plain) => Some(format!("http://localhost:{}", plain.local_addr()?.port())),
        None => None,
    };
    tasks.push(tokio::spawn(listener::serve(https, Some(tls), router.clone(), counters.clone(), stop_seen.clone())));
    if let Some(plain) = plain {
        tasks.push(tokio::spawn(listener::serve(plain, None, router, counters, stop_seen)));
    }

    let ready = Ready {
        links: Links {
            mentor: format!("{base_url}/#{}", tokens.mentor),
            room: format!("{base_url}/#{}", tokens.room),
            desk: format!("{base_url}/#{}", tokens.desk),
            vendor: format!("{base_url}/#{}", tokens.vendor),
        },
        base_url,
        http_url,
        case: case.to_string(),
        media_port: sfu.port(),
        pids: Pids { server: std::process::id(), engine: None },
        tokens,
        addresses,
    };
    let mut running = Running { ready, directory, store, writer, sfu, link, engine: None, stopping, tasks, _data: data };
    if let Some(exe) = engine {
        let command = EngineCommand { exe, args: engine_arguments(config, &case, &running.link), wait: Duration::ZERO };
        match EngineKeeper::start(command, case, engine_told, outlived).await {
            Ok(keeper) => {
                running.ready.pids.engine = keeper.pid();
                running.engine = Some(keeper);
            }
            Err(fault) => {
                running.stop().await;
                return Err(fault);
            }
        }
    }
    Ok(running)
}

impl Running {
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
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
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

/// Without a case named: `demo`, or the first `demo-N` that has not ended. Links of ended cases go on saying so.
async fn choose_case(opened: &mut Opened, wish: Option<&CaseId>) -> anyhow::Result<(CaseId, std::collections::BTreeSet<CaseId>)> {
    let ended = opened.ended_cases().await?;
    match wish {
        Some(case) if ended.contains(case) => {
            bail!("the case {case} has ended and is not opened again: choose another name with --case")
        }
        Some(case) => Ok((case.clone(), ended)),
        None => {
            let mut case = CaseId::parse("demo")?;
            for n in 2u32.. {
                if !ended.contains(&case) {
                    break;
                }
                case = CaseId::parse(&format!("demo-{n}"))?;
            }
            Ok((case, ended))
        }
    }
}

async fn issue(keys: &Keys, store: &Store, case: &CaseId, now: CaptureTime) -> anyhow::Result<Tokens> {
    let expires_unix_s = now.saturating_add(LINKS_FOR).to_unix().as_secs();
    let mut made = Vec::new();
    for (person, role, feeds) in [
        (demo::MENTOR, Role::Mentor, FeedScope::All),
        (demo::ROOM, Role::Room, FeedScope::All),
        (demo::DESK, Role::Desk, FeedScope::All),
        (demo::VENDOR, Role::Vendor, FeedScope::Only(Vec::new())),
        (demo::PUBLISHER, Role::Publisher, FeedScope::All),
        (demo::VIEWER, Role::Viewer, FeedScope::Only(vec![FeedId::program()])),
    ] {
        let person = PersonKey::parse(person).context("a key of the demo is no key")?;
        let claims = Claims { id: keys.token_id()?, case: case.clone(), person, role, feeds, expires_unix_s };
        made.push(keys.sign_token(&claims));
        store.send(Command::TokenIssued(claims)).await?;
    }
    store.flush().await?;
    let [mentor, room, desk, vendor, publisher, viewer] =
        <[String; 6]>::try_from(made).map_err(|_| anyhow::anyhow!("six tokens"))?;
    Ok(Tokens { mentor, room, desk, vendor, publisher, viewer })
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
        "--demo".into(),
    ];
    if let Some(shared) = &config.shared {
        arguments.extend(["--shared".into(), text(shared)]);
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

async fn steer(timeline: Timeline) {
    let mut every = tokio::time::interval(STEER_EVERY);
    loop {
        every.tick().await;
        timeline.steer();
    }
}
