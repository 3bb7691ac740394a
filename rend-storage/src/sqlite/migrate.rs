//! Opening, and bringing a file to the newest schema.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::fault::Fault;
use crate::StoreError;

/// Each step from one schema to the next, oldest first. They only ever go forward; see `migrations/README.md`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_revocations.sql"),
    include_str!("../../migrations/sqlite/0003_resumable_uploads.sql"),
    include_str!("../../migrations/sqlite/0004_direct_uploads.sql"),
    include_str!("../../migrations/sqlite/0005_orders_and_webhooks.sql"),
    include_str!("../../migrations/sqlite/0006_captions.sql"),
    include_str!("../../migrations/sqlite/0007_usage_and_answers.sql"),
    include_str!("../../migrations/sqlite/0008_player_events.sql"),
    include_str!("../../migrations/sqlite/0009_downloads.sql"),
    include_str!("../../migrations/sqlite/0010_retention.sql"),
];

/// The schema after the last of [`MIGRATIONS`].
pub(super) const NEWEST: u32 = MIGRATIONS.len() as u32;

/// A connection that may write, to a file with the newest schema.
pub(super) fn open_current(path: &Path) -> Result<Connection, StoreError> {
    bring_up(path).map(|(db, _)| db)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let db = connect(path)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(db)
    };
    open().map_err(Fault::into_store)
}

/// Brings the file to the newest schema, and answers which one it had.
pub(super) fn bring_up(path: &Path) -> Result<(Connection, u32), StoreError> {
    let open = || {
        let mut db = connect(path)?;
        let had = step_up(&mut db, MIGRATIONS)?;
        Ok((db, had))
    };
    open().map_err(Fault::into_store)
}

/// The schema of an open file.
pub(super) fn version(db: &Connection) -> Result<u32, Fault> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_WAIT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Looked at before anything is written, so that what is not ours stays as it is.
    refuse_foreign(&db)?;
    write_ahead(&db)?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(db)
}

/// Turns the write-ahead log on, which stays on for good.
fn write_ahead(db: &Connection) -> Result<(), Fault> {
    let mut last = Ok(());
    for _ in 0..RACES_MAX {
        last = db.pragma_update(None, "journal_mode", "wal");
        match &last {
            // Of several processes that open a new file at once, SQLite refuses some here without waiting. It does wait
            // for the beginning of a write.
            Err(busy) if busy.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
            }
            _ => break,
        }
    }
    Ok(last?)
}

fn refuse_foreign(db: &Connection) -> Result<(), Fault> {
    // One transaction, since another process may be making the tables at this moment.
    let tx = db.unchecked_transaction()?;
    let tables: u32 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let version = version(&tx)?;
    let program: u32 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    tx.finish()?;
    if program != PROGRAM && (program != 0 || version != 0 || tables != 0) {
        return Err(Fault::Foreign);
    }
    if version > NEWEST {
        return Err(StoreError::TooNew { found: version, known: NEWEST }.into());
    }
    Ok(())
}

/// Applies those of `migrations` that have not been yet, in one transaction, and answers the version before.
fn step_up(db: &mut Connection, migrations: &[&str]) -> Result<u32, Fault> {
    // The transaction keeps out other processes, which may have been waiting to do the same.
    let known = migrations.len() as u32;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let had = version(&tx)?;
    if had > known {
        return Err(StoreError::TooNew { found: had, known }.into());
    }
    for migration in &migrations[had as usize..] {
        tx.execute_batch(migration)?;
    }
    if had < known {
        tx.pragma_update(None, "application_id", PROGRAM)?;
        tx.pragma_update(None, "user_version", known)?;
    }
    tx.commit()?;
    Ok(had)
}

/// Marks a database as ours: "Rend" in ASCII.
const PROGRAM: u32 = 0x5265_6e64;
/// How long a statement waits for another process that writes.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// How often another process may be faster at opening a new file.
const RACES_MAX: usize = 100;
/// Statements that a connection keeps prepared.
const STATEMENTS_MAX: usize = 64;
/// Bytes of the write-ahead log that are kept for reuse after it grew.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_applied_in_order() {
        crate::migrations::check("sqlite", MIGRATIONS);
    }

    #[test]
    fn migrations_apply_once_and_all_or_none() {
        let mut db = Connection::open_in_memory().unwrap();
        let (one, two) = ("CREATE TABLE a (x)", "CREATE TABLE b (x)");
        assert_eq!(step_up(&mut db, &[one]).unwrap(), 0);
        assert_eq!(step_up(&mut db, &[one]).unwrap(), 1);
        assert!(step_up(&mut db, &[one, two, "CREATE TABLE a (x)"]).is_err());
        assert_eq!(version(&db).unwrap(), 1);
        assert_eq!(step_up(&mut db, &[one, two]).unwrap(), 1);
        assert_eq!(version(&db).unwrap(), 2);
        assert!(matches!(step_up(&mut db, &[one]), Err(Fault::Store(StoreError::TooNew { found: 2, known: 1 }))));
    }

    #[test]
    fn a_session_of_before_pieces_has_received_nothing() {
        let mut db = Connection::open_in_memory().unwrap();
        step_up(&mut db, &MIGRATIONS[..1]).unwrap();
        let old = "INSERT INTO uploads (id, asset, org, state, expires_at, created_at) VALUES (x'01', x'02', x'03', 'open', 9, 8)";
        db.execute_batch(old).unwrap();
        assert_eq!(step_up(&mut db, MIGRATIONS).unwrap(), 1);
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get("received")?, row.get("epoch")?, row.get("note")?, row.get("pull_url")?))
        };
        let read: (i64, i64, String, Option<String>) = db.query_row("SELECT * FROM uploads", [], row).unwrap();
        assert_eq!(read, (0, 0, String::new(), None));
    }
}
