//! A private ClickHouse: the engine of the current version inside a Python process, behind an HTTP front of our own.
//!
//! There is no package of a current server. The engine is the real one; what the front leaves out stands at its head.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use super::venv::environment;
use super::{Engine, bound_to_us, free_port};
use crate::run::root;

/// The engine.
const PACKAGES: [&str; 1] = ["chdb-core==26.9.0"];
/// Who may do everything.
const USER: &str = "rend";
/// It guards nothing but a folder that goes with the run.
const PASSWORD: &str = "rend-test-password-of-a-private-server";

/// Starts a ClickHouse of our own. It gives `REND_TEST_CLICKHOUSE_URL`, `REND_TEST_CLICKHOUSE_USER` and
/// `REND_TEST_CLICKHOUSE_PASSWORD`.
pub(crate) fn start(folder: &Path, install: bool) -> Result<Engine, String> {
    let python = environment("clickhouse", &PACKAGES, install)?.join("bin/python");
    let own = folder.join("clickhouse");
    fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    let port = free_port()?;
    let mut serve = bound_to_us(&python, "KILL");
    serve.arg(root().join("services/xtask/engines/clickhouse_front.py")).arg(port.to_string()).arg(&own);
    serve.args([USER, PASSWORD]);
    let mut engine = Engine::spawn("clickhouse", serve, folder, "TERM")?;
    engine.wait_until(|| pings(port))?;
    engine.env.push(("REND_TEST_CLICKHOUSE_URL", format!("http://127.0.0.1:{port}")));
    engine.env.push(("REND_TEST_CLICKHOUSE_USER", USER.to_owned()));
    engine.env.push(("REND_TEST_CLICKHOUSE_PASSWORD", PASSWORD.to_owned()));
    Ok(engine)
}

fn pings(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut said = String::new();
    stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut said).is_ok()
        && said.contains("Ok.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::answers;

    fn ask(port: u16, key: &str, statement: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = format!(
            "POST / HTTP/1.0\r\nX-ClickHouse-User: {USER}\r\nX-ClickHouse-Key: {key}\r\nContent-Length: {}\r\n\r\n",
            statement.len()
        );
        stream.write_all((head + statement).as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    #[test]
    #[ignore = "installs a server"]
    fn the_engine_answers_who_has_the_password_and_stops() {
        let folder = std::env::temp_dir().join(format!("rend-clickhouse-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let engine = start(&folder, true).unwrap();
        let at: u16 = engine.env[0].1.rsplit_once(':').unwrap().1.parse().unwrap();
        assert!(ask(at, PASSWORD, "SELECT 6 * 7").ends_with("\r\n\r\n42\n"));
        assert!(ask(at, PASSWORD, "SELECT * FROM nothing").contains("404"));
        assert!(ask(at, "another", "SELECT 6 * 7").contains("403"));
        drop(engine);
        assert!(!answers(at));
        fs::remove_dir_all(&folder).unwrap();
    }
}
