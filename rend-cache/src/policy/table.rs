//! Id → slot, for lookup only, and never iterated.

use hashbrown::HashTable;

/// The keys stay where the slots point; the table asks for them with `key_of`.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: HashTable<u32>,
}

impl Table {
    #[inline]
    pub(crate) fn find(&self, id: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.slots.find(hash(id), |slot| key_of(*slot) == id).copied()
    }

    /// The id must not be in the table.
    #[inline]
    pub(crate) fn insert(&mut self, id: u64, slot: u32, key_of: impl Fn(u32) -> u64) {
        self.slots.insert_unique(hash(id), slot, |slot| hash(key_of(*slot)));
    }

    pub(crate) fn reserve(&mut self, more: usize, key_of: impl Fn(u32) -> u64) {
        self.slots.reserve(more, |slot| hash(key_of(*slot)));
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        let found = self.slots.find_entry(hash(id), |slot| key_of(*slot) == id).ok()?;
        Some(found.remove().0)
    }

    pub(crate) fn footprint(&self) -> usize {
        self.slots.allocation_size()
    }
}

/// Both halves of a product depend on all bits of the id, and the table looks at both ends of the hash.
#[inline]
const fn hash(id: u64) -> u64 {
    let product = id as u128 * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_answers_like_a_map(ops in proptest::collection::vec((any::<bool>(), 0_u64..64), 0..400)) {
            let key_of = |slot: u32| u64::from(slot) << 57;
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for (add, n) in ops {
                let (slot, id) = (u32::try_from(n).unwrap(), n << 57);
                if add {
                    if model.insert(id, slot).is_none() {
                        table.insert(id, slot, key_of);
                    }
                } else {
                    prop_assert_eq!(table.remove(id, key_of), model.remove(&id));
                }
                for n in 0..64 {
                    prop_assert_eq!(table.find(n << 57, key_of), model.get(&(n << 57)).copied());
                }
            }
        }
    }

    #[test]
    fn ids_that_differ_in_few_bits_spread_over_both_ends_of_the_hash() {
        for step in [0, 12, 32, 48] {
            let hashes: Vec<u64> = (0..256).map(|n: u64| hash(n << step)).collect();
            let distinct =
                |of: fn(&u64) -> u64| hashes.iter().map(of).collect::<std::collections::BTreeSet<u64>>().len();
            assert!(distinct(|hash| hash & 0xff) > 100 && distinct(|hash| hash >> 57) > 60, "{step}");
        }
    }
}
