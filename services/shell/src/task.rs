use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Starts a task under a name, which its log lines carry.
#[expect(clippy::disallowed_methods, reason = "this is where tasks get their names")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(future.instrument(tracing::info_span!("task", name)))
}

/// Runs something that blocks on the pool of threads that is kept for that.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
