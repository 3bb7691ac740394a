//! What is believed of what a player says.
//!
//! A player is in a viewer's hand: it may say anything. What it cannot have seen is refused one moment at a time, so that a
//! wrong clock or a forged body spoils no figure by more than one bounded event.

use std::time::Duration;

use super::{Device, PlayerEvent};
use crate::id::{AssetId, OrgId};
use crate::time::Timestamp;

/// One moment of a view as its player says it, read but not yet believed. Words are still text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim<'w> {
    /// Its place among its view's events.
    pub seq: u32,
    /// Milliseconds since the view began, by the player's clock.
    pub at_ms: u64,
    /// What happened, as [`Phase`](super::Phase) prints.
    pub phase: &'w str,
    /// From the wish to play to the first moving frame.
    pub startup_ms: Option<u32>,
    /// How long the picture moved since the event before.
    pub playing_ms: u32,
    /// How long it stood still since the event before.
    pub stalled_ms: u32,
    /// What was played meanwhile, as a rendition prints.
    pub rung: Option<&'w str>,
    /// Where it was fetched from, as an edge's identifier prints.
    pub edge: Option<&'w str>,
}

/// The view that a player was let in for. What stands here is ours: nothing that a player says changes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct View {
    /// When it began.
    pub begun_at: Timestamp,
    /// Which it is.
    pub id: [u8; 16],
    /// Who owns the asset.
    pub org: OrgId,
    /// The asset.
    pub asset: AssetId,
    /// Whose view it is.
    pub viewer: [u8; 7],
}

impl View {
    /// Whether its player is still heard.
    pub fn is_heard(&self, now: Timestamp) -> bool {
        now < self.begun_at + VIEW_FOR
    }

    /// The event that `claim` tells of this view, at `now` from a player on this `device`.
    ///
    /// # Errors
    ///
    /// The first thing about the claim that is not believed. Saying the same again later helps with [`Disbelief::Late`] alone,
    /// and there only when the player's clock is ahead.
    pub fn believe(&self, claim: &Claim<'_>, device: Device, now: Timestamp) -> Result<PlayerEvent, Disbelief> {
        let since = Duration::from_millis(claim.at_ms);
        let at = self.begun_at + since;
        if since > VIEW_FOR || at > now + AHEAD_MAX {
            return Err(Disbelief::Late);
        }
        if claim.startup_ms.is_some_and(|millis| millis > STARTUP_MS_MAX) {
            return Err(Disbelief::Startup);
        }
        if claim.playing_ms.max(claim.stalled_ms) > SPAN_MS_MAX {
            return Err(Disbelief::Span);
        }
        Ok(PlayerEvent {
            view: self.id,
            seq: claim.seq,
            at,
            org: self.org,
            asset: self.asset,
            viewer: self.viewer,
            phase: claim.phase.parse().map_err(|_| Disbelief::Phase)?,
            startup_ms: claim.startup_ms,
            playing_ms: claim.playing_ms,
            stalled_ms: claim.stalled_ms,
            rung: claim.rung.map(str::parse).transpose().map_err(|_| Disbelief::Rung)?,
            edge: claim.edge.map(str::parse).transpose().map_err(|_| Disbelief::Edge)?,
            device,
        })
    }
}

/// Why a claim is not believed: the field that says it, and what may stand there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Disbelief {
    /// It lies ahead of our clock by more than [`AHEAD_MAX`], or after the end of what a view is heard for.
    #[error("at_ms: later than now")]
    Late,
    /// It took longer to start than [`STARTUP_MS_MAX`].
    #[error("startup_ms: at most {}", STARTUP_MS_MAX)]
    Startup,
    /// It tells of more than [`SPAN_MS_MAX`].
    #[error("playing_ms and stalled_ms: at most {}", SPAN_MS_MAX)]
    Span,
    /// What happened is no [`Phase`](super::Phase).
    #[error("phase: not a known word")]
    Phase,
    /// What was played is no rendition.
    #[error("rung: not a rendition")]
    Rung,
    /// Where it was fetched from can be no edge.
    #[error("edge: not an edge's id")]
    Edge,
}

