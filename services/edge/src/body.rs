//! The bodies of responses: a part of something mapped, or a fill that is read along.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::BoxStream;
use hyper::body::{Body, Frame, SizeHint};
use rend_cache::{FillError, FillReader, Hit};
use thiserror::Error;

use crate::delivery::Delivery;
use crate::io::{FilePart, Wire};

/// The body ends here, before its announced length. The connection is closed with it, so that nobody takes what came
/// for the whole.
#[derive(Clone, Copy, Debug, Error)]
#[error("the body was cut")]
pub(crate) struct Cut;

/// The body of an answer of the public listener.
pub(crate) enum Outgoing {
    /// Bytes that are at hand; empty for an answer without a body.
    Bytes(Bytes),
    /// An artifact, of which every byte is accounted for.
    Artifact(Sending),
    /// What a route beside playback answered.
    Routed(Pin<Box<dyn Body<Data = Bytes, Error = Failure> + Send>>),
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// Why a body broke off.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Artifact(sending) => {
                sending.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data).map_err(Into::into)))
            }
            Self::Routed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Artifact(sending) => sending.left == 0,
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Artifact(sending) => SizeHint::with_exact(sending.left),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

/// A piece of a body, and the file that it is a part of.
pub(crate) type Next = (Bytes, Option<FilePart>);

impl Outgoing {
    /// The next piece. Of an artifact, whoever sends it counts it as it leaves.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Next>, Cut>> {
        match self {
            Self::Artifact(sending) => sending.poll_next(cx),
            Self::Bytes(_) | Self::Routed(_) => {
                let frame = ready!(Pin::new(self).poll_frame(cx)).transpose().map_err(|_| Cut)?;
                Poll::Ready(Ok(frame.and_then(|frame| frame.into_data().ok()).map(|bytes| (bytes, None))))
            }
        }
    }

    /// Whether nobody has to be waited for.
    pub(crate) const fn is_at_hand(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Artifact(sending) => matches!(sending.source, Source::Read(_) | Source::Stored { .. }),
            Self::Routed(_) => false,
        }
    }

    /// The account of what leaves, where one is kept.
    pub(crate) const fn delivery(&self) -> Option<&Arc<Delivery>> {
        match self {
            Self::Artifact(sending) => Some(sending.delivery()),
            Self::Bytes(_) | Self::Routed(_) => None,
        }
    }
}

/// A part of an artifact on its way to a viewer.
pub(crate) struct Sending {
    source: Source,
    /// Bytes that are still to be handed over.
    left: u64,
    wire: Option<Wire>,
    delivery: Arc<Delivery>,
}

