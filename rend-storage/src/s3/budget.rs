//! How often a request may be tried again, so that an object storage in trouble is not asked all the more.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rend_core::prng::Prng;

/// Retries that all requests of one store share: each costs one, ten good answers earn one, and there is never more than
/// [`RETRIES_MAX`] in hand.
pub(super) struct Budget {
    tenths: AtomicU32,
    drawn: AtomicU32,
}

impl Budget {
    pub(super) const fn full() -> Self {
        Self { tenths: AtomicU32::new(RETRIES_MAX * 10), drawn: AtomicU32::new(0) }
    }

    /// A request was answered well.
    pub(super) fn earn(&self) {
        let add = |tenths: u32| Some((tenths + 1).min(RETRIES_MAX * 10));
        let _ = self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// How long to wait before try `tries` + 1, or `None` when there is to be none.
    pub(super) fn draw(&self, tries: u32) -> Option<Duration> {
        if tries >= TRIES_MAX {
            return None;
        }
        let take = |tenths: u32| tenths.checked_sub(10);
        self.tenths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        let most = (WAIT_MS << (tries - 1).min(16)).min(WAIT_MS_MAX);
        // Requests that failed together are not tried again together.
        let seed = u64::from(self.drawn.fetch_add(1, Ordering::Relaxed));
        Some(Duration::from_millis(most / 2 + Prng::seeded(seed).below(most / 2 + 1)))
    }
}

/// Tries of one request, the first included.
const TRIES_MAX: u32 = 4;
/// Retries in hand at most.
const RETRIES_MAX: u32 = 20;
/// The longest wait before the second try, in milliseconds; it doubles with each further one.
const WAIT_MS: u64 = 100;
/// The longest wait there is, in milliseconds.
const WAIT_MS_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_tries_end() {
        let budget = Budget::full();
        let waits: Vec<_> = (1..=TRIES_MAX).map(|tries| budget.draw(tries)).collect();
        let millis: Vec<_> = waits.iter().flatten().map(Duration::as_millis).collect();
        assert_eq!(millis.len(), 3);
        for (wait, most) in millis.iter().zip([100, 200, 400]) {
            assert!((most / 2..=most).contains(wait), "{millis:?}");
        }
        assert_eq!(waits.last(), Some(&None));
    }

    #[test]
    fn a_spent_budget_ends_retries_until_good_answers_refill_it() {
        let budget = Budget::full();
        let granted = (0..100).filter(|_| budget.draw(1).is_some()).count();
        assert_eq!(granted, RETRIES_MAX as usize);
        (0..9).for_each(|_| budget.earn());
        assert_eq!(budget.draw(1), None);
        budget.earn();
        assert!(budget.draw(1).is_some());
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.draw(1).is_some()).count(), RETRIES_MAX as usize);
    }
}
