//! Wakes who waits for events.

use tokio::sync::watch;

/// Tells every listener of this process that the event log has grown. Cheap to clone.
///
/// It carries no events: a listener that is woken reads the log from its own cursor, so a missed wake-up loses nothing
/// and a slow listener costs no memory.
#[derive(Clone, Debug)]
pub struct Bus {
    all: watch::Sender<u64>,
    /// Those of this process alone: what other processes are told.
    own: watch::Sender<u64>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { all: watch::Sender::new(0), own: watch::Sender::new(0) }
    }
}

impl Bus {
    /// Something was appended.
    pub fn wake(&self) {
        self.own.send_modify(|count| *count += 1);
        self.wake_for_another();
    }

    /// Another process appended something.
    pub fn wake_for_another(&self) {
        self.all.send_modify(|count| *count += 1);
    }

    /// What somebody waits on who tells other processes.
    pub fn listen_to_own(&self) -> watch::Receiver<u64> {
        self.own.subscribe()
    }

    /// What a listener waits on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.all.subscribe()
    }
}
