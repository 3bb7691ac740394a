//! A schema of its own in the PostgreSQL that `cargo xtask test` starts, for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rend_storage::postgres::{Postgres, PostgresOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Runs a future to its end. Connections live as long as the runtime that made them, so all tests of a process share one.
pub(crate) fn block_on<F: Future>(f: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap());
    runtime.block_on(f)
}

/// A fresh store, and the schema that goes when the test ends.
pub(crate) fn fresh() -> (Postgres, Schema) {
    let schema = Schema::new();
    let store = block_on(async {
        let store = Postgres::connect(&schema.options()).await.unwrap();
        store.migrate().await.unwrap();
        store
    });
    (store, schema)
}

/// An empty schema, which nobody else uses.
pub(crate) struct Schema {
    /// Its name.
    pub(crate) name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rend_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        admin(&format!("CREATE SCHEMA {name}"));
        Self { name }
    }

    /// How to connect to it.
    pub(crate) fn options(&self) -> PostgresOptions {
        let mut options = PostgresOptions::new(&self.url()).unwrap();
        options.connections_max = 8;
        options
    }

    /// A URL that means this schema.
    pub(crate) fn url(&self) -> String {
        let base = base();
        let join = if base.contains('?') { '&' } else { '?' };
        format!("{base}{join}sslmode=disable&options=-csearch_path%3D{}", self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        admin(&format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

/// Statements that no port has, done when this returns.
pub(crate) fn admin(sql: &str) {
    drop(Talk::begin(sql));
}

/// A connection on which something was begun that lasts until this is dropped.
pub(crate) struct Talk {
    client: Option<tokio_postgres::Client>,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Talk {
    #[expect(clippy::disallowed_methods, reason = "the connection lives beside the test")]
    pub(crate) fn begin(sql: &str) -> Self {
        let config = format!("{}{}sslmode=disable", base(), if base().contains('?') { '&' } else { '?' });
        block_on(async {
            let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            Self { client: Some(client), connection }
        })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.client.take());
        block_on(&mut self.connection).unwrap().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests read their surroundings")]
fn base() -> String {
    std::env::var("REND_TEST_POSTGRES_URL").expect("REND_TEST_POSTGRES_URL is not set; `cargo xtask test` starts one")
}
