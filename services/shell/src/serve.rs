use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service;

use crate::greeting::Greeted;
use crate::shutdown::Shutdown;

/// The address a request came from. It is in the extensions of every request that [`serve`] hands on, for limits only:
/// it is never logged, which is why it has no `Debug` and no `Display`.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "addresses are never logged")]
pub struct Peer(pub SocketAddr);

/// How a listener treats its connections.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Connections open at once; further ones wait in the system's queue.
    pub connections_max: usize,
    /// How long a request's head may take, and how long a connection may say nothing at all before its first. Neither
    /// silence nor a half-sent head holds a connection for longer; of HTTP/2 it is how long one may fall silent before it
    /// is asked whether it is there, and how long its answer may take.
    pub header_timeout: Duration,
    /// How long open responses may go on after a stop is requested.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { connections_max: 10_000, header_timeout: Duration::from_secs(10), grace: Duration::from_secs(30) }
    }
}

/// A listener that is bound, and where.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    /// Where it really listens, also when port 0 was asked for.
    pub at: SocketAddr,
}

/// Binds `at`.
///
/// # Errors
///
/// The system's error, with the address and the variable that names it in its text: `REND_API_BIND_ADDR=127.0.0.1:4000:
/// address already in use; stop the other program or set another port`.
pub async fn bind(variable: &str, at: SocketAddr) -> io::Result<Listening> {
    let explain = |error: io::Error| {
        let known = [
            (io::ErrorKind::AddrInUse, "the port is in use; stop the other program or set another port"),
            (io::ErrorKind::PermissionDenied, "ports below 1024 need a privilege; set another port"),
            (io::ErrorKind::AddrNotAvailable, "this machine has no such address; set another"),
        ];
        let fix =
            known.iter().find(|(kind, _)| *kind == error.kind()).map_or("it can not be listened on", |(_, fix)| fix);
        io::Error::new(error.kind(), format!("{variable}={at}: {fix} ({error})"))
    };
    let listener = listen(at).map_err(explain)?;
    let at = listener.local_addr().map_err(explain)?;
    Ok(Listening { listener, at })
}

/// Listens with a queue for a crowd: whose handshake finds it full tries again only after a second.
fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // So that a restart does not wait for what is left of the last one's connections.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(QUEUE_MAX)
}

/// Serves `service` on `listening` until a stop is requested, then lets open responses end within the grace.
///
/// HTTP/1.1 and HTTP/2 with prior knowledge are told apart by the first bytes.
pub async fn serve<S, B>(listening: Listening, service: S, options: ServeOptions, shutdown: Shutdown)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    serve_with(listening, service, options, shutdown, |stream| stream).await;
}

/// Like [`serve`], with a layer between each connection and its stream.
pub async fn serve_with<S, B, I>(
    listening: Listening,
    service: S,
    options: ServeOptions,
    shutdown: Shutdown,
    layer: impl Fn(TcpStream) -> I + Send,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_connections(listening, service, options, shutdown, move |stream| (layer(stream), ())).await;
}

/// Like [`serve_with`], where the layer also makes a value that every request of the connection carries in its
/// extensions: how a handler reaches the layer it is served through.
pub async fn serve_connections<S, B, I, E>(
    listening: Listening,
    service: S,
    options: ServeOptions,
    shutdown: Shutdown,
    layer: impl Fn(TcpStream) -> (I, E) + Send,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Clone + Send + Sync + 'static,
{
    let connections = Connections::new(options);
    let of = &connections;
    let taken = move |stream, peer, slot| {
        let (stream, extension) = layer(stream);
        let served = of.host().serve(stream, WithPeer { inner: service.clone(), peer, extension });
        crate::spawn("connection", async move {
            served.await;
            drop(slot);
        });
    };
    accept(listening, options.connections_max, shutdown, taken).await;
    connections.end().await;
}

/// Takes connections until a stop is requested, each with its slot among those that may be open at once. The listener is
/// closed when this returns.
pub(crate) async fn accept(
    listening: Listening,
    connections_max: usize,
    mut shutdown: Shutdown,
    mut taken: impl FnMut(TcpStream, SocketAddr, OwnedSemaphorePermit) + Send,
) {
    let slots = Arc::new(Semaphore::new(connections_max));
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot,
            () = shutdown.requested() => return,
        };
        // Nobody closes the semaphore.
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            accepted = listening.listener.accept() => accepted,
            () = shutdown.requested() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                taken(stream, peer, slot);
            }
            // Out of descriptors, or a connection reset before it was accepted: neither ends the listener.
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections of one runtime.
pub(crate) struct Connections {
    builder: Arc<auto::Builder<TokioExecutor>>,
    stop: watch::Sender<()>,
    options: ServeOptions,
}

impl Connections {
    /// None yet.
    pub(crate) fn new(options: ServeOptions) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_timeout).pipeline_flush(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(Some(options.header_timeout))
            .keep_alive_timeout(options.header_timeout);
        Self { builder: Arc::new(builder), stop: watch::Sender::new(()), options }
    }

    /// What the next connection is served with.
    pub(crate) fn host(&self) -> Host {
        Host { builder: Arc::clone(&self.builder), options: self.options, stop: self.stop.subscribe() }
    }

    /// Lets open responses end within the grace.
    pub(crate) async fn end(self) {
        self.stop.send_replace(());
        let grace = self.options.grace;
        if tokio::time::timeout(grace, self.stop.closed()).await.is_err() {
            tracing::warn!(grace_secs = grace.as_secs(), "responses were still open at the end of the grace");
        }
    }
}

