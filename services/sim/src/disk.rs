//! An edge's two disks: the cache's and the spool's, and what crashes and mishaps do to them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rend_cache::memory::{MemoryFiles as CacheDisk, Op};
use rend_core::prng::Prng;
use rend_telemetry::memory::MemoryFiles as SpoolDisk;

/// How a machine goes down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Crash {
    /// The process is killed: what it wrote is there.
    Killed,
    /// The power fails: what it did not sync may be gone or torn.
    PowerLost,
}

/// The disks of one edge. They outlive its process.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) cache: Arc<CacheDisk>,
    pub(crate) spool: SpoolDisk,
}

impl Disks {
    pub(crate) fn new() -> Self {
        Self { cache: CacheDisk::shared(), spool: SpoolDisk::new() }
    }

    /// Puts what a new process finds in the place of what the old one had.
    pub(crate) fn crash(&mut self, crash: Crash, prng: &mut Prng) {
        self.cache = self.cache.copy();
        match crash {
            Crash::Killed => self.spool = self.spool.copy(),
            Crash::PowerLost => {
                self.spool = self.spool.after_crash(prng);
                self.spool.limit(None);
                self.cache.lose_power();
                // Bodies are not synced, so any of them may be cut short or zeroed.
                for name in self.cache.names() {
                    match prng.below(6) {
                        0 => self.cache.corrupt(name, Bytes::new()),
                        1 => self.cache.corrupt(name, Bytes::from(vec![0; 900])),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Something goes wrong with a disk; answers what, for the trace.
    pub(crate) fn mishap(&self, prng: &mut Prng) -> &'static str {
        match prng.below(4) {
            0 => {
                self.spool.limit(Some(self.spool.bytes() + prng.below(3000)));
                "the spool's disk is nearly full"
            }
            1 => {
                self.spool.fail_next(1 + u32::try_from(prng.below(4)).unwrap_or(0));
                "the spool's disk fails for some writes"
            }
            2 => {
                let op = [Op::Create, Op::Write, Op::Publish, Op::Append, Op::Sync];
                let at = usize::try_from(prng.below(op.len() as u64)).unwrap_or(0);
                self.cache.set_broken(op[at], Some(io::ErrorKind::Other));
                "the cache's disk refuses one kind of call"
            }
            _ => {
                self.cache.set_capacity(Some(prng.below(20_000)));
                "the cache's disk is nearly full"
            }
        }
    }

    /// Ends every fault.
    pub(crate) fn heal(&self) {
        self.spool.limit(None);
        self.spool.fail_next(0);
        self.cache.set_capacity(None);
        for op in [Op::Create, Op::Write, Op::Publish, Op::Append, Op::Sync] {
            self.cache.set_broken(op, None);
        }
    }
}
