//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Everything that was found wrong, in the order of the table and then of the names.
///
/// Its `Display` is a list for people: one line a problem, errors first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong with one variable. It never holds a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The variable.
    pub variable: String,
    /// Whether a program may start all the same.
    pub severity: Severity,
    /// What stands there: a short value, or the shape of a secret.
    pub found: String,
    /// What would be right.
    pub expected: String,
    /// A value that would be right; empty when there is none to give.
    pub example: String,
}

/// Whether a program may start all the same.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may.
    Warning,
}

impl Problems {
    /// Each problem.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether nothing was found.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a program must not start.
    pub fn is_fatal(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Those that keep a program from starting.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// Those that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.errors().chain(self.warnings()) {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}: found {}; expected {}", self.variable, self.found, self.expected)?;
        if !self.example.is_empty() {
            write!(f, ", for example {}={}", self.variable, self.example)?;
        }
        Ok(())
    }
}
