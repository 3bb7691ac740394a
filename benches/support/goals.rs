//! Figures with the goal that each was set, side by side.

use std::fmt;

/// The goals that were measured.
#[derive(Debug, Default)]
pub(crate) struct Goals(Vec<Goal>);

#[derive(Debug)]
struct Goal {
    number: &'static str,
    what: String,
    is: f64,
    most: f64,
}

impl Goals {
    /// Notes a figure that should be no larger than `most`.
    pub(crate) fn at_most(&mut self, number: &'static str, what: impl Into<String>, is: f64, most: f64) {
        self.0.push(Goal { number, what: what.into(), is, most });
    }
}

impl fmt::Display for Goals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<5}{:<76}{:>10}{:>10}", "goal", "what", "is", "at most")?;
        for Goal { number, what, is, most } in &self.0 {
            let met = if is <= most { "met" } else { "missed" };
            writeln!(f, "{number:<5}{what:<76}{is:>10.3}{most:>10.3}   {met}")?;
        }
        Ok(())
    }
}
