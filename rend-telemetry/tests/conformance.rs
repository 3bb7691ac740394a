//! Every adapter of the spool's files, one suite.
#![cfg(feature = "conformance")]

mod memory {
    rend_telemetry::segment_files_conformance!((rend_telemetry::memory::MemoryFiles::new(), ()));
}

#[cfg(feature = "fs")]
mod fs {
    rend_telemetry::segment_files_conformance!(fresh());

    #[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    fn fresh() -> (rend_telemetry::fs::FsFiles, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (rend_telemetry::fs::FsFiles::open(dir.path()).unwrap(), dir)
    }
}
