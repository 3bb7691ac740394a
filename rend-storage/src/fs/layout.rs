//! Which folder a key is, and what the name of an object's file says.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rend_core::time::Timestamp;

use crate::objects::ObjectMeta;

/// The file of one put of one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// Its place among the puts of its key; the highest counts.
    pub(super) sequence: u64,
    /// What was put.
    pub(super) meta: ObjectMeta,
}

impl Entry {
    /// `@{sequence}-{length}-{sha256}-{milliseconds}-{media type}`, the media type with `:` for `/`: at most 224 bytes.
    pub(super) fn file_name(&self) -> String {
        let ObjectMeta { len, sha256, content_type, modified } = &self.meta;
        let mut name = format!("@{}-{len}-", self.sequence);
        for byte in sha256.unwrap_or_default() {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let _ = write!(name, "-{}-{}", modified.as_millis(), content_type.replace('/', ":"));
        name
    }

    /// Reads back what [`Entry::file_name`] wrote, or `None` for the name of anything else.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix('@')?.splitn(5, '-');
        let sequence = fields.next()?.parse().ok()?;
        let len = fields.next()?.parse().ok()?;
        let sha256 = digest(fields.next()?)?;
        let modified = Timestamp::from_millis(fields.next()?.parse().ok()?);
        let content_type = fields.next()?.replace(':', "/");
        let entry = Self { sequence, meta: ObjectMeta { len, sha256: Some(sha256), content_type, modified } };
        // A name in another spelling would be found, but not removed.
        (entry.file_name() == name).then_some(entry)
    }
}

/// The folder that `key` is, under `objects`.
pub(super) fn folder(objects: &Path, key: &str) -> PathBuf {
    let mut folder = objects.to_owned();
    for part in key.split('/') {
        let mut rest = part;
        while rest.len() > PART_BYTES_MAX {
            // Keys are ASCII, so every place is the start of a character.
            let (head, tail) = rest.split_at(PART_BYTES_MAX);
            folder.push(format!("{head}{MORE}"));
            rest = tail;
        }
        folder.push(rest);
    }
    folder
}

/// Ends the name of a folder that holds only a first piece of a part which is too long for one folder.
pub(super) const MORE: char = '+';

/// Bytes of a part that one folder's name holds. File systems allow 255.
const PART_BYTES_MAX: usize = 200;

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::CONTENT_TYPE_BYTES_MAX;

    #[track_caller]
    fn check(content_type: &str) {
        let meta = ObjectMeta {
            len: u64::MAX,
            sha256: Some([0xa7; 32]),
            content_type: content_type.into(),
            modified: Timestamp::MAX,
        };
        let entry = Entry { sequence: u64::MAX, meta };
        let name = entry.file_name();
        assert!(name.len() <= 255 && !name.contains('/'), "{name}");
        assert_eq!(Entry::parse(&name), Some(entry));
    }

    #[test]
    fn a_name_reads_back_and_fits_a_file_system() {
        check("video/mp4");
        check("application/vnd.apple.mpegurl");
        check("text/vtt; charset=\"utf-8\"");
        check(&"/".repeat(CONTENT_TYPE_BYTES_MAX));
        check("-");
    }

    #[test]
    fn other_names_are_not_objects() {
        let good = Entry::parse(&format!("@1-2-{}-3-a:b", "0".repeat(64)));
        assert!(good.is_some());
        for odd in [
            String::new(),
            "b".into(),
            "@".into(),
            "@1-2-3-4-a:b".into(),
            format!("@01-2-{}-3-a:b", "0".repeat(64)),
            format!("@1-2-{}-3-a:b", "A".repeat(64)),
            format!("@1-2-{}-3", "0".repeat(64)),
            format!("@+1-2-{}-3-a:b", "0".repeat(64)),
        ] {
            assert_eq!(Entry::parse(&odd), None, "{odd}");
        }
    }

    #[test]
    fn every_key_has_a_folder_whose_names_fit() {
        let key = "x".repeat(512);
        let folder = folder(Path::new("r"), &key);
        let names: Vec<_> = folder.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        assert!(names.iter().all(|name| name.len() <= 255));
        assert_eq!(names[1..].concat().replace(MORE, ""), key);
    }
}
