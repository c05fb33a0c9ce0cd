//! Everything durable: SQLite in the data directory, one writer. Owns every table.
//!
//! Commands queue to one task, which takes all that wait, writes them in one transaction (`BEGIN IMMEDIATE`, WAL,
//! `synchronous=FULL`: an acknowledged op survives a power cut) and only then answers. So a commit costs one `fsync`
//! however many pages draw; a command waits for at most the commit before it and its own.
//! When the disk refuses, the batch is tried again on a new connection until it is taken; nothing is acknowledged meanwhile, and
//! [`Store::disk`] says so. Nobody at a door waits for the disk: see `standby.rs`.

mod audit;
mod curtain;
mod links;
mod schema;
mod standby;
mod voice;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use annotation::id::{Epoch, Order};
use annotation::time::CaptureTime;
use annotation::wire::OrderedOp;
use anyhow::Context;
use link::id::CaseId;
use prost::Message;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

pub use audit::{AuditReport, AuditRow, ChainFault, verify_file};
pub use links::{KnownLink, Withdrawal, links_of_file, revoke_file};
pub use standby::{DiskState, NoEpoch};
pub use voice::VoiceKept;

use self::standby::{EPOCHS_AHEAD, Epochs, Withdrawn};

use crate::authorize::Phase;
use crate::claims::{Claims, TokenId};
use crate::curtain::Curtain;
use crate::texts::Code;

/// Commands waiting for the writer. A page draws ~2 ops/s: this is minutes of a stuck disk. Policy: the sender waits, or
/// keeps its own bounded backlog.
const QUEUE: usize = 1024;
/// Commands in one transaction.
const BATCH: usize = 512;
/// First pause after the disk refused; doubles up to 32 times as long.
const RETRY: Duration = Duration::from_millis(100);
/// How often the database is asked which tokens somebody withdrew.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the writer can be asked.
#[derive(Debug)]
pub enum Command {
    /// Ops of one case, ascending. `stored` rises to the last of them once it is on disk.
    Ops {
        case: CaseId,
        ops: Vec<OrderedOp>,
        stored: watch::Sender<Order>,
    },
    /// What the tracker said since the last time; bounded by the sender, which drops what the queue does not take.
    Xforms {
        case: CaseId,
        at: CaptureTime,
        bytes: Vec<u8>,
    },
    Audit(AuditRow),
    Phase {
        case: CaseId,
        phase: Phase,
    },
    /// The privacy curtain was moved.
    Curtain {
        case: CaseId,
        curtain: Curtain,
    },
    /// Only the newest counts.
    Voice {
        case: CaseId,
        voice: VoiceKept,
    },
    /// More numbers for pages of the case are to be reserved.
    Epochs(CaseId),
    TokenIssued(Claims),
    /// A token is shown at the door.
    TokenShown {
        id: TokenId,
        at: CaptureTime,
    },
    /// Answered when everything before it is on disk.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    Good,
    Revoked,
}

/// A hand on the writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    queue: mpsc::Sender<Command>,
    disk: watch::Receiver<DiskState>,
    epochs: Arc<Epochs>,
    withdrawn: Arc<Withdrawn>,
    path: Arc<PathBuf>,
}

/// The writer has ended: the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Stopped;

/// What the database held about a case at start.
#[derive(Debug, Clone)]
pub struct StoredCase {
    pub phase: Phase,
    pub voice: Option<VoiceKept>,
    /// Ascending from 1.
    pub ops: Vec<OrderedOp>,
    pub curtain: Curtain,
}

/// The database before its writer runs.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    /// Most pages of the database; tests make a small disk of it.
    pages_max: Arc<AtomicU32>,
    connection: SqliteConnection,
    tail: audit::Tail,
    epochs: Arc<Epochs>,
    withdrawn: Arc<Withdrawn>,
}

impl Opened {
    /// Opens or makes the database at `path`. Errors are sentences for whoever started the server.
    pub async fn open(path: &Path) -> anyhow::Result<Self> {
        Opened::open_bounded(path, Arc::new(AtomicU32::new(PAGES_MAX))).await
    }

