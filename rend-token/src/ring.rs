//! The keys in force: built off the hot path, immutable, swapped whole.

use core::fmt;

use crate::claims::Use;
use crate::key::{KeyLabel, Kid, Secret, SecretPolicy, Weakness};
use crate::mac::MacKey;
use crate::time::{Policy, UnixSecs};

/// What one key of a ring is: its name, its secret, and when it signs and verifies.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeySpec {
    label: KeyLabel,
    secret: Secret,
    sign: Option<(UnixSecs, UnixSecs)>,
    verify: (UnixSecs, UnixSecs),
    revoked: bool,
    issued_at_min: UnixSecs,
}

impl KeySpec {
    /// A key that signs and verifies, from always and without end.
    pub const fn new(label: KeyLabel, secret: Secret) -> Self {
        let always = (UnixSecs::ZERO, UnixSecs::MAX);
        Self { label, secret, sign: Some(always), verify: always, revoked: false, issued_at_min: UnixSecs::ZERO }
    }

    /// A key that verifies and never signs: the coming one before the swap, the old one after it.
    pub const fn verify_only(label: KeyLabel, secret: Secret) -> Self {
        let mut spec = Self::new(label, secret);
        spec.sign = None;
        spec
    }

    /// It signs tokens issued from `from` up to, but not at, `until`.
    pub const fn signs(mut self, from: UnixSecs, until: UnixSecs) -> Self {
        self.sign = Some((from, until));
        self
    }

    /// Its tokens are good from `from` up to, but not at, `until`.
    pub const fn verifies(mut self, from: UnixSecs, until: UnixSecs) -> Self {
        self.verify = (from, until);
        self
    }

    /// It neither signs nor verifies, and refusals of its tokens are counted as such.
    pub const fn revoked(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// It takes no token issued before `at`.
    pub const fn issued_at_min(mut self, at: UnixSecs) -> Self {
        self.issued_at_min = at;
        self
    }
}

/// A key in a ring. It shows its name and its windows, never its secret.
#[derive(Clone)]
pub struct KeyEntry {
    pub(crate) kid: Kid,
    label: KeyLabel,
    sign: Option<(UnixSecs, UnixSecs)>,
    verify: (UnixSecs, UnixSecs),
    pub(crate) revoked: bool,
    pub(crate) issued_at_min: UnixSecs,
    playback: MacKey,
    bootstrap: MacKey,
}

impl KeyEntry {
    pub(crate) fn derive(spec: &KeySpec) -> Self {
        Self {
            kid: spec.label.kid(),
            label: spec.label,
            sign: spec.sign,
            verify: spec.verify,
            revoked: spec.revoked,
            issued_at_min: spec.issued_at_min,
            playback: MacKey::derive(&spec.secret.prk, Use::Playback, &spec.label),
            bootstrap: MacKey::derive(&spec.secret.prk, Use::Bootstrap, &spec.label),
        }
    }

    /// What fills the places of a ring that no key has. It is never looked at.
    fn vacant() -> Self {
        Self {
            kid: Kid([0; 4]),
            label: KeyLabel::VACANT,
            sign: None,
            verify: (UnixSecs::ZERO, UnixSecs::ZERO),
            revoked: true,
            issued_at_min: UnixSecs::MAX,
            playback: MacKey::VACANT,
            bootstrap: MacKey::VACANT,
        }
    }

    /// Its name.
    pub const fn label(&self) -> &KeyLabel {
        &self.label
    }

    /// How tokens name it.
    pub const fn kid(&self) -> Kid {
        self.kid
    }

    /// Whether it was revoked.
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Whether it signs a token issued at `now`.
    pub fn signs_at(&self, now: UnixSecs) -> bool {
        !self.revoked && now >= self.issued_at_min && self.sign.is_some_and(|window| within(window, now))
    }

    /// Whether it verifies at `now`.
    pub fn verifies_at(&self, now: UnixSecs) -> bool {
        !self.revoked && self.in_window(now)
    }

    #[inline]
    pub(crate) fn in_window(&self, now: UnixSecs) -> bool {
        within(self.verify, now)
    }

