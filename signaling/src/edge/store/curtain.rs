//! The privacy curtain as it was moved last: a restart begins with it.

use annotation::id::Author;
use annotation::time::CaptureTime;
use link::id::CaseId;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::curtain::Curtain;

pub(super) async fn load(db: &mut SqliteConnection, case: &CaseId) -> Result<Curtain, sqlx::Error> {
    let row = sqlx::query("SELECT drawn, since, author FROM curtains WHERE case_id = $1")
        .bind(case.as_str())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(Curtain::default()) };
    let (drawn, since, author): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let by = u32::try_from(author).ok().filter(|n| *n != 0).map(Author);
    Ok(Curtain { drawn: drawn != 0, since: CaptureTime(since.cast_unsigned()), by })
}

pub(super) async fn keep(db: &mut SqliteConnection, case: &CaseId, curtain: &Curtain) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO curtains (case_id, drawn, since, author) VALUES ($1, $2, $3, $4)
         ON CONFLICT (case_id) DO UPDATE SET drawn = excluded.drawn, since = excluded.since, author = excluded.author",
    )
    .bind(case.as_str())
    .bind(i64::from(curtain.drawn))
    .bind(curtain.since.0.cast_signed())
    .bind(i64::from(curtain.by.map_or(0, |author| author.0)))
    .execute(db)
    .await?;
    Ok(())
}
