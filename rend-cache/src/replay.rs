//! The log of what a policy was told and what it decided, and its digest.
//!
//! Wrap any policy in [`Recorded`]. Two runs that were told the same have the same digest, on every machine and in every build; a
//! digest that changed means that the policy did.
//!
//! A log is 32-byte records, little-endian: kind (1), class (1), verdict (1), zero (1), segment + 1 (4), id (8), size (8), line (8).
//! [`replay`] feeds one to a fresh policy.

use crate::key::Class;
use crate::policy::{Event, Id, Policy, RestoreError, Standing, Traits, Verdict};

/// A policy with a running digest and, if wanted, a bounded log.
#[derive(Debug)]
pub struct Recorded<P> {
    policy: P,
    digest: u64,
    log: Vec<u8>,
    log_bytes_max: usize,
    dropped: u64,
}

impl<P: Policy> Recorded<P> {
    /// Keeps the digest, and the first `log_bytes_max` bytes of the log.
    pub const fn new(policy: P, log_bytes_max: usize) -> Self {
        Self { policy, digest: 0xcbf2_9ce4_8422_2325, log: Vec::new(), log_bytes_max, dropped: 0 }
    }

    /// A running hash of all events, verdicts and victims.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The log so far, whole records.
    pub fn log(&self) -> &[u8] {
        &self.log
    }

    /// How many events are in the digest but, because the log was full, not in the log.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The policy.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    fn mix(&mut self, value: u64) {
        self.digest = (self.digest.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl<P: Policy> Policy for Recorded<P> {
    fn apply_to(&mut self, event: Event, victims: &mut Vec<Id>) -> Verdict {
        let before = victims.len();
        let verdict = self.policy.apply_to(event, victims);
        let record = encode(&event, verdict);
        for word in record.chunks_exact(8) {
            self.mix(word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        for victim in &victims[before..] {
            self.mix(victim.0);
        }
        if self.log.len() + RECORD_BYTES <= self.log_bytes_max {
            self.log.extend_from_slice(&record);
        } else {
            self.dropped += 1;
        }
        verdict
    }

    fn used(&self) -> u64 {
        self.policy.used()
    }
    fn limit(&self) -> u64 {
        self.policy.limit()
    }
    fn len(&self) -> usize {
        self.policy.len()
    }
    fn standing(&self, id: Id) -> Option<Standing> {
        self.policy.standing(id)
    }
    fn digest(&self) -> u64 {
        self.policy.digest()
    }
    fn snapshot(&self) -> Option<Vec<u8>> {
        self.policy.snapshot()
    }
    fn reserve(&mut self, objects: usize) {
        self.policy.reserve(objects);
    }
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        self.policy.restore(snapshot)
    }
    fn survival(&self, segment: u32) -> Option<u32> {
        self.policy.survival(segment)
    }
    fn log(&self) -> &[u8] {
        &self.log
    }
    fn footprint(&self) -> usize {
        self.policy.footprint() + self.log.capacity()
    }
    fn name(&self) -> &'static str {
        self.policy.name()
    }
}

/// Feeds a log to a policy, and gives the digest. `None` when the log is not one, or when a verdict differs from the recorded one.
pub fn replay<P: Policy>(log: &[u8], policy: P) -> Option<u64> {
    let mut recorded = Recorded::new(policy, 0);
    let (records, rest) = log.as_chunks::<RECORD_BYTES>();
    for record in records {
        let event = decode(record)?;
        if recorded.apply(event).verdict as u8 != record[2] {
            return None;
        }
    }
    rest.is_empty().then_some(recorded.digest)
}

/// The events of a log, without their verdicts. It ends at the first record that is none.
pub fn events(log: &[u8]) -> impl Iterator<Item = Event> {
    log.as_chunks::<RECORD_BYTES>().0.iter().map_while(decode)
}

fn encode(event: &Event, verdict: Verdict) -> [u8; RECORD_BYTES] {
    let none = Traits::plain();
    let (kind, id, size, traits) = match *event {
        Event::Hit { id } => (1, id, 0, none),
        Event::Room { id, size, traits } => (2, id, size, traits),
        Event::Reserve { id, size, traits } => (3, id, size, traits),
        Event::Grow { id, size } => (4, id, size, none),
        Event::Commit { id, size } => (5, id, size, none),
        Event::Abort { id } => (6, id, 0, none),
        Event::Remove { id } => (7, id, 0, none),
        Event::Pin { id } => (8, id, 0, none),
        Event::Unpin { id } => (9, id, 0, none),
        Event::Shrink { bytes } => (10, Id(0), bytes, none),
        Event::SetLimit { limit } => (11, Id(0), limit, none),
        Event::SetAdmission { on } => (12, Id(0), u64::from(on), none),
        Event::Guess { id } => (13, id, 0, none),
    };
    let mut record = [0; RECORD_BYTES];
    record[..3].copy_from_slice(&[kind, traits.class as u8, verdict as u8]);
    record[4..8].copy_from_slice(&traits.segment.map_or(0, |segment| segment.saturating_add(1)).to_le_bytes());
    record[8..16].copy_from_slice(&id.0.to_le_bytes());
    record[16..24].copy_from_slice(&size.to_le_bytes());
    record[24..].copy_from_slice(&traits.line.to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD_BYTES]) -> Option<Event> {
    let number = |at: usize| record[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (id, size) = (Id(number(8)), number(16));
    let segment = record[4..8].iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)).checked_sub(1);
    let traits = Traits { class: Class::from_number(record[1])?, line: number(24), segment };
    Some(match record[0] {
        1 => Event::Hit { id },
        2 => Event::Room { id, size, traits },
        3 => Event::Reserve { id, size, traits },
        4 => Event::Grow { id, size },
        5 => Event::Commit { id, size },
        6 => Event::Abort { id },
        7 => Event::Remove { id },
        8 => Event::Pin { id },
        9 => Event::Unpin { id },
        10 => Event::Shrink { bytes: size },
        11 => Event::SetLimit { limit: size },
        12 if size <= 1 => Event::SetAdmission { on: size == 1 },
        13 => Event::Guess { id },
        _ => return None,
    })
}

/// One event and its verdict.
pub const RECORD_BYTES: usize = 32;
