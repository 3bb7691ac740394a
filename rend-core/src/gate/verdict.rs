//! Steps, their verdicts, and the report that they add up to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::gate::threshold::{Summary, Thresholds, Timing};
use crate::time::Timestamp;

/// What a step or a whole run came to. The worse of two is the greater.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// All is as it should be.
    #[default]
    Pass,
    /// It works, more slowly than it should.
    Warn,
    /// Something is wrong. Let no viewers in.
    Fail,
}

impl Verdict {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step of a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Its name, such as `edge_miss_hit`.
    pub name: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What is wrong, in sentences; empty when nothing is.
    pub reasons: Vec<String>,
}

/// Sentences that one step keeps: a thousand artifacts with one fault need not be told a thousand times.
pub const REASONS_MAX: usize = 20;

impl Step {
    /// The step `name`, which fails when there is a reason.
    pub fn new(name: &'static str, mut reasons: Vec<String>) -> Self {
        let verdict = if reasons.is_empty() { Verdict::Pass } else { Verdict::Fail };
        let more = reasons.len().saturating_sub(REASONS_MAX);
        reasons.truncate(REASONS_MAX);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        Self { name, verdict, reasons }
    }
}

/// One run of the gate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// What was looked at, such as `embedded`.
    pub target: String,
    /// When it began.
    pub started_at: Timestamp,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// What was measured.
    pub timings: BTreeMap<Timing, Vec<Duration>>,
    /// When it warns and fails.
    pub thresholds: Thresholds,
}

impl Report {
    /// The worst of all steps and timings.
    pub fn verdict(&self) -> Verdict {
        let steps = self.steps.iter().map(|step| step.verdict);
        let timings = self.summaries().into_iter().map(|(timing, summary)| summary.verdict(self.thresholds.of(timing)));
        steps.chain(timings).max().unwrap_or(Verdict::Fail)
    }

    /// Each timing that was measured.
    pub fn summaries(&self) -> Vec<(Timing, Summary)> {
        self.timings.iter().filter_map(|(timing, samples)| Some((*timing, Summary::of(samples)?))).collect()
    }

    /// Why the verdict is not `pass`: the step or timing, and its reason.
    pub fn reasons(&self) -> Vec<String> {
        let steps = self.steps.iter().flat_map(|step| step.reasons.iter().map(|why| format!("{}: {why}", step.name)));
        let timings = self.summaries().into_iter().filter_map(|(timing, summary)| {
            let threshold = self.thresholds.of(timing);
            let bound = match summary.verdict(threshold) {
                Verdict::Pass => return None,
                Verdict::Warn => threshold.warn,
                Verdict::Fail => threshold.fail,
            };
            Some(format!("{}: {} ms, above {} ms", timing.key(), summary.p50.as_millis(), bound.as_millis()))
        });
        steps.chain(timings).collect()
    }

    /// The report as it is written and shown.
    pub fn to_json(&self) -> Value {
        let millis = |time: Duration| json!(u64::try_from(time.as_micros()).unwrap_or(u64::MAX) as f64 / 1000.0);
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| json!({ "name": step.name, "verdict": step.verdict.as_str(), "reasons": step.reasons }))
            .collect();
        let timings: serde_json::Map<String, Value> = self
            .summaries()
            .into_iter()
            .map(|(timing, summary)| {
                let threshold = self.thresholds.of(timing);
                let value = json!({
                    "count": summary.count, "p50_ms": millis(summary.p50), "p95_ms": millis(summary.p95),
                    "max_ms": millis(summary.max), "warn_ms": millis(threshold.warn), "fail_ms": millis(threshold.fail),
                    "verdict": summary.verdict(threshold).as_str(),
                });
                (timing.key().to_owned(), value)
            })
            .collect();
        json!({
            "schema_version": 1, "target": self.target, "started_at": self.started_at.to_string(),
            "status": self.verdict().as_str(), "reasons": self.reasons(), "steps": steps, "timings": timings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(steps: Vec<Step>, millis: u64) -> Report {
        let timings = [(Timing::EdgeTtfbHit, vec![Duration::from_millis(millis)])].into();
        Report { target: "embedded".into(), steps, timings, ..Report::default() }
    }

    #[test]
    fn the_worst_decides_and_says_why() {
        let good = || Step::new("upload", vec![]);
        assert_eq!(report(vec![good()], 1).verdict(), Verdict::Pass);
        let slow = report(vec![good()], 60);
        assert_eq!(
            (slow.verdict(), slow.reasons()),
            (Verdict::Warn, vec!["EDGE_TTFB_HIT: 60 ms, above 50 ms".to_owned()])
        );
        let wrong = report(vec![good(), Step::new("delete", vec!["it is still there".into()])], 60);
        assert_eq!(wrong.verdict(), Verdict::Fail);
        assert_eq!(wrong.reasons()[0], "delete: it is still there");
        assert_eq!(wrong.to_json()["status"], "fail");
    }

    #[test]
    fn a_run_that_looked_at_nothing_does_not_pass() {
        assert_eq!(Report::default().verdict(), Verdict::Fail);
    }

    #[test]
    fn reasons_have_a_bound() {
        let step = Step::new("x", (0..100).map(|n| n.to_string()).collect());
        assert_eq!((step.reasons.len(), step.reasons[REASONS_MAX].as_str()), (REASONS_MAX + 1, "and 80 more"));
    }
}
