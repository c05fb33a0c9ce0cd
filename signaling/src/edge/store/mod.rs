//! Everything durable: SQLite in the data directory, one writer. Owns every table.
//!
//! Commands queue to one task, which takes all that wait, writes them in one transaction (`BEGIN IMMEDIATE`, WAL,
//! `synchronous=FULL`: an acknowledged op survives a power cut) and only then answers. So a commit costs one `fsync`
//! however many pages draw; a command waits for at most the commit before it and its own.
//! When the disk refuses, the batch is tried again until it is taken; nothing is acknowledged meanwhile.

mod audit;
mod schema;

use std::collections::BTreeSet;
use std::path::Path;
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
use tracing::{error, warn};

pub use audit::{AuditReport, AuditRow, ChainFault, verify_file};

use crate::authorize::Phase;
use crate::claims::{Claims, TokenId};

/// Commands waiting for the writer. A page draws ~2 ops/s: this is minutes of a stuck disk. Policy: the sender waits, or
/// keeps its own bounded backlog.
const QUEUE: usize = 1024;
/// Commands in one transaction.
const BATCH: usize = 512;
/// First pause after the disk refused; doubles up to 32 times as long.
const RETRY: Duration = Duration::from_millis(100);

/// What the writer can be asked.
#[derive(Debug)]
pub enum Command {
    /// Ops of one case, ascending. `stored` rises to the last of them once it is on disk.
    Ops {
        case: CaseId,
        ops: Vec<OrderedOp>,
        stored: watch::Sender<Order>,
    },
    Audit(AuditRow),
    Phase {
        case: CaseId,
        phase: Phase,
    },
    Epoch {
        case: CaseId,
        reply: oneshot::Sender<Epoch>,
    },
    TokenIssued(Claims),
    /// A token is shown at the door. The reply says whether it has been withdrawn.
    TokenShown {
        id: TokenId,
        at: CaptureTime,
        reply: oneshot::Sender<TokenStanding>,
    },
    TokenRevoked {
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
}

/// The writer has ended: the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Stopped;

/// What the database held about a case at start.
#[derive(Debug, Clone)]
pub struct StoredCase {
    pub phase: Phase,
    /// Ascending from 1.
    pub ops: Vec<OrderedOp>,
}

/// The database before its writer runs.
#[derive(Debug)]
pub struct Opened {
    connection: SqliteConnection,
    tail: audit::Tail,
}

impl Opened {
    /// Opens or makes the database at `path`. Errors are sentences for whoever started the server.
    pub async fn open(path: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let sentence = || format!("the database {} cannot be opened: restore it, or choose another --data", path.display());
        let mut connection = options.connect().await.with_context(sentence)?;
        schema::prepare(&mut connection).await.with_context(sentence)?;
        let tail = audit::tail(&mut connection).await.with_context(sentence)?;
        Ok(Opened { connection, tail })
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
        Ok(StoredCase { phase, ops })
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
        let writer = Writer { connection: self.connection, tail: self.tail, commands };
        (Store { queue }, tokio::spawn(writer.run()))
    }
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

    /// A number for a new page, greater than every earlier one of the case, on disk before it is used.
    pub async fn next_epoch(&self, case: &CaseId) -> Result<Epoch, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Epoch { case: case.clone(), reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    pub async fn token_shown(&self, id: TokenId, at: CaptureTime) -> Result<TokenStanding, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::TokenShown { id, at, reply }).await?;
        answer.await.map_err(|_| Stopped)
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
    Epoch(Epoch),
    Standing(TokenStanding),
}

struct Writer {
    connection: SqliteConnection,
    tail: audit::Tail,
    commands: mpsc::Receiver<Command>,
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
                        error!(%fault, commands = batch.len(), "the disk did not take a batch; trying again");
                        if self.commands.is_closed() && pause > RETRY * 8 {
                            error!("stopping with a batch that the disk does not take");
                            return;
                        }
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY * 32);
                    }
                }
            };
            for (command, found) in batch.drain(..).zip(found) {
                answer(command, found);
            }
        }
        if let Err(fault) = self.connection.close().await {
            warn!(%fault, "the database did not close cleanly");
        }
    }

    /// One transaction: all of the batch or nothing of it.
    async fn write(&mut self, batch: &[Command]) -> Result<Vec<Found>, sqlx::Error> {
        let mut tail = self.tail.clone();
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut found = Vec::with_capacity(batch.len());
        for command in batch {
            found.push(write_one(&mut transaction, &mut tail, command).await?);
        }
        transaction.commit().await?;
        self.tail = tail;
        Ok(found)
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
        Command::Audit(row) => audit::append(db, tail, row).await?,
        Command::Phase { case, phase } => {
            sqlx::query("UPDATE cases SET phase = $2 WHERE case_id = $1")
                .bind(case.as_str())
                .bind(phase.as_str())
                .execute(db)
                .await?;
        }
        Command::Epoch { case, .. } => {
            let row = sqlx::query("UPDATE cases SET epoch_last = epoch_last + 1 WHERE case_id = $1 RETURNING epoch_last")
                .bind(case.as_str())
                .fetch_one(db)
                .await?;
            let epoch: i64 = row.try_get(0)?;
            return Ok(Found::Epoch(Epoch(u32::try_from(epoch).unwrap_or(u32::MAX))));
        }
        Command::TokenIssued(claims) => {
            sqlx::query("INSERT INTO tokens (token_id, case_id, role, expires_unix_s) VALUES ($1, $2, $3, $4)")
                .bind(claims.id.to_string())
                .bind(claims.case.as_str())
                .bind(claims.role.as_str())
                .bind(claims.expires_unix_s.cast_signed())
                .execute(db)
                .await?;
        }
        Command::TokenShown { id, at, .. } => {
            let row = sqlx::query(
                "UPDATE tokens SET first_used_us = COALESCE(first_used_us, $2) WHERE token_id = $1 RETURNING revoked_us",
            )
            .bind(id.to_string())
            .bind(unix_us(*at))
            .fetch_optional(db)
            .await?;
            let revoked: Option<i64> = row.map(|row| row.try_get(0)).transpose()?.flatten();
            return Ok(Found::Standing(if revoked.is_some() { TokenStanding::Revoked } else { TokenStanding::Good }));
        }
        Command::TokenRevoked { id, at } => {
            sqlx::query("UPDATE tokens SET revoked_us = COALESCE(revoked_us, $2) WHERE token_id = $1")
                .bind(id.to_string())
                .bind(unix_us(*at))
                .execute(db)
                .await?;
        }
        Command::Flush(_) => {}
    }
    Ok(Found::Nothing)
}

