//! Puts the web pages, and hls.js when it is there, into the binary: each with its digest, and as gzip where that is smaller.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

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
    // The small one for most videos; the whole one knows captions and several sounds.
    for (name, build) in [("hls.js", "hls.light.min.mjs"), ("hls-whole.js", "hls.min.mjs")] {
        let hls = web.join("node_modules/hls.js/dist").join(build);
        println!("cargo::rerun-if-changed={}", hls.display());
        if hls.is_file() {
            files.push((name.to_owned(), hls));
        }
    }
    files.sort();
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let mut table = String::from("static FILES: &[WebFile] = &[\n");
    for (name, path) in files {
        let path = path.canonicalize()?;
        println!("cargo::rerun-if-changed={}", path.display());
        let body = fs::read(&path)?;
        let digest = Sha256::digest(&body).iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let gzip = match small(&body)? {
            None => "None".to_owned(),
            Some(gzip) => {
                let path = out.join(format!("{name}.gz"));
                fs::write(&path, gzip)?;
                format!("Some(include_bytes!({path:?}))")
            }
        };
        writeln!(
            table,
            "    WebFile {{ name: {name:?}, digest: {digest:?}, body: include_bytes!({path:?}), gzip: {gzip} }},"
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("web_files.rs"), table)
}

/// The same as gzip, if that saves a tenth.
fn small(body: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(body)?;
    let gzip = gzip.finish()?;
    Ok((gzip.len() < body.len() / 10 * 9).then_some(gzip))
}
