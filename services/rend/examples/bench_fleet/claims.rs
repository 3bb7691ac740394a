//! Claims of waiting jobs, beside the one statement that a claim is made of.

use std::time::Duration;

use futures::future::join_all;
use rend_core::id::LeaseToken;
use rend_core::job::JobKind;
use rend_core::time::{Clock, Timestamp};
use rend_shell::SystemClock;
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::postgres::{Postgres, PostgresOptions};

use crate::Size;
use crate::figures::{Round, Watch, print_rates, print_times};
use crate::stand::Stand;

/// Workers at a time.
const WORKERS: usize = 8;

pub(crate) async fn measure(stand: &Stand, size: &Size) {
    let db = stand.connect().await;
    let jobs = size.assets;
    // The jobs of the model are done; these are of every other asset.
    let fill = |table: &str| {
        format!(
            "INSERT INTO {table} (id, asset, kind, state, attempt, attempts_max, run_at, created_at, updated_at, due_since) \
             SELECT ('018f0000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, \
             ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, \
             'media', 'queued', 0, 3, n, 0, 0, n FROM generate_series(1, {jobs}) n; ANALYZE {table};"
        )
    };
    let copy = "CREATE TABLE bare_jobs (LIKE jobs INCLUDING ALL)";
    db.batch_execute(&format!("{copy}; {}{}", fill("jobs"), fill("bare_jobs"))).await.unwrap();
    let mut options = PostgresOptions::new(&stand.database).unwrap();
    options.connections_max = WORKERS;
    let store = Postgres::connect(&options).await.unwrap();
    let bare = join_all((0..WORKERS).map(|_| stand.connect())).await;
    let statement = "UPDATE bare_jobs SET state = 'leased', attempt = attempt + 1, worker = 'bench', token = id, \
                     lease_expires = $1, due_since = $1 WHERE id = (SELECT id FROM bare_jobs WHERE kind = 'media' AND \
                     due_since IS NOT NULL AND due_since <= $2 ORDER BY due_since, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id";
    let prepared = join_all(bare.iter().map(|client| client.prepare(statement))).await;
    let prepared: Vec<_> = prepared.into_iter().map(Result::unwrap).collect();
    let expires = SystemClock::start().wall() + Duration::from_secs(3600);
    let now = expires.since(Timestamp::EPOCH).as_millis() as u64 - 1_800_000;
    let now = Timestamp::from_millis(now);
    let (mut rend_rounds, mut bare_rounds) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let watch = Watch::lasting(size.round / 2);
        let workers = (0..WORKERS).map(|n| {
            let (store, watch) = (&store, watch.clone());
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let began = watch.now();
                    let token = LeaseToken::new(now, rend_shell::ten());
                    let claim =
                        Claim { worker: format!("bench-{n}"), kinds: vec![JobKind::Media], token, now, expires };
                    if store.claim(&claim).await.unwrap().is_none() {
                        break;
                    }
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        rend_rounds.push(Round::of(join_all(workers).await, size.round / 2, 1));
        let watch = Watch::lasting(size.round / 2);
        let (until, now) = (expires.as_millis().cast_signed(), now.as_millis().cast_signed());
        let workers = bare.iter().zip(&prepared).map(|(client, statement)| {
            let watch = watch.clone();
            async move {
                let mut each = Vec::new();
                while watch.is_running() {
                    let began = watch.now();
                    if client.query(statement, &[&until, &now]).await.unwrap().is_empty() {
                        break;
                    }
                    each.push(watch.now().since(began));
                }
                each
            }
        });
        bare_rounds.push(Round::of(join_all(workers).await, size.round / 2, 1));
    }
    print_rates(&format!("job claims a second, {WORKERS} workers"), &rend_rounds, &bare_rounds);
    print_times("one claim", &rend_rounds, &bare_rounds);
    // Nobody shall work on them.
    db.batch_execute("DELETE FROM jobs WHERE due_since IS NOT NULL").await.unwrap();
}
