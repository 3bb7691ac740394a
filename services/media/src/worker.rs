//! Claims media jobs and jobs for downloads, and carries them through.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rend_core::artifact::ArtifactPath;
use rend_core::asset::{Asset, Failure};
use rend_core::id::LeaseToken;
use rend_core::job::{ErrorClass, Job, JobError, JobKind, Lease, Outcome};
use rend_core::media::plan::{Policy, RunLimit};
use rend_core::media::probe::Limits;
use rend_core::time::Clock;
use rend_shell::Shutdown;
use rend_storage::StoreError;
use rend_storage::assets::AssetStore;
use rend_storage::jobs::{Claim, JobQueue};
use rend_storage::objects::ObjectStore;
use tokio::sync::{OnceCell, Semaphore};

use crate::process::{Attempt, fail};
use crate::publish::Shelf;
use crate::runner::{files_can_be_fenced, network_can_be_cut};
use crate::trouble::Trouble;

/// What a worker is told at its start.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its name, shown beside the jobs it has.
    pub worker_id: String,
    /// The program `ffmpeg`.
    pub ffmpeg: PathBuf,
    /// The program `ffprobe`.
    pub ffprobe: PathBuf,
    /// A folder for files that may be lost at any time.
    pub scratch_dir: PathBuf,
    /// How long a lease lasts unless it is extended. It is extended at a quarter of this.
    pub lock_timeout: Duration,
    /// How long one run of an encoder may take at most, however much it has to do.
    pub process_timeout: Duration,
    /// What any run of an encoder may take, beside what its pixels cost: see [`RunLimit::of`].
    pub run_floor: Duration,
    /// What reading a source's description may use. One that wants more processor time is refused for good; one that had
    /// to wait is tried again.
    pub probe_limit: RunLimit,
    /// How long to wait before looking for work again when there was none.
    pub poll_interval: Duration,
    /// Jobs that are worked on side by side.
    pub jobs_max: usize,
    /// Bytes of memory that one encoder may address.
    pub memory_bytes_max: u64,
    /// Artifacts in [`Advance::warm`] at most.
    pub warm_items_max: usize,
    /// What a source may be at most.
    pub limits: Limits,
    /// The ladder, the effort, and how many encoders run side by side.
    pub policy: Policy,
}

impl WorkerConfig {
    /// A worker that finds its programs by name, keeps its scratch in `scratch_dir` and encodes `slots` things at once.
    pub fn new(worker_id: String, scratch_dir: PathBuf, slots: u32) -> Self {
        Self {
            worker_id,
            ffmpeg: PathBuf::from("/usr/bin/ffmpeg"),
            ffprobe: PathBuf::from("/usr/bin/ffprobe"),
            scratch_dir,
            lock_timeout: Duration::from_secs(30),
            process_timeout: Duration::from_secs(6 * 3600),
            run_floor: Duration::from_secs(120),
            probe_limit: RunLimit { wall: Duration::from_secs(120), cpu: Duration::from_secs(20) },
            poll_interval: Duration::from_secs(1),
            jobs_max: 2,
            memory_bytes_max: 8 << 30,
            warm_items_max: 16,
            limits: Limits::default(),
            policy: Policy { slots, ..Policy::default() },
        }
    }

    pub(crate) fn slots_max(&self) -> usize {
        usize::try_from(self.policy.slots).unwrap_or(1).max(1)
    }
}

/// What a worker works with.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Where sources are and artifacts go.
    pub objects: Arc<dyn ObjectStore>,
    /// The assets.
    pub assets: Arc<dyn AssetStore>,
    /// The jobs.
    pub jobs: Arc<dyn JobQueue>,
}

/// Something that became true, for those who wait for it.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The asset after its step.
    pub asset: Asset,
    /// What an edge should fetch now, what is wanted soonest first; empty unless playback changed.
    pub warm: Vec<ArtifactPath>,
}

