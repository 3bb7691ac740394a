use std::time::{Duration, Instant, SystemTime};

use rend_core::time::{Clock, Mono, Timestamp};

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that starts counting now.
    #[expect(clippy::disallowed_methods, reason = "this is the rim's clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono::after_start(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the rim's clock")]
    fn wall(&self) -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }
}

/// Waits until `clock` shows `due`.
pub async fn sleep_until(clock: &dyn Clock, due: Mono) {
    loop {
        let left = due.since(clock.mono());
        if left.is_zero() {
            return;
        }
        // Timers count in milliseconds; asking for less would spin.
        tokio::time::sleep(left.max(Duration::from_millis(1))).await;
    }
}
