//! The way of a viewer's connection: plain HTTP/1.1 requests for playback are read, answered and sent here, in their order.
//!
//! A hit of a whole body is a read and a write of the socket and nothing that waits: its head is copied from the one that was sent
//! last, and no map of headers is built. Everything else below `/v/` is answered as over hyper and sent from here. What is no plain
//! request, such as HTTP/2, a body or another path, is handed on to hyper with the bytes that were read, and stays there.
//!
//! ```text
//!          ┌──────────── answered, kept alive ───────────┐
//!          ▼                                             │
//! new ──▶ waits for a head ── plain ──▶ answers ──▶ sends ──▶ closed: told so, stopped, cut, stalled
//!          │        └── silent for too long ──▶ closed
//!          └── anything else ──▶ hyper
//! ```
//!
//! A connection at rest holds no buffer: what is read goes to one of the thread's, and only what can not be answered yet is kept.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::{Body, Incoming};
use rend_cache::{Hit, Meta};
use rend_core::analytics::CacheStatus;
use rend_core::time::{Mono, Timestamp};
use rend_shell::Host;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::bell;
use crate::body::{Cut, Failure, Next, Outgoing, Sending};
use crate::conditional::Validators;
use crate::delivery::{Delivery, Facts};
use crate::edge::Edge;
use crate::fill::{self, Got, Sight};
use crate::front::{Answering, Front};
use crate::head::{self, Life};
use crate::io::{FilePart, Patience, SENDFILE_BYTES_MIN, ViewerIo, Wire, send};
use crate::plain::{Begins, HEAD_BYTES_MAX, Plain, room};
use crate::playback::{self, Ask, Asked, Order};
use crate::trust::{Trusted, Watched};

/// Serves a viewer's connection to its end.
pub(crate) fn serve<R, B>(
    edge: Arc<Edge>,
    routes: Arc<R>,
    stream: TcpStream,
    address: IpAddr,
    host: Host,
    patience: Patience,
) -> impl Future<Output = ()> + Send + use<R, B>
where
    R: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    let trusted = edge.trust.watched();
    // Made out here, so that what it is made of does not take room beside it as long as the connection lasts.
    let mut lane = Lane { to: Viewer { edge, stream, address, patience }, trusted, held: Vec::new(), knock: None };
    async move {
        if lane.run(&host).await == Over::Other {
            let Lane { to: Viewer { edge, stream, .. }, held, .. } = lane;
            let wire = Wire::default();
            let front = Front::new(edge, R::clone(&routes), wire.clone(), address);
            let stream = ViewerIo::new(stream, wire, patience).after(held.into());
            // Boxed, so that a connection that stays here does not have the size of one that does not.
            Box::pin(host.serve(stream, front)).await;
        }
    }
}

/// A connection as long as it says nothing unusual.
struct Lane {
    to: Viewer,
    trusted: Watched,
    /// What was read and not answered: a part of a head, or requests that came before their turn.
    held: Vec<u8>,
    /// Its task's waker, and the same for those who wake it from other threads.
    knock: Option<(Waker, Waker)>,
}

/// Who is at the other end, and what serves them.
struct Viewer {
    edge: Arc<Edge>,
    stream: TcpStream,
    address: IpAddr,
    patience: Patience,
}

/// Why a connection is not gone on with here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Over {
    Closed,
    Other,
}

/// What came of a look at what was read.
enum Step {
    /// A request was answered, and all of it has left.
    Sent { close: bool },
    /// A request was answered, and some of it is still to leave.
    Rest { close: bool, head: Vec<u8>, body: Outgoing },
    /// A request will be answered.
    Later { close: bool, bodyless: bool, answer: Answering },
    /// What begins is not for here.
    Other,
    /// The other side has closed, was silent for too long, or must leave.
    Closed,
}

