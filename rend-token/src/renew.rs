//! When the next token of a chain is due.

use crate::claims::Claims;
use crate::time::UnixSecs;

/// What a verified token asks for next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renew {
    /// Nothing: it cannot be renewed.
    No,
    /// A renewal, from this instant on: when a third of its life is left, or later where a step would not reach further.
    At(UnixSecs),
    /// A renewal now; the next token would expire at this instant.
    Now(UnixSecs),
    /// Nothing: it lives until the deadline, which no renewal passes.
    Final,
}

impl Renew {
    pub(crate) fn of(claims: &Claims, now: UnixSecs) -> Self {
        let (Some(step_secs), Some(deadline)) = (claims.renewal_step_secs(), claims.deadline()) else {
            return Self::No;
        };
        let expires_at = claims.expires_at();
        if expires_at >= deadline {
            return Self::Final;
        }
        let due = expires_at.saturating_sub(claims.ttl_secs / 3);
        // A step that ends no later than this token is not worth a cookie.
        let due = due.max(expires_at.saturating_sub(step_secs).saturating_add(1));
        if now < due { Self::At(due) } else { Self::Now(now.saturating_add(step_secs).min(deadline)) }
    }
}
