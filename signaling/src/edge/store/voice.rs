//! How the room has the voice, kept over a restart (SG22a).

use std::time::Duration;

use annotation::id::Epoch;
use annotation::time::CaptureTime;
use link::id::CaseId;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::unix_us;

/// How the room had the voice, and when that was last so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceKept {
    pub open: bool,
    pub muted: bool,
    /// The room's page that came last, of those that were there.
    pub page: Epoch,
    pub at: CaptureTime,
}

pub(super) async fn keep(db: &mut SqliteConnection, case: &CaseId, voice: &VoiceKept) -> Result<(), sqlx::Error> {
    let upsert = "INSERT INTO voices (case_id, voice_open, muted, page, at_us) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (case_id) DO UPDATE SET voice_open = excluded.voice_open, muted = excluded.muted, page = excluded.page, at_us = excluded.at_us";
    sqlx::query(upsert)
        .bind(case.as_str())
        .bind(i64::from(voice.open))
        .bind(i64::from(voice.muted))
        .bind(i64::from(voice.page.0))
        .bind(unix_us(voice.at))
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn load(db: &mut SqliteConnection, case: &CaseId) -> anyhow::Result<Option<VoiceKept>> {
    let row = sqlx::query("SELECT voice_open, muted, page, at_us FROM voices WHERE case_id = $1")
        .bind(case.as_str())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let number = |column: usize| row.try_get::<i64, _>(column);
    let (open, muted, page, at) = (number(0)? != 0, number(1)? != 0, u32::try_from(number(2)?)?, u64::try_from(number(3)?)?);
    Ok(Some(VoiceKept { open, muted, page: Epoch(page), at: CaptureTime::from_unix(Duration::from_micros(at)) }))
}
