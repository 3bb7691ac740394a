//! Timings, and when they warn or fail.

use std::time::Duration;

use crate::config::Vars;
use crate::gate::verdict::Verdict;

/// What is timed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Timing {
    /// From the upload's last byte to its answer.
    UploadResponse,
    /// From the upload's answer until the first seconds play.
    UploadToOpenerPlayable,
    /// From the upload's answer until all of it plays.
    UploadToHlsReady,
    /// One bootstrap.
    PlaybackBootstrap,
    /// First byte of something that is not cached.
    EdgeTtfbMiss,
    /// First byte of something that is cached.
    EdgeTtfbHit,
    /// First byte of something that was warmed.
    EdgeTtfbWarmedHit,
    /// From a play until analytics show it.
    TelemetryVisibility,
}

impl Timing {
    /// Every one, in the order in which a viewer's video meets them.
    pub const ALL: [Self; 8] = [
        Self::UploadResponse,
        Self::UploadToOpenerPlayable,
        Self::UploadToHlsReady,
        Self::PlaybackBootstrap,
        Self::EdgeTtfbMiss,
        Self::EdgeTtfbHit,
        Self::EdgeTtfbWarmedHit,
        Self::TelemetryVisibility,
    ];

    /// The word in variables and reports.
    pub const fn key(self) -> &'static str {
        match self {
            Self::UploadResponse => "UPLOAD_RESPONSE",
            Self::UploadToOpenerPlayable => "UPLOAD_TO_OPENER_PLAYABLE",
            Self::UploadToHlsReady => "UPLOAD_TO_HLS_READY",
            Self::PlaybackBootstrap => "PLAYBACK_BOOTSTRAP",
            Self::EdgeTtfbMiss => "EDGE_TTFB_MISS",
            Self::EdgeTtfbHit => "EDGE_TTFB_HIT",
            Self::EdgeTtfbWarmedHit => "EDGE_TTFB_WARMED_HIT",
            Self::TelemetryVisibility => "TELEMETRY_VISIBILITY",
        }
    }

    const fn default_ms(self) -> (u64, u64) {
        match self {
            Self::UploadResponse => (2000, 15_000),
            Self::UploadToOpenerPlayable => (3000, 60_000),
            Self::UploadToHlsReady => (30_000, 180_000),
            Self::PlaybackBootstrap => (200, 3000),
            Self::EdgeTtfbMiss => (500, 6000),
            Self::EdgeTtfbHit | Self::EdgeTtfbWarmedHit => (50, 1000),
            Self::TelemetryVisibility => (5000, 60_000),
        }
    }
}

/// When a timing warns and when it fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Threshold {
    /// Above this it warns.
    pub warn: Duration,
    /// Above this it fails.
    pub fail: Duration,
}

/// The thresholds of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds([Threshold; 8]);

impl Default for Thresholds {
    fn default() -> Self {
        Self(Timing::ALL.map(|timing| {
            let (warn, fail) = timing.default_ms();
            Threshold { warn: Duration::from_millis(warn), fail: Duration::from_millis(fail) }
        }))
    }
}

impl Thresholds {
    /// The defaults, changed by `REND_READINESS_WARN_<KEY>_MS` and `REND_READINESS_FAIL_<KEY>_MS`.
    ///
    /// # Errors
    ///
    /// Every variable that is no number of milliseconds, and every pair that would warn only after it failed.
    pub fn from_vars(vars: &dyn Vars) -> Result<Self, Vec<String>> {
        let mut thresholds = Self::default();
        let mut wrong = Vec::new();
        for (timing, threshold) in Timing::ALL.into_iter().zip(&mut thresholds.0) {
            for (word, bound) in [("WARN", &mut threshold.warn), ("FAIL", &mut threshold.fail)] {
                let name = format!("REND_READINESS_{word}_{}_MS", timing.key());
                match vars.get(&name).map(|text| text.trim().parse()) {
                    None => {}
                    Some(Ok(millis)) => *bound = Duration::from_millis(millis),
                    Some(Err(_)) => wrong.push(format!("{name}: expected a number of milliseconds such as 500")),
                }
            }
            if threshold.warn > threshold.fail {
                wrong.push(format!(
                    "REND_READINESS_WARN_{0}_MS is above REND_READINESS_FAIL_{0}_MS; make it lower",
                    timing.key()
                ));
            }
        }
        if wrong.is_empty() { Ok(thresholds) } else { Err(wrong) }
    }

    /// The threshold of `timing`.
    pub const fn of(&self, timing: Timing) -> Threshold {
        self.0[timing as usize]
    }
}

/// What several measurements of one timing come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// How many there were.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// What 95 of 100 stay within.
    pub p95: Duration,
    /// The longest.
    pub max: Duration,
}

impl Summary {
    /// The summary of `samples`, or `None` of none. Percentiles are by nearest rank.
    pub fn of(samples: &[Duration]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { count: sorted.len(), p50: rank(50)?, p95: rank(95)?, max: *sorted.last()? })
    }

    /// The verdict by the median: one slow measurement of several is the machine's, half of them are ours.
    pub fn verdict(&self, threshold: Threshold) -> Verdict {
        if self.p50 > threshold.fail {
            Verdict::Fail
        } else if self.p50 > threshold.warn {
            Verdict::Warn
        } else {
            Verdict::Pass
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn variables_move_thresholds_and_wrong_ones_are_all_named() {
        let vars = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let good = vars(&[("REND_READINESS_WARN_EDGE_TTFB_HIT_MS", "70")]);
        let moved = Thresholds::from_vars(&good).unwrap();
        assert_eq!(moved.of(Timing::EdgeTtfbHit).warn, Duration::from_millis(70));
        assert_eq!(moved.of(Timing::EdgeTtfbMiss), Thresholds::default().of(Timing::EdgeTtfbMiss));
        let bad =
            vars(&[("REND_READINESS_WARN_UPLOAD_RESPONSE_MS", "soon"), ("REND_READINESS_FAIL_EDGE_TTFB_MISS_MS", "1")]);
        assert_eq!(Thresholds::from_vars(&bad).unwrap_err().len(), 2);
    }

    #[test]
    fn the_median_decides() {
        let threshold = Threshold { warn: Duration::from_millis(10), fail: Duration::from_millis(20) };
        let check = |millis: &[u64], expect: Verdict| {
            let samples: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            assert_eq!(Summary::of(&samples).unwrap().verdict(threshold), expect, "{millis:?}");
        };
        check(&[10], Verdict::Pass);
        check(&[1, 1, 99], Verdict::Pass);
        check(&[11], Verdict::Warn);
        check(&[1, 21, 99], Verdict::Fail);
        assert_eq!(Summary::of(&[]), None);
    }

    proptest! {
        #[test]
        fn a_summary_is_ordered_and_made_of_samples(millis in prop::collection::vec(0_u64..1000, 1..40)) {
            let samples: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            let summary = Summary::of(&samples).unwrap();
            prop_assert!(summary.p50 <= summary.p95 && summary.p95 <= summary.max);
            prop_assert!(samples.contains(&summary.p50) && samples.contains(&summary.p95));
        }
    }
}
