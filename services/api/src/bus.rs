//! Wakes who waits for events.

use tokio::sync::watch;

/// Tells every listener of this process that the event log has grown. Cheap to clone.
///
/// It carries no events: a listener that is woken reads the log from its own cursor, so a missed wake-up loses nothing
/// and a slow listener costs no memory.
#[derive(Clone, Debug)]
pub struct Bus(watch::Sender<u64>);

impl Default for Bus {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Bus {
    /// Something was appended.
    pub fn wake(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// What a listener waits on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