impl Lane {
    async fn run(&mut self, host: &Host) -> Over {
        let mut rest = Rest {
            since: self.to.edge.accounts.clock.mono(),
            timer: Box::pin(tokio::time::sleep(self.to.patience.greeting)),
            stopping: Box::pin(host.stopping()),
            known: None,
        };
        let mut in_a_row = 0;
        loop {
            let close = match poll_fn(|cx| self.poll_step(cx, host, &mut rest)).await {
                Step::Sent { close } => close,
                // Boxed, and so is the next, so that a connection at rest does not have the size of one that is being answered.
                Step::Rest { close, head, body } => match Box::pin(self.send(head, body)).await {
                    Ok(()) => close,
                    Err(_) => return Over::Closed,
                },
                Step::Later { close, bodyless, answer } => {
                    match Box::pin(self.answered(answer, bodyless, close || host.is_stopping())).await {
                        Ok(()) => close,
                        Err(_) => return Over::Closed,
                    }
                }
                Step::Other => return Over::Other,
                Step::Closed => return Over::Closed,
            };
            if close || host.is_stopping() {
                self.to.close();
                return Over::Closed;
            }
            // Who sends many requests at once takes turns with the others of this thread.
            in_a_row = if self.held.is_empty() { 0 } else { in_a_row + 1 };
            if in_a_row >= REQUESTS_A_TURN {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
            rest.since = self.to.edge.accounts.clock.mono();
        }
    }

    /// The next thing to do: looks at what is held, and reads when that is not enough.
    fn poll_step(&mut self, cx: &mut Context<'_>, host: &Host, rest: &mut Rest) -> Poll<Step> {
        SCRATCH.with_borrow_mut(|Scratch { read, head }| {
            let mut fresh = !self.held.is_empty();
            loop {
                if fresh {
                    let held = std::mem::take(&mut self.held);
                    let look = self.look(&held, head, host);
                    self.held = held;
                    if let (len, Some(step)) = look {
                        self.held.drain(..len);
                        if self.held.is_empty() {
                            self.held = Vec::new();
                        }
                        return Poll::Ready(step);
                    }
                }
                let mut buf = ReadBuf::new(read);
                let read = match Pin::new(&mut self.to.stream).poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => buf.filled(),
                    Poll::Ready(_) => return Poll::Ready(Step::Closed),
                    Poll::Pending => {
                        ready!(rest.poll_over(cx, &self.to, host));
                        return Poll::Ready(Step::Closed);
                    }
                };
                if self.held.is_empty() {
                    let (len, step) = self.look(read, head, host);
                    self.held.extend_from_slice(&read[len..]);
                    if let Some(step) = step {
                        return Poll::Ready(step);
                    }
                } else {
                    self.held.extend_from_slice(read);
                    fresh = true;
                }
            }
        })
    }

    /// Answers what `bytes` begin with, as far as nothing has to be waited for. Says how many of them that was, and what came of it; of a
    /// part of a head nothing comes.
    fn look(&mut self, bytes: &[u8], text: &mut Vec<u8>, host: &Host) -> (usize, Option<Step>) {
        let mut room = room();
        let plain = match Plain::read(bytes, &mut room) {
            Begins::Plain(plain) => plain,
            Begins::Part => return (0, None),
            Begins::Other => return OTHER,
        };
        let close = plain.close;
        let asked = Asked {
            method: &plain.method,
            path: plain.path,
            query: plain.query,
            fields: &plain,
            address: Some(self.to.address),
        };
        let (to, trusted) = (&self.to, self.trusted.load());
        let answer = match playback::order(&to.edge, trusted, &asked) {
            Ok(order) => {
                let seen = playback::seek(&to.edge, &order);
                let swift = plain.method == Method::GET && !plain.conditional;
                match seen {
                    Ok(Sight::Here(Got::Stored(hit, CacheStatus::Hit))) if swift => {
                        let step = to.hit(&plain, trusted, &order, hit, text, close || host.is_stopping());
                        return (plain.len, Some(step));
                    }
                    seen => {
                        let trusted = Arc::clone(trusted);
                        let Some(ask) = to.ask(&plain) else { return OTHER };
                        playback::carry_out(&to.edge, ask, trusted, order, seen)
                    }
                }
            }
            Err(turned) => {
                let Some(ask) = to.ask(&plain) else { return OTHER };
                Answering::Now(Some(playback::turn(&to.edge, &ask, turned)))
            }
        };
        (plain.len, Some(Step::Later { close, bodyless: plain.method == Method::HEAD, answer }))
    }

    /// Waits for an answer and sends it.
    async fn answered(&mut self, answer: Answering, bodyless: bool, close: bool) -> io::Result<()> {
        let mut answer = pin!(answer);
        let Ok(response) = poll_fn(|cx| {
            let knock = self.knock(cx);
            match answer.as_mut().poll(&mut Context::from_waker(&knock)) {
                Poll::Pending => self.poll_listen(cx).map(Err),
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            }
        })
        .await
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (parts, body) = response.into_parts();
        let mut text = Vec::new();
        head::status_text(parts.status, &mut text);
        head::fields_text(&parts.headers, &mut text);
        let without = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !without && !parts.headers.contains_key(header::CONTENT_LENGTH) {
            // Every body of playback knows its length.
            let len = body.size_hint().lower();
            head::field_text(&header::CONTENT_LENGTH, len.to_string().as_bytes(), &mut text);
        }
        head::date_text(self.to.edge.accounts.clock.wall(), &mut text);
        text.extend_from_slice(if close { CLOSE_AND_END } else { END });
        let body = if bodyless || without { Outgoing::Bytes(Bytes::new()) } else { body };
        self.send(text, body).await
    }

