//! How the control plane and its edges write to each other: JSON over the private listeners.
//!
//! Every form converts to the domain's types in one place, so a handler that holds those has nothing left to check.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::artifact::ArtifactPath;
use crate::fleet::{Beat, EdgeRow, PurgeRow, RevocationRow, Revoked};
use crate::id::AssetId;
use crate::time::Timestamp;
use crate::url::BaseUrl;

/// A field of a message that can not be. Sending the same again will not help.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{field}: {expected}")]
pub struct BadField {
    /// The field, as it is written.
    pub field: &'static str,
    /// What would be right.
    pub expected: &'static str,
}

/// `POST /internal/edges/register`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterWire {
    /// The edge's id.
    pub id: String,
    /// Its region.
    pub region: String,
    /// Where viewers reach it.
    pub public_url: String,
    /// Where the control plane reaches it.
    pub private_url: String,
    /// The version it runs.
    pub version: String,
    /// What it says of itself.
    pub beat: BeatWire,
}

impl RegisterWire {
    /// The row that this registration asks for, as of `now`.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be.
    pub fn to_row(&self, now: Timestamp) -> Result<EdgeRow, BadField> {
        let bad = |field, expected| BadField { field, expected };
        let url = |text: &str, field| {
            let base: BaseUrl =
                text.parse().map_err(|_| bad(field, "an http or https URL without credentials, query or fragment"))?;
            Ok(base.as_str().to_owned())
        };
        let id = self.id.parse().map_err(|_| bad("id", "1 to 63 characters a-z, 0-9 and -"))?;
        let region_fits = (1..=REGION_BYTES_MAX).contains(&self.region.len())
            && self.region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !region_fits {
            return Err(bad("region", "1 to 63 characters a-z, 0-9 and -"));
        }
        if self.version.len() > VERSION_BYTES_MAX || self.version.chars().any(char::is_control) {
            return Err(bad("version", "at most 64 bytes without control characters"));
        }
        Ok(EdgeRow {
            id,
            region: self.region.clone(),
            public_url: url(&self.public_url, "public_url")?,
            private_url: url(&self.private_url, "private_url")?,
            version: self.version.clone(),
            beat: self.beat.to_beat()?,
            registered_at: now,
            beat_at: now,
        })
    }
}

/// Bytes that a region's name may have.
const REGION_BYTES_MAX: usize = 63;
/// Bytes that a version may have.
const VERSION_BYTES_MAX: usize = 64;

/// What an edge says of itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BeatWire {
    /// `active`, `draining` or `standby`.
    pub state: String,
    /// The most its cache may hold, in bytes.
    pub cache_bytes_max: u64,
    /// What its cache holds, in bytes.
    pub cache_bytes_used: u64,
    /// Artifacts in its cache.
    pub cache_entries: u64,
    /// Free bytes on the cache's file system.
    pub disk_bytes_free: u64,
    /// Fills in flight.
    pub fills: u32,
    /// Events that wait in its spool.
    pub spool_events: u64,
    /// Events it has lost since it started.
    pub dropped_events: u64,
    /// The last purge it has carried out.
    pub purge_seen: u64,
}

impl BeatWire {
    /// The same as the domain's value.
    ///
    /// # Errors
    ///
    /// [`BadField`] when the state is no known word.
    pub fn to_beat(&self) -> Result<Beat, BadField> {
        let expected = BadField { field: "beat.state", expected: "active, draining or standby" };
        Ok(Beat {
            state: self.state.parse().map_err(|_| expected)?,
            cache_bytes_max: self.cache_bytes_max,
            cache_bytes_used: self.cache_bytes_used,
            cache_entries: self.cache_entries,
            disk_bytes_free: self.disk_bytes_free,
            fills: self.fills,
            spool_events: self.spool_events,
            dropped_events: self.dropped_events,
            purge_seen: self.purge_seen,
        })
    }
}

impl From<&Beat> for BeatWire {
    fn from(beat: &Beat) -> Self {
        Self {
            state: beat.state.as_str().to_owned(),
            cache_bytes_max: beat.cache_bytes_max,
            cache_bytes_used: beat.cache_bytes_used,
            cache_entries: beat.cache_entries,
            disk_bytes_free: beat.disk_bytes_free,
            fills: beat.fills,
            spool_events: beat.spool_events,
            dropped_events: beat.dropped_events,
            purge_seen: beat.purge_seen,
        }
    }
}

/// The answer to a registration.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RegisterAnswer {
    /// The place of the newest purge order: an edge that has seen less catches up before it reports active.
    pub purge_head: u64,
    /// How often to beat, in seconds.
    pub heartbeat_interval_secs: u64,
}

/// `POST /internal/edges/heartbeat`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatWire {
    /// The edge's id.
    pub id: String,
    /// What it says of itself.
    pub beat: BeatWire,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BeatAnswer {
    /// The place of the newest purge order.
    pub purge_head: u64,
}

