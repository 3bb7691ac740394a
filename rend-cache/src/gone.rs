//! What became of bodies that are no longer here, or never came to be: a short memory for operators who ask why.

use std::collections::{BTreeMap, VecDeque};

use crate::policy::Id;
use crate::writer::Bypass;

/// Why a body is not stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gone {
    /// Others were worth more.
    Evicted,
    /// It was purged.
    Purged,
    /// Its file was not what it should be, or could not be read.
    Damaged,
    /// It was streamed without being stored.
    Refused(Bypass),
}

impl Gone {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Purged => "purged",
            Self::Damaged => "damaged",
            Self::Refused(_) => "refused",
        }
    }
}

/// At most [`Departed::MAX`] bodies, the oldest forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    by_id: BTreeMap<Id, (Gone, u64, u64)>,
    order: VecDeque<(Id, u64)>,
    count: u64,
}

impl Departed {
    pub(crate) fn note(&mut self, id: Id, why: Gone, now_ms: u64) {
        self.count += 1;
        self.by_id.insert(id, (why, now_ms, self.count));
        self.order.push_back((id, self.count));
        while self.order.len() > Self::MAX {
            let Some((oldest, count)) = self.order.pop_front() else { break };
            // It may have come back and gone again since: then the later time counts.
            if self.by_id.get(&oldest).is_some_and(|(_, _, latest)| *latest == count) {
                self.by_id.remove(&oldest);
            }
        }
    }

    /// Why it went, and for how long it has been gone.
    pub(crate) fn find(&self, id: Id, now_ms: u64) -> Option<(Gone, u64)> {
        let (why, at_ms, _) = self.by_id.get(&id)?;
        Some((*why, now_ms.saturating_sub(*at_ms)))
    }

    const MAX: usize = 4096;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_counts_and_the_oldest_are_forgotten() {
        let mut departed = Departed::default();
        departed.note(Id(0), Gone::Evicted, 5);
        departed.note(Id(1), Gone::Evicted, 6);
        departed.note(Id(0), Gone::Purged, 7);
        assert_eq!(departed.find(Id(0), 10), Some((Gone::Purged, 3)));
        (2..2 + Departed::MAX as u64 - 2).for_each(|n| departed.note(Id(n), Gone::Damaged, 8));
        assert_eq!(departed.find(Id(1), 10), Some((Gone::Evicted, 4)));
        departed.note(Id(u64::MAX), Gone::Damaged, 9);
        assert_eq!(departed.find(Id(1), 10), None);
        assert!(departed.find(Id(0), 10).is_some(), "it went again after that");
        assert!(departed.by_id.len() <= Departed::MAX && departed.order.len() <= Departed::MAX);
    }
}
