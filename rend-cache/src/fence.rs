//! Generations: a purge outruns any fill begun before it.
//!
//! Every fill takes a generation when it begins and every purge takes one too, from one counter that never goes back, not even in a
//! restart. A purge leaves a *fence* with its generation; what is older than a fence in whose scope it lies is dead, whenever its bytes
//! arrive and whatever name they lie under.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::key::{Generation, Key, KeyRef};

/// What a purge covers.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Every body of an asset.
    Group([u8; 16]),
    /// The bodies of an asset whose names begin so.
    Prefix([u8; 16], Arc<str>),
    /// One body.
    Key(Key),
}

impl Scope {
    /// Whether `key` lies in it.
    pub fn covers(&self, key: &Key) -> bool {
        self.covers_borrowed(key.borrowed())
    }

    pub(crate) fn covers_borrowed(&self, key: KeyRef<'_>) -> bool {
        match self {
            Self::Group(group) => *group == key.group,
            Self::Prefix(group, prefix) => *group == key.group && key.name.starts_with(&**prefix),
            Self::Key(one) => one.borrowed() == key,
        }
    }

    /// The asset.
    pub const fn group(&self) -> [u8; 16] {
        match self {
            Self::Group(group) | Self::Prefix(group, _) => *group,
            Self::Key(key) => key.group(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "{}*", Key::new(*group, "")),
            Self::Prefix(group, prefix) => write!(f, "{}*", Key::new(*group, prefix)),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// What happens to those who are reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// A take-down: readers are cut off now.
    Hard,
    /// Readers may finish; the next request fetches again.
    Soft,
}

/// The fences that still matter, at most [`Fences::MAX`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fences {
    all: Option<Generation>,
    groups: BTreeMap<[u8; 16], Generation>,
    parts: BTreeMap<[u8; 16], BTreeMap<Scope, Generation>>,
    parts_len: usize,
}

impl Fences {
    /// Raises a fence. One that is there is never lowered.
    ///
    /// When there are too many, those of parts become fences of their assets, and those of assets one fence for all: more is fetched
    /// again than was asked, never less.
    pub fn raise(&mut self, scope: &Scope, at: Generation) {
        match scope {
            Scope::Group(group) => self.raise_group(*group, at),
            Scope::Prefix(..) | Scope::Key(_) => {
                let parts = self.parts.entry(scope.group()).or_default();
                let fence = parts.entry(scope.clone()).or_insert_with(|| {
                    self.parts_len += 1;
                    at
                });
                *fence = at.max(*fence);
            }
        }
        if self.len() > Self::MAX {
            for (group, parts) in std::mem::take(&mut self.parts) {
                if let Some(at) = parts.into_values().max() {
                    self.raise_group(group, at);
                }
            }
            self.parts_len = 0;
        }
        if self.len() > Self::MAX {
            self.all = self.all.max(std::mem::take(&mut self.groups).into_values().max());
        }
    }

    /// Raises a fence around everything.
    pub fn raise_all(&mut self, at: Generation) {
        self.all = self.all.max(Some(at));
    }

    /// Whether `key` as of `generation` may be served.
    pub fn pass(&self, key: &Key, generation: Generation) -> bool {
        self.pass_borrowed(key.borrowed(), generation)
    }

    pub(crate) fn pass_borrowed(&self, key: KeyRef<'_>, generation: Generation) -> bool {
        let below = |fence: &Generation| generation < *fence;
        let stopped = self.all.as_ref().is_some_and(below)
            || self.groups.get(&key.group).is_some_and(below)
            || self
                .parts
                .get(&key.group)
                .is_some_and(|parts| parts.iter().any(|(scope, fence)| below(fence) && scope.covers_borrowed(key)));
        !stopped
    }

    /// Forgets fences below `oldest`, when nothing older than that is left anywhere.
    pub fn forget_below(&mut self, oldest: Generation) {
        self.all = self.all.filter(|at| *at >= oldest);
        self.groups.retain(|_, at| *at >= oldest);
        for parts in self.parts.values_mut() {
            parts.retain(|_, at| *at >= oldest);
        }
        self.parts.retain(|_, parts| !parts.is_empty());
        self.parts_len = self.parts.values().map(BTreeMap::len).sum();
    }

    /// The fence around everything, if there is one.
    pub const fn all(&self) -> Option<Generation> {
        self.all
    }

    /// Every other fence.
    pub fn iter(&self) -> impl Iterator<Item = (Scope, Generation)> {
        let groups = self.groups.iter().map(|(group, at)| (Scope::Group(*group), *at));
        groups.chain(self.parts.values().flatten().map(|(scope, at)| (scope.clone(), *at)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len() + self.parts_len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.all.is_none()
    }

    /// The most fences that are remembered one by one.
    pub const MAX: usize = 65_536;

    fn raise_group(&mut self, group: [u8; 16], at: Generation) {
        let fence = self.groups.entry(group).or_insert(at);
        *fence = at.max(*fence);
        // What the new fence covers entirely need not be remembered.
        if let Some(mut parts) = self.parts.remove(&group) {
            self.parts_len -= parts.len();
            parts.retain(|_, fence| *fence > at);
            if !parts.is_empty() {
                self.parts_len += parts.len();
                self.parts.insert(group, parts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> impl Strategy<Value = Scope> {
        let group = (0_u8..3).prop_map(|n| [n; 16]);
        prop_oneof![
            group.clone().prop_map(Scope::Group),
            (group.clone(), "[ab]{0,2}").prop_map(|(group, prefix)| Scope::Prefix(group, prefix.as_str().into())),
            (group, "[ab]{1,3}").prop_map(|(group, name)| Scope::Key(Key::new(group, &name))),
        ]
    }

    proptest! {
        #[test]
        fn a_body_passes_only_if_it_is_younger_than_every_fence_around_it(
            raised in proptest::collection::vec((scope(), 0_u64..20), 0..30),
            group in 0_u8..3, name in "[ab]{1,3}", generation in 0_u64..20,
        ) {
            let mut fences = Fences::default();
            for (scope, at) in &raised {
                fences.raise(scope, Generation(*at));
            }
            let key = Key::new([group; 16], &name);
            let stopped = raised.iter().any(|(scope, at)| generation < *at && scope.covers(&key));
            prop_assert_eq!(fences.pass(&key, Generation(generation)), !stopped);
            prop_assert_eq!(fences.iter().count(), fences.len());
        }
    }

    #[test]
    fn too_many_fences_become_wider_and_none_is_lost() {
        let mut fences = Fences::default();
        let key = |n: usize| Key::new([(n % 7) as u8; 16], &format!("part{n}"));
        for n in 0..=Fences::MAX {
            fences.raise(&Scope::Key(key(n)), Generation(n as u64 + 1));
        }
        assert!(fences.len() <= 7, "{}", fences.len());
        assert!((0..=Fences::MAX).all(|n| !fences.pass(&key(n), Generation(n as u64))));
    }
}
