//! What has to be on the machine, and the package that gives it.

use std::process::Command;

use crate::run::{Done, has, read, root, run};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub program: &'static str,
    pub package: &'static str,
    pub why: &'static str,
}

/// Encodes and probes.
pub(crate) const FFMPEG: Tool = Tool { program: "ffmpeg", package: "ffmpeg", why: "encodes and probes video" };
/// Fetches hls.js when the pages are built, and runs their tests.
pub(crate) const NPM: Tool = Tool { program: "npm", package: "npm", why: "fetches hls.js for the player" };
/// Plays, in the browser tests.
pub(crate) const CHROMIUM: Tool = Tool { program: "chromium", package: "chromium", why: "plays in the browser tests" };
/// Compiles SQLite and the TLS provider.
pub(crate) const CC: Tool = Tool { program: "cc", package: "build-essential", why: "compiles SQLite into the binary" };
/// Compiles libFuzzer's runtime.
pub(crate) const CXX: Tool = Tool { program: "c++", package: "build-essential", why: "compiles the fuzzer's runtime" };
/// Checks token vectors from another language.
pub(crate) const PYTHON: Tool =
    Tool { program: "python3", package: "python3", why: "checks the token vectors from another language" };

/// Sees to it that each of `tools` is there; installs what is missing when `install`, else says what to do.
pub(crate) fn need(tools: &[Tool], install: bool) -> Done {
    let missing: Vec<_> = tools.iter().filter(|tool| !has(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        println!(
            "missing: {} ({}); Debian and Ubuntu have it in the package `{}`",
            tool.program, tool.why, tool.package
        );
    }
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    let by_hand = format!("install it with `apt-get install {}` and run this again", packages.join(" "));
    if !install {
        return Err(by_hand);
    }
    if !has("apt-get") {
        return Err(format!("this system has no apt-get; install {} with its own package tool", packages.join(", ")));
    }
    let root_user = read(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    let apt = |words: &[&str]| {
        let mut command = if root_user { Command::new("apt-get") } else { Command::new("sudo") };
        if !root_user {
            command.arg("apt-get");
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
        run(&mut command)
    };
    apt(&["update", "-q"])?;
    let mut words = vec!["install", "-y", "-q", "--no-install-recommends"];
    words.extend(packages);
    apt(&words).map_err(|why| format!("{why}; {by_hand}"))
}

/// Fetches the locked npm packages of the web pages, when they are not there yet.
pub(crate) fn web(install: bool) -> Done {
    let web = root().join("services/web");
    let lock = web.join("package-lock.json");
    let stamp = web.join("node_modules/.package-lock.json");
    let newer = |a: &std::path::Path, b: &std::path::Path| {
        let at = |path: &std::path::Path| path.metadata().and_then(|m| m.modified()).ok();
        at(a).zip(at(b)).is_some_and(|(a, b)| a >= b)
    };
    if newer(&stamp, &lock) {
        return Ok(());
    }
    need(&[NPM], install)?;
    run(Command::new("npm").current_dir(&web).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]))
}
