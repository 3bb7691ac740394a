//! Why an attempt ended without a playable asset, and whether another can help.

use std::io;

use rend_core::job::{ErrorClass, JobError};
use rend_core::media::probe::Reject;
use rend_storage::StoreError;

use crate::runner::RunError;

/// Why an attempt ended early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another worker has the job, or the asset is deleted: nothing more may be written.
    Lost,
    /// The source is refused.
    Refused(Reject, String),
    /// One run of the encoder went wrong. Another may not, or not for every rung.
    Unit(JobError),
    /// Something else went wrong.
    Error(JobError),
}

impl Trouble {
    pub(crate) fn transient(code: &str, detail: impl Into<String>, tail: impl Into<String>) -> Self {
        let (detail, stderr_tail) = (detail.into(), tail.into());
        Self::Error(JobError { class: ErrorClass::Transient, code: code.to_owned(), detail, stderr_tail })
    }

    pub(crate) fn permanent(code: &str, detail: impl Into<String>, tail: impl Into<String>) -> Self {
        let (detail, stderr_tail) = (detail.into(), tail.into());
        Self::Error(JobError { class: ErrorClass::Permanent, code: code.to_owned(), detail, stderr_tail })
    }

    pub(crate) fn unit(code: &str, detail: impl Into<String>) -> Self {
        let (detail, stderr_tail) = (detail.into(), String::new());
        Self::Unit(JobError { class: ErrorClass::Transient, code: code.to_owned(), detail, stderr_tail })
    }

    /// What went wrong, if it concerns one run of the encoder alone; everything else ends the attempt.
    pub(crate) fn of_unit(self) -> Result<JobError, Self> {
        match self {
            Self::Unit(error) => Ok(error),
            Self::Lost | Self::Refused(..) | Self::Error(_) => Err(self),
        }
    }

    pub(crate) fn sound_lost() -> Self {
        Self::transient("encoder_failed", "the sound encoder ended before its time", "")
    }

    pub(crate) fn scratch(error: io::Error) -> Self {
        Self::transient("scratch_failed", format!("the scratch folder could not be used: {error}"), "")
    }

    /// What it means that one of a plan's runs failed.
    pub(crate) fn in_unit(error: RunError) -> Self {
        let machine = matches!(error, RunError::Missing { .. } | RunError::NotStarted { .. });
        match Self::run(error) {
            Self::Error(error) if !machine => Self::Unit(error),
            other @ (Self::Lost | Self::Refused(..) | Self::Unit(_) | Self::Error(_)) => other,
        }
    }

    /// What a failed encoder run means.
    pub(crate) fn run(error: RunError) -> Self {
        match error {
            RunError::Missing { .. } => Self::transient("encoder_missing", error.to_string(), ""),
            RunError::NotStarted { .. } | RunError::Output(_) => Self::transient("encoder_failed", full(&error), ""),
            RunError::Timeout { .. } => Self::transient("encoder_timeout", error.to_string(), ""),
            RunError::Killed { ref said, .. } | RunError::Spent { ref said, .. } => {
                Self::transient("encoder_killed", error.to_string(), said.tail.clone())
            }
            RunError::Failed { ref said, .. } => {
                Self::permanent("encoder_failed", error.to_string(), said.tail.clone())
            }
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost | StoreError::Illegal(_) => Self::Lost,
            StoreError::NoSpace => {
                Self::transient("no_space", "the object store is full; make room and it goes on", "")
            }
            StoreError::NotFound { .. } => {
                Self::permanent("source_missing", "the uploaded file is gone; upload it again", "")
            }
            StoreError::Unavailable(_)
            | StoreError::Conflict { .. }
            | StoreError::BadBody { .. }
            | StoreError::TooNew { .. }
            | _ => Self::transient("store_failed", full(&error), ""),
        }
    }
}

/// An error and its causes, in one line.
fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
