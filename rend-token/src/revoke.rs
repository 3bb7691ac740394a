//! What is no longer to be believed, although it was signed.

use crate::asset::{AssetKey, Org, SessionId};
use crate::time::UnixSecs;

/// Cut-offs and ended sessions, asked once for every token that is good in all else.
///
/// # Contract
///
/// The answers come from memory and at once. A cut-off only ever rises, and an entry may be forgotten when no token from
/// before it can be alive: after the longest life, or for chains of renewals after the longest horizon.
pub trait Revocation {
    /// Tokens for `asset` issued before this are revoked; [`UnixSecs::ZERO`] revokes none.
    fn asset_cutoff(&self, asset: &AssetKey) -> UnixSecs;
    /// Tokens of `org` issued before this are revoked; [`UnixSecs::ZERO`] revokes none.
    fn org_cutoff(&self, org: &Org) -> UnixSecs;
    /// Whether `session` was ended.
    fn session_denied(&self, session: &SessionId) -> bool;
}

impl<R: Revocation + ?Sized> Revocation for &R {
    #[inline]
    fn asset_cutoff(&self, asset: &AssetKey) -> UnixSecs {
        (**self).asset_cutoff(asset)
    }

    #[inline]
    fn org_cutoff(&self, org: &Org) -> UnixSecs {
        (**self).org_cutoff(org)
    }

    #[inline]
    fn session_denied(&self, session: &SessionId) -> bool {
        (**self).session_denied(session)
    }
}

/// Nothing is revoked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NoRevocation;

impl Revocation for NoRevocation {
    #[inline]
    fn asset_cutoff(&self, _: &AssetKey) -> UnixSecs {
        UnixSecs::ZERO
    }

    #[inline]
    fn org_cutoff(&self, _: &Org) -> UnixSecs {
        UnixSecs::ZERO
    }

    #[inline]
    fn session_denied(&self, _: &SessionId) -> bool {
        false
    }
}

/// Revocations in sorted slices, searched in halves.
#[derive(Clone, Copy, Debug, Default)]
pub struct RevocationList<'a> {
    assets: &'a [(AssetKey, UnixSecs)],
    orgs: &'a [(Org, UnixSecs)],
    sessions: &'a [SessionId],
}

impl<'a> RevocationList<'a> {
    /// The list of these cut-offs and sessions; `None` unless each slice is strictly ascending by its key.
    pub fn new(
        assets: &'a [(AssetKey, UnixSecs)],
        orgs: &'a [(Org, UnixSecs)],
        sessions: &'a [SessionId],
    ) -> Option<Self> {
        let sorted = assets.is_sorted_by(|a, b| a.0 < b.0)
            && orgs.is_sorted_by(|a, b| a.0 < b.0)
            && sessions.is_sorted_by(|a, b| a < b);
        sorted.then_some(Self { assets, orgs, sessions })
    }
}

impl Revocation for RevocationList<'_> {
    fn asset_cutoff(&self, asset: &AssetKey) -> UnixSecs {
        cutoff(self.assets, asset)
    }

    fn org_cutoff(&self, org: &Org) -> UnixSecs {
        cutoff(self.orgs, org)
    }

    fn session_denied(&self, session: &SessionId) -> bool {
        self.sessions.binary_search(session).is_ok()
    }
}

/// A search is rare and stays out of the way of those who need none.
#[inline(never)]
fn cutoff<K: Ord>(sorted: &[(K, UnixSecs)], key: &K) -> UnixSecs {
    sorted.binary_search_by(|entry| entry.0.cmp(key)).ok().and_then(|at| sorted.get(at)).map_or(UnixSecs::ZERO, |e| e.1)
}

