//! Every way in which a request can be answered with an error, and the one place where statuses are chosen.

use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use rend_core::asset::Asset;
use rend_core::id::RequestId;
use rend_shell::body::BodyError;
use rend_shell::problem::Problem;
use rend_storage::StoreError;
use serde_json::json;
use warp::Reply;
use warp::reply::Response;

use crate::limits::secs;

mod upload;

pub use upload::UploadRefusal;

/// Why a request was not done.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such route.
    NoRoute,
    /// The route takes other methods.
    Method,
    /// The path, query or body has a wrong field.
    Field {
        /// A JSON pointer, or the name of a query field or header.
        pointer: &'static str,
        /// What would be right.
        detail: String,
    },
    /// No credential, or one that does not work.
    Unauthorized,
    /// The credential works, but not for this.
    Forbidden {
        /// The scope it lacks.
        scope: &'static str,
    },
    /// There is no such thing, or it is gone.
    NotFound {
        /// The kind of thing.
        what: &'static str,
    },
    /// A file of captions is larger than may be.
    CaptionsTooLarge {
        /// Bytes that it may have.
        bytes_max: u64,
    },
    /// The body is larger than the route takes.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// An upload without a single byte.
    EmptyUpload,
    /// The body ended early.
    Cut,
    /// The step is not possible in the present state.
    Conflict {
        /// What stands in the way.
        detail: String,
    },
    /// The asset is no longer what the caller has seen.
    Changed,
    /// A request of this name is being done.
    OnceRunning,
    /// The name of the request stands for another one.
    OnceReused,
    /// The caller asks too often.
    TooOften {
        /// After how long asking again helps.
        retry_after: Duration,
    },
    /// The asset can not be played yet.
    NotPlayable(Box<Asset>),
    /// The asset will never play as it is.
    Unavailable(Box<Asset>),
    /// The playback token is missing or does not work.
    PlaybackDenied,
    /// An operator took the asset, or its organisation, out of service.
    Suspended,
    /// An operator took the caller's organisation out of service.
    OrgSuspended,
    /// An edge that is not expected.
    EdgeNotExpected,
    /// An edge that has not registered.
    EdgeUnknown,
    /// An upload in pieces, or a file from a URL, is not taken as it was asked.
    Upload(UploadRefusal),
    /// Any of these, answered as tus wants it: with the version that is spoken.
    Tus(Box<Self>),
    /// There is no room.
    NoSpace,
    /// The organisation has no room left for it.
    OverQuota {
        /// Bytes that it may still bring.
        bytes_left: u64,
    },
    /// A dependency failed.
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::NotFound { what } = error {
            Self::NotFound { what }
        } else if let StoreError::Illegal(step) = error {
            Self::Conflict { detail: step.to_string() }
        } else if matches!(error, StoreError::NoSpace) {
            Self::NoSpace
        } else if matches!(error, StoreError::BadBody { .. }) {
            Self::Cut
        } else {
            Self::Store(error)
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { bytes_max } => Self::TooLarge { bytes_max: bytes_max as u64 },
            BodyError::Cut => Self::Cut,
        }
    }
}

impl ApiError {
    /// A wrong field.
    pub(crate) fn field(pointer: &'static str, detail: impl Into<String>) -> Self {
        Self::Field { pointer, detail: detail.into() }
    }

