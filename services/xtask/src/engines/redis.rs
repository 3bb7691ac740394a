//! A private Redis: nothing on disk, gone when it ends.

use std::path::Path;

use super::{Engine, answers, bound_to_us, free_port};
use crate::tools::{Tool, need};

const REDIS: Tool =
    Tool { program: "redis-server", package: "redis-server", why: "wakes and limits across processes in the tests" };

/// Starts a Redis of our own. It gives `REND_TEST_REDIS_URL`.
pub(crate) fn start(folder: &Path, install: bool) -> Result<Engine, String> {
    need(&[REDIS], install)?;
    let port = free_port()?;
    let mut command = bound_to_us(Path::new("redis-server"), "KILL");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--daemonize", "no"]).arg("--dir").arg(folder);
    let mut engine = Engine::spawn("redis", command, folder, "TERM")?;
    engine.wait_until(|| answers(port))?;
    engine.env.push(("REND_TEST_REDIS_URL", format!("redis://127.0.0.1:{port}")));
    Ok(engine)
}
