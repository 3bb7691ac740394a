//! What the continuous integration runs. Each step is a command that a developer can type.

use std::time::Duration;

use crate::run::{Done, cargo, has, run};

/// The libraries: each must stand alone.
const LIBRARIES: [&str; 5] = ["rend-token", "rend-cache", "rend-core", "rend-telemetry", "rend-storage"];
/// How long each target is fuzzed. Hours are for `cargo xtask fuzz all --minutes 10 --jobs 2`.
const FUZZ: crate::fuzz::Plan = crate::fuzz::Plan { seconds: 20, jobs: 2 };
/// How long an edge is soaked: long enough for purges, an origin that goes away, a restart and a kill. Half an hour is for
/// `cargo xtask soak edge`.
const SOAK: Duration = Duration::from_secs(45);
/// What no library may pull in without a feature: runtimes, HTTP, databases.
const IMPURE: [&str; 10] =
    ["tokio", "warp", "hyper", "reqwest", "rusqlite", "tokio-postgres", "redis", "rust-s3", "mio", "async-std"];

/// Format, lints, docs, purity, examples, every fuzz target for a short while, an edge under everything at once, then every test.
pub(crate) fn ci() -> Done {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    crate::tools::need(&[crate::tools::CC], true)?;
    crate::tools::web(true)?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    for library in LIBRARIES {
        run(cargo().args(["clippy", "-p", library, "--no-default-features", "--", "-D", "warnings"]))?;
    }
    run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps", "--all-features"]))?;
    purity()?;
    msrv()?;
    examples()?;
    crate::fuzz::fuzz(&["all".to_owned()], FUZZ)?;
    crate::soak::edge(SOAK)?;
    crate::test::test(true)
}

/// No library needs a runtime, an HTTP library or a database client.
fn purity() -> Done {
    for library in LIBRARIES.into_iter().chain(["rend-sim"]) {
        let mut tree = cargo();
        tree.args([
            "tree",
            "-p",
            library,
            "-e",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let listed = crate::run::read(&mut tree).ok_or_else(|| format!("`cargo tree -p {library}` failed"))?;
        let found: Vec<_> =
            listed.lines().filter_map(|line| line.split(' ').next()).filter(|name| IMPURE.contains(name)).collect();
        if !found.is_empty() {
            return Err(format!("{library} pulls in {} without features", found.join(", ")));
        }
        println!("pure: {library}, {} crates", listed.lines().count());
    }
    Ok(())
}

/// The libraries build with the toolchain that `rust-version` names: the one at hand when it is that version, else the
/// installed toolchain of that name.
fn msrv() -> Done {
    let manifest = std::fs::read_to_string(crate::run::root().join("Cargo.toml")).map_err(|e| e.to_string())?;
    let stated = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .map(|value| value.trim_matches('"').to_owned())
        .ok_or("Cargo.toml states no rust-version")?;
    let at_hand = crate::run::read(std::process::Command::new("rustc").arg("--version")).unwrap_or_default();
    let mut check = if at_hand.starts_with(&format!("rustc {stated}.")) {
        cargo()
    } else if has("rustup") {
        let mut command = std::process::Command::new("rustup");
        command.current_dir(crate::run::root()).args(["run", &stated, "cargo"]);
        command
    } else {
        return Err(format!("the libraries state rust {stated}, and there is no such toolchain to check them with"));
    };
    check.arg("check");
    for library in LIBRARIES {
        check.args(["-p", library]);
    }
    run(check.arg("--all-features"))
}

fn examples() -> Done {
    let manifest =
        std::fs::read_to_string(crate::run::root().join("examples/Cargo.toml")).map_err(|e| e.to_string())?;
    for name in manifest.lines().filter_map(|line| line.strip_prefix("name = ")).map(|name| name.trim_matches('"')) {
        if name != "rend-examples" {
            run(cargo().args(["run", "-q", "--example", name]))?;
        }
    }
    run(cargo().args(["bench", "--bench", "*", "--no-run"]))
}
