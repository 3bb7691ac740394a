//! Which folders were looked at.

/// One bit for each of the 65,536 folders of files.
#[derive(Clone, Debug)]
pub(super) struct Leaves {
    bits: Box<[u64]>,
    missing: u32,
    /// All words before this one are full.
    from: usize,
}

impl Leaves {
    /// None of them.
    pub(super) fn none() -> Self {
        Self { bits: vec![0; LEAVES / 64].into_boxed_slice(), missing: LEAVES as u32, from: 0 }
    }

    pub(super) fn has(&self, leaf: u16) -> bool {
        self.missing == 0 || self.bits[usize::from(leaf) / 64] & (1 << (leaf % 64)) != 0
    }

    /// Says whether it was missing.
    pub(super) fn add(&mut self, leaf: u16) -> bool {
        let (word, bit) = (&mut self.bits[usize::from(leaf) / 64], 1 << (leaf % 64));
        let missing = *word & bit == 0;
        *word |= bit;
        self.missing -= u32::from(missing);
        missing
    }

    /// Adds all that are not in `other`.
    pub(super) fn add_all_but(&mut self, other: &Self) {
        for (word, others) in self.bits.iter_mut().zip(&other.bits) {
            *word |= !others;
        }
        let full: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        self.missing = LEAVES as u32 - full;
    }

    /// How many are missing.
    pub(super) const fn missing(&self) -> u32 {
        self.missing
    }

    /// One that is missing.
    pub(super) fn next_missing(&mut self) -> Option<u16> {
        let after = self.bits[self.from..].iter().position(|word| *word != u64::MAX)?;
        self.from += after;
        let leaf = self.from * 64 + (!self.bits[self.from]).trailing_zeros() as usize;
        u16::try_from(leaf).ok()
    }
}

/// One for each value of the first 16 bits of a hash.
const LEAVES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_the_rest_is_missing() {
        let mut leaves = Leaves::none();
        assert!(leaves.add(0) && leaves.add(65_535) && leaves.add(64) && !leaves.add(64));
        assert_eq!((leaves.missing(), leaves.next_missing()), (65_533, Some(1)));
        let mut to_look_at = Leaves::none();
        [3, 64, 9000].iter().for_each(|leaf| _ = to_look_at.add(*leaf));
        leaves.add_all_but(&to_look_at);
        assert_eq!((leaves.missing(), leaves.next_missing()), (2, Some(3)));
        assert!(leaves.add(3) && leaves.add(9000) && leaves.next_missing().is_none());
        assert!((0..=u16::MAX).all(|leaf| leaves.has(leaf)));
    }
}
