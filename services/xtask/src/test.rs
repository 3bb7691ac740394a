//! `cargo xtask test`: every test there is.

use std::ffi::OsString;
use std::process::Command;

use crate::engines::Engines;
use crate::run::{Done, cargo, root, run};
use crate::tools::{CC, CHROMIUM, FFMPEG, NPM, PYTHON, Tool, need, web};

/// Installs what is missing, then runs the tests of the libraries and services, the doc tests, those that need a server
/// over private servers of our own, one that an outside tool holds to its description, and the browser tests against
/// another.
pub(crate) fn test(install: bool) -> Done {
    need(&[CC, FFMPEG, NPM, CHROMIUM, PYTHON], install)?;
    web(install)?;
    run(cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]))?;
    // Slow, or in need of another language: the token vectors in Python and JavaScript, the probe without std, and every
    // check of a token taken out one by one.
    run(cargo().args(["test", "-p", "rend-token", "--all-features", "--tests", "--", "--ignored"]))?;
    served(install, None, None)?;
    crate::contract::contract(install)?;
    run(Command::new("npm").current_dir(root().join("services/web")).args(["test"]))?;
    crate::up::browser_tests()
}

/// The tests that need a server, each of which is ignored by name where there is none; of one file, or with a word in
/// their name, when that is asked for.
pub(crate) fn served(install: bool, file: Option<&str>, name: Option<&str>) -> Done {
    warn_of_unknown_names();
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

/// Runs `command` with private servers beside it, told of them as tests are.
pub(crate) fn beside_engines(install: bool, command: &[OsString]) -> Done {
    let Some((program, words)) = command.split_first() else { return Err("there is no command to run".into()) };
    warn_of_unknown_names();
    let engines = Engines::start(install)?;
    run(Command::new(program).args(words).envs(engines.env()))
}

/// Says which names of the surroundings look like the tests' own and are not: a run with a misspelt one is the usual run.
fn warn_of_unknown_names() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in unknown_names(names) {
        println!("{name} is not known; known are {}", KNOWN_NAMES.join(", "));
    }
}

/// Those of `names` that begin like the tests' own and are none.
fn unknown_names(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let unknown = |name: &String| name.starts_with("REND_TEST_") && !KNOWN_NAMES.contains(&name.as_str());
    names.into_iter().filter(unknown).collect()
}

/// What a person may say to the tests. Where the servers are is for this command to say.
const KNOWN_NAMES: [&str; 8] = [
    "REND_TEST_BUILT",
    "REND_TEST_FAULTS",
    "REND_TEST_KILLS",
    "REND_TEST_MEDIA_DIR",
    "REND_TEST_MEDIA_EXPORT",
    "REND_TEST_MEDIA_ONLY",
    "REND_TEST_PROGRAMS",
    "REND_TEST_SEED",
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_of_and_others_are_nobodys_business() {
        let names = ["REND_TEST_SEED", "REND_TEST_SEEDS", "REND_LOG", "PATH", "REND_TEST_"].map(str::to_owned);
        assert_eq!(unknown_names(names), ["REND_TEST_SEEDS", "REND_TEST_"]);
    }
}