/// Revocations that grow: collect them here, swap the whole in for the one before.
///
/// At most [`RevocationBuf::ENTRIES_MAX`] entries of each kind. One more is refused, and the caller falls back on a
/// wider cut-off: the organisation in place of the asset, the key in place of the organisation.
#[cfg(feature = "std")]
#[derive(Clone, Debug, Default)]
pub struct RevocationBuf {
    filter: Filter,
    assets: std::vec::Vec<(AssetKey, UnixSecs)>,
    orgs: std::vec::Vec<(Org, UnixSecs)>,
    sessions: std::vec::Vec<(SessionId, UnixSecs)>,
}

#[cfg(feature = "std")]
impl RevocationBuf {
    /// The most entries of each kind.
    pub const ENTRIES_MAX: usize = 65_536;

    /// Nothing is revoked.
    pub const fn new() -> Self {
        Self {
            filter: Filter([0; FILTER_WORDS]),
            assets: std::vec::Vec::new(),
            orgs: std::vec::Vec::new(),
            sessions: std::vec::Vec::new(),
        }
    }

    /// Revokes the tokens for `asset` issued before `cutoff`. An earlier cut-off than the one in force changes nothing.
    /// Answers whether there was room.
    #[must_use]
    pub fn revoke_asset(&mut self, asset: AssetKey, cutoff: UnixSecs) -> bool {
        self.filter.put(asset.as_bytes());
        raise(&mut self.assets, asset, cutoff)
    }

    /// Revokes the tokens of `org` issued before `cutoff`, as [`RevocationBuf::revoke_asset`].
    #[must_use]
    pub fn revoke_org(&mut self, org: Org, cutoff: UnixSecs) -> bool {
        self.filter.put(org.as_bytes());
        raise(&mut self.orgs, org, cutoff)
    }

    /// Ends `session` at `at`: all its tokens are revoked, renewed ones too. Answers whether there was room.
    #[must_use]
    pub fn end_session(&mut self, session: SessionId, at: UnixSecs) -> bool {
        self.filter.put(session.as_bytes());
        raise(&mut self.sessions, session, at)
    }

    /// Forgets every entry from before `at`. Pass the present less the longest life, or the longest horizon where tokens
    /// are renewed.
    pub fn forget_before(&mut self, at: UnixSecs) {
        self.assets.retain(|entry| entry.1 >= at);
        self.orgs.retain(|entry| entry.1 >= at);
        self.sessions.retain(|entry| entry.1 >= at);
        self.filter = Filter::default();
        self.assets.iter().for_each(|entry| self.filter.put(entry.0.as_bytes()));
        self.orgs.iter().for_each(|entry| self.filter.put(entry.0.as_bytes()));
        self.sessions.iter().for_each(|entry| self.filter.put(entry.0.as_bytes()));
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.assets.len() + self.orgs.len() + self.sessions.len()
    }

    /// Whether nothing is revoked.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(feature = "std")]
fn raise<K: Ord>(sorted: &mut std::vec::Vec<(K, UnixSecs)>, key: K, at: UnixSecs) -> bool {
    match sorted.binary_search_by(|entry| entry.0.cmp(&key)) {
        Ok(found) => {
            if let Some(entry) = sorted.get_mut(found) {
                entry.1 = entry.1.max(at);
            }
            true
        }
        Err(place) if sorted.len() < RevocationBuf::ENTRIES_MAX => {
            sorted.insert(place, (key, at));
            true
        }
        Err(_) => false,
    }
}

#[cfg(feature = "std")]
impl Revocation for RevocationBuf {
    #[inline]
    fn asset_cutoff(&self, asset: &AssetKey) -> UnixSecs {
        if self.filter.may_have(asset.as_bytes()) { cutoff(&self.assets, asset) } else { UnixSecs::ZERO }
    }

    #[inline]
    fn org_cutoff(&self, org: &Org) -> UnixSecs {
        if self.filter.may_have(org.as_bytes()) { cutoff(&self.orgs, org) } else { UnixSecs::ZERO }
    }

