//! Every route as data: what the `Allow` header, the OpenAPI document and the tests of all routes are made from.
//!
//! [`crate::routes`] puts the handlers together; a test holds the two to each other.

mod document;
mod schemas;

use rend_core::credential::Scope;

pub use document::{components, document};

/// One method at one path.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method. One that reads answers `HEAD` too.
    pub verb: Verb,
    /// The path, with each parameter in braces.
    pub path: &'static str,
    /// Who may call it.
    pub opens: Opens,
    /// What it does, in a few words.
    pub says: &'static str,
    /// What may stand in its query or headers.
    pub takes: &'static [Param],
    /// What its body is.
    pub body: Body,
    /// What it answers when all is well: status and schema.
    pub answers: &'static [(u16, Shape)],
}

/// A method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `HEAD` alone.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`, where it says more than what a browser asks before a request from elsewhere.
    Options,
}

impl Verb {
    /// The method's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opens {
    /// Anybody.
    Anybody,
    /// Whoever may see the page, the video or nothing at all: the handler judges by more than a key.
    Viewer,
    /// A key with this scope.
    Scope(Scope),
    /// An edge, by `REND_EDGE_INTERNAL_TOKEN`.
    Edge,
    /// An edge that delivers telemetry, by `REND_INTERNAL_TELEMETRY_TOKEN`.
    Telemetry,
    /// An operator, by `REND_OPERATOR_TOKEN`.
    Operator,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// There is none.
    None,
    /// The bytes of a video file.
    Bytes,
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, or nothing at all.
    MayBeJson(&'static str),
}

/// What an answer's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// There is none.
    None,
    /// JSON of this schema.
    Json(&'static str),
    /// A page of things of this schema.
    Page(&'static str),
    /// Something else, of this media type.
    Other(&'static str),
    /// A refusal that callers have a reason to tell from others, which every route may answer: what it is about.
    Refusal(&'static str),
}

/// What may stand in a query or a header.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Whether it stands in a header.
    pub in_header: bool,
    /// What it is.
    pub kind: Kind,
    /// What it means.
    pub says: &'static str,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Some characters, at least one.
    Text {
        /// How many at most.
        chars_max: u32,
    },
    /// Some characters, or none.
    TextOrNone {
        /// How many at most.
        chars_max: u32,
    },
    /// Some visible ASCII characters, at least one.
    Visible {
        /// How many at most.
        chars_max: u32,
    },
    /// One of these.
    Words(&'static [&'static str]),
    /// A whole number.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An identifier.
    Uuid,
}

impl Route {
    const fn new(verb: Verb, path: &'static str, opens: Opens, says: &'static str) -> Self {
        Self { verb, path, opens, says, takes: &[], body: Body::None, answers: &[(200, Shape::None)] }
    }

    const fn takes(mut self, takes: &'static [Param]) -> Self {
        self.takes = takes;
        self
    }

    const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    const fn answers(mut self, answers: &'static [(u16, Shape)]) -> Self {
        self.answers = answers;
        self
    }

    /// Whether `path` is one of this route's.
    pub fn is_at(&self, path: &str) -> bool {
        let mut pattern = self.path.split('/');
        let mut parts = path.split('/');
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(known), Some(part)) if known.starts_with('{') && !part.is_empty() => {}
                (Some(known), Some(part)) if known == part => {}
                (Some(_) | None, Some(_) | None) => return false,
            }
        }
    }
}

