//! The threads that wait for the disk, and the queues before them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use super::migrate;
use crate::StoreError;

/// One writer and [`READERS`] readers.
pub(super) struct Threads {
    /// `None` only while this is dropped.
    queues: Option<Queues>,
    handles: Vec<JoinHandle<()>>,
}

struct Queues {
    writer: mpsc::Sender<Box<dyn Task>>,
    readers: mpsc::Sender<Box<dyn Task>>,
}

impl Threads {
    pub(super) fn start(path: &Path, writer: Connection) -> Result<Self, StoreError> {
        let (to_writer, inbox) = mpsc::channel(QUEUE_MAX);
        let (to_readers, shared) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::new(Mutex::new(shared));
        // Readers are told of the end by the queues, which are dropped when anything here fails.
        let queues = Some(Queues { writer: to_writer, readers: to_readers });
        let mut threads = Self { queues, handles: Vec::new() };
        threads.spawn("sqlite-writer", move || write_all(&writer, inbox))?;
        for _ in 0..READERS {
            let db = migrate::open_reader(path)?;
            let shared = Arc::clone(&shared);
            threads.spawn("sqlite-reader", move || read_all(&db, &shared))?;
        }
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, f: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let spawned = std::thread::Builder::new().name(name.into()).spawn(f);
        self.handles.push(spawned.map_err(|cause| StoreError::Unavailable(Box::new(cause)))?);
        Ok(())
    }

    pub(super) async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        ask(self.queues.as_ref().map(|queues| &queues.writer), f).await
    }

    pub(super) async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        ask(self.queues.as_ref().map(|queues| &queues.readers), f).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queues = None;
        for handle in self.handles.drain(..) {
            // A thread that panicked has said so already.
            let _ = handle.join();
        }
    }
}

async fn ask<T, F>(queue: Option<&mpsc::Sender<Box<dyn Task>>>, f: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
{
    let closed = || Fault::Closed.into_store();
    let (answer, answered) = oneshot::channel();
    let request = Request { work: Some(f), result: None, answer };
    // A full queue holds the caller back here.
    queue.ok_or_else(closed)?.send(Box::new(request)).await.map_err(|_| closed())?;
    answered.await.map_err(|_| closed())?
}

/// A request of unknown type.
trait Task: Send {
    /// Does it, and answers whether what it wrote is to stay.
    fn run(&mut self, db: &Connection) -> bool;
    /// Tells who asked, once it is known whether the transaction stands.
    fn answer(self: Box<Self>, stands: bool);
}

struct Request<T, F> {
    work: Option<F>,
    result: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, Fault> + Send> Task for Request<T, F> {
    fn run(&mut self, db: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(db));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, stands: bool) {
        let told = match self.result {
            Some(Ok(done)) if stands => Ok(done),
            Some(Err(fault)) => Err(fault.into_store()),
            Some(Ok(_)) | None => Err(StoreError::Unavailable("the transaction could not be written".into())),
        };
        // Whoever asked may have stopped waiting.
        let _ = self.answer.send(told);
    }
}

fn write_all(db: &Connection, mut inbox: mpsc::Receiver<Box<dyn Task>>) {
    while let Some(first) = inbox.blocking_recv() {
        let mut done = Vec::new();
        let stands = write_batch(db, first, &mut inbox, &mut done).is_ok();
        if !db.is_autocommit() {
            // Should this fail too, the next transaction will say so.
            let _ = db.execute_batch("ROLLBACK");
        }
        for task in done {
            task.answer(stands);
        }
    }
}

/// Does `first` and what waits behind it in one transaction. All that was begun is in `done` afterwards.
fn write_batch(
    db: &Connection,
    first: Box<dyn Task>,
    inbox: &mut mpsc::Receiver<Box<dyn Task>>,
    done: &mut Vec<Box<dyn Task>>,
) -> Result<(), rusqlite::Error> {
    let mut next = Some(first);
    let began = db.execute_batch("BEGIN IMMEDIATE");
    while let Some(mut task) = next {
        if began.is_err() {
            done.push(task);
            return began;
        }
        db.execute_batch("SAVEPOINT request")?;
        let keep = task.run(db);
        done.push(task);
        // A full disk or a broken one may have rolled all of it back; then these fail, and nobody is told that it stands.
        if !keep {
            db.execute_batch("ROLLBACK TO request")?;
        }
        db.execute_batch("RELEASE request")?;
        next = if done.len() < BATCH_MAX { inbox.try_recv().ok() } else { None };
    }
    db.execute_batch("COMMIT")
}

fn read_all(db: &Connection, shared: &Mutex<mpsc::Receiver<Box<dyn Task>>>) {
    loop {
        let next = shared.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(mut task) = next else { return };
        // One transaction, so that statements of one request see one state.
        let began = db.execute_batch("BEGIN").is_ok();
        if began {
            task.run(db);
            let _ = db.execute_batch("ROLLBACK");
        }
        task.answer(began);
    }
}

/// Threads that read.
const READERS: usize = 2;
/// Requests that wait for the writer, or for the readers, before callers are held back.
const QUEUE_MAX: usize = 256;
/// Requests that share a transaction.
const BATCH_MAX: usize = 256;
