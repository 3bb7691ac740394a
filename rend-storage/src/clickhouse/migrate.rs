//! Bringing a database to the newest schema.

use super::fault::Fault;
use super::server::Server;
use crate::StoreError;

/// Each step from one schema to the next, oldest first. They only ever go forward; see `migrations/README.md`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/clickhouse/0001_first.sql"),
    include_str!("../../migrations/clickhouse/0002_player_events.sql"),
];

/// The schema after the last of [`MIGRATIONS`].
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// The version that the schema has, 0 when there is none.
pub(super) async fn version(server: &Server) -> Result<u32, Fault> {
    let rows = match server.rows("SELECT max(version) FROM rend_schema", &[]).await {
        Err(absent) if absent.is_absence() => return Ok(0),
        other => other?,
    };
    let version = rows.first().and_then(|row| row.first()?.parse().ok());
    version.ok_or(Fault::Odd("the schema's version"))
}

/// Brings the schema to the newest version, and answers which one it had.
///
/// Nothing here is a transaction: a step that was cut short is taken again, and its statements are such that this is safe.
pub(super) async fn bring_up(server: &Server) -> Result<u32, StoreError> {
    server.run(&format!("CREATE DATABASE IF NOT EXISTS {}", server.database()), false).await?;
    server.run(SCHEMA, true).await?;
    let had = version(server).await?;
    if had > NEWEST {
        return Err(StoreError::TooNew { found: had, known: NEWEST });
    }
    for (step, migration) in (had + 1..).zip(&MIGRATIONS[had as usize..]) {
        for statement in statements(migration) {
            server.run(&statement, true).await?;
        }
        server.run(&format!("INSERT INTO rend_schema (version) VALUES ({step})"), true).await?;
    }
    Ok(had)
}

/// Which steps were taken, and when.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS rend_schema (version UInt32, applied_at DateTime DEFAULT now()) \
     ENGINE = ReplacingMergeTree(applied_at) ORDER BY version";

/// The statements of one file, without comments: ClickHouse takes one at a time.
fn statements(migration: &str) -> Vec<String> {
    let lines = migration.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_applied_in_order() {
        crate::migrations::check("clickhouse", MIGRATIONS);
    }

    #[test]
    fn every_statement_may_be_run_again() {
        for statement in MIGRATIONS.iter().flat_map(|migration| statements(migration)) {
            let again = statement.contains("IF NOT EXISTS") || statement.contains("IF EXISTS");
            assert!(again, "{statement}");
        }
        assert_eq!(statements(MIGRATIONS[0]).len(), 3);
    }
}
