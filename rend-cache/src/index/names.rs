//! What many entries share, told by number: assets, and names that differ in one number only.
//!
//! A name is cut at its longest run of digits: `hls/720p/segment_00012.m4s` is the number 12, written with five digits, in the
//! pattern `hls/720p/segment_` … `.m4s`, and an asset's hundred segments share that pattern with those of every other asset. A name
//! that shares its pattern with no other costs about 60 bytes and itself.

use hashbrown::HashTable;

use super::NONE;
use crate::key::KeyHasher;

/// A name: its pattern and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pattern: u32,
    number: u32,
}

/// The patterns of all names in the index, counted.
#[derive(Debug, Default)]
pub(super) struct Names {
    patterns: Vec<Pattern>,
    // For lookup only, and never iterated.
    table: HashTable<u32>,
    free: Vec<u32>,
    /// The one used last: names of one asset come together.
    last: u32,
}

#[derive(Debug)]
struct Pattern {
    /// What stands before the number and behind it.
    text: Box<str>,
    cut: u16,
    digits: u8,
    used: u32,
}

/// A name, cut.
#[derive(Clone, Copy, Debug)]
struct Cut<'a> {
    before: &'a str,
    behind: &'a str,
    digits: u8,
    number: u32,
}

impl<'a> Cut<'a> {
    fn of(name: &'a str) -> Self {
        let (mut start, mut len) = (0, 0);
        let (mut from, mut run) = (0, 0);
        for (at, byte) in name.bytes().enumerate() {
            if byte.is_ascii_digit() {
                (from, run) = if run == 0 { (at, 1) } else { (from, run + 1) };
                // Among the longest the last, because names count towards their end.
                if run >= len {
                    (start, len) = (from, run);
                }
            } else {
                run = 0;
            }
        }
        // Nine digits always fit the number; more stay with the pattern.
        let digits = len.min(DIGITS_MAX);
        let from = start + len - digits;
        let number = name[from..from + digits].bytes().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        Self { before: &name[..from], behind: &name[from + digits..], digits: digits as u8, number }
    }
}

impl Pattern {
    fn before(&self) -> &str {
        &self.text[..usize::from(self.cut)]
    }

    fn behind(&self) -> &str {
        &self.text[usize::from(self.cut)..]
    }

    fn fits(&self, cut: &Cut<'_>) -> bool {
        self.used > 0 && self.digits == cut.digits && self.before() == cut.before && self.behind() == cut.behind
    }

    fn hash(&self) -> u64 {
        hash(self.before(), self.behind(), self.digits)
    }
}

impl Names {
    /// The place of a name, counted once more.
    pub(super) fn take(&mut self, name: &str) -> Place {
        let cut = Cut::of(name);
        let pattern = self.pattern(&cut);
        self.patterns[pattern as usize].used += 1;
        self.last = pattern;
        Place { pattern, number: cut.number }
    }

    /// The name at `place` is used once less.
    pub(super) fn leave(&mut self, place: Place) {
        let pattern = &mut self.patterns[place.pattern as usize];
        pattern.used -= 1;
        if pattern.used > 0 {
            return;
        }
        let hash = pattern.hash();
        pattern.text = Box::default();
        pattern.cut = 0;
        if let Ok(found) = self.table.find_entry(hash, |at| *at == place.pattern) {
            found.remove();
        }
        self.free.push(place.pattern);
    }

    /// Whether the name at `place` is this one.
    pub(super) fn is(&self, place: Place, name: &str) -> bool {
        let pattern = &self.patterns[place.pattern as usize];
        let digits = usize::from(pattern.digits);
        let middle = name.strip_prefix(pattern.before()).and_then(|rest| rest.strip_suffix(pattern.behind()));
        middle.is_some_and(|middle| {
            let number = |sum: Option<u32>, byte: u8| {
                byte.is_ascii_digit().then(|| sum.map(|sum| sum * 10 + u32::from(byte - b'0')))?
            };
            middle.len() == digits && middle.bytes().fold(Some(0), number) == Some(place.number)
        })
    }

    /// Appends the name at `place`.
    pub(super) fn write(&self, place: Place, out: &mut String) {
        let pattern = &self.patterns[place.pattern as usize];
        out.push_str(pattern.before());
        let (digits, from) = written(place.number, pattern.digits);
        digits[from..].iter().for_each(|digit| out.push(char::from(*digit)));
        out.push_str(pattern.behind());
    }

    /// The hash of the key with the name at `place`.
    pub(super) fn hash(&self, place: Place, group: &[u8; 16]) -> u128 {
        let pattern = &self.patterns[place.pattern as usize];
        let (digits, from) = written(place.number, pattern.digits);
        let mut hasher = KeyHasher::new(group);
        hasher.push(pattern.before().as_bytes());
        hasher.push(&digits[from..]);
        hasher.push(pattern.behind().as_bytes());
        hasher.finish()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.patterns.len() - self.free.len()
    }

