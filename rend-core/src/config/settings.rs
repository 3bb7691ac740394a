//! What a configuration came to, by variable.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::field::Value;
use super::profile::{Profile, Role};
use super::secret::SecretText;
use super::variable::{Need, Variable};
use crate::fleet::{ExpectedEdges, Region};
use crate::id::EdgeId;
use crate::url::{BaseUrl, Origin};

/// The values of every variable that a role reads, each set, defaulted or absent.
///
/// Each getter takes a constant of [`super::variable`] whose kind is the getter's. Getters of kinds that always have a
/// default answer a plain value; the others answer `None` for what is not set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    role: Role,
    profile: Profile,
    values: BTreeMap<&'static str, Value>,
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty;)+) => {
        $($(#[$doc])*
        pub fn $name(&self, variable: &Variable) -> Option<$type> {
            match self.values.get(variable.name) {
                Some(Value::$variant(value)) => Some(value),
                _ => None,
            }
        })+
    };
}

impl Settings {
    pub(super) const fn new(role: Role, profile: Profile) -> Self {
        Self { role, profile, values: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, variable: &Variable, value: Value) {
        self.values.insert(variable.name, value);
    }

    /// Whom it was read for.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// How strictly it was judged.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether the variable has a value, set or by default.
    pub fn has(&self, variable: &Variable) -> bool {
        self.values.contains_key(variable.name)
    }

    getters! {
        /// A text, key id, domain or one of a list of words.
        text: Text -> &str;
        /// A base URL.
        url: Url -> &BaseUrl;
        /// A path, of a file or a folder.
        path: Path -> &Path;
        /// A secret.
        secret: Secret -> &SecretText;
        /// An edge's name.
        edge_id: EdgeId -> &EdgeId;
        /// A region's name.
        region: Region -> &Region;
        /// The file of the SQLite database, where it is one.
        database: Database -> &Path;
        /// The URL of the PostgreSQL database, where it is one.
        database_url: DatabaseServer -> &SecretText;
    }

    /// Whether it is on; `false` when it is not set.
    pub fn bool(&self, variable: &Variable) -> bool {
        matches!(self.values.get(variable.name), Some(Value::Bool(true)))
    }

    /// A number, or 0 when it is not set.
    pub fn number(&self, variable: &Variable) -> u64 {
        self.number_if_set(variable).unwrap_or(0)
    }

    /// A number of bytes, or 0 when it is not set.
    pub fn bytes(&self, variable: &Variable) -> u64 {
        self.number(variable)
    }

    /// A length of time, or zero when it is not set.
    pub fn secs(&self, variable: &Variable) -> Duration {
        Duration::from_secs(self.number(variable))
    }

    /// A number, bytes or seconds, if set.
    pub fn number_if_set(&self, variable: &Variable) -> Option<u64> {
        match self.values.get(variable.name) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        }
    }

    /// An address to listen on. Every one has a default; a variable that is no address gives `127.0.0.1:0`.
    pub fn addr(&self, variable: &Variable) -> SocketAddr {
        let default = || match variable.need {
            Need::Default(text) => text.parse().ok(),
            Need::Optional | Need::ByProfile { .. } | Need::Required | Need::RequiredInProduction => None,
        };
        match self.values.get(variable.name) {
            Some(Value::Addr(addr)) => *addr,
            _ => default().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        }
    }

    /// Browser origins; none when it is not set.
    pub fn origins(&self, variable: &Variable) -> &[Origin] {
        match self.values.get(variable.name) {
            Some(Value::Origins(list)) => list,
            _ => &[],
        }
    }

    /// Browser origins as a browser sends them.
    pub fn list(&self, variable: &Variable) -> Vec<String> {
        self.origins(variable).iter().map(ToString::to_string).collect()
    }

    /// Edges; none when it is not set.
    pub fn edges(&self, variable: &Variable) -> ExpectedEdges {
        match self.values.get(variable.name) {
            Some(Value::Edges(edges)) => edges.clone(),
            _ => ExpectedEdges::default(),
        }
    }

    /// Key ids and their secrets, in order; none when it is not set.
    pub fn verify_keys(&self, variable: &Variable) -> &[(String, SecretText)] {
        match self.values.get(variable.name) {
            Some(Value::VerifyKeys(keys)) => keys,
            _ => &[],
        }
    }
}
