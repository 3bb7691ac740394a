-- Usage: the hours that were counted, and what each count added. Rows of `usage` are only ever added.
CREATE TABLE counted_hours (
  hour      INTEGER PRIMARY KEY NOT NULL,
  -- Records that there were, how often it was counted, and what of it could not be.
  records   INTEGER NOT NULL,
  complete  INTEGER NOT NULL,
  uncounted INTEGER NOT NULL,
  pass      INTEGER NOT NULL,
  at        INTEGER NOT NULL
);
CREATE TABLE usage (
  org      BLOB NOT NULL,
  hour     INTEGER NOT NULL,
  tier     TEXT NOT NULL,
  revision INTEGER NOT NULL,
  micros   INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (org, hour, tier, revision)
) WITHOUT ROWID;
CREATE INDEX usage_of_hour ON usage (hour);
CREATE INDEX playback_by_time ON playback (observed_at);

-- How long segments are, which usage must know after the playlists are gone.
CREATE TABLE segment_lengths (
  asset     BLOB NOT NULL,
  rendition TEXT NOT NULL,
  lengths   TEXT NOT NULL,
  PRIMARY KEY (asset, rendition)
) WITHOUT ROWID;

-- Which process does what only one should do.
CREATE TABLE leads (
  name    TEXT PRIMARY KEY NOT NULL,
  holder  BLOB NOT NULL,
  expires INTEGER NOT NULL
) WITHOUT ROWID;

-- What was answered to requests that name themselves.
CREATE TABLE answers (
  place  BLOB PRIMARY KEY NOT NULL,
  asked  BLOB NOT NULL,
  at     INTEGER NOT NULL,
  holder BLOB NOT NULL,
  until  INTEGER NOT NULL,
  answer BLOB
) WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at);
