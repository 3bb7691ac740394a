-- Digests are bytea; times are milliseconds since 1970; unsigned 64-bit numbers are kept in the same bits. Texts that
-- people gave are escaped where they hold a NUL, which PostgreSQL does not keep.

CREATE TABLE assets (
  id            uuid PRIMARY KEY,
  org           uuid NOT NULL,
  title         text NOT NULL,
  external_id   text,
  metadata      text NOT NULL,
  policy        text NOT NULL,
  source        text NOT NULL,
  playable      text NOT NULL,
  degraded      boolean NOT NULL,
  failure       text,
  stored_bytes  bigint,
  stored_sha256 bytea,
  media         text,
  renditions    text NOT NULL,
  revision      bigint NOT NULL,
  created_at    bigint NOT NULL,
  updated_at    bigint NOT NULL,
  -- How many events it has.
  event_count   bigint NOT NULL
);
CREATE INDEX assets_of_org ON assets (org, id) WHERE source <> 'deleted';

-- The newest place of each log. Whoever appends holds its row until the end of the transaction, so places are seen in
-- their order, and a transaction that fails leaves no gap.
CREATE TABLE heads (
  log text PRIMARY KEY,
  seq bigint NOT NULL
) WITH (fillfactor = 20);
INSERT INTO heads (log, seq) VALUES ('events', 0), ('purges', 0), ('revocations', 0);

CREATE TABLE events (
  seq       bigint PRIMARY KEY,
  asset     uuid NOT NULL,
  asset_seq bigint NOT NULL,
  org       uuid NOT NULL,
  at        bigint NOT NULL,
  name      text NOT NULL,
  data      text NOT NULL,
  UNIQUE (asset, asset_seq)
);
CREATE INDEX events_of_asset ON events (asset, seq);
CREATE INDEX events_of_org ON events (org, seq);

CREATE TABLE uploads (
  id             uuid PRIMARY KEY,
  asset          uuid NOT NULL,
  org            uuid NOT NULL,
  bytes_expected bigint,
  state          text NOT NULL,
  expires_at     bigint NOT NULL,
  created_at     bigint NOT NULL,
  -- What follows is of uploads that come in pieces.
  received       bigint NOT NULL DEFAULT 0,
  epoch          bigint NOT NULL DEFAULT 0,
  note           text NOT NULL DEFAULT '',
  pull_url       text,
  pull_validator text
);
CREATE INDEX uploads_open ON uploads (expires_at, id) WHERE state = 'open';
CREATE INDEX uploads_open_of_org ON uploads (org) WHERE state = 'open';

CREATE TABLE upload_parts (
  upload uuid NOT NULL,
  start  bigint NOT NULL,
  bytes  bigint NOT NULL,
  epoch  bigint NOT NULL,
  PRIMARY KEY (upload, start)
);

CREATE TABLE jobs (
  id            uuid PRIMARY KEY,
  asset         uuid NOT NULL,
  kind          text NOT NULL,
  state         text NOT NULL,
  attempt       bigint NOT NULL,
  attempts_max  bigint NOT NULL,
  run_at        bigint NOT NULL,
  lease_expires bigint,
  worker        text,
  error         text,
  created_at    bigint NOT NULL,
  updated_at    bigint NOT NULL,
  -- The fence of the lease that holds.
  token         uuid,
  -- Since when it may be claimed; nothing once it is finished.
  due_since     bigint
);
CREATE INDEX jobs_due ON jobs (kind, due_since, id) WHERE due_since IS NOT NULL;
CREATE INDEX jobs_of_asset ON jobs (asset, id);
CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';
CREATE INDEX jobs_unfinished ON jobs (state, run_at) WHERE state <> 'succeeded';

CREATE TABLE edges (
  id               text COLLATE "C" PRIMARY KEY,
  region           text NOT NULL,
  public_url       text NOT NULL,
  private_url      text NOT NULL,
  version          text NOT NULL,
  state            text NOT NULL,
  cache_bytes_max  bigint NOT NULL,
  cache_bytes_used bigint NOT NULL,
  cache_entries    bigint NOT NULL,
  disk_bytes_free  bigint NOT NULL,
  fills            bigint NOT NULL,
  spool_events     bigint NOT NULL,
  dropped_events   bigint NOT NULL,
  purge_seen       bigint NOT NULL,
  registered_at    bigint NOT NULL,
  beat_at          bigint NOT NULL
);

CREATE TABLE purges (
  seq   bigint PRIMARY KEY,
  asset uuid NOT NULL,
  at    bigint NOT NULL
);

-- Tokens that are no longer believed.
CREATE TABLE revocations (
  seq           bigint PRIMARY KEY,
  kind          text NOT NULL,
  subject       text NOT NULL,
  issued_before bigint,
  at            bigint NOT NULL,
  expires_at    bigint
);
CREATE INDEX revocations_by_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE credentials (
  id           uuid PRIMARY KEY,
  org          uuid NOT NULL,
  name         text NOT NULL,
  prefix       text NOT NULL,
  digest       bytea NOT NULL UNIQUE,
  scopes       text NOT NULL,
  created_at   bigint NOT NULL,
  expires_at   bigint,
  last_used_at bigint,
  revoked_at   bigint
);
CREATE INDEX credentials_of_org ON credentials (org, id);

CREATE TABLE playback (
  -- The run of the edge, then the place in it.
  id           bytea PRIMARY KEY,
  node         text NOT NULL,
  observed_at  bigint NOT NULL,
  org          uuid,
  asset        uuid NOT NULL,
  session      bytea,
  path         text NOT NULL,
  object_bytes bigint,
  bytes_sent   bigint NOT NULL,
  range_start  bigint NOT NULL,
  status       integer NOT NULL,
  cache        text NOT NULL,
  ttfb_us      bigint NOT NULL,
  duration_ms  bigint NOT NULL,
  aborted      boolean NOT NULL,
  recorded_at  bigint NOT NULL
);
CREATE INDEX playback_of_asset ON playback (asset, observed_at);
CREATE INDEX playback_of_org ON playback (org, observed_at);

CREATE TABLE accounts (
  node          text COLLATE "C" NOT NULL,
  boot          bytea NOT NULL,
  received      bigint NOT NULL,
  seq_max       bigint NOT NULL,
  dropped_total bigint NOT NULL,
  PRIMARY KEY (node, boot)
);
