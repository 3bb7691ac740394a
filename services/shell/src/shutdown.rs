use tokio::sync::watch;

/// Tells whether the process was asked to stop. Cheap to clone; every task has one.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Asks a [`Shutdown`] to be requested. Dropping it requests too, so that no task outlives its owner.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// A switch and what it switches.
pub fn shutdown_pair() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Requests the stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Resolves once the stop is requested.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which counts as a request.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the stop is requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Requests a stop at the first SIGTERM or SIGINT. A second one ends the process at once, with status 130.
///
/// # Errors
///
/// When the handlers can not be installed.
pub fn shutdown_on_signals() -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let (trigger, shutdown) = shutdown_pair();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    crate::spawn("signals", async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping; a second signal ends the process at once");
        trigger.request();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(130);
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone() {
        let (trigger, shutdown) = shutdown_pair();
        let mut clone = shutdown.clone();
        assert!(!shutdown.is_requested());
        trigger.request();
        clone.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_counts_as_a_request() {
        let (trigger, mut shutdown) = shutdown_pair();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
