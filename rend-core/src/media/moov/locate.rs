//! Where in a file its description lies.

use std::ops::Range;

use super::MOOV_BYTES_MAX;

/// Where a file's description is, as far as the bytes at hand tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// Here: the whole box.
    At(Range<u64>),
    /// The next box starts here; its header has to be looked at.
    Look(u64),
    /// There is none, or none that can be read.
    Nowhere(&'static str),
}

/// Looks for the description from the box that starts at `at`, given the `bytes` that are there and how long the file is.
///
/// Every answer of [`Place::Look`] is further on in the file than `at`.
pub fn locate(at: u64, bytes: &[u8], file_len: u64) -> Place {
    let mut place = at;
    loop {
        let Some(left) = file_len.checked_sub(place).filter(|left| *left >= 8) else {
            return Place::Nowhere("it has no description");
        };
        let here = usize::try_from(place - at).ok().and_then(|skip| bytes.get(skip..)).unwrap_or_default();
        let (Some(short), Some(kind)) = (here.first_chunk::<4>(), here.get(4..8)) else {
            return if place > at { Place::Look(place) } else { Place::Nowhere("it ends within a header") };
        };
        let len = match u32::from_be_bytes(*short) {
            0 => left,
            1 => match here.get(8..16).and_then(|long| long.first_chunk::<8>()) {
                Some(long) => u64::from_be_bytes(*long),
                None if place > at => return Place::Look(place),
                None => return Place::Nowhere("it ends within a header"),
            },
            len => u64::from(len),
        };
        if len < 8 {
            return Place::Nowhere("a box is shorter than its header");
        }
        let Some(end) = place.checked_add(len) else { return Place::Nowhere("a box has no end") };
        if kind == b"moov" {
            return if end > file_len {
                Place::Nowhere("its description is cut short")
            } else if len > MOOV_BYTES_MAX {
                Place::Nowhere("its description is too large")
            } else {
                Place::At(place..end)
            };
        }
        place = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(body + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(kind);
        bytes.resize(body + 8, 0);
        bytes
    }

    #[test]
    fn a_description_is_found_in_front_and_behind() {
        let front = [boxed(b"ftyp", 8), boxed(b"moov", 100), boxed(b"mdat", 5000)].concat();
        assert_eq!(locate(0, &front[..64], front.len() as u64), Place::At(16..124));
        let behind = [boxed(b"ftyp", 8), boxed(b"mdat", 5000), boxed(b"moov", 100)].concat();
        let len = behind.len() as u64;
        assert_eq!(locate(0, &behind[..64], len), Place::Look(5024));
        assert_eq!(locate(5024, &behind[5024..], len), Place::At(5024..5132));
    }

    #[test]
    fn a_description_that_can_not_be_whole_is_not_read() {
        let whole = [boxed(b"ftyp", 8), boxed(b"moov", 100)].concat();
        assert!(matches!(locate(0, &whole, whole.len() as u64 - 1), Place::Nowhere(_)));
        assert!(matches!(locate(0, &boxed(b"mdat", 8), 16), Place::Nowhere(_)));
        let mut huge = boxed(b"moov", 100);
        huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(locate(0, &huge, u64::MAX), Place::Nowhere(_)));
    }

    proptest! {
        #[test]
        fn looking_goes_forward(at in 0_u64..1000, bytes in proptest::collection::vec(any::<u8>(), 0..64), len in any::<u64>()) {
            if let Place::Look(next) = locate(at, &bytes, len) {
                prop_assert!(next > at && next < len);
            }
        }
    }
}
