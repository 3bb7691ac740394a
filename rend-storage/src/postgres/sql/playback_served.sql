SELECT node COLLATE "C" AS node,
  CASE WHEN path LIKE 'hls/%/segment\_%' THEN split_part(path, '/', 2) ELSE '' END COLLATE "C" AS rung,
  count(*) AS requests,
  sum((bytes_sent >> 32) & 4294967295)::text AS bytes_high, sum(bytes_sent & 4294967295)::text AS bytes_low
FROM playback
WHERE org = $1 AND observed_at >= $2 AND observed_at < $3
GROUP BY 1, 2
ORDER BY 1, 2
