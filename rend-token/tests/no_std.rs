//! The crate needs no standard library: a program without one links it, runs, and stops building when `std` comes in.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
#[ignore = "builds a program outside the workspace; linux on x86_64 or aarch64"]
fn a_program_without_the_standard_library_signs_and_verifies() {
    let built = build(&[]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(target().join("debug/no-std-probe")).status().unwrap();
    assert_eq!(ran.code(), Some(42));

    let control = build(&["--features", "control"]);
    let said = String::from_utf8_lossy(&control.stderr);
    assert!(!control.status.success(), "the probe would not notice std");
    assert!(said.contains("panic_impl") || said.contains("eh_personality"), "{said}");
}

#[test]
fn the_core_stays_small() {
    let cargo = Command::new(env!("CARGO"))
        .args(["tree", "-p", "rend-token", "-e", "normal", "--no-default-features", "--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&cargo.stdout);
    let mut crates: Vec<_> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(crates.contains(&"rend-token"), "{}", String::from_utf8_lossy(&cargo.stderr));
    assert!(crates.len() <= 13, "rend-token and at most 12 more: {crates:?}");
    assert!(!said.contains("(proc-macro)"), "{said}");
}

fn build(features: &[&str]) -> Output {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_std_probe/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(target()).args(features);
    cargo.output().unwrap()
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_std_probe")
}
