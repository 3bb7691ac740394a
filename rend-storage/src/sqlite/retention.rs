use async_trait::async_trait;
use rend_core::retention::Due;
use rusqlite::{Connection, ToSql};

use super::columns::{capped, get, limit, millis};
use super::fault::Fault;
use super::{Sqlite, first, run};
use crate::StoreError;
use crate::retention::Retention;

#[async_trait]
impl Retention for Sqlite {
    async fn count_due(&self, due: &Due, most: usize) -> Result<usize, StoreError> {
        let due = *due;
        self.read(move |db| {
            let counted = with(&due, most, |params| {
                first(db, statements(&due).count, params, |row| get::<i64>(row, "due_rows"))
            })?;
            Ok(counted.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0))
        })
        .await
    }

    async fn remove_due(&self, due: &Due, rows: usize) -> Result<usize, StoreError> {
        let due = *due;
        self.write(move |db| {
            let statements = statements(&due);
            if let Some(beside) = statements.beside {
                // Before the rows themselves: both statements choose the same ones.
                step(db, beside, &due, rows)?;
            }
            step(db, statements.remove, &due, rows)
        })
        .await
    }
}

fn step(db: &Connection, sql: &str, due: &Due, rows: usize) -> Result<usize, Fault> {
    with(due, rows, |params| run(db, sql, params))
}

/// Asks with the parameters of `due`.
fn with<T>(due: &Due, rows: usize, ask: impl FnOnce(&[(&str, &dyn ToSql)]) -> T) -> T {
    let (before, limit) = (millis(due.before()), limit(rows));
    match due {
        Due::Purges { upto, .. } => ask(&[(":before", &before), (":limit", &limit), (":upto", &capped(*upto))]),
        Due::Events { .. }
        | Due::Jobs { .. }
        | Due::Uploads { .. }
        | Due::Playback { .. }
        | Due::PlayerEvents { .. } => ask(&[(":before", &before), (":limit", &limit)]),
    }
}

/// What is asked of one shelf.
struct Statements {
    count: &'static str,
    remove: &'static str,
    /// Removes what hangs on the rows.
    beside: Option<&'static str>,
}

/// The statements over the rows that the file `due_….sql` chooses.
macro_rules! over {
    ($file:literal, $remove:literal) => {
        Statements {
            count: concat!("SELECT count(*) AS due_rows FROM (", include_str!($file), ")"),
            remove: concat!("DELETE FROM ", $remove, " IN (", include_str!($file), ")"),
            beside: None,
        }
    };
}

const fn statements(due: &Due) -> Statements {
    match due {
        Due::Events { .. } => over!("sql/due_events.sql", "events WHERE seq"),
        Due::Jobs { .. } => over!("sql/due_jobs.sql", "jobs WHERE id"),
        Due::Uploads { .. } => Statements {
            beside: Some(concat!(
                "DELETE FROM upload_parts WHERE upload IN (",
                include_str!("sql/due_uploads.sql"),
                ")"
            )),
            ..over!("sql/due_uploads.sql", "uploads WHERE id")
        },
        Due::Purges { .. } => over!("sql/due_purges.sql", "purges WHERE seq"),
        Due::Playback { .. } => over!("sql/due_playback.sql", "playback WHERE id"),
        Due::PlayerEvents { .. } => over!("sql/due_player_events.sql", "player_events WHERE (view, seq)"),
    }
}
