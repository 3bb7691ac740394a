//! `cargo xtask test`: every test there is.

use std::process::Command;

use crate::run::{Done, cargo, root, run};
use crate::tools::{CC, CHROMIUM, FFMPEG, NPM, PYTHON, need, web};

/// Installs what is missing, then runs the tests of the libraries and services, the doc tests, and the browser tests
/// against a Rend of its own.
pub(crate) fn test(install: bool) -> Done {
    need(&[CC, FFMPEG, NPM, CHROMIUM, PYTHON], install)?;
    web(install)?;
    run(cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]))?;
    // Slow, or in need of another language: the token vectors in Python and JavaScript, the probe without std, and every
    // check of a token taken out one by one.
    run(cargo().args(["test", "-p", "rend-token", "--all-features", "--tests", "--", "--ignored"]))?;
    run(Command::new("npm").current_dir(root().join("services/web")).args(["test"]))?;
    crate::up::browser_tests()
}
