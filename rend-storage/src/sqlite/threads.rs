//! The threads that wait for the disk, and the queues before them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::Fault;
use super::migrate;
use crate::StoreError;

/// One writer and [`READERS`] readers. They end when their queue is dropped, after what waits in it.
pub(super) struct Threads {
    writer: Staff,
    readers: Staff,
}

impl Threads {
    pub(super) fn start(path: &Path, writer: Connection) -> Result<Self, StoreError> {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let mut threads = Self { writer: Staff::new(queue), readers: Staff::default() };
        threads.writer.hire("sqlite-writer", move || write_all(&writer, inbox))?;
        let (queue, shared) = mpsc::channel(QUEUE_MAX);
        threads.readers = Staff::new(queue);
        let shared = Arc::new(Mutex::new(shared));
        for _ in 0..READERS {
            let db = migrate::open_reader(path)?;
            let shared = Arc::clone(&shared);
            threads.readers.hire("sqlite-reader", move || read_all(&db, &shared))?;
        }
        Ok(threads)
    }

    pub(super) async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        ask(self.writer.queue.as_ref(), f).await
    }

    pub(super) async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        ask(self.readers.queue.as_ref(), f).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // The connection that is closed last moves the log into the file. Were they closed at once, each might leave that
        // to another.
        self.readers.dismiss();
        self.writer.dismiss();
    }
}

/// Threads that serve one queue.
#[derive(Default)]
struct Staff {
    queue: Option<mpsc::Sender<Box<dyn Task>>>,
    handles: Vec<JoinHandle<()>>,
}

impl Staff {
    const fn new(queue: mpsc::Sender<Box<dyn Task>>) -> Self {
        Self { queue: Some(queue), handles: Vec::new() }
    }

    fn hire(&mut self, name: &str, f: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let spawned = std::thread::Builder::new().name(name.into()).spawn(f);
        self.handles.push(spawned.map_err(|cause| StoreError::Unavailable(Box::new(cause)))?);
        Ok(())
    }

    fn dismiss(&mut self) {
        self.queue = None;
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc as std_mpsc;

    use futures::executor::block_on;
    use futures::future::{self, FutureExt};
    use rusqlite::params;
    use tempfile::TempDir;

    use super::*;

    /// An open database with one table, and a gate: until it is dropped, the writer is busy.
    fn busy() -> (Threads, impl Future<Output = Result<(), StoreError>>, std_mpsc::Sender<()>, TempDir) {
        let (threads, folder) = fresh(|_| {});
        let (gate, closed) = std_mpsc::channel::<()>();
        let (begun, running) = std_mpsc::channel();
        let work = move |_: &Connection| {
            begun.send(()).ok();
            closed.recv().ok();
            Ok(())
        };
        let queue = threads.writer.queue.clone();
        let mut first = Box::pin(async move { ask(queue.as_ref(), work).await });
        assert!(first.as_mut().now_or_never().is_none());
        running.recv().unwrap();
        (threads, first, gate, folder)
    }

    fn fresh(prepare: impl FnOnce(&Connection)) -> (Threads, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rend.db");
        let db = migrate::open_current(&path).unwrap();
        db.execute_batch("CREATE TABLE t (x)").unwrap();
        prepare(&db);
        (Threads::start(&path, db).unwrap(), folder)
    }

    fn insert(x: i64) -> impl FnOnce(&Connection) -> Result<i64, Fault> + Send + 'static {
        move |db| {
            db.execute("INSERT INTO t VALUES (?1)", params![x])?;
            if x % 3 == 0 { Err(StoreError::LeaseLost.into()) } else { Ok(x) }
        }
    }

    async fn rows(threads: &Threads) -> Vec<i64> {
        let select = |db: &Connection| -> Result<Vec<i64>, Fault> {
            Ok(db
                .prepare("SELECT x FROM t ORDER BY rowid")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?)
        };
        threads.read(select).await.unwrap()
    }

    #[test]
    fn of_requests_that_share_a_transaction_only_those_that_fail_are_undone() {
        let (threads, first, gate, _folder) = busy();
        let requests: Vec<_> = (1..=20).map(|x| Box::pin(threads.write(insert(x)))).collect();
        let mut all = Box::pin(future::join_all(requests));
        assert!(all.as_mut().now_or_never().is_none(), "they wait behind the first");
        drop(gate);
        block_on(first).unwrap();
        for (answer, x) in block_on(all).into_iter().zip(1..) {
            match answer {
                Ok(done) => assert!(done == x && x % 3 != 0),
                Err(refused) => assert!(x % 3 == 0 && matches!(refused, StoreError::LeaseLost)),
            }
        }
        assert!(block_on(rows(&threads)).into_iter().eq((1..=20).filter(|x| x % 3 != 0)));
    }

    #[test]
    fn a_full_queue_holds_callers_back() {
        let (threads, first, gate, _folder) = busy();
        let mut queued: Vec<_> = (0..QUEUE_MAX).map(|_| Box::pin(threads.write(insert(1)))).collect();
        for request in &mut queued {
            assert!(request.as_mut().now_or_never().is_none());
        }
        {
            // Neither of the two has entered the queue, so nothing comes of the one that is dropped.
            let mut dropped = pin!(threads.write(insert(2)));
            assert!(dropped.as_mut().now_or_never().is_none());
        }
        let mut waits = Box::pin(threads.write(insert(4)));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(gate);
        block_on(first).unwrap();
        for answer in block_on(future::join_all(queued)) {
            answer.unwrap();
        }
        block_on(waits).unwrap();
        let mut expected = vec![1; QUEUE_MAX];
        expected.push(4);
        assert_eq!(block_on(rows(&threads)), expected);
    }

    #[test]
    fn a_full_disk_is_no_space_and_what_was_acknowledged_stays() {
        let (threads, _folder) = fresh(|db| {
            let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
            db.pragma_update(None, "max_page_count", pages + 8).unwrap();
        });
        let mut kept = Vec::new();
        let mut refused = 0;
        for x in 0..64 {
            let big = move |db: &Connection| {
                db.execute("INSERT INTO t VALUES (zeroblob(3000) || ?1)", params![x])?;
                Ok(x)
            };
            match block_on(threads.write(big)) {
                Ok(x) => kept.push(x),
                Err(StoreError::NoSpace) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(!kept.is_empty() && refused > 0);
        let count = |db: &Connection| Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?);
        let held: i64 = block_on(threads.read(count)).unwrap();
        assert_eq!(held, kept.len() as i64);
        // Making room helps.
        block_on(threads.write(|db| Ok(db.execute("DELETE FROM t", [])?))).unwrap();
        block_on(threads.write(insert(1))).unwrap();
    }

    #[test]
    fn the_statements_of_one_read_see_one_state_though_others_write_between_them() {
        let (threads, _folder) = fresh(|_| {});
        let (counted, go_on) = (std_mpsc::channel(), std_mpsc::channel::<()>());
        let (say, wait) = (counted.0, go_on.1);
        let twice = move |db: &Connection| -> Result<(i64, i64), Fault> {
            let count = || db.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
            let before = count()?;
            say.send(()).ok();
            wait.recv().ok();
            Ok((before, count()?))
        };
        let mut read = Box::pin(threads.read(twice));
        assert!(read.as_mut().now_or_never().is_none());
        counted.1.recv().unwrap();
        block_on(threads.write(insert(1))).unwrap();
        drop(go_on.0);
        assert_eq!(block_on(read).unwrap(), (0, 0));
        assert_eq!(block_on(rows(&threads)), [1], "the next read sees it");
    }
}
