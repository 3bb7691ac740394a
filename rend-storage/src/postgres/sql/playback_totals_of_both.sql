SELECT count(*) AS requests, count(DISTINCT session) AS sessions,
  coalesce(sum((bytes_sent >> 32) & 4294967295), 0)::text AS bytes_high,
  coalesce(sum(bytes_sent & 4294967295), 0)::text AS bytes_low,
  min(observed_at) AS first_seen, max(observed_at) AS last_seen
FROM playback WHERE asset = $1 AND observed_at >= $2 AND observed_at < $3 AND org = $4