/// The answer to `GET /internal/purges?after=`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PurgesAnswer {
    /// Orders in their order.
    pub data: Vec<PurgeOrderWire>,
    /// The place of the newest order.
    pub head: u64,
}

impl PurgesAnswer {
    /// The answer with `rows`, of which those for an asset in `gone` are for good.
    pub fn new(rows: &[PurgeRow], head: u64, gone: &BTreeSet<AssetId>) -> Self {
        let order = |row: &PurgeRow| PurgeOrderWire {
            seq: row.seq,
            asset_id: row.asset.to_string(),
            at: row.at.to_string(),
            gone: gone.contains(&row.asset),
        };
        Self { data: rows.iter().map(order).collect(), head }
    }

    /// The orders as the domain's values.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be.
    pub fn to_rows(&self) -> Result<Vec<PurgeRow>, BadField> {
        let row = |order: &PurgeOrderWire| {
            Ok(PurgeRow {
                seq: order.seq,
                asset: asset(&order.asset_id)?,
                at: order.at.parse().map_err(|_| BadField { field: "at", expected: "an RFC 3339 time" })?,
            })
        };
        self.data.iter().map(row).collect()
    }
}

/// One order of the purge log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PurgeOrderWire {
    /// Its place.
    pub seq: u64,
    /// What to forget.
    pub asset_id: String,
    /// When it was given.
    pub at: String,
    /// Whether the asset was deleted: nothing of it is to be fetched again, whatever the origin still holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

/// The answer to `GET /internal/revocations?after=`; also how an edge keeps on disk what it knows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevocationsAnswer {
    /// Orders in their order. Those that have expired are left out.
    pub data: Vec<RevocationWire>,
    /// The place of the newest order, read before the orders were.
    pub head: u64,
}

impl RevocationsAnswer {
    /// The answer with `rows`.
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a RevocationRow>, head: u64) -> Self {
        Self { data: rows.into_iter().map(RevocationWire::from).collect(), head }
    }

    /// The orders as the domain's values.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be.
    pub fn to_rows(&self) -> Result<Vec<RevocationRow>, BadField> {
        self.data.iter().map(RevocationWire::to_row).collect()
    }
}

/// One order of the revocation log; also `POST /internal/revoke` on an edge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RevocationWire {
    /// Its place.
    pub seq: u64,
    /// `key`, `org`, `asset` or `session`.
    pub kind: String,
    /// Which one.
    pub subject: String,
    /// Tokens issued before this; none says all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<String>,
    /// When it was given.
    pub at: String,
    /// From when on it may be forgotten; none says never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl RevocationWire {
    /// The order as the domain's value.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be.
    pub fn to_row(&self) -> Result<RevocationRow, BadField> {
        let expected = BadField { field: "subject", expected: "the name or id that its kind asks for" };
        let time = |text: &str, field| text.parse().map_err(|_| BadField { field, expected: "an RFC 3339 time" });
        let optional = |text: &Option<String>, field| text.as_deref().map(|text| time(text, field)).transpose();
        Ok(RevocationRow {
            seq: self.seq,
            what: Revoked::parse(&self.kind, &self.subject).map_err(|_| expected)?,
            issued_before: optional(&self.issued_before, "issued_before")?,
            at: time(&self.at, "at")?,
            expires_at: optional(&self.expires_at, "expires_at")?,
        })
    }
}

impl From<&RevocationRow> for RevocationWire {
    fn from(row: &RevocationRow) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            seq: row.seq,
            kind: row.what.kind().to_owned(),
            subject: row.what.subject(),
            issued_before: text(row.issued_before),
            at: row.at.to_string(),
            expires_at: text(row.expires_at),
        }
    }
}

/// `POST /internal/purge` on an edge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeWire {
    /// Whose artifacts to forget.
    pub asset_id: String,
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only those whose path begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether responses under way are cut (`hard`) or end first (`soft`).
    #[serde(default)]
    pub mode: PurgeMode,
    /// The order's place in the purge log, if it is in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Whether the asset was deleted: nothing of it is to be fetched again, whatever the origin still holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

/// A word that is left out is a no, also for whoever does not know it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What becomes of responses that are under way when their artifact is purged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeMode {
    /// They are cut off.
    #[default]
    Hard,
    /// They end as they began; nothing of them is kept.
    Soft,
}

impl PurgeWire {
    /// Forget everything of `asset` at once: order `seq` of the log.
    pub fn hard(asset: AssetId, seq: u64) -> Self {
        let (mode, seq) = (PurgeMode::Hard, Some(seq));
        Self { asset_id: asset.to_string(), path: None, prefix: None, mode, seq, gone: false }
    }

