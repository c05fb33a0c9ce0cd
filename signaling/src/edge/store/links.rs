//! Links from outside the server: listing them, and withdrawing one. Another program writes to the database beside the
//! server's writer; the server looks for what was withdrawn every second.

use std::path::Path;
use std::time::Duration;

use annotation::time::CaptureTime;
use anyhow::Context;
use link::id::CaseId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

use super::unix_us;
use crate::claims::TokenId;

/// One link of the store. The secret itself is nowhere kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLink {
    pub id: String,
    pub case: String,
    pub role: String,
    pub expires_unix_s: i64,
    pub used: bool,
    pub withdrawn: bool,
}

/// What withdrawing a link came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    Done,
    /// It was withdrawn before.
    Again,
    Unknown,
}

/// Withdraws the link in the database at `path`, which a server may have open. Errors are sentences.
pub async fn revoke_file(path: &Path, id: TokenId, at: CaptureTime) -> anyhow::Result<Withdrawal> {
    let sentence = || format!("the link could not be withdrawn in {}", path.display());
    let mut db = connect(path).await?;
    let known = sqlx::query("SELECT revoked_us FROM tokens WHERE token_id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut db)
        .await
        .with_context(sentence)?;
    let Some(known) = known else { return Ok(Withdrawal::Unknown) };
    if known.try_get::<Option<i64>, _>(0).with_context(sentence)?.is_some() {
        return Ok(Withdrawal::Again);
    }
    sqlx::query("UPDATE tokens SET revoked_us = $2 WHERE token_id = $1")
        .bind(id.to_string())
        .bind(unix_us(at))
        .execute(&mut db)
        .await
        .with_context(sentence)?;
    Ok(Withdrawal::Done)
}

/// Every link of the database at `path`, the newest end first.
pub async fn links_of_file(path: &Path) -> anyhow::Result<Vec<KnownLink>> {
    let mut db = connect(path).await?;
    let rows = sqlx::query(
        "SELECT token_id, case_id, role, expires_unix_s, first_used_us, revoked_us FROM tokens ORDER BY expires_unix_s DESC, case_id, role",
    )
    .fetch_all(&mut db)
    .await
    .with_context(|| format!("the links in {} cannot be read", path.display()))?;
    let mut links = Vec::with_capacity(rows.len());
    for row in rows {
        links.push(KnownLink {
            id: row.try_get(0)?,
            case: row.try_get(1)?,
            role: row.try_get(2)?,
            expires_unix_s: row.try_get(3)?,
            used: row.try_get::<Option<i64>, _>(4)?.is_some(),
            withdrawn: row.try_get::<Option<i64>, _>(5)?.is_some(),
        });
    }
    Ok(links)
}

/// Withdrawn tokens and their cases. What is no id is left out: it cannot be shown at a door either.
pub(super) async fn withdrawn(db: &mut SqliteConnection) -> Result<Vec<(TokenId, CaseId)>, sqlx::Error> {
    let rows = sqlx::query("SELECT token_id, case_id FROM tokens WHERE revoked_us IS NOT NULL").fetch_all(db).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, case): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        found.extend(TokenId::parse(&id).zip(CaseId::parse(&case).ok()));
    }
    Ok(found)
}

/// Beside the server's own connection; makes no database where none is.
pub(super) async fn connect(path: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    options.connect().await.with_context(|| format!("the database {} cannot be opened: correct --data", path.display()))
}
