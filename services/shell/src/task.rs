use std::future::Future;

use tokio::runtime::Handle;
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

/// Like [`spawn`], on another runtime than the caller's.
pub fn spawn_on<F>(runtime: &Handle, name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    runtime.spawn(future.instrument(tracing::info_span!("task", name)))
}

/// Starts a task without a name: entering its span at each step would be a cost of every request.
#[expect(clippy::disallowed_methods, reason = "connections are the one kind of task that needs no name")]
pub(crate) fn spawn_bare(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// Runs something that blocks on the pool of threads that is kept for that.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}
