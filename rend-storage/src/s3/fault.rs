//! What can go wrong between here and the object storage, in words that name no address and no key.

use std::error::Error as _;

use s3::error::S3Error;
use thiserror::Error;

use crate::StoreError;

/// Why a request came to nothing.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub(super) enum Fault {
    /// It was answered with a refusal.
    #[error("the object storage answered {status} {code}")]
    Refused {
        /// The status.
        status: u16,
        /// The word that the answer's body has for it; empty without a body.
        code: String,
    },
    /// No answer came in time.
    #[error("the object storage did not answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("the object storage cannot be reached")]
    Unreachable,
    /// The connection ended in the middle.
    #[error("the connection to the object storage broke off")]
    Broken,
    /// The answer is not one that S3 gives.
    #[error("the object storage's answer is not understood: {what}")]
    Odd {
        /// What is odd about it.
        what: &'static str,
    },
}

impl Fault {
    /// Whether the same request may be answered otherwise in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, code } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
                    || matches!(code.as_str(), "BadDigest" | "IncompleteBody" | "RequestTimeout" | "SlowDown")
            }
            Self::Timeout | Self::Unreachable | Self::Broken => true,
            Self::Odd { .. } => false,
        }
    }

    /// Whether the request may have been carried out although nothing good was heard of it.
    pub(super) const fn is_ambiguous(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Timeout | Self::Broken => true,
            Self::Unreachable | Self::Odd { .. } => false,
        }
    }

    /// Whether there is no such object.
    pub(super) fn is_absence(&self) -> bool {
        // A bucket that is missing is a mistake of the installation, not the absence of one object.
        matches!(self, Self::Refused { status: 404, code } if code != "NoSuchBucket")
    }

    pub(super) fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }
}

impl From<S3Error> for Fault {
    fn from(error: S3Error) -> Self {
        if let S3Error::HttpFailWithBody(status, body) = &error {
            return Self::Refused { status: *status, code: code_in(body) };
        }
        if let S3Error::Reqwest(error) = &error {
            return if error.is_timeout() {
                Self::Timeout
            } else if error.is_connect() {
                Self::Unreachable
            } else if error.is_builder() {
                Self::Odd { what: "the request cannot be built" }
            } else {
                Self::Broken
            };
        }
        if error.source().is_some_and(|cause| cause.is::<std::io::Error>()) {
            return Self::Broken;
        }
        Self::Odd { what: "its body" }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if fault.is_absence() {
            return Self::NotFound { what: "object" };
        }
        if let Fault::Refused { status, code } = &fault {
            match (status, code.as_str()) {
                (412, _) => return Self::Conflict { what: "object" },
                (507, _) | (_, "InsufficientStorage" | "QuotaExceeded" | "XMinioStorageFull") => return Self::NoSpace,
                _ => {}
            }
        }
        Self::Unavailable(Box::new(fault))
    }
}

/// The word between `<Code>` and `</Code>`, if it is one: what else a body says may hold addresses and keys.
fn code_in(body: &str) -> String {
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let plain = code.len() <= CODE_BYTES_MAX && code.bytes().all(|b| b.is_ascii_alphanumeric());
    if plain { code.to_owned() } else { String::new() }
}

/// Bytes that an error's word may have.
const CODE_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Fault {
        let body = format!("<?xml?><Error><Code>{code}</Code><Resource>/secret</Resource></Error>");
        S3Error::HttpFailWithBody(status, body).into()
    }

    #[track_caller]
    fn check(status: u16, code: &str, expect: &str) {
        let fault = refused(status, code);
        assert!(!fault.to_string().contains("secret"));
        let became = format!("{:?}", StoreError::from(fault));
        assert!(became.starts_with(expect), "{became}");
    }

    #[test]
    fn refusals_become_what_a_caller_can_act_on() {
        check(404, "NoSuchKey", "NotFound");
        check(404, "", "NotFound");
        check(404, "NoSuchBucket", "Unavailable");
        check(412, "PreconditionFailed", "Conflict");
        check(507, "", "NoSpace");
        check(500, "XMinioStorageFull", "NoSpace");
        check(403, "SignatureDoesNotMatch", "Unavailable");
        check(500, "InternalError", "Unavailable");
        check(400, "https://host/?token=1", "Unavailable(Refused { status: 400, code: \"\" }");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for passing in [refused(503, "SlowDown"), refused(400, "BadDigest"), Fault::Timeout, Fault::Unreachable] {
            assert!(passing.is_passing(), "{passing}");
        }
        for lasting in [refused(403, "AccessDenied"), refused(404, "NoSuchKey"), refused(416, "InvalidRange")] {
            assert!(!lasting.is_passing() && !lasting.is_ambiguous(), "{lasting}");
        }
        assert!(Fault::Broken.is_ambiguous() && !Fault::Unreachable.is_ambiguous());
    }
}
