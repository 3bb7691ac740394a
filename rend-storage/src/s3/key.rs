//! Where an object lies in the bucket.
//!
//! ```text
//! {prefix}{key}
//! ```
//!
//! Some servers keep keys as folders and files, whose names hold at most 255 bytes. A part of a key that is longer than
//! [`PART_BYTES_MAX`] is cut, and each piece but the last ends with `+`, which no part of a key can hold. Keys that Rend
//! makes are all shorter, so they stand in the bucket as they are.

use rend_core::artifact::ObjectKey;

/// The name in the bucket of `key`, without the store's prefix.
pub(super) fn stored(key: &ObjectKey) -> String {
    cut(key.as_str())
}

/// The name in the bucket that the names of all keys beginning with `prefix` begin with.
pub(super) fn stored_prefix(prefix: &str) -> String {
    cut(prefix)
}

/// The part of a key that `name`, the last part of a name in the bucket, is a piece of, if it is one that goes on.
pub(super) fn piece(name: &str) -> Option<&str> {
    name.strip_suffix(MORE)
}

fn cut(key: &str) -> String {
    if key.len() <= PART_BYTES_MAX {
        return key.to_owned();
    }
    let mut name = String::with_capacity(key.len() + 8);
    for (n, part) in key.split('/').enumerate() {
        if n > 0 {
            name.push('/');
        }
        let mut rest = part;
        while rest.len() > PART_BYTES_MAX {
            // Keys are ASCII, so every place is the start of a character.
            let (head, tail) = rest.split_at(PART_BYTES_MAX);
            name.push_str(head);
            name.push(MORE);
            name.push('/');
            rest = tail;
        }
        name.push_str(rest);
    }
    name
}

/// Bytes that one part of a name may have.
pub(super) const PART_BYTES_MAX: usize = 200;
/// Ends a piece that another follows.
const MORE: char = '+';

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, expect: &str) {
        assert_eq!(stored(&key.parse().unwrap()), expect);
        assert_eq!(expect.replace("+/", ""), key);
        assert!(expect.split('/').all(|part| part.len() <= 255));
    }

    #[test]
    fn a_key_is_its_own_name_and_long_parts_are_cut() {
        check("assets/0190-a/hls/720p/segment_00001.m4s", "assets/0190-a/hls/720p/segment_00001.m4s");
        let x = "x".repeat(200);
        check(&x, &x);
        check(&format!("{x}y"), &format!("{x}+/y"));
        check(&format!("a/{x}{x}/b"), &format!("a/{x}+/{x}/b"));
        check(&format!("{x}/{x}-"), &format!("{x}/{x}+/-"));
        check(&"z".repeat(512), &format!("{z}+/{z}+/{}", "z".repeat(112), z = "z".repeat(200)));
        check(&("a/".repeat(255) + "a"), &("a/".repeat(255) + "a"));
    }
}
