SELECT node,
  CASE WHEN path GLOB 'hls/*/segment_*' THEN substr(path, 5, instr(path, '/segment_') - 5) ELSE '' END AS rung,
  count(*) AS requests,
  sum((bytes_sent >> 32) & 4294967295) AS bytes_high, sum(bytes_sent & 4294967295) AS bytes_low
FROM playback
WHERE org = :org AND observed_at >= :from AND observed_at < :until
GROUP BY node, rung
ORDER BY node, rung
