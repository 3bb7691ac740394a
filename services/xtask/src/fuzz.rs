//! Fuzzing on the stable toolchain.

use std::fs;

use crate::run::{Done, cargo, has, root, run};

/// Fuzzes `target`, or each there is, for `seconds`.
pub(crate) fn fuzz(target: &str, seconds: u64) -> Done {
    if !has("cargo-fuzz") {
        run(cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let targets = targets()?;
    let chosen: Vec<_> = targets.iter().filter(|name| target == "all" || *name == target).collect();
    if chosen.is_empty() {
        return Err(format!("there is no fuzz target `{target}`; there are {}", targets.join(", ")));
    }
    for name in chosen {
        let time = format!("-max_total_time={seconds}");
        // What is found goes to a folder of its own; the committed corpus is only read.
        let found = root().join("target/fuzz-corpus").join(name);
        fs::create_dir_all(&found).map_err(|e| format!("{} can not be made: {e}", found.display()))?;
        let known = root().join("fuzz/corpus").join(name);
        // The sanitizers are in the stable toolchain; this variable lets its compiler take the flags for them.
        run(cargo().env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", name]).arg(&found).arg(&known).args([
            "--",
            &time,
            "-max_len=4096",
            "-rss_limit_mb=512",
        ]))?;
    }
    Ok(())
}

fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|e| format!("fuzz/fuzz_targets can not be read: {e}"))?;
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}
