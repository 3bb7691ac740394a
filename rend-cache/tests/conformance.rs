//! The files port's suite, mounted on both adapters.
#![cfg(all(feature = "conformance", feature = "fs"))]

use rend_cache::fs::FsFiles;
use rend_cache::memory::MemoryFiles;

rend_cache::files_conformance!(memory, || (MemoryFiles::shared(), ()));

rend_cache::files_conformance!(fs, || {
    let folder = tempfile::tempdir().unwrap();
    (FsFiles::open(folder.path()).unwrap(), folder)
});