/// The methods that `path` takes among `routes`, as the `Allow` header lists them.
pub fn allowed(routes: &[Route], path: &str) -> String {
    let mut methods = Vec::new();
    for route in routes.iter().filter(|route| route.is_at(path)) {
        methods.push(route.verb.as_str());
        if route.verb == Verb::Get {
            methods.push("HEAD");
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// What callers, viewers and browsers reach.
pub const PUBLIC: &[Route] = &[
    Route::new(Verb::Post, "/v1/videos", Opens::Scope(Scope::Upload), "Bring in a video")
        .takes(&[TITLE, POLICY, EXTERNAL_ID, ONCE])
        .body(Body::Bytes)
        .answers(&[(201, Shape::Json("Asset")), (202, Shape::Json("Asset")), (403, OUT_OF_SERVICE)]),
    Route::new(Verb::Options, "/v1/uploads", Opens::Anybody, "What of tus 1.0 is spoken")
        .answers(&[(204, Shape::None)]),
    Route::new(
        Verb::Post,
        "/v1/uploads",
        Opens::Scope(Scope::Upload),
        "Begin to bring in a video: in pieces, as tus 1.0, or with a JSON body in parts that go past the API",
    )
    .takes(&[UPLOAD_LENGTH, UPLOAD_METADATA, ONCE])
    .body(Body::Json("UploadWish"))
    .answers(&[(201, Shape::Json("Upload")), (403, OUT_OF_SERVICE)]),
    Route::new(Verb::Options, "/v1/uploads/{id}", Opens::Anybody, "What of tus 1.0 is spoken")
        .answers(&[(204, Shape::None)]),
    Route::new(Verb::Get, "/v1/uploads/{id}", Opens::Scope(Scope::Upload), "How far an upload has come")
        .answers(&[(200, Shape::Json("Upload"))]),
    Route::new(
        Verb::Post,
        "/v1/uploads/{id}/parts",
        Opens::Scope(Scope::Upload),
        "Say where parts of an upload are put",
    )
    .body(Body::Json("PartsWish"))
    .answers(&[(200, Shape::Json("PartUrls"))]),
    Route::new(Verb::Put, "/v1/uploads/{id}/parts/{number}", Opens::Viewer, "Put a part at the URL that was answered")
        .takes(&[PART_BYTES, PART_EXPIRES, PART_SIGNATURE])
        .body(Body::Bytes)
        .answers(&[(200, Shape::Json("PartPut"))]),
    Route::new(
        Verb::Post,
        "/v1/uploads/{id}/complete",
        Opens::Scope(Scope::Upload),
        "Make an original of parts that are all there",
    )
    .body(Body::Json("UploadWhole"))
    .answers(&[(200, Shape::Json("Asset")), (202, Shape::Json("Asset"))]),
    Route::new(Verb::Patch, "/v1/uploads/{id}", Opens::Scope(Scope::Upload), "Send the next piece of an upload")
        .takes(&[UPLOAD_OFFSET, UPLOAD_CHECKSUM])
        .body(Body::Bytes)
        .answers(&[(204, Shape::None)]),
    Route::new(Verb::Delete, "/v1/uploads/{id}", Opens::Scope(Scope::Upload), "Give an upload up")
        .answers(&[(204, Shape::None)]),
    Route::new(Verb::Get, "/v1/assets", Opens::Scope(Scope::Read), "List assets, newest first")
        .takes(&[ASSETS, CURSOR])
        .answers(&[(200, Shape::Page("Asset"))]),
    Route::new(Verb::Get, "/v1/assets/{id}", Opens::Scope(Scope::Read), "Show an asset and the jobs that worked on it")
        .answers(&[(200, Shape::Json("Asset"))]),
    Route::new(Verb::Patch, "/v1/assets/{id}", Opens::Scope(Scope::Upload), "Change what is said of an asset")
        .takes(&[IF_MATCH])
        .body(Body::Json("AssetChange"))
        .answers(&[(200, Shape::Json("Asset"))]),
    Route::new(
        Verb::Delete,
        "/v1/assets/{id}",
        Opens::Scope(Scope::Delete),
        "Delete an asset and all that edges keep of it",
    )
    .takes(&[IF_MATCH])
    .answers(&[(202, Shape::Json("Asset"))]),
    Route::new(Verb::Post, "/v1/assets/{id}/retry", Opens::Scope(Scope::Upload), "Try a failed asset again")
        .takes(&[ONCE])
        .answers(&[(202, Shape::Json("Asset"))]),
    Route::new(Verb::Get, "/v1/assets/{id}/artifacts", Opens::Scope(Scope::Read), "List what is published of an asset")
        .answers(&[(200, Shape::Page("Artifact"))]),
    Route::new(Verb::Get, "/v1/assets/{id}/captions", Opens::Scope(Scope::Read), "List the captions of an asset")
        .answers(&[(200, Shape::Page("Captions"))]),
    Route::new(
        Verb::Get,
        "/v1/assets/{id}/captions/{lang}",
        Opens::Scope(Scope::Read),
        "Read the captions in one language, in WebVTT",
    )
    .answers(&[(200, Shape::Other("text/vtt"))]),
    Route::new(
        Verb::Put,
        "/v1/assets/{id}/captions/{lang}",
        Opens::Scope(Scope::Upload),
        "Give an asset captions in one language: WebVTT or SubRip, at most 2 MiB",
    )
    .takes(&[CAPTIONS_LABEL, CAPTIONS_KIND, CAPTIONS_DEFAULT])
    .body(Body::Bytes)
    .answers(&[(201, Shape::Json("Captions")), (200, Shape::Json("Captions"))]),
    Route::new(
        Verb::Delete,
        "/v1/assets/{id}/captions/{lang}",
        Opens::Scope(Scope::Upload),
        "Take the captions in one language away",
    )
    .answers(&[(204, Shape::None)]),
    Route::new(Verb::Get, "/v1/assets/{id}/downloads", Opens::Scope(Scope::Read), "List the downloads of an asset")
        .answers(&[(200, Shape::Page("Download"))]),
    Route::new(
        Verb::Post,
        "/v1/assets/{id}/downloads",
        Opens::Scope(Scope::Upload),
        "Ask for a rendition as one MP4 file; the best up to 1080p unless the body names a rung",
    )
    .body(Body::MayBeJson("DownloadWish"))
    .answers(&[(202, Shape::Json("Download")), (200, Shape::Json("Download"))]),
    Route::new(Verb::Delete, "/v1/assets/{id}/downloads/{rung}", Opens::Scope(Scope::Upload), "Take a download away")
        .answers(&[(204, Shape::None)]),
    Route::new(Verb::Get, "/v1/assets/{id}/events", Opens::Scope(Scope::Read), "Read an asset's history, oldest first")
        .takes(&[AFTER, EVENTS])
        .answers(&[(200, Shape::Page("Event"))]),
    Route::new(
        Verb::Get,
        "/v1/assets/{id}/playback",
        Opens::Scope(Scope::Read),
        "Let one viewer in, to all or a clip of it",
    )
    .takes(&[CLIP_START, CLIP_END])
    .answers(&[(200, Shape::Json("Handout"))]),
    Route::new(
        Verb::Get,
        "/v1/assets/{id}/analytics/playback",
        Opens::Scope(Scope::Analytics),
        "What was served of an asset",
    )
    .takes(&[WINDOW])
    .answers(&[(200, Shape::Json("PlaybackReport"))]),
    Route::new(Verb::Get, "/v1/events", Opens::Scope(Scope::Read), "Follow the event log as a stream")
        .takes(&[AFTER, LAST_EVENT_ID])
        .answers(&[(200, Shape::Other("text/event-stream"))]),
    Route::new(
        Verb::Post,
        "/v1/player/events",
        Opens::Viewer,
        "Tell what a player saw, with the ticket of its bootstrap",
    )
    .body(Body::Json("PlayerTold"))
    .answers(&[(200, Shape::Json("PlayerTaken"))]),
    Route::new(Verb::Get, "/v1/analytics/live", Opens::Scope(Scope::Analytics), "What is being watched")
        .answers(&[(200, Shape::Json("Live"))]),
    Route::new(
        Verb::Get,
        "/v1/analytics/overview",
        Opens::Scope(Scope::Analytics),
        "What was served and seen of all assets",
    )
    .takes(&[OVERVIEW_WINDOW])
    .answers(&[(200, Shape::Json("PlaybackReport"))]),
    Route::new(
        Verb::Get,
        "/v1/usage",
        Opens::Scope(Scope::Analytics),
        "What was delivered by tier and UTC hour, newest first",
    )
    .takes(&[USAGE_FROM, USAGE_UNTIL, EVENTS, USAGE_CURSOR])
    .answers(&[(200, Shape::Page("Usage"))]),
    Route::new(Verb::Get, "/v1/fleet", Opens::Scope(Scope::Read), "Show the edges and the latest readiness gate")
        .answers(&[(200, Shape::Json("Fleet"))]),
    Route::new(Verb::Get, "/v1/keys", Opens::Scope(Scope::Admin), "List API keys")
        .answers(&[(200, Shape::Page("Key"))]),
    Route::new(Verb::Post, "/v1/keys", Opens::Scope(Scope::Admin), "Make an API key, which is shown once")
        .takes(&[ONCE])
        .body(Body::Json("KeyWish"))
        .answers(&[(201, Shape::Json("Key"))]),
    Route::new(Verb::Delete, "/v1/keys/{id}", Opens::Scope(Scope::Admin), "Revoke an API key")
        .answers(&[(204, Shape::None)]),
    Route::new(
        Verb::Get,
        "/v1/revocations",
        Opens::Scope(Scope::Admin),
        "List the playback tokens that are believed no longer",
    )
    .answers(&[(200, Shape::Page("Revocation"))]),
    Route::new(Verb::Post, "/v1/revocations", Opens::Scope(Scope::Admin), "Have playback tokens believed no longer")
        .body(Body::Json("RevocationWish"))
        .answers(&[(201, Shape::Json("Revoked"))]),
    Route::new(Verb::Get, "/v1/webhook-endpoints", Opens::Scope(Scope::Admin), "List who is told of events")
        .answers(&[(200, Shape::Page("WebhookEndpoint"))]),
    Route::new(
        Verb::Post,
        "/v1/webhook-endpoints",
        Opens::Scope(Scope::Admin),
        "Have a URL told of events; the secret is shown once",
    )
    .takes(&[ONCE])
    .body(Body::Json("WebhookWish"))
    .answers(&[(201, Shape::Json("WebhookEndpoint"))]),
    Route::new(
        Verb::Get,
        "/v1/webhook-endpoints/{id}",
        Opens::Scope(Scope::Admin),
        "Show how far an endpoint was told",
    )
    .answers(&[(200, Shape::Json("WebhookEndpoint"))]),
    Route::new(
        Verb::Patch,
        "/v1/webhook-endpoints/{id}",
        Opens::Scope(Scope::Admin),
        "Change an endpoint; enabled, it goes on from where it stopped",
    )
    .body(Body::Json("WebhookChange"))
    .answers(&[(200, Shape::Json("WebhookEndpoint"))]),
    Route::new(Verb::Delete, "/v1/webhook-endpoints/{id}", Opens::Scope(Scope::Admin), "Tell an endpoint no more")
        .answers(&[(204, Shape::None)]),
    Route::new(
        Verb::Post,
        "/v1/webhook-endpoints/{id}/rotate-secret",
        Opens::Scope(Scope::Admin),
        "Sign with a new secret, which is shown once, and with the old one for a day more",
    )
    .answers(&[(200, Shape::Json("WebhookEndpoint"))]),
    Route::new(
        Verb::Post,
        "/v1/webhook-endpoints/{id}/replay",
        Opens::Scope(Scope::Admin),
        "Tell an endpoint again of everything after a place, or of one event",
    )
    .body(Body::Json("WebhookReplay"))
    .answers(&[(202, Shape::Json("WebhookEndpoint"))]),
    Route::new(
        Verb::Post,
        "/v1/webhook-endpoints/{id}/test",
        Opens::Scope(Scope::Admin),
        "Send a message that tells of nothing, and say what came of it",
    )
    .answers(&[(200, Shape::Json("WebhookTest"))]),
    Route::new(Verb::Get, "/api/player/{id}", Opens::Viewer, "What a player needs to start")
        .takes(&[TOKEN, TRANSPORT, WAIT])
        .answers(&[(200, Shape::Json("Bootstrap"))]),
    Route::new(
        Verb::Get,
        "/api/player/{id}/downloads/{file}",
        Opens::Viewer,
        "Send whoever may play a video to a file of it, such as `720p.mp4`",
    )
    .takes(&[TOKEN])
    .answers(&[(302, Shape::None)]),
    Route::new(Verb::Get, "/oembed", Opens::Anybody, "How to embed a watch page elsewhere")
        .takes(&[URL])
        .answers(&[(200, Shape::Json("Oembed"))]),
    Route::new(Verb::Get, "/", Opens::Anybody, "Go to the dashboard").answers(&[(302, Shape::None)]),
    Route::new(Verb::Get, "/dashboard", Opens::Anybody, "The dashboard").answers(HTML),
    Route::new(Verb::Get, "/watch/{id}", Opens::Anybody, "The player page of a video").answers(HTML),
    Route::new(Verb::Get, "/embed/{id}", Opens::Anybody, "The player as an iframe").answers(HTML),
    Route::new(Verb::Get, "/assets/{file}", Opens::Anybody, "What the pages load")
        .answers(&[(200, Shape::Other("*/*")), (304, Shape::None)]),
    Route::new(Verb::Get, "/openapi.json", Opens::Anybody, "This document").answers(&[(200, Shape::Json("Document"))]),
    Route::new(Verb::Get, "/healthz", Opens::Anybody, "Whether the process is alive")
        .answers(&[(200, Shape::Json("Health"))]),
    Route::new(Verb::Get, "/readyz", Opens::Anybody, "Whether what the process depends on answers")
        .answers(&[(200, Shape::Json("Readiness")), (503, Shape::Json("Readiness"))]),
];

/// What edges and operators reach, on a listener of its own.
pub const PRIVATE: &[Route] = &[
    Route::new(Verb::Post, "/internal/edges/register", Opens::Edge, "Join the fleet")
        .body(Body::Json("Register"))
        .answers(&[(200, Shape::Json("Registered"))]),
    Route::new(Verb::Post, "/internal/edges/heartbeat", Opens::Edge, "Say that an edge is there")
        .body(Body::Json("Heartbeat"))
        .answers(&[(200, Shape::Json("Beaten"))]),
    Route::new(Verb::Get, "/internal/edges", Opens::Edge, "List the edges").answers(&[(200, Shape::Page("Edge"))]),
    Route::new(Verb::Get, "/internal/purges", Opens::Edge, "What to forget, in order")
        .takes(&[AFTER, ORDERS])
        .answers(&[(200, Shape::Json("Purges"))]),
    Route::new(Verb::Get, "/internal/revocations", Opens::Edge, "What to believe no longer, in order")
        .takes(&[AFTER, ORDERS])
        .answers(&[(200, Shape::Json("Revocations"))]),
    Route::new(Verb::Post, "/internal/telemetry/playback", Opens::Telemetry, "Deliver what was served")
        .body(Body::Json("TelemetryBatch"))
        .answers(&[(200, Shape::Json("Ingested"))]),
    Route::new(
        Verb::Post,
        "/internal/operator/assets/{id}/suspend",
        Opens::Operator,
        "Have nothing of an asset served any more",
    )
    .body(Body::Json("OrderWish"))
    .answers(&[(201, Shape::Json("Order"))]),
    Route::new(Verb::Post, "/internal/operator/assets/{id}/restore", Opens::Operator, "Have an asset served again")
        .body(Body::Json("OrderWish"))
        .answers(&[(201, Shape::Json("Order"))]),
    Route::new(
        Verb::Post,
        "/internal/operator/organizations/{id}/suspend",
        Opens::Operator,
        "Have nothing of an organisation served any more",
    )
    .body(Body::Json("OrderWish"))
    .answers(&[(201, Shape::Json("Order"))]),
    Route::new(
        Verb::Post,
        "/internal/operator/organizations/{id}/restore",
        Opens::Operator,
        "Have an organisation served again",
    )
    .body(Body::Json("OrderWish"))
    .answers(&[(201, Shape::Json("Order"))]),
    Route::new(Verb::Get, "/internal/operator/orders", Opens::Operator, "Who suspended and restored what, and why")
        .takes(&[AFTER, ORDERS])
        .answers(&[(200, Shape::Page("Order"))]),
    Route::new(Verb::Get, "/metrics", Opens::Anybody, "Metrics in the OpenMetrics text format")
        .answers(&[(200, Shape::Other("application/openmetrics-text"))]),
    Route::new(Verb::Get, "/healthz", Opens::Anybody, "Whether the process is alive")
        .answers(&[(200, Shape::Json("Health"))]),
    Route::new(Verb::Get, "/readyz", Opens::Anybody, "Whether what the process depends on answers")
        .answers(&[(200, Shape::Json("Readiness")), (503, Shape::Json("Readiness"))]),
];

/// What is answered to who may bring in nothing.
const OUT_OF_SERVICE: Shape = Shape::Refusal(
    "The key lacks the scope, or the operator took the organisation out of service (`organization_suspended`); no bytes are \
     kept",
);
const HTML: &[(u16, Shape)] = &[(200, Shape::Other("text/html")), (304, Shape::None)];

const fn query(name: &'static str, kind: Kind, says: &'static str) -> Param {
    Param { name, in_header: false, kind, says }
}

const fn header(name: &'static str, kind: Kind, says: &'static str) -> Param {
    Param { name, in_header: true, kind, says }
}

/// Places in logs and lengths of files.
const PLACE: Kind = Kind::Number { min: 0, max: i64::MAX as u64 };

const TITLE: Param = query("title", Kind::Text { chars_max: 255 }, "What people call it.");
const POLICY: Param = query("policy", Kind::Words(&["public", "signed"]), "Who may play it; `signed` when absent.");
const EXTERNAL_ID: Param = query("external_id", Kind::Text { chars_max: 255 }, "What your own system calls it.");
const CAPTIONS_LABEL: Param =
    query("label", Kind::Text { chars_max: 64 }, "What viewers choose them by; the language's own name when absent.");
const CAPTIONS_KIND: Param = query(
    "kind",
    Kind::Words(&["subtitles", "captions"]),
    "`captions` also tell what is heard; `subtitles` when absent.",
);
const CAPTIONS_DEFAULT: Param = query(
    "default",
    Kind::Words(&["true", "false"]),
    "Whether they are shown unless a viewer chooses otherwise; `false` when absent.",
);
const ASSETS: Param = query("limit", Kind::Number { min: 1, max: 100 }, "How many to answer at most.");
const EVENTS: Param = query("limit", Kind::Number { min: 1, max: 200 }, "How many to answer at most.");
const ORDERS: Param = query("limit", Kind::Number { min: 1, max: 1000 }, "How many to answer at most.");
const CURSOR: Param = query("cursor", Kind::Uuid, "The `next_cursor` of the page before.");
const AFTER: Param = query("after", PLACE, "Only what has a higher `seq`, which the log must have reached.");
const WINDOW: Param =
    query("window_seconds", Kind::Number { min: 1, max: 604_800 }, "How far back to look; a day when absent.");
const OVERVIEW_WINDOW: Param =
    query("window_seconds", Kind::Number { min: 1, max: 7_776_000 }, "How far back to look; a day when absent.");
const USAGE_FROM: Param =
    query("from", Kind::Text { chars_max: 32 }, "The first hour that is told of, such as `2027-01-15T08:00:00.000Z`.");
const USAGE_UNTIL: Param = query("until", Kind::Text { chars_max: 32 }, "The hour before which what is told ends.");
const USAGE_CURSOR: Param = query("cursor", Kind::Text { chars_max: 64 }, "The `next_cursor` of the page before.");
const TOKEN: Param =
    query("token", Kind::TextOrNone { chars_max: 1024 }, "The bootstrap token that the owner's server handed out.");
const TRANSPORT: Param = query("transport", Kind::Words(&["cookie", "path"]), "How the right to fetch should travel.");
const WAIT: Param = query(
    "wait",
    Kind::Number { min: 0, max: 20 },
    "Seconds that the answer may wait for something to play, instead of saying at once that there is nothing yet.",
);
const URL: Param = query("url", Kind::Text { chars_max: 2048 }, "The watch page.");
const LAST_EVENT_ID: Param = header("Last-Event-ID", PLACE, "The `seq` after which to go on.");
const IF_MATCH: Param = header(
    "If-Match",
    Kind::Text { chars_max: 255 },
    "The `ETag` that the asset must still have; 412 when it has another.",
);
const UPLOAD_LENGTH: Param = header("Upload-Length", PLACE, "The bytes of the whole file.");
const UPLOAD_METADATA: Param = header(
    "Upload-Metadata",
    Kind::TextOrNone { chars_max: 4096 },
    "`filename`, `title`, `policy` and `external_id`, each followed by its value in base64, with commas between.",
);
const UPLOAD_OFFSET: Param = header("Upload-Offset", PLACE, "Where the piece begins: where the received bytes end.");
const UPLOAD_CHECKSUM: Param =
    header("Upload-Checksum", Kind::Text { chars_max: 255 }, "`sha1` or `sha256` and the digest in base64.");
const CLIP_START: Param =
    query("start", Kind::Text { chars_max: 20 }, "Where a clip begins, in seconds with up to three decimals.");
const CLIP_END: Param =
    query("end", Kind::Text { chars_max: 20 }, "Where it ends; the film's end when absent. Whole segments are shown.");
const PART_BYTES: Param = query("bytes", PLACE, "The part's bytes, as its URL says them.");
const PART_EXPIRES: Param = query("expires", PLACE, "Until when the URL is good, in seconds since 1970.");
const PART_SIGNATURE: Param = query("signature", Kind::Visible { chars_max: 64 }, "What vouches for the URL.");
const ONCE: Param = header(
    "Idempotency-Key",
    Kind::Visible { chars_max: 255 },
    "A repeat with this key gets the first answer for 24 hours.",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: &str) {
        assert_eq!(allowed(PUBLIC, path), expect, "{path}");
    }

    #[test]
    fn a_path_takes_the_methods_of_all_its_routes() {
        check("/v1/assets/018f5d3e-7c1a-7b2c-9d4e-5f60718293a4", "DELETE, GET, HEAD, PATCH");
        check("/v1/keys", "GET, HEAD, POST");
        check("/v1/videos", "POST");
        check("/v1/assets/", "");
        check("/v1/assets/x/y", "");
        check("/", "GET, HEAD");
    }

    #[test]
    fn no_route_is_listed_twice() {
        for table in [PUBLIC, PRIVATE] {
            for (at, route) in table.iter().enumerate() {
                assert!(!table[..at].iter().any(|r| r.path == route.path && r.verb == route.verb), "{}", route.path);
            }
        }
    }
}
