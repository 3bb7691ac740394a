//! Every adapter, one suite.
#![cfg(feature = "conformance")]
#![cfg_attr(
    any(feature = "fs", feature = "postgres", feature = "sqlite"),
    expect(clippy::unwrap_used, reason = "tests fail by panicking")
)]

mod memory {
    use futures::executor::block_on;
    use rend_storage::memory::{Memory, MemoryLimiter, MemoryObjects};

    rend_storage::object_store_conformance!(block_on, (MemoryObjects::default(), ()));
    rend_storage::part_store_conformance!(block_on, (MemoryObjects::default(), ()));
    rend_storage::asset_store_conformance!(block_on, (Memory::default(), ()));
    rend_storage::upload_store_conformance!(block_on, (Memory::default(), ()));
    rend_storage::transfer_store_conformance!(block_on, (Memory::default(), ()));
    rend_storage::job_queue_conformance!(block_on, (Memory::default(), ()));
    rend_storage::event_log_conformance!(block_on, (Memory::default(), ()));
    rend_storage::edge_conformance!(block_on, (Memory::default(), ()));
    rend_storage::revocation_conformance!(block_on, (Memory::default(), ()));
    rend_storage::suspension_conformance!(block_on, (Memory::default(), ()));
    rend_storage::webhook_conformance!(block_on, (Memory::default(), ()));
    rend_storage::credential_store_conformance!(block_on, (Memory::default(), ()));
    rend_storage::analytics_conformance!(block_on, (Memory::default(), ()));
    rend_storage::answers_conformance!(block_on, (Memory::default(), ()));
    rend_storage::leads_conformance!(block_on, (Memory::default(), ()));
    rend_storage::usage_conformance!(block_on, (Memory::default(), ()));
    rend_storage::retention_conformance!(block_on, (Memory::default(), ()));
    rend_storage::limiter_conformance!(block_on, (MemoryLimiter::default(), ()));
}

#[cfg(feature = "fs")]
mod fs {
    use rend_storage::fs::FsObjects;
    use tempfile::TempDir;

    fn block_on<F: Future>(f: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f)
    }

    /// A fresh store, and the folder that goes when the test ends.
    fn fresh() -> (FsObjects, TempDir) {
        let root = tempfile::tempdir().unwrap();
        (FsObjects::open(root.path()).unwrap(), root)
    }

    rend_storage::object_store_conformance!(block_on, fresh());
    rend_storage::part_store_conformance!(block_on, fresh());
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use futures::executor::block_on;
    use rend_storage::sqlite::Sqlite;
    use tempfile::TempDir;

    /// A fresh store, and the folder that goes when the test ends.
    fn fresh() -> (Sqlite, TempDir) {
        let root = tempfile::tempdir().unwrap();
        (Sqlite::open(root.path().join("rend.db")).unwrap(), root)
    }

    rend_storage::asset_store_conformance!(block_on, fresh());
    rend_storage::upload_store_conformance!(block_on, fresh());
    rend_storage::transfer_store_conformance!(block_on, fresh());
    rend_storage::job_queue_conformance!(block_on, fresh());
    rend_storage::event_log_conformance!(block_on, fresh());
    rend_storage::edge_conformance!(block_on, fresh());
    rend_storage::revocation_conformance!(block_on, fresh());
    rend_storage::suspension_conformance!(block_on, fresh());
    rend_storage::webhook_conformance!(block_on, fresh());
    rend_storage::credential_store_conformance!(block_on, fresh());
    rend_storage::analytics_conformance!(block_on, fresh());
    rend_storage::answers_conformance!(block_on, fresh());
    rend_storage::leads_conformance!(block_on, fresh());
    rend_storage::usage_conformance!(block_on, fresh());
    rend_storage::retention_conformance!(block_on, fresh());
}

#[cfg(feature = "postgres")]
mod served;

#[cfg(feature = "postgres")]
mod postgres {
    use super::served::{block_on, fresh};

    rend_storage::asset_store_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::upload_store_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::transfer_store_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::job_queue_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::event_log_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::edge_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::revocation_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::suspension_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::webhook_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::credential_store_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::analytics_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::answers_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::leads_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::usage_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
    rend_storage::retention_conformance!(
        #[ignore = "needs PostgreSQL: cargo xtask test starts one"]
        block_on,
        fresh()
    );
}

#[cfg(all(feature = "postgres", feature = "redis"))]
mod redis {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use rend_storage::redis::Redis;

    use super::served::block_on;

    /// A fresh part of the Redis that `cargo xtask test` starts.
    #[expect(clippy::disallowed_methods, reason = "tests read their surroundings")]
    fn fresh() -> (Redis, ()) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("REND_TEST_REDIS_URL").expect("`cargo xtask test` starts a Redis and names it");
        let prefix = format!("test:{}:{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let store = block_on(async { Redis::new(&url, Duration::from_secs(5)).unwrap().under(&prefix) });
        (store, ())
    }

    rend_storage::limiter_conformance!(
        #[ignore = "needs Redis: cargo xtask test starts one"]
        block_on,
        fresh()
    );
}
