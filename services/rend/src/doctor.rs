//! `rend doctor`: looks at this machine and at what is running. Every finding says what to do.

mod s3;

use std::fmt;
use std::process::ExitCode;

use rend_core::config::{Role, check, profile_of};
use rend_media::State;
use rend_shell::ProcessVars;

use crate::Outcome;
use crate::client::{Server, base};

/// One thing that was looked at.
struct Finding {
    good: bool,
    what: String,
    fix: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.good { "ok   " } else { "WRONG" };
        write!(f, "{mark}  {}", self.what)?;
        match &self.fix {
            Some(fix) => write!(f, "\n       → {fix}"),
            None => Ok(()),
        }
    }
}

/// One thing to look at alone.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Patient {
    /// What the S3-compatible server of `S3_ENDPOINT` can do, found out with a few small objects
    S3,
}

pub(crate) async fn doctor(server: &Server, patient: Option<Patient>) -> Outcome {
    if let Some(Patient::S3) = patient {
        let (settings, _) = check(Role::Up, profile_of(&ProcessVars), false, &ProcessVars);
        return Ok(told(&s3::look(&settings, true).await));
    }
    let (settings, problems) = check(Role::Up, profile_of(&ProcessVars), false, &ProcessVars);
    let mut findings: Vec<Finding> = problems
        .iter()
        .map(|problem| Finding {
            good: false,
            what: problem.to_string(),
            fix: Some("change the variable and look again".into()),
        })
        .collect();
    let (ffmpeg, ffprobe) = rend_api::programs(&settings);
    for finding in rend_media::doctor(&ffmpeg, &ffprobe).await {
        let good = finding.state != State::Bad;
        let fix = (!finding.fix.is_empty()).then_some(finding.fix);
        findings.push(Finding { good, what: format!("{}: {}", finding.name, finding.detail), fix });
    }
    findings.push(hls());
    findings.push(data_folder());
    findings.extend(s3::look(&settings, false).await);
    findings.push(running(server).await);
    Ok(told(&findings))
}

/// Prints what was found, and answers whether all of it is good.
fn told(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    let good = findings.iter().all(|finding| finding.good);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hls() -> Finding {
    if rend_api::has_hls_js() {
        Finding { good: true, what: "the player has hls.js".into(), fix: None }
    } else {
        Finding {
            good: true,
            what: "this build has no hls.js; the player plays where the browser has HLS of its own".into(),
            fix: Some("run `cargo xtask web` and build again to have it everywhere".into()),
        }
    }
}

fn data_folder() -> Finding {
    let folder = crate::default_data_dir();
    let shown = folder.display();
    if !folder.exists() {
        return Finding {
            good: true,
            what: format!("there is no data folder {shown} yet"),
            fix: Some("`rend up` makes it".into()),
        };
    }
    match rustix::fs::statvfs(&folder) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            Finding {
                good: free >= FREE_BYTES_MIN,
                what: format!("the data folder {shown} has {} MiB free", free >> 20),
                fix: (free < FREE_BYTES_MIN)
                    .then(|| "free space there, or name a larger disk with REND_DATA_DIR".into()),
            }
        }
        Err(error) => Finding {
            good: false,
            what: format!("the data folder {shown} can not be looked at: {error}"),
            fix: Some("give this user the right to read it, or name another with REND_DATA_DIR".into()),
        },
    }
}

/// Free bytes below which a video of some minutes may not fit.
const FREE_BYTES_MIN: u64 = 1 << 30;

async fn running(server: &Server) -> Finding {
    let wrong = |what: String| Finding {
        good: false,
        what,
        fix: Some("start it with `rend up`, or name another with --api".into()),
    };
    let base = match base(server) {
        Ok(base) => base,
        Err(why) => return wrong(why),
    };
    match reqwest::get(format!("{base}/readyz")).await {
        Ok(answer) if answer.status().is_success() => {
            Finding { good: true, what: format!("the API at {base} is ready"), fix: None }
        }
        Ok(answer) => Finding {
            good: false,
            what: format!("the API at {base} is not ready: {}", answer.text().await.unwrap_or_default()),
            fix: Some("the checks in this answer name what it waits for".into()),
        },
        Err(_) => wrong(format!("nothing answers at {base}")),
    }
}
