use http::StatusCode;
use rend_core::upload::pull::Refused;
use rend_core::upload::tus::BadHeader;
use rend_shell::problem::Problem;

/// Why an upload in pieces, or a file from a URL, is not taken.
#[derive(Debug)]
pub enum UploadRefusal {
    /// Another version of the protocol.
    Version,
    /// A piece of another media type than the protocol's.
    MediaType,
    /// A header that does not say what it should.
    Header {
        /// Its name.
        name: &'static str,
        /// What would be right.
        why: BadHeader,
    },
    /// A header that has to be there.
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// The piece begins elsewhere than the received bytes end.
    Elsewhere {
        /// Where they end.
        received: u64,
    },
    /// The piece goes past the announced end.
    PastEnd {
        /// The bytes that are missing.
        bytes_max: u64,
    },
    /// The original is larger than any may be.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The session's time is over, or it was ended.
    Gone,
    /// The piece does not have its digest.
    Checksum,
    /// Another request goes on with the upload.
    TakenOver {
        /// Where it stands.
        received: u64,
    },
    /// The piece's body stopped coming.
    Idle {
        /// Where the upload stands.
        received: u64,
    },
    /// Too many uploads are open.
    TooMany {
        /// The limit.
        open_max: u64,
    },
    /// The idempotency key stands for another upload, or can not be one.
    Key,
    /// A URL that is not fetched from.
    Url(Refused),
    /// The URL of a part is not one that was handed out, or its time is over.
    PartUrl,
    /// The listed parts are not those that are there.
    Parts {
        /// What is wrong with them.
        reason: String,
    },
    /// The original does not have the announced digest.
    Digest,
    /// The object storage takes no objects in parts.
    NoParts,
}

/// The status of a piece that does not have its digest, as tus sets it.
const CHECKSUM_MISMATCH: u16 = 460;

impl UploadRefusal {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Version => {
                Problem::new(StatusCode::PRECONDITION_FAILED, "tus_version", "send the header `Tus-Resumable: 1.0.0`")
            }
            Self::MediaType => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "a piece is sent as `Content-Type: application/offset+octet-stream`",
            ),
            Self::Header { name, why } => {
                let detail = why.to_string();
                Problem::new(StatusCode::BAD_REQUEST, "invalid_header", format!("{name}: {detail}"))
                    .field(name, &detail)
            }
            Self::Missing { name } => {
                Problem::new(StatusCode::BAD_REQUEST, "missing_header", format!("send the header {name}"))
                    .field(name, "is needed")
            }
            Self::Elsewhere { received } => Problem::new(
                StatusCode::CONFLICT,
                "offset_mismatch",
                format!("{received} bytes are stored; send the piece that begins there"),
            )
            .with("upload_offset", received.into()),
            Self::PastEnd { bytes_max } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "past_end",
                format!("only {bytes_max} bytes of the announced length are missing"),
            )
            .with("bytes_max", bytes_max.into()),
            Self::TooLarge { bytes_max } => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("an original may have {bytes_max} bytes at most; REND_MAX_SOURCE_BYTES raises the limit"),
            )
            .with("bytes_max", bytes_max.into()),
            Self::Gone => Problem::new(
                StatusCode::GONE,
                "upload_gone",
                "this upload has ended or its time is over; begin a new one",
            ),
            Self::Checksum => Problem::new(
                StatusCode::from_u16(CHECKSUM_MISMATCH).unwrap_or(StatusCode::BAD_REQUEST),
                "checksum_mismatch",
                "the piece does not have the announced digest and was not kept; send it again",
            ),
            Self::TakenOver { received } => Problem::new(
                StatusCode::CONFLICT,
                "taken_over",
                "another request goes on with this upload; ask where it stands before you send more",
            )
            .with("upload_offset", received.into()),
            Self::Idle { received } => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_idle",
                "the piece stopped coming; what came is stored, go on from there",
            )
            .with("upload_offset", received.into()),
            Self::TooMany { open_max } => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_uploads",
                format!("{open_max} uploads are open already; finish or end some, or wait until they expire"),
            )
            .retry_after(60),
            Self::Key => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key",
                "Idempotency-Key is 1 to 255 visible characters, and stands for one upload with one length and title",
            ),
            Self::PartUrl => Problem::new(
                StatusCode::FORBIDDEN,
                "part_url",
                "this URL was not handed out, or its time is over; `POST /v1/uploads/{id}/parts` answers new ones",
            ),
            Self::Parts { reason } => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "parts_mismatch",
                format!("{reason}; put that part again and list the ETag that it is answered with"),
            )
            .field("/parts", &reason),
            Self::Digest => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "digest_mismatch",
                "the file that arrived does not have the announced SHA-256 and was not kept; upload it again",
            )
            .field("/sha256", "the SHA-256 of all bytes that were put"),
            Self::NoParts => Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "no_direct_uploads",
                "this server's object storage takes no parts; send the file by `POST /v1/videos` or by tus",
            ),
            Self::Url(why) => {
                let detail = why.to_string();
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "source_refused", format!("source_url: {detail}"))
                    .field("/source_url", &detail)
            }
        }
    }
}
