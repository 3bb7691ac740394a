//! What answers on the public listener: playback without a router on its way, and the routes for the rest.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;

use crate::body::{Failure, Outgoing};
use crate::edge::Edge;
use crate::io::Wire;
use crate::playback::{self, Ask};

/// The service of one viewer's connection.
pub(crate) struct Front<R> {
    edge: Arc<Edge>,
    routes: R,
    wire: Wire,
    address: IpAddr,
}

impl<R> Front<R> {
    /// Serves a connection whose responses announce their pieces to `wire`; what is not playback goes to `routes`.
    pub(crate) const fn new(edge: Arc<Edge>, routes: R, wire: Wire, address: IpAddr) -> Self {
        Self { edge, routes, wire, address }
    }
}

impl<R, B> Service<Request<Incoming>> for Front<R>
where
    R: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let path = request.uri().path();
        if path.starts_with("/v/") || path == "/v" {
            // No method that is answered here has a body that matters.
            let (parts, _) = request.into_parts();
            let ask = Ask { parts, wire: Some(self.wire.clone()), address: Some(self.address) };
            return playback::answer(&self.edge, ask);
        }
        let answered = self.routes.clone().call(request);
        Answering::Later(Box::pin(async move {
            let Ok(response) = answered.await;
            response.map(|body| Outgoing::Routed(Box::pin(Erased(Box::pin(body)))))
        }))
    }
}

/// An answer that is there, or on its way.
#[expect(
    clippy::large_enum_variant,
    reason = "most answers are there, and a box for each would be an allocation a hit"
)]
pub(crate) enum Answering {
    /// It needed nobody else.
    Now(Option<Response<Outgoing>>),
    /// Somebody has to be waited for.
    Later(Pin<Box<dyn Future<Output = Response<Outgoing>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // A future that has answered is not asked again.
            Self::Now(response) => response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Later(response) => response.as_mut().poll(cx).map(Ok),
        }
    }
}

/// A body whose kind of error does not matter.
struct Erased<B>(Pin<Box<B>>);

impl<B: Body<Data = Bytes, Error: Into<Failure>>> Body for Erased<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Failure>>> {
        self.get_mut().0.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.0.size_hint()
    }
}
