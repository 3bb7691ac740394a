use async_trait::async_trait;
use rend_core::retention::Due;

use super::Postgres;
use super::columns::{capped, get, limit, millis};
use super::fault::Fault;
use super::session::Session;
use crate::StoreError;
use crate::retention::Retention;

#[async_trait]
impl Retention for Postgres {
    async fn count_due(&self, due: &Due, most: usize) -> Result<usize, StoreError> {
        let db = self.session().await?;
        let counted = ask(&db, statements(due).count, due, most).await;
        db.end(counted)
    }

    async fn remove_due(&self, due: &Due, rows: usize) -> Result<usize, StoreError> {
        // One statement, and so one transaction.
        let db = self.session().await?;
        let removed = ask(&db, statements(due).remove, due, rows).await;
        db.end(removed)
    }
}

async fn ask(db: &Session, sql: &str, due: &Due, rows: usize) -> Result<usize, Fault> {
    let (before, limit) = (millis(due.before()), limit(rows));
    let answer = match due {
        Due::Purges { upto, .. } => db.first(sql, &[&before, &limit, &capped(*upto)]).await?,
        Due::Events { .. }
        | Due::Jobs { .. }
        | Due::Uploads { .. }
        | Due::Playback { .. }
        | Due::PlayerEvents { .. } => db.first(sql, &[&before, &limit]).await?,
    };
    let rows: i64 = answer.map_or(Ok(0), |row| get(&row, "due_rows"))?;
    Ok(usize::try_from(rows).unwrap_or(0))
}

/// What is asked of one shelf. Both answer with a number of rows.
struct Statements {
    count: &'static str,
    remove: &'static str,
}

/// The statements over the rows that the file `due_….sql` chooses. They are chosen once, before any is removed; of two that
/// remove at once the later finds nothing under the same names, and counts nothing.
macro_rules! over {
    ($file:literal, $table:literal, $key:literal) => {
        over!($file, $table, $key, "")
    };
    ($file:literal, $table:literal, $key:literal, $beside:literal) => {
        Statements {
            count: concat!("SELECT count(*) AS due_rows FROM (", include_str!($file), ") AS due"),
            remove: concat!(
                "WITH due AS MATERIALIZED (",
                include_str!($file),
                "), gone AS (DELETE FROM ",
                $table,
                " WHERE (",
                $key,
                ") IN (SELECT ",
                $key,
                " FROM due) RETURNING ",
                $key,
                ")",
                $beside,
                " SELECT count(*) AS due_rows FROM gone"
            ),
        }
    };
}

const fn statements(due: &Due) -> Statements {
    match due {
        Due::Events { .. } => over!("sql/due_events.sql", "events", "seq"),
        Due::Jobs { .. } => over!("sql/due_jobs.sql", "jobs", "id"),
        Due::Uploads { .. } => over!(
            "sql/due_uploads.sql",
            "uploads",
            "id",
            ", beside AS (DELETE FROM upload_parts WHERE upload IN (SELECT id FROM gone))"
        ),
        Due::Purges { .. } => over!("sql/due_purges.sql", "purges", "seq"),
        Due::Playback { .. } => over!("sql/due_playback.sql", "playback", "id"),
        Due::PlayerEvents { .. } => over!("sql/due_player_events.sql", "player_events", "view, seq"),
    }
}
