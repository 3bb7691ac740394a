//! Every order in which threads can meet in a fill: no wake-up is lost, no body is taken for whole that is not, no permit is given twice.
//!
//! The fill's own source is compiled here once more, with locks and counters that let every interleaving happen in turn. A thread
//! that would sleep for ever ends the test.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use loom::future::block_on;
use loom::thread;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}
mod error {
    pub(crate) use rend_cache::FillError;
}
mod files {
    pub(crate) use rend_cache::files::ReadAt;
}
mod key {
    pub(crate) use rend_cache::{Generation, Key, KeyMeta};
}
#[expect(dead_code, unreachable_pub, reason = "in its own crate all of it is used, and some of it exported")]
#[path = "../src/fill.rs"]
mod fill;

use error::FillError;
use fill::{Fill, FillReader, Head, Permit};
use key::{Generation, Key, KeyMeta};
use sync::AtomicUsize;

/// A fill whose window holds as much as one push.
fn new_fill() -> Arc<Fill> {
    let key = Key::new([1; 16], "a");
    Arc::new(Fill::new(key, KeyMeta::segment(0, None), Generation(1), false, [PART, PART]))
}

fn reader(fill: &Arc<Fill>) -> FillReader {
    let permit = Permit::take(&Arc::new(AtomicUsize::new(0)), 1);
    let Some(permit) = permit else { panic!("nobody else reads") };
    fill.follow(permit)
}

/// Reads to the end, asleep whenever there is nothing.
fn read(reader: &mut FillReader) -> Result<usize, FillError> {
    block_on(async {
        let mut len = 0;
        while let Some(chunk) = reader.chunk().await {
            len += chunk?.len();
        }
        Ok(len)
    })
}

fn part() -> Bytes {
    Bytes::from_static(&[7; PART])
}

/// All interleavings with at most so many switches that no lock asked for.
fn explore(switches_max: usize, story: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches_max);
    model.check(story);
}

#[test]
fn whoever_reads_is_woken_for_the_head_each_part_and_the_end() {
    explore(3, || {
        let fill = new_fill();
        let mut reader = reader(&fill);
        let reads = thread::spawn(move || {
            assert!(block_on(reader.head()).is_ok());
            assert_eq!(read(&mut reader), Ok(PART));
        });
        fill.announce(Head::new("\"e\"", "x"), None);
        fill.publish(part(), false);
        fill.end(Ok(PART as u64));
        let _ = reads.join();
        assert_eq!(fill.readers(), 0);
    });
}

#[test]
fn of_two_readers_each_gets_all_whenever_the_other_leaves() {
    explore(2, || {
        let fill = new_fill();
        let (mut one, other) = (reader(&fill), reader(&fill));
        let reads = thread::spawn(move || assert_eq!(read(&mut one), Ok(PART)));
        let leaves = thread::spawn(move || drop(other));
        fill.publish(part(), false);
        fill.end(Ok(PART as u64));
        let _ = (reads.join(), leaves.join());
        assert_eq!(fill.readers(), 0);
    });
}

#[test]
fn a_take_down_at_any_moment_ends_a_reader_with_it_or_after_the_last_byte() {
    explore(3, || {
        let fill = new_fill();
        let mut reader = reader(&fill);
        let taken_down = Arc::clone(&fill);
        let takes_down = thread::spawn(move || taken_down.revoke(FillError::Purged));
        let reads = thread::spawn(move || {
            let end = read(&mut reader);
            assert!(end == Ok(PART) || end == Err(FillError::Purged), "{end:?}");
            // Asking again does not turn an error into an end.
            assert_eq!(read(&mut reader).is_err(), end.is_err());
        });
        fill.publish(part(), false);
        fill.end(Ok(PART as u64));
        let _ = (takes_down.join(), reads.join());
        assert_eq!(fill.ended(), Some(Err(FillError::Purged)), "whatever came first");
    });
}

#[test]
fn a_writer_without_a_file_goes_on_when_its_reader_does_and_when_it_leaves() {
    for leaves in [false, true] {
        explore(3, move || {
            let fill = new_fill();
            let mut reader = reader(&fill);
            let reads = thread::spawn(move || {
                if leaves {
                    drop(reader);
                } else {
                    assert_eq!(read(&mut reader), Ok(2 * PART));
                }
            });
            for _ in 0..2 {
                block_on(std::future::poll_fn(|cx| fill.poll_ready(cx)));
                fill.publish(part(), false);
            }
            fill.end(Ok(2 * PART as u64));
            let _ = reads.join();
        });
    }
}

#[test]
fn the_end_of_a_fill_wakes_a_writer_that_waits_for_its_reader() {
    explore(3, || {
        let fill = new_fill();
        let slow = reader(&fill);
        fill.publish(part(), false);
        let ended = Arc::clone(&fill);
        let ends = thread::spawn(move || ended.end(Err(FillError::Closed)));
        block_on(std::future::poll_fn(|cx| fill.poll_ready(cx)));
        let _ = ends.join();
        drop(slow);
    });
}

#[test]
fn two_who_ask_for_the_last_permit_do_not_both_get_it() {
    explore(3, || {
        let count = Arc::new(AtomicUsize::new(0));
        let others = Arc::clone(&count);
        let asks = thread::spawn(move || Permit::take(&others, 1));
        let own = Permit::take(&count, 1);
        let other = asks.join().unwrap_or_default();
        assert!(own.is_some() != other.is_some(), "one of them has it");
        drop((own, other));
        assert!(Permit::take(&count, 1).is_some(), "it is free again");
    });
}

#[test]
fn a_reader_that_is_polled_again_before_it_is_woken_is_woken_all_the_same() {
    explore(3, || {
        let fill = new_fill();
        let mut reader = reader(&fill);
        let writer = Arc::clone(&fill);
        let writes = thread::spawn(move || {
            writer.publish(part(), false);
            writer.end(Ok(PART as u64));
        });
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        // Somebody else's waker first: only the last one counts.
        let early = match reader.poll_chunk(&mut cx) {
            Poll::Ready(Some(Ok(bytes))) => bytes.len(),
            Poll::Ready(_) | Poll::Pending => 0,
        };
        assert_eq!(read(&mut reader).map(|rest| early + rest), Ok(PART));
        let _ = writes.join();
    });
}

const PART: usize = 4;
