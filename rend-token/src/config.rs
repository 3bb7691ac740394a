//! A ring from the texts that configuration holds, with every problem at once.

use core::fmt;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use crate::key::{BadLabel, KeyLabel, Secret, SecretPolicy, Weakness};
use crate::ring::{self, KEYS_MAX, KeyEntry, KeySpec, Keys, RingError};
use crate::time::{Policy, UnixSecs};

/// As many keys as needed, at most 64, on the heap.
pub struct KeyRingBuf {
    entries: Box<[KeyEntry]>,
    policy: Policy,
}

impl KeyRingBuf {
    /// The ring of these keys.
    ///
    /// # Errors
    /// The first thing that keeps them from being a ring.
    pub fn build(specs: &[KeySpec], policy: Policy, secrets: SecretPolicy) -> Result<Self, RingError> {
        ring::check(specs, policy, secrets)?;
        Ok(Self { entries: specs.iter().map(KeyEntry::derive).collect(), policy })
    }

    /// The ring that configuration describes: one key that signs, and others that only verify while keys are rotated.
    ///
    /// ```
    /// use rend_token::{KeyRingBuf, Policy, RingValues};
    ///
    /// let values = RingValues {
    ///     signing_label: Some("2026-11"),
    ///     signing_secret: Some("changeme"),
    ///     verify_keys: None,
    ///     production: true,
    /// };
    /// let problems = KeyRingBuf::from_values(&values, Policy::new()).unwrap_err();
    /// assert_eq!(problems.to_string(), "REND_PLAYBACK_SIGNING_SECRET is a placeholder or a development value");
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the values, by the names of the variables. No message holds a value.
    pub fn from_values(values: &RingValues<'_>, policy: Policy) -> Result<Self, KeyProblems> {
        let mut problems = Vec::new();
        let mut specs = Vec::new();
        let label = values.signing_label.ok_or(Fault::Unset).and_then(|text| {
            let label = KeyLabel::new(text).map_err(Fault::Label)?;
            fits(label, values.production).map(|()| label)
        });
        let secret = values.signing_secret.ok_or(Fault::Unset).and_then(|text| read_secret(text, values.production));
        match (label, secret) {
            (Ok(label), Ok(secret)) => specs.push(KeySpec::new(label, secret)),
            (label, secret) => {
                problems.extend(label.err().map(|fault| KeyProblem::new(SIGNING_LABEL, None, fault)));
                problems.extend(secret.err().map(|fault| KeyProblem::new(SIGNING_SECRET, None, fault)));
            }
        }
        for (at, entry) in values.verify_keys.unwrap_or_default().split(',').enumerate() {
            if entry.trim().is_empty() {
                continue;
            }
            if at >= KEYS_MAX {
                problems.push(KeyProblem::new(VERIFY_KEYS, None, Fault::Ring(RingError::Full)));
                break;
            }
            match read_entry(entry, values.production) {
                Ok(spec) => specs.push(spec),
                Err(fault) => problems.push(KeyProblem::new(VERIFY_KEYS, Some(at + 1), fault)),
            }
        }
        if problems.is_empty() {
            let secrets = if values.production { SecretPolicy::Production } else { SecretPolicy::Local };
            match Self::build(&specs, policy, secrets) {
                Ok(ring) => return Ok(ring),
                Err(error) => problems.push(KeyProblem::new(VERIFY_KEYS, None, Fault::Ring(error))),
            }
        }
        Err(KeyProblems(problems))
    }

    /// The same ring in which the key `label` is revoked. `None` when there is no such key.
    pub fn revoke(&self, label: &KeyLabel) -> Option<Self> {
        self.change(label, KeyEntry::set_revoked)
    }

    /// The same ring in which the key `label` takes no token issued before `at`; such a bound never falls. `None` when
    /// there is no such key.
    pub fn refuse_issued_before(&self, label: &KeyLabel, at: UnixSecs) -> Option<Self> {
        self.change(label, |key| key.set_issued_at_min(at))
    }

    fn change(&self, label: &KeyLabel, change: impl FnOnce(&mut KeyEntry)) -> Option<Self> {
        let mut entries = self.entries.clone();
        change(entries.iter_mut().find(|key| key.label() == label)?);
        Some(Self { entries, policy: self.policy })
    }
}