    /// Sends `head` and `body`. The head does not wait for a body that is still to come.
    async fn send(&mut self, head: Vec<u8>, mut body: Outgoing) -> io::Result<()> {
        let mut head = Bytes::from(head);
        let mut piece: Next = (Bytes::new(), None);
        let mut turn_bytes = 0;
        loop {
            if piece.0.is_empty() {
                let next = poll_fn(|cx| match self.poll_body(&mut body, cx) {
                    Poll::Ready(Ok(next)) => Poll::Ready(Ok(next.map(Some))),
                    Poll::Ready(Err(_)) => Poll::Ready(Err(io::Error::from(io::ErrorKind::BrokenPipe))),
                    Poll::Pending if !head.is_empty() => Poll::Ready(Ok(Some(None))),
                    Poll::Pending => self.poll_listen(cx).map(|()| Err(io::ErrorKind::BrokenPipe.into())),
                })
                .await?;
                match next {
                    Some(Some(next)) => piece = next,
                    Some(None) => {}
                    // It ends before its announced length: whoever waits for the rest must not take the next answer for it.
                    None if body.size_hint().lower() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    None if head.is_empty() => return Ok(()),
                    None => {}
                }
            }
            let sent = self.to.write(&head, &piece).await?;
            let of_body = sent.saturating_sub(head.len());
            let _ = head.split_to(sent.min(head.len()));
            if of_body > 0 {
                let _ = piece.0.split_to(of_body);
                if let Some(part) = &mut piece.1 {
                    part.offset += of_body as u64;
                }
                if let Some(delivery) = body.delivery() {
                    delivery.add(of_body as u64);
                }
            }
            turn_bytes += sent;
            if turn_bytes >= BYTES_A_TURN {
                // The others of this thread have had as much, or less.
                turn_bytes = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// The next piece of a body, for which a thread that is not this one may have to be waited for.
    fn poll_body(&mut self, body: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Result<Option<Next>, Cut>> {
        if body.is_at_hand() {
            return body.poll_next(cx);
        }
        let knock = self.knock(cx);
        body.poll_next(&mut Context::from_waker(&knock))
    }

    /// The waker to leave with those who wake from other threads.
    fn knock(&mut self, cx: &Context<'_>) -> Waker {
        match &self.knock {
            Some((own, knock)) if own.will_wake(cx.waker()) => knock.clone(),
            _ => {
                let knock = bell::knocking(cx.waker());
                self.knock = Some((cx.waker().clone(), knock.clone()));
                knock
            }
        }
    }

    /// Ready when the other side has left; what it says meanwhile is kept, within a bound, for its turn.
    fn poll_listen(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|Scratch { read, .. }| {
            while self.held.len() < HEAD_BYTES_MAX {
                let room = (HEAD_BYTES_MAX - self.held.len()).min(read.len());
                let mut buf = ReadBuf::new(&mut read[..room]);
                match ready!(Pin::new(&mut self.to.stream).poll_read(cx, &mut buf)) {
                    Ok(()) if !buf.filled().is_empty() => self.held.extend_from_slice(buf.filled()),
                    _ => return Poll::Ready(()),
                }
            }
            Poll::Pending
        })
    }
}

impl Viewer {
    fn ask(&self, plain: &Plain<'_, '_>) -> Option<Ask> {
        Some(Ask { parts: plain.parts()?, wire: None, address: Some(self.address) })
    }

    /// Sends a stored body whole, as far as the socket takes it at once.
    fn hit(
        &self,
        plain: &Plain<'_, '_>,
        trusted: &Trusted,
        order: &Order,
        hit: Hit,
        text: &mut Vec<u8>,
        close: bool,
    ) -> Step {
        let edge = &self.edge;
        fill::prefetch_next(edge, &order.wanted, order.asked_at);
        let len = hit.meta().len;
        let facts = Facts { object_bytes: Some(len), status: 200, cache: CacheStatus::Hit, ..order.facts() };
        text.clear();
        push_kept(edge, order, &hit, text);
        head::date_text(order.asked_at, text);
        if let Some(cookie) = order.cookie(edge, trusted, plain) {
            head::field_text(&header::SET_COOKIE, cookie.as_bytes(), text);
        }
        for (name, value) in edge.cors.grants(plain).iter().flatten() {
            head::field_text(name, value, text);
        }
        head::hit_timing_text(order.started, edge.accounts.clock.mono(), text);
        text.extend_from_slice(if close { CLOSE_AND_END } else { END });
        let part = hit.file().map(|file| FilePart { file: Arc::clone(file), offset: 0 });
        let sent = match try_send(&self.stream, text, hit.body(), part.as_ref()) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                Delivery::begin(&edge.accounts, facts, len);
                return Step::Closed;
            }
        };
        let body_sent = sent.saturating_sub(text.len());
        if sent == text.len() + hit.body().len() {
            let over_us = edge.accounts.elapsed_us(&facts);
            edge.accounts.over(&facts, len, len, over_us, over_us);
            return Step::Sent { close };
        }
        let delivery = Delivery::begin(&edge.accounts, facts, len);
        if body_sent > 0 {
            delivery.add(body_sent as u64);
        }
        let end = hit.body().len();
        let body = Outgoing::Artifact(Sending::stored(hit, body_sent, end, None, delivery));
        Step::Rest { close, head: text[sent.min(text.len())..].to_vec(), body }
    }

    /// Writes what the socket takes, as soon as it takes any.
    async fn write(&self, head: &[u8], (bytes, part): &Next) -> io::Result<usize> {
        let mut stall: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            loop {
                match self.stream.poll_write_ready(cx) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => {
                        let patience = self.patience.stall;
                        let stall = stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                        ready!(stall.as_mut().poll(cx));
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                match try_send(&self.stream, head, bytes, part.as_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    answer => return Poll::Ready(answer),
                }
            }
        })
        .await
    }

