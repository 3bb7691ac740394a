//! Every variable that Rend reads, as data: what `rend env docs` prints is what a program checks.

use super::profile::Roles;
use super::secret::{SECRET_BYTES_MIN, SIGNING_SECRET_BYTES_MIN};

/// One environment variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Who reads it.
    pub roles: Roles,
    /// What its value is.
    pub kind: Kind,
    /// What holds while it is not set.
    pub need: Need,
    /// A value that is right.
    pub example: &'static str,
    doc: &'static [&'static str],
}

impl Variable {
    /// What it does, in a line.
    pub fn doc(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// What the value of a variable is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Any text of at most 1024 characters without line breaks.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number of bytes, with an optional `KiB`, `MiB`, `GiB` or `TiB`.
    Bytes {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number of seconds.
    Secs {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// An IP address and a port.
    Addr,
    /// An `http` or `https` URL without credentials, query or fragment.
    Url(Reach),
    /// A path of a file or folder.
    Path,
    /// A secret that we choose, of at least so many bytes in production.
    Secret {
        /// The fewest bytes in production.
        bytes_min: usize,
    },
    /// A secret or a key that somebody else issues.
    Issued,
    /// The name of a signing key.
    KeyId,
    /// An edge's name.
    EdgeId,
    /// A region's name.
    Region,
    /// A host name with a dot in it.
    Domain,
    /// `id=region=public_url[=private_url]` with commas between.
    Edges,
    /// Browser origins with commas between.
    Origins,
    /// `key_id=secret` with commas between.
    VerifyKeys,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `sqlite:` and the path of a file, or the URL of a PostgreSQL database.
    Database,
    /// A URL of a store that this release does not use; only looked at for development values.
    Foreign,
}

/// Who comes along a URL, which decides what it must look like in production.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Viewers or edges: `https`, and no host that only this machine knows.
    Public,
    /// The control plane on its way to an edge: `https`, or a host of a private network.
    Private,
    /// A service and its store: no host that only this machine knows.
    Inside,
}

/// What holds while a variable is not set. An empty value counts as not set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nothing: what it would turn on stays off.
    Optional,
    /// This value.
    Default(&'static str),
    /// One value for each profile.
    ByProfile {
        /// In the local profile.
        local: &'static str,
        /// In the production profile.
        production: &'static str,
    },
    /// A program that reads it does not start, except `rend up`.
    Required,
    /// As [`Need::Required`], but only in the production profile.
    RequiredInProduction,
}

macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $name:ident: [$($role:ident)+] $kind:expr, $need:expr, $example:literal;)+) => {
        $(
            $(#[doc = $doc])+
            pub const $name: Variable = Variable {
                name: stringify!($name),
                roles: Roles::NONE$(.and(Roles::$role))+,
                kind: $kind,
                need: $need,
                example: $example,
                doc: &[$($doc),+],
            };
        )+

        /// Every variable, in the order of the documentation.
        pub const ALL: &[Variable] = &[$($name),+];
    };
}

const TOKEN: Kind = Kind::Secret { bytes_min: SECRET_BYTES_MIN };
const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const SIZE: Kind = Kind::Bytes { min: KIB, max: 1024 * TIB };

