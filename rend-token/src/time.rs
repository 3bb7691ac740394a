//! Seconds since 1970, and how strictly a verifier reads them.

use core::fmt;

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, up to 2106.
///
/// It is never read from a clock here. Milliseconds do not fit, so a mix-up of units is an error and not another time.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixSecs(u32);

impl UnixSecs {
    /// The last second that can be written; as the end of a window it means "without end".
    pub const MAX: Self = Self(u32::MAX);
    /// 1970-01-01T00:00:00Z; as the start of a window it means "always".
    pub const ZERO: Self = Self(0);

    /// The instant `secs` seconds after the epoch.
    pub const fn new(secs: u32) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The instant `secs` later, at most [`UnixSecs::MAX`].
    #[must_use]
    pub const fn saturating_add(self, secs: u32) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// The instant `secs` earlier, at least [`UnixSecs::ZERO`].
    #[must_use]
    pub const fn saturating_sub(self, secs: u32) -> Self {
        Self(self.0.saturating_sub(secs))
    }

    /// Seconds from `earlier` until this; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl TryFrom<u64> for UnixSecs {
    type Error = TimeOutOfRange;

    fn try_from(secs: u64) -> Result<Self, TimeOutOfRange> {
        u32::try_from(secs).map(Self).map_err(|_| TimeOutOfRange)
    }
}

#[cfg(feature = "std")]
impl TryFrom<std::time::SystemTime> for UnixSecs {
    type Error = TimeOutOfRange;

    fn try_from(at: std::time::SystemTime) -> Result<Self, TimeOutOfRange> {
        let since = at.duration_since(std::time::UNIX_EPOCH).map_err(|_| TimeOutOfRange)?;
        Self::try_from(since.as_secs())
    }
}

impl fmt::Display for UnixSecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number is no second between 1970 and 2106; often it counts milliseconds. Trying again will not help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimeOutOfRange;

impl fmt::Display for TimeOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a unix time in seconds between 1970 and 2106")
    }
}

impl core::error::Error for TimeOutOfRange {}

/// How strictly times are read, the same for those who sign and those who verify.
///
/// | | default | cap |
/// |---|---|---|
/// | a token works this long before it starts, for clocks that lag | 30 s | 300 s |
/// | a token works this long after it expires | 0 s | 60 s |
/// | the longest life of one token | 24 h | 2^24 − 1 s |
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policy {
    pub(crate) early_secs: u32,
    pub(crate) late_secs: u32,
    pub(crate) ttl_secs_max: u32,
}

impl Policy {
    /// The defaults of the table.
    pub const fn new() -> Self {
        Self { early_secs: 30, late_secs: 0, ttl_secs_max: 86_400 }
    }

    /// Tokens work `secs` before they start, at most 300.
    #[must_use]
    pub const fn with_early_secs(mut self, secs: u32) -> Self {
        self.early_secs = if secs > EARLY_SECS_CAP { EARLY_SECS_CAP } else { secs };
        self
    }

    /// Tokens work `secs` after they expire, at most 60.
    #[must_use]
    pub const fn with_late_secs(mut self, secs: u32) -> Self {
        self.late_secs = if secs > LATE_SECS_CAP { LATE_SECS_CAP } else { secs };
        self
    }

    /// No token lives longer than `secs`, between 1 and 2^24 − 1.
    #[must_use]
    pub const fn with_ttl_secs_max(mut self, secs: u32) -> Self {
        self.ttl_secs_max = if secs == 0 {
            1
        } else if secs > TTL_SECS_CAP {
            TTL_SECS_CAP
        } else {
            secs
        };
        self
    }

    /// The longest life of one token, in seconds.
    pub const fn ttl_secs_max(&self) -> u32 {
        self.ttl_secs_max
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest time that three bytes of seconds can say.
pub(crate) const TTL_SECS_CAP: u32 = 0xff_ffff;

/// A bootstrap token is exchanged at once or not at all.
pub(crate) const BOOTSTRAP_TTL_SECS_MAX: u32 = 120;

const EARLY_SECS_CAP: u32 = 300;
const LATE_SECS_CAP: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_not_seconds() {
        assert_eq!(UnixSecs::try_from(1_800_000_000_000_u64), Err(TimeOutOfRange));
        assert_eq!(UnixSecs::try_from(1_800_000_000_u64), Ok(UnixSecs::new(1_800_000_000)));
    }

    #[test]
    fn leeway_has_a_cap_that_no_option_lifts() {
        let wide = Policy::new().with_early_secs(9999).with_late_secs(9999).with_ttl_secs_max(u32::MAX);
        assert_eq!((wide.early_secs, wide.late_secs, wide.ttl_secs_max), (300, 60, 0xff_ffff));
        assert_eq!(Policy::new().with_ttl_secs_max(0).ttl_secs_max(), 1);
    }
}