    /// The same of an asset that was deleted: nothing of it is fetched again.
    pub fn gone(asset: AssetId, seq: u64) -> Self {
        Self { gone: true, ..Self::hard(asset, seq) }
    }

    /// What is to be forgotten.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be; a message with both a path and a prefix is one, and one that
    /// calls a part of an asset gone.
    pub fn scope(&self) -> Result<PurgeScope, BadField> {
        let id = asset(&self.asset_id)?;
        if self.gone && (self.path.is_some() || self.prefix.is_some()) {
            return Err(BadField { field: "gone", expected: "only of a whole asset" });
        }
        match (&self.path, &self.prefix) {
            (None, None) => Ok(PurgeScope::Asset(id)),
            (Some(path), None) => {
                let path = path.parse().map_err(|_| BadField { field: "path", expected: "the path of an artifact" })?;
                Ok(PurgeScope::Artifact(id, path))
            }
            (None, Some(prefix)) if prefix.ends_with('/') && prefix.len() <= PREFIX_BYTES_MAX => {
                Ok(PurgeScope::Prefix(id, prefix.clone()))
            }
            (None, Some(_)) => Err(BadField { field: "prefix", expected: "at most 64 bytes that end in /" }),
            (Some(_), Some(_)) => Err(BadField { field: "prefix", expected: "either path or prefix" }),
        }
    }
}

/// Bytes that a purge's prefix may have.
const PREFIX_BYTES_MAX: usize = 64;

/// What is to be forgotten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PurgeScope {
    /// Everything of an asset.
    Asset(AssetId),
    /// What lies below a prefix.
    Prefix(AssetId, String),
    /// One artifact.
    Artifact(AssetId, ArtifactPath),
}

/// The answer to a purge.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PurgeAnswer {
    /// Artifacts that were there and are forgotten.
    pub purged: u64,
}

/// `POST /internal/warm` on an edge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WarmWire {
    /// Whose artifacts to fetch.
    pub asset_id: String,
    /// Which; at least one, at most the edge's `REND_EDGE_WARM_MAX_ARTIFACTS`.
    pub artifacts: Vec<WarmArtifactWire>,
}

/// One artifact to fetch ahead of viewers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WarmArtifactWire {
    /// Its path.
    pub path: String,
    /// How soon it is wanted: lower comes first.
    pub priority: u32,
}

impl WarmWire {
    /// Fetch `paths` of `asset`, in this order.
    pub fn new(asset: AssetId, paths: &[ArtifactPath]) -> Self {
        let artifacts =
            (0..).zip(paths).map(|(priority, path)| WarmArtifactWire { path: path.to_string(), priority }).collect();
        Self { asset_id: asset.to_string(), artifacts }
    }

    /// The asset, and what to fetch of it: soonest first, equals in the order they were written.
    ///
    /// # Errors
    ///
    /// [`BadField`] with the first field that can not be, or when there are none or more than `artifacts_max`.
    pub fn to_paths(&self, artifacts_max: usize) -> Result<(AssetId, Vec<ArtifactPath>), BadField> {
        if !(1..=artifacts_max).contains(&self.artifacts.len()) {
            return Err(BadField { field: "artifacts", expected: "from 1 to REND_EDGE_WARM_MAX_ARTIFACTS entries" });
        }
        let bad = BadField { field: "artifacts.path", expected: "the path of an artifact" };
        let mut wanted = Vec::with_capacity(self.artifacts.len());
        for artifact in &self.artifacts {
            wanted.push((artifact.priority, artifact.path.parse::<ArtifactPath>().map_err(|_| bad)?));
        }
        wanted.sort_by_key(|(priority, _)| *priority);
        Ok((asset(&self.asset_id)?, wanted.into_iter().map(|(_, path)| path).collect()))
    }
}

/// The answer to a warm, one result a path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WarmAnswer {
    /// What became of each.
    pub results: Vec<WarmResultWire>,
}

/// What became of one path.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct WarmResultWire {
    /// The path.
    pub path: String,
    /// What became of it.
    pub status: WarmStatus,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of one artifact that was to be fetched.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmStatus {
    /// It was there already.
    Cached,
    /// It was fetched.
    Filled,
    /// It was left out, for lack of room or of a slot.
    Skipped,
    /// It could not be fetched.
    Failed,
}