variables! {
    /// How strictly the configuration is judged.
    REND_ENV: [SERVICES] Kind::OneOf(&["local", "production"]), Need::Default("local"), "production";
    /// Which log lines are written, as a filter of levels by target.
    REND_LOG: [SERVICES] Kind::Text, Need::Default("info"), "info,rend_edge=debug";
    /// How long open responses may take to end after SIGTERM.
    REND_SHUTDOWN_GRACE_SECS: [SERVICES] Kind::Secs { min: 0, max: 3600 }, Need::Default("30"), "30";
    /// Where `rend up` keeps everything: database, objects, cache and spool.
    REND_DATA_DIR: [UP] Kind::Path, Need::Default(".rend"), "/var/lib/rend";

    /// Where the API answers the public.
    REND_API_BIND_ADDR: [API] Kind::Addr, Need::Default("127.0.0.1:4000"), "0.0.0.0:4000";
    /// Where the API answers edges and scrapers: internal routes and metrics.
    REND_API_PRIVATE_BIND_ADDR: [API] Kind::Addr, Need::Default("127.0.0.1:4001"), "10.0.0.1:4001";
    /// Where the edge answers viewers.
    REND_EDGE_BIND_ADDR: [EDGE] Kind::Addr, Need::Default("127.0.0.1:4100"), "0.0.0.0:4100";
    /// Where the edge answers the control plane and scrapers.
    REND_EDGE_PRIVATE_BIND_ADDR: [EDGE] Kind::Addr, Need::Default("127.0.0.1:4110"), "10.0.0.2:4110";

    /// The database of assets, jobs and events: a SQLite file for one host, or PostgreSQL for a fleet, whose certificate
    /// is checked where TLS is spoken.
    DATABASE_URL: [API WORKER] Kind::Database, Need::Required, "postgres://rend:…@db.example.net/rend?sslmode=require";
    /// Connections to PostgreSQL that one process has at most. Who needs one while all are in use waits for the connect
    /// timeout.
    REND_DATABASE_CONNECTIONS_MAX: [API WORKER] Kind::Number { min: 1, max: 1000 }, Need::Default("16"), "16";
    /// How long to wait for a connection to PostgreSQL.
    REND_DATABASE_CONNECT_TIMEOUT_SECS: [API WORKER] Kind::Secs { min: 1, max: 300 }, Need::Default("5"), "5";
    /// How long a start waits for PostgreSQL to answer at all, when both are started together.
    REND_DATABASE_START_WAIT_SECS: [API WORKER] Kind::Secs { min: 0, max: 600 }, Need::Default("30"), "30";
    /// How long one statement of PostgreSQL may take.
    REND_DATABASE_STATEMENT_TIMEOUT_SECS: [API WORKER] Kind::Secs { min: 1, max: 3600 }, Need::Default("10"), "10";
    /// PEM certificates to hold PostgreSQL's against, in place of the system's.
    REND_DATABASE_TLS_CA_FILE: [API WORKER] Kind::Path, Need::Optional, "/etc/rend/database-ca.pem";
    /// The folder of originals and artifacts, which goes before S3-compatible storage. Required unless `S3_ENDPOINT` is set.
    REND_OBJECT_STORE_DIR: [SERVICES] Kind::Path, Need::Optional, "/var/lib/rend/objects";
    /// Redis: counts rate limits and passes wake-ups across processes. Unset or away: each process counts and polls alone.
    REND_REDIS_URL: [API WORKER] Kind::Foreign, Need::Optional, "redis://redis.example.net:6379";
    /// ClickHouse, where what edges served is kept. Unset: in the database itself.
    CLICKHOUSE_URL: [API WORKER] Kind::Url(Reach::Inside), Need::Optional, "https://clickhouse.example.net:8443";
    /// The ClickHouse database. `rend-api migrate` makes it and its tables.
    CLICKHOUSE_DATABASE: [API WORKER] Kind::Text, Need::Default("rend"), "rend";
    /// The ClickHouse user.
    CLICKHOUSE_USER: [API WORKER] Kind::Text, Need::Default("default"), "rend_ingest";
    /// The ClickHouse password.
    CLICKHOUSE_PASSWORD: [API WORKER] Kind::Issued, Need::Optional, "";
    /// Whether ClickHouse gathers the rows of several batches before it writes and acknowledges them: for fleets of many edges.
    CLICKHOUSE_ASYNC_INSERT: [API WORKER] Kind::Bool, Need::Default("false"), "true";
    /// S3-compatible storage for originals and artifacts, unless `REND_OBJECT_STORE_DIR` is set. `rend doctor s3` tries it.
    S3_ENDPOINT: [SERVICES] Kind::Url(Reach::Inside), Need::Optional, "https://s3.example.net";
    /// The region that requests to it are signed for.
    S3_REGION: [SERVICES] Kind::Text, Need::Default("us-east-1"), "us-east-1";
    /// The bucket, which must be there. Required with `S3_ENDPOINT`.
    S3_BUCKET: [SERVICES] Kind::Text, Need::Optional, "rend-media";
    /// Put before every key in the bucket, so that several installations may share it: nothing, or a path that ends with `/`.
    S3_PREFIX: [SERVICES] Kind::Text, Need::Optional, "rend/";
    /// Where the bucket's name stands in URLs: `path` for most servers, `virtual` for Amazon.
    S3_URL_STYLE: [SERVICES] Kind::OneOf(&["path", "virtual"]), Need::Default("path"), "path";
    /// The S3 access key. Required with `S3_ENDPOINT`.
    AWS_ACCESS_KEY_ID: [SERVICES] Kind::Issued, Need::Optional, "";
    /// The S3 secret. Required with `S3_ENDPOINT`.
    AWS_SECRET_ACCESS_KEY: [SERVICES] Kind::Issued, Need::Optional, "";
    /// What the API's readiness asks of the object storage. Unset: a look for an object.
    OBJECT_STORE_HEALTH_URL: [SERVICES] Kind::Url(Reach::Inside), Need::Optional, "https://s3.example.net/health";

    /// Whether the API brings the database's schema up to date when it starts. Refused for workers.
    REND_API_AUTO_MIGRATE: [API WORKER] Kind::Bool, Need::ByProfile { local: "true", production: "false" }, "false";
    /// Browser origins that may call the API with credentials. Unset: the API's own origin.
    REND_API_CORS_ALLOWED_ORIGINS: [API] Kind::Origins, Need::Optional, "https://www.example.com";
    /// How often one key may read in a minute; 0 for as often as it likes.
    REND_API_RATE_LIMIT_READS_PER_MINUTE: [API] Kind::Number { min: 0, max: 60_000 }, Need::Default("3000"), "3000";
    /// How often one key may write in a minute; 0 for as often as it likes. The pieces of an upload are not counted.
    REND_API_RATE_LIMIT_WRITES_PER_MINUTE: [API] Kind::Number { min: 0, max: 60_000 }, Need::Default("1200"), "1200";
    /// How often one public address, as the network of `REND_PLAYER_GEO_HEADERS` names it, may ask in a minute; 0: no bound.
    REND_API_RATE_LIMIT_ADDRESS_PER_MINUTE: [API] Kind::Number { min: 0, max: 60_000 }, Need::Default("3000"), "3000";
    /// How many days the history of an asset is kept after it was deleted. 36500 keeps it for good.
    REND_RETENTION_EVENTS_DAYS: [API] Kind::Number { min: 7, max: 36_500 }, Need::Default("30"), "30";
    /// How many days finished jobs, ended uploads, and purges that every edge has carried out are kept.
    REND_RETENTION_WORK_DAYS: [API] Kind::Number { min: 7, max: 36_500 }, Need::Default("30"), "30";
    /// How many days the database keeps records of playback once their hour was counted. ClickHouse keeps its own for 90.
    REND_RETENTION_PLAYBACK_DAYS: [API] Kind::Number { min: 7, max: 36_500 }, Need::Default("90"), "90";
    /// Tells in the log what is old enough to go, and lets it stay.
    REND_RETENTION_DRY_RUN: [API] Kind::Bool, Need::Default("false"), "true";
    /// Lets webhooks be sent to 127.0.0.1, to try them out on one machine. Refused in production.
    REND_WEBHOOK_ALLOW_LOOPBACK: [API] Kind::Bool, Need::Default("false"), "true";
    /// Browser origins that may fetch media with credentials. Unset: the origin of `REND_SITE_BASE_URL`.
    REND_EDGE_CORS_ALLOWED_ORIGINS: [EDGE] Kind::Origins, Need::Optional, "https://www.example.com";

    /// What a separate site offers the API on internal routes. Known, but not used: the API serves its own pages.
    REND_SITE_INTERNAL_TOKEN: [API] TOKEN, Need::RequiredInProduction, "";
    /// What the API and the edges offer one another on private routes.
    REND_EDGE_INTERNAL_TOKEN: [SERVICES] TOKEN, Need::Required, "";
    /// What an edge offers when it delivers telemetry.
    REND_INTERNAL_TELEMETRY_TOKEN: [API EDGE] TOKEN, Need::Required, "";
    /// What an operator offers to suspend and restore assets and organisations. Unset: nobody can.
    REND_OPERATOR_TOKEN: [API] TOKEN, Need::Optional, "";
    /// The name of the key that signs playback tokens.
    REND_PLAYBACK_SIGNING_KEY_ID: [SERVICES] Kind::KeyId, Need::Required, "2026-01";
    /// The secret that signs playback tokens; 32 random bytes in base64 are right.
    REND_PLAYBACK_SIGNING_SECRET: [SERVICES] Kind::Secret { bytes_min: SIGNING_SECRET_BYTES_MIN }, Need::Required, "";
    /// Further keys that are accepted while keys are rotated.
    REND_PLAYBACK_VERIFY_KEYS: [SERVICES] Kind::VerifyKeys, Need::Optional, "";
    /// How long a playback token works.
    REND_PLAYBACK_TOKEN_TTL_SECS: [API EDGE] Kind::Secs { min: 5, max: 86_400 }, Need::Default("900"), "900";
    /// The domain of the playback cookie, when player and media hosts share one of ours. Unset: the media host alone.
    REND_PLAYBACK_COOKIE_DOMAIN: [API EDGE] Kind::Domain, Need::Optional, "example.com";
    /// Where media is played from when no edge is known.
    REND_PLAYBACK_BASE_URL: [API] Kind::Url(Reach::Public), Need::Default("http://127.0.0.1:4100"), "https://play.example.com";
    /// Where people open the player page and the dashboard.
    REND_SITE_BASE_URL: [API EDGE] Kind::Url(Reach::Public), Need::Default("http://127.0.0.1:4000"), "https://www.example.com";

    /// The most bytes of one upload's body.
    REND_MAX_UPLOAD_BYTES: [API] SIZE, Need::Default("536870912"), "2GiB";
    /// The most bytes of an original, however it arrives.
    REND_MAX_SOURCE_BYTES: [API WORKER] SIZE, Need::Default("250GiB"), "250GiB";
    /// The most bytes of originals that one organisation has, those under way included. 0: as many as there is room for.
    REND_MAX_ORG_SOURCE_BYTES: [API] Kind::Bytes { min: 0, max: 1024 * TIB }, Need::Default("0"), "2TiB";

    /// The edges that may register. Unset: every edge that has the token.
    REND_EXPECTED_EDGES: [SERVICES] Kind::Edges, Need::RequiredInProduction, "ash-1=us-east=https://ash-1.play.example.com";
    /// Lets edges have plain `http` URLs. Refused in production.
    REND_ALLOW_INSECURE_EDGE_URLS: [SERVICES] Kind::Bool, Need::Default("false"), "false";
    /// How long an edge counts as live after its last heartbeat.
    REND_EDGE_ACTIVE_HEARTBEAT_WINDOW_SECS: [API WORKER] Kind::Secs { min: 2, max: 3600 }, Need::Default("120"), "120";
    /// How often an edge sends a heartbeat.
    REND_EDGE_HEARTBEAT_INTERVAL_SECS: [API EDGE] Kind::Secs { min: 1, max: 600 }, Need::Default("15"), "15";
    /// The edge's name.
    REND_EDGE_ID: [EDGE] Kind::EdgeId, Need::Default("local-edge-001"), "ash-1";
    /// The edge's region.
    REND_EDGE_REGION: [EDGE] Kind::Region, Need::Default("local"), "us-east";
    /// Where viewers reach this edge.
    REND_EDGE_BASE_URL: [EDGE] Kind::Url(Reach::Public), Need::Default("http://127.0.0.1:4100"), "https://ash-1.play.example.com";
    /// Where the control plane reaches this edge.
    REND_EDGE_PRIVATE_URL: [EDGE] Kind::Url(Reach::Private), Need::Default("http://127.0.0.1:4110"), "http://10.0.0.2:4110";
    /// Where this edge reaches the API's private listener.
    REND_CONTROL_PLANE_URL: [EDGE] Kind::Url(Reach::Public), Need::Default("http://127.0.0.1:4001"), "https://control.example.com";
    /// The folder of the cache.
    REND_EDGE_CACHE_DIR: [EDGE] Kind::Path, Need::Default(".rend/cache"), "/var/cache/rend";
    /// The most bytes the cache may hold.
    REND_EDGE_CACHE_MAX_BYTES: [EDGE] SIZE, Need::Default("10GiB"), "500GiB";
    /// Free bytes that the cache leaves on its file system.
    REND_EDGE_CACHE_MIN_FREE_BYTES: [EDGE] Kind::Bytes { min: 0, max: 1024 * TIB }, Need::Default("64MiB"), "10GiB";
    /// Bytes that an edge may fetch per second before somebody asks for them. 0: it fetches nothing ahead.
    REND_EDGE_PREFETCH_BYTES_PER_SEC: [EDGE] Kind::Bytes { min: 0, max: 1024 * GIB }, Need::Default("64MiB"), "64MiB";
    /// Bytes the cache's disk may take a day, an eighth at once; 0: any. With half gone a later segment is stored if it
    /// was asked for before, with all gone it is not.
    REND_EDGE_CACHE_WRITE_BYTES_PER_DAY: [EDGE] Kind::Bytes { min: 0, max: 1024 * TIB }, Need::Default("0"), "2TiB";
    /// Bytes of the log of what the cache decides, from the start on, for `rend cache replay`. 0: no log is kept.
    REND_EDGE_CACHE_LOG_BYTES: [EDGE] Kind::Bytes { min: 0, max: GIB }, Need::Default("0"), "64MiB";
    /// Fetches from the origin at one time.
    REND_EDGE_MAX_IN_FLIGHT_FILLS: [EDGE] Kind::Number { min: 1, max: 1024 }, Need::Default("64"), "64";
    /// The most bytes of one artifact that an edge fetches.
    REND_EDGE_MAX_ORIGIN_ARTIFACT_BYTES: [EDGE] Kind::Bytes { min: KIB, max: 64 * GIB }, Need::Default("512MiB"), "512MiB";
    /// Artifacts of one warm request.
    REND_EDGE_WARM_MAX_ARTIFACTS: [SERVICES] Kind::Number { min: 1, max: 1024 }, Need::Default("16"), "16";
    /// What readiness asks of the origin. Unset: whether the folder of objects can be read.
    REND_EDGE_ORIGIN_HEALTH_URL: [EDGE] Kind::Url(Reach::Inside), Need::Optional, "https://s3.example.net/health";
    /// One edge to warm when none is registered. Known, but not used: registered edges are asked.
    REND_EDGE_WARM_URL: [API WORKER] Kind::Url(Reach::Private), Need::Optional, "http://10.0.0.2:4110";
    /// One edge to purge when none is registered. Known, but not used: registered edges are asked.
    REND_EDGE_PURGE_URL: [API WORKER] Kind::Url(Reach::Private), Need::Optional, "http://10.0.0.2:4110";

    /// Whether the edge records what it serves.
    REND_EDGE_TELEMETRY_ENABLED: [EDGE] Kind::Bool, Need::Default("true"), "true";
    /// Where telemetry is delivered. Unset: below `REND_CONTROL_PLANE_URL`.
    REND_EDGE_TELEMETRY_INGEST_URL: [EDGE] Kind::Url(Reach::Public), Need::Optional, "https://control.example.com/internal/telemetry/playback";
    /// Events that may wait in memory for the spool.
    REND_EDGE_TELEMETRY_QUEUE_CAPACITY: [EDGE] Kind::Number { min: 1, max: 1_000_000 }, Need::Default("4096"), "4096";
    /// So many events are delivered without waiting for more. What came at the same time goes along.
    REND_EDGE_TELEMETRY_BATCH_SIZE: [EDGE] Kind::Number { min: 1, max: 10_000 }, Need::Default("100"), "100";
    /// How long a batch waits to become full.
    REND_EDGE_TELEMETRY_FLUSH_INTERVAL_SECS: [EDGE] Kind::Secs { min: 1, max: 600 }, Need::Default("2"), "2";
    /// How long a delivery may take.
    REND_EDGE_TELEMETRY_REQUEST_TIMEOUT_SECS: [EDGE] Kind::Secs { min: 1, max: 600 }, Need::Default("2"), "2";
    /// The folder where events wait until they are delivered.
    REND_EDGE_TELEMETRY_SPOOL_DIR: [EDGE] Kind::Path, Need::Default(".rend/telemetry-spool"), "/var/lib/rend/spool";
    /// The most bytes that may wait in that folder.
    REND_EDGE_TELEMETRY_SPOOL_MAX_BYTES: [EDGE] SIZE, Need::Default("1GiB"), "4GiB";

    /// The worker's name in job records. Unset: host, process and chance.
    REND_MEDIA_WORKER_ID: [WORKER] Kind::Text, Need::Optional, "worker-1";
    /// How often an idle worker asks for a job.
    REND_MEDIA_WORKER_POLL_INTERVAL_SECS: [WORKER] Kind::Secs { min: 1, max: 600 }, Need::Default("1"), "1";
    /// How long a lease on a job lasts; it is renewed every quarter.
    REND_MEDIA_JOB_LOCK_TIMEOUT_SECS: [WORKER] Kind::Secs { min: 4, max: 86_400 }, Need::Default("120"), "120";
    /// How often a job may be tried.
    REND_MEDIA_JOB_MAX_ATTEMPTS: [API WORKER] Kind::Number { min: 1, max: 100 }, Need::Default("3"), "3";
    /// How long one encoder process may run at most; the pixels it works on bound it further. Unset: six hours.
    REND_MEDIA_PROCESS_TIMEOUT_SECS: [WORKER] Kind::Secs { min: 1, max: 604_800 }, Need::Optional, "3600";
    /// The ffmpeg program.
    REND_FFMPEG_PATH: [WORKER] Kind::Path, Need::Default("ffmpeg"), "/usr/bin/ffmpeg";
    /// The ffprobe program.
    REND_FFPROBE_PATH: [WORKER] Kind::Path, Need::Default("ffprobe"), "/usr/bin/ffprobe";

    /// Whose headers tell where a viewer is. Only name a network that really stands before the API: others can be forged.
    REND_PLAYER_GEO_HEADERS: [API] Kind::OneOf(&["none", "vercel", "cloudflare", "fastly"]), Need::Default("none"), "cloudflare";
    /// Edges that replace the route table: locally, or in production when the mode says so.
    REND_PLAYER_EDGE_BASE_URLS: [API] Kind::Edges, Need::Optional, "ash-1=us-east=https://ash-1.play.example.com";
    /// Whether `REND_PLAYER_EDGE_BASE_URLS` holds in production too.
    REND_PLAYER_EDGE_BASE_URLS_MODE: [API] Kind::OneOf(&["local", "override"]), Need::Default("local"), "override";
    /// The one edge that is used when routing finds none.
    REND_PLAYER_PLAYBACK_BASE_URL: [API] Kind::Url(Reach::Public), Need::Optional, "https://play.example.com";

    /// Who is told of usage. This release counts usage and tells nobody, so `autumn` is refused.
    REND_BILLING_MODE: [API WORKER] Kind::OneOf(&["local", "autumn"]), Need::Default("local"), "local";
    /// The billing provider's key. Known, but not used.
    AUTUMN_SECRET_KEY: [API WORKER] Kind::Issued, Need::Optional, "";
    /// The billing provider's API. Known, but not used.
    AUTUMN_API_URL: [API WORKER] Kind::Url(Reach::Public), Need::Optional, "https://api.useautumn.com/v1";
    /// The version of the billing provider's API. Known, but not used.
    AUTUMN_API_VERSION: [API WORKER] Kind::Text, Need::Default("2.3.0"), "2.3.0";
    /// The feature that delivery up to 720p counts for. Known, but not used.
    REND_BILLING_FEATURE_DELIVERY_720P: [API WORKER] Kind::Text, Need::Default("delivery_720p_seconds"), "delivery_720p_seconds";
    /// The feature that delivery up to 1080p counts for. Known, but not used.
    REND_BILLING_FEATURE_DELIVERY_1080P: [API WORKER] Kind::Text, Need::Default("delivery_1080p_seconds"), "delivery_1080p_seconds";
    /// The feature that delivery up to 2K counts for. Known, but not used.
    REND_BILLING_FEATURE_DELIVERY_2K: [API WORKER] Kind::Text, Need::Default("delivery_2k_seconds"), "delivery_2k_seconds";
    /// The feature that delivery up to 4K counts for. Known, but not used.
    REND_BILLING_FEATURE_DELIVERY_4K: [API WORKER] Kind::Text, Need::Default("delivery_4k_seconds"), "delivery_4k_seconds";
    /// The feature that storage up to 720p counts for. Known, but not used.
    REND_BILLING_FEATURE_STORAGE_720P: [API WORKER] Kind::Text, Need::Default("storage_720p_second_months"), "storage_720p_second_months";
    /// The feature that storage up to 1080p counts for. Known, but not used.
    REND_BILLING_FEATURE_STORAGE_1080P: [API WORKER] Kind::Text, Need::Default("storage_1080p_second_months"), "storage_1080p_second_months";
    /// The feature that storage up to 2K counts for. Known, but not used.
    REND_BILLING_FEATURE_STORAGE_2K: [API WORKER] Kind::Text, Need::Default("storage_2k_second_months"), "storage_2k_second_months";
    /// The feature that storage up to 4K counts for. Known, but not used.
    REND_BILLING_FEATURE_STORAGE_4K: [API WORKER] Kind::Text, Need::Default("storage_4k_second_months"), "storage_4k_second_months";
    /// Whether uploads go on while the billing provider does not answer. Known, but not used.
    REND_BILLING_ENTITLEMENT_FAILURE_POLICY: [API WORKER] Kind::OneOf(&["fail_closed", "fail_open"]), Need::Default("fail_closed"), "fail_closed";
    /// How far delivery reports stay behind. Known, but not used.
    REND_BILLING_DELIVERY_SYNC_LAG_SECS: [API WORKER] Kind::Secs { min: 0, max: 86_400 }, Need::Default("60"), "60";
    /// How much time one delivery report covers at most. Known, but not used.
    REND_BILLING_DELIVERY_SYNC_MAX_WINDOW_SECS: [API WORKER] Kind::Secs { min: 1, max: 86_400 }, Need::Default("3600"), "3600";
    /// How far storage reports stay behind. Known, but not used.
    REND_BILLING_STORAGE_SYNC_LAG_SECS: [API WORKER] Kind::Secs { min: 0, max: 86_400 }, Need::Default("60"), "60";
    /// How much time one storage report covers at most. Known, but not used.
    REND_BILLING_STORAGE_SYNC_MAX_WINDOW_SECS: [API WORKER] Kind::Secs { min: 1, max: 86_400 }, Need::Default("3600"), "3600";
}

