//! The tables. Plain SQL with `$1` that SQLite and PostgreSQL both take.

use anyhow::bail;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

/// Rises with every change of the tables.
const SCHEMA_VERSION: i64 = 1;

const TABLES: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cases (case_id TEXT PRIMARY KEY, phase TEXT NOT NULL, epoch_last BIGINT NOT NULL)",
    // The privacy curtain as it was moved last; no row: never.
    "CREATE TABLE IF NOT EXISTS curtains (case_id TEXT PRIMARY KEY, drawn BIGINT NOT NULL, since BIGINT NOT NULL, author BIGINT NOT NULL)",
    // bytes: an OrderedOp of ink.proto, as it was acknowledged; never edited.
    "CREATE TABLE IF NOT EXISTS ops (
        case_id TEXT NOT NULL, ord BIGINT NOT NULL, received_us BIGINT NOT NULL, bytes BYTEA NOT NULL, PRIMARY KEY (case_id, ord))",
    "CREATE TABLE IF NOT EXISTS tokens (
        token_id TEXT PRIMARY KEY, case_id TEXT NOT NULL, role TEXT NOT NULL, expires_unix_s BIGINT NOT NULL,
        first_used_us BIGINT, revoked_us BIGINT)",
    // bytes: what the tracker said within about a second, length-delimited XformFrames of ink.proto.
    "CREATE TABLE IF NOT EXISTS xforms (case_id TEXT NOT NULL, at_us BIGINT NOT NULL, bytes BYTEA NOT NULL)",
    // Whether the room had the voice open (0, 1), remote voices silenced, and the newest page of the room, when last said.
    "CREATE TABLE IF NOT EXISTS voices (
        case_id TEXT PRIMARY KEY, voice_open BIGINT NOT NULL, muted BIGINT NOT NULL, page BIGINT NOT NULL, at_us BIGINT NOT NULL)",
    // Append-only; each row's hash covers the one before it.
    "CREATE TABLE IF NOT EXISTS audit (
        seq BIGINT PRIMARY KEY, at_us BIGINT NOT NULL, case_id TEXT NOT NULL, who TEXT NOT NULL, role TEXT NOT NULL,
        act TEXT NOT NULL, outcome TEXT NOT NULL, hash BYTEA NOT NULL)",
];

/// Makes what is missing. A database of a newer server is left alone.
pub(super) async fn prepare(db: &mut SqliteConnection) -> anyhow::Result<()> {
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    for table in TABLES {
        sqlx::query(table).execute(&mut *transaction).await?;
    }
    let row = sqlx::query("SELECT MAX(version) FROM schema_version").fetch_one(&mut *transaction).await?;
    match row.try_get::<Option<i64>, _>(0)? {
        None => {
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
                .bind(SCHEMA_VERSION)
                .execute(&mut *transaction)
                .await?;
        }
        Some(version) if version > SCHEMA_VERSION => {
            bail!("it was written by a newer shirube (tables {version}, this one knows {SCHEMA_VERSION}): install that one")
        }
        Some(_) => {}
    }
    transaction.commit().await?;
    Ok(())
}
