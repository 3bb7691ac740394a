-- Identifiers and digests are blobs; times are milliseconds since 1970; unsigned 64-bit numbers are kept in the same bits.

CREATE TABLE assets (
  id            BLOB PRIMARY KEY NOT NULL,
  org           BLOB NOT NULL,
  title         TEXT NOT NULL,
  external_id   TEXT,
  metadata      TEXT NOT NULL,
  policy        TEXT NOT NULL,
  source        TEXT NOT NULL,
  playable      TEXT NOT NULL,
  degraded      INTEGER NOT NULL,
  failure       TEXT,
  stored_bytes  INTEGER,
  stored_sha256 BLOB,
  media         TEXT,
  renditions    TEXT NOT NULL,
  revision      INTEGER NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  -- How many events it has.
  event_count   INTEGER NOT NULL
);
CREATE INDEX assets_of_org ON assets (org, id) WHERE source <> 'deleted';

CREATE TABLE events (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT,
  asset     BLOB NOT NULL,
  asset_seq INTEGER NOT NULL,
  org       BLOB NOT NULL,
  at        INTEGER NOT NULL,
  name      TEXT NOT NULL,
  data      TEXT NOT NULL,
  UNIQUE (asset, asset_seq)
);
CREATE INDEX events_of_asset ON events (asset, seq);
CREATE INDEX events_of_org ON events (org, seq);

CREATE TABLE uploads (
  id             BLOB PRIMARY KEY NOT NULL,
  asset          BLOB NOT NULL,
  org            BLOB NOT NULL,
  bytes_expected INTEGER,
  state          TEXT NOT NULL,
  expires_at     INTEGER NOT NULL,
  created_at     INTEGER NOT NULL
);
CREATE INDEX uploads_open ON uploads (expires_at, id) WHERE state = 'open';

CREATE TABLE jobs (
  id            BLOB PRIMARY KEY NOT NULL,
  asset         BLOB NOT NULL,
  kind          TEXT NOT NULL,
  state         TEXT NOT NULL,
  attempt       INTEGER NOT NULL,
  attempts_max  INTEGER NOT NULL,
  run_at        INTEGER NOT NULL,
  lease_expires INTEGER,
  worker        TEXT,
  error         TEXT,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  -- The fence of the lease that holds.
  token         BLOB,
  -- Since when it may be claimed; nothing once it is finished.
  due_since     INTEGER
);
CREATE INDEX jobs_due ON jobs (kind, due_since, id) WHERE due_since IS NOT NULL;
CREATE INDEX jobs_of_asset ON jobs (asset, id);
CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';
CREATE INDEX jobs_unfinished ON jobs (state, run_at) WHERE state <> 'succeeded';

CREATE TABLE edges (
  id               TEXT PRIMARY KEY NOT NULL,
  region           TEXT NOT NULL,
  public_url       TEXT NOT NULL,
  private_url      TEXT NOT NULL,
  version          TEXT NOT NULL,
  state            TEXT NOT NULL,
  cache_bytes_max  INTEGER NOT NULL,
  cache_bytes_used INTEGER NOT NULL,
  cache_entries    INTEGER NOT NULL,
  disk_bytes_free  INTEGER NOT NULL,
  fills            INTEGER NOT NULL,
  spool_events     INTEGER NOT NULL,
  dropped_events   INTEGER NOT NULL,
  purge_seen       INTEGER NOT NULL,
  registered_at    INTEGER NOT NULL,
  beat_at          INTEGER NOT NULL
);

CREATE TABLE purges (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  asset BLOB NOT NULL,
  at    INTEGER NOT NULL
);

CREATE TABLE credentials (
  id           BLOB PRIMARY KEY NOT NULL,
  org          BLOB NOT NULL,
  name         TEXT NOT NULL,
  prefix       TEXT NOT NULL,
  digest       BLOB NOT NULL UNIQUE,
  scopes       TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER,
  revoked_at   INTEGER
);
CREATE INDEX credentials_of_org ON credentials (org, id);

CREATE TABLE playback (
  -- The run of the edge, then the place in it.
  id           BLOB PRIMARY KEY NOT NULL,
  node         TEXT NOT NULL,
  observed_at  INTEGER NOT NULL,
  org          BLOB,
  asset        BLOB NOT NULL,
  session      BLOB,
  path         TEXT NOT NULL,
  object_bytes INTEGER,
  bytes_sent   INTEGER NOT NULL,
  range_start  INTEGER NOT NULL,
  status       INTEGER NOT NULL,
  cache        TEXT NOT NULL,
  ttfb_us      INTEGER NOT NULL,
  duration_ms  INTEGER NOT NULL,
  aborted      INTEGER NOT NULL,
  recorded_at  INTEGER NOT NULL
);
CREATE INDEX playback_of_asset ON playback (asset, observed_at);
CREATE INDEX playback_of_org ON playback (org, observed_at);

CREATE TABLE accounts (
  node          TEXT NOT NULL,
  boot          BLOB NOT NULL,
  received      INTEGER NOT NULL,
  seq_max       INTEGER NOT NULL,
  dropped_total INTEGER NOT NULL,
  PRIMARY KEY (node, boot)
) WITHOUT ROWID;
