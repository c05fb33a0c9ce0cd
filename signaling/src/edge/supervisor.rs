//! Keeps a room's engine running: starts it, restarts it after a crash with back-off, and stops it with the server. An
//! engine that says its configuration is wrong (exit code 2) is not restarted; its sentence is passed on.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

/// Exit code by which an engine says that its configuration is at fault.
const EXIT_CONFIGURATION: i32 = 2;
/// Restarts: at once, then slower; a run of this length counts as healthy again.
const BACK_OFF: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
const HEALTHY_RUN: Duration = Duration::from_secs(10);
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What to start.
#[derive(Debug, Clone)]
pub struct EngineCommand {
    pub exe: PathBuf,
    pub args: Vec<String>,
    /// Wait before the first start, so that an engine that outlived the last server can redial.
    pub wait: Duration,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineNews {
    Started {
        pid: u32,
    },
    /// It ended and will be started again after the wait.
    Ended {
        why: String,
        wait: Duration,
    },
    /// Its configuration is wrong; it is not started again. `sentence`: what is wrong and what to do.
    Misconfigured {
        sentence: String,
    },
    /// It cannot be started at all.
    NotStarted {
        sentence: String,
    },
}

/// A running supervision; [`Supervisor::stop`] ends engine and supervision.
#[derive(Debug)]
pub struct Supervisor {
    pid: Arc<AtomicU32>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Supervisor {
    /// Starts supervising. News come on a queue of 64; the newest is dropped when nobody reads.
    pub fn spawn(command: EngineCommand) -> (Supervisor, mpsc::Receiver<EngineNews>) {
        let (news, receiver) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let pid = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn(supervise(command, news, stopped, pid.clone()));
        (Supervisor { pid, stop, task }, receiver)
    }

    /// Of the engine now running.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// Ends the engine (SIGTERM, after 3 s SIGKILL) and the supervision.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

async fn supervise(
    command: EngineCommand,
    news: mpsc::Sender<EngineNews>,
    mut stopped: watch::Receiver<bool>,
    pid: Arc<AtomicU32>,
) {
    if !command.wait.is_zero() && wait_or_stop(command.wait, &mut stopped).await {
        return;
    }
    let mut crashes = 0;
    loop {
        let started = tokio::time::Instant::now();
        let mut child = match start(&command) {
            Ok(child) => child,
            Err(error) => {
                let exe = command.exe.display();
                let sentence = format!("The engine {exe} cannot be started: {error}. Build it, or name it with --engine.");
                let _ = news.try_send(EngineNews::NotStarted { sentence });
                return;
            }
        };
        pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
        let _ = news.try_send(EngineNews::Started { pid: child.id().unwrap_or(0) });
        let last_line = forward_stderr(&mut child);
        let status = tokio::select! {
            status = child.wait() => status,
            () = until_stopped(&mut stopped) => {
                end(&mut child).await;
                return;
            }
        };
        pid.store(0, Ordering::Relaxed);
        let sentence = last_line.await.unwrap_or_default();
        if let Ok(status) = &status
            && status.code() == Some(EXIT_CONFIGURATION)
        {
            let _ = news.try_send(EngineNews::Misconfigured { sentence });
            return;
        }
        if started.elapsed() >= HEALTHY_RUN {
            crashes = 0;
        }
        let wait = BACK_OFF[crashes.min(BACK_OFF.len() - 1)];
        crashes += 1;
        let _ = news.try_send(EngineNews::Ended { why: describe(status), wait });
        if wait_or_stop(wait, &mut stopped).await {
            return;
        }
    }
}

fn start(command: &EngineCommand) -> std::io::Result<Child> {
    Command::new(&command.exe)
        .args(&command.args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Passes the engine's log on and keeps its last line: there it says what is wrong, if it ends by itself.
fn forward_stderr(child: &mut Child) -> tokio::task::JoinHandle<String> {
    let stderr = child.stderr.take();
    tokio::spawn(async move {
        let mut last = String::new();
        if let Some(stderr) = stderr {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if !line.trim().is_empty() {
                    tracing::info!(target: "engine", "{line}");
                    last = line;
                }
            }
        }
        last
    })
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id() {
        // SIGTERM by the system's own tool: std and tokio only know SIGKILL, and this crate forbids unsafe.
        let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
    }
    if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The guard that `wait_for` gives is not held on: it cannot cross an await.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|s| *s).await;
}

/// True when stopped meanwhile.
async fn wait_or_stop(wait: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        () = until_stopped(stopped) => true,
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the engine ended ({status})"),
        Err(error) => format!("the engine cannot be waited for: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> EngineCommand {
        EngineCommand { exe: "/bin/sh".into(), args: vec!["-c".into(), text.into()], wait: Duration::ZERO }
    }

    /// As an engine does that is refused because the case has one.
    #[tokio::test(start_paused = true)]
    async fn an_engine_that_ends_again_and_again_is_started_ever_more_slowly_and_stops_with_its_supervisor() {
        let (supervisor, mut news) = Supervisor::spawn(script("exit 1"));
        let mut waits = Vec::new();
        while waits.len() < 6 {
            match news.recv().await {
                Some(EngineNews::Ended { wait, .. }) => waits.push(wait.as_millis()),
                Some(EngineNews::Started { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(waits, [100, 500, 1_000, 2_000, 2_000, 2_000]);
        supervisor.stop().await;
        while let Some(news) = news.recv().await {
            assert!(!matches!(news, EngineNews::NotStarted { .. }), "{news:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_whose_configuration_is_wrong_is_not_started_again() {
        let (supervisor, mut news) = Supervisor::spawn(script("echo 'This is wrong; do that.' >&2; exit 2"));
        assert!(matches!(news.recv().await, Some(EngineNews::Started { .. })));
        let sentence = "This is wrong; do that.".to_owned();
        assert_eq!(news.recv().await, Some(EngineNews::Misconfigured { sentence }));
        assert_eq!(news.recv().await, None);
        supervisor.stop().await;
    }
}
