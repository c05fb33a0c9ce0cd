//! The product under measurement: built in release, started as `infra/demo` starts it, in measuring mode.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A stopped server tells its pages, its engine and its disk within this.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Where things lie.
#[derive(Debug, Clone)]
pub struct House {
    pub root: PathBuf,
    pub target: PathBuf,
    /// Where this program lies: what it starts was built as it was.
    programs: PathBuf,
}

impl House {
    /// The checkout that this program was built from, and the target folder it was built into.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no folder above benches")?;
        let exe = std::env::current_exe()?;
        let programs = exe.parent().context("this program lies in no folder")?;
        let target = programs.parent().context("this program lies in no target folder; start it with cargo run")?;
        Ok(House { root: root.to_owned(), target: target.to_owned(), programs: programs.to_owned() })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Sample recordings, where they lie beside the project.
    pub fn shared(&self) -> Option<PathBuf> {
        let folder = self.root.join("../shared/data");
        folder.is_dir().then_some(folder)
    }

    /// What a program `name` begins with: the house, built if it is asked to be.
    pub fn of(name: &str, build: bool) -> Result<Self> {
        let house = House::find()?;
        if build {
            eprintln!("{name}: building in release");
            house.build()?;
        }
        Ok(house)
    }

    /// The recordings to show: those that were named, else those beside the project; none where generated pictures are wished for.
    pub fn recordings(&self, generated: bool, named: Option<PathBuf>) -> Option<PathBuf> {
        if generated { None } else { named.or_else(|| self.shared()) }
    }

    /// Builds server, engine, baseline and pages in release, as far as they are not. A program that was not built in release
    /// itself takes what is there: its figures prove nothing.
    pub fn build(&self) -> Result<()> {
        if cfg!(debug_assertions) {
            eprintln!("not built in release: takes what is built, and proves nothing");
            return Ok(());
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let programs = [
            "-p",
            "signaling",
            "-p",
            "pipeline",
            "-p",
            "benches",
            "--bin",
            "shirube",
            "--bin",
            "shirube-engine",
            "--bin",
            "direct",
        ];
        let mut build = Command::new(cargo);
        build.args(["build", "--release"]).args(programs).arg("--target-dir").arg(&self.target).current_dir(&self.root);
        ensure!(build.status().context("cargo does not start")?.success(), "the build failed");
        let mut pages = Command::new("bash");
        pages
            .args(["-c", ". infra/lib.sh && need_node && need_web_packages && build_web"])
            .current_dir(&self.root)
            .stdout(Stdio::null());
        ensure!(pages.status().context("bash does not start")?.success(), "the web client did not build");
        Ok(())
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct Pids {
    pub server: u32,
    pub engine: Option<u32>,
}

/// The line that the demo prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    pub base_url: String,
    pub media_port: u16,
    pub links: serde_json::Value,
    pub pids: Pids,
}

/// Data of a demo, with its log beside it. Deleted when the last hand lets go of it.
#[derive(Debug)]
pub struct Folder {
    pub data: PathBuf,
    log: PathBuf,
}

impl Folder {
    /// Empty. `name`: of the program that measures.
    pub fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("shirube-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let log = data.with_extension("log");
        let _ = std::fs::remove_file(&log);
        Folder { data, log }
    }

    /// The last words of whoever ran here.
    pub fn words(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.log);
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// How a demo is started.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    pub shared: Option<&'a Path>,
    /// The room's own feeds instead of the demo's.
    pub engine_config: Option<&'a Path>,
    pub folder: Arc<Folder>,
    /// 0: free ones.
    pub https_port: u16,
    pub media_port: u16,
    pub announce: Option<SocketAddr>,
}

/// A running demo case. Dropping it ends it.
#[derive(Debug)]
pub struct Demo {
    pub ready: Ready,
    child: Child,
    folder: Arc<Folder>,
    _stdout: BufReader<ChildStdout>,
}

impl Demo {
    /// On free ports and data of its own.
    pub fn start(house: &House, shared: Option<&Path>) -> Result<Self> {
        let folder = Arc::new(Folder::new("glass"));
        Demo::start_with(house, Start { shared, engine_config: None, folder, https_port: 0, media_port: 0, announce: None })
    }

    /// Returns when the demo says that it is ready.
    pub fn start_with(house: &House, start: Start<'_>) -> Result<Self> {
        let mut command = Command::new(house.program("shirube"));
        command.args(["demo", "--json", "--time-code", "--bind", "127.0.0.1"]);
        command.args(["--https-port", &start.https_port.to_string(), "--media-port", &start.media_port.to_string()]);
        if let Some(announce) = start.announce {
            command.args(["--announce", &announce.to_string()]);
        }
        command.arg("--data").arg(&start.folder.data);
        command.arg("--engine").arg(house.program("shirube-engine"));
        command.arg("--web-root").arg(house.root.join("web-client/dist"));
        if let Some(own) = start.engine_config {
            command.arg("--engine-config").arg(own);
        }
        if let Some(shared) = start.shared {
            command.arg("--shared").arg(shared);
        }
        let log = std::fs::File::options().create(true).append(true).open(&start.folder.log)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().context("shirube does not start")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no output of shirube")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Demo { ready, child, folder: start.folder, _stdout: stdout }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("shirube said no line of JSON, but: {}", start.folder.words(1))
            }
        }
    }

    /// SIGKILL, as a crash: nothing is said, nothing is stopped. Its engine lives on.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its process stands still, or goes on: a machine that swaps, or is moved.
    pub fn stand(&self, still: bool) -> Result<()> {
        signal(self.child.id(), if still { "-STOP" } else { "-CONT" })
    }

    /// Of the engine that composes for this demo now: its child, or one that outlived an earlier server.
    pub fn engine(&self) -> Option<u32> {
        engine_of(&self.folder.data)
    }
}

/// The engine that was started for this data.
pub fn engine_of(data: &Path) -> Option<u32> {
    let data = data.to_string_lossy().into_owned();
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).into_owned();
        let mut words = words.split('\0');
        (words.next()?.ends_with("/shirube-engine") && words.any(|w| w.starts_with(&data))).then_some(pid)
    })
}

/// SIGKILL to another's process.
pub fn kill(pid: u32) -> Result<()> {
    signal(pid, "-KILL")
}

fn signal(pid: u32, which: &str) -> Result<()> {
    let status = Command::new("kill").args([which, &pid.to_string()]).status().context("kill does not start")?;
    ensure!(status.success(), "process {pid} takes no {which}");
    Ok(())
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let until = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                eprintln!("shirube did not stop within {} s and was killed", STOP_WITHIN.as_secs());
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
