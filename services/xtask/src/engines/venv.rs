//! Servers that come as Python packages, each in an environment of its own under `target/engines`, kept between runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{read, root, run};
use crate::tools::{PYTHON, Tool, need};

/// What makes an environment on Debian and Ubuntu, where it is a package beside Python itself.
const VENV: Tool = Tool {
    program: "python3 with ensurepip",
    package: "python3-venv",
    why: "makes the environments that servers for the tests are installed in",
};

/// The folder of an environment that holds `packages`, as `pip install` is told of them; made when there is none and
/// `install`.
pub(crate) fn environment(name: &str, packages: &[&str], install: bool) -> Result<PathBuf, String> {
    let folder = root().join("target/engines").join(name);
    let stamp = folder.join("rend-packages");
    let wanted = packages.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    if !install {
        return Err(format!("{name} is not installed; `cargo xtask test` installs `{wanted}` in {}", folder.display()));
    }
    need(&[PYTHON], install)?;
    if read(Command::new("python3").args(["-c", "import ensurepip"])).is_none() {
        need(&[VENV], install)?;
    }
    // One that was left half made, or holds other versions, is made anew.
    match fs::remove_dir_all(&folder) {
        Err(other) if other.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {other}", folder.display()));
        }
        _ => {}
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]).args(packages);
    run(&mut pip).map_err(|why| {
        format!(
            "{name} could not be installed, and pip says above why: {why}. It is fetched once from the index of Python \
             packages; without a network, fill {} on a machine that has one, of the same Python, and bring it here",
            folder.display()
        )
    })?;
    fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(folder)
}
