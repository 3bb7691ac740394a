-- Usage: the hours that were counted, and what each count added. Rows of `usage` are only ever added.
CREATE TABLE counted_hours (
  hour      bigint PRIMARY KEY,
  -- Records that there were, how often it was counted, and what of it could not be.
  records   bigint NOT NULL,
  complete  boolean NOT NULL,
  uncounted bigint NOT NULL,
  pass      bigint NOT NULL,
  at        bigint NOT NULL
);
CREATE TABLE usage (
  org      uuid NOT NULL,
  hour     bigint NOT NULL,
  tier     text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  micros   bigint NOT NULL,
  at       bigint NOT NULL,
  PRIMARY KEY (org, hour, tier, revision)
);
CREATE INDEX usage_of_hour ON usage (hour);
CREATE INDEX playback_by_time ON playback (observed_at);

-- How long segments are, which usage must know after the playlists are gone.
CREATE TABLE segment_lengths (
  asset     uuid NOT NULL,
  rendition text NOT NULL,
  lengths   text NOT NULL,
  PRIMARY KEY (asset, rendition)
);

-- Which process does what only one should do.
CREATE TABLE leads (
  name    text PRIMARY KEY,
  holder  uuid NOT NULL,
  expires bigint NOT NULL
);

-- What was answered to requests that name themselves.
CREATE TABLE answers (
  place  bytea PRIMARY KEY,
  asked  bytea NOT NULL,
  at     bigint NOT NULL,
  holder uuid NOT NULL,
  until  bigint NOT NULL,
  answer bytea
);
CREATE INDEX answers_by_age ON answers (at);
