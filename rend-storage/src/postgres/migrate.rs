//! Bringing a database to the newest schema.

use super::fault::Fault;
use super::session::Session;
use crate::StoreError;

/// Each step from one schema to the next, oldest first. They only ever go forward; see `migrations/README.md`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_first.sql"),
    include_str!("../../migrations/postgres/0002_direct_uploads.sql"),
    include_str!("../../migrations/postgres/0003_orders_and_webhooks.sql"),
    include_str!("../../migrations/postgres/0004_captions.sql"),
    include_str!("../../migrations/postgres/0005_usage_and_answers.sql"),
    include_str!("../../migrations/postgres/0006_player_events.sql"),
    include_str!("../../migrations/postgres/0007_downloads.sql"),
    include_str!("../../migrations/postgres/0008_retention.sql"),
];

/// The schema after the last of [`MIGRATIONS`].
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// The version that the schema has, 0 when there is none.
pub(super) async fn version(db: &Session) -> Result<u32, Fault> {
    let Some(there) = db.first(include_str!("sql/schema_there.sql"), &[]).await? else { return Ok(0) };
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = db.first("SELECT version FROM rend_schema", &[]).await?;
    let version = row.map(|row| row.try_get::<_, i32>(0)).transpose()?;
    Ok(version.and_then(|version| u32::try_from(version).ok()).unwrap_or(0))
}

/// Brings the schema to the newest version, and answers which one it had.
pub(super) async fn bring_up(db: Session) -> Result<u32, StoreError> {
    let db = db.patient();
    db.batch("BEGIN").await.map_err(Fault::into_store)?;
    let had = step_up(&db, MIGRATIONS).await;
    db.commit(had).await
}

async fn step_up(db: &Session, migrations: &[&str]) -> Result<u32, Fault> {
    let known = migrations.len() as u32;
    // The lock ends with the transaction. Whoever waited for it finds the schema as the other left it. A change of a
    // large table may take longer than a statement usually may.
    db.batch(&format!("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let had = version(db).await?;
    if had > known {
        return Err(StoreError::TooNew { found: had, known }.into());
    }
    if had == known {
        return Ok(had);
    }
    if had == 0 {
        db.batch("CREATE TABLE rend_schema (version integer NOT NULL); INSERT INTO rend_schema VALUES (0)").await?;
    }
    for migration in &migrations[had as usize..] {
        db.batch(migration).await?;
    }
    db.batch(&format!("UPDATE rend_schema SET version = {known}")).await?;
    Ok(had)
}

/// The advisory lock under which a schema is changed: "Rend" in ASCII.
const LOCK: i64 = 0x5265_6e64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_applied_in_order() {
        crate::migrations::check("postgres", MIGRATIONS);
    }
}
