use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::serve::{Connections, Host, Listening, ServeOptions, accept};
use crate::shutdown::Shutdown;

/// Takes connections like [`serve`](crate::serve()) and spreads them over `threads` threads that each have a runtime of their own.
///
/// What belongs to a connection stays on one core, and no thread takes another's work. `run` serves a connection to its end; it is
/// called, and what it answers is polled, on the thread that the connection belongs to. [`Host::serve`] does it with hyper.
///
/// A connection goes to the thread that has fewest. Whatever one connection blocks, it blocks for those of its thread:
/// long work belongs to another runtime ([`spawn_on`](crate::spawn_on)).
///
/// # Errors
///
/// When the threads can not be started.
pub fn serve_spread<F>(
    listening: Listening,
    options: ServeOptions,
    shutdown: Shutdown,
    threads: usize,
    run: impl Fn(TcpStream, SocketAddr, Host) -> F + Clone + Send + 'static,
) -> io::Result<impl Future<Output = ()> + Send>
where
    F: Future<Output = ()> + Send + 'static,
{
    let threads = (0..threads.max(1)).map(|n| Thread::start(n, options, run.clone()));
    let threads: Vec<Thread> = threads.collect::<io::Result<_>>()?;
    Ok(async move {
        accept(listening, options.connections_max, shutdown, |stream, peer, slot| {
            let least = threads.iter().min_by_key(|thread| thread.open.load(Ordering::Relaxed));
            if let Some((thread, stream)) = least.zip(stream.into_std().ok()) {
                thread.open.fetch_add(1, Ordering::Relaxed);
                let held = Held { open: Arc::clone(&thread.open), _slot: slot };
                // There is room for all that have a slot; a thread that panicked takes none, and the viewer comes again.
                let _ = thread.to.try_send(Handed { stream, peer, held });
            }
        })
        .await;
        for Thread { to, ended, .. } in threads {
            // The thread ends once its channel is closed and its connections are.
            drop(to);
            let _ = ended.await;
        }
    })
}

/// How many threads can run at once on this machine.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// One of the threads, as the acceptor sees it.
struct Thread {
    to: mpsc::Sender<Handed>,
    open: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

/// A connection on its way to its thread.
struct Handed {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    held: Held,
}

/// What a connection holds while it is open.
struct Held {
    open: Arc<AtomicUsize>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Thread {
    fn start<F>(
        number: usize,
        options: ServeOptions,
        run: impl Fn(TcpStream, SocketAddr, Host) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (to, mut handed) = mpsc::channel::<Handed>(options.connections_max.max(1));
        let (over, ended) = oneshot::channel();
        thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            runtime.block_on(async move {
                let connections = Connections::new(options);
                while let Some(Handed { stream, peer, held }) = handed.recv().await {
                    let Ok(stream) = TcpStream::from_std(stream) else { continue };
                    // An async block around it would take its size twice.
                    let served = run(stream, peer, connections.host()).map(move |()| drop(held));
                    crate::task::spawn_bare(served);
                }
                connections.end().await;
            });
            // Nobody waits any more when the acceptor is gone.
            let _ = over.send(());
        })?;
        Ok(Self { to, open: Arc::default(), ended })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Mutex;
    use std::time::Duration;

    use http::Response;
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::shutdown::shutdown_pair;

    #[tokio::test]
    async fn connections_are_spread_evenly_and_end_within_the_grace() {
        let listening = crate::bind("TEST", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let at = listening.at;
        let (trigger, shutdown) = shutdown_pair();
        let seen: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let told = Arc::clone(&seen);
        let run = move |stream: TcpStream, _, host: Host| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            *told.lock().unwrap().entry(name).or_default() += 1;
            let service = service_fn(|_| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(Response::new("done".to_owned()))
            });
            host.serve(stream, service)
        };
        let served = serve_spread(listening, ServeOptions::default(), shutdown, 3, run).unwrap();
        let served = crate::spawn("test", served);
        let mut streams = Vec::new();
        for _ in 0..12 {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        trigger.request();
        for mut stream in streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("done"), "{answer}");
        }
        served.await.unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [4, 4, 4]);
        assert!(TcpStream::connect(at).await.is_err(), "a stopped listener takes no connection");
    }
}
