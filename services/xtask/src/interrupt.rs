//! Ctrl-C, for what leaves something behind when it is just killed: the first is noted, the second ends at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::run::Done;

/// What a terminal sends to all that run in it: whoever waits for a child sees the child end.
pub(crate) const OF_TERMINAL: [i32; 2] = [SIGINT, SIGHUP];
/// What stops a service as well: for whoever asks [`came`] again and again.
pub(crate) const ALL: [i32; 3] = [SIGINT, SIGHUP, SIGTERM];

/// From here on these signals are noted, and each ends this process only when it comes after another.
pub(crate) fn catch(signals: &[i32]) -> Done {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    // Noted twice, the first signal would count as the second.
    let new: Vec<i32> = signals.iter().copied().filter(|signal| caught.insert(*signal)).collect();
    note(&new, ASKED.get_or_init(Arc::default))
}

/// Whether somebody asked this process to stop.
pub(crate) fn came() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}

fn note(signals: &[i32], asked: &Arc<AtomicBool>) -> Done {
    for signal in signals {
        // In this order: the first signal finds the flag unset, goes on, and sets it.
        flag::register_conditional_shutdown(*signal, ENDED_BY_SIGNAL, Arc::clone(asked))
            .and_then(|_| flag::register(*signal, Arc::clone(asked)))
            .map_err(|e| format!("signal {signal} can not be noted: {e}"))?;
    }
    Ok(())
}

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static CAUGHT: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
/// The status of a process that the second signal ended.
const ENDED_BY_SIGNAL: i32 = 130;

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    use signal_hook::consts::SIGUSR1;

    use super::*;

    #[test]
    fn the_first_signal_is_noted_and_ends_nothing() {
        let asked = Arc::new(AtomicBool::new(false));
        note(&[SIGUSR1], &asked).unwrap();
        assert!(!asked.load(Ordering::Relaxed));
        Command::new("kill").args(["-USR1", &std::process::id().to_string()]).status().unwrap();
        while !asked.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!came(), "nobody asked the process itself to stop");
    }
}
