//! The product under measurement: built in release, started as `infra/demo` starts it, in measuring mode.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
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
}

impl House {
    /// The checkout that this program was built from, and the target folder it was built into.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no folder above benches")?;
        let exe = std::env::current_exe()?;
        let target =
            exe.parent().and_then(Path::parent).context("this program lies in no target folder; start it with cargo run")?;
        Ok(House { root: root.to_owned(), target: target.to_owned() })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Sample recordings, where they lie beside the project.
    pub fn shared(&self) -> Option<PathBuf> {
        let folder = self.root.join("../shared/data");
        folder.is_dir().then_some(folder)
    }

    /// Builds server, engine, baseline and pages in release, as far as they are not.
    pub fn build(&self) -> Result<()> {
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
    pub links: serde_json::Value,
    pub pids: Pids,
}

/// A running demo case on free ports and data of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Demo {
    pub ready: Ready,
    child: Child,
    data: PathBuf,
    log: PathBuf,
    _stdout: BufReader<ChildStdout>,
}

impl Demo {
    pub fn start(house: &House, shared: Option<&Path>) -> Result<Self> {
        let data = std::env::temp_dir().join(format!("shirube-glass-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let log = data.with_extension("log");
        let mut command = Command::new(house.program("shirube"));
        command.args(["demo", "--json", "--time-code", "--bind", "127.0.0.1", "--https-port", "0", "--media-port", "0"]);
        command.arg("--data").arg(&data);
        command.arg("--engine").arg(house.program("shirube-engine"));
        command.arg("--web-root").arg(house.root.join("web-client/dist"));
        if let Some(shared) = shared {
            command.arg("--shared").arg(shared);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .context("shirube does not start")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no output of shirube")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Demo { ready, child, data, log, _stdout: stdout }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let words = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("shirube said no line of JSON, but: {}", words.lines().last().unwrap_or("nothing"))
            }
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let until = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                eprintln!("glass: shirube did not stop within {} s and was killed", STOP_WITHIN.as_secs());
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = std::fs::remove_dir_all(&self.data);
        let _ = std::fs::remove_file(&self.log);
    }
}
