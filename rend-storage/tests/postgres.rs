//! What PostgreSQL adds to what every adapter does: schemas, connections that fail, and processes at once.
#![cfg(all(feature = "postgres", feature = "conformance"))]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod proxy;
mod served;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use futures::future::{self, Either};
use rend_core::asset::{Asset, Edit, Move, PlaybackPolicy};
use rend_core::event::EventKind;
use rend_core::id::{AssetId, JobId, LeaseToken, OrgId};
use rend_core::job::{JobKind, NewJob};
use rend_core::time::Timestamp;
use rend_storage::StoreError;
use rend_storage::assets::{AssetStore, Change};
use rend_storage::edges::PurgeLog;
use rend_storage::events::{EventLog, EventsOf};
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::postgres::{Postgres, PostgresOptions};
use served::{Schema, Talk, admin, block_on, fresh};

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn of_many_who_migrate_at_once_one_does_it() {
    let schema = Schema::new();
    let migrate = || block_on(async { Postgres::connect(&schema.options()).await.unwrap().migrate().await.unwrap() });
    let had: Vec<u32> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(migrate)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(had.iter().filter(|version| **version == 0).count(), 1, "{had:?}");
    assert_eq!(had.iter().filter(|version| **version == Postgres::SCHEMA_VERSION).count(), 7, "{had:?}");
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_schema_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (store, schema) = fresh();
    let before = block_on(store.schema_version()).unwrap();
    assert_eq!(before, Postgres::SCHEMA_VERSION);
    admin(&format!("UPDATE {}.rend_schema SET version = 99", schema.name));
    for answer in [block_on(Postgres::connect(&schema.options())).map(drop), block_on(store.migrate()).map(drop)] {
        assert!(matches!(answer, Err(StoreError::TooNew { found: 99, .. })), "{answer:?}");
    }
    assert_eq!(block_on(store.schema_version()).unwrap(), 99);
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_migration_that_fails_leaves_nothing_behind() {
    let schema = Schema::new();
    admin(&format!("CREATE TABLE {}.jobs (theirs integer)", schema.name));
    block_on(async {
        let store = Postgres::connect(&schema.options()).await.unwrap();
        let refused = store.migrate().await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!(store.schema_version().await.unwrap(), 0);
    });
    admin(&format!("DROP TABLE {}.jobs", schema.name));
    let migrated = block_on(async { Postgres::connect(&schema.options()).await.unwrap().migrate().await });
    assert_eq!(migrated.unwrap(), 0);
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn who_is_not_let_in_is_told_for_good_and_who_is_not_heard_is_told_to_try_again() {
    let schema = Schema::new();
    let elsewhere = schema.url().replace("/rend?", "/no_such_database?");
    let refused = block_on(Postgres::connect(&PostgresOptions::new(&elsewhere).unwrap())).unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)) && !refused.is_transient(), "{refused:?}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("postgres://rend:hunter2@127.0.0.1:{closed}/rend?sslmode=disable");
    let unheard = block_on(Postgres::connect(&PostgresOptions::new(&nobody).unwrap())).unwrap_err();
    assert!(matches!(unheard, StoreError::Unavailable(_)) && unheard.is_transient(), "{unheard:?}");
    assert!(!format!("{unheard:?}").contains("hunter2"), "{unheard:?}");
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_statement_that_waits_too_long_is_ended_and_the_connection_serves_on() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    let mut options = schema.options();
    options.statement_timeout = Duration::from_millis(200);
    options.connections_max = 1;
    let hasty = block_on(Postgres::connect(&options)).unwrap();
    let locked = Talk::begin(&format!("BEGIN; LOCK TABLE {}.assets", schema.name));
    let ended = block_on(hasty.get(asset_id(1))).unwrap_err();
    assert!(ended.is_transient(), "{ended:?}");
    drop(locked);
    assert_eq!(block_on(hasty.get(asset_id(1))).unwrap().id, asset_id(1));
    assert_eq!(hasty.connections(), (1, 1));
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn who_finds_every_connection_in_use_waits_so_long_and_no_longer() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    let mut options = schema.options();
    options.connections_max = 1;
    options.connect_timeout = Duration::from_millis(100);
    let narrow = block_on(Postgres::connect(&options)).unwrap();
    let locked = Talk::begin(&format!("BEGIN; LOCK TABLE {}.assets", schema.name));
    block_on(async {
        // The first has the connection and waits for the lock; the second finds none, and the first is not disturbed.
        let first = Box::pin(narrow.get(asset_id(1)));
        let second = Box::pin(narrow.get(asset_id(1)));
        let Either::Right((refused, first)) = future::select(first, second).await else {
            panic!("the table is locked")
        };
        let refused = refused.unwrap_err();
        assert!(refused.is_transient(), "{refused:?}");
        drop(first);
    });
    drop(locked);
    assert_eq!(block_on(narrow.get(asset_id(1))).unwrap().id, asset_id(1));
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn connections_that_are_cut_are_made_anew() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    let proxy = proxy::Proxy::before(&schema.url());
    let mut options = PostgresOptions::new(&proxy.url).unwrap();
    options.connect_timeout = Duration::from_millis(500);
    let through = block_on(Postgres::connect(&options)).unwrap();
    for _ in 0..3 {
        block_on(async {
            let reads = (0..8).map(|_| through.get(asset_id(1)));
            future::join_all(reads).await.into_iter().for_each(|read| drop(read.unwrap()));
        });
        proxy.cut();
        let unheard = block_on(async {
            let reads = (0..16).map(|_| through.get(asset_id(1)));
            future::join_all(reads).await
        });
        assert!(unheard.iter().all(|read| read.as_ref().is_err_and(StoreError::is_transient)), "{unheard:?}");
        proxy.mend();
        assert_eq!(block_on(through.get(asset_id(1))).unwrap().id, asset_id(1));
    }
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_server_that_falls_silent_is_given_up_and_asked_again_when_it_is_back() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    let proxy = proxy::Proxy::before(&schema.url());
    let mut options = PostgresOptions::new(&proxy.url).unwrap();
    options.connect_timeout = Duration::from_millis(500);
    options.statement_timeout = Duration::from_millis(100);
    let through = block_on(Postgres::connect(&options)).unwrap();
    block_on(through.get(asset_id(1))).unwrap();
    proxy.freeze();
    let silent = block_on(through.get(asset_id(1))).unwrap_err();
    assert!(silent.is_transient(), "{silent:?}");
    proxy.thaw();
    assert_eq!(block_on(through.get(asset_id(1))).unwrap().id, asset_id(1));
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_change_whose_caller_went_away_is_made_whole_or_not_and_holds_nothing() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    let edit = Change { step: Move::Edit(Edit::default()), ..change(1) };
    for n in 0..40_u64 {
        // Dropped at another instant each time, somewhere between the first statement and the last.
        let gone = future::select(Box::pin(store.advance(&edit)), Box::pin(tick(n)));
        if let Either::Left((done, _)) = block_on(gone) {
            done.unwrap();
        }
    }
    let last = block_on(store.advance(&edit)).unwrap();
    let events = block_on(store.after(EventsOf::Asset(asset_id(1)), 0, 1000)).unwrap();
    assert_eq!(events.len() as u64, last.revision, "a move and its event are there together");
    assert!(events.iter().map(|event| event.seq).eq(1..=last.revision), "{events:?}");
    drop(schema);
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_reader_of_another_process_never_meets_an_event_late() {
    const WRITERS: u8 = 6;
    const EACH: usize = 40;
    let (store, schema) = fresh();
    for n in 1..=WRITERS {
        block_on(store.create(&asset(n))).unwrap();
    }
    let connect = || block_on(Postgres::connect(&schema.options())).unwrap();
    let seen = thread::scope(|scope| {
        for n in 1..=WRITERS {
            scope.spawn(move || {
                let own = connect();
                for k in 0..EACH {
                    if k % 2 == 0 {
                        block_on(own.append(asset_id(n), &EventKind::AssetUpdated, at(1))).unwrap();
                    } else {
                        block_on(own.advance(&Change { step: Move::Edit(Edit::default()), ..change(n) })).unwrap();
                    }
                }
            });
        }
        let reader = connect();
        let all = usize::from(WRITERS) * (EACH + 1);
        let mut seen = Vec::new();
        while seen.len() < all {
            let last = seen.last().copied().unwrap_or(0);
            let page = block_on(reader.after(EventsOf::Org(org()), last, 7)).unwrap();
            seen.extend(page.into_iter().map(|event| event.seq));
        }
        seen
    });
    assert!(seen.into_iter().eq(1..=u64::from(WRITERS) * (EACH as u64 + 1)), "no place is missing");
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn many_workers_are_given_each_job_once() {
    const JOBS: u8 = 120;
    let (store, schema) = fresh();
    for n in 0..JOBS {
        let job = NewJob { id: job_id(n), asset: asset_id(1), kind: JobKind::Media, run_at: at(0), attempts_max: 3 };
        block_on(store.enqueue(&job, at(0))).unwrap();
    }
    let given = thread::scope(|scope| {
        let work = |worker: u8| {
            let own = block_on(Postgres::connect(&schema.options())).unwrap();
            let mut given = Vec::new();
            for n in 0..u8::MAX {
                let claim = Claim {
                    worker: format!("worker {worker}"),
                    kinds: vec![JobKind::Media],
                    token: LeaseToken::new(at(u64::from(worker)), [n; 10]),
                    now: at(1),
                    expires: at(100),
                };
                match block_on(own.claim(&claim)).unwrap() {
                    Some((job, _)) => given.push(job.id),
                    None => break,
                }
            }
            given
        };
        let workers: Vec<_> = (0..8).map(|n| scope.spawn(move || work(n))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(given.len(), usize::from(JOBS));
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>().len(), usize::from(JOBS));
}

#[test]
#[ignore = "needs PostgreSQL: cargo xtask test starts one"]
fn a_column_that_a_newer_release_adds_does_not_disturb_a_running_process() {
    let (store, schema) = fresh();
    block_on(store.create(&asset(1))).unwrap();
    block_on(store.get(asset_id(1))).unwrap();
    for table in ["assets", "events", "jobs", "purges"] {
        admin(&format!("ALTER TABLE {}.{table} ADD COLUMN later text", schema.name));
    }
    block_on(async {
        store.advance(&change(1)).await.unwrap();
        assert_eq!(store.get(asset_id(1)).await.unwrap().revision, 2);
        assert_eq!(store.append_purge(asset_id(1), at(1)).await.unwrap(), 1);
    });
}

async fn tick(n: u64) {
    tokio::time::sleep(Duration::from_micros(n * 100)).await;
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

fn asset_id(n: u8) -> AssetId {
    AssetId::new(at(0), [n; 10])
}

fn job_id(n: u8) -> JobId {
    JobId::new(at(0), [n; 10])
}

fn org() -> OrgId {
    OrgId::new(at(0), [1; 10])
}

fn asset(n: u8) -> Asset {
    Asset::new(asset_id(n), org(), format!("asset {n}"), PlaybackPolicy::Public, at(0))
}

fn change(n: u8) -> Change {
    Change { asset: asset_id(n), expect: None, step: Move::BeginUpload, fence: None, enqueue: None, now: at(2) }
}