/// Claims media jobs and carries them through.
pub struct Worker {
    pub(crate) config: WorkerConfig,
    pub(crate) ports: Ports,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notify: Arc<dyn Fn(Advance) + Send + Sync>,
    pub(crate) entropy: Arc<dyn Fn() -> [u8; 10] + Send + Sync>,
    pub(crate) slots: Arc<Semaphore>,
    offline: OnceCell<bool>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker. `entropy` makes lease tokens; `notify` is called after each step of an asset, and must not block.
    pub fn new(
        config: WorkerConfig,
        ports: Ports,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Fn() -> [u8; 10] + Send + Sync>,
        notify: Arc<dyn Fn(Advance) + Send + Sync>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(config.slots_max()));
        Self { config, ports, clock, notify, entropy, slots, offline: OnceCell::new() }
    }

    /// Works until `shutdown` is requested, then gives back what it has.
    pub async fn run(&self, shutdown: Shutdown) {
        let (_kept, never) = tokio::sync::watch::channel(0);
        self.run_woken(shutdown, never).await;
    }

    /// The same, looking for work also whenever `wake` changes, so that a job written down by this process does not wait
    /// for the next look.
    pub async fn run_woken(&self, shutdown: Shutdown, wake: tokio::sync::watch::Receiver<u64>) {
        self.tell_of_jail().await;
        let encoding = self.lane(JobKind::Media, self.config.jobs_max.max(1), shutdown.clone(), wake.clone());
        // Downloads take no encoder and little time, so they do not wait behind those that take both.
        let copying = self.lane(JobKind::Download, DOWNLOADS_AT_ONCE, shutdown, wake);
        tokio::join!(encoding, copying);
    }

    /// Works on jobs of one kind, so many side by side.
    async fn lane(
        &self,
        kind: JobKind,
        jobs_max: usize,
        mut shutdown: Shutdown,
        mut wake: tokio::sync::watch::Receiver<u64>,
    ) {
        let mut jobs = FuturesUnordered::new();
        loop {
            if jobs.len() < jobs_max {
                match self.claim(&[kind]).await {
                    Ok(Some((job, lease))) => {
                        let stop = shutdown.clone();
                        jobs.push(self.carry(job, lease, stop));
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no job could be claimed"),
                }
            }
            tokio::select! {
                () = shutdown.requested() => break,
                Some(()) = jobs.next() => {}
                Ok(()) = wake.changed() => {}
                () = tokio::time::sleep(self.config.poll_interval) => {}
            }
        }
        while jobs.next().await.is_some() {}
    }

    /// Claims one job and carries it through, if one is due. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the queue can not be asked.
    pub async fn run_once(&self, shutdown: &Shutdown) -> Result<bool, StoreError> {
        let Some((job, lease)) = self.claim(&[JobKind::Media, JobKind::Download]).await? else { return Ok(false) };
        self.carry(job, lease, shutdown.clone()).await;
        Ok(true)
    }

    /// Warns where the system does not confine encoders as it could.
    async fn tell_of_jail(&self) {
        if !self.offline().await {
            tracing::warn!("encoders run with a network: the system does not let them be cut off; see `rend doctor`");
        }
        if !files_can_be_fenced() {
            tracing::warn!("encoders may read what the worker may read: the system has no Landlock; see `rend doctor`");
        }
    }

    pub(crate) async fn offline(&self) -> bool {
        *self.offline.get_or_init(network_can_be_cut).await
    }

    async fn claim(&self, kinds: &[JobKind]) -> Result<Option<(Job, Lease)>, StoreError> {
        let now = self.clock.wall();
        let claim = Claim {
            worker: self.config.worker_id.clone(),
            kinds: kinds.to_vec(),
            token: LeaseToken::new(now, (self.entropy)()),
            now,
            expires: now + self.config.lock_timeout,
        };
        self.ports.jobs.claim(&claim).await
    }

    async fn carry(&self, job: Job, lease: Lease, mut shutdown: Shutdown) {
        let scratch = self.config.scratch_dir.join(format!("job-{}", job.id));
        let shelf = Shelf { objects: self.ports.objects.clone(), clock: self.clock.clone(), asset: job.asset };
        let attempt = Attempt {
            worker: self,
            lease: lease.clone(),
            shelf,
            scratch: scratch.clone(),
            input: std::sync::OnceLock::new(),
            passed: std::sync::OnceLock::new(),
            spoilt: std::sync::OnceLock::new(),
            keys_us: std::sync::OnceLock::new(),
            began_at: self.clock.mono(),
            costs: std::sync::Mutex::default(),
        };
        // A crash may have left an earlier attempt's files there.
        let _ = tokio::fs::remove_dir_all(&scratch).await;
        let outcome = match tokio::fs::create_dir_all(&scratch).await {
            Err(error) => self.settle(&attempt, &job, Trouble::scratch(error)).await,
            Ok(()) => {
                tokio::select! {
                    done = attempt.perform_as(job.kind) => match done {
                        Ok(()) => Some(Outcome::Succeed),
                        Err(trouble) => match attempt.unless_gone(trouble).await {
                            Ok(trouble) => self.settle(&attempt, &job, trouble).await,
                            Err(_) => self.gone(&job).await,
                        },
                    },
                    () = self.beat(&lease) => None,
                    () = shutdown.requested() => Some(Outcome::Defer { at: self.clock.wall() }),
                }
            }
        };
        let _ = tokio::fs::remove_dir_all(&scratch).await;
        let Some(outcome) = outcome else {
            tracing::info!(job = %job.id, asset = %job.asset, "the job is no longer ours");
            return;
        };
        match self.ports.jobs.finish(&lease, &outcome, self.clock.wall()).await {
            Ok(()) => {}
            Err(StoreError::LeaseLost) => {
                tracing::info!(job = %job.id, asset = %job.asset, "the job was no longer ours when it ended");
            }
            Err(error) => {
                tracing::warn!(job = %job.id, error = &error as &dyn std::error::Error, "the job could not be finished")
            }
        }
    }

    /// Extends the lease for as long as it is ours.
    async fn beat(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(self.config.lock_timeout / 4).await;
            match self.ports.jobs.extend(lease, self.clock.wall() + self.config.lock_timeout).await {
                Ok(_) => {}
                Err(StoreError::LeaseLost) => return,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be extended"),
            }
        }
    }

    /// What becomes of the job after `trouble`, having told the asset when it is the end.
    async fn settle(&self, attempt: &Attempt<'_>, job: &Job, trouble: Trouble) -> Option<Outcome> {
        let (error, failure) = match trouble {
            Trouble::Lost => return self.gone(job).await,
            Trouble::Refused(reject, tail) => {
                let failure = reject.failure();
                let error = JobError {
                    class: ErrorClass::Permanent,
                    code: failure.code.clone(),
                    detail: failure.detail.clone(),
                    stderr_tail: tail,
                };
                (error, failure)
            }
            Trouble::Unit(error) | Trouble::Error(error) => {
                let failure = Failure { code: error.code.clone(), detail: error.detail.clone() };
                (error, failure)
            }
        };
        tracing::warn!(
            job = %job.id, asset = %job.asset, class = %error.class, code = error.code, detail = error.detail,
            stderr = error.stderr_tail, "an attempt ended"
        );
        let again = error.class == ErrorClass::Transient && job.attempt < job.attempts_max;
        if again {
            return Some(Outcome::Retry { at: self.clock.wall() + self.backoff(job.attempt), error });
        }
        let told = match job.kind {
            JobKind::Download => attempt.undelivered(&failure).await.map(|()| false),
            JobKind::Media | JobKind::Delete | JobKind::Assemble | JobKind::Pull | JobKind::Captions => {
                fail(attempt, failure).await
            }
        };
        match told {
            // The asset is ready, and marked as degraded: what was lost stands in the rows of its renditions.
            Ok(true) => Some(Outcome::Succeed),
            Ok(false) => Some(Outcome::Fail { error }),
            Err(Trouble::Lost) => self.gone(job).await,
            // The state could not be told, so the job is left to be tried again rather than lost in silence.
            Err(_) => Some(Outcome::Retry { at: self.clock.wall() + self.backoff(job.attempt), error }),
        }
    }

    /// A job whose asset was deleted is done; a job that another worker has is none of ours.
    async fn gone(&self, job: &Job) -> Option<Outcome> {
        match self.ports.assets.get(job.asset).await {
            Ok(asset) if asset.source.is_live() => None,
            Ok(_) | Err(StoreError::NotFound { .. }) => Some(Outcome::Succeed),
            Err(_) => None,
        }
    }

    /// Twice as long after each try, and up to half as much again, so that workers do not come back together.
    fn backoff(&self, attempt: u32) -> Duration {
        let base = BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(BACKOFF_DOUBLINGS_MAX));
        base + base.mul_f64(f64::from((self.entropy)()[0]) / 512.0)
    }
}

/// Files for download that are put together side by side.
const DOWNLOADS_AT_ONCE: usize = 1;
/// The wait after the first try.
const BACKOFF: Duration = Duration::from_secs(2);
/// The wait grows to about four minutes.
const BACKOFF_DOUBLINGS_MAX: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_can_run_on_any_thread() {
        fn is_sent<T: Send>(_: impl FnOnce(&'static Worker, &'static Shutdown) -> T) {}
        is_sent(|worker, shutdown| worker.run_once(shutdown));
        is_sent(|worker, shutdown| worker.run(shutdown.clone()));
    }
}