    /// Says that nothing more comes. Dropping the stream does the rest.
    fn close(&self) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
    }
}

/// A connection that waits for a head.
struct Rest {
    /// Since when.
    since: Mono,
    /// Set once for many requests: when it is over, it is set again for what is left.
    timer: Pin<Box<Sleep>>,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is woken by the two.
    known: Option<Waker>,
}

impl Rest {
    /// Ready when the connection is to be closed.
    fn poll_over(&mut self, cx: &mut Context<'_>, to: &Viewer, host: &Host) -> Poll<()> {
        if host.is_stopping() {
            return Poll::Ready(());
        }
        if !self.timer.is_elapsed() && self.known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let waited = to.edge.accounts.clock.mono().since(self.since);
            let left = to.patience.greeting.saturating_sub(waited);
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.timer = Box::pin(tokio::time::sleep(left.max(TIMER_STEP)));
        }
        ready!(self.stopping.as_mut().poll(cx));
        self.known = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Sends `head` and then `bytes`, by `sendfile` where that pays.
fn try_send(stream: &TcpStream, head: &[u8], bytes: &[u8], part: Option<&FilePart>) -> io::Result<usize> {
    match part {
        Some(part) if bytes.len() >= SENDFILE_BYTES_MIN => {
            let (head, len) = ([IoSlice::new(head)], bytes.len().min(BYTES_A_TURN));
            let head: &[IoSlice<'_>] = if head[0].is_empty() { &[] } else { &head };
            stream.try_io(Interest::WRITABLE, || send(stream, head, part, len))
        }
        _ if head.is_empty() => stream.try_write(bytes),
        _ => stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(bytes)]),
    }
}

/// Appends the head of a hit but for its last lines, from the last time it was sent if that is known.
fn push_kept(edge: &Edge, order: &Order, hit: &Hit, text: &mut Vec<u8>) {
    let (meta, asset, path) = (hit.meta(), order.wanted.asset, &order.wanted.path);
    let modified = Timestamp::from_millis(meta.modified_ms);
    let life = Life::of(path, hit.body(), modified, order.asked_at);
    let place = usize::try_from(hit.generation().0).unwrap_or(usize::MAX) % KEPT_MAX;
    KEPT.with_borrow_mut(|kept| {
        kept.resize_with(KEPT_MAX, || None);
        let Some(slot) = kept.get_mut(place) else { return };
        if !slot.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.of, meta) && kept.life == life) {
            let validators = Validators::new(&meta.etag, modified);
            let head = head::hit_text(&edge.identity, asset, path, &validators, life, meta.len);
            *slot = Some(Kept { of: Arc::clone(meta), life, head: head.into() });
        }
        text.extend_from_slice(slot.as_ref().map_or(&[], |kept| &kept.head));
    });
}

/// The head of one body.
struct Kept {
    /// Of which: held, so that no other can be where it was.
    of: Arc<Meta>,
    life: Life,
    head: Box<[u8]>,
}

/// What a thread reads into and writes heads in.
struct Scratch {
    read: Vec<u8>,
    head: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { read: vec![0; HEAD_BYTES_MAX], head: Vec::with_capacity(1024) });
    static KEPT: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that one connection may send before those beside it have their turn.
const BYTES_A_TURN: usize = 256 << 10;
/// Requests that came at once and are answered before the connections beside have their turn.
const REQUESTS_A_TURN: usize = 32;
/// Bodies whose heads each thread keeps.
const KEPT_MAX: usize = 128;
/// Timers count in milliseconds; asking for less would spin.
const TIMER_STEP: Duration = Duration::from_millis(1);
/// Nothing was taken: it is for hyper.
const OTHER: (usize, Option<Step>) = (0, Some(Step::Other));
const END: &[u8] = b"\r\n";
const CLOSE_AND_END: &[u8] = b"connection: close\r\n\r\n";
