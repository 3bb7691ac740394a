//! Suspensions: what an operator takes out of service and gives back, and the record of who did and why.
//!
//! The record is the state: a subject is suspended while the newest order about it says so. An asset does not play while it
//! or its organisation is suspended.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::asset::{UnknownWord, named};
use crate::id::{AssetId, OrgId};
use crate::time::Timestamp;

/// What an order is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// One asset.
    Asset(AssetId),
    /// Every asset of an organisation, those to come included.
    Org(OrgId),
}

impl Subject {
    /// `asset` or `org`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Asset(_) => "asset",
            Self::Org(_) => "org",
        }
    }

    /// The bytes of its id.
    pub const fn bytes(&self) -> &[u8; 16] {
        match self {
            Self::Asset(id) => id.as_bytes(),
            Self::Org(id) => id.as_bytes(),
        }
    }

    /// Reads back what [`Subject::kind`] and [`Subject::bytes`] wrote, or `None` for a kind that there is not.
    pub fn from_parts(kind: &str, bytes: [u8; 16]) -> Option<Self> {
        match kind {
            "asset" => Some(Self::Asset(AssetId::from_bytes(bytes))),
            "org" => Some(Self::Org(OrgId::from_bytes(bytes))),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(id) => write!(f, "asset {id}"),
            Self::Org(id) => write!(f, "organisation {id}"),
        }
    }
}

named! {
    /// What an order does.
    Action {
        /// Nothing of the subject is served any more.
        Suspend = "suspend",
        /// It is served again.
        Restore = "restore",
    }
}

/// Who gave an order, and why. Holding one proves that both are said, within bounds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    by: String,
    reason: String,
}

/// Characters that the name of an operator may have.
pub const BY_CHARS_MAX: usize = 100;
/// Characters that a reason may have.
pub const REASON_CHARS_MAX: usize = 500;

impl Signed {
    /// An order of `by` for `reason`. White space around them is taken off.
    ///
    /// # Errors
    ///
    /// [`Unsigned`], which says what is missing or too long.
    pub fn new(by: &str, reason: &str) -> Result<Self, Unsigned> {
        let (by, reason) = (by.trim(), reason.trim());
        let said = |text: &str, chars_max| {
            let within = (1..=chars_max).contains(&text.chars().count());
            within && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
        };
        match (said(by, BY_CHARS_MAX), said(reason, REASON_CHARS_MAX)) {
            (true, true) => Ok(Self { by: by.to_owned(), reason: reason.to_owned() }),
            (false, _) => Err(Unsigned::By),
            (true, false) => Err(Unsigned::Reason),
        }
    }

    /// Who.
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What an order lacks. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Unsigned {
    /// Who gives it.
    #[error("the name of who gives the order, 1 to 100 characters")]
    By,
    /// Why.
    #[error("the reason, 1 to 500 characters")]
    Reason,
}

/// One order of an operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// What it is about.
    pub subject: Subject,
    /// What it does.
    pub action: Action,
    /// Who gave it, and why.
    pub signed: Signed,
    /// When.
    pub at: Timestamp,
}

/// An order in the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its place: 1, 2, 3, ….
    pub seq: u64,
    /// The order.
    pub order: Order,
}

/// The order by which an asset does not play: `newest` are the newest orders about it and about its organisation. Its own
/// goes before its organisation's.
pub fn standing(newest: impl IntoIterator<Item = Entry>) -> Option<Entry> {
    newest.into_iter().filter(|entry| entry.order.action == Action::Suspend).min_by_key(|entry| entry.order.subject)
}

/// The suspensions of organisations that stand, as far as the record of orders was read.
///
/// Orders are noted in their order. There are at most as many suspensions as there are organisations.
///
/// ```
/// use rend_core::id::OrgId;
/// use rend_core::suspension::{Action, Entry, Order, Signed, Subject, SuspendedOrgs};
/// use rend_core::time::Timestamp;
///
/// let (org, at) = (OrgId::from_bytes([1; 16]), Timestamp::from_secs(1_800_000_000));
/// let signed = Signed::new("ada", "a court's order")?;
/// let order = Order { subject: Subject::Org(org), action: Action::Suspend, signed, at };
/// let mut suspended = SuspendedOrgs::default();
/// suspended.note(&Entry { seq: 1, order });
/// assert_eq!((suspended.seen(), suspended.first()), (1, Some((org, at))));
/// # Ok::<(), rend_core::suspension::Unsigned>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SuspendedOrgs {
    seen: u64,
    since: BTreeMap<OrgId, Timestamp>,
}

impl SuspendedOrgs {
    /// The place up to which the record was read; 0 before its first order.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes in the next order of the record. Of an organisation that was suspended twice the later order counts.
    pub fn note(&mut self, entry: &Entry) {
        self.seen = entry.seq;
        let Subject::Org(org) = entry.order.subject else { return };
        match entry.order.action {
            Action::Suspend => {
                self.since.insert(org, entry.order.at);
            }
            Action::Restore => {
                self.since.remove(&org);
            }
        }
    }

