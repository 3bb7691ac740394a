//! `cargo xtask bench fleet`: what a fleet does in a second, beside what its servers do alone.

use std::path::PathBuf;
use std::process::Command;

use crate::engines::Engines;
use crate::run::{Done, cargo, root, run};
use crate::tools::{CC, FFMPEG, need};

/// Builds the programs, starts real servers, and runs the measurement over them. `small` proves in a minute that it runs.
pub(crate) fn fleet(small: bool) -> Done {
    need(&[CC, FFMPEG], true)?;
    let mut build = cargo();
    build.args(["build", "-p", "rend-api", "-p", "rend-edge", "-p", "rend", "--bins", "--example", "bench_fleet"]);
    if !small {
        build.arg("--release");
    }
    run(&mut build)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let engines = Engines::start(true)?;
    let mut bench = Command::new(target.join(if small { "debug" } else { "release" }).join("examples/bench_fleet"));
    run(bench.args(small.then_some("small")).envs(engines.env()))
}
