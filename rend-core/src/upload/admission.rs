//! Whether an upload may begin, and what became of one that arrived.

use crate::suspension::Entry;

/// How who sends an upload stands with the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// As everybody does.
    InService,
    /// Its organisation is suspended: nothing of it plays.
    Suspended,
}

impl Standing {
    /// By the order about the organisation that stands, if one does.
    pub const fn by(order: Option<&Entry>) -> Self {
        match order {
            Some(_) => Self::Suspended,
            None => Self::InService,
        }
    }
}

/// How large an upload may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The most bytes of one body.
    pub body_bytes_max: u64,
    /// The most bytes of an original, however it arrives.
    pub source_bytes_max: u64,
    /// Free bytes that storage must keep.
    pub free_bytes_min: u64,
    /// Whether a body without an announced length is taken, up to `body_bytes_max`.
    pub takes_unannounced: bool,
    /// Bytes of originals that its organisation may still bring, if that is bounded: see [`quota_left`].
    pub quota_bytes_left: Option<u64>,
}

/// What is decided before the first byte of a body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It may come: at most this many bytes of it are read.
    Accept {
        /// The most bytes to read.
        bytes_max: u64,
    },
    /// It is announced as empty.
    Empty,
    /// Its length has to be announced.
    LengthRequired,
    /// It is announced as larger than allowed.
    TooLarge {
        /// The most that is allowed.
        bytes_max: u64,
    },
    /// It is allowed, but there is no room for it. Trying again helps once there is.
    NoRoom,
    /// Its organisation has no room left for it. Trying again helps once something is deleted or more is granted.
    OverQuota {
        /// The bytes that it may still bring.
        bytes_left: u64,
    },
    /// Nothing is taken of who sends it. Trying again helps once it is in service again.
    Suspended,
}

/// Decides on a body of the announced length from who stands like this, with `free_bytes` of room if that is known.
pub fn admit(standing: Standing, announced: Option<u64>, free_bytes: Option<u64>, limits: &Limits) -> Admission {
    // Who may send nothing is not told what would be right.
    if standing == Standing::Suspended {
        return Admission::Suspended;
    }
    let bytes_max = limits.body_bytes_max.min(limits.source_bytes_max);
    let room = free_bytes.map_or(u64::MAX, |free| free.saturating_sub(limits.free_bytes_min));
    let bytes_left = limits.quota_bytes_left.unwrap_or(u64::MAX);
    match announced {
        Some(0) => Admission::Empty,
        Some(bytes) if bytes > bytes_max => Admission::TooLarge { bytes_max },
        Some(bytes) if bytes > bytes_left => Admission::OverQuota { bytes_left },
        Some(bytes) if bytes > room => Admission::NoRoom,
        Some(bytes) => Admission::Accept { bytes_max: bytes },
        None if !limits.takes_unannounced => Admission::LengthRequired,
        None if bytes_left == 0 => Admission::OverQuota { bytes_left },
        None if room == 0 => Admission::NoRoom,
        None => Admission::Accept { bytes_max: bytes_max.min(room).min(bytes_left) },
    }
}

/// What an organisation that has `held` bytes of originals, those included that are under way, may still bring of
/// `bytes_max`; unbounded where that is nought.
pub fn quota_left(bytes_max: u64, held: u64) -> Option<u64> {
    (bytes_max > 0).then(|| bytes_max.saturating_sub(held))
}

/// What is decided once a body has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// It is whole.
    Whole,
    /// Nothing came.
    Empty,
    /// It ended before its announced length: the sender went away. Trying again helps.
    Short,
    /// More came than was announced or allowed.
    Long,
}

