//! What every target is held to beside its property: processor time and memory that grow with the input and no faster.
//!
//! Time is that of the thread, so a busy machine does not find faults that are not there; memory is what Rust code has
//! allocated, so libFuzzer's own corpus does not count. `cargo xtask fuzz` bounds the whole process besides.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A target, as libFuzzer's macro of this name makes one, that is [`bounded`].
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $kind:ty| $property:expr) => {
        libfuzzer_sys::fuzz_target!(|whole: $kind| $crate::bounded(whole, whole.len(), |$input: $kind| $property));
    };
}

/// What a property worked through beyond the bytes of its input.
pub trait Parts {
    /// How many there were.
    fn count(&self) -> usize;
}

impl Parts for () {
    fn count(&self) -> usize {
        0
    }
}

impl Parts for usize {
    fn count(&self) -> usize {
        *self
    }
}

/// Runs `property` on `input` of `bytes`, and panics when that took more processor time or memory than a reader in linear
/// time takes. What is made of the input and counts as well, such as the segments of a plan, the property answers.
pub fn bounded<I: Copy, P: Parts>(input: I, bytes: usize, property: impl Fn(I) -> P) {
    // The pages of a first run may have to be fetched, so only what is slow again is slow.
    let mut least = Duration::MAX;
    let mut allowed = Duration::ZERO;
    for _ in 0..TRIES {
        let began = thread_time();
        LEVEL.set(0);
        PEAK.set(0);
        let more = property(input).count();
        least = least.min(thread_time().saturating_sub(began));
        let peak = PEAK.get();
        let units = u32::try_from(bytes + more).unwrap_or(u32::MAX);
        let memory = BYTES_MAX.min(BYTES_FLOOR + BYTES_PER_UNIT * i64::from(units));
        assert!(peak <= memory, "{peak} bytes were allocated at once for {units} bytes or parts; {memory} are allowed");
        allowed = TIME_FLOOR + TIME_PER_UNIT * units;
        if least <= allowed {
            return;
        }
    }
    panic!("{least:?} of processor time for {bytes} bytes of input; {allowed:?} are allowed");
}

/// Bytes that a target may have allocated at once, whatever its input.
const BYTES_MAX: i64 = 64 << 20;
/// What an input of no length may cost.
const BYTES_FLOOR: i64 = 1 << 20;
const BYTES_PER_UNIT: i64 = 2048;
const TIME_FLOOR: Duration = Duration::from_millis(10);
/// The same, for each byte or part: fuzzed code counts every edge it takes and checks every sum, which is many times
/// slower than what is shipped.
const TIME_PER_UNIT: Duration = Duration::from_micros(4);
const TRIES: usize = 3;

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

thread_local! {
    /// Bytes allocated and not given back since a measurement began, and the most there were.
    static LEVEL: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread has of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: i64) {
    // A thread that ends gives back memory when its counters are gone already.
    let _ = LEVEL.try_with(|level| {
        level.set(level.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(level.get())));
    });
}

fn size(layout: &Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(&layout));
        // SAFETY: what the caller promises is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-size(&layout));
        // SAFETY: what the caller promises is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}
