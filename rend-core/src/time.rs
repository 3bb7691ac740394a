//! Time as values that callers hand in: [`Mono`] for intervals, [`Timestamp`] for what is written down.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// A monotonic instant, counted from the start of the process or of a simulation.
///
/// Unlike [`std::time::Instant`] it can be built from nothing, so a test names the instant it wants and a seed replays
/// to the same trace.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mono(Duration);

impl Mono {
    /// The instant at which counting began.
    pub const START: Self = Self(Duration::ZERO);

    /// The instant `elapsed` after the start.
    pub const fn after_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the start this is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

/// A point in civil time, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// This is what databases, events and APIs hold. It prints and parses as RFC 3339 in UTC with three fractional digits,
/// and can represent every instant up to the end of the year 9999.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z; later instants become this one.
    pub const MAX: Self = Self(253_402_207_200_000 - 1);

    /// The instant `millis` after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// The instant `secs` after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// The instant a system clock showed. Instants before the epoch become the epoch.
    pub fn from_system(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The same instant for an interface that wants a [`SystemTime`].
    pub fn to_system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The start of the UTC hour this instant lies in.
    pub const fn hour(self) -> Self {
        Self(self.0 - self.0 % 3_600_000)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, back: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(back.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let at = jiff::Timestamp::from_millisecond(millis).map_err(|_| fmt::Error)?;
        write!(f, "{at:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let at: jiff::Timestamp = text.parse().map_err(|_| BadTimestamp)?;
        u64::try_from(at.as_millisecond()).map(Self::from_millis).map_err(|_| BadTimestamp)
    }
}

/// The text is not an RFC 3339 instant after 1970. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not an RFC 3339 time such as 2026-11-21T03:29:47.000Z")]
pub struct BadTimestamp;

/// Where a rim gets the time. Libraries take [`Mono`] and [`Timestamp`] values in its place.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time for intervals: never goes back, says nothing about the calendar.
    fn mono(&self) -> Mono;
    /// Time for the record: may jump when the machine's clock is set.
    fn wall(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, text: &str) {
        let at = Timestamp::from_millis(millis);
        assert_eq!(at.to_string(), text);
        assert_eq!(text.parse(), Ok(at));
    }

    #[test]
    fn a_timestamp_prints_as_rfc_3339_and_reads_back() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_800_000_000_123, "2027-01-15T08:00:00.123Z");
        check(Timestamp::MAX.as_millis(), &Timestamp::MAX.to_string());
    }

    #[test]
    fn what_is_not_a_time_does_not_parse() {
        for text in ["", "yesterday", "2026-11-21", "1969-12-31T23:59:59Z", "1800000000"] {
            assert_eq!(text.parse::<Timestamp>(), Err(BadTimestamp), "{text}");
        }
    }

    #[test]
    fn intervals_saturate_at_both_ends() {
        assert_eq!(Timestamp::EPOCH - Duration::from_secs(1), Timestamp::EPOCH);
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Mono::START.since(Mono::START + Duration::from_secs(3)), Duration::ZERO);
    }
}
