//! What the API is told by its surroundings.

use std::path::PathBuf;
use std::time::Duration;

use rend_core::fleet::ExpectedEdges;
use rend_core::id::OrgId;

use crate::bearer::BearerToken;

/// The API's configuration, checked.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where people reach the pages, without a slash at the end.
    pub site_url: String,
    /// The edge to name when none is registered.
    pub playback_base_url: String,
    /// The domain that playback cookies are set for, when site and edges share one.
    pub cookie_domain: Option<String>,
    /// Bytes that one upload may have.
    pub upload_bytes_max: u64,
    /// Tries that a media job gets.
    pub job_attempts_max: u32,
    /// What edges show, and what is shown to edges.
    pub edge_token: BearerToken,
    /// What edges show when they deliver telemetry.
    pub telemetry_token: BearerToken,
    /// The edges that may register; none named means that any may.
    pub expected_edges: ExpectedEdges,
    /// How often edges are asked to beat.
    pub heartbeat_interval: Duration,
    /// For how long after a beat an edge counts as live.
    pub heartbeat_window: Duration,
    /// Artifacts that a warm asks for, at most.
    pub warm_artifacts_max: usize,
    /// Where the gate leaves its latest report, if it runs on this machine.
    pub gate_report: Option<PathBuf>,
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<String>,
    /// The organisation that everything belongs to.
    pub org: OrgId,
}

/// The organisation of an installation that has only one.
pub const SOLE_ORG: OrgId = OrgId::from_bytes([0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1]);