impl Keys for KeyRingBuf {
    fn entries(&self) -> &[KeyEntry] {
        &self.entries
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl fmt::Debug for KeyRingBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter()).finish()
    }
}

/// The values of the variables that describe a ring. They are read by whoever may read the environment.
#[derive(Clone, Copy, Default)]
pub struct RingValues<'a> {
    /// `REND_PLAYBACK_SIGNING_KEY_ID`: the label of the key that signs.
    pub signing_label: Option<&'a str>,
    /// `REND_PLAYBACK_SIGNING_SECRET`: its secret. The characters are the secret; they are not decoded.
    pub signing_secret: Option<&'a str>,
    /// `REND_PLAYBACK_VERIFY_KEYS`: keys that only verify, as `label=secret` with `,` between. White space around an
    /// entry, a label and a secret is dropped.
    pub verify_keys: Option<&'a str>,
    /// Whether real viewers depend on it. In production weak secrets and development labels are refused; elsewhere
    /// labels that look like production's are, so that a copied configuration shows.
    pub production: bool,
}

impl fmt::Debug for RingValues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingValues").field("production", &self.production).finish_non_exhaustive()
    }
}

/// Everything that is wrong with the values of a ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyProblems(Vec<KeyProblem>);

impl KeyProblems {
    /// The problems one by one, in the order of the variables.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &KeyProblem> {
        self.0.iter()
    }
}

impl fmt::Display for KeyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl core::error::Error for KeyProblems {}

/// One thing that is wrong with one variable. It never holds the value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyProblem {
    variable: &'static str,
    entry: Option<usize>,
    fault: Fault,
}

impl KeyProblem {
    const fn new(variable: &'static str, entry: Option<usize>, fault: Fault) -> Self {
        Self { variable, entry, fault }
    }

    /// The variable to change.
    pub const fn variable(&self) -> &'static str {
        self.variable
    }

    /// What is wrong with it, without its name.
    pub fn what(&self) -> String {
        match self.entry {
            Some(entry) => std::format!("entry {entry}: {}", self.fault),
            None => std::format!("{}", self.fault),
        }
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variable)?;
        if let Some(entry) = self.entry {
            write!(f, " entry {entry}")?;
        }
        write!(f, " {}", self.fault)
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Fault {
    Unset,
    NotAPair,
    Label(BadLabel),
    DevelopmentLabel,
    ProductionLabel,
    Weak(Weakness),
    Ring(RingError),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("is not set"),
            Self::NotAPair => f.write_str("is not label=secret"),
            Self::Label(bad) => write!(f, "is {bad}"),
            Self::DevelopmentLabel => f.write_str("has a label that is for development only"),
            Self::ProductionLabel => f.write_str("has a production label, but this is a local set-up"),
            Self::Weak(weakness) => write!(f, "{weakness}"),
            Self::Ring(error) => write!(f, "makes no ring: {error}"),
        }
    }
}

fn read_entry(entry: &str, production: bool) -> Result<KeySpec, Fault> {
    let (label, secret) = entry.split_once('=').ok_or(Fault::NotAPair)?;
    let label = KeyLabel::new(label.trim()).map_err(Fault::Label)?;
    fits(label, production)?;
    Ok(KeySpec::verify_only(label, read_secret(secret, production)?))
}

fn fits(label: KeyLabel, production: bool) -> Result<(), Fault> {
    match production {
        true if label.is_for_development() => Err(Fault::DevelopmentLabel),
        false if label.looks_like_production() => Err(Fault::ProductionLabel),
        _ => Ok(()),
    }
}

/// Ends of lines and blanks come from files and shells, not from people's intent; the same text must be the same key on
/// every machine.
fn read_secret(text: &str, production: bool) -> Result<Secret, Fault> {
    let secret = Secret::from_bytes(text.trim().as_bytes()).map_err(Fault::Weak)?;
    match secret.weakness() {
        Some(weakness) if production => Err(Fault::Weak(weakness)),
        _ => Ok(secret),
    }
}

const SIGNING_LABEL: &str = "REND_PLAYBACK_SIGNING_KEY_ID";
const SIGNING_SECRET: &str = "REND_PLAYBACK_SIGNING_SECRET";
const VERIFY_KEYS: &str = "REND_PLAYBACK_VERIFY_KEYS";
