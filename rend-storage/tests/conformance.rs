//! Every adapter, one suite.
#![cfg(feature = "conformance")]
#![cfg_attr(any(feature = "fs", feature = "sqlite"), expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod memory {
    use futures::executor::block_on;
    use rend_storage::memory::MemoryObjects;

    rend_storage::object_store_conformance!(block_on, (MemoryObjects::default(), ()));
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
}