    async fn open_bounded(path: &Path, pages_max: Arc<AtomicU32>) -> anyhow::Result<Self> {
        match open_files(path, pages_max.load(Ordering::Relaxed)).await {
            Ok((connection, tail, revoked)) => {
                let withdrawn = Withdrawn::default();
                for (id, _) in revoked {
                    withdrawn.add(id);
                }
                let (path, epochs) = (path.to_owned(), Arc::default());
                Ok(Opened { path, pages_max, connection, tail, epochs, withdrawn: Arc::new(withdrawn) })
            }
            Err(fault) => {
                let full = fault.downcast_ref::<sqlx::Error>().is_some_and(|fault| DiskState::of(fault) == DiskState::Full)
                    || fault.downcast_ref::<io::Error>().is_some_and(|fault| fault.kind() == io::ErrorKind::StorageFull);
                let sentence = if full {
                    let code = Code::StoreFull;
                    format!("the disk of the database {} is full: make room, or choose another --data [{code}]", path.display())
                } else {
                    format!("the database {} cannot be opened: restore it, or choose another --data", path.display())
                };
                Err(fault.context(sentence))
            }
        }
    }

    /// What is known of the case; makes it, live and empty, where it is new.
    pub async fn load_case(&mut self, case: &CaseId) -> anyhow::Result<StoredCase> {
        let row = sqlx::query("SELECT phase FROM cases WHERE case_id = $1")
            .bind(case.as_str())
            .fetch_optional(&mut self.connection)
            .await?;
        let phase = match row {
            Some(row) => {
                let text: String = row.try_get(0)?;
                Phase::parse(&text).with_context(|| format!("the case {case} has the unknown phase {text:?}"))?
            }
            None => {
                sqlx::query("INSERT INTO cases (case_id, phase, epoch_last) VALUES ($1, $2, 0)")
                    .bind(case.as_str())
                    .bind(Phase::Live.as_str())
                    .execute(&mut self.connection)
                    .await?;
                Phase::Live
            }
        };
        let last = reserve_epochs(&mut self.connection, case).await?;
        self.epochs.add(case, last);
        let rows = sqlx::query("SELECT ord, bytes FROM ops WHERE case_id = $1 ORDER BY ord")
            .bind(case.as_str())
            .fetch_all(&mut self.connection)
            .await?;
        let mut ops = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let (order, bytes): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            let op = OrderedOp::decode(bytes.as_slice()).with_context(|| format!("op {order} of case {case} is damaged"))?;
            anyhow::ensure!(op.order == i as u64 + 1, "op {} of case {case} is missing", i + 1);
            ops.push(op);
        }
        let curtain = curtain::load(&mut self.connection, case).await?;
        let voice = voice::load(&mut self.connection, case).await?;
        Ok(StoredCase { phase, voice, ops, curtain })
    }

    /// Cases that have ended: their links say so.
    pub async fn ended_cases(&mut self) -> anyhow::Result<BTreeSet<CaseId>> {
        let rows = sqlx::query("SELECT case_id FROM cases WHERE phase = $1")
            .bind(Phase::Ended.as_str())
            .fetch_all(&mut self.connection)
            .await?;
        let ids = rows.iter().map(|row| anyhow::Ok(CaseId::parse(&row.try_get::<String, _>(0)?)?));
        ids.collect()
    }

    /// Starts the writer. The task ends, with everything written, when the last [`Store`] is dropped.
    pub fn start(self) -> (Store, JoinHandle<()>) {
        let (queue, commands) = mpsc::channel(QUEUE);
        let (disk, disk_seen) = watch::channel(DiskState::Taking);
        let Opened { path, pages_max, connection, tail, epochs, withdrawn } = self;
        let store = Store { queue, disk: disk_seen, epochs: epochs.clone(), withdrawn, path: Arc::new(path.clone()) };
        let writer = Writer { path, pages_max, connection: Some(connection), tail, commands, disk, epochs };
        (store, tokio::spawn(writer.run()))
    }
}

/// SQLite's own bound.
const PAGES_MAX: u32 = u32::MAX - 1;

/// The database, made where it is missing, with the end of its audit and the tokens that were withdrawn.
async fn open_files(path: &Path, pages_max: u32) -> anyhow::Result<(SqliteConnection, audit::Tail, Vec<(TokenId, CaseId)>)> {
    // Made here first, so that nobody else can read it: what SQLite puts beside it takes its mode.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let mut connection = connect(path, pages_max).await?;
    schema::prepare(&mut connection).await?;
    let tail = audit::tail(&mut connection).await?;
    let revoked = links::withdrawn(&mut connection).await?;
    Ok((connection, tail, revoked))
}

async fn connect(path: &Path, pages_max: u32) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("max_page_count", pages_max.to_string())
        .disable_statement_logging()
        .connect()
        .await
}

/// Reserves a block of numbers for pages of the case: the greatest of them.
async fn reserve_epochs(db: &mut SqliteConnection, case: &CaseId) -> Result<u32, sqlx::Error> {
    let row = sqlx::query("UPDATE cases SET epoch_last = epoch_last + $2 WHERE case_id = $1 RETURNING epoch_last")
        .bind(case.as_str())
        .bind(i64::from(EPOCHS_AHEAD))
        .fetch_one(db)
        .await?;
    let last: i64 = row.try_get(0)?;
    Ok(u32::try_from(last).unwrap_or(u32::MAX))
}

