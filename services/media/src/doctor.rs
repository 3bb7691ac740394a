//! Whether this machine can encode, and what to do if not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rend_core::media::ffmpeg::NEEDED;

use crate::runner::{Jail, Run, RunError, files_can_be_fenced, network_can_be_cut};

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was looked at, such as `ffmpeg`.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found, in a sentence.
    pub detail: String,
    /// What to do about it; empty when there is nothing to do.
    pub fix: String,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// As it should be.
    Good,
    /// It works, but not as well as it could.
    Weak,
    /// It does not work.
    Bad,
}

/// Looks at the programs and at the jail.
pub async fn doctor(ffmpeg: &Path, ffprobe: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, program) in [("ffmpeg", ffmpeg), ("ffprobe", ffprobe)] {
        findings.push(match ask(program, &["-version"]).await {
            Ok(text) => {
                let version = text.lines().next().unwrap_or_default().split(" Copyright").next().unwrap_or_default();
                let major = version
                    .split_whitespace()
                    .nth(2)
                    .and_then(|v| v.split('.').next())
                    .and_then(|v| v.parse::<u32>().ok());
                // Versions built from a commit have no number; they are newer than any that lacks something.
                let old = major.is_some_and(|major| major < MAJOR_MIN);
                let state = if old { State::Bad } else { State::Good };
                let fix = if old { format!("install {name} {MAJOR_MIN} or newer") } else { String::new() };
                Finding { name, state, detail: version.to_owned(), fix }
            }
            Err(error) => Finding {
                name,
                state: State::Bad,
                detail: error.to_string(),
                fix: "apt-get install ffmpeg, or set its path in the configuration".to_owned(),
            },
        });
    }
    if findings.iter().all(|finding| finding.state == State::Good) {
        findings.push(abilities(ffmpeg).await);
    }
    let cut = network_can_be_cut().await;
    findings.push(Finding {
        name: "jail",
        state: if cut { State::Good } else { State::Weak },
        detail: if cut {
            "encoders run without a network, with bounds on time, memory and files".to_owned()
        } else {
            "encoders run with bounds on time, memory and files, but the system does not let them be cut off the network"
                .to_owned()
        },
        fix: if cut { String::new() } else { "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)".to_owned() },
    });
    let fenced = files_can_be_fenced();
    findings.push(Finding {
        name: "files",
        state: if fenced { State::Good } else { State::Weak },
        detail: if fenced {
            "encoders open the file that they work on, and no other".to_owned()
        } else {
            "the system does not keep encoders from files that the worker may read".to_owned()
        },
        fix: if fenced {
            String::new()
        } else {
            "run Linux 5.13 or newer with Landlock among its security modules (lsm=landlock,…)".to_owned()
        },
    });
    findings
}

async fn abilities(ffmpeg: &Path) -> Finding {
    let mut missing = Vec::new();
    for (kind, flag) in [("encoder", "-encoders"), ("filter", "-filters")] {
        let text = ask(ffmpeg, &["-hide_banner", flag]).await.unwrap_or_default();
        let has = |name: &str| text.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        missing.extend(
            NEEDED.iter().filter(|(of, name)| *of == kind && !has(name)).map(|(of, name)| format!("{of} {name}")),
        );
    }
    let good = missing.is_empty();
    Finding {
        name: "codecs",
        state: if good { State::Good } else { State::Bad },
        detail: if good {
            "every encoder and filter is there".to_owned()
        } else {
            format!("missing: {}", missing.join(", "))
        },
        fix: if good { String::new() } else { "install a full build of ffmpeg: apt-get install ffmpeg".to_owned() },
    }
}

async fn ask(program: &Path, args: &[&str]) -> Result<String, RunError> {
    let jail = Jail {
        scratch: PathBuf::from("/"),
        reads: Vec::new(),
        timeout: Duration::from_secs(10),
        cpu_secs: 10,
        tells_cpu: false,
        memory_bytes: 4 << 30,
        file_bytes: 0,
        offline: false,
    };
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let (text, _) = Run::start(program, &args, &jail).await?.output(1 << 20).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first version with everything that is asked of it.
const MAJOR_MIN: u32 = 5;