enum Source {
    Read(Bytes),
    Stored { hit: Hit, at: usize, end: usize },
    // Boxed, so that the common case stays small.
    Filling(Box<Along>),
    Far(BoxStream<'static, Result<Bytes, Cut>>),
}

/// A fill that is read along.
///
/// The piece that would complete the body is held back until the fill has ended well: only then are the bytes what the
/// origin's digest says, and a body whose end never comes is not taken for a whole one. This holds for parts as well.
pub(crate) struct Along {
    reader: FillReader,
    left: u64,
    held: Option<Bytes>,
    begun: bool,
    /// What is done once the head has left, so that nobody's head waits for it.
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Sending {
    /// Bytes `at..end` of what is stored.
    pub(crate) const fn stored(hit: Hit, at: usize, end: usize, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        Self { source: Source::Stored { hit, at, end }, left: end.saturating_sub(at) as u64, wire, delivery }
    }

    /// Bytes at hand.
    pub(crate) const fn read(bytes: Bytes, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        let left = bytes.len() as u64;
        Self { source: Source::Read(bytes), left, wire, delivery }
    }

    /// `len` bytes of a fill from where `reader` stands. The reader must reach to the body's end, so that it tells
    /// whether that was good.
    pub(crate) fn filling(reader: FillReader, len: u64, wire: Option<Wire>, delivery: Arc<Delivery>) -> Self {
        let along = Along { reader, left: len, held: None, begun: false, then: None };
        Self { source: Source::Filling(Box::new(along)), left: len, wire, delivery }
    }

    /// `len` bytes that the origin sends for this viewer alone.
    pub(crate) const fn far(
        chunks: BoxStream<'static, Result<Bytes, Cut>>,
        len: u64,
        wire: Option<Wire>,
        delivery: Arc<Delivery>,
    ) -> Self {
        Self { source: Source::Far(chunks), left: len, wire, delivery }
    }
}

impl Along {
    /// Lets `then` be done when the head has left and the others who wait have had their turn.
    pub(crate) fn and_then(&mut self, then: impl FnOnce() + Send + 'static) {
        self.then = Some(Box::new(then));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FillError>>> {
        if !self.begun {
            // When a thousand wait for one body, the last must not wait until the first have taken a window of it: the
            // head leaves alone, and everybody who woke has one before anybody has more.
            self.begun = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(then) = self.then.take() {
            then();
        }
        loop {
            match ready!(self.reader.poll_chunk(cx)) {
                // Everything of this part is here; what follows is read only to learn how the fill ends.
                Some(Ok(_)) if self.left == 0 => {}
                Some(Ok(mut bytes)) => {
                    bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()));
                    self.left -= bytes.len() as u64;
                    if self.left > 0 {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    self.held = Some(bytes);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.left > 0 => return Poll::Ready(Some(Err(FillError::Short))),
                None => return Poll::Ready(self.held.take().map(Ok)),
            }
        }
    }
}

impl Sending {
    /// The account of what leaves.
    pub(crate) const fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// The fill that is read along, if it is one.
    pub(crate) fn along(&mut self) -> Option<&mut Along> {
        if let Source::Filling(along) = &mut self.source { Some(along) } else { None }
    }

    /// The next piece, announced to the connection that it leaves by.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let (bytes, part) = match ready!(self.poll_next(cx)) {
            Ok(Some(next)) => next,
            Ok(None) => return Poll::Ready(None),
            Err(cut) => return Poll::Ready(Some(Err(cut))),
        };
        match &self.wire {
            Some(wire) => wire.announce(bytes.clone(), part, &self.delivery),
            // Without a layer below, what is handed over counts as having left.
            None => self.delivery.add(bytes.len() as u64),
        }
        Poll::Ready(Some(Ok(bytes)))
    }

    /// The next piece, and the file that it is a part of. Whoever sends it counts it as it leaves.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Next>, Cut>> {
        let (bytes, part) = match &mut self.source {
            Source::Stored { hit, at, end } => {
                if at >= end {
                    return Poll::Ready(Ok(None));
                }
                if hit.is_revoked() {
                    return Poll::Ready(Err(Cut));
                }
                let next = (*at + PIECE_BYTES).min(*end);
                let bytes = hit.body().slice(*at..next);
                let part = hit.file().map(|file| FilePart { file: Arc::clone(file), offset: *at as u64 });
                *at = next;
                (bytes, part)
            }
            Source::Read(bytes) => match std::mem::take(bytes) {
                none if none.is_empty() => return Poll::Ready(Ok(None)),
                bytes => (bytes, None),
            },
            Source::Filling(along) => match ready!(along.poll(cx)) {
                Some(Ok(bytes)) => (bytes, None),
                Some(Err(_)) => return Poll::Ready(Err(Cut)),
                None => return Poll::Ready(Ok(None)),
            },
            Source::Far(chunks) => match ready!(chunks.as_mut().poll_next(cx)).transpose()? {
                Some(bytes) => (bytes, None),
                None => return Poll::Ready(Ok(None)),
            },
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Ok(Some((bytes, part))))
    }
}

/// A take-down cuts responses between pieces of this size, and hyper buffers about one of them.
const PIECE_BYTES: usize = 1 << 20;
