//! Boxes: how they nest, and the numbers in them.

use bytes::{Buf, Bytes};
use thiserror::Error;

/// The bytes are not the boxes that were expected. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a fragmented media file: {0}")]
pub struct BoxError(pub(crate) &'static str);

/// A box: its kind, and what is in it.
pub(crate) struct Boxed {
    pub(crate) kind: [u8; 4],
    pub(crate) body: Bytes,
    pub(crate) whole: Bytes,
}

/// The kind, the length of the header and the length of the whole box that `bytes` begin with.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<([u8; 4], usize, usize)>, BoxError> {
    #[cfg(test)]
    super::work::step();
    let (Some(short), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..8)) else { return Ok(None) };
    let kind = [kind[0], kind[1], kind[2], kind[3]];
    let (header, len) = match u32::from_be_bytes(*short) {
        1 => match bytes.get(8..16).and_then(|b| b.first_chunk::<8>()) {
            Some(long) => (16, usize::try_from(u64::from_be_bytes(*long)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        len => (8, usize::try_from(len).unwrap_or(usize::MAX)),
    };
    if len < header { Err(BoxError("a box is shorter than its header")) } else { Ok(Some((kind, header, len))) }
}

pub(crate) fn children(bytes: &Bytes) -> Result<Vec<Boxed>, BoxError> {
    let mut found = Vec::new();
    let mut rest = bytes.clone();
    while let Some((kind, header, len)) = head(&rest)? {
        if len > rest.len() || found.len() == CHILDREN_MAX {
            return Err(BoxError("a box reaches past its parent"));
        }
        let whole = rest.split_to(len);
        found.push(Boxed { kind, body: whole.slice(header..), whole });
    }
    Ok(found)
}

pub(crate) fn descend(bytes: &Bytes, path: &[&[u8; 4]]) -> Result<Boxed, BoxError> {
    let mut body = bytes.clone();
    let mut found = None;
    for kind in path {
        let child = children(&body)?.into_iter().find(|b| &b.kind == *kind).ok_or(BoxError("a box is missing"))?;
        body = child.body.clone();
        found = Some(child);
    }
    found.ok_or(BoxError("a box is missing"))
}

pub(crate) struct Cursor(pub(crate) Bytes);

impl Cursor {
    pub(crate) fn skip(&mut self, bytes: usize) -> Result<(), BoxError> {
        if self.0.len() < bytes {
            return Err(BoxError("a box is cut short"));
        }
        self.0.advance(bytes);
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BoxError> {
        #[cfg(test)]
        super::work::step();
        let array = *self.0.first_chunk::<N>().ok_or(BoxError("a box is cut short"))?;
        self.0.advance(N);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BoxError> {
        self.array::<1>().map(|a| a[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BoxError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BoxError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BoxError> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Boxes that one box may hold.
const CHILDREN_MAX: usize = 1024;
