-- What edges served, one row a response. Identifiers are their bytes; an empty `org` or `session` is none.
-- A response is known by its run and its place in it, and `observed_ms` is part of what it was when it was first told:
-- so a row that is written twice meets itself in one partition under one key, and merges to one.
-- `observed_at` is `observed_ms` brought within what the type can say, for partitions, keys and the end of its life.
CREATE TABLE IF NOT EXISTS edge_events (
  event_id     FixedString(16),
  node         LowCardinality(String),
  observed_ms  UInt64,
  observed_at  DateTime64(3, 'UTC'),
  org          String,
  asset        FixedString(16),
  session      String,
  path         String,
  object_bytes Nullable(UInt64),
  bytes_sent   UInt64,
  range_start  UInt64,
  status       UInt16,
  cache        LowCardinality(String),
  ttfb_us      UInt64,
  duration_ms  UInt64,
  aborted      Bool,
  ingested_at  DateTime64(3, 'UTC'),
  INDEX by_asset asset TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMMDD(observed_at)
ORDER BY (org, toStartOfHour(observed_at), asset, event_id)
TTL toDateTime(observed_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Which responses are known, in the order of their runs: what a batch repeats is found here.
CREATE TABLE IF NOT EXISTS edge_event_ids (
  event_id    FixedString(16),
  node        LowCardinality(String),
  ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY event_id
TTL toDateTime(ingested_at) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- What each batch said of its run, the losses that the edge told with it included.
CREATE TABLE IF NOT EXISTS ingest_batches (
  batch_id    FixedString(32),
  node        LowCardinality(String),
  boot        FixedString(8),
  first_seq   UInt64,
  last_seq    UInt64,
  rows        UInt64,
  dropped     UInt64,
  ingested_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (node, boot, batch_id)
TTL toDateTime(ingested_at) + INTERVAL 180 DAY
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
