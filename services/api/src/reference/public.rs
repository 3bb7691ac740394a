//! The routes that callers, viewers and browsers reach.

use rend_core::credential::Scope;

use super::params::{
    AFTER, ASSETS, CAPTIONS_DEFAULT, CAPTIONS_KIND, CAPTIONS_LABEL, CLIP_END, CLIP_START, CURSOR, EVENTS, EXTERNAL_ID,
    IF_MATCH, LAST_EVENT_ID, ONCE, OVERVIEW_WINDOW, PART_BYTES, PART_EXPIRES, PART_SIGNATURE, POLICY, TITLE, TOKEN,
    TRANSPORT, UPLOAD_CHECKSUM, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET, URL, USAGE_CURSOR, USAGE_FROM,
    USAGE_UNTIL, WAIT, WINDOW,
};
use super::{Body, Opens, Route, Shape, Verb};

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

/// What is answered to who may bring in nothing.
const OUT_OF_SERVICE: Shape = Shape::Refusal(
    "The key lacks the scope, or the operator took the organisation out of service (`organization_suspended`); no bytes are \
     kept",
);
const HTML: &[(u16, Shape)] = &[(200, Shape::Other("text/html")), (304, Shape::None)];
