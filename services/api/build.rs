//! Puts the web pages, and hls.js when it is there, into the binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked for at run time: a tree that was moved or copied with its target folder has another place now.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let web = Path::new(&here).join("../web");
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let pages = web.join("pages");
    println!("cargo::rerun-if-changed={}", pages.display());
    if pages.is_dir() {
        for entry in fs::read_dir(&pages)? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|n| n.to_str())) {
                files.push((name.to_owned(), path.clone()));
            }
        }
    }
    // An npm package at build time; without it the player falls back to native HLS and says so.
    let hls = web.join("node_modules/hls.js/dist/hls.light.min.mjs");
    println!("cargo::rerun-if-changed={}", hls.display());
    if hls.is_file() {
        files.push(("hls.js".to_owned(), hls));
    }
    files.sort();
    let mut table = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in files {
        let path = path.canonicalize()?;
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("web_files.rs"), table)
}
