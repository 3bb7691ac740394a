SELECT
  id, region, public_url, private_url, version, state, cache_bytes_max, cache_bytes_used, cache_entries, disk_bytes_free,
  fills, spool_events, dropped_events, purge_seen, registered_at, beat_at
FROM edges
ORDER BY id