    fn pattern(&mut self, cut: &Cut<'_>) -> u32 {
        if self.patterns.get(self.last as usize).is_some_and(|last| last.fits(cut)) {
            return self.last;
        }
        let hash = hash(cut.before, cut.behind, cut.digits);
        if let Some(found) = self.table.find(hash, |at| self.patterns[*at as usize].fits(cut)) {
            return *found;
        }
        let text = [cut.before, cut.behind].concat().into_boxed_str();
        let cut_at = u16::try_from(cut.before.len()).unwrap_or(u16::MAX);
        let pattern = Pattern { text, cut: cut_at, digits: cut.digits, used: 0 };
        let at = match self.free.pop() {
            Some(at) => {
                self.patterns[at as usize] = pattern;
                at
            }
            None => {
                self.patterns.push(pattern);
                u32::try_from(self.patterns.len() - 1).unwrap_or(NONE)
            }
        };
        self.table.insert_unique(hash, at, |at| self.patterns[*at as usize].hash());
        at
    }
}

/// The number with leading zeros, and where in the array it begins.
fn written(mut number: u32, digits: u8) -> ([u8; DIGITS_MAX], usize) {
    let mut out = [b'0'; DIGITS_MAX];
    let from = DIGITS_MAX - usize::from(digits);
    for digit in out[from..].iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    (out, from)
}

fn hash(before: &str, behind: &str, digits: u8) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = before.bytes().chain([digits]).chain(behind.bytes()).fold(0xcbf2_9ce4_8422_2325, mix);
    spread(hash)
}

/// The table looks at both ends of a hash.
const fn spread(hash: u64) -> u64 {
    let product = hash as u128 * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}

/// The assets with entries, counted, each with the first of its entries.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    // For lookup only, and never iterated.
    table: HashTable<u32>,
    free: Vec<u32>,
    last: u32,
}

#[derive(Debug)]
struct Group {
    bytes: [u8; 16],
    head: u32,
    used: u32,
}

impl Groups {
    pub(super) fn bytes(&self, group: u32) -> [u8; 16] {
        self.all[group as usize].bytes
    }

    pub(super) fn find(&self, bytes: [u8; 16]) -> Option<u32> {
        self.table.find(group_hash(&bytes), |at| self.all[*at as usize].bytes == bytes).copied()
    }

    /// The number of an asset, counted once more.
    pub(super) fn take(&mut self, bytes: [u8; 16]) -> u32 {
        let last = self.all.get(self.last as usize).is_some_and(|last| last.used > 0 && last.bytes == bytes);
        let at = match if last { Some(self.last) } else { self.find(bytes) } {
            Some(at) => at,
            None => self.add(bytes),
        };
        self.all[at as usize].used += 1;
        self.last = at;
        at
    }

    /// The asset has one entry less.
    pub(super) fn leave(&mut self, group: u32) {
        let gone = &mut self.all[group as usize];
        gone.used -= 1;
        if gone.used == 0 {
            let hash = group_hash(&gone.bytes);
            if let Ok(found) = self.table.find_entry(hash, |at| *at == group) {
                found.remove();
            }
            self.free.push(group);
        }
    }

    pub(super) fn head(&self, group: u32) -> u32 {
        self.all[group as usize].head
    }

    pub(super) fn set_head(&mut self, group: u32, head: u32) {
        self.all[group as usize].head = head;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    fn add(&mut self, bytes: [u8; 16]) -> u32 {
        let group = Group { bytes, head: NONE, used: 0 };
        let at = match self.free.pop() {
            Some(at) => {
                self.all[at as usize] = group;
                at
            }
            None => {
                self.all.push(group);
                u32::try_from(self.all.len() - 1).unwrap_or(NONE)
            }
        };
        self.table.insert_unique(group_hash(&bytes), at, |at| group_hash(&self.all[*at as usize].bytes));
        at
    }
}

fn group_hash(bytes: &[u8; 16]) -> u64 {
    let both = u128::from_le_bytes(*bytes);
    spread((both >> 64) as u64 ^ spread(both as u64))
}

const DIGITS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(name: &str, expect: (&str, &str, u8, u32)) {
        let cut = Cut::of(name);
        assert_eq!((cut.before, cut.behind, cut.digits, cut.number), expect, "{name}");
    }

    #[test]
    fn a_name_is_cut_at_its_longest_run_of_digits() {
        check("hls/720p/segment_00012.m4s", ("hls/720p/segment_", ".m4s", 5, 12));
        check("hls/1080p/init_1080p.mp4", ("hls/1080p/init_", "p.mp4", 4, 1080));
        check("poster.jpg", ("", "poster.jpg", 0, 0));
        check("", ("", "", 0, 0));
        check("0", ("", "", 1, 0));
        check("a12345678901b", ("a12", "b", 9, 345_678_901));
        check("ü7", ("ü", "", 1, 7));
    }

    proptest! {
        #[test]
        fn a_name_comes_back_as_it_was_and_is_taken_for_no_other(names in proptest::collection::vec("[a0-2é/]{0,14}", 1..40)) {
            let mut all = Names::default();
            let places: Vec<Place> = names.iter().map(|name| all.take(name)).collect();
            for (name, place) in names.iter().zip(&places) {
                let mut written = String::new();
                all.write(*place, &mut written);
                prop_assert_eq!(&written, name);
                for other in &names {
                    prop_assert_eq!(all.is(*place, other), other == name);
                }
                let mut hasher = KeyHasher::new(&[3; 16]);
                hasher.push(name.as_bytes());
                prop_assert_eq!(all.hash(*place, &[3; 16]), hasher.finish());
            }
            places.into_iter().for_each(|place| all.leave(place));
            prop_assert_eq!(all.len(), 0);
        }
    }
}
