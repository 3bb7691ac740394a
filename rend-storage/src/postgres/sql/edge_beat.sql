UPDATE edges SET
  state = $2, cache_bytes_max = $3, cache_bytes_used = $4, cache_entries = $5, disk_bytes_free = $6, fills = $7,
  spool_events = $8, dropped_events = $9, purge_seen = $10, beat_at = $11
WHERE id = $1