    #[inline]
    pub(crate) const fn mac(&self, purpose: Use) -> &MacKey {
        match purpose {
            Use::Playback => &self.playback,
            Use::Bootstrap => &self.bootstrap,
        }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn set_revoked(&mut self) {
        self.revoked = true;
    }

    #[cfg(feature = "std")]
    pub(crate) fn set_issued_at_min(&mut self, at: UnixSecs) {
        self.issued_at_min = self.issued_at_min.max(at);
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry")
            .field("label", &self.label)
            .field("kid", &self.kid)
            .field("sign", &self.sign)
            .field("verify", &self.verify)
            .field("revoked", &self.revoked)
            .field("issued_at_min", &self.issued_at_min)
            .finish_non_exhaustive()
    }
}

/// Whoever holds the keys in force.
///
/// # Contract
///
/// The keys come from [`KeyRing::build`] or its growing kin, which checked them together: at most 64, no two with the
/// same kid, no two that sign at the same time.
pub trait Keys {
    /// The keys.
    fn entries(&self) -> &[KeyEntry];
    /// How times are read.
    fn policy(&self) -> &Policy;
}

/// Up to `N` keys (at most 64) in place, without allocation.
pub struct KeyRing<const N: usize> {
    entries: [KeyEntry; N],
    len: usize,
    policy: Policy,
}

impl<const N: usize> KeyRing<N> {
    /// The ring of these keys.
    ///
    /// # Errors
    /// The first thing that keeps them from being a ring.
    pub fn build(specs: &[KeySpec], policy: Policy, secrets: SecretPolicy) -> Result<Self, RingError> {
        if specs.len() > N {
            return Err(RingError::Full);
        }
        check(specs, policy, secrets)?;
        let entries = core::array::from_fn(|at| specs.get(at).map_or_else(KeyEntry::vacant, KeyEntry::derive));
        Ok(Self { entries, len: specs.len(), policy })
    }
}

impl<const N: usize> Keys for KeyRing<N> {
    fn entries(&self) -> &[KeyEntry] {
        self.entries.get(..self.len).unwrap_or_default()
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl<const N: usize> fmt::Debug for KeyRing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// Checks what can only be seen of all keys together.
pub(crate) fn check(specs: &[KeySpec], policy: Policy, secrets: SecretPolicy) -> Result<(), RingError> {
    if specs.is_empty() {
        return Err(RingError::Empty);
    }
    if specs.len() > KEYS_MAX {
        return Err(RingError::Full);
    }
    for (at, spec) in specs.iter().enumerate() {
        let label = spec.label;
        if secrets == SecretPolicy::Production {
            if let Some(weakness) = spec.secret.weakness() {
                return Err(RingError::Weak { label, weakness });
            }
            if label.is_for_development() {
                return Err(RingError::DevelopmentLabel { label });
            }
        }
        if spec.verify.0 >= spec.verify.1 {
            return Err(RingError::Window { label });
        }
        if let Some((from, until)) = spec.sign {
            // Whatever is signed in the last second must be good until it expires, on a clock that lags.
            let last = until.saturating_add(policy.ttl_secs_max).saturating_add(policy.early_secs);
            if from >= until || spec.verify.1 < last || spec.verify.0 > from.saturating_sub(policy.early_secs) {
                return Err(RingError::Window { label });
            }
        }
        for other in &specs[..at] {
            if other.label.kid() == label.kid() {
                return Err(RingError::SameKid { label });
            }
            if let (Some(a), Some(b)) = (spec.sign, other.sign)
                && a.0 < b.1
                && b.0 < a.1
            {
                return Err(RingError::TwoSigners { label });
            }
        }
    }
    Ok(())
}

/// Why keys do not make a ring. Trying again will not help. No message holds a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RingError {
    /// There is no key.
    Empty,
    /// There are more keys than the ring holds, or than 64.
    Full,
    /// Two labels have one kid; rename one.
    SameKid {
        /// The later key.
        label: KeyLabel,
    },
    /// Two keys sign at the same time.
    TwoSigners {
        /// The later key.
        label: KeyLabel,
    },
    /// A window is empty, or the key stops verifying before the last token that it signs expires, or starts after.
    Window {
        /// The key.
        label: KeyLabel,
    },
    /// The secret is too weak for production.
    Weak {
        /// The key.
        label: KeyLabel,
        /// What is wrong with its secret.
        weakness: Weakness,
    },
    /// The label is one of a development set-up.
    DevelopmentLabel {
        /// The key.
        label: KeyLabel,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a key ring needs at least one key"),
            Self::Full => f.write_str("more keys than the ring holds"),
            Self::SameKid { label } => write!(f, "key {label} has the kid of an earlier key; rename one"),
            Self::TwoSigners { label } => write!(f, "key {label} signs at the same time as an earlier key"),
            Self::Window { label } => {
                write!(f, "key {label} must verify until the last token that it signs has expired, skew included")
            }
            Self::Weak { label, weakness } => write!(f, "the secret of key {label} {weakness}"),
            Self::DevelopmentLabel { label } => write!(f, "key label {label} is for development only"),
        }
    }
}

impl core::error::Error for RingError {}

#[inline]
fn within((from, until): (UnixSecs, UnixSecs), now: UnixSecs) -> bool {
    from <= now && (now < until || until == UnixSecs::MAX)
}

pub(crate) const KEYS_MAX: usize = 64;
