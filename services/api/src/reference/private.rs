//! The routes that edges and operators reach.

use super::params::{AFTER, ORDERS};
use super::{Body, Opens, Route, Shape, Verb};

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
