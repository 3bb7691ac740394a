//! What is known not to be there, or to have failed a moment ago.

use std::collections::{BTreeMap, VecDeque};

use crate::fence::Scope;
use crate::key::Key;

/// Why there is no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailKind {
    /// The origin said 404 or 410: remembered for three seconds.
    NotFound,
    /// The origin answered with an error or not at all: remembered for a quarter of a second.
    Origin,
    /// The origin took too long: remembered for a quarter of a second.
    Timeout,
    /// The bytes were not what their checksum promised: remembered for a quarter of a second.
    Corrupt,
    /// Nobody waited any longer: not remembered.
    Abandoned,
}

/// Something remembered about a key that has no body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Negative {
    /// Why.
    pub kind: FailKind,
    /// How much longer it is remembered, in milliseconds.
    pub retry_after_ms: u64,
}

/// At most [`Negatives::MAX`] keys, the oldest forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Negatives {
    by_key: BTreeMap<Key, (FailKind, u64, u64)>,
    order: VecDeque<Key>,
}

impl Negatives {
    pub(crate) fn remember(&mut self, key: &Key, kind: FailKind, now_ms: u64) {
        let ttl_ms = match kind {
            FailKind::NotFound => Self::ABSENT_MS,
            FailKind::Origin | FailKind::Timeout | FailKind::Corrupt => Self::FAILED_MS,
            FailKind::Abandoned => return,
        };
        if self.by_key.insert(key.clone(), (kind, now_ms, now_ms.saturating_add(ttl_ms))).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > Self::MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }

    pub(crate) fn find(&self, key: &Key, now_ms: u64) -> Option<Negative> {
        let (kind, from_ms, until_ms) = *self.by_key.get(key)?;
        // Before it was remembered means that the clock went back: then nothing is known.
        let retry_after_ms = until_ms.checked_sub(now_ms).filter(|left| *left > 0 && now_ms >= from_ms)?;
        Some(Negative { kind, retry_after_ms })
    }

    pub(crate) fn forget(&mut self, key: &Key) {
        // The place in the queue stays and is skipped later; it is bounded like the rest.
        self.by_key.remove(key);
    }

    pub(crate) fn purge(&mut self, scope: &Scope) {
        self.by_key.retain(|key, _| !scope.covers(key));
        self.order.retain(|key| !scope.covers(key));
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The most keys remembered.
    pub(crate) const MAX: usize = 10_000;
    const ABSENT_MS: u64 = 3000;
    const FAILED_MS: u64 = 250;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_remembered_for_seconds_and_a_failure_for_a_moment() {
        let (mut negatives, key) = (Negatives::default(), Key::new([0; 16], "a"));
        for (kind, ttl_ms) in [(FailKind::NotFound, 3000), (FailKind::Origin, 250), (FailKind::Timeout, 250)] {
            negatives.remember(&key, kind, 1000);
            assert_eq!(negatives.find(&key, 1000), Some(Negative { kind, retry_after_ms: ttl_ms }));
            assert_eq!(negatives.find(&key, 1000 + ttl_ms), None);
            assert_eq!(negatives.find(&key, 999), None, "a clock that went back knows nothing");
        }
    }

    #[test]
    fn the_oldest_absence_is_forgotten_when_there_are_too_many() {
        let mut negatives = Negatives::default();
        for n in 0..=Negatives::MAX {
            negatives.remember(&Key::new([0; 16], &n.to_string()), FailKind::NotFound, 0);
        }
        assert_eq!(negatives.len(), Negatives::MAX);
        assert_eq!(negatives.find(&Key::new([0; 16], "0"), 1), None);
    }
}
