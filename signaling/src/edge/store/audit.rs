//! The audit: append-only, each row's hash covering the row before it, so that a row changed, taken out or put in is
//! found by `shirube audit verify`. Rows cut from the *end* are found by comparing with a hash noted elsewhere.
//!
//! A row says which token or person number did what, and with what outcome. No names, nothing of the patient.

use std::path::Path;

use annotation::time::CaptureTime;
use anyhow::Context;
use aws_lc_rs::digest;
use link::id::CaseId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Row};

use super::unix_us;

const HASH_BYTES: usize = 32;

/// One act of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub at: CaptureTime,
    pub case: CaseId,
    /// `token:…`, `person:2 page:7`, or `-` where nobody is known.
    pub who: String,
    pub role: &'static str,
    pub act: &'static str,
    /// `ok`, or the code of the refusal.
    pub outcome: &'static str,
}

/// The newest row: where the next one is chained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tail {
    seq: i64,
    hash: [u8; HASH_BYTES],
}

/// What a whole chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    pub rows: u64,
    /// Hash of the last row, hexadecimal: to be noted elsewhere. Zeros where there is no row.
    pub last: String,
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainFault {
    #[error("row {0} of the audit is missing")]
    Missing(i64),
    #[error("row {0} of the audit, or one before it, has been changed")]
    Changed(i64),
}

struct Stored {
    seq: i64,
    at_us: i64,
    case: String,
    who: String,
    role: String,
    act: String,
    outcome: String,
}

impl Stored {
    /// Every field with its length, after the hash before it: no two rows give the same bytes.
    fn hash(&self, before: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(before);
        context.update(&self.seq.to_be_bytes());
        context.update(&self.at_us.to_be_bytes());
        for text in [&self.case, &self.who, &self.role, &self.act, &self.outcome] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

pub(super) async fn tail(db: &mut SqliteConnection) -> Result<Tail, sqlx::Error> {
    let row = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(db).await?;
    let Some(row) = row else { return Ok(Tail { seq: 0, hash: [0; HASH_BYTES] }) };
    let hash: Vec<u8> = row.try_get(1)?;
    let short = |_| sqlx::Error::Decode("the audit's last row has no whole hash".into());
    let hash = hash.try_into().map_err(short)?;
    Ok(Tail { seq: row.try_get(0)?, hash })
}

pub(super) async fn append(db: &mut SqliteConnection, tail: &mut Tail, row: &AuditRow) -> Result<(), sqlx::Error> {
    let stored = Stored {
        seq: tail.seq + 1,
        at_us: unix_us(row.at),
        case: row.case.as_str().into(),
        who: row.who.clone(),
        role: row.role.into(),
        act: row.act.into(),
        outcome: row.outcome.into(),
    };
    let hash = stored.hash(&tail.hash);
    sqlx::query("INSERT INTO audit (seq, at_us, case_id, who, role, act, outcome, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(stored.seq)
        .bind(stored.at_us)
        .bind(stored.case)
        .bind(stored.who)
        .bind(stored.role)
        .bind(stored.act)
        .bind(stored.outcome)
        .bind(hash.to_vec())
        .execute(db)
        .await?;
    *tail = Tail { seq: stored.seq, hash };
    Ok(())
}

/// Walks the whole chain of the database at `path`, which a server may have open. Outer error: it cannot be read.
pub async fn verify_file(path: &Path) -> anyhow::Result<Result<AuditReport, ChainFault>> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).disable_statement_logging();
    let mut db = options.connect().await.with_context(|| format!("the database {} cannot be opened", path.display()))?;
    let rows = sqlx::query("SELECT seq, at_us, case_id, who, role, act, outcome, hash FROM audit ORDER BY seq")
        .fetch_all(&mut db)
        .await
        .with_context(|| format!("the audit in {} cannot be read", path.display()))?;
    let mut hash = [0; HASH_BYTES];
    for (i, row) in rows.iter().enumerate() {
        let (stored, kept) = read(row)?;
        let expected = i as i64 + 1;
        if stored.seq != expected {
            return Ok(Err(ChainFault::Missing(expected)));
        }
        hash = stored.hash(&hash);
        if kept != hash {
            return Ok(Err(ChainFault::Changed(expected)));
        }
    }
    let last = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Ok(AuditReport { rows: rows.len() as u64, last }))
}

fn read(row: &SqliteRow) -> Result<(Stored, Vec<u8>), sqlx::Error> {
    let stored = Stored {
        seq: row.try_get(0)?,
        at_us: row.try_get(1)?,
        case: row.try_get(2)?,
        who: row.try_get(3)?,
        role: row.try_get(4)?,
        act: row.try_get(5)?,
        outcome: row.try_get(6)?,
    };
    Ok((stored, row.try_get(7)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Opened;
    use super::*;

    async fn written(path: &Path, acts: &[&'static str]) {
        let (store, writer) = Opened::open(path).await.expect("opens").start();
        for (i, act) in acts.iter().enumerate() {
            let at = CaptureTime::from_unix(Duration::from_secs(1_790_000_000 + i as u64));
            let case = CaseId::parse("demo").expect("an id");
            let row = AuditRow { at, case, who: "person:2 page:7".into(), role: "mentor", act, outcome: "ok" };
            store.audit(row).await.expect("taken");
        }
        drop(store);
        writer.await.expect("ends");
    }

    async fn tamper(path: &Path, sql: &'static str) {
        let mut db = SqliteConnectOptions::new().filename(path).connect().await.expect("opens");
        let done = sqlx::query(sql).execute(&mut db).await.expect("runs");
        assert_eq!(done.rows_affected(), 1);
    }

    #[tokio::test]
    async fn sg30_a_whole_chain_verifies_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.sqlite");
        written(&path, &["sign-in", "join"]).await;
        let first = verify_file(&path).await.expect("reads").expect("whole");
        written(&path, &["leave"]).await;
        let second = verify_file(&path).await.expect("reads").expect("whole");
        assert_eq!((first.rows, second.rows), (2, 3));
        assert_ne!(first.last, second.last);
    }

    #[tokio::test]
    async fn sg30_a_changed_row_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.sqlite");
        written(&path, &["sign-in", "join", "leave"]).await;
        tamper(&path, "UPDATE audit SET act = 'nothing' WHERE seq = 2").await;
        assert_eq!(verify_file(&path).await.expect("reads"), Err(ChainFault::Changed(2)));
    }

    #[tokio::test]
    async fn sg30_a_row_taken_out_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.sqlite");
        written(&path, &["sign-in", "join", "leave"]).await;
        tamper(&path, "DELETE FROM audit WHERE seq = 2").await;
        assert_eq!(verify_file(&path).await.expect("reads"), Err(ChainFault::Missing(2)));
    }
}