    /// The answer. Causes inside stores are logged, never shown.
    pub(crate) fn into_response(self, request: RequestId) -> Response {
        if let Self::Store(error) = &self {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%request, %error, cause, "a store failed");
        }
        if let Self::Tus(error) = self {
            let mut response = error.into_response(request);
            for name in ["tus-resumable", "tus-version"] {
                response.headers_mut().insert(name, HeaderValue::from_static(rend_core::upload::tus::VERSION));
            }
            return response;
        }
        let mut response = self.problem().into_response(&request.to_string()).into_response();
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rend\""));
        }
        response
    }

    fn problem(self) -> Problem {
        let asset_states = |problem: Problem, asset: &Asset| {
            problem
                .with("source_state", asset.source.as_str().into())
                .with("playable_state", asset.playable.as_str().into())
        };
        match self {
            Self::NoRoute => Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
            Self::Method => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes another method; the header `Allow` lists those that it takes",
            ),
            Self::Field { pointer, detail } => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", format!("{pointer}: {detail}"))
                    .field(pointer, &detail)
            }
            Self::Unauthorized => Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send a working key as `Authorization: Bearer rend_…`; `rend key create` makes one",
            ),
            Self::Forbidden { scope } => Problem::new(
                StatusCode::FORBIDDEN,
                "missing_scope",
                format!("this key lacks the scope `{scope}`; `rend key create --scopes {scope}` makes one that has it"),
            ),
            Self::NotFound { what: "asset" } => {
                Problem::new(StatusCode::NOT_FOUND, "asset_not_found", "there is no such asset, or it is gone")
            }
            Self::NotFound { what } => {
                Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
            }
            Self::CaptionsTooLarge { bytes_max } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!(
                    "a captions file may have {bytes_max} bytes at most; send one language without styles and notes"
                ),
            )
            .with("bytes_max", bytes_max.into()),
            Self::TooLarge { bytes_max } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!(
                    "the body may have {bytes_max} bytes at most; REND_MAX_UPLOAD_BYTES raises the limit for uploads"
                ),
            )
            .with("bytes_max", bytes_max.into()),
            Self::EmptyUpload => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "empty_upload",
                "the upload has no bytes; send the video file as the request's body",
            ),
            Self::Cut => Problem::new(
                StatusCode::BAD_REQUEST,
                "incomplete_body",
                "the body ended before its announced length; nothing was kept, send it again",
            ),
            Self::Conflict { detail } => Problem::new(StatusCode::CONFLICT, "conflict", detail),
            Self::Changed => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "changed_meanwhile",
                "the asset is not, or no longer, what `If-Match` names; read it again and decide anew",
            ),
            Self::OnceRunning => Problem::new(
                StatusCode::CONFLICT,
                "idempotency_key_in_use",
                "a request with this `Idempotency-Key` is still being done; ask again to get its answer",
            )
            .retry_after(1),
            Self::OnceReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this `Idempotency-Key` stands for another request; use a new one for each thing to be done",
            )
            .field("Idempotency-Key", "a key that no other request had in the last 24 hours"),
            Self::TooOften { retry_after } => {
                let secs = secs(retry_after);
                let detail = format!("you ask too often; wait {secs} seconds, and see the header `RateLimit`");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(secs)
            }
            Self::NotPlayable(asset) => asset_states(
                Problem::new(StatusCode::CONFLICT, "not_playable", "the video is still being prepared; ask again soon"),
                &asset,
            )
            .retry_after(1),
            Self::Unavailable(asset) => {
                let failure = asset.failure.as_ref();
                let detail = failure.map_or("the video can not be played", |f| f.detail.as_str());
                asset_states(Problem::new(StatusCode::CONFLICT, "unavailable", detail), &asset).with(
                    "failure",
                    failure.map_or(serde_json::Value::Null, |f| json!({ "code": f.code, "detail": f.detail })),
                )
            }
            Self::PlaybackDenied => Problem::new(
                StatusCode::UNAUTHORIZED,
                "playback_denied",
                "this video needs a playback token from its owner's server: GET /v1/assets/{id}/playback makes one",
            ),
            Self::Suspended => Problem::new(
                StatusCode::FORBIDDEN,
                "suspended",
                "this video was taken out of service by the operator; who runs this installation knows why",
            ),
            Self::OrgSuspended => Problem::new(
                StatusCode::FORBIDDEN,
                "organization_suspended",
                "this organisation was taken out of service by the operator, so nothing more is taken in of it; who runs \
                 this installation knows why",
            ),
            Self::EdgeNotExpected => Problem::new(
                StatusCode::FORBIDDEN,
                "edge_not_expected",
                "the edge's id, region and public URL must equal its entry in REND_EXPECTED_EDGES",
            ),
            Self::EdgeUnknown => {
                Problem::new(StatusCode::NOT_FOUND, "edge_unknown", "this edge is not registered; register first")
            }
            Self::Upload(refusal) => refusal.problem(),
            Self::Tus(error) => error.problem(),
            Self::NoSpace => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "no_space",
                "the server's disk is full; nothing was kept. Free space in the data folder and send it again",
            )
            .retry_after(60),
            Self::OverQuota { bytes_left } => Problem::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "over_quota",
                format!(
                    "this organisation may bring {bytes_left} more bytes of originals, and nothing was kept. Delete videos, \
                     or have REND_MAX_ORG_SOURCE_BYTES raised, and send it again"
                ),
            )
            .with("bytes_left", bytes_left.into()),
            Self::Store(error) if error.is_transient() => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "a store did not answer; try again")
                    .retry_after(2)
            }
            Self::Store(_) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on the server")
            }
        }
    }
}
