//! How many bytes are allocated: the one measure of memory that treats every cache alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

/// The system's allocator with a counter.
pub(crate) struct Counting;

/// Bytes allocated now.
pub(crate) fn allocated() -> isize {
    BYTES.load(Ordering::Relaxed)
}

static BYTES: AtomicIsize = AtomicIsize::new(0);

#[expect(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and hands on")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
