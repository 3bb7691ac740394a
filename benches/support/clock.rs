//! The time that something takes.

use std::time::{Duration, Instant};

/// How long `act` takes, and its answer.
#[expect(clippy::disallowed_methods, reason = "a bench measures the machine it runs on")]
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let answer = act();
    (start.elapsed(), answer)
}
