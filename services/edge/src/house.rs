//! What a cache needs beside requests: its journal read and its folders looked through after a start, what was evicted unlinked, and
//! what happened written down.
//!
//! It is done in turns. Each is bounded, and each takes every one of these a step further: none waits until there is nothing left of
//! another, so a disk that refuses to unlink, or purges without end, do not keep the folders from being looked through.

use std::time::Duration;

use rend_cache::{Cache, CacheError};
use rend_shell::Shutdown;

/// How much is done in one turn, and how long is rested after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Records of the journal, after a start.
    pub(crate) records_max: usize,
    /// Files that are unlinked.
    pub(crate) unlinks_max: usize,
    /// Folders that are looked through, after a start.
    pub(crate) folders_max: usize,
    /// Between two turns. While the journal is not read there is no rest.
    pub(crate) rest: Duration,
}

impl Pace {
    /// How it is done where viewers are served meanwhile.
    pub(crate) const USUAL: Self =
        Self { records_max: 1 << 16, unlinks_max: 1 << 11, folders_max: 1 << 11, rest: Duration::from_millis(250) };
}

/// Keeps the house of `cache` until `shutdown`.
pub(crate) async fn keep(cache: Cache, pace: Pace, mut shutdown: Shutdown) {
    loop {
        let own = cache.clone();
        let rest = match rend_shell::spawn_blocking(move || turn(&own, pace)).await {
            Ok(Left { journal_bytes: 1.., .. }) => Duration::ZERO,
            // The log has the panic. The next turn goes on behind it, or fails at the same place.
            Ok(_) | Err(_) => pace.rest,
        };
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// What is left to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Left {
    journal_bytes: usize,
    folders: u32,
    files: usize,
}

/// One turn. Blocks.
fn turn(cache: &Cache, pace: Pace) -> Left {
    let journal_bytes = cache.load(pace.records_max);
    let files = cache.reap(pace.unlinks_max);
    // What the journal says of a folder's files must be known first.
    let folders = if journal_bytes == 0 { cache.reconcile(pace.folders_max) } else { cache.stats().leaves_left };
    let left = Left { journal_bytes, folders, files };
    if let Err(error) = written(cache, left) {
        tracing::warn!(%error, "the cache's journal was not written");
    }
    left
}

fn written(cache: &Cache, left: Left) -> Result<(), CacheError> {
    if left.journal_bytes == 0 && cache.wants_snapshot() { cache.snapshot() } else { cache.flush() }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rend_cache::memory::{MemoryFiles, Op};
    use rend_cache::policy::ValueWheel;
    use rend_cache::{Begin, Config, Head, Key, KeyMeta, Mode, Scope};
    use rend_shell::shutdown_pair;

    use super::*;

    const BODIES: u32 = 300;
    const BYTES_MAX: u64 = 8 << 20;
    /// Small, so that a few bodies take many turns.
    const SLOW: Pace = Pace { records_max: 50, unlinks_max: 3, folders_max: 7, rest: Duration::from_millis(250) };

    fn key(n: u32) -> Key {
        Key::new([1; 16], &format!("hls/720p/segment_{n:05}.m4s"))
    }

    fn fill(cache: &Cache, n: u32) {
        let Begin::Lead(mut writer) = cache.begin(&key(n), &KeyMeta::segment(n, Some(1)), None, 0) else { return };
        writer.expect(Head::new("\"e\"", "video/mp4").with_len(5000), 0).unwrap();
        writer.push(vec![7; 5000].into(), 0).unwrap();
        writer.finish(0).unwrap();
    }

    /// A cache on the disk of one that was killed.
    fn after_a_crash() -> (Cache, Arc<MemoryFiles>) {
        let files = MemoryFiles::shared();
        let (first, _) = Cache::open(Config::new(BYTES_MAX), files.clone(), 0).unwrap();
        (0..BODIES).for_each(|n| fill(&first, n));
        first.flush().unwrap();
        let wheel = Box::new(ValueWheel::new(BYTES_MAX));
        let files = files.copy();
        let (cache, _) = Cache::open_early(Config::new(BYTES_MAX), files.clone(), wheel, 0).unwrap();
        (cache, files)
    }

    #[test]
    fn every_turn_comes_nearer_to_the_end_whatever_goes_on_meanwhile() {
        let (cache, files) = after_a_crash();
        files.set_broken(Op::Remove, Some(io::ErrorKind::Other));
        let (mut before, mut turns) = (Left { journal_bytes: usize::MAX, folders: u32::MAX, files: 0 }, 0);
        loop {
            let left = turn(&cache, SLOW);
            assert!(
                left.journal_bytes < before.journal_bytes || left.folders < before.folders,
                "turn {turns} has {left:?} left, as the one before"
            );
            if (left.journal_bytes, left.folders) == (0, 0) {
                break;
            }
            (before, turns) = (left, turns + 1);
            // Bodies are purged, which can not be unlinked, and others come.
            cache.purge(&Scope::Key(key(turns)), Mode::Soft, 0).unwrap();
            fill(&cache, BODIES + turns);
        }
        assert!(turns > BODIES / 8, "it took {turns} turns");
        assert!(cache.stats().pending_bytes > 0, "nothing could be unlinked");
        files.set_broken(Op::Remove, None);
        let mut left = turn(&cache, SLOW).files;
        while left > 0 {
            let now = turn(&cache, SLOW).files;
            assert!(now < left);
            left = now;
        }
        assert_eq!(cache.stats().pending_bytes, 0);
    }

    #[tokio::test]
    async fn turn_after_turn_the_house_comes_to_order_and_it_is_kept_until_a_stop() {
        let (cache, _) = after_a_crash();
        let (trigger, shutdown) = shutdown_pair();
        let pace = Pace { rest: Duration::from_millis(1), ..SLOW };
        let keeping = rend_shell::spawn("house", keep(cache.clone(), pace, shutdown));
        while cache.stats().leaves_left > 0 {
            tokio::time::sleep(pace.rest).await;
        }
        assert_eq!((cache.stats().entries, cache.stats().unread_bytes), (300, 0));
        // What comes later is done as well.
        cache.purge(&Scope::Group([1; 16]), Mode::Soft, 0).unwrap();
        while cache.stats().pending_bytes > 0 {
            tokio::time::sleep(pace.rest).await;
        }
        trigger.request();
        keeping.await.unwrap();
    }
}
