//! A private PostgreSQL of the distribution's version. It forgives no mistake less for not waiting for the disk.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Engine, bound_to_us, free_port};
use crate::run::{has, read};
use crate::tools::{Tool, need};

/// Where Debian and Ubuntu keep the servers, a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user that Debian and Ubuntu make for it.
const USER: &str = "postgres";
/// The database user and the database of the tests.
const OWNER: &str = "rend";

/// Starts a PostgreSQL of our own. It gives `REND_TEST_POSTGRES_URL`, which names a superuser of an empty database.
pub(crate) fn start(folder: &Path, install: bool) -> Result<Engine, String> {
    let programs = programs(install)?;
    let data = folder.join("postgres");
    let user = User::of(USER)?;
    fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    if let Some(user) = &user {
        let owned = std::os::unix::fs::chown(&data, Some(user.uid), Some(user.gid));
        owned.map_err(|e| format!("{}: {e}", data.display()))?;
    }
    let as_user = |mut command: Command| {
        if let Some(user) = &user {
            command.uid(user.uid).gid(user.gid);
        }
        // Its children stand in the working folder, which the other user may not enter.
        command.current_dir(&data);
        command
    };

    let mut make = as_user(Command::new(programs.join("initdb")));
    make.arg("-D").arg(data.join("data")).args(["-A", "trust", "-U", OWNER, "--no-sync", "-E", "UTF8"]);
    make.arg("--locale=C.UTF-8");
    let made = make.output().map_err(|e| format!("initdb could not be started: {e}"))?;
    if !made.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim()));
    }

    let port = free_port()?;
    let mut serve = as_user(bound_to_us(&programs.join("postgres"), "INT"));
    serve.arg("-D").arg(data.join("data")).args(["-p", &port.to_string()]).arg("-k").arg(&data);
    // A crash of the machine may lose it all; a crash of the server loses nothing, and that is what tests can make. So what
    // was committed is handed to the system before it is said to be.
    for setting in [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "full_page_writes=off",
        "max_connections=400",
        "shared_buffers=64MB",
    ] {
        serve.args(["-c", setting]);
    }
    let mut engine = Engine::spawn("postgres", serve, folder, "INT")?;
    let port_text = port.to_string();
    let ask = |database: &str, sql: &str| {
        let mut psql = Command::new(programs.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port_text, "-U", OWNER, "-d", database, "-X", "-q", "-c", sql]);
        read(&mut psql).is_some()
    };
    engine.wait_until(|| ask("postgres", "SELECT 1"))?;
    if !ask("postgres", &format!("CREATE DATABASE {OWNER}")) {
        return Err("the test database could not be made; the log of postgres says why".into());
    }
    engine.env.push(("REND_TEST_POSTGRES_URL", format!("postgres://{OWNER}@127.0.0.1:{port}/{OWNER}")));
    Ok(engine)
}

/// The folder of the newest server on this machine, after installing one if there is none.
fn programs(install: bool) -> Result<PathBuf, String> {
    if let Some(found) = find() {
        return Ok(found);
    }
    // The server is not on the path when it is installed, so it is looked for by hand and asked for by its package.
    let server = Tool {
        program: "postgres (the server)",
        package: "postgresql",
        why: "what a fleet remembers in, for the tests",
    };
    need(&[server], install)?;
    find().ok_or_else(|| format!("PostgreSQL is installed, but there is no server under {DEBIAN} or on the path"))
}

fn find() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let numbered = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let newest = numbered.filter(|(_, bin)| bin.join("initdb").is_file()).max_by_key(|(version, _)| *version);
    if let Some((_, bin)) = newest {
        return Some(bin);
    }
    if !(has("initdb") && has("postgres")) {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
}

/// Whom to run the server as: nobody else unless this is root, which the server refuses.
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    fn of(name: &str) -> Result<Option<Self>, String> {
        let id = |words: &[&str]| read(Command::new("id").args(words)).and_then(|text| text.trim().parse::<u32>().ok());
        if id(&["-u"]) != Some(0) {
            return Ok(None);
        }
        let missing = || format!("PostgreSQL does not run as root, and there is no user `{name}` to run it as");
        let uid = id(&["-u", name]).ok_or_else(missing)?;
        Ok(Some(Self { uid, gid: id(&["-g", name]).ok_or_else(missing)? }))
    }
}
