//! When what was appended is synced, and when the file is sealed as a batch.

use std::collections::VecDeque;
use std::time::Duration;

use rend_core::machine::Machine;
use rend_core::time::Mono;

/// Decides, by count, size and age, when the open file is synced and when it is sealed.
///
/// ```text
///          Appended                 64 KiB or 50 ms: Sync             4 MiB, 10,000 events or 2 s: Sync, Seal
/// empty ─────────────▶ unsynced ─────────────────────────▶ synced ────────────────────────────────▶ empty
/// ```
///
/// What is full is sealed at once. Everything else waits for a wake, which comes when all that was there has been appended: a sync and a
/// file then serve as many events as came together, however many those are.
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    /// The open file, once something stands in it.
    open: Option<Open>,
    out: VecDeque<Order>,
}

impl Batcher {
    /// A batcher with no file open.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, open: None, out: VecDeque::new() }
    }

    /// How many more bytes and events the open file takes before it is sealed.
    pub fn room(&self) -> (u64, u64) {
        let (bytes, events) = self.open.as_ref().map_or((0, 0), |open| (open.bytes, open.events));
        (self.limits.bytes_max.saturating_sub(bytes), self.limits.events_max.saturating_sub(events))
    }

    fn sync(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| open.unsynced_since.is_some()) else { return };
        (open.unsynced_since, open.unsynced_bytes) = (None, 0);
        self.out.push_back(Order::Sync);
    }

    fn seal(&mut self) {
        self.sync();
        self.open = None;
        self.out.push_back(Order::Seal);
    }
}

impl Machine for Batcher {
    type Input = Happened;
    type Output = Order;

    fn handle(&mut self, input: Happened, now: Mono) {
        match input {
            Happened::Appended { bytes, events } => {
                let open = self.open.get_or_insert(Open {
                    since: now,
                    bytes: 0,
                    events: 0,
                    unsynced_bytes: 0,
                    unsynced_since: None,
                });
                open.bytes += bytes;
                open.events += events;
                open.unsynced_bytes += bytes;
                open.unsynced_since.get_or_insert(now);
                if open.bytes >= self.limits.bytes_max || open.events >= self.limits.events_max {
                    self.seal();
                }
            }
            // Orders that were given for a file that failed are withdrawn with it.
            Happened::Abandoned => {
                self.open = None;
                self.out.clear();
            }
            Happened::Closing => {
                if self.open.is_some() {
                    self.seal();
                }
            }
        }
    }

    fn wake(&mut self, now: Mono) {
        let Some(open) = &self.open else { return };
        if open.events >= self.limits.events_wanted || now >= open.since + self.limits.seal_after {
            self.seal();
        } else if open.unsynced_bytes >= self.limits.sync_bytes
            || open.unsynced_since.is_some_and(|since| now >= since + self.limits.sync_after)
        {
            self.sync();
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let open = self.open.as_ref()?;
        if open.events >= self.limits.events_wanted || open.unsynced_bytes >= self.limits.sync_bytes {
            return Some(open.since);
        }
        let seal = open.since + self.limits.seal_after;
        Some(open.unsynced_since.map_or(seal, |since| seal.min(since + self.limits.sync_after)))
    }

    fn poll(&mut self) -> Option<Order> {
        self.out.pop_front()
    }
}

/// What can happen to the open file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Happened {
    /// It grew.
    Appended {
        /// By so many bytes.
        bytes: u64,
        /// By so many events.
        events: u64,
    },
    /// A write failed, and the file is given up.
    Abandoned,
    /// No more events will come.
    Closing,
}

/// What to do with the open file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Make it survive a crash.
    Sync,
    /// It is full or old: it is a batch from now on. The next event opens another file.
    Seal,
}

/// When files are synced and sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// A file with so many bytes is sealed.
    pub bytes_max: u64,
    /// A file with so many events is sealed.
    pub events_max: u64,
    /// A file with so many events is sealed once nothing more waits to be appended.
    pub events_wanted: u64,
    /// A file so old is sealed.
    pub seal_after: Duration,
    /// So many bytes are synced once nothing more waits to be appended.
    pub sync_bytes: u64,
    /// An event is synced after so long at the latest.
    pub sync_after: Duration,
}

