use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::serve::{Connections, Listening, ServeOptions, accept};
use crate::shutdown::Shutdown;

/// Like [`serve`](crate::serve()), with the connections spread over `threads` threads that each have a runtime of their own.
///
/// What belongs to a connection stays on one core, and no thread takes another's work. `make` layers a connection and makes
/// its service; it is called on the thread that will serve it.
///
/// A connection goes to the thread that has fewest. Whatever one connection blocks, it blocks for those of its thread:
/// long work belongs to another runtime ([`spawn_on`](crate::spawn_on)).
///
/// # Errors
///
/// When the threads can not be started.
pub fn serve_spread<S, B, I>(
    listening: Listening,
    options: ServeOptions,
    shutdown: Shutdown,
    threads: usize,
    make: impl Fn(TcpStream, SocketAddr) -> (I, S) + Clone + Send + 'static,
) -> io::Result<impl Future<Output = ()> + Send>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let threads = (0..threads.max(1)).map(|n| Thread::start(n, options, make.clone()));
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
    fn start<S, B, I>(
        number: usize,
        options: ServeOptions,
        make: impl Fn(TcpStream, SocketAddr) -> (I, S) + Send + 'static,
    ) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (to, mut handed) = mpsc::channel::<Handed>(options.connections_max.max(1));
        let (over, ended) = oneshot::channel();
        thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            runtime.block_on(async move {
                let connections = Connections::new(options);
                while let Some(Handed { stream, peer, held }) = handed.recv().await {
                    let Ok(stream) = TcpStream::from_std(stream) else { continue };
                    let (stream, service) = make(stream, peer);
                    crate::task::spawn_bare(connections.serve(stream, service, held));
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
    use std::sync::Mutex;
    use std::time::Duration;

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
        let make = move |stream: TcpStream, _| {
            let name = thread::current().name().unwrap_or_default().to_owned();
            *told.lock().unwrap().entry(name).or_default() += 1;
            let service = service_fn(|_| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(Response::new("done".to_owned()))
            });
            (stream, service)
        };
        let served = serve_spread(listening, ServeOptions::default(), shutdown, 3, make).unwrap();
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
