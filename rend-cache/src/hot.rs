//! The RAM tier: small bodies that were asked for more than once, and all that start playback.

use bytes::Bytes;

use crate::key::Class;
use crate::policy::{Alpha, Event, Id, Policy, Traits, ValueWheel, Verdict, WheelConfig};

/// Decides which bodies stay in RAM. The bytes themselves are with the entries, so that a hit is one lookup.
#[derive(Debug)]
pub(crate) struct Hot {
    policy: ValueWheel,
    object_bytes_max: u64,
}

impl Hot {
    pub(crate) fn new(bytes_max: u64, object_bytes_max: u64) -> Self {
        let config = WheelConfig { alpha: Alpha::Objects, shift: 17, ..WheelConfig::default() };
        Self { policy: ValueWheel::with_config(bytes_max, config), object_bytes_max }
    }

    /// Whether a body of this kind is to stay in RAM, and who has to leave it.
    pub(crate) fn offer(&mut self, id: Id, body: &Bytes, traits: Traits, hits: u32) -> (bool, Vec<Id>) {
        let len = body.len() as u64;
        let wanted = traits.class == Class::Control || len < MIRRORED_BYTES || hits >= 2;
        if !wanted || len > self.object_bytes_max {
            return (false, Vec::new());
        }
        let size = len + OVERHEAD_BYTES;
        let reserved = self.policy.apply(Event::Reserve { id, size, traits });
        let granted = reserved.verdict == Verdict::Granted;
        if granted {
            self.policy.apply(Event::Commit { id, size });
        }
        (granted, reserved.victims)
    }

    pub(crate) fn hit(&mut self, id: Id) {
        self.policy.apply(Event::Hit { id });
    }

    pub(crate) fn remove(&mut self, id: Id) {
        self.policy.apply(Event::Remove { id });
    }

    pub(crate) fn used(&self) -> u64 {
        self.policy.used()
    }
}

/// Smaller bodies are mirrored at their first hit.
const MIRRORED_BYTES: u64 = 16 << 10;
/// What a body costs besides its bytes.
const OVERHEAD_BYTES: u64 = 128;