fn asset(text: &str) -> Result<AssetId, BadField> {
    text.parse().map_err(|_| BadField { field: "asset_id", expected: "a lower-case hyphenated UUID" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Rendition;
    use crate::fleet::EdgeState;

    fn beat() -> BeatWire {
        BeatWire {
            cache_bytes_max: 10,
            cache_bytes_used: 5,
            cache_entries: 1,
            disk_bytes_free: 7,
            purge_seen: 3,
            ..BeatWire::from(&Beat::idle(EdgeState::Active))
        }
    }

    fn register() -> RegisterWire {
        RegisterWire {
            id: "ash-1".into(),
            region: "us-east".into(),
            public_url: "http://127.0.0.1:4100".into(),
            private_url: "http://127.0.0.1:4110/".into(),
            version: "0.1.0".into(),
            beat: beat(),
        }
    }

    #[test]
    fn a_registration_becomes_a_row() {
        let row = register().to_row(Timestamp::from_secs(5)).unwrap();
        assert_eq!(row.private_url, "http://127.0.0.1:4110");
        assert_eq!(BeatWire::from(&row.beat), beat());
        assert_eq!(row.beat_at, Timestamp::from_secs(5));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let check = |change: fn(&mut RegisterWire), field: &str| {
            let mut wire = register();
            change(&mut wire);
            assert_eq!(wire.to_row(Timestamp::EPOCH).map_err(|bad| bad.field), Err(field));
        };
        check(|w| w.id = "Ash".into(), "id");
        check(|w| w.region = String::new(), "region");
        check(|w| w.public_url = "ftp://a".into(), "public_url");
        check(|w| w.private_url = "http://u:p@a".into(), "private_url");
        check(|w| w.version = "x".repeat(65), "version");
        check(|w| w.beat.state = "asleep".into(), "beat.state");
    }

    #[test]
    fn revocations_read_back() {
        let row = |seq, kind, subject: &str, before, end| RevocationRow {
            seq,
            what: Revoked::parse(kind, subject).unwrap(),
            issued_before: before,
            at: Timestamp::from_millis(9_001),
            expires_at: end,
        };
        let at = Timestamp::from_millis(12_345);
        let id = "018f5d3e-7c1a-7b2c-9d4e-5f60718293a4";
        let rows = [
            row(1, "key", "2026-01", None, None),
            row(2, "org", id, Some(at), Some(at)),
            row(4, "asset", id, Some(at), Some(at)),
            row(5, "session", "9f3c2a7b11d04e", None, Some(at)),
        ];
        let text = serde_json::to_string(&RevocationsAnswer::new(&rows, 7)).unwrap();
        let read: RevocationsAnswer = serde_json::from_str(&text).unwrap();
        assert_eq!((read.to_rows().unwrap(), read.head), (rows.to_vec(), 7));
        let mut bad = RevocationWire::from(&rows[1]);
        bad.subject = "x".into();
        assert_eq!(bad.to_row().map_err(|bad| bad.field), Err("subject"));
    }

    #[test]
    fn purges_and_their_scopes_read_back() {
        let id = AssetId::from_bytes([7; 16]);
        let rows = [PurgeRow { seq: 4, asset: id, at: Timestamp::from_secs(9) }];
        let answer = PurgesAnswer::new(&rows, 4, &BTreeSet::new());
        assert_eq!((answer.to_rows().unwrap(), answer.data[0].gone), (rows.to_vec(), false));
        assert!(!serde_json::to_string(&answer).unwrap().contains("gone"), "as it was before there was the word");
        let answer = PurgesAnswer::new(&rows, 4, &BTreeSet::from([id]));
        let read: PurgesAnswer = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert_eq!((read.to_rows().unwrap(), read.data[0].gone), (rows.to_vec(), true));
        let mut wire = PurgeWire::gone(id, 4);
        assert_eq!(wire.scope(), Ok(PurgeScope::Asset(id)));
        wire.prefix = Some("hls/720p/".into());
        assert_eq!(wire.scope().map_err(|bad| bad.field), Err("gone"));
        let mut wire = PurgeWire::hard(id, 4);
        assert_eq!(wire.scope(), Ok(PurgeScope::Asset(id)));
        wire.path = Some("poster.jpg".into());
        assert_eq!(wire.scope(), Ok(PurgeScope::Artifact(id, ArtifactPath::Poster)));
        wire.prefix = Some("hls/720p/".into());
        assert_eq!(wire.scope().map_err(|bad| bad.field), Err("prefix"));
        wire.path = None;
        assert_eq!(wire.scope(), Ok(PurgeScope::Prefix(id, "hls/720p/".into())));
    }

    #[test]
    fn a_warm_comes_out_soonest_first_and_within_its_bound() {
        let id = AssetId::from_bytes([7; 16]);
        let paths = [ArtifactPath::Master, ArtifactPath::Init(Rendition::P360)];
        let mut wire = WarmWire::new(id, &paths);
        assert_eq!(wire.to_paths(2), Ok((id, paths.to_vec())));
        wire.artifacts.reverse();
        assert_eq!(wire.to_paths(2), Ok((id, paths.to_vec())));
        assert_eq!(wire.to_paths(1).map_err(|bad| bad.field), Err("artifacts"));
        wire.artifacts[0].path = "../x".into();
        assert_eq!(wire.to_paths(2).map_err(|bad| bad.field), Err("artifacts.path"));
    }
}
