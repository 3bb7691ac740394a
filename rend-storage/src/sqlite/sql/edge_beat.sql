UPDATE edges SET
  state = :state, cache_bytes_max = :cache_bytes_max, cache_bytes_used = :cache_bytes_used,
  cache_entries = :cache_entries, disk_bytes_free = :disk_bytes_free, fills = :fills, spool_events = :spool_events,
  dropped_events = :dropped_events, purge_seen = :purge_seen, beat_at = :beat_at
WHERE id = :id
