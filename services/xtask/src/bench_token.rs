//! What a playback token costs beside its peers, with the machine's SHA instructions or without them.

use std::fs;
use std::path::Path;

use crate::run::{Done, cargo, root, run};

/// Runs `benches/token.rs`. Without SHA instructions everything below it is built once more, in a folder of its own.
pub(crate) fn bench(soft: bool) -> Done {
    let mut bench = cargo();
    bench.args(["bench", "-p", "rend-benches", "--bench", "token"]);
    if !soft {
        return run(&mut bench);
    }
    let folder = root().join("target/soft-sha");
    println!("building once more, into {}, so that SHA-256 uses no special instructions", folder.display());
    let done = run(bench.arg("--target-dir").arg(&folder).env("RUSTFLAGS", SOFT));
    if bytes_in(&folder) > KEPT_BYTES_MAX
        && let Err(error) = fs::remove_dir_all(&folder)
    {
        eprintln!("{} is large and can not be removed: {error}", folder.display());
    }
    done
}

/// The bytes of every file below `folder`; what can not be read counts nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, about)| if about.is_dir() { bytes_in(&path) } else { about.len() })
        .sum()
}

/// How the bench is told, and what makes the `sha2` crate do without.
const SOFT: &str = "--cfg sha2_256_backend=\"soft\"";
/// A build up to this size is kept for the next run.
const KEPT_BYTES_MAX: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_folder_is_the_size_of_all_files_below_it() {
        let folder = std::env::temp_dir().join(format!("rend-bytes-in-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("one"), [0; 10]).unwrap();
        fs::write(folder.join("a/b/two"), [0; 7]).unwrap();
        let bytes = bytes_in(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((bytes, bytes_in(&folder)), (17, 0));
    }
}
