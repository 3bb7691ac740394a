INSERT INTO edges (
  id, region, public_url, private_url, version, state, cache_bytes_max, cache_bytes_used, cache_entries, disk_bytes_free,
  fills, spool_events, dropped_events, purge_seen, registered_at, beat_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (id) DO UPDATE SET
  region = excluded.region, public_url = excluded.public_url, private_url = excluded.private_url,
  version = excluded.version, state = excluded.state, cache_bytes_max = excluded.cache_bytes_max,
  cache_bytes_used = excluded.cache_bytes_used, cache_entries = excluded.cache_entries,
  disk_bytes_free = excluded.disk_bytes_free, fills = excluded.fills, spool_events = excluded.spool_events,
  dropped_events = excluded.dropped_events, purge_seen = excluded.purge_seen, registered_at = excluded.registered_at,
  beat_at = excluded.beat_at
