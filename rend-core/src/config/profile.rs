//! For whom and for which surroundings a configuration is read.

use std::fmt;
use std::str::FromStr;

use crate::asset::{UnknownWord, named};

named! {
    /// Which program reads the configuration.
    Role {
        /// The API and control plane.
        Api = "api",
        /// The media worker.
        Worker = "worker",
        /// A playback edge.
        Edge = "edge",
        /// All of them, for a file that is shared by API, worker and edge.
        All = "all",
        /// `rend up`: all of them in one process, with a default for everything.
        Up = "up",
    }
}

named! {
    /// How strictly a configuration is judged.
    Profile {
        /// A developer's machine: development values are fine, values that look live are not.
        Local = "local",
        /// Where viewers are: nothing may be left at a development value.
        Production = "production",
    }
}

/// A set of programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles(u8);

impl Roles {
    /// No program.
    pub const NONE: Self = Self(0);
    /// The API.
    pub const API: Self = Self(1);
    /// The media worker.
    pub const WORKER: Self = Self(2);
    /// The edge.
    pub const EDGE: Self = Self(4);
    /// `rend up` alone.
    pub const UP: Self = Self(8);
    /// API, worker and edge; and so also `rend up`.
    pub const SERVICES: Self = Self(7);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a program of `role` reads what this set reads. `rend up` reads everything.
    pub const fn read_by(self, role: Role) -> bool {
        let asked = match role {
            Role::Api => Self::API,
            Role::Worker => Self::WORKER,
            Role::Edge => Self::EDGE,
            Role::All => Self::SERVICES,
            Role::Up => Self::SERVICES.and(Self::UP),
        };
        self.0 & asked.0 != 0
    }

    /// Whether a program of `role` cannot start without what this set needs. `rend up` needs nothing.
    pub const fn needed_by(self, role: Role) -> bool {
        !matches!(role, Role::Up) && self.read_by(role)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SERVICES {
            return f.write_str("all");
        }
        let names = [(Self::API, "api"), (Self::WORKER, "worker"), (Self::EDGE, "edge"), (Self::UP, "`rend up`")];
        let names: Vec<_> = names.iter().filter(|(set, _)| self.0 & set.0 != 0).map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rend_up_reads_everything_and_needs_nothing() {
        for set in [Roles::API, Roles::WORKER, Roles::EDGE, Roles::UP, Roles::SERVICES] {
            assert!(set.read_by(Role::Up), "{set}");
            assert!(!set.needed_by(Role::Up), "{set}");
        }
        assert!(Roles::API.read_by(Role::All) && Roles::API.needed_by(Role::All));
        assert!(!Roles::API.read_by(Role::Edge));
        assert!(!Roles::UP.read_by(Role::All));
    }
}
