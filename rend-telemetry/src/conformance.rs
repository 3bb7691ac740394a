//! What every adapter of [`SegmentFiles`] must do, one case a function.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "cases fail by panicking")]

use crate::files::{FilesError, SegmentFiles};

/// Bytes stand in the order in which they were appended, in one file as in many.
pub fn a_read_returns_what_was_appended(files: &mut impl SegmentFiles) {
    files.append("a.seg", b"one").unwrap();
    files.append("b.seg", b"other").unwrap();
    files.append("a.seg", b"two").unwrap();
    assert_eq!(files.read("a.seg", 100).unwrap().unwrap(), b"onetwo");
    assert_eq!(files.read("b.seg", 100).unwrap().unwrap(), b"other");
}

/// A read is cut at its bound.
pub fn a_read_stops_at_its_bound(files: &mut impl SegmentFiles) {
    files.append("a", b"abcdef").unwrap();
    assert_eq!(files.read("a", 2).unwrap().unwrap(), b"ab");
    assert_eq!(files.read("a", 0).unwrap().unwrap(), b"");
}

/// What is not there reads as nothing, and may be synced and removed.
pub fn an_absent_file_is_no_error(files: &mut impl SegmentFiles) {
    assert_eq!(files.read("gone", 10).unwrap(), None);
    files.sync("gone").unwrap();
    files.remove("gone").unwrap();
    assert_eq!(files.list().unwrap(), []);
}

/// An empty append makes an empty file.
pub fn an_empty_append_makes_a_file(files: &mut impl SegmentFiles) {
    files.append("a", b"").unwrap();
    assert_eq!(files.list().unwrap(), [("a".to_owned(), 0)]);
    assert_eq!(files.read("a", 10).unwrap().unwrap(), b"");
}

/// The list is sorted by name and tells lengths.
pub fn the_list_is_sorted_and_tells_lengths(files: &mut impl SegmentFiles) {
    for (name, bytes) in [("c", "ccc"), ("a.b-1", "a"), ("b", "")] {
        files.append(name, bytes.as_bytes()).unwrap();
    }
    let expect = [("a.b-1".to_owned(), 1), ("b".to_owned(), 0), ("c".to_owned(), 3)];
    assert_eq!(files.list().unwrap(), expect);
}

/// A removed file is gone, and one of its name begins anew.
pub fn a_removed_file_begins_anew(files: &mut impl SegmentFiles) {
    files.append("a", b"old").unwrap();
    files.sync("a").unwrap();
    files.remove("a").unwrap();
    assert_eq!(files.read("a", 10).unwrap(), None);
    files.append("a", b"new").unwrap();
    files.sync("a").unwrap();
    assert_eq!(files.read("a", 10).unwrap().unwrap(), b"new");
}

/// Syncing, once or again, changes nothing that can be read.
pub fn a_sync_changes_no_content(files: &mut impl SegmentFiles) {
    files.append("a", b"one").unwrap();
    files.sync("a").unwrap();
    files.sync("a").unwrap();
    files.append("a", b"two").unwrap();
    assert_eq!(files.read("a", 10).unwrap().unwrap(), b"onetwo");
}

/// A name that leaves the grammar, such as one that leaves the directory, is refused by every call.
pub fn a_name_outside_the_grammar_is_refused(files: &mut impl SegmentFiles) {
    for name in ["", ".", "..", "../a", "a/b", "A", "a b", "a\\b", "a\0", &"x".repeat(65)] {
        assert!(matches!(files.append(name, b"x"), Err(FilesError::BadName)), "{name:?}");
        assert!(matches!(files.sync(name), Err(FilesError::BadName)), "{name:?}");
        assert!(matches!(files.read(name, 1), Err(FilesError::BadName)), "{name:?}");
        assert!(matches!(files.remove(name), Err(FilesError::BadName)), "{name:?}");
    }
    assert_eq!(files.list().unwrap(), []);
}

/// Declares one `#[test]` a case, each on fresh files from `$make`, whose value is kept until the case ends.
#[macro_export]
macro_rules! segment_files_conformance {
    ($make:expr) => {
        $crate::segment_files_conformance! { @cases $make;
            a_read_returns_what_was_appended
            a_read_stops_at_its_bound
            an_absent_file_is_no_error
            an_empty_append_makes_a_file
            the_list_is_sorted_and_tells_lengths
            a_removed_file_begins_anew
            a_sync_changes_no_content
            a_name_outside_the_grammar_is_refused
        }
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(#[test]
        fn $case() {
            let (mut files, _kept) = $make;
            $crate::conformance::$case(&mut files);
        })+
    };
}
