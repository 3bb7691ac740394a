//! Writes the refusals of the vectors anew: `cargo run -p rend-token --example write_vectors`.
//!
//! With a folder as argument it writes a thousand random grants there instead, for the verifiers in other languages.
#![expect(clippy::print_stdout, reason = "it tells where it wrote")]

use std::path::Path;
use std::{env, fs, io};

#[path = "../cases/mod.rs"]
mod cases;
#[path = "../files/mod.rs"]
mod files;

fn main() -> io::Result<()> {
    for case in cases::all() {
        assert_eq!(case.verify(), Some(case.reason), "{}", case.name);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let (path, text) = match env::args().nth(1) {
        Some(folder) => (Path::new(&folder).join("grants.json"), files::grants(1000)),
        None => (here.join("denied.json"), files::denied()),
    };
    fs::write(&path, text)?;
    println!("{}", path.display());
    Ok(())
}