/// An asker that went away is no fault.
fn answer(command: Command, found: Found) {
    match (command, found) {
        (Command::Ops { ops, stored, .. }, _) => {
            if let Some(last) = ops.last() {
                stored.send_replace(Order(last.order));
            }
        }
        (Command::Epoch { reply, .. }, Found::Epoch(epoch)) => drop(reply.send(epoch)),
        (Command::TokenShown { reply, .. }, Found::Standing(standing)) => drop(reply.send(standing)),
        (Command::Flush(reply), _) => drop(reply.send(())),
        _ => {}
    }
}

/// Microseconds since 1970, as people who open the database read it.
fn unix_us(at: CaptureTime) -> i64 {
    i64::try_from(at.to_unix().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> CaseId {
        CaseId::parse("demo").expect("an id")
    }

    fn op(order: u64) -> OrderedOp {
        OrderedOp { order, received: 0xEE00_0000_0000_0000, op: None }
    }

    async fn opened(folder: &tempfile::TempDir) -> Opened {
        Opened::open(&folder.path().join("t.sqlite")).await.expect("opens")
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = opened(&folder).await;
        let known = first.load_case(&case()).await.expect("made");
        assert_eq!((known.phase, known.ops.len()), (Phase::Live, 0));
        let (store, writer) = first.start();
        let (stored, mut seen) = watch::channel(Order(0));
        store.send(Command::Ops { case: case(), ops: vec![op(1), op(2)], stored }).await.expect("taken");
        seen.wait_for(|up_to| *up_to == Order(2)).await.expect("said");
        assert_eq!(store.next_epoch(&case()).await, Ok(Epoch(1)));
        assert_eq!(store.next_epoch(&case()).await, Ok(Epoch(2)));
        // No farewell: the connection is dropped in the middle of its life.
        writer.abort();
        drop(store);
        let _ = writer.await;

        let mut second = opened(&folder).await;
        let known = second.load_case(&case()).await.expect("read");
        assert_eq!(known.ops, [op(1), op(2)]);
        let (store, _writer) = second.start();
        assert_eq!(store.next_epoch(&case()).await, Ok(Epoch(3)));
    }

    #[tokio::test]
    async fn an_ended_case_stays_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = opened(&folder).await;
        first.load_case(&case()).await.expect("made");
        assert!(first.ended_cases().await.expect("read").is_empty());
        let (store, writer) = first.start();
        store.send(Command::Phase { case: case(), phase: Phase::Ended }).await.expect("taken");
        store.flush().await.expect("written");
        drop(store);
        writer.await.expect("ends");
        let mut second = opened(&folder).await;
        assert!(second.ended_cases().await.expect("read").contains(&case()));
        assert_eq!(second.load_case(&case()).await.expect("read").phase, Phase::Ended);
    }

    #[tokio::test]
    async fn a_withdrawn_token_is_known_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _writer) = opened(&folder).await.start();
        let claims = Claims {
            id: TokenId([3; crate::claims::TOKEN_ID_BYTES]),
            case: case(),
            person: crate::claims::PersonKey::parse("mentor").expect("an id"),
            role: crate::claims::Role::Mentor,
            feeds: crate::claims::FeedScope::All,
            expires_unix_s: 1_790_000_000,
        };
        let at = CaptureTime::from_unix(Duration::from_secs(1_789_000_000));
        store.send(Command::TokenIssued(claims.clone())).await.expect("taken");
        assert_eq!(store.token_shown(claims.id, at).await, Ok(TokenStanding::Good));
        store.send(Command::TokenRevoked { id: claims.id, at }).await.expect("taken");
        assert_eq!(store.token_shown(claims.id, at).await, Ok(TokenStanding::Revoked));
    }

    #[tokio::test]
    async fn a_missing_op_is_noticed_at_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = opened(&folder).await;
        first.load_case(&case()).await.expect("made");
        let (store, writer) = first.start();
        let (stored, _) = watch::channel(Order(0));
        store.send(Command::Ops { case: case(), ops: vec![op(1), op(3)], stored }).await.expect("taken");
        drop(store);
        writer.await.expect("ends");
        let fault = opened(&folder).await.load_case(&case()).await.expect_err("a gap").to_string();
        assert!(fault.contains("op 2"), "{fault}");
    }
}
