//! Remembers that somebody does not answer, so that not everybody finds out by waiting.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rend_core::time::Mono;

/// Lets everybody ask until one got no answer. Then nobody asks for a while, and then one alone: by its answer all ask
/// again, or wait for as long once more.
#[derive(Debug)]
pub(crate) struct Fuse {
    cooldown: Duration,
    standing: Mutex<Standing>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    /// Everybody may ask.
    Whole,
    /// Nobody may before this.
    Blown { until: Mono },
    /// One is asking; if it has not come back by then, another may.
    Tried { until: Mono },
}

impl Fuse {
    /// One that stays blown for `cooldown`.
    pub(crate) const fn new(cooldown: Duration) -> Self {
        Self { cooldown, standing: Mutex::new(Standing::Whole) }
    }

    /// Whether to ask at `now`; who may tells what came of it.
    pub(crate) fn may_ask(&self, now: Mono) -> bool {
        let mut standing = self.lock();
        match *standing {
            Standing::Whole => true,
            Standing::Blown { until } | Standing::Tried { until } if until <= now => {
                *standing = Standing::Tried { until: now + self.cooldown };
                true
            }
            Standing::Blown { .. } | Standing::Tried { .. } => false,
        }
    }

    /// There was an answer.
    pub(crate) fn answered(&self) {
        *self.lock() = Standing::Whole;
    }

    /// There was none, as it showed at `now`.
    pub(crate) fn failed(&self, now: Mono) {
        *self.lock() = Standing::Blown { until: now + self.cooldown };
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rend_core::prng::Prng;

    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::after_start(Duration::from_secs(secs))
    }

    #[test]
    fn after_a_failure_nobody_asks_and_then_one_alone() {
        let fuse = Fuse::new(Duration::from_secs(5));
        assert!(fuse.may_ask(at(0)) && fuse.may_ask(at(0)));
        fuse.failed(at(1));
        assert!(!fuse.may_ask(at(1)) && !fuse.may_ask(at(5)));
        assert!(fuse.may_ask(at(6)));
        assert!(!fuse.may_ask(at(6)) && !fuse.may_ask(at(10)), "one is asking");
        fuse.failed(at(7));
        assert!(!fuse.may_ask(at(11)));
        assert!(fuse.may_ask(at(12)));
        fuse.answered();
        assert!(fuse.may_ask(at(12)) && fuse.may_ask(at(12)));
    }

    #[test]
    fn one_that_never_came_back_does_not_keep_the_others_out() {
        let fuse = Fuse::new(Duration::from_secs(5));
        fuse.failed(at(0));
        assert!(fuse.may_ask(at(5)) && !fuse.may_ask(at(9)));
        assert!(fuse.may_ask(at(10)));
    }

    #[test]
    fn whoever_never_answers_is_asked_once_in_a_cooldown() {
        for seed in 0..100 {
            let (fuse, mut prng) = (Fuse::new(Duration::from_secs(5)), Prng::seeded(seed));
            let (mut now, mut asked) = (0, 0);
            for _ in 0..200 {
                now += prng.below(4);
                if fuse.may_ask(at(now)) {
                    asked += 1;
                    fuse.failed(at(now));
                }
            }
            assert!(asked > 1 && asked <= 1 + now / 5, "seed {seed}: asked {asked} times in {now} s");
        }
    }
}