    #[inline]
    fn session_denied(&self, session: &SessionId) -> bool {
        self.filter.may_have(session.as_bytes()) && self.sessions.binary_search_by(|entry| entry.0.cmp(session)).is_ok()
    }
}

/// One bit for the last bytes of every entry, so that what is not revoked, which is nearly everything, is not searched
/// for. Whoever picks ids with the same last bytes gets a search, as without it.
#[cfg(feature = "std")]
#[derive(Clone, Debug)]
struct Filter([u64; FILTER_WORDS]);

#[cfg(feature = "std")]
impl Filter {
    fn put(&mut self, bytes: &[u8]) {
        let (word, bit) = Self::place(bytes);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    fn may_have(&self, bytes: &[u8]) -> bool {
        let (word, bit) = Self::place(bytes);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    #[inline]
    fn place(bytes: &[u8]) -> (usize, u64) {
        let last = bytes.last_chunk().map_or(0, |last| u16::from_be_bytes(*last));
        (usize::from(last >> 6) % FILTER_WORDS, 1 << (last & 63))
    }
}

#[cfg(feature = "std")]
impl Default for Filter {
    fn default() -> Self {
        Self([0; FILTER_WORDS])
    }
}

#[cfg(feature = "std")]
const FILTER_WORDS: usize = 64;

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_revoked_is_found_among_many_and_forgotten_in_time() {
        let mut list = RevocationBuf::new();
        let key = |at: u16| AssetKey {
            opaque: at.is_multiple_of(3),
            bytes: [at.to_be_bytes(); 8].concat().try_into().unwrap(),
        };
        for at in (0..2000).rev() {
            assert!(list.revoke_asset(key(at), UnixSecs::new(u32::from(at) + 1)));
        }
        for at in 0..2000 {
            assert_eq!(list.asset_cutoff(&key(at)), UnixSecs::new(u32::from(at) + 1));
            assert_eq!(list.asset_cutoff(&key(at + 2000)), UnixSecs::ZERO);
        }
        list.forget_before(UnixSecs::new(1001));
        assert_eq!((list.len(), list.asset_cutoff(&key(999))), (1000, UnixSecs::ZERO));
        assert_eq!(list.asset_cutoff(&key(1000)), UnixSecs::new(1001));
        assert!(list.revoke_asset(key(1000), UnixSecs::ZERO));
        assert_eq!(list.asset_cutoff(&key(1000)), UnixSecs::new(1001), "a cut-off never falls");
    }

    #[test]
    fn one_entry_too_many_is_refused_and_those_before_stay() {
        let mut list = RevocationBuf::new();
        let session = |at: usize| SessionId::new((at as u64).to_be_bytes()[1..].try_into().unwrap());
        for at in 0..RevocationBuf::ENTRIES_MAX {
            assert!(list.end_session(session(at), UnixSecs::new(5)));
        }
        assert!(!list.end_session(session(RevocationBuf::ENTRIES_MAX), UnixSecs::new(5)));
        assert!(list.end_session(session(0), UnixSecs::new(6)), "what is there may be renewed");
        assert!(list.session_denied(&session(RevocationBuf::ENTRIES_MAX - 1)));
        assert!(!list.session_denied(&session(RevocationBuf::ENTRIES_MAX)));
    }

    #[test]
    fn a_borrowed_list_is_sorted_or_none() {
        let (a, b) = (Org::new([1; 16]), Org::new([2; 16]));
        let orgs = [(a, UnixSecs::new(7)), (b, UnixSecs::new(9))];
        let list = RevocationList::new(&[], &orgs, &[]).unwrap();
        assert_eq!((list.org_cutoff(&a), list.org_cutoff(&b)), (UnixSecs::new(7), UnixSecs::new(9)));
        assert_eq!(list.org_cutoff(&Org::new([3; 16])), UnixSecs::ZERO);
        assert!(RevocationList::new(&[], &[orgs[1], orgs[0]], &[]).is_none());
        assert!(RevocationList::new(&[], &[orgs[0], orgs[0]], &[]).is_none());
    }
}
