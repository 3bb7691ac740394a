//! The account of what was served, on its way to the control plane: a thread that may block on the spool, and a task
//! that posts what is sealed. The request path only ever leaves an event in a bounded queue.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rend_core::id::EdgeId;
use rend_core::time::{Clock, Timestamp};
use rend_shell::client::Client;
use rend_telemetry::fs::FsFiles;
use rend_telemetry::{Account, Destination, Pump, PumpConfig, Recorder, Served, Shipment};
use tokio::runtime::Handle;

use crate::delivery::Facts;
use crate::error::EdgeError;

/// Where finished responses are recorded. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Option<Recorder>);

impl Telemetry {
    /// Nothing is recorded.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// Records a response that is over. Never blocks.
    pub(crate) fn record(
        &self,
        facts: &Facts,
        sent_bytes: u64,
        first_byte_us: u64,
        duration_ms: u64,
        aborted: bool,
        now: Timestamp,
    ) {
        let Some(recorder) = &self.0 else { return };
        recorder.record(Served {
            observed_at: now,
            org: facts.org,
            asset: facts.asset,
            session: facts.session,
            path: facts.path,
            object_bytes: facts.object_bytes,
            bytes_sent: sent_bytes,
            range_start: facts.range_start,
            status: facts.status,
            cache: facts.cache,
            ttfb_us: first_byte_us,
            duration_ms,
            aborted,
        });
    }

    /// Where every event is.
    pub(crate) fn account(&self) -> Account {
        self.0.as_ref().map(Recorder::account).unwrap_or_default()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

/// How telemetry is kept and where it goes. It has no `Debug`, since it holds a credential.
pub(crate) struct Plan<'a> {
    pub(crate) spool_dir: &'a Path,
    pub(crate) pump: PumpConfig,
    pub(crate) destination: Destination,
    pub(crate) request_timeout: Duration,
    pub(crate) boot: [u8; 8],
    pub(crate) node: EdgeId,
}

/// The thread behind [`Telemetry`]. Stopping it takes everything recorded to disk.
#[derive(Debug)]
pub(crate) struct Shipping {
    stop: Arc<AtomicBool>,
    thread: tokio::task::JoinHandle<()>,
}

impl Shipping {
    /// Opens the spool and starts the thread.
    ///
    /// # Errors
    ///
    /// [`EdgeError::Spool`] when the folder can not be used, [`EdgeError::Client`] without TLS.
    pub(crate) fn start(plan: Plan<'_>, clock: Arc<dyn Clock>) -> Result<(Telemetry, Self), EdgeError> {
        let client = Client::new(plan.request_timeout).map_err(EdgeError::Client)?;
        let spool = |source| EdgeError::Spool { dir: plan.spool_dir.to_owned(), source };
        let files = FsFiles::open(plan.spool_dir).map_err(spool)?;
        let (recorder, pump) =
            Pump::open(plan.pump, files, plan.destination, plan.boot, plan.node, clock.mono()).map_err(spool)?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let handle = Handle::current();
        let thread = rend_shell::spawn_blocking(move || run(pump, &client, clock.as_ref(), &handle, &seen));
        Ok((Telemetry(Some(recorder)), Self { stop, thread }))
    }

    /// Takes everything to disk, tries for a moment to deliver it, and ends the thread.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // The thread ends by itself; a join error would only say that it panicked, which the log has said.
        let _ = self.thread.await;
    }
}

fn run(mut pump: Pump<FsFiles>, client: &Client, clock: &dyn Clock, handle: &Handle, stop: &AtomicBool) {
    // A request is a task of the runtime's, so that a control plane that is slow never keeps the disk waiting.
    let _runtime = handle.enter();
    let (answered, answers) = mpsc::sync_channel(1);
    let post = |shipment: Shipment| {
        let (client, answered) = (client.clone(), answered.clone());
        rend_shell::spawn("telemetry", async move {
            let answer = client.send(shipment.request).await.ok();
            // The thread may have ended meanwhile; the next run delivers the batch again, under the same name.
            let _ = answered.try_send((shipment.ticket, answer));
        });
    };
    let mut under_way = false;
    while !stop.load(Ordering::Acquire) {
        pump.step(clock.mono());
        tell_trouble(&mut pump);
        if let Some(shipment) = pump.shipment(clock.mono()) {
            post(shipment);
            under_way = true;
        }
        let now = clock.mono();
        if let Ok((ticket, answer)) = answers.recv_timeout(pump.deadline(now).since(now).clamp(TURN_MIN, TURN_MAX)) {
            pump.on_answer(ticket, answer.as_ref(), clock.mono());
            under_way = false;
        }
    }
    pump.close(clock.mono());
    tell_trouble(&mut pump);
    for _ in 0..SHIPMENTS_AT_STOP {
        if let Some(shipment) = pump.shipment(clock.mono()) {
            post(shipment);
            under_way = true;
        }
        if !under_way {
            return;
        }
        let Ok((ticket, answer)) = answers.recv_timeout(ANSWER_AT_STOP_WITHIN) else { return };
        under_way = false;
        pump.on_answer(ticket, answer.as_ref(), clock.mono());
        if answer.is_none() {
            return;
        }
    }
}

fn tell_trouble(pump: &mut Pump<FsFiles>) {
    if let Some(trouble) = pump.trouble() {
        tracing::warn!(error = %trouble, "the telemetry spool has trouble");
    }
}

/// Batches that are offered when the edge stops; what is left over is on disk and delivered after the next start.
const SHIPMENTS_AT_STOP: usize = 8;
/// How long an answer is waited for when the edge stops, should the client's own timeout be longer.
const ANSWER_AT_STOP_WITHIN: Duration = Duration::from_secs(5);
/// So that a deadline in the past does not spin.
const TURN_MIN: Duration = Duration::from_millis(5);
/// So that a stop is seen soon.
const TURN_MAX: Duration = Duration::from_millis(200);
