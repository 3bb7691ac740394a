SELECT observed_at / 3600000 AS hours, node, substr(id, 1, 8) AS boot, count(*) AS records,
  min(id) AS first_id, max(id) AS last_id
FROM playback
WHERE observed_at >= :from AND observed_at < :until
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
