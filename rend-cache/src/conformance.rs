//! What every adapter of the files port must do.
//!
//! ```ignore
//! rend_cache::files_conformance!(memory, || (rend_cache::memory::MemoryFiles::shared(), ()));
//! ```
//!
//! The expression makes an empty place and whatever has to live as long as it, a temporary folder for example.

#![expect(clippy::missing_panics_doc, reason = "a case of a suite fails by panicking")]

use std::io;
use std::sync::Arc;

use crate::files::{CacheFiles, FileName};
use crate::key::Generation;

/// Mounts every case as a test of its own in a module of the given name.
#[macro_export]
macro_rules! files_conformance {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;
            $crate::files_conformance!(@cases $make;
                a_draft_is_invisible_until_it_is_published
                a_dropped_draft_leaves_nothing
                a_draft_can_be_read_while_it_grows_and_after_it_is_gone
                publishing_over_a_name_replaces_what_stands_there
                an_opened_file_stays_readable_after_it_is_removed
                removing_what_is_not_there_succeeds
                removals_are_synced_as_often_as_asked
                opening_what_is_not_there_says_so
                a_scan_lists_one_folder_and_nothing_else
                the_folders_with_files_are_among_those_named
                an_empty_body_and_a_large_one_come_back_whole
                the_journal_gives_back_what_was_appended
                a_replaced_journal_goes_on_from_there
                a_journal_cut_short_goes_on_from_there
                a_footer_is_what_stands_behind_the_body
                a_noted_epoch_is_known_again
                there_is_space
            );
        }
    };
    (@cases $make:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let (files, _keep) = $make();
                $crate::conformance::$case(files);
            }
        )*
    };
}

fn name(leaf: u16, len: u64, generation: u64) -> FileName {
    FileName { hash: u128::from(leaf) << 112 | 0x5eed, len, generation: Generation(generation) }
}

#[track_caller]
fn put<F: CacheFiles + ?Sized>(files: &F, name: &FileName, bytes: &[u8]) {
    let mut draft = expect(files.create());
    expect(draft.write_at(0, bytes));
    expect(draft.publish(name));
}

#[track_caller]
fn expect<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("the adapter must not fail here: {error}"))
}

/// Neither open nor scan shows a draft.
pub fn a_draft_is_invisible_until_it_is_published<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let name = name(3, 5, 1);
    let mut draft = expect(files.create());
    expect(draft.write_at(0, b"hello"));
    assert!(files.open(&name).is_err());
    assert_eq!(expect(files.scan(3)), []);
    expect(draft.publish(&name));
    assert_eq!(&expect(files.open(&name)).bytes[..], b"hello");
    assert_eq!(expect(files.scan(3)), [name]);
}

/// Dropping is aborting.
pub fn a_dropped_draft_leaves_nothing<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let mut draft = expect(files.create());
    expect(draft.write_at(0, b"hello"));
    drop(draft);
    assert!((0..=u16::MAX).step_by(257).all(|leaf| expect(files.scan(leaf)).is_empty()));
}

/// The reader outlives the draft, published or not.
pub fn a_draft_can_be_read_while_it_grows_and_after_it_is_gone<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let mut draft = expect(files.create());
    let reader = draft.reader();
    expect(draft.write_at(0, b"hello "));
    assert_eq!(&expect(reader.read_at(1, 4))[..], b"ello");
    expect(draft.write_at(6, b"world"));
    expect(draft.publish(&name(1, 11, 1)));
    assert_eq!(&expect(reader.read_at(4, 7))[..], b"o world");
    assert!(reader.read_at(8, 9).is_err(), "more than was written");
    let mut draft = expect(files.create());
    let reader = draft.reader();
    expect(draft.write_at(0, b"gone"));
    drop(draft);
    assert_eq!(&expect(reader.read_at(0, 4))[..], b"gone");
}

/// Last one wins, whole.
pub fn publishing_over_a_name_replaces_what_stands_there<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let name = name(9, 3, 1);
    put(&*files, &name, b"one");
    put(&*files, &name, b"two");
    assert_eq!(&expect(files.open(&name)).bytes[..], b"two");
    assert_eq!(expect(files.scan(9)), [name]);
}