impl Default for Limits {
    /// 3 MiB or 10,000 events or 2 s to a file; a sync each 64 KiB or 50 ms, and what came together is one sync. The 3 MiB leave room in
    /// [`crate::wire::BATCH_BYTES_MAX`] for the last append and the batch's own members.
    fn default() -> Self {
        Self {
            bytes_max: 3 << 20,
            events_max: crate::wire::BATCH_EVENTS_MAX as u64,
            events_wanted: crate::wire::BATCH_EVENTS_MAX as u64,
            seal_after: Duration::from_secs(2),
            sync_bytes: 64 << 10,
            sync_after: Duration::from_millis(50),
        }
    }
}

#[derive(Debug)]
struct Open {
    since: Mono,
    bytes: u64,
    events: u64,
    unsynced_bytes: u64,
    unsynced_since: Option<Mono>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::after_start(Duration::from_millis(millis))
    }

    fn orders(batcher: &mut Batcher) -> Vec<Order> {
        std::iter::from_fn(|| batcher.poll()).collect()
    }

    #[test]
    fn a_lone_event_is_synced_after_50_ms_and_sealed_after_2_s() {
        let mut batcher = Batcher::new(Limits::default());
        assert_eq!(batcher.deadline(), None);
        batcher.handle(Happened::Appended { bytes: 300, events: 1 }, at(0));
        assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![], Some(at(50))));
        batcher.wake(at(49));
        assert_eq!(orders(&mut batcher), []);
        batcher.wake(at(50));
        assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![Order::Sync], Some(at(2000))));
        batcher.wake(at(2000));
        assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![Order::Seal], None));
    }

    #[test]
    fn a_full_file_is_synced_before_it_is_sealed() {
        for (bytes, events) in [(3 << 20, 1), (1, 10_000)] {
            let mut batcher = Batcher::new(Limits::default());
            batcher.handle(Happened::Appended { bytes, events }, at(0));
            assert_eq!(orders(&mut batcher), [Order::Sync, Order::Seal]);
        }
    }

    #[test]
    fn what_came_together_is_one_sync_and_one_file_however_much_it_is() {
        let limits = Limits { events_wanted: 100, ..Limits::default() };
        let mut batcher = Batcher::new(limits);
        for _ in 0..16 {
            batcher.handle(Happened::Appended { bytes: 64 << 10, events: 250 }, at(0));
            assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![], Some(at(0))));
        }
        batcher.wake(at(0));
        assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![Order::Sync, Order::Seal], None));
        batcher.handle(Happened::Appended { bytes: 64 << 10, events: 99 }, at(0));
        batcher.wake(at(0));
        assert_eq!((orders(&mut batcher), batcher.deadline()), (vec![Order::Sync], Some(at(2000))));
    }

    #[test]
    fn closing_leaves_nothing_unsynced() {
        let mut batcher = Batcher::new(Limits::default());
        batcher.handle(Happened::Closing, at(0));
        assert_eq!(orders(&mut batcher), []);
        batcher.handle(Happened::Appended { bytes: 1, events: 1 }, at(0));
        batcher.handle(Happened::Closing, at(1));
        assert_eq!(orders(&mut batcher), [Order::Sync, Order::Seal]);
    }

    #[test]
    fn after_a_wake_at_its_deadline_it_has_another_or_none() {
        let mut batcher = Batcher::new(Limits::default());
        for round in 0..100 {
            batcher.handle(Happened::Appended { bytes: 1000, events: 3 }, at(round * 30));
            while let Some(due) = batcher.deadline().filter(|due| *due <= at(round * 30 + 30)) {
                batcher.wake(due);
                assert!(batcher.deadline().is_none_or(|next| next > due));
            }
        }
    }
}