    /// When the oldest of them was ordered.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.since.values().min().copied()
    }

    /// One of them, and when it was ordered: that of the organisation with the lowest id, so that all are come by.
    pub fn first(&self) -> Option<(OrgId, Timestamp)> {
        self.since.first_key_value().map(|(org, since)| (*org, *since))
    }

    /// Leaves out the suspension of `org`, which was carried out: it comes up again when a later order suspends it again.
    pub fn settle(&mut self, org: OrgId) {
        self.since.remove(&org);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, subject: Subject, action: Action) -> Entry {
        let signed = Signed::new("ada", "why").unwrap();
        Entry { seq, order: Order { subject, action, signed, at: at(seq) } }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    fn org(n: u8) -> OrgId {
        OrgId::from_bytes([n; 16])
    }

    #[track_caller]
    fn check(by: &str, reason: &str, expect: Result<(&str, &str), Unsigned>) {
        let found = Signed::new(by, reason);
        assert_eq!(found.as_ref().map(|s| (s.by(), s.reason())).map_err(|e| *e), expect, "{by:?} {reason:?}");
    }

    #[test]
    fn an_order_names_who_gave_it_and_why() {
        check("ada", " a court's order\n", Ok(("ada", "a court's order")));
        check(&"é".repeat(100), &"é".repeat(500), Ok((&"é".repeat(100), &"é".repeat(500))));
        check("", "why", Err(Unsigned::By));
        check("  ", "why", Err(Unsigned::By));
        check(&"x".repeat(101), "why", Err(Unsigned::By));
        check("ada", "", Err(Unsigned::Reason));
        check("ada", &"x".repeat(501), Err(Unsigned::Reason));
        check("ada", "a\0b", Err(Unsigned::Reason));
    }

    #[test]
    fn a_subject_reads_back() {
        for subject in [Subject::Asset(AssetId::from_bytes([1; 16])), Subject::Org(OrgId::from_bytes([2; 16]))] {
            assert_eq!(Subject::from_parts(subject.kind(), *subject.bytes()), Some(subject));
        }
        assert_eq!(Subject::from_parts("edge", [0; 16]), None);
    }

    #[test]
    fn what_stands_is_the_newest_order_of_the_asset_before_that_of_its_organisation() {
        let (asset, org) = (Subject::Asset(AssetId::from_bytes([9; 16])), Subject::Org(org(1)));
        let by = |newest: &[Entry]| standing(newest.to_vec()).map(|entry| entry.seq);
        assert_eq!(by(&[]), None);
        assert_eq!(by(&[entry(1, org, Action::Suspend), entry(2, asset, Action::Suspend)]), Some(2));
        assert_eq!(by(&[entry(1, org, Action::Suspend), entry(2, asset, Action::Restore)]), Some(1));
        assert_eq!(by(&[entry(1, org, Action::Restore), entry(2, asset, Action::Restore)]), None);
    }

    /// What stands after these orders, given a second after one another: the oldest and the first.
    #[track_caller]
    fn check_standing(orders: &[(Subject, Action)], oldest: Option<u64>, first: Option<(u8, u64)>) {
        let mut suspended = SuspendedOrgs::default();
        for (seq, (subject, action)) in (1..).zip(orders) {
            suspended.note(&entry(seq, *subject, *action));
        }
        assert_eq!(suspended.seen(), orders.len() as u64, "every order is read, whatever it is about");
        assert_eq!(suspended.oldest(), oldest.map(at), "{orders:?}");
        assert_eq!(suspended.first(), first.map(|(n, secs)| (org(n), at(secs))), "{orders:?}");
    }

    #[test]
    fn of_the_organisations_suspended_those_stand_that_were_not_restored_since() {
        let suspend = |n| (Subject::Org(org(n)), Action::Suspend);
        let restore = |n| (Subject::Org(org(n)), Action::Restore);
        let asset = |action| (Subject::Asset(AssetId::from_bytes([1; 16])), action);
        check_standing(&[], None, None);
        check_standing(&[suspend(1)], Some(1), Some((1, 1)));
        check_standing(&[suspend(3), suspend(2), suspend(1)], Some(1), Some((1, 3)));
        check_standing(&[suspend(1), suspend(2), restore(1)], Some(2), Some((2, 2)));
        check_standing(&[suspend(1), suspend(2), suspend(1)], Some(2), Some((1, 3)));
        check_standing(&[suspend(1), restore(1), suspend(1)], Some(3), Some((1, 3)));
        check_standing(&[restore(1)], None, None);
        check_standing(&[asset(Action::Suspend)], None, None);
        check_standing(&[suspend(1), asset(Action::Restore)], Some(1), Some((1, 1)));
    }

    #[test]
    fn a_suspension_that_was_carried_out_comes_up_again_only_when_it_is_ordered_again() {
        let mut suspended = SuspendedOrgs::default();
        suspended.note(&entry(1, Subject::Org(org(1)), Action::Suspend));
        suspended.note(&entry(2, Subject::Org(org(2)), Action::Suspend));
        suspended.settle(org(1));
        suspended.settle(org(7));
        assert_eq!((suspended.first(), suspended.seen()), (Some((org(2), at(2))), 2));
        suspended.note(&entry(3, Subject::Org(org(1)), Action::Suspend));
        assert_eq!(suspended.first(), Some((org(1), at(3))));
    }
}
