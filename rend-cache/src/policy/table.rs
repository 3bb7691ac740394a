//! Id → slot, for lookup only: open addressing that stores four bytes a slot and is never iterated.

/// The keys stay where the slots point; the table asks for them with `key_of`.
#[derive(Debug)]
pub(crate) struct Table {
    cells: Vec<u32>,
    len: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { cells: vec![EMPTY; 16], len: 0 }
    }

    pub(crate) fn find(&self, id: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.cell_of(id, key_of).map(|cell| self.cells[cell])
    }

    /// The id must not be in the table.
    pub(crate) fn insert(&mut self, id: u64, slot: u32, key_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            let old = std::mem::take(&mut self.cells);
            self.cells = vec![EMPTY; old.len() * 2];
            for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
                self.place(key_of(slot), slot);
            }
        }
        self.place(id, slot);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, id: u64, key_of: impl Fn(u32) -> u64) -> Option<u32> {
        let mut hole = self.cell_of(id, &key_of)?;
        let removed = self.cells[hole];
        let mask = self.cells.len() - 1;
        // Close the gap by moving back whatever was pushed past it, so that no tombstones pile up.
        let mut cell = (hole + 1) & mask;
        while self.cells[cell] != EMPTY {
            let home = self.home(key_of(self.cells[cell]));
            if (cell.wrapping_sub(home) & mask) >= (cell.wrapping_sub(hole) & mask) {
                self.cells[hole] = self.cells[cell];
                hole = cell;
            }
            cell = (cell + 1) & mask;
        }
        self.cells[hole] = EMPTY;
        self.len -= 1;
        Some(removed)
    }

    pub(crate) fn footprint(&self) -> usize {
        self.cells.capacity() * size_of::<u32>()
    }

    fn cell_of(&self, id: u64, key_of: impl Fn(u32) -> u64) -> Option<usize> {
        let mask = self.cells.len() - 1;
        let mut cell = self.home(id);
        loop {
            match self.cells[cell] {
                EMPTY => return None,
                slot if key_of(slot) == id => return Some(cell),
                _ => cell = (cell + 1) & mask,
            }
        }
    }

    fn place(&mut self, id: u64, slot: u32) {
        let mask = self.cells.len() - 1;
        let mut cell = self.home(id);
        while self.cells[cell] != EMPTY {
            cell = (cell + 1) & mask;
        }
        self.cells[cell] = slot;
    }

    fn home(&self, id: u64) -> usize {
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - self.cells.len().trailing_zeros())) as usize
    }
}

const EMPTY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_answers_like_a_map(ops in proptest::collection::vec((any::<bool>(), 0_u64..64), 0..400)) {
            // Slot n stands for key n * 0x1_0000, so that homes collide often.
            let key_of = |slot: u32| u64::from(slot) << 16;
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            for (add, n) in ops {
                let (slot, id) = (u32::try_from(n).unwrap(), n << 16);
                if add {
                    if model.insert(id, slot).is_none() {
                        table.insert(id, slot, key_of);
                    }
                } else {
                    prop_assert_eq!(table.remove(id, key_of), model.remove(&id));
                }
                for n in 0..64 {
                    prop_assert_eq!(table.find(n << 16, key_of), model.get(&(n << 16)).copied());
                }
            }
        }
    }
}
