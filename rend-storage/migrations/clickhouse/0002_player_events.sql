-- What players saw, one row a moment of a view. A moment is known by its view and its place in it, and when it happened is
-- part of it: told again it meets itself under one key in one partition.
CREATE TABLE IF NOT EXISTS player_events (
  view        FixedString(16),
  seq         UInt32,
  observed_ms UInt64,
  observed_at DateTime64(3, 'UTC'),
  org         FixedString(16),
  asset       FixedString(16),
  viewer      FixedString(7),
  phase       LowCardinality(String),
  startup_ms  Nullable(UInt32),
  playing_ms  UInt32,
  stalled_ms  UInt32,
  rung        LowCardinality(String),
  edge        LowCardinality(String),
  device      LowCardinality(String),
  ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMMDD(observed_at)
ORDER BY (org, toStartOfHour(observed_at), asset, view, seq)
TTL toDateTime(observed_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
