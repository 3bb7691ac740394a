//! What becomes of a job whose worker ran into trouble.

use std::time::Duration;

use super::{ErrorClass, JobError, Outcome};
use crate::prng::Prng;
use crate::time::Timestamp;

/// The first wait before a job is tried again; each further one is twice as long.
pub const RETRY_WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest wait before a job is tried again.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(15 * 60);

impl Outcome {
    /// What follows from `failure` in try number `attempt` (from 1) of `attempts_max`.
    ///
    /// A permanent failure and a poisonous one end the job, since the same would happen again. A transient one is tried
    /// again while tries are left, after [`retry_wait`].
    pub fn after(failure: JobError, attempt: u32, attempts_max: u32, now: Timestamp, prng: &mut Prng) -> Self {
        match failure.class {
            ErrorClass::Transient if attempt < attempts_max => {
                Self::Retry { at: now + retry_wait(attempt, prng), error: failure }
            }
            ErrorClass::Transient | ErrorClass::Permanent | ErrorClass::Poison => Self::Fail { error: failure },
        }
    }
}

/// How long to wait after try number `attempt` (from 1).
///
/// Between half and all of [`RETRY_WAIT_MIN`] · 2^(attempt − 1), at most [`RETRY_WAIT_MAX`]: what failed together does
/// not come back together.
pub fn retry_wait(attempt: u32, prng: &mut Prng) -> Duration {
    let doubled = RETRY_WAIT_MIN.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(RETRY_WAIT_MAX);
    let half = doubled / 2;
    half + Duration::from_millis(prng.below(u64::try_from(half.as_millis()).unwrap_or(0) + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn failure(class: ErrorClass) -> JobError {
        JobError { class, code: "x".into(), detail: String::new(), stderr_tail: String::new() }
    }

    #[track_caller]
    fn check(class: ErrorClass, attempt: u32, retries: bool) {
        let outcome = Outcome::after(failure(class), attempt, 3, NOW, &mut Prng::seeded(1));
        assert_eq!(matches!(outcome, Outcome::Retry { .. }), retries, "{class} {attempt}: {outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Fail { .. }), !retries, "{class} {attempt}: {outcome:?}");
    }

    #[test]
    fn only_trouble_that_may_pass_is_tried_again_while_tries_are_left() {
        check(ErrorClass::Transient, 1, true);
        check(ErrorClass::Transient, 2, true);
        check(ErrorClass::Transient, 3, false);
        check(ErrorClass::Transient, 4, false);
        check(ErrorClass::Permanent, 1, false);
        check(ErrorClass::Poison, 1, false);
    }

    proptest! {
        #[test]
        fn waits_grow_to_a_bound_and_differ_between_workers(attempt in 1u32.., seed: u64) {
            let wait = retry_wait(attempt, &mut Prng::seeded(seed));
            let doubled = RETRY_WAIT_MIN.as_millis() << (attempt - 1).min(20);
            let full = doubled.min(RETRY_WAIT_MAX.as_millis());
            prop_assert!(wait.as_millis() * 2 >= full && wait.as_millis() <= full, "{wait:?} of {full}");
        }

        #[test]
        fn a_retry_is_never_before_now(attempt in 1u32..100, seed: u64) {
            if let Outcome::Retry { at, .. } =
                Outcome::after(failure(ErrorClass::Transient), attempt, 100, NOW, &mut Prng::seeded(seed))
            {
                prop_assert!(at > NOW && at <= NOW + RETRY_WAIT_MAX);
            }
        }
    }
}