/// As an unlinked inode does.
pub fn an_opened_file_stays_readable_after_it_is_removed<F: CacheFiles + ?Sized>(files: Arc<F>) {
    for len in [10_usize, 300_000] {
        let name = name(7, len as u64, 1);
        let body: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        put(&*files, &name, &body);
        let opened = expect(files.open(&name));
        expect(files.remove(&name));
        assert!(opened.bytes == body);
        assert_eq!(files.open(&name).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
        assert_eq!(expect(files.scan(7)), []);
    }
}

/// So that it can be repeated.
pub fn removing_what_is_not_there_succeeds<F: CacheFiles + ?Sized>(files: Arc<F>) {
    expect(files.remove(&name(1, 1, 1)));
}

/// With much, little and nothing to sync, in folders that are there and in one that never was.
pub fn removals_are_synced_as_often_as_asked<F: CacheFiles + ?Sized>(files: Arc<F>) {
    expect(files.sync_removed());
    let names = [name(1, 1, 1), name(1, 1, 2), name(2, 1, 1)];
    names.iter().for_each(|name| put(&*files, name, b"x"));
    expect(files.remove(&names[0]));
    expect(files.remove(&name(77, 1, 1)));
    (0..2).for_each(|_| expect(files.sync_removed()));
    assert!(expect(files.scan(1)) == names[1..2] && expect(files.scan(2)) == names[2..]);
}

/// And not in another way.
pub fn opening_what_is_not_there_says_so<F: CacheFiles + ?Sized>(files: Arc<F>) {
    assert_eq!(files.open(&name(1, 1, 1)).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
}

/// The neighbours on both sides, and other lengths and generations of one key.
pub fn a_scan_lists_one_folder_and_nothing_else<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let names = [name(4, 1, 1), name(5, 1, 1), name(5, 1, 2), name(5, 2, 1), name(6, 1, 1), name(0xffff, 1, 1)];
    names.iter().for_each(|name| put(&*files, name, b"x"));
    let mut found = expect(files.scan(5));
    found.sort_unstable();
    assert_eq!(found, [name(5, 1, 1), name(5, 1, 2), name(5, 2, 1)]);
    assert_eq!(expect(files.scan(0xffff)), [name(0xffff, 1, 1)]);
}

/// A start looks at no others.
pub fn the_folders_with_files_are_among_those_named<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let leaves = [0, 0x00ff, 0x0100, 0xfffe];
    leaves.iter().for_each(|leaf| put(&*files, &name(*leaf, 1, 1), b"x"));
    let named = expect(files.leaves());
    assert!(leaves.iter().all(|leaf| named.contains(leaf)), "{} folders are named", named.len());
}

/// Below, at and above the sizes at which an adapter may change its ways.
pub fn an_empty_body_and_a_large_one_come_back_whole<F: CacheFiles + ?Sized>(files: Arc<F>) {
    for len in [0_usize, 1, 65_535, 65_536, 65_537, 3 << 20] {
        let name = name(2, len as u64, 1);
        let body: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
        let mut draft = expect(files.create());
        for (n, chunk) in body.chunks(100_000).enumerate() {
            expect(draft.write_at(n as u64 * 100_000, chunk));
        }
        expect(draft.sync());
        expect(draft.publish(&name));
        let opened = expect(files.open(&name));
        assert!(opened.bytes == body, "{len}");
    }
}

/// In order; an absent one is empty.
pub fn the_journal_gives_back_what_was_appended<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let journal = files.journal();
    assert_eq!(expect(journal.read()), b"");
    expect(journal.append(b"one"));
    expect(journal.append(b"two"));
    expect(journal.sync());
    assert_eq!(expect(journal.read()), b"onetwo");
}

/// Appending after replacing appends to the new one.
pub fn a_replaced_journal_goes_on_from_there<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let journal = files.journal();
    expect(journal.append(b"old"));
    expect(journal.replace(b"new"));
    expect(journal.append(b"er"));
    assert_eq!(expect(journal.read()), b"newer");
}

/// As after a crash that left half a record.
pub fn a_journal_cut_short_goes_on_from_there<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let journal = files.journal();
    expect(journal.append(b"whole half"));
    expect(journal.cut(6));
    expect(journal.append(b"again"));
    expect(journal.sync());
    assert_eq!(expect(journal.read()), b"whole again");
}

/// Up to the length that is asked for.
pub fn a_footer_is_what_stands_behind_the_body<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let name = name(8, 5, 1);
    put(&*files, &name, b"hello and more");
    assert_eq!(&expect(files.footer(&name, 100))[..], b" and more");
    assert_eq!(&expect(files.footer(&name, 4))[..], b" and");
    let short = FileName { len: 50, ..name };
    put(&*files, &short, b"hello");
    assert_eq!(files.footer(&short, 100).map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    let absent = FileName { len: 7, ..name };
    assert_eq!(files.footer(&absent, 1).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
}

/// Or nothing is, when the adapter does not note epochs.
pub fn a_noted_epoch_is_known_again<F: CacheFiles + ?Sized>(files: Arc<F>) {
    assert_eq!(expect(files.noted_epoch()), None);
    for epoch in [1, 2, 0x0102_0304] {
        expect(files.note_epoch(epoch));
        let noted = expect(files.noted_epoch());
        assert!(noted.is_none_or(|noted| noted == epoch), "{noted:?}");
    }
}

/// On the machine that runs the test.
pub fn there_is_space<F: CacheFiles + ?Sized>(files: Arc<F>) {
    let space = expect(files.space());
    assert!(space.bytes > 0 && space.files > 0);
}
