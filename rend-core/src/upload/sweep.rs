//! What to do with upload sessions whose time is over.

use std::time::Duration;

use super::{UploadSession, UploadState};
use crate::time::Timestamp;

/// How long a session may last without ending.
pub const SESSION_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Sessions that one sweep looks at; the next one goes on from there.
pub const SWEEP_MAX: usize = 100;

/// What a sweep does with a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sweep {
    /// Its time is not over, or it has ended already.
    Keep,
    /// End it as abandoned, and fail its asset: no original came.
    Abandon,
    /// Its original is stored and only the record of that is missing, as after a crash: end it as complete.
    Complete,
}

/// Decides on `session` at `now`. `is_stored` says whether its asset has a stored original.
pub fn sweep(session: &UploadSession, is_stored: bool, now: Timestamp) -> Sweep {
    match (session.state, is_stored) {
        (UploadState::Complete | UploadState::Abandoned, _) => Sweep::Keep,
        (UploadState::Open, _) if now < session.expires_at => Sweep::Keep,
        (UploadState::Open, true) => Sweep::Complete,
        (UploadState::Open, false) => Sweep::Abandon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AssetId, OrgId, UploadId};

    #[track_caller]
    fn check(state: UploadState, is_stored: bool, now_secs: u64, expect: Sweep) {
        let session = UploadSession {
            id: UploadId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([2; 16]),
            org: OrgId::from_bytes([3; 16]),
            bytes_expected: None,
            state,
            expires_at: Timestamp::from_secs(1000),
            created_at: Timestamp::EPOCH,
        };
        assert_eq!(
            sweep(&session, is_stored, Timestamp::from_secs(now_secs)),
            expect,
            "{state} {is_stored} {now_secs}"
        );
    }

    #[test]
    fn only_an_open_session_whose_time_is_over_is_swept() {
        check(UploadState::Open, false, 999, Sweep::Keep);
        check(UploadState::Open, false, 1000, Sweep::Abandon);
        check(UploadState::Open, true, 1000, Sweep::Complete);
        check(UploadState::Complete, false, 9999, Sweep::Keep);
        check(UploadState::Abandoned, false, 9999, Sweep::Keep);
    }
}