impl Store {
    /// Waits for a place in the queue.
    pub async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.queue.send(command).await.map_err(|_| Stopped)
    }

    /// Does not wait: gives the command back when there is no place.
    pub fn try_send(&self, command: Command) -> Result<(), Command> {
        self.queue.try_send(command).map_err(|e| e.into_inner())
    }

    /// Whether the disk takes what it is given.
    pub fn disk(&self) -> watch::Receiver<DiskState> {
        self.disk.clone()
    }

    /// A number for a new page, greater than every earlier one of the case, reserved on disk before it is used. Waits only
    /// where all reserved ones are used, and not at all while the disk refuses.
    pub async fn next_epoch(&self, case: &CaseId) -> Result<Epoch, NoEpoch> {
        let mut disk = self.disk.clone();
        loop {
            let mut added = std::pin::pin!(self.epochs.added.notified());
            added.as_mut().enable();
            let epoch = self.epochs.take(case);
            if self.epochs.shall_ask(case) && self.try_send(Command::Epochs(case.clone())).is_err() {
                self.epochs.forget_asking(case);
            }
            if let Some(epoch) = epoch {
                return Ok(epoch);
            }
            tokio::select! {
                biased;
                Ok(disk) = disk.wait_for(|disk| *disk != DiskState::Taking) => return Err(NoEpoch::Refusing(*disk)),
                () = self.queue.closed() => return Err(NoEpoch::Stopped),
                () = added => {}
                // The queue was full for a moment.
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Says whether the token has been withdrawn, without waiting; its first use is noted when the disk comes to it.
    pub fn token_shown(&self, id: TokenId, at: CaptureTime) -> TokenStanding {
        let _ = self.try_send(Command::TokenShown { id, at });
        if self.withdrawn.contains(&id) { TokenStanding::Revoked } else { TokenStanding::Good }
    }

    /// Was it withdrawn meanwhile? For those who were let in a while ago.
    pub fn is_withdrawn(&self, id: TokenId) -> bool {
        self.withdrawn.contains(&id)
    }

    /// Tells which tokens somebody withdrew, each once, and their cases, until nobody listens. On a connection of its own, so
    /// that a withdrawal reaches the doors also while the writer waits for room.
    pub async fn watch_withdrawn(self, told: mpsc::Sender<(TokenId, CaseId)>) {
        let mut connection = None;
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = told.closed() => return,
            }
            if connection.is_none() {
                connection = links::connect(&self.path).await.ok();
            }
            let Some(db) = connection.as_mut() else { continue };
            match links::withdrawn(db).await {
                Ok(found) => {
                    for (id, case) in found {
                        if self.withdrawn.add(id) && told.send((id, case)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(fault) => {
                    warn!(%fault, "it cannot be seen which links were withdrawn; trying again");
                    connection = None;
                }
            }
        }
    }

    pub async fn audit(&self, row: AuditRow) -> Result<(), Stopped> {
        self.send(Command::Audit(row)).await
    }

    pub async fn flush(&self) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Flush(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }
}

/// An answer that the transaction found, for the command at the same place.
enum Found {
    Nothing,
    /// The greatest number reserved.
    Epochs(u32),
}

struct Writer {
    path: PathBuf,
    pages_max: Arc<AtomicU32>,
    /// None after the disk refused: an error leaves open whether SQLite has rolled back by itself, a new connection does not.
    connection: Option<SqliteConnection>,
    tail: audit::Tail,
    commands: mpsc::Receiver<Command>,
    disk: watch::Sender<DiskState>,
    epochs: Arc<Epochs>,
}

impl Writer {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.commands.recv_many(&mut batch, BATCH).await > 0 {
            let mut pause = RETRY;
            let found = loop {
                match self.write(&batch).await {
                    Ok(found) => break found,
                    Err(fault) => {
                        // What a full disk keeps from being opened is full still.
                        let state = DiskState::of(&fault);
                        let was_full = *self.disk.borrow() == DiskState::Full;
                        let state = if was_full && state == DiskState::Failing { DiskState::Full } else { state };
                        if self.tell_disk(state) {
                            error!(%fault, ?state, commands = batch.len(), "the disk does not take what is to be kept; trying again");
                        }
                        if let Some(connection) = self.connection.take() {
                            let _ = connection.close().await;
                        }
                        if self.commands.is_closed() && pause > RETRY * 8 {
                            error!("stopping with a batch that the disk does not take");
                            return;
                        }
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY * 32);
                    }
                }
            };
            if self.tell_disk(DiskState::Taking) {
                info!(commands = batch.len(), "the disk takes again what is to be kept");
            }
            for (command, found) in batch.drain(..).zip(found) {
                self.answer(command, found);
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(fault) = connection.close().await
        {
            warn!(%fault, "the database did not close cleanly");
        }
    }

    /// True where it is news.
    fn tell_disk(&self, state: DiskState) -> bool {
        self.disk.send_if_modified(|disk| std::mem::replace(disk, state) != state)
    }

    /// One transaction: all of the batch or nothing of it.
    async fn write(&mut self, batch: &[Command]) -> Result<Vec<Found>, sqlx::Error> {
        // A commit may have been made and not reported. Then the audit is longer than we knew, and has the batch's rows;
        // every other command does no harm a second time.
        let mut audited = false;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let mut connection = connect(&self.path, self.pages_max.load(Ordering::Relaxed)).await?;
                let tail = audit::tail(&mut connection).await?;
                audited = tail != self.tail;
                self.tail = tail;
                self.connection.insert(connection)
            }
        };
        let mut tail = self.tail.clone();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut found = Vec::with_capacity(batch.len());
        for command in batch {
            found.push(match command {
                Command::Audit(_) if audited => Found::Nothing,
                command => write_one(&mut transaction, &mut tail, command).await?,
            });
        }
        transaction.commit().await?;
        self.tail = tail;
        Ok(found)
    }

    /// An asker that went away is no fault.
    fn answer(&self, command: Command, found: Found) {
        match (command, found) {
            (Command::Ops { ops, stored, .. }, _) => {
                if let Some(last) = ops.last() {
                    stored.send_replace(Order(last.order));
                }
            }
            (Command::Epochs(case), Found::Epochs(last)) => self.epochs.add(&case, last),
            (Command::Flush(reply), _) => drop(reply.send(())),
            _ => {}
        }
    }
}

async fn write_one(db: &mut SqliteConnection, tail: &mut audit::Tail, command: &Command) -> Result<Found, sqlx::Error> {
    match command {
        Command::Ops { case, ops, .. } => {
            for op in ops {
                // The conflict can only be our own earlier try whose commit was not reported.
                sqlx::query(
                    "INSERT INTO ops (case_id, ord, received_us, bytes) VALUES ($1, $2, $3, $4) ON CONFLICT (case_id, ord) DO NOTHING",
                )
                .bind(case.as_str())
                .bind(op.order.cast_signed())
                .bind(unix_us(CaptureTime(op.received)))
                .bind(op.encode_to_vec())
                .execute(&mut *db)
                .await?;
            }
        }
        Command::Xforms { case, at, bytes } => {
            sqlx::query("INSERT INTO xforms (case_id, at_us, bytes) VALUES ($1, $2, $3)")
                .bind(case.as_str())
                .bind(unix_us(*at))
                .bind(bytes.as_slice())
                .execute(db)
                .await?;
        }
        Command::Audit(row) => audit::append(db, tail, row).await?,
        Command::Phase { case, phase } => {
            sqlx::query("UPDATE cases SET phase = $2 WHERE case_id = $1")
                .bind(case.as_str())
                .bind(phase.as_str())
                .execute(db)
                .await?;
        }
        Command::Curtain { case, curtain } => curtain::keep(db, case, curtain).await?,
        Command::Voice { case, voice } => voice::keep(db, case, voice).await?,
        Command::Epochs(case) => return Ok(Found::Epochs(reserve_epochs(db, case).await?)),
        Command::TokenIssued(claims) => {
            sqlx::query("INSERT INTO tokens (token_id, case_id, role, expires_unix_s) VALUES ($1, $2, $3, $4) ON CONFLICT (token_id) DO NOTHING")
                .bind(claims.id.to_string())
                .bind(claims.case.as_str())
                .bind(claims.role.as_str())
                .bind(claims.expires_unix_s.cast_signed())
                .execute(db)
                .await?;
        }
        Command::TokenShown { id, at } => {
            sqlx::query("UPDATE tokens SET first_used_us = $2 WHERE token_id = $1 AND first_used_us IS NULL")
                .bind(id.to_string())
                .bind(unix_us(*at))
                .execute(db)
                .await?;
        }
        Command::Flush(_) => {}
    }
    Ok(Found::Nothing)
}

/// Microseconds since 1970, as people who open the database read it.
fn unix_us(at: CaptureTime) -> i64 {
    i64::try_from(at.to_unix().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