/// Whether Rend has a use for the name outside the table: what the command line and the gate read.
pub fn is_known_elsewhere(name: &str) -> bool {
    let threshold = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.ends_with("_MS"));
    threshold("REND_READINESS_WARN_") || threshold("REND_READINESS_FAIL_") || ELSEWHERE.contains(&name)
}

/// The known name nearest to `name` by the number of edits, if it is near enough to be what was meant.
pub fn nearest_name(name: &str) -> Option<&'static str> {
    let max = NEAR_EDITS_MAX.min(name.len() / 3);
    ALL.iter().filter_map(|v| Some((edits(name, v.name, max)?, v.name))).min().map(|(_, near)| near)
}

/// Edits up to which a name counts as misspelt.
const NEAR_EDITS_MAX: usize = 8;

/// What the command `rend` reads as a client.
const ELSEWHERE: [&str; 4] = ["REND_API_KEY", "REND_API_BASE", "REND_API_URL", "REND_API_BASE_URL"];

/// Edits between two names: insertions, deletions and replacements (Levenshtein). `None` of more than `max`, which is known
/// as soon as one name is that much longer or no beginning of theirs is near: a long name costs no more for being strange.
fn edits(a: &str, b: &str, max: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > max {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
        // No way to the end leads back below the least of a row.
        if row.iter().all(|edits| *edits > max) {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= max)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_stands_twice() {
        assert_eq!(ALL.iter().map(|v| v.name).collect::<BTreeSet<_>>().len(), ALL.len());
    }

    #[test]
    fn every_variable_says_what_it_does_in_sentences() {
        for variable in ALL {
            let doc = variable.doc();
            assert!(doc.ends_with('.') && !doc.contains('|') && doc.len() < 160, "{}: {doc}", variable.name);
        }
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        assert_eq!(nearest_name("REND_EDGE_REIGON"), Some("REND_EDGE_REGION"));
        assert_eq!(nearest_name("REND_FFMPEG_BIN"), Some("REND_FFMPEG_PATH"));
        assert_eq!(nearest_name("REND_COMPLETELY_UNRELATED_THING_HERE"), None);
        assert_eq!(nearest_name(&format!("REND_EDGE_REGION{}", "K".repeat(100))), None);
        assert_eq!(nearest_name("REND_EDGE_ID_IS_WHAT_I_MEAN"), None);
        assert_eq!(nearest_name("REND_EDGE_IDD"), Some("REND_EDGE_ID"));
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", "abc", 3), Some(3));
        assert_eq!(edits("kitten", "sitting", 3), Some(3));
        assert_eq!(edits("abc", "abc", 0), Some(0));
        assert_eq!(edits("kitten", "sitting", 2), None);
    }
}
