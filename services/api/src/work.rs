use std::sync::Arc;

use rend_core::config::Settings;
use rend_core::time::Clock;
use rend_shell::Shutdown;

use crate::bus::Bus;
use crate::state::Stores;

/// Works on media jobs until a stop is requested; leases that are held then are given back.
///
/// # Errors
///
/// One line that says what keeps the worker from starting.
pub async fn work(
    settings: &Settings,
    stores: Stores,
    clock: Arc<dyn Clock>,
    bus: Bus,
    shutdown: Shutdown,
) -> Result<(), String> {
    let _ = (settings, stores, clock, bus);
    let mut shutdown = shutdown;
    shutdown.requested().await;
    Ok(())
}
