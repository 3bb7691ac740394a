//! What may stand in queries and headers, each named once.

use super::{Kind, Param};

const fn query(name: &'static str, kind: Kind, says: &'static str) -> Param {
    Param { name, in_header: false, kind, says }
}

const fn header(name: &'static str, kind: Kind, says: &'static str) -> Param {
    Param { name, in_header: true, kind, says }
}

/// Places in logs and lengths of files.
const PLACE: Kind = Kind::Number { min: 0, max: i64::MAX as u64 };

pub(super) const TITLE: Param = query("title", Kind::Text { chars_max: 255 }, "What people call it.");
pub(super) const POLICY: Param =
    query("policy", Kind::Words(&["public", "signed"]), "Who may play it; `signed` when absent.");
pub(super) const EXTERNAL_ID: Param =
    query("external_id", Kind::Text { chars_max: 255 }, "What your own system calls it.");
pub(super) const CAPTIONS_LABEL: Param =
    query("label", Kind::Text { chars_max: 64 }, "What viewers choose them by; the language's own name when absent.");
pub(super) const CAPTIONS_KIND: Param = query(
    "kind",
    Kind::Words(&["subtitles", "captions"]),
    "`captions` also tell what is heard; `subtitles` when absent.",
);
pub(super) const CAPTIONS_DEFAULT: Param = query(
    "default",
    Kind::Words(&["true", "false"]),
    "Whether they are shown unless a viewer chooses otherwise; `false` when absent.",
);
pub(super) const ASSETS: Param = query("limit", Kind::Number { min: 1, max: 100 }, "How many to answer at most.");
pub(super) const EVENTS: Param = query("limit", Kind::Number { min: 1, max: 200 }, "How many to answer at most.");
pub(super) const ORDERS: Param = query("limit", Kind::Number { min: 1, max: 1000 }, "How many to answer at most.");
pub(super) const CURSOR: Param = query("cursor", Kind::Uuid, "The `next_cursor` of the page before.");
pub(super) const AFTER: Param = query("after", PLACE, "Only what has a higher `seq`, which the log must have reached.");
pub(super) const WINDOW: Param =
    query("window_seconds", Kind::Number { min: 1, max: 604_800 }, "How far back to look; a day when absent.");
pub(super) const OVERVIEW_WINDOW: Param =
    query("window_seconds", Kind::Number { min: 1, max: 7_776_000 }, "How far back to look; a day when absent.");
pub(super) const USAGE_FROM: Param =
    query("from", Kind::Text { chars_max: 32 }, "The first hour that is told of, such as `2027-01-15T08:00:00.000Z`.");
pub(super) const USAGE_UNTIL: Param =
    query("until", Kind::Text { chars_max: 32 }, "The hour before which what is told ends.");
pub(super) const USAGE_CURSOR: Param =
    query("cursor", Kind::Text { chars_max: 64 }, "The `next_cursor` of the page before.");
pub(super) const TOKEN: Param =
    query("token", Kind::TextOrNone { chars_max: 1024 }, "The bootstrap token that the owner's server handed out.");
pub(super) const TRANSPORT: Param =
    query("transport", Kind::Words(&["cookie", "path"]), "How the right to fetch should travel.");
pub(super) const WAIT: Param = query(
    "wait",
    Kind::Number { min: 0, max: 20 },
    "Seconds that the answer may wait for something to play, instead of saying at once that there is nothing yet.",
);
pub(super) const URL: Param = query("url", Kind::Text { chars_max: 2048 }, "The watch page.");
pub(super) const LAST_EVENT_ID: Param = header("Last-Event-ID", PLACE, "The `seq` after which to go on.");
pub(super) const IF_MATCH: Param = header(
    "If-Match",
    Kind::Text { chars_max: 255 },
    "The `ETag` that the asset must still have; 412 when it has another.",
);
pub(super) const UPLOAD_LENGTH: Param = header("Upload-Length", PLACE, "The bytes of the whole file.");
pub(super) const UPLOAD_METADATA: Param = header(
    "Upload-Metadata",
    Kind::TextOrNone { chars_max: 4096 },
    "`filename`, `title`, `policy` and `external_id`, each followed by its value in base64, with commas between.",
);
pub(super) const UPLOAD_OFFSET: Param =
    header("Upload-Offset", PLACE, "Where the piece begins: where the received bytes end.");
pub(super) const UPLOAD_CHECKSUM: Param =
    header("Upload-Checksum", Kind::Text { chars_max: 255 }, "`sha1` or `sha256` and the digest in base64.");
pub(super) const CLIP_START: Param =
    query("start", Kind::Text { chars_max: 20 }, "Where a clip begins, in seconds with up to three decimals.");
pub(super) const CLIP_END: Param =
    query("end", Kind::Text { chars_max: 20 }, "Where it ends; the film's end when absent. Whole segments are shown.");
pub(super) const PART_BYTES: Param = query("bytes", PLACE, "The part's bytes, as its URL says them.");
pub(super) const PART_EXPIRES: Param = query("expires", PLACE, "Until when the URL is good, in seconds since 1970.");
pub(super) const PART_SIGNATURE: Param =
    query("signature", Kind::Visible { chars_max: 64 }, "What vouches for the URL.");
pub(super) const ONCE: Param = header(
    "Idempotency-Key",
    Kind::Visible { chars_max: 255 },
    "A repeat with this key gets the first answer for 24 hours.",
);
