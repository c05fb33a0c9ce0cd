//! Sees to it that a case has an engine: starts one under supervision, or first takes the one that outlived the last
//! server, and supervises from that one's end on.

use std::time::Duration;

use anyhow::bail;
use link::id::CaseId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::directory::EnginePresence;
use super::supervisor::{EngineCommand, EngineNews, Supervisor};

/// From the engine's start to its Hello. At its first start on a machine it looks through all plug-ins of GStreamer; what is wrong with its
/// settings it says at once.
const ENGINE_WITHIN: Duration = Duration::from_secs(90);
/// For an engine that outlived the last server to dial again (DESIGN §12.1).
const REDIAL_WAIT: Duration = Duration::from_secs(1);

/// Keeps one case's engine.
#[derive(Debug)]
pub struct EngineKeeper {
    pid: Option<u32>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl EngineKeeper {
    /// Returns once the engine has said Hello. `outlived`: an engine of before may dial again. Errors are sentences.
    pub async fn start(
        command: EngineCommand,
        case: CaseId,
        mut presence: mpsc::Receiver<EnginePresence>,
        outlived: bool,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        if outlived && matches!(timeout(REDIAL_WAIT, up(&mut presence)).await, Ok(Ok(()))) {
            info!(%case, "the engine of before dialled again");
            let task = tokio::spawn(keep_adopted(command, presence, stopped));
            return Ok(EngineKeeper { pid: None, stop, task });
        }
        let (supervisor, mut news) = Supervisor::spawn(command);
        let started = timeout(ENGINE_WITHIN, first_hello(&mut presence, &mut news)).await;
        let fault = match started {
            Ok(Ok(())) => {
                let pid = supervisor.pid();
                let task = tokio::spawn(keep(supervisor, news, presence, stopped));
                return Ok(EngineKeeper { pid, stop, task });
            }
            Ok(Err(fault)) => fault,
            Err(_) => anyhow::anyhow!(
                "the engine has not reported within {} s: look at its lines above, or start with --no-engine",
                ENGINE_WITHIN.as_secs()
            ),
        };
        supervisor.stop().await;
        Err(fault)
    }

    /// Of the engine as it was at start; none for one that was taken over.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Ends the engine. One that was taken over ends by itself, without its server.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

async fn first_hello(presence: &mut mpsc::Receiver<EnginePresence>, news: &mut mpsc::Receiver<EngineNews>) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased;
            news = news.recv() => match news {
                Some(EngineNews::Misconfigured { sentence } | EngineNews::NotStarted { sentence }) => bail!("{sentence}"),
                Some(EngineNews::Ended { why, .. }) => warn!(why, "the engine ended before it said Hello"),
                Some(EngineNews::Started { pid }) => info!(pid, "the engine was started"),
                None => bail!("the engine is no longer supervised: start again"),
            },
            outcome = up(presence) => return outcome,
        }
    }
}

/// Until the case's engine says Hello. A refusal is followed by the engine's own end, whose sentence is better.
async fn up(presence: &mut mpsc::Receiver<EnginePresence>) -> anyhow::Result<()> {
    while let Some(told) = presence.recv().await {
        if told == EnginePresence::Up {
            return Ok(());
        }
    }
    bail!("the link to the engine has closed: start again")
}

async fn keep_adopted(command: EngineCommand, mut presence: mpsc::Receiver<EnginePresence>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => return,
            told = presence.recv() => match told {
                Some(EnginePresence::Down) => {
                    // A break of the link alone heals by itself.
                    if matches!(timeout(REDIAL_WAIT, up(&mut presence)).await, Ok(Ok(()))) {
                        continue;
                    }
                    break;
                }
                Some(_) => {}
                None => return,
            },
        }
    }
    let (supervisor, news) = Supervisor::spawn(command);
    keep(supervisor, news, presence, stopped).await;
}

async fn keep(
    supervisor: Supervisor,
    mut news: mpsc::Receiver<EngineNews>,
    mut presence: mpsc::Receiver<EnginePresence>,
    mut stopped: watch::Receiver<bool>,
) {
    // Ends with the server; the supervisor's news end only after it was told to stop.
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = presence.recv() => {}
            Some(news) = news.recv() => match news {
                EngineNews::Started { pid } => info!(pid, "the engine was started"),
                EngineNews::Ended { why, wait } => warn!(why, ?wait, "the engine ended; it is started again"),
                EngineNews::Misconfigured { sentence } | EngineNews::NotStarted { sentence } => {
                    warn!(sentence, "the engine is not started again");
                }
            },
        }
    }
    supervisor.stop().await;
}

/// Also when whoever could tell is gone.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