/// Judges a body that ended after `received` bytes.
pub const fn arrived(announced: Option<u64>, received: u64, bytes_max: u64) -> Arrival {
    match announced {
        _ if received > bytes_max => Arrival::Long,
        Some(bytes) if received < bytes => Arrival::Short,
        Some(bytes) if received > bytes => Arrival::Long,
        _ if received == 0 => Arrival::Empty,
        _ => Arrival::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::OrgId;
    use crate::suspension::{Action, Order, Signed, Subject};
    use crate::time::Timestamp;

    const LIMITS: Limits = Limits {
        body_bytes_max: 100,
        source_bytes_max: 1000,
        free_bytes_min: 50,
        takes_unannounced: false,
        quota_bytes_left: None,
    };

    #[track_caller]
    fn check(announced: Option<u64>, free: Option<u64>, expect: Admission) {
        assert_eq!(admit(Standing::InService, announced, free, &LIMITS), expect, "{announced:?} {free:?}");
        let suspended = admit(Standing::Suspended, announced, free, &LIMITS);
        assert_eq!(suspended, Admission::Suspended, "{announced:?} {free:?}: whatever it is");
    }

    #[test]
    fn who_is_suspended_stands_so_by_an_order() {
        let signed = Signed::new("ada", "a court's order").unwrap();
        let subject = Subject::Org(OrgId::from_bytes([1; 16]));
        let order = Order { subject, action: Action::Suspend, signed, at: Timestamp::EPOCH };
        assert_eq!(Standing::by(Some(&Entry { seq: 1, order })), Standing::Suspended);
        assert_eq!(Standing::by(None), Standing::InService);
    }

    #[test]
    fn a_body_is_judged_by_its_announced_length_before_a_byte_is_read() {
        check(Some(0), None, Admission::Empty);
        check(Some(1), None, Admission::Accept { bytes_max: 1 });
        check(Some(100), None, Admission::Accept { bytes_max: 100 });
        check(Some(101), None, Admission::TooLarge { bytes_max: 100 });
        check(Some(u64::MAX), Some(0), Admission::TooLarge { bytes_max: 100 });
        check(Some(51), Some(100), Admission::NoRoom);
        check(Some(50), Some(100), Admission::Accept { bytes_max: 50 });
        check(None, None, Admission::LengthRequired);
    }

    #[test]
    fn an_unannounced_body_is_read_up_to_the_limit_or_the_room() {
        let limits = Limits { takes_unannounced: true, ..LIMITS };
        let admit = |free| admit(Standing::InService, None, free, &limits);
        assert_eq!(admit(None), Admission::Accept { bytes_max: 100 });
        assert_eq!(admit(Some(60)), Admission::Accept { bytes_max: 10 });
        assert_eq!(admit(Some(50)), Admission::NoRoom);
    }

    #[test]
    fn an_organisation_brings_no_more_than_is_left_to_it() {
        let left = |bytes| Limits { takes_unannounced: true, quota_bytes_left: quota_left(1000, bytes), ..LIMITS };
        let admit = |announced, held| admit(Standing::InService, announced, None, &left(held));
        assert_eq!(admit(Some(60), 940), Admission::Accept { bytes_max: 60 });
        assert_eq!(admit(Some(61), 940), Admission::OverQuota { bytes_left: 60 });
        assert_eq!(admit(None, 940), Admission::Accept { bytes_max: 60 });
        assert_eq!(admit(None, 1000), Admission::OverQuota { bytes_left: 0 });
        assert_eq!(admit(Some(1), 2000), Admission::OverQuota { bytes_left: 0 }, "what was granted may shrink");
        assert_eq!(quota_left(0, 7), None, "nought bounds nothing");
    }

    #[test]
    fn a_body_that_ended_is_whole_only_at_its_announced_length() {
        assert_eq!(arrived(Some(10), 10, 10), Arrival::Whole);
        assert_eq!(arrived(Some(10), 9, 10), Arrival::Short);
        assert_eq!(arrived(Some(10), 11, 20), Arrival::Long);
        assert_eq!(arrived(None, 10, 10), Arrival::Whole);
        assert_eq!(arrived(None, 11, 10), Arrival::Long);
        assert_eq!(arrived(None, 0, 10), Arrival::Empty);
        assert_eq!(arrived(Some(5), 0, 5), Arrival::Short);
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_within_every_limit(
            announced in prop::option::of(any::<u64>()), free in prop::option::of(any::<u64>()),
            body: u64, source: u64, keep: u64, takes: bool, left in prop::option::of(any::<u64>())
        ) {
            let limits = Limits {
                body_bytes_max: body,
                source_bytes_max: source,
                free_bytes_min: keep,
                takes_unannounced: takes,
                quota_bytes_left: left,
            };
            if let Admission::Accept { bytes_max } = admit(Standing::InService, announced, free, &limits) {
                prop_assert!(bytes_max <= body && bytes_max <= source);
                prop_assert!(left.is_none_or(|left| bytes_max <= left));
                prop_assert!(free.is_none_or(|free| bytes_max <= free.saturating_sub(keep)));
                prop_assert!(announced.is_none_or(|bytes| bytes == bytes_max));
            }
        }
    }
}