/// The longest that one event tells of, in milliseconds: players speak every ten seconds, and none is believed more.
pub const SPAN_MS_MAX: u32 = 60_000;
/// The longest start that is believed, in milliseconds.
pub const STARTUP_MS_MAX: u32 = 600_000;
/// How long after it began a view is heard, at most.
pub const VIEW_FOR: Duration = Duration::from_secs(12 * 3600);
/// How far ahead of our clock a player may be before an event of its is not believed.
pub const AHEAD_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::Rendition;
    use crate::viewing::Phase;

    const BEGUN: Timestamp = Timestamp::from_secs(1_800_000_000);
    const VIEW_MS: u64 = VIEW_FOR.as_millis() as u64;
    const AHEAD_MS: u64 = AHEAD_MAX.as_millis() as u64;

    fn view(begun_at: Timestamp) -> View {
        let (org, asset) = (OrgId::from_bytes([1; 16]), AssetId::from_bytes([2; 16]));
        View { begun_at, id: [3; 16], org, asset, viewer: [4; 7] }
    }

    const HEARTBEAT: Claim<'_> = Claim {
        seq: 7,
        at_ms: 0,
        phase: "heartbeat",
        startup_ms: None,
        playing_ms: 0,
        stalled_ms: 0,
        rung: None,
        edge: None,
    };

    /// Says `claim` `now_ms` after the view began.
    #[track_caller]
    fn check(claim: Claim<'_>, now_ms: u64, expect: Result<u64, &str>) {
        let now = BEGUN + Duration::from_millis(now_ms);
        let found = view(BEGUN).believe(&claim, Device::Phone, now);
        let found = found.map(|event| event.at.as_millis() - BEGUN.as_millis()).map_err(|why| why.to_string());
        assert_eq!(found, expect.map_err(str::to_owned), "{claim:?} at {now_ms}");
    }

    #[test]
    fn only_what_a_player_can_have_seen_is_believed() {
        let late = Err("at_ms: later than now");
        let at = |at_ms| Claim { at_ms, ..HEARTBEAT };
        check(at(0), 0, Ok(0));
        check(at(5000), 5000, Ok(5000));
        check(at(AHEAD_MS), 0, Ok(AHEAD_MS));
        check(at(AHEAD_MS + 1), 0, late);
        check(at(AHEAD_MS + 1), 1, Ok(AHEAD_MS + 1));
        check(at(VIEW_MS), VIEW_MS, Ok(VIEW_MS));
        check(at(VIEW_MS + 1), VIEW_MS + 1, late);
        check(at(u64::MAX), u64::MAX, late);

        let started = |startup_ms| Claim { startup_ms: Some(startup_ms), phase: "first_frame", ..HEARTBEAT };
        check(started(0), 0, Ok(0));
        check(started(STARTUP_MS_MAX), 0, Ok(0));
        check(started(STARTUP_MS_MAX + 1), 0, Err("startup_ms: at most 600000"));

        let span = |playing_ms, stalled_ms| Claim { playing_ms, stalled_ms, ..HEARTBEAT };
        let long = Err("playing_ms and stalled_ms: at most 60000");
        check(span(SPAN_MS_MAX, SPAN_MS_MAX), 0, Ok(0));
        check(span(SPAN_MS_MAX + 1, 0), 0, long);
        check(span(0, SPAN_MS_MAX + 1), 0, long);
        check(span(u32::MAX, u32::MAX), 0, long);

        check(Claim { phase: "teleport", ..HEARTBEAT }, 0, Err("phase: not a known word"));
        check(Claim { phase: "", ..HEARTBEAT }, 0, Err("phase: not a known word"));
        check(Claim { rung: Some("721p"), ..HEARTBEAT }, 0, Err("rung: not a rendition"));
        check(Claim { edge: Some("../x"), ..HEARTBEAT }, 0, Err("edge: not an edge's id"));
        // Of more things than one that are wrong the first is told.
        check(Claim { at_ms: u64::MAX, phase: "teleport", ..HEARTBEAT }, 0, late);
    }

    #[test]
    fn what_is_believed_stands_under_the_view_and_not_under_what_was_said() {
        let claim = Claim {
            startup_ms: Some(250),
            playing_ms: 9,
            stalled_ms: 1,
            rung: Some("720p"),
            edge: Some("ash-1"),
            ..HEARTBEAT
        };
        let found = view(BEGUN).believe(&claim, Device::Tv, BEGUN).unwrap();
        let expected = PlayerEvent {
            view: [3; 16],
            seq: 7,
            at: BEGUN,
            org: OrgId::from_bytes([1; 16]),
            asset: AssetId::from_bytes([2; 16]),
            viewer: [4; 7],
            phase: Phase::Heartbeat,
            startup_ms: Some(250),
            playing_ms: 9,
            stalled_ms: 1,
            rung: Some(Rendition::P720),
            edge: Some("ash-1".parse().unwrap()),
            device: Device::Tv,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_view_is_heard_for_its_time_and_not_a_moment_longer() {
        let millisecond = Duration::from_millis(1);
        assert!(view(BEGUN).is_heard(BEGUN));
        assert!(view(BEGUN).is_heard(BEGUN + VIEW_FOR - millisecond));
        assert!(!view(BEGUN).is_heard(BEGUN + VIEW_FOR));
    }

    proptest! {
        #[test]
        fn an_event_that_is_believed_keeps_every_bound(
            begun_ms in prop_oneof![0..=VIEW_MS, any::<u64>()],
            now_ms in prop_oneof![0..=2 * VIEW_MS, any::<u64>()],
            at_ms in prop_oneof![0..=VIEW_MS + 1, any::<u64>()],
            startup_ms in proptest::option::of(prop_oneof![0..=STARTUP_MS_MAX + 1, any::<u32>()]),
            playing_ms in prop_oneof![0..=SPAN_MS_MAX + 1, any::<u32>()],
            stalled_ms in prop_oneof![0..=SPAN_MS_MAX + 1, any::<u32>()],
        ) {
            let (begun, now) = (Timestamp::from_millis(begun_ms), Timestamp::from_millis(now_ms));
            let claim = Claim { at_ms, startup_ms, playing_ms, stalled_ms, ..HEARTBEAT };
            let found = view(begun).believe(&claim, Device::Other, now);
            let is_within = begun + Duration::from_millis(at_ms) <= now + AHEAD_MAX
                && at_ms <= VIEW_MS
                && startup_ms.is_none_or(|millis| millis <= STARTUP_MS_MAX)
                && playing_ms <= SPAN_MS_MAX
                && stalled_ms <= SPAN_MS_MAX;
            prop_assert_eq!(found.is_ok(), is_within);
            if let Ok(event) = found {
                prop_assert!(begun <= event.at && event.at <= begun + VIEW_FOR && event.at <= now + AHEAD_MAX);
                prop_assert!(event.playing_ms <= SPAN_MS_MAX && event.stalled_ms <= SPAN_MS_MAX);
                prop_assert!(event.startup_ms.is_none_or(|millis| millis <= STARTUP_MS_MAX));
            }
        }
    }
}
