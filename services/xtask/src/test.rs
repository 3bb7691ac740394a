//! `cargo xtask test`: every test there is.

use std::process::Command;

use crate::engines::Engines;
use crate::run::{Done, cargo, root, run};
use crate::tools::{CC, CHROMIUM, FFMPEG, NPM, PYTHON, Tool, need, web};

/// Installs what is missing, then runs the tests of the libraries and services, the doc tests, those that need a server
/// over private servers of our own, and the browser tests against a Rend of its own.
pub(crate) fn test(install: bool) -> Done {
    need(&[CC, FFMPEG, NPM, CHROMIUM, PYTHON], install)?;
    web(install)?;
    run(cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]))?;
    // Slow, or in need of another language: the token vectors in Python and JavaScript, the probe without std, and every
    // check of a token taken out one by one.
    run(cargo().args(["test", "-p", "rend-token", "--all-features", "--tests", "--", "--ignored"]))?;
    served(install, None, None)?;
    run(Command::new("npm").current_dir(root().join("services/web")).args(["test"]))?;
    crate::up::browser_tests()
}

/// The tests that need a server, each of which is ignored by name where there is none; of one file, or with a word in
/// their name, when that is asked for.
pub(crate) fn served(install: bool, file: Option<&str>, name: Option<&str>) -> Done {
    need(&[CC, FFMPEG, CURL, FAKETIME], install)?;
    if let Some(unknown) = file.filter(|file| !SERVED.iter().any(|(_, targets)| targets.contains(file))) {
        let known: Vec<_> = SERVED.iter().flat_map(|(_, targets)| *targets).copied().collect();
        return Err(format!("no test file {unknown} needs a server; these do: {}", known.join(", ")));
    }
    // Once, so that no test waits for it.
    run(cargo().args(["build", "-p", "rend-api", "-p", "rend-edge"]))?;
    let engines = Engines::start(install)?;
    for (package, targets) in SERVED {
        let wanted: Vec<_> = targets.iter().filter(|target| file.is_none_or(|file| file == **target)).collect();
        if wanted.is_empty() {
            continue;
        }
        let mut tests = cargo();
        tests.args(["test", "-p", package, "--all-features", "--no-fail-fast"]);
        tests.args(wanted.iter().flat_map(|target| ["--test", target])).args(["--", "--ignored"]);
        run(tests.args(name).envs(engines.env()).env("REND_TEST_BUILT", "1"))?;
    }
    Ok(())
}

/// The packages with tests that need a server, and the files that hold them. Other ignored tests are processes that a
/// test starts in order to kill them.
const SERVED: &[(&str, &[&str])] = &[
    ("rend-storage", &["clickhouse", "conformance", "lockstep", "lockstep_objects", "postgres", "redis", "s3"]),
    ("rend", &["served", "fleet"]),
];

/// Asks in place of a browser.
const CURL: Tool = Tool { program: "curl", package: "curl", why: "plays in the tests of a fleet" };
/// Gives one process another clock.
const FAKETIME: Tool =
    Tool { program: "faketime", package: "faketime", why: "sets one edge's clock wrong in the tests" };