/// What one connection is served with. While it is held, a stop waits for its connection, up to the grace.
pub struct Host {
    builder: Arc<auto::Builder<TokioExecutor>>,
    options: ServeOptions,
    stop: watch::Receiver<()>,
}

impl Host {
    /// How connections are treated.
    pub const fn options(&self) -> ServeOptions {
        self.options
    }

    /// Whether no further request may be begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.has_changed().unwrap_or(true)
    }

    /// Resolves when no further request may be begun.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.clone();
        async move {
            // An error means that the listener is gone altogether.
            let _ = stop.changed().await;
        }
    }

    /// Serves `service` on `stream` until either side has enough, or a stop is requested and the open responses have ended.
    ///
    /// HTTP/1.1 and HTTP/2 with prior knowledge are told apart by the first bytes.
    pub fn serve<S, B, I>(self, stream: I, service: S) -> impl Future<Output = ()> + Send + use<S, B, I>
    where
        S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Greeted::new(stream, self.options.header_timeout));
        let connection = self.builder.serve_connection_with_upgrades(io, service).into_owned();
        let stopping = self.stopping();
        async move {
            let (mut connection, stopping) = (pin!(connection), pin!(stopping));
            // A viewer who leaves is no news, here and below.
            if let Either::Right(((), connection)) = select(connection.as_mut(), stopping).await {
                connection.graceful_shutdown();
            } else {
                return;
            }
            let _ = connection.await;
            drop(self);
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Connections that stand and wait to be taken, where the system allows as many (`net.core.somaxconn`).
const QUEUE_MAX: u32 = 4096;
/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// How long to wait after a failed accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Puts the peer, and what the layer made for its connection, into each request's extensions.
struct WithPeer<S, E> {
    inner: S,
    peer: SocketAddr,
    extension: E,
}

impl<S, E> fmt::Debug for WithPeer<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WithPeer")
    }
}

impl<S, E> hyper::service::Service<Request<Incoming>> for WithPeer<S, E>
where
    S: Service<Request<Incoming>> + Clone,
    E: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        request.extensions_mut().insert(Peer(self.peer));
        request.extensions_mut().insert(self.extension.clone());
        self.inner.clone().call(request)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use warp::Filter;

    use super::*;
    use crate::shutdown::{ShutdownTrigger, shutdown_pair};

    async fn started(options: ServeOptions) -> (SocketAddr, ShutdownTrigger, tokio::task::JoinHandle<()>) {
        let routes = warp::path!("slow").and(warp::get()).then(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        });
        let listening = bind("TEST", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let at = listening.at;
        let (trigger, shutdown) = shutdown_pair();
        let served = crate::spawn("test", serve(listening, warp::service(routes), options, shutdown));
        (at, trigger, served)
    }

    #[tokio::test]
    async fn neither_silence_nor_a_half_sent_head_holds_a_connection() {
        let options = ServeOptions { header_timeout: Duration::from_millis(200), ..ServeOptions::default() };
        let (at, _trigger, _served) = started(options).await;
        let heads: [&[u8]; 6] = [
            b"",
            b"P",
            b"PRI * HTTP/2.0\r\n\r\nSM",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /slow HT",
            b"GET /slow HTTP/1.1\r\nHost: a\r\nX-",
        ];
        for head in heads {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(head).await.unwrap();
            let mut rest = Vec::new();
            // A connection that is cut with bytes unread is reset; either way it has ended.
            let _ = stream.read_to_end(&mut rest).await;
            let rest = String::from_utf8_lossy(&rest);
            assert!(!rest.contains("done"), "half a head gets no answer: {rest}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_answered_and_falls_silent_is_closed() {
        let options = ServeOptions { header_timeout: Duration::from_millis(200), ..ServeOptions::default() };
        let (at, _trigger, _served) = started(options).await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.ends_with("done"), "{answer}");
    }

    #[tokio::test]
    async fn a_stop_lets_the_open_response_end() {
        let (at, trigger, served) = started(ServeOptions::default()).await;
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        trigger.request();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        served.await.unwrap();
        assert!(TcpStream::connect(at).await.is_err(), "a stopped listener takes no connection");
    }

    /// Where the queue is short, the handshakes that it has no room for are tried again a second later, and fail in the end.
    #[tokio::test]
    async fn a_crowd_that_comes_at_once_finds_room_in_the_queue() {
        let listening = bind("TEST", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut crowd = Vec::new();
        for _ in 0..400 {
            // Nobody takes them.
            crowd.push(TcpStream::connect(listening.at).await.unwrap());
        }
        let (taken, _) = listening.listener.accept().await.unwrap();
        assert_eq!(taken.local_addr().unwrap(), listening.at);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_variable() {
        let first = bind("REND_API_BIND_ADDR", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let error = bind("REND_API_BIND_ADDR", first.at).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("REND_API_BIND_ADDR={}: the port is in use", first.at)), "{error}");
    }
}
