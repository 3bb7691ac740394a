//! The state of a policy as bytes, so that another process goes on where one stopped.
//!
//! Little-endian, in this order: `RENDPOL2`; length (1) and name of the order; limit (8), bytes used (8), digest (8); how many objects
//! stand in no queue (8) and each of them; what the order writes of itself, with every queued object; crc32c of all that (4).

use thiserror::Error;

use super::arena::number;
use super::{Arena, Engine, Order};
use crate::footer;

/// Why a snapshot could not be restored.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// It is cut, changed, or something else altogether.
    #[error("the bytes are no snapshot of a policy")]
    Damaged,
    /// It was taken of a policy of another kind or configuration.
    #[error("the snapshot is of a policy of another kind or configuration")]
    OtherPolicy,
    /// The policy has decided something already.
    #[error("a snapshot can be restored into a new policy only")]
    NotNew,
}

/// Mixes one more word into a running hash.
pub(super) const fn mix(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

pub(super) fn take<O: Order>(engine: &Engine<O>) -> Option<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    let name = engine.order.name();
    out.push(u8::try_from(name.len()).ok()?);
    out.extend_from_slice(name.as_bytes());
    for word in [engine.limit, engine.used, engine.digest, engine.arena.aside().count() as u64] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    engine.arena.aside().for_each(|slot| engine.arena.write(slot, &mut out));
    if !engine.order.save(&engine.arena, &mut out) {
        return None;
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Some(out)
}

pub(super) fn restore<O: Order>(engine: &mut Engine<O>, snapshot: &[u8]) -> Result<(), RestoreError> {
    if engine.digest != 0 || !engine.arena.is_empty() {
        return Err(RestoreError::NotNew);
    }
    let (bytes, crc) = snapshot.split_last_chunk::<4>().ok_or(RestoreError::Damaged)?;
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(RestoreError::Damaged)?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*crc) {
        return Err(RestoreError::Damaged);
    }
    let rest = &mut rest;
    let [len] = footer::take(rest).ok_or(RestoreError::Damaged)?;
    let (name, body) = rest.split_at_checked(usize::from(len)).ok_or(RestoreError::Damaged)?;
    if name != engine.order.name().as_bytes() {
        return Err(RestoreError::OtherPolicy);
    }
    *rest = body;
    read(engine, rest).ok_or(RestoreError::OtherPolicy)
}

/// What follows the name. Its checksum is good, so what does not fit was written by another configuration.
fn read<O: Order>(engine: &mut Engine<O>, rest: &mut &[u8]) -> Option<()> {
    let (limit, used, digest) = (number(rest)?, number(rest)?, number(rest)?);
    engine.arena = Arena::new();
    let aside = number(rest)?;
    for _ in 0..aside {
        engine.arena.read(rest)?;
    }
    // What is resident stands in a queue and nothing else does: the order unlinks without looking.
    let apart = |engine: &Engine<O>| engine.arena.aside().count() as u64 == aside;
    if !apart(engine) {
        return None;
    }
    engine.order.load(&mut engine.arena, rest)?;
    if !apart(engine) {
        return None;
    }
    let sum = engine.arena.sizes().try_fold(0_u64, u64::checked_add)?;
    (engine.limit, engine.used, engine.digest) = (limit, used, digest);
    (sum == used && rest.is_empty()).then_some(())
}

const MAGIC: &[u8] = b"RENDPOL2";
